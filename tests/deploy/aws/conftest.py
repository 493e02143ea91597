"""A cloud of ours, and what deploys to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.aws.cloudformation import ACCOUNT, Cloud, cloud
from tests.deploy.aws.driven import Driver

OUTPUTS = {
    "FunctionName": "bearergate",
    "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/bearergate",
    "Origin": "https://abc.execute-api.eu-central-1.amazonaws.com",
    "ApiUrl": "https://abc.execute-api.eu-central-1.amazonaws.com",
    "ResourcePath": "mcp",
    "LogGroupName": "/bearergate/bearergate",
}


@pytest.fixture
def aws() -> Iterator[Cloud]:
    with cloud() as made:
        made.outputs = dict(OUTPUTS)
        yield made


@pytest.fixture
def driver(aws: Cloud, tmp_path: Path) -> Driver:
    return Driver(aws, tmp_path)
