"""ASM: the metadata of the authorization server that the resource names (RFC 8414, MCP Authorization)."""

from __future__ import annotations

from typing import Any

import pytest

from .addresses import is_loopback, split
from .plugin import Judge
from .requirements import requirement
from .target import Target
from .wire import Answer

REQUIRED = ("issuer", "authorization_endpoint", "token_endpoint", "response_types_supported")
ENDPOINTS = (
    "authorization_endpoint",
    "token_endpoint",
    "registration_endpoint",
    "revocation_endpoint",
    "introspection_endpoint",
    "userinfo_endpoint",
    "jwks_uri",
)


def named(target: Target) -> str:
    """The issuer that the resource names; not tested if it is the suite's own, or none."""
    said = target.found.metadata().get("authorization_servers")
    if not isinstance(said, list) or not said or not isinstance(said[0], str):
        pytest.skip("The resource metadata name no authorization server: PRM-05 judges that.")
    if target.control is not None and said[0].rstrip("/") == target.control.issuer.url:
        pytest.skip("The authorization server is the suite's own, so there is nothing of the target to judge.")
    return str(said[0])


def document(target: Target) -> tuple[dict[str, Any], Answer]:
    """The metadata of that issuer; not tested if there are none."""
    named(target)
    if not target.server_metadata or target.server_answer is None:
        pytest.skip("The authorization server publishes no metadata: ASM-01 judges that.")
    return target.server_metadata, target.server_answer


@requirement("ASM-01")
def test_issuer_publishes_a_discovery_document(target: Target, judge: Judge) -> None:
    issuer = named(target)
    if target.server_answer is None:
        pytest.skip(f"{issuer} is at no public https address, so it was not asked.")
    judge.expect(
        bool(target.server_metadata),
        f"{issuer} publishes neither OAuth nor OpenID metadata, so no client can log in.",
        target.server_answer,
        fix="Serve RFC 8414 metadata at /.well-known/oauth-authorization-server, followed by the issuer's path.",
    )


@requirement("ASM-02")
def test_document_calls_the_issuer_by_its_name(target: Target, judge: Judge) -> None:
    issuer = named(target)
    said, answer = document(target)
    judge.expect(
        said.get("issuer") == issuer,
        f"The metadata of {issuer} say issuer {said.get('issuer')!r}: clients must not use them.",
        answer,
        fix="Publish the identifier to the letter, and name the same in the resource metadata.",
    )
    parts = split(issuer)
    secure = parts.scheme == "https" or is_loopback(parts.hostname or "")
    judge.expect(
        secure and not parts.query and not parts.fragment,
        f"The issuer identifier {issuer!r} is no plain https URL.",
        answer,
        fix="Use https, without query and fragment.",
    )


@requirement("ASM-03")
def test_document_offers_s256(target: Target, judge: Judge) -> None:
    said, answer = document(target)
    methods = said.get("code_challenge_methods_supported")
    methods = methods if isinstance(methods, list) else []
    judge.expect(
        "S256" in methods,
        "code_challenge_methods_supported does not list S256: clients from 2025-11-25 on stop here.",
        answer,
        fix='Publish "code_challenge_methods_supported": ["S256"].',
    )
    judge.advise(
        "plain" not in methods, "code_challenge_methods_supported lists plain.", answer, fix="Offer S256 alone."
    )


@requirement("ASM-04")
def test_document_has_what_a_code_flow_needs(target: Target, judge: Judge) -> None:
    said, answer = document(target)
    judge.expect(
        answer.media_type == "application/json",
        f"The metadata are {answer.media_type or 'of no type'}, where application/json is due.",
        answer,
        fix="Send Content-Type: application/json.",
    )
    missing = [name for name in REQUIRED if not said.get(name)]
    judge.expect(
        not missing, f"The metadata lack {', '.join(missing)}.", answer, fix="Publish what RFC 8414 §2 requires."
    )
    types = said.get("response_types_supported")
    judge.expect(
        isinstance(types, list) and "code" in types,
        f"response_types_supported is {types!r}, without code.",
        answer,
        fix='Publish "response_types_supported": ["code"].',
    )
    for name in ENDPOINTS:
        value = said.get(name)
        if value is not None:
            judge.expect(
                _secure(value),
                f"{name} is {value!r}, which is no https URL.",
                answer,
                fix="Publish absolute https URLs (http on loopback alone).",
            )
    methods = said.get("token_endpoint_auth_methods_supported")
    judge.advise(
        isinstance(methods, list) and "none" in methods,
        "token_endpoint_auth_methods_supported does not list none: public clients, which MCP clients "
        "are, may stop here.",
        answer,
        fix='Add "none".',
    )


def _secure(value: object) -> bool:
    parts = split(value) if isinstance(value, str) else None
    return (
        parts is not None
        and bool(parts.netloc)
        and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or "")))
    )


@requirement("ASM-14")
def test_clients_of_2025_03_26_find_an_issuer_at_the_origin(target: Target, judge: Judge, revision: str) -> None:
    answer = target.get(f"{target.origin}/.well-known/oauth-authorization-server", [("MCP-Protocol-Version", revision)])
    said = answer.json()
    if not answer.ok or not isinstance(said, dict):
        judge.inform(
            False,
            "There are no authorization server metadata at the origin of the MCP URL: clients of "
            "2025-03-26 cannot log in. That is a decision to write down.",
            answer,
            fix="Serve them there if such clients matter, by a facade of your own.",
        )
        return
    judge.expect(
        said.get("issuer") == target.origin,
        f"The metadata at the origin say issuer {said.get('issuer')!r}, where {target.origin!r} is due.",
        answer,
        fix="Publish metadata at the origin only for an issuer that is this origin.",
    )
    missing = [name for name in REQUIRED if not said.get(name)]
    judge.expect(
        not missing,
        f"The metadata at the origin lack {', '.join(missing)}.",
        answer,
        fix="Publish what RFC 8414 §2 requires.",
    )
