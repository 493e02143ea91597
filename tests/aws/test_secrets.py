"""Secrets at AWS, on servers that behave like it: found, refused, and never left behind."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from moto import mock_aws

from deploy import aws_secrets
from deploy.aws_secrets import SecretUnavailable, fetched, secret_files


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An account with two secrets and a parameter."""
    for name, value in {
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
    }.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        secrets: Any = boto3.client("secretsmanager")
        secrets.create_secret(Name="plain", SecretString="s3cret")
        secrets.create_secret(Name="gate", SecretString=json.dumps({"seal": "k1"}))
        ssm: Any = boto3.client("ssm")
        ssm.put_parameter(Name="/gate/client", Value="hush", Type="SecureString")
        yield


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("aws:secretsmanager:plain", "s3cret"),
        ("aws:secretsmanager:gate#seal", "k1"),
        ("aws:ssm:/gate/client", "hush"),
    ],
)
@pytest.mark.usefixtures("aws")
def test_secret_is_found(name: str, secret: str) -> None:
    assert fetched(name) == secret


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        pytest.param("aws:secretsmanager:none", "there is no such secret", id="no such secret"),
        pytest.param("aws:ssm:/none", "there is no such secret", id="no such parameter"),
        pytest.param("aws:secretsmanager:plain#seal", "no JSON object with the member seal", id="no JSON"),
        pytest.param("aws:secretsmanager:gate#client", "no JSON object with the member client", id="no such member"),
        pytest.param("aws:s3:x", "a secret at AWS is named", id="another service"),
        pytest.param("aws:ssm:", "a secret at AWS is named", id="no name"),
    ],
)
@pytest.mark.usefixtures("aws")
def test_secret_that_cannot_be_had_is_one_sentence(name: str, sentence: str) -> None:
    with pytest.raises(SecretUnavailable, match=sentence) as caught:
        fetched(name)
    assert str(caught.value).startswith(f"{name}: ")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("code", "sentence"),
    [("AccessDeniedException", "give the function's role ssm:GetParameter"), ("ThrottlingException", "try again")],
)
@pytest.mark.usefixtures("aws")
def test_refusal_of_aws_is_one_sentence(monkeypatch: pytest.MonkeyPatch, code: str, sentence: str) -> None:
    client: Any = boto3.client("ssm")
    with Stubber(client) as refusing:
        refusing.add_client_error("get_parameter", code)
        monkeypatch.setattr(boto3, "client", lambda _: client)
        with pytest.raises(SecretUnavailable, match=sentence):
            fetched("aws:ssm:/gate/client")


def test_machine_without_credentials_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    with pytest.raises(SecretUnavailable, match="check region and role"):
        fetched("aws:ssm:/gate/client")


@pytest.mark.usefixtures("aws")
def test_files_stand_in_for_names_and_are_gone_afterwards() -> None:
    values = {"seal_keys_file": "aws:secretsmanager:plain", "facade": {"list": ["aws:ssm:/gate/client", 7]}, "n": 1}
    with secret_files(values) as complete:
        files = [Path(complete["seal_keys_file"]), Path(complete["facade"]["list"][0])]
        assert [file.read_text() for file in files] == ["s3cret", "hush"]
        assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in files)
        assert (complete["facade"]["list"][1], complete["n"]) == (7, 1)
    assert not any(file.exists() for file in files)
    assert aws_secrets.SCHEME not in str(complete)
