"""The resource's metadata: whether a client gets it at every place it looks, and whether it is about this URL."""

from __future__ import annotations

import asyncio
from typing import Any

from conformance.wire import Answer
from deploy.doctor.asking import NotAsked
from deploy.doctor.findings import quoted
from deploy.doctor.refusal import documents, stage_of
from deploy.doctor.visit import Visit
from discovery.location import InvalidLocation, Location

MAX_ISSUERS = 5  # that are looked at
PAGE = "https://inspector.example"  # an origin that nobody has listed: these documents are for every page


async def read_metadata(visit: Visit) -> None:
    """Fetch the document at every place, as clients do, and judge the one that a client would use."""
    named = visit.challenge.get("resource_metadata") if visit.challenge else None
    places = {**({"challenge": named} if named else {}), **documents(visit)}
    answers = dict(zip(places, await asyncio.gather(*(visit.get(url) for url in places.values())), strict=True))
    if _at_stage(visit, answers):
        return
    found = {place: answer for place, answer in answers.items() if _usable(visit, place, answer, answers)}
    if not found:
        await _missing(visit)
        return
    _same_bytes(visit, found)
    used = next(iter(found.values()))
    visit.metadata = used.json()
    _resource(visit, used)
    _issuers(visit, used)
    _scopes(visit)
    await _cors(visit, used.url)


def _at_stage(visit: Visit, answers: dict[str, Answer]) -> bool:
    """Whether the well-known places are out of reach, because the first segment of a path selects a stage."""
    stage = stage_of(visit)
    if not stage or not all(_of_gateway(answer) for answer in answers.values()):
        return False
    visit.findings.add(
        "stage-unreachable",
        f"Clients look at {answers['path'].url} ({answers['path'].said()}), and API Gateway takes /.well-known for the "
        f"name of a stage, as {stage} is: nothing can be served there.",
        visit.at("documents", "Give the API a domain of its own (DomainName in template.yaml), mapped at its root."),
    )
    return True


def _usable(visit: Visit, place: str, answer: Answer, answers: dict[str, Answer]) -> bool:
    """Whether a client can use what is at a place; what is wrong there is noted, once for each URL."""
    if answer.note.startswith("not asked"):
        if place == "challenge" and not visit.findings.has("challenge-metadata-http", "challenge-metadata-relative"):
            visit.findings.add(
                "metadata-unreachable",
                f"{answer.url} is {answer.note}: clients elsewhere do not get there, and some look nowhere else.",
                visit.at("https", f"Set public_url to {visit.home.origin} (PublicUrl of template.yaml)."),
            )
        visit.findings.skip(f"the metadata at {answer.url}", f"an address that may be asked ({answer.note})")
        return False
    problem = _problem(visit, answer)
    if problem is None:
        return True
    finding, what, change = problem
    if place != "challenge" and any(each.url == answer.url for at, each in answers.items() if at == "challenge"):
        return finding == "metadata-type"  # said of the same URL already
    if place != "challenge":
        finding = {"path": "well-known-wrong", "root": "root-wrong"}[place if len(answers) > 1 else "path"]
    visit.findings.add(finding, f"{answer.url} {what}", visit.at("documents", change))
    return problem[0] == "metadata-type"  # most clients read it nevertheless


def _problem(visit: Visit, answer: Answer) -> tuple[str, str, str] | None:
    serve = "Let this address lead to the gate, which serves the document to everybody as application/json."
    if not answer.status:
        return "metadata-unreachable", f"does not answer: {answer.note}.", serve
    if 300 <= answer.status < 400:
        to = quoted(answer.header("location"))
        return "metadata-redirected", f"redirects to {to}, and metadata is not followed there.", serve
    if answer.status != 200:
        return "metadata-unreachable", f"is answered {answer.status}{_by_whom(visit, answer)}, where 200 is due.", serve
    if answer.media_type in ("text/html", "application/xhtml+xml"):
        change = f"{serve} A page for every path (single-page app, catch-all route) stands before it."
        return "metadata-page", "is a web page, where JSON is due.", change
    if not isinstance(answer.json(), dict):
        return "metadata-not-json", f"is no JSON object: it begins {quoted(answer.text[:40])}.", serve
    if answer.media_type != "application/json":
        said = quoted(answer.media_type) if answer.media_type else "no media type"
        return "metadata-type", f"is served with {said}, where application/json is due.", serve
    return None


