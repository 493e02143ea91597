"""What AWS refuses means the same to everyone who asks it."""

from __future__ import annotations

import botocore.exceptions
import pytest

from deploy.aws_access import local_sentence
from tools import aws_codes
from tools.bedrock import refusals as bedrock
from tools.prompts import aws_refusals as prompts


def said(name: str) -> list[str]:
    """What an exception of botocore means to each of them."""
    error = getattr(botocore.exceptions, name)(
        provider="p", cred_var="v", profile="q", error_msg="gone", endpoint_url="u"
    )
    return [
        local_sentence(error),
        str(bedrock.of_botocore(name, "logs:StartQuery", "us-east-1")),
        str(prompts.of_botocore(name, "a-bucket")),
    ]


@pytest.mark.parametrize("name", sorted(aws_codes.STALE_LOGIN))
def test_stale_login_is_a_matter_of_logging_in_and_not_of_the_network(name: str) -> None:
    for sentence in said(name):
        assert "log in" in sentence
        assert "network" not in sentence


def test_every_login_that_botocore_knows_is_known() -> None:
    logins = (botocore.exceptions.SSOError, botocore.exceptions.LoginError)
    known = [found for found in vars(botocore.exceptions).values() if isinstance(found, type)]
    assert {found.__name__ for found in known if issubclass(found, logins)} < aws_codes.STALE_LOGIN


@pytest.mark.parametrize("name", sorted(aws_codes.NO_CREDENTIALS))
def test_missing_credentials_are_said_to_be_missing(name: str) -> None:
    laptop, *servers = said(name)
    assert "set AWS_PROFILE" in laptop or "correct --profile" in laptop
    for sentence in servers:
        assert "has no AWS credentials" in sentence


def test_whatever_else_stops_botocore_is_the_network() -> None:
    assert all("network" in sentence for sentence in said("EndpointConnectionError"))


def test_quota_is_not_taken_for_haste() -> None:
    """Of Logs Insights the same code is too many queries at once, which passes."""
    assert "LimitExceededException" not in aws_codes.THROTTLED
    assert "too busy" in str(bedrock.of_aws("LimitExceededException", "", "logs:StartQuery", "us-east-1"))
