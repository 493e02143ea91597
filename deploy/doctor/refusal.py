"""What a request without a token is answered: the 401 and the challenge that every login begins with."""

from __future__ import annotations

from conformance import revisions
from conformance.addresses import join
from conformance.challenges import bearer, lint
from conformance.wire import Answer
from deploy.doctor.connection import clocks
from deploy.doctor.findings import quoted
from deploy.doctor.fronts import HTTP_API, REST_API, SILENT, front_of
from deploy.doctor.visit import CannotExamine, Visit
from discovery.location import InvalidLocation, Location
from discovery.metadata import NAME

WELL_KNOWN = f"/.well-known/{NAME}"
RENAMED = ("x-amzn-remapped-www-authenticate", "x-original-www-authenticate", "x-www-authenticate")


async def ask_without_token(visit: Visit) -> None:
    """The first request of every client, and what it says about the way on.

    Raises:
        CannotExamine: nobody answers.
    """
    answer = await opening(visit)
    if not answer.status:
        raise CannotExamine(f"{visit.url} does not answer: {answer.note}. Check the URL, and that the server is up.")
    visit.front = front_of(visit.home.host, answer)
    clocks(visit, answer)
    if _is_401(visit, answer):
        _challenge(visit, answer)
    await _get(visit)


async def opening(
    visit: Visit, *headers: tuple[str, str], revision: str = revisions.HANDSHAKE[-1], token: str = ""
) -> Answer:
    """The answer to the first message of a revision; `headers` and the token go with it."""
    sent = revisions.opening(revision)
    fields = [*revisions.headers(revision, sent).items(), *headers]
    return await visit.asker.post(visit.url, fields, sent, token=token)


def documents(visit: Visit) -> dict[str, str]:
    """The well-known places of the resource's metadata: with its path, and at the root (RFC 9728 §3.1)."""
    path = visit.home.path.removesuffix("/")
    root = visit.home.origin + WELL_KNOWN
    return {"path": root + path, "root": root} if path else {"path": root}


def _is_401(visit: Visit, answer: Answer) -> bool:
    """Whether it is refused as it must be, and how else."""
    came = f"A POST to {visit.url} without a token is answered {answer.status}"
    if answer.status == 401:
        visit.findings.good("A request without a token is answered 401")
        return True
    if (answer.result() or {}).get("protocolVersion"):
        visit.findings.add(
            "open",
            f"{came}: nobody is asked for a token.",
            "Send clients to the gate's URL, not to the server behind it; let the server listen on 127.0.0.1 alone.",
        )
    elif 300 <= answer.status < 400:
        visit.findings.add(
            "redirected",
            f"{came}, and leads to {quoted(answer.header('location'))}: clients do not follow that with a token.",
            visit.at(
                "header",
                f"Give clients the URL it leads to, if that is the MCP endpoint (often {_other_slash(visit)}).",
            ),
        )
    else:
        change = visit.at("methods", _why_not(answer)) if answer.status == 405 else _why_not(answer)
        visit.findings.add("not-401", f"{came}: no client begins a login at that.", change)
    return False


def _other_slash(visit: Visit) -> str:
    return visit.url.removesuffix("/") if visit.url.endswith("/") else f"{visit.url}/"


def _why_not(answer: Answer) -> str:
    """What to change for a status that should be 401."""
    if answer.ok and not answer.messages():
        return "Check the path: what answers there is no MCP endpoint, but a page, a catch-all route or another API."
    if answer.status == 403:
        return (
            "Somebody before the gate refuses: an API key (ApiKey of template.yaml: offered), an authorizer without "
            "the 401 form, or a firewall; or the Host is not in allowed_hosts."
        )
    if answer.status == 429:
        return "Wait a minute, and ask again: the server limits how often it is asked."
    if answer.status == 404:
        return "Check the path: it must be that of a resource (path under resources), behind the stage if there is one."
    if answer.status in (405, 415, 406):
        return "Check credentials before methods and types, so that POST is answered 401."
    if answer.status == 421:
        return "Add the Host that arrives to allowed_hosts, or let the proxy pass the public one on."
    if answer.status >= 500:
        return "See the log of the server, and of what stands before it: the request did not reach a working gate."
    return "Answer a request without credentials with 401 and a challenge before anything else is looked at."


