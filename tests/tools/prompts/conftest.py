"""Libraries in both kinds of store: a folder, and a bucket of moto's S3 on loopback, asked by the real boto3."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tools.prompts.bucket import BucketStore
from tools.prompts.folder import FolderStore
from tools.prompts.store import Store

REGION = "eu-central-1"
_numbers = itertools.count(1)


def template(text: str = "Greet {{name}}.", title: str = "A title", arguments: str = "[{name: name}]") -> bytes:
    """A template that can be used."""
    return f"---\ntitle: {title}\ndescription: A description.\narguments: {arguments}\n---\n{text}\n".encode()


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """The address of moto's S3."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What boto3 finds on this machine: keys that are none, and no settings of whoever runs the tests."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-settings"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def s3(moto: str, credentials: None) -> Any:
    """A client of one's own, to look at a bucket and to do what others do."""
    del credentials
    return boto3.client("s3", endpoint_url=moto, region_name=REGION)


@pytest.fixture
def bucket(moto: str, s3: Any) -> BucketStore:
    """An empty library in a bucket that keeps versions."""
    name = f"prompts-{next(_numbers)}"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return BucketStore(name, "prompts/", region=REGION, endpoint=moto)


@pytest.fixture
def folder(tmp_path: Path) -> FolderStore:
    """An empty library in a folder."""
    (tmp_path / "prompts").mkdir()
    return FolderStore(tmp_path / "prompts")


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest) -> Store:
    """Either of them."""
    found: Store = request.getfixturevalue(request.param)
    return found
