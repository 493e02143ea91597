"""Where the library is, by the environment: a bucket, a folder, or the folder of whoever runs the server."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from pathlib import Path

from tools.prompts.bucket import BucketStore
from tools.prompts.folder import FolderStore
from tools.prompts.store import Store

PREFIX = "BEARERGATE_PROMPTS_"
BUCKET = f"{PREFIX}BUCKET"
KEYS = f"{PREFIX}PREFIX"
REGION = f"{PREFIX}REGION"
ENDPOINT = f"{PREFIX}ENDPOINT"
FOLDER = f"{PREFIX}FOLDER"
ALL = (BUCKET, KEYS, REGION, ENDPOINT, FOLDER)
DEFAULT_KEYS = "prompts/"  # that objects begin with

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_KEYS = re.compile(r"(?:[A-Za-z0-9!_.*'()=-]+/){1,20}")
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"  # of a host, as boto3 wants it
_ENDPOINT = re.compile(rf"https?://{_LABEL}(?:\.{_LABEL})*\.?(?::[0-9]{{1,5}})?(?:/[^?#\s]*)?")
_REGION = re.compile(r"[a-z]{2,}(?:-[a-z0-9]+)+")


class SettingsError(Exception):
    """The settings cannot be used; the text names the variable and what to change."""


def store_of(environment: Mapping[str, str]) -> Store:
    """The store that the environment names.

    Raises:
        SettingsError: it names none, or two.
    """
    set_ = {name: value for name, value in environment.items() if name.startswith(PREFIX) and value}
    for name in set_:
        if name not in ALL:
            raise SettingsError(f"{name}: not a setting of the prompts; those are {', '.join(ALL)}")
    if BUCKET in set_:
        return _bucket(set_)
    for name in (KEYS, REGION, ENDPOINT):
        if name in set_:
            raise SettingsError(f"{name}: only with {BUCKET}; set that too, or remove it")
    try:
        folder = Path(set_[FOLDER]).expanduser() if FOLDER in set_ else default_folder(environment)
    except RuntimeError:
        raise SettingsError(f"{FOLDER}: must be a whole path here, where no home folder is to be found") from None
    return FolderStore(folder.absolute())


def default_folder(environment: Mapping[str, str]) -> Path:
    """Where data of whoever runs the server belongs (XDG Base Directory Specification)."""
    data = environment.get("XDG_DATA_HOME", "")
    if not data.startswith("/"):  # a relative one is to be ignored, says the specification
        data = f"{Path.home()}/.local/share"
    return Path(data) / "bearergate" / "prompts"


def _bucket(set_: Mapping[str, str]) -> BucketStore:
    if FOLDER in set_:
        raise SettingsError(f"{FOLDER}: not together with {BUCKET}; remove one of them")
    if not _BUCKET.fullmatch(set_[BUCKET]):
        raise SettingsError(f"{BUCKET}: must be the name of a bucket, without s3:// or a path")
    keys = set_.get(KEYS, DEFAULT_KEYS).rstrip("/") + "/"
    if not _KEYS.fullmatch(keys) or {".", ".."} & set(keys.split("/")):
        raise SettingsError(f"{KEYS}: must be a path such as {DEFAULT_KEYS}, without a slash in front")
    region = set_.get(REGION, "")
    if region and not _REGION.fullmatch(region):
        raise SettingsError(f"{REGION}: must be a region, such as us-east-1")
    endpoint = set_.get(ENDPOINT, "")
    if endpoint and not _ENDPOINT.fullmatch(endpoint):
        raise SettingsError(f"{ENDPOINT}: must be a URL, such as http://127.0.0.1:9000")
    if importlib.util.find_spec("boto3") is None:
        raise SettingsError(f"{BUCKET}: needs boto3; pip install 'bearergate[aws]', or use a folder")
    return BucketStore(set_[BUCKET], keys, region=region, endpoint=endpoint)
