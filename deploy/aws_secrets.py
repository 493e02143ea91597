"""Secrets that settings name at AWS: `aws:secretsmanager:NAME`, `aws:secretsmanager:NAME#KEY` or `aws:ssm:/NAME`.

Such a name may stand wherever settings take the name of a file. Each is asked for once, while an instance starts.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

SCHEME = "aws:"
ACTIONS = {"secretsmanager": "secretsmanager:GetSecretValue", "ssm": "ssm:GetParameter"}


class SecretUnavailable(Exception):
    """A secret cannot be had; the text names it and what to change, and never what is in it."""


@contextlib.contextmanager
def secret_files(values: Mapping[str, Any]) -> Iterator[Any]:
    """The values with files in place of the names of secrets; only its owner can read them, and they go in the end.

    Raises:
        SecretUnavailable: one of them cannot be had.
    """
    with tempfile.TemporaryDirectory(prefix="bearergate-") as folder:
        yield _replaced(values, Path(folder))


def _replaced(value: Any, folder: Path) -> Any:
    if isinstance(value, dict):
        return {key: _replaced(entry, folder) for key, entry in value.items()}
    if isinstance(value, list):
        return [_replaced(entry, folder) for entry in value]
    if not isinstance(value, str) or not value.startswith(SCHEME):
        return value
    file = folder / f"{len(list(folder.iterdir()))}"
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        opened.write(fetched(value))
    return str(file)


def fetched(name: str) -> str:
    """The secret of a name.

    Raises:
        SecretUnavailable: it cannot be had.
    """
    service, _, rest = name.removeprefix(SCHEME).partition(":")
    if service not in ACTIONS or not rest:
        raise SecretUnavailable(
            f"{name}: a secret at AWS is named aws:secretsmanager:NAME, aws:secretsmanager:NAME#KEY or aws:ssm:/NAME"
        )
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        client = boto3.client(service)
        if service == "ssm":
            parameter: str = client.get_parameter(Name=rest, WithDecryption=True)["Parameter"]["Value"]
            return parameter
        secret, _, key = rest.partition("#")
        return _member(name, client.get_secret_value(SecretId=secret).get("SecretString", ""), key)
    except ClientError as error:
        raise SecretUnavailable(_sentence(name, service, error.response["Error"]["Code"])) from None
    except BotoCoreError as error:
        cause = type(error).__name__
        raise SecretUnavailable(f"{name}: AWS cannot be asked ({cause}); check region and role") from None


def _member(name: str, secret: str, key: str) -> str:
    if not key:
        return secret
    try:
        member = json.loads(secret)[key]
    except (ValueError, KeyError, TypeError):
        raise SecretUnavailable(f"{name}: the secret is no JSON object with the member {key}") from None
    return str(member)


def _sentence(name: str, service: str, code: str) -> str:
    if code in ("AccessDeniedException", "AccessDenied"):
        return f"{name}: not allowed; give the function's role {ACTIONS[service]} on it, and kms:Decrypt for its key"
    if code in ("ResourceNotFoundException", "ParameterNotFound"):
        return f"{name}: there is no such secret in this region; create it or correct the name"
    return f"{name}: AWS answers {code}; try again, or look it up in the console"
