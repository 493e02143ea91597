"""Copies of issuers' key sets for the package, so that a cold start needs no fetch before it can verify a token.

An issuer that cannot be asked now stops nothing: the function then fetches its keys itself, as it renews all of them.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

ALGORITHMS = ("RS256",)  # what the settings assume where they name none


class Snapshots(NamedTuple):
    """Files by name, the name of each issuer's file, and a sentence for each issuer that could not be asked."""

    files: dict[str, bytes]
    names: dict[str, str]
    notes: list[str]


def snapshots(issuers: Iterable[Mapping[str, Any]], private_hosts: Iterable[str]) -> Snapshots:
    """The key sets of issuers, as settings describe them, that bring no copy of their own."""
    found = Snapshots({}, {}, [])
    asked = [issuer for issuer in issuers if not issuer.get("jwks_file")]
    for issuer, answer in zip(asked, asyncio.run(_all(asked, [*private_hosts])), strict=True):
        url = str(issuer["issuer"])
        if isinstance(answer, bytes):
            found.names[url] = file_name(url)
            found.files[file_name(url)] = answer
        else:
            found.notes.append(f"the keys of {url} are not packaged, and the first token waits for them: {answer}")
    return found


def file_name(issuer: str) -> str:
    """Where the package keeps the keys of an issuer."""
    return f"keys/{hashlib.sha256(issuer.encode()).hexdigest()[:16]}.json"


async def _all(issuers: list[Mapping[str, Any]], private_hosts: list[str]) -> list[bytes | str]:
    return list(await asyncio.gather(*(_one(issuer, private_hosts) for issuer in issuers)))


async def _one(issuer: Mapping[str, Any], private_hosts: list[str]) -> bytes | str:
    """The key set of an issuer, or why it cannot be had."""
    from discovery.fetch import Fetch, FetchError
    from discovery.issuer import IssuerError, discover
    from gateway.keys import KeysError, read_keys

    named = (issuer["issuer"], issuer.get("jwks_uri", ""), *(f"//{host}" for host in private_hosts))
    fetch = Fetch(allow_hosts=frozenset(urlsplit(url).hostname or "" for url in named))
    try:
        location = issuer.get("jwks_uri") or (await discover(issuer["issuer"], fetch)).jwks_uri
        if not location:
            return "its metadata names no jwks_uri"
        document = (await fetch.get(location)).body
        read_keys(document, issuer.get("algorithms", ALGORITHMS))
    except (FetchError, IssuerError, KeysError) as error:
        return str(error)
    return in_order(document)


def in_order(document: bytes) -> bytes:
    """A key set whose bytes are the same for the same keys, however the issuer orders them."""
    keys = json.loads(document)["keys"]
    return json.dumps({"keys": sorted(keys, key=lambda key: json.dumps(key, sort_keys=True))}, sort_keys=True).encode()
