"""Access to AWS from a laptop: clients that try again when asked to slow down, and its refusals in a sentence."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from typing import Any

from tools.aws_codes import DENIED, EXPIRED, NO_CREDENTIALS, STALE_LOGIN, THROTTLED, UNKNOWN_KEY

ATTEMPTS = 8


class AwsRefused(Exception):
    """AWS does not do what was asked; the text says why, and what to do next."""


class Aws:
    """Clients of one region, made when they are used."""

    def __init__(self, region: str | None, profile: str | None = None) -> None:
        import boto3

        with refused():
            self._session = boto3.session.Session(region_name=region, profile_name=profile)
        known = self._session.get_available_regions("cloudformation")
        self.region: str = self._session.region_name or ""
        if not self.region:
            raise AwsRefused("No region is set: give --region, such as eu-central-1, or set AWS_REGION")
        if self.region not in known:
            near = [name for name in known if name[:4] == self.region[:4]] or known[:6]
            raise AwsRefused(f"--region {self.region} is no region of AWS; {', '.join(near)} are some there are")

    def client(self, service: str) -> Any:
        """A client of a service."""
        from botocore.config import Config

        attempts = int(os.environ.get("AWS_MAX_ATTEMPTS", ATTEMPTS))
        return self._session.client(service, config=Config(retries={"mode": "standard", "max_attempts": attempts}))

    def account(self) -> str:
        """The account that the credentials belong to; the first thing asked, so that bad ones end here."""
        with refused():
            account: str = self.client("sts").get_caller_identity()["Account"]
        return account


@contextlib.contextmanager
def refused() -> Iterator[None]:
    """Turns what the SDK raises into `AwsRefused`."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        said = error.response["Error"]
        raise AwsRefused(sentence(said.get("Code", ""), said.get("Message", ""), error.operation_name)) from None
    except BotoCoreError as error:
        raise AwsRefused(local_sentence(error)) from None


def sentence(code: str, message: str, operation: str) -> str:
    """What an answer of AWS means for who ran the command."""
    if code in EXPIRED:
        return "The AWS credentials have expired: log in again (aws sso login), or set new ones"
    if code in UNKNOWN_KEY:
        return "AWS does not know these credentials: check AWS_PROFILE, or the access key and its secret"
    if code in THROTTLED:
        return f"AWS asks to slow down ({operation}): try again in a minute"
    if code in DENIED:
        action = re.search(r"perform: ([\w-]+:\w+)", message)
        return f"The credentials may not do {action[1] if action else operation}: ask for that permission"
    if code == "FeatureUnavailableInTierException":
        return f"The plan of the user pool does not have what {operation} asks for: choose Essentials in the console"
    return f"AWS refuses {operation}: {' '.join(message.split()) or code}"


def local_sentence(error: Exception) -> str:
    """What the SDK could not even ask."""
    name = type(error).__name__
    if name == "ProfileNotFound":
        return f"{error}: correct --profile, or AWS_PROFILE"
    if name in NO_CREDENTIALS:
        return "No AWS credentials are set: log in (aws sso login), or set AWS_PROFILE"
    if name in STALE_LOGIN:
        return "The AWS credentials cannot be renewed: log in again (aws login, or aws sso login)"
    return f"AWS cannot be reached ({name}): check the network and the region"
