"""What goes with the program: the settings and the files they name, issuers' keys, and what reads about Bedrock."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from deploy.aws_options import BadOptionError, settings_file
from deploy.key_snapshot import Snapshots, of_pool, snapshots
from deploy.package import SETTINGS, settings_files
from deploy.parameters import Parameters

Take = Callable[[Iterable[Mapping[str, Any]], Iterable[str]], Snapshots]


class PackagedFiles(NamedTuple):
    """Files by name, the name of the user pool's keys among them, and what whoever is asked should know."""

    files: dict[str, bytes]
    keys_file: str
    notes: list[str]


def packaged_files(
    said: Namespace, parameters: Parameters, region: str, pool: str, take: Take = snapshots
) -> PackagedFiles:
    """What is packaged; `pool` is the user pool that issues tokens, if it is known; `take` fetches keys.

    Raises:
        CannotPackageError: a file that the settings name cannot be packaged.
    """
    file = settings_file(said)
    files = dict(settings_files(file)) | bedrock_settings(said, parameters)
    values = values_of(file)
    issuers = [] if parameters["UserPool"] in ("new", "kept") else values.get("issuers", [])
    url = "" if issuers or not pool else of_pool(region_of(parameters, region, pool), pool)
    found = take([*issuers, *([{"issuer": url}] if url else [])], values.get("private_hosts", []))
    if any(issuer["issuer"] in found.names for issuer in issuers):
        files[SETTINGS] = with_keys(values, found)
    return PackagedFiles(files | found.files, found.names.get(url, ""), found.notes)


def values_of(file: Path | None) -> dict[str, Any]:
    """What a settings file says; it was judged before."""
    from gateway.sources import read_file

    return {} if file is None else read_file(file, required=True)


def with_keys(values: Mapping[str, Any], found: Snapshots) -> bytes:
    """The settings, with the name of its keys at each issuer whose keys are packaged."""
    import yaml

    issuers = [
        issuer | ({"jwks_file": found.names[issuer["issuer"]]} if issuer["issuer"] in found.names else {})
        for issuer in values["issuers"]
    ]
    text: str = yaml.safe_dump({**values, "issuers": issuers}, sort_keys=False, allow_unicode=True)
    return text.encode()


def region_of(parameters: Parameters, region: str, pool: str) -> str:
    """The region of a pool: that of the stack for one made here, otherwise what its name begins with."""
    return region if parameters["UserPool"] in ("new", "kept") else pool.partition("_")[0]


def bedrock_settings(said: Namespace, parameters: Mapping[str, str]) -> dict[str, bytes]:
    """The settings of the reports about Bedrock that name a role, which were packaged otherwise."""
    beside = Path("bedrock.yaml")
    role = parameters["BedrockRoleArn"]
    if not role:
        return {beside.name: beside.read_bytes()} if beside.exists() else {}
    if beside.exists():
        raise BadOptionError("--bedrock-role-arn: bedrock.yaml names roles already; leave one of them out")
    entry = {
        "id": role.split(":")[4],
        "groups": ["*"],
        "role": role,
        "external_id": external_id(said.function_name),
    }
    return {beside.name: json.dumps({"accounts": [entry]}).encode()}


def external_id(function: str) -> str:
    """What the role of the reports about Bedrock is to ask for, so that nobody else uses it through the function."""
    return f"bearergate-{function}"
