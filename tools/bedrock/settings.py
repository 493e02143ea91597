"""Settings of the Bedrock tools: a file of their own, since accounts and roles are no caller's business to name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec

DEFAULT_FILE = "bedrock.yaml"
FILE = "BEARERGATE_BEDROCK_SETTINGS"  # names the file
SAMPLE = "BEARERGATE_BEDROCK_SAMPLE"  # 1: show the bundled sample instead of asking AWS
ROLE = "BEARERGATE_BEDROCK_ROLE"  # a role to read with, whose account everybody with the scope may ask about
EXTERNAL_ID = "BEARERGATE_BEDROCK_EXTERNAL_ID"  # that it asks for
EVERYBODY = "*"  # in place of a group: whoever has the scope

AccountId = Annotated[str, msgspec.Meta(pattern="^[0-9]{12}$")]
RoleArn = Annotated[str, msgspec.Meta(pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+$")]
ExternalId = Annotated[str, msgspec.Meta(pattern=r"^[\w+=,.@:/-]{2,1224}$")]
Group = Annotated[str, msgspec.Meta(min_length=1)]
Meant = TypeVar("Meant")


class SettingsError(Exception):
    """The settings cannot be used; the text says where and what to change."""


class Account(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An account that may be asked about. Without a role, it is the one whose credentials the server has."""

    id: AccountId
    groups: Annotated[tuple[Group, ...], msgspec.Meta(min_length=1)]  # whose members may ask; "*" is everybody
    role: RoleArn | None = None  # assumed to read
    external_id: ExternalId | None = None  # that the role's trust policy asks for


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that can be set."""

    accounts: tuple[Account, ...] = ()  # none: only the account of the server's own credentials
    prices: str | None = None  # a file of prices whose entries win over the bundled ones; relative to the settings file
    sample: bool = False  # the bundled sample log in place of AWS


# Each resource loads its tools in a thread, and two that are the first to ask msgspec for a type end the process.
msgspec.json.Decoder(Settings)


def load(environment: Mapping[str, str], folder: Path | None = None) -> Settings:
    """The settings of the file that the environment names, or of `bedrock.yaml` if it is there; else the defaults.

    A role that the environment names adds its account.

    Raises:
        SettingsError: the file cannot be read, or says something that cannot be meant.
    """
    named = environment.get(FILE)
    file = (folder or Path()) / (named or DEFAULT_FILE)
    settings = _read(file) if named or file.exists() else Settings()
    if settings.prices:
        settings = msgspec.structs.replace(settings, prices=str(file.parent / settings.prices))
    if environment.get(ROLE):
        added = _account(environment[ROLE], environment.get(EXTERNAL_ID))
        settings = msgspec.structs.replace(settings, accounts=(*settings.accounts, added))
        _check(settings.accounts, ROLE)
    if SAMPLE in environment:
        settings = msgspec.structs.replace(settings, sample=_switch(environment[SAMPLE]))
    return settings


def decoded(file: Path, kind: type[Meant]) -> Meant | None:
    """What a YAML file says; None for an empty one.

    Raises:
        SettingsError: it cannot be read, or says something that cannot be meant.
    """
    try:
        return msgspec.yaml.decode(file.read_bytes(), type=kind | None)
    except OSError as error:
        raise SettingsError(f"{file}: cannot be read ({error.strerror}); correct its name or permissions") from None
    except (ValueError, AttributeError) as error:  # PyYAML's own for a date or number that is none
        said = " ".join(str(error).split())
        hint = "; put it in quotes" if "Expected `str`, got `" in said else ""
        raise SettingsError(f"{file}: {said}{hint}") from None


def _read(file: Path) -> Settings:
    settings = decoded(file, Settings) or Settings()
    _check(settings.accounts, file)
    return settings


def _account(role: str, external_id: str | None) -> Account:
    """The account of a role."""
    try:
        entry = {"id": role.split(":")[4], "groups": [EVERYBODY], "role": role, "external_id": external_id}
        return msgspec.convert(entry, Account)
    except (IndexError, msgspec.ValidationError):
        form = "arn:aws:iam::ACCOUNT:role/NAME"
        raise SettingsError(f"{ROLE}: must be {form}, with {EXTERNAL_ID} beside it, not {role}") from None


def _check(accounts: tuple[Account, ...], file: Path | str) -> None:
    ids = [account.id for account in accounts]
    for account in accounts:
        where = f"{file}: account {account.id}"
        if ids.count(account.id) > 1:
            raise SettingsError(f"{where} is there twice; leave one")
        if (account.role is None) != (account.external_id is None):
            raise SettingsError(f"{where} needs both role and external_id, or neither if it is the server's own")
        if account.role is not None and f"::{account.id}:" not in account.role:
            raise SettingsError(f"{where} has a role of another account; correct one of them")
    if sum(account.role is None for account in accounts) > 1:
        raise SettingsError(f"{file}: two accounts have no role, but the server's own is one; give the other a role")


def _switch(text: str) -> bool:
    known = {"1": True, "true": True, "0": False, "false": False, "": False}
    if text.lower() not in known:
        raise SettingsError(f"{SAMPLE}: must be 1 or 0, not {text!r}")
    return known[text.lower()]
