"""The issuer that the resource names: whether clients find its metadata, and whether it offers what they demand."""

from __future__ import annotations

import asyncio
from typing import Any

from conformance.login import discovery_urls
from conformance.wire import Answer
from deploy.doctor.asking import NoSuchName, NotAsked
from deploy.doctor.findings import quoted
from deploy.doctor.metadata import MAX_ISSUERS, PAGE, named_issuers, no_issuer
from deploy.doctor.visit import Visit

ENDPOINTS = ("authorization_endpoint", "token_endpoint")
REGISTRATION = "registration_endpoint"
DOCUMENTS = "client_id_metadata_document_supported"
OTHERS = (REGISTRATION, "revocation_endpoint", "jwks_uri")
PUBLIC_URL = "Set the public URL of the issuer (Keycloak: KC_HOSTNAME and KC_PROXY_HEADERS=xforwarded)."
FACADE = "Or switch on facade: the gate is then the issuer that clients see, and does this (docs/facade.md)."


async def ask_issuers(visit: Visit) -> None:
    """Look for the metadata of each issuer at every place, as clients do, and judge it; the first is what they take."""
    named = named_issuers(visit)
    if not named or not isinstance(named[0], str):
        visit.findings.skip("the issuer", "metadata of the resource that begins with one")
    elif why := no_issuer(visit, named[0]):
        visit.findings.skip(f"the issuer {quoted(named[0])}", f"an https URL that may be asked ({why})")
    for place, issuer in enumerate(named[:MAX_ISSUERS]):
        if no_issuer(visit, issuer):
            continue  # said already
        visit.findings.about = quoted(issuer) if place else ""
        said = await _ask(visit, issuer)
        visit.issuer = visit.issuer if place else said
    visit.findings.about = ""
    if len(named) > MAX_ISSUERS:
        visit.findings.skip(f"the issuers after the first {MAX_ISSUERS}", "metadata that names fewer")


async def _ask(visit: Visit, issuer: str) -> dict[str, Any]:
    """One issuer's metadata, judged; empty without, or where its endpoints cannot be looked at."""
    urls = discovery_urls(issuer)
    answers = dict(zip(urls, await asyncio.gather(*(visit.get(url) for url in urls)), strict=True))
    found = {url: answer for url, answer in answers.items() if answer.status == 200 and isinstance(answer.json(), dict)}
    if not found:
        _nowhere(visit, issuer, answers)
        return {}
    url, answer = next(iter(found.items()))
    said: dict[str, Any] = answer.json()
    _places(visit, issuer, urls, found)
    _name(visit, issuer, url, said)
    _offers(visit, url, said)
    tested = await _look(visit, said)
    _clients(visit, url, said)
    await _cors(visit, url)
    return said if tested else {}


def _nowhere(visit: Visit, issuer: str, answers: dict[str, Answer]) -> None:
    """No metadata anywhere: why, place by place."""
    said = "; ".join(f"{url}: {answer.said()}" for url, answer in answers.items())
    if all(answer.note.startswith("not asked") for answer in answers.values()):
        visit.findings.skip(f"the issuer {quoted(issuer)}", "a public address, or a server in the same network")
    elif not any(answer.status for answer in answers.values()):
        visit.findings.add(
            "issuer-unreachable",
            f"The issuer {quoted(issuer)} does not answer ({said}).",
            "Check issuer under issuers in the settings, and that clients, not only the gate, can reach it.",
        )
    else:
        visit.findings.add(
            "issuer-no-metadata",
            f"The issuer {quoted(issuer)} publishes no metadata where clients look ({said}).",
            "Check its spelling under issuers, path and slash included. " + FACADE,
        )


def _places(visit: Visit, issuer: str, urls: list[str], found: dict[str, Answer]) -> None:
    """Which clients find it at the places that have it."""
    visit.findings.good(f"The issuer {issuer} publishes its metadata")
    if urls[0] in found:
        return
    visit.findings.add(
        "issuer-openid-only",
        f"{urls[0]} is not there: clients of 2025-06-18 look for RFC 8414 metadata alone, later ones read OpenID's.",
        f"Let the issuer serve both. {FACADE}",
    )
    if len(urls) > 2 and urls[1] not in found:
        visit.findings.add(
            "issuer-path-inserted",
            f"The issuer has a path, and its metadata is only at {urls[2]}, the last place that clients look.",
            f"Let the issuer serve it at {urls[0]} too. {FACADE}",
        )


def _name(visit: Visit, issuer: str, url: str, metadata: dict[str, Any]) -> None:
    said = metadata.get("issuer")
    if said == issuer:
        return
    visit.findings.add(
        "issuer-mismatch",
        f"{url} says issuer {quoted(said)}, and the resource names {quoted(issuer)}: clients that compare them stop.",
        f"Set issuer under issuers to {quoted(said)}, slash and case included; if that is another server, the resource "
        "names the wrong one.",
    )


