"""Reads the challenge of a refusal by the letter of RFC 6750, with nothing borrowed from what is tested."""

from __future__ import annotations

import re

import httpx

PARAMETER = re.compile(r'([a-z_]+)="([\x20\x21\x23-\x5B\x5D-\x7E]*)"')  # RFC 6750 §3: no quote, backslash or control
SCOPE = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+( [\x21\x23-\x5B\x5D-\x7E]+)*")


def challenge(answer: httpx.Response) -> dict[str, str]:
    """The parameters of the only challenge, which is a well-formed Bearer one (RFC 6750 §3, RFC 9110 §11.6.1)."""
    (field,) = answer.headers.get_list("www-authenticate")
    scheme, _, rest = field.partition(" ")
    assert scheme.lower() == "bearer", field
    said = PARAMETER.findall(rest)
    assert said, "a challenge that says nothing"
    assert rest == ", ".join(f'{name}="{value}"' for name, value in said), "not only parameters in quotes"
    names = [name for name, _ in said]
    assert len(names) == len(set(names)), "a parameter is there twice"
    parameters = dict(said)
    if "scope" in parameters:
        assert SCOPE.fullmatch(parameters["scope"]), "scopes are words with one blank between them"
    return parameters


def refused_token(answer: httpx.Response) -> None:
    """A 401 that says the token is no good (RFC 6750 §3.1)."""
    assert answer.status_code == 401, f"{answer.status_code}: {answer.text}"
    assert challenge(answer)["error"] == "invalid_token"
    assert answer.headers["cache-control"] == "no-store"


def told_to_log_in(answer: httpx.Response) -> None:
    """The plain 401 of somebody who sent no credentials: nothing is said about any (RFC 6750 §3.1)."""
    assert answer.status_code == 401, f"{answer.status_code}: {answer.text}"
    assert not {"error", "error_description", "error_uri"} & challenge(answer).keys()


def lacks_scope(answer: httpx.Response) -> set[str]:
    """The scopes that a 403 asks for (RFC 6750 §3.1)."""
    assert answer.status_code == 403, f"{answer.status_code}: {answer.text}"
    said = challenge(answer)
    assert said["error"] == "insufficient_scope"
    return set(said["scope"].split(" "))