def _by_whom(visit: Visit, answer: Answer) -> str:
    """Who it was that answered, where it shows."""
    if _of_gateway(answer):
        return f" by {visit.front.name if visit.front else 'a gateway'} itself ({quoted(answer.json()['message'])})"
    return ""


def _of_gateway(answer: Answer) -> bool:
    said = answer.json()
    return isinstance(said, dict) and set(said) == {"message"}


async def _missing(visit: Visit) -> None:
    """No document anywhere; what is left is how clients of 2025-03-26 find an issuer."""
    legacy = f"{visit.home.origin}/.well-known/oauth-authorization-server"
    answer = await visit.get(legacy)
    change = visit.at("documents", "Pass /.well-known/oauth-protected-resource and all below it on to the gate.")
    places = " and ".join(documents(visit).values())
    if answer.status == 200 and isinstance(said := answer.json(), dict):
        visit.metadata = {"authorization_servers": [said.get("issuer")]}
        visit.findings.add(
            "metadata-legacy",
            f"There is no usable metadata of the resource at {places}, only an issuer's at {legacy}: clients log in "
            "as of 2025-03-26, and their tokens name no resource.",
            change,
        )
        return
    visit.findings.add(
        "metadata-missing",
        f"There is no usable metadata, neither where the challenge leads nor at {places}: no client finds the issuer.",
        change,
    )


def _same_bytes(visit: Visit, found: dict[str, Answer]) -> None:
    first, second = found.get("challenge"), found.get("path")
    if first is None or second is None or first.url == second.url:
        return
    if first.body != second.body:
        visit.findings.add(
            "metadata-differs",
            f"{first.url} and {second.url} answer different bytes: it depends on the client which it reads.",
            "Let both lead to the same process; a cache or a second deployment stands between. Purge /.well-known/*.",
        )


def _resource(visit: Visit, answer: Answer) -> None:
    """Whether the document is about the URL that clients call."""
    said = visit.metadata.get("resource")
    if not isinstance(said, str) or not said:
        visit.findings.add(
            "resource-missing",
            f"resource is {quoted(said)} in {answer.url}, where a URL is due.",
            f'Publish "resource": "{visit.url}".',
        )
    elif said == visit.url:
        visit.findings.good("The metadata is about this very URL")
    else:
        finding, why, change = _difference(visit, said)
        visit.findings.add(
            finding,
            f"resource is {quoted(said)}, and {quoted(visit.url)} was asked: {why}.",
            change,
        )


def _difference(visit: Visit, said: str) -> tuple[str, str, str]:
    """In what a resource differs from the URL: the id, in words, and what to change."""
    public, home = f"Set public_url to {visit.home.origin} (PublicUrl of template.yaml)", visit.home
    instead = f"or give clients the URL {quoted(said)}."
    if said.removesuffix("/") == visit.url.removesuffix("/"):
        return "resource-slash", "they differ in the slash at the end", f"Leave the slash out in both, {instead}"
    try:
        named = Location.of(said)
    except InvalidLocation as why:
        if said.lower().startswith("http://"):
            return "resource-scheme", "it is plain http", visit.at("https", f"{public}.")
        return "resource-path", str(why), f"{public}, and path under resources to {home.path or '/'}."
    if named.host != home.host:
        return "resource-host", "another host", visit.at("https", f"{public}, {instead}")
    if named.scheme != home.scheme:
        return "resource-scheme", "another scheme", visit.at("https", f"{public}.")
    if named.effective_port != home.effective_port:
        return "resource-port", "another port", f"{public}: with the port that clients use, not the one behind."
    if named.query is not None:
        return "resource-path", "it has a query", f"Set path under resources to {home.path or '/'}, {instead}"
    if named.path == home.path:
        return "resource-spelling", "they differ in case or in a port that goes without saying", f"{public}."
    return _other_path(home.path, named.path.removesuffix("/"), instead)


