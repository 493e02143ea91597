"""EXT: what optional extensions ask of a server that says it has them (ext-auth)."""

from __future__ import annotations

import pytest

from . import battery
from .challenges import parse
from .control import Control
from .plugin import Judge
from .requirements import requirement
from .target import Target
from .test_issuer import document
from .verdicts import needs_success, refused
from .wire import strings


@requirement("EXT-CC-01")
def test_machines_have_a_way_to_say_who_they_are(target: Target, judge: Judge) -> None:
    said, answer = document(target)
    if "client_credentials" not in strings(said.get("grant_types_supported")):
        pytest.skip("The authorization server does not offer client credentials.")
    methods = strings(said.get("token_endpoint_auth_methods_supported")) or ["client_secret_basic"]
    judge.expect(
        bool({"private_key_jwt", "client_secret_basic"} & set(methods)),
        "Client credentials are offered with neither private_key_jwt nor client_secret_basic.",
        answer,
        fix="List one of them in token_endpoint_auth_methods_supported.",
    )


@requirement("EXT-CC-01")
@pytest.mark.parametrize("how", ["another server", "the client"])
def test_token_of_a_machine_is_judged_like_others(target: Target, judge: Judge, control: Control, how: str) -> None:
    needs_success(target, target.usual)
    claims = {"aud": "https://elsewhere.test/mcp" if how == "another server" else control.client}
    answer = target.caller(target.usual, control.token(None, claims=claims)).start()
    refused(
        judge, answer, f"A machine's token whose audience is {how}", "Validate the tokens of machines as all others."
    )


def offers_proofs(target: Target) -> bool:
    """Whether the target speaks of DPoP or of certificates, in its challenge or its metadata."""
    schemes = {each.scheme.lower() for each in parse(target.found.refusal.all("www-authenticate"))[0]}
    said = target.found.metadata()
    names = (
        "dpop_signing_alg_values_supported",
        "dpop_bound_access_tokens_required",
        "tls_client_certificate_bound_access_tokens",
    )
    return "dpop" in schemes or any(said.get(name) for name in names)


@requirement("EXT-DPOP-02")
@pytest.mark.parametrize("how", ["jkt", "x5t#S256", "unknown"])
def test_token_bound_to_a_key_is_no_bearer_token(
    target: Target, judge: Judge, revision: str, control: Control, how: str
) -> None:
    if not offers_proofs(target):
        # RFC 9449 §7.2 lets a server that has never heard of DPoP take a bound token for a plain one.
        judge.soften("informed")
    needs_success(target, revision)
    bound = {how: "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}
    answer = target.caller(revision, battery.claims(cnf=bound)(control)).start()
    refused(
        judge,
        answer,
        f"A token that is bound to a key ({how}), sent without proof,",
        "Refuse tokens with cnf, unless the proof is there and checked (RFC 9449 §7.2).",
    )
