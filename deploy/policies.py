"""Tries the policy out: `bearergate policy test` judges one call as the gate would, and says by which rules."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploy.ending import Add, one_sentence

if TYPE_CHECKING:
    from gateway.app import Gate
    from gateway.errors import Refusal
    from gateway.operation import Operation
    from gateway.principal import Principal
    from gateway.settings import ResourceSettings, Settings

ALLOWED, REFUSED, UNDECIDED = 0, 1, 2  # exit statuses
HTTP = ("GET", "DELETE")  # methods without a message
CALLS = ("tools/call", "prompts/get")
READS = ("resources/read", "resources/subscribe", "resources/unsubscribe")


class CannotTry(Exception):
    """The call cannot be judged as it is given; the text says what to give."""


def add(command: Add) -> None:
    """Put the verb on a command line."""
    parser = command(policy)
    say = parser.add_argument
    say("verb", choices=["test"], help="exit status 0 if it would pass, 1 if not, 2 if that cannot be told")
    say("token", metavar="TOKEN", help="the access token; - is standard input. With --claims, a file of claims")
    say("method", metavar="METHOD", help="of MCP, such as tools/call; or GET or DELETE")
    say("name", nargs="?", metavar="NAME", help="the tool or prompt, or the URI of the resource")
    say("arguments", nargs="?", metavar="ARGS", help="the arguments as JSON ({})")
    say("--claims", action="store_true", help="take claims, as JSON, in place of a token; nothing of them is verified")
    say("--resource", metavar="PATH", help="the path of the resource, where there are several")
    say("--revision", default="", metavar="DATE", help="the revision of the protocol that the call says")
    say("-f", "--file", type=Path, help="settings file; bearergate.yaml if it is there")


def policy(said: Namespace) -> None:
    """Say whether a call would pass: policy test TOKEN METHOD NAME [ARGS]"""
    from deploy.assembly import assemble
    from gateway.sources import load

    with one_sentence(CannotTry, status=UNDECIDED):
        settings = assemble(load(said.file, os.environ)).settings
        resource = resource_of(settings, said.resource)
        given = text_of(said.token, claims=said.claims)
        body = message(said.method, said.name, said.arguments)
        status = asyncio.run(judged(settings, resource, said, given, body))
    raise SystemExit(status)


def resource_of(settings: Settings, path: str | None) -> ResourceSettings:
    """The resource that is meant."""
    named = {resource.path: resource for resource in settings.resources}
    if path is None and len(named) == 1:
        return settings.resources[0]
    if path in named:
        return named[path]
    raise CannotTry(f"Name the resource with --resource: {', '.join(named)}")


def text_of(token: str, *, claims: bool) -> str:
    """The token, or the text of a file of claims; `-` is standard input."""
    try:
        if token == "-":  # noqa: S105 - that is no secret
            return sys.stdin.read().strip()
        return Path(token).read_text("utf-8") if claims else token.strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "no UTF-8"
        raise CannotTry(f"The file of claims cannot be read ({reason}): name one that holds JSON") from None


def message(method: str, name: str | None, arguments: str | None) -> bytes | None:
    """The body of such a request; None where its method of HTTP has none."""
    if method in HTTP:
        return None
    named = method in (*CALLS, *READS, "completion/complete")
    if named != (name is not None) and method != "subscriptions/listen":
        raise CannotTry(f"{method} {'needs a NAME: what it is about' if named else 'takes no NAME: leave it out'}")
    if arguments is not None and method not in CALLS:
        raise CannotTry(f"{method} takes no ARGS: leave them out")
    params = json.dumps(params_of(method, name or ""))
    if method in CALLS:  # as they are written, since that is what is judged
        params = f'{params[:-1]}, "arguments": {checked(arguments)}}}'
    return f'{{"jsonrpc": "2.0", "id": 1, "method": {json.dumps(method)}, "params": {params}}}'.encode()


def params_of(method: str, name: str) -> dict[str, Any]:
    """The parameters that name what a method is about."""
    if method in CALLS:
        return {"name": name}
    if method in READS:
        return {"uri": name}
    if method == "completion/complete":
        return {"ref": {"type": "ref/resource", "uri": name} if ":" in name else {"type": "ref/prompt", "name": name}}
    return {"notifications": {"resourceSubscriptions": [name]}} if name else {}


def checked(arguments: str | None) -> str:
    """Arguments that are a JSON object."""
    try:
        if isinstance(json.loads(arguments or "{}"), dict):
            return arguments or "{}"
    except (ValueError, RecursionError):
        pass
    raise CannotTry("ARGS must be one JSON object, such as '{\"amount\": 5}'")


async def judged(
    settings: Settings, resource: ResourceSettings, said: Namespace, given: str, body: bytes | None
) -> int:
    """Judge the call as the gate of the resource does, and print how; the exit status."""
    from gateway.app import Gate
    from gateway.errors import KeysUnavailable, Refusal
    from gateway.issuers import TrustedIssuers
    from gateway.operation import operations

    issuers = TrustedIssuers(settings)
    gate = Gate(nothing, settings, resource, issuers, audit=None, now=time.time)
    principal: Principal | None = None
    asked: list[Operation] = []
    method = said.method if body is None else "POST"
    refusal: Refusal | None = None
    try:
        principal = from_claims(gate, given) if said.claims else await from_token(gate, given)
        asked = [] if body is None else operations(body)
        trial = gate.policy.check(principal, asked, method, said.revision.encode())
    except KeysUnavailable as error:
        raise CannotTry(f"The token cannot be verified: {error}") from None
    except Refusal as error:
        refusal, trial = error, None
    finally:
        await issuers.close()
    print(f"refused  {refusal.reason}: {refusal}" if refusal else "allowed")
    if trial is not None:
        print(f"  on trial    would be refused: {trial}")
    if principal is not None:
        print("\n".join(reasons(gate, principal, asked, method, said.revision)))
    if refusal is not None:
        print(f"  answer      {refusal.status} {refusal.description}")
    return REFUSED if refusal else ALLOWED


async def nothing(*_: object) -> None:
    """What stands behind a gate that lets nothing through."""


async def from_token(gate: Gate, token: str) -> Principal:
    """The principal of a token that the gate would take."""
    from gateway.authenticate import bearer_token

    return await gate.verifier.verify(bearer_token(token.encode()))


def from_claims(gate: Gate, text: str) -> Principal:
    """The principal that a token with these claims would speak for."""
    try:
        claims = json.loads(text)
    except (ValueError, RecursionError):
        claims = None
    if not isinstance(claims, dict):
        raise CannotTry("The claims must be one JSON object, as in a token's payload")
    known = gate.verifier.issuers
    if claims.get("iss") not in known:
        raise CannotTry(f"The claims need an iss that this resource trusts: {', '.join(known)}")
    return gate.verifier.principal({"exp": time.time() + 3600, **claims}, known[claims["iss"]])


def reasons(gate: Gate, principal: Principal, asked: list[Operation], method: str, revision: str) -> Iterator[str]:
    """Who asks, which scopes it needs, and what each policy that decides says."""
    kind = "machine" if principal.is_client else "person"
    yield f"  principal   {kind} {principal.subject!a} of {principal.issuer}"
    targets = [target for operation in asked for target in operation.targets]
    needed = gate.policy.scopes.union(*(gate.policy.needs(target).scopes for target in targets))
    yield f"  needs       {' '.join(sorted(needed)) or 'no scope'}"
    yield f"  has         {' '.join(sorted(principal.scopes)) or 'no scope'}"
    for target in targets:
        for rule in gate.policy.needs(target).rules:
            wanted = [*rule.groups, *(f"{name}={value}" for name, value in rule.claims.items())]
            yield f"  rule        {target.kind} {target.name[:100]!a} is for {', '.join(wanted)}"
    if gate.policy.cedar is not None:
        for verdict in gate.policy.cedar.judge(principal, asked, method, revision):
            yield f"  policies    {verdict}"