def _other_path(called: str, named: str, instead: str) -> tuple[str, str, str]:
    if f"{called}/".startswith(f"{named}/"):
        change = f"Set path under resources to {called}, so that the metadata names it."
        return "resource-parent", "only what is above it, so strict clients turn it down", change
    if called.endswith(named):
        prefix = called.removesuffix(named)
        return (
            "resource-stage",
            f"it lacks {prefix}, the stage or prefix that the front puts before the path",
            (
                "At AWS, set DomainName of template.yaml (mapped at the root), or FrontDoor to http-api with its stage "
                f"$default. Behind a proxy of your own, let path under resources begin with {prefix}."
            ),
        )
    return "resource-path", "another path", f"Set path under resources to {called or '/'}, {instead}"


def _issuers(visit: Visit, answer: Answer) -> None:
    """Whether the document names issuers that a client can ask."""
    said = visit.metadata.get("authorization_servers")
    if not isinstance(said, list) or not said:
        visit.findings.add(
            "issuers-missing",
            f"authorization_servers is {quoted(said)} in {answer.url}: clients do not know where to log in.",
            "Name the issuer under issuers in the settings, or switch on facade.",
        )
        return
    for each in said[:MAX_ISSUERS]:
        wrong = no_issuer(visit, each)
        if wrong:
            visit.findings.add(
                "issuers-wrong",
                f"authorization_servers holds {quoted(each)}: {wrong}.",
                "Name the issuer as its own metadata does (issuer under issuers): no /.well-known/, no query, https.",
            )


def no_issuer(visit: Visit, said: object) -> str:
    """Why something is no issuer identifier."""
    if not isinstance(said, str):
        return "not a URL"
    try:
        location = visit.asker.permitted(said)
    except NotAsked as why:
        return str(why)
    if "/.well-known/" in location.path:
        return "that is where metadata is, not the issuer"
    return "an issuer has no query" if location.query is not None else ""


def _scopes(visit: Visit) -> None:
    if visit.scopes:
        return
    visit.findings.add(
        "scopes-unnamed",
        "Neither the challenge nor the metadata names scopes: clients then ask for all that the issuer lists, which "
        "Cognito turns down, or for none.",
        "Name what basic use needs under scopes of the resource.",
    )


async def _cors(visit: Visit, url: str) -> None:
    """Whether pages of any origin can read the document, as clients in browsers must."""
    answer = await visit.get(url, ("Origin", PAGE))
    asked = (("Access-Control-Request-Method", "GET"), ("Access-Control-Request-Headers", "mcp-protocol-version"))
    preflight = await visit.get(url, ("Origin", PAGE), *asked, method="OPTIONS")
    readable = answer.header("access-control-allow-origin") in ("*", PAGE)
    allowed = preflight.header("access-control-allow-headers").lower()
    if readable and preflight.ok and ("mcp-protocol-version" in allowed or "*" in allowed):
        visit.findings.good("Pages of any origin can read the metadata")
        return
    missing = "no Access-Control-Allow-Origin" if not readable else f"the preflight is answered {preflight.said()}"
    visit.findings.add(
        "metadata-cors",
        f"Pages cannot read {url} ({missing}): clients in browsers stop.",
        visit.at("cors", "Send Access-Control-Allow-Origin: * with it, and answer OPTIONS; the gate does both."),
    )


def named_issuers(visit: Visit) -> list[Any]:
    """The issuers that the resource names, each once; clients take the first."""
    said = visit.metadata.get("authorization_servers")
    listed = said if isinstance(said, list) else []
    return [each for place, each in enumerate(listed[: 4 * MAX_ISSUERS]) if each not in listed[:place]]