def _offers(visit: Visit, url: str, said: dict[str, Any]) -> None:
    """What a code flow needs (RFC 8414 §2, MCP Authorization Code Protection)."""
    add = visit.findings.add
    if missing := [name for name in ENDPOINTS if not isinstance(said.get(name), str)]:
        add(
            "issuer-endpoints",
            f"{url} lacks {' and '.join(missing)}.",
            f"Switch on its code flow (Cognito: a domain). {FACADE}",
        )
    for name in (*ENDPOINTS, *OTHERS):
        value = said.get(name)
        if isinstance(value, str) and (why := _insecure(visit, value)):
            add(
                "issuer-endpoint-insecure",
                f"{name} is {quoted(value)}: {why}.",
                PUBLIC_URL,
            )
    types = said.get("response_types_supported")
    if not isinstance(types, list) or "code" not in types:
        add(
            "issuer-no-code",
            f"response_types_supported is {quoted(types)}, without code.",
            f"Allow the code flow. {FACADE}",
        )
    _pkce(visit, url, said)


async def _look(visit: Visit, said: dict[str, Any]) -> bool:
    """Look for the hosts of the endpoints that a login needs; whether that could be tested for all of them.

    An issuer in a container often publishes a name, or an address, that leads nowhere outside.
    """
    needed = ENDPOINTS if said.get(DOCUMENTS) is True else (*ENDPOINTS, REGISTRATION)
    tested = True
    for name in needed:
        value = said.get(name)
        if not isinstance(value, str) or _insecure(visit, value):
            continue  # said already
        try:
            async with asyncio.timeout(visit.asker.patience):
                await visit.asker.addresses(visit.asker.permitted(value))
        except NoSuchName as why:
            kind = "issuer-registration-unreachable" if name == REGISTRATION else "issuer-endpoint-unreachable"
            visit.findings.add(kind, f"{name} is {quoted(value)}: {why}.", PUBLIC_URL)
        except (NotAsked, TimeoutError) as why:
            needs = f"a host that is found in time, and public or in the server's network ({str(why) or 'too slow'})"
            visit.findings.skip(f"{name} of the issuer, {quoted(value)}", needs)
            tested = False
    return tested


def _pkce(visit: Visit, url: str, said: dict[str, Any]) -> None:
    methods = said.get("code_challenge_methods_supported")
    if isinstance(methods, list) and "S256" in methods:
        visit.findings.good("The issuer offers PKCE with S256")
    elif methods is None:
        visit.findings.add(
            "issuer-no-s256",
            f"code_challenge_methods_supported is not in {url}: clients that follow MCP to the letter stop here.",
            f'Let the issuer publish ["S256"]. Cognito cannot, though it takes it. {FACADE}',
        )
    else:
        visit.findings.add(
            "issuer-other-pkce",
            f"code_challenge_methods_supported is {quoted(methods)} in {url}, without S256: clients stop here.",
            f'Let the issuer take S256 and publish ["S256"]. {FACADE}',
        )


def _insecure(visit: Visit, url: str) -> str:
    try:
        visit.asker.permitted(url)
    except NotAsked as why:
        return str(why)
    return ""


def _clients(visit: Visit, url: str, said: dict[str, Any]) -> None:
    """How a client may become known, and whether it learns who answered it."""
    add = visit.findings.add
    registers = isinstance(said.get(REGISTRATION), str)
    documents = said.get(DOCUMENTS) is True
    if not registers and not documents:
        add(
            "issuer-no-registration",
            f"{url} offers neither registration (RFC 7591) nor client id metadata documents: each person must register "
            "a client by hand and type its id into the client.",
            f"Switch registration on (Cognito: DcrConfiguration of the pool), or hand out a client id. {FACADE}",
        )
    else:
        ways = [*(["registration"] if registers else []), *(["metadata documents"] if documents else [])]
        visit.findings.good(f"Clients become known by {' and '.join(ways)}")
    methods = said.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    if not isinstance(methods, list) or "none" not in methods:
        add(
            "issuer-no-public-clients",
            f"token_endpoint_auth_methods_supported is {quoted(said.get('token_endpoint_auth_methods_supported'))}, "
            "without none: clients that have no secret may stop.",
            f"Let the issuer list none. {FACADE}",
        )
    if said.get("authorization_response_iss_parameter_supported") is not True:
        add(
            "issuer-no-iss",
            "The issuer does not say that it returns iss: a client of several issuers cannot tell which one answered.",
            f"Let the issuer return iss and say so. {FACADE}",
        )


async def _cors(visit: Visit, url: str) -> None:
    answer = await visit.get(url, ("Origin", PAGE))
    if answer.header("access-control-allow-origin") not in ("*", PAGE):
        visit.findings.add(
            "issuer-cors",
            f"Pages cannot read {url}: clients in browsers cannot log in by themselves.",
            f"Let the issuer send Access-Control-Allow-Origin: * with its metadata and at its token endpoint. {FACADE}",
        )