def _challenge(visit: Visit, answer: Answer) -> None:
    """What the challenge says, if it arrives."""
    fields = answer.all("www-authenticate")
    url = documents(visit)["path"]
    right = f'WWW-Authenticate: Bearer resource_metadata="{url}"'
    if not fields:
        _absent(visit, answer, right)
        return
    if problems := lint(fields):
        visit.findings.add(
            "challenge-malformed",
            f"The challenge breaks the grammar: {problems[0]}. It came as {quoted(fields[0])}.",
            f"Send {right}, each value in double quotes.",
        )
    visit.challenge = bearer(fields)
    if visit.challenge is None:
        if any(each.lstrip().lower().startswith("bearer") for each in fields):
            return  # it is Bearer, and malformed: that is said
        visit.findings.add(
            "challenge-not-bearer",
            f"The 401 asks for {quoted(fields[0])}, and MCP clients know Bearer alone.",
            visit.at("header", f"Send {right}."),
        )
        return
    if error := visit.challenge.get("error"):
        visit.findings.add(
            "challenge-error",
            f"The challenge names error={quoted(error)} though no token was sent: some clients then refresh for ever.",
            "Leave error out where the request has no Authorization.",
        )
    _metadata_url(visit, right)


def _absent(visit: Visit, answer: Answer, right: str) -> None:
    renamed = next((name for name in RENAMED if answer.has(name)), None)
    if renamed:
        visit.findings.add(
            "challenge-renamed",
            f"The challenge arrives as {renamed}, which no client reads. Logins work only where a client looks at the "
            "well-known places by itself, and no step-up can name its scopes.",
            visit.at("header", f"Let the front send {right}."),
        )
        return
    visit.findings.add(
        "challenge-missing",
        "The 401 has no WWW-Authenticate: clients are not told where to log in, and only some look by themselves.",
        visit.at("header", f"Send {right} with every 401; {_suspects(visit)}"),
    )


def _suspects(visit: Visit) -> str:
    if visit.front:
        return "the gate does, so the front takes it away."
    lines = "; ".join(f"{front.name}: {front.lines['header'].removesuffix('.')}" for front in SILENT)
    return f"the gate does, so look at what stands before it. {lines}."


def _metadata_url(visit: Visit, right: str) -> None:
    """Whether the challenge leads to a URL that clients may follow, and that fits the one that was asked."""
    named = visit.challenge.get("resource_metadata") if visit.challenge else None
    add, show = visit.findings.add, quoted(named)
    public = f"Set public_url to {visit.home.origin}"
    if named is None:
        add(
            "challenge-no-metadata",
            "The challenge has no resource_metadata: clients of 2025-06-18 stop, later ones must guess.",
            visit.at("header", f"Send {right}. An authorizer of API Gateway's own (JWT) cannot; use the gate's."),
        )
        return
    try:
        location = Location.of(named)
    except InvalidLocation as why:
        if named.startswith("/") or "://" not in named:
            whole = join(visit.url, named)
            add(
                "challenge-metadata-relative",
                f"resource_metadata is {show}, not a whole URL.",
                f"Send {quoted(whole)}.",
            )
        elif named.lower().startswith("http://"):
            change = visit.at("https", f"{public}: the gate builds the URL from it, never from the request.")
            add(
                "challenge-metadata-http",
                f"resource_metadata is {show}: strict clients do not follow plain http.",
                change,
            )
        else:
            add("challenge-metadata-elsewhere", f"resource_metadata is {show}: {why}.", f"{public}.")
        return
    _metadata_place(visit, location, show, public)


def _metadata_place(visit: Visit, location: Location, show: str, public: str) -> None:
    add = visit.findings.add
    stage = stage_of(visit)
    if stage and location.path == WELL_KNOWN + visit.home.path.removeprefix(stage).removesuffix("/"):
        add(
            "challenge-metadata-stage",
            f"resource_metadata is {show}, without the stage {stage} of {visit.url}.",
            "No setting puts a stage into it: set DomainName of template.yaml (mapped at the root), or FrontDoor to "
            "http-api with its stage $default.",
        )
    elif location.origin != visit.home.origin:
        add(
            "challenge-metadata-elsewhere",
            f"resource_metadata is {show}, on another origin than {visit.home.origin}: often a name from behind "
            "a proxy.",
            visit.at("https", f"{public} (PublicUrl of template.yaml)."),
        )
    else:
        visit.findings.good("The challenge arrives, and says where the metadata is")


def stage_of(visit: Visit) -> str:
    """What the URL begins with behind API Gateway, as `/prod`: the stage, unless it is the one that has no name."""
    segments = visit.home.path.split("/")
    at_gateway = visit.front in (REST_API, HTTP_API)
    return f"/{segments[1]}" if at_gateway and len(segments) > 2 else ""


async def _get(visit: Visit) -> None:
    """What a client is answered that opens the stream of the server's own messages."""
    answer = await visit.asker.ask("GET", visit.url, [("Accept", "text/event-stream")], until=lambda _: True)
    if answer.status in (401, 405) or visit.findings.has("open"):
        return
    visit.findings.add(
        "get",
        f"A GET for events without a token is answered {answer.said()}, where 401 or 405 is due: clients that open the "
        "stream take it for a fault.",
        visit.at("methods", "Pass GET and DELETE on to the gate too, at the same path."),
    )
