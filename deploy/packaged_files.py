"""What goes with the program: the settings and the files they name, issuers' keys, and what reads about Bedrock."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from deploy.aws_options import BadOption, settings_file
from deploy.key_snapshot import Snapshots, snapshots
from deploy.package import SETTINGS, CannotPackage, content_of, settings_files
from deploy.parameters import Parameters

Take = Callable[[Iterable[Mapping[str, Any]], Iterable[str]], Snapshots]


class PackagedFiles(NamedTuple):
    """Files by name, the name of the user pool's keys among them, and what whoever is asked should know."""

    files: dict[str, bytes]
    keys_file: str
    notes: list[str]
    roles: tuple[str, ...] = ()  # that the reports about Bedrock assume
    cedar: bool = False  # whether there are policies in Cedar


def packaged_files(
    said: Namespace, parameters: Parameters, region: str, pool: str, take: Take = snapshots
) -> PackagedFiles:
    """What is packaged; `pool` is the user pool that issues tokens, if it is known; `take` fetches keys.

    Raises:
        BadOption: an option and a file name the same thing.
        CannotPackage: a file that the settings name cannot be packaged.
    """
    from gateway.sources import pool_issuer

    file = settings_file(said)
    bedrock, roles = bedrock_settings(file.parent if file else Path(), parameters)
    files = dict(settings_files(file)) | bedrock
    values = values_of(file)
    issuers = [] if parameters["UserPool"] in ("new", "kept") else values.get("issuers", [])
    url = "" if issuers or not pool else pool_issuer(region_of(parameters, region, pool), pool)
    found = take([*issuers, *([{"issuer": url}] if url else [])], values.get("private_hosts", []))
    if any(issuer["issuer"] in found.names for issuer in issuers):
        files[SETTINGS] = with_keys(values, found)
    notes = [*found.notes, *(f"{role} of bedrock.yaml is to trust the function's role" for role in roles)]
    return PackagedFiles(files | found.files, found.names.get(url, ""), notes, roles, has_cedar(values))


def has_cedar(values: Mapping[str, Any]) -> bool:
    """Whether a resource has policies in Cedar."""
    return any(resource.get("cedar") for resource in values.get("resources") or ())


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


def bedrock_settings(folder: Path, parameters: Mapping[str, str]) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """The settings of the reports about Bedrock in a folder, with the prices they name; and the roles they name.

    Raises:
        BadOption: an option names a role already.
        CannotPackage: the tools would not start with them.
    """
    from tools.bedrock import prices
    from tools.bedrock.settings import DEFAULT_FILE, SettingsError, load

    if not (folder / DEFAULT_FILE).exists():
        return {}, ()
    try:
        settings = load({}, folder)
        files = {DEFAULT_FILE: (folder / DEFAULT_FILE).read_bytes()}
        if settings.prices:
            named = Path(settings.prices)
            name = str(named.relative_to(folder) if named.is_relative_to(folder) else named)
            files[name] = content_of(folder, f"{DEFAULT_FILE}: prices", name)
            prices.load(settings.prices)
    except SettingsError as error:
        raise CannotPackage(str(error)) from None
    if parameters["BedrockRoleArn"] and settings.accounts:
        raise BadOption(
            f"--bedrock-role-arn: {DEFAULT_FILE} names accounts already; take them out of it, or the role back with "
            "--bedrock-role-arn ''"
        )
    return files, tuple(account.role for account in settings.accounts if account.role)


def external_id(function: str) -> str:
    """What the role of the reports about Bedrock is to ask for, so that nobody else uses it through the function."""
    return f"bearergate-{function}"
