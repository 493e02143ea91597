"""A Lambda authorizer that looks at tokens before the function does: `deploy.authorizer.handler`.

It is a REQUEST authorizer for REST APIs (and HTTP APIs with payload 1.0), which takes a policy, and for HTTP APIs with
simple responses. Verifier and policy are those of the gate, from the same settings, without its secrets. What depends
on the body of a request is left to the gate behind it, which verifies every token once more.

`AUTHORIZER_CACHE_SECONDS` says how long API Gateway remembers an answer: a token with less time left is refused, so
that no answer outlives its token. `AUTHORIZER_RAISES=off` denies over an HTTP API where others raise.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from deploy.aws_lambda import landed, let_copies_serve, log_as_json, seconds_left, without_stage
from deploy.output import CannotWrite, audit_writer
from deploy.stack_values import function_values
from gateway.app import Gate, build
from gateway.authenticate import authenticate
from gateway.errors import DeniedByPolicy, ExpiredToken, InsufficientScope, KeysUnavailable, MissingToken, Refusal
from gateway.paths import ByPath
from gateway.principal import Principal
from gateway.settings import Settings
from gateway.sources import SettingsError, parse

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from discovery.fetch import Fetch
    from gateway.audit import Write

Event = dict[str, Any]
MAX_CACHE = 3600  # seconds, as API Gateway has it
SECRETS = ("facade", "seal_keys", "seal_keys_file", "identity_key_file")
BEHIND = ("upstream", "command")


class Unauthorized(Exception):
    """Makes API Gateway answer 401: its text is what is looked for, to the letter."""

    def __init__(self) -> None:
        super().__init__("Unauthorized")


class KeysMissing(Exception):
    """The issuer's keys cannot be had, so nothing can be said of a token: API Gateway answers 500."""


class Authorizer:
    """Says of the token of a request whether it may go on; `raises` is whether an HTTP API understands Unauthorized."""

    def __init__(
        self,
        settings: Settings,
        *,
        cache_seconds: int = 0,
        raises: bool = True,
        audit: Write | None = None,
        fetch: Fetch | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._paths = frozenset(resource.path for resource in settings.resources)
        gate = build(settings, dict.fromkeys(self._paths, nothing), audit=audit, fetch=fetch, now=now)
        let_copies_serve(gate)
        self._gates: ByPath[Gate] = ByPath(
            gate.state.gates, [resource.path for resource in settings.resources if resource.subpaths]
        )
        self._cache_seconds = cache_seconds
        self._raises = raises
        self._loop = asyncio.new_event_loop()

    def __call__(self, event: Event, context: object) -> Event:
        """The answer in the form that the kind of API takes.

        Raises:
            Unauthorized: there is no token, or it is worth nothing here.
            KeysMissing: it cannot be verified now.
        """
        try:
            return self._loop.run_until_complete(self.answer(event))
        finally:
            self._loop.run_until_complete(landed(seconds_left(context)))

    def close(self) -> None:
        """Stop what is under way before the process ends."""
        if self._loop.is_closed():
            return
        self._loop.run_until_complete(stop_the_others())
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    async def answer(self, event: Event) -> Event:
        """As a call does."""
        simple = event.get("version") == "2.0"
        gate = self.gate(event)
        if gate is None:
            return denied(simple)
        method = str(event.get("httpMethod") or event.get("requestContext", {}).get("http", {}).get("method", ""))
        principal: Principal | None = None
        try:
            principal = await self.principal(gate, event)
            gate.policy.check_rules(principal, ())
        except KeysUnavailable as refusal:
            gate.audit.refused(refusal, method)
            raise KeysMissing("the issuer's keys cannot be had; the audit log says why") from None
        except (InsufficientScope, DeniedByPolicy) as refusal:
            gate.audit.refused(refusal, method, principal)
            return denied(simple)
        except Refusal as refusal:
            gate.audit.refused(refusal, method)
            if simple and not self._raises:
                return denied(simple)
            raise Unauthorized from None
        return allowed(principal, simple)

    def gate(self, event: Event) -> Gate | None:
        """The gate of the resource that is asked for, if there is one."""
        stage = event.get("requestContext", {}).get("stage", "")
        path = without_stage(str(event.get("rawPath") or event.get("path", "")), stage, self._paths)
        return self._gates.at(path) or self._gates.below(path)

    async def principal(self, gate: Gate, event: Event) -> Principal:
        """Who the token speaks for. Only its own header is looked at: the rest is the gate's to refuse.

        Raises:
            Refusal: as the gate refuses; a token is expired, too, that an answer in the cache would outlive.
        """
        fields = [(b"authorization", value.encode()) for value in authorizations(event)]
        principal = await authenticate(gate.verifier, dict(fields), fields, b"")
        left = principal.expires_at - gate.now()
        if self._cache_seconds and left < self._cache_seconds:
            raise ExpiredToken(f"it expires in {left:.0f} s, before the answer in the authorizer's cache does")
        return principal


async def stop_the_others() -> None:
    """Cancel every other task of this loop, and wait until they have ended."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


async def nothing(_scope: Scope, _receive: Receive, _send: Send) -> None:
    """What stands behind the gate here: no request gets so far."""
    raise MissingToken("an authorizer passes nothing on")


def authorizations(event: Event) -> list[str]:
    """Every value of the Authorization header; an HTTP API has joined them."""
    several = event.get("multiValueHeaders") or {}
    found = [value for name, values in several.items() if name.lower() == "authorization" for value in values]
    headers = event.get("headers") or {}
    return found or [value for name, value in headers.items() if name.lower() == "authorization"]


def allowed(principal: Principal, simple: bool) -> Event:
    """A token that is good, and what the function behind may read of it: strings, as API Gateway asks."""
    context = {
        "issuer": principal.issuer,
        "subject": principal.subject,
        "client": principal.client_id,
        "scopes": " ".join(sorted(principal.scopes)),
    }
    if simple:
        return {"isAuthorized": True, "context": context}
    return {"principalId": principal.subject, "policyDocument": policy("Allow"), "context": context}


def denied(simple: bool) -> Event:
    """A good token that lacks a scope, or a path where nothing is: 403."""
    return {"isAuthorized": False} if simple else {"principalId": "denied", "policyDocument": policy("Deny")}


def policy(effect: str) -> Event:
    """For every method and path: a narrower one would be remembered for the token, and be wrong for the next path."""
    statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": "*"}
    return {"Version": "2012-10-17", "Statement": [statement]}


def authorizer(environment: Mapping[str, str], file: str | None = None) -> Authorizer:
    """The authorizer of these settings.

    Raises:
        SettingsError: they cannot be used, with every problem.
        CannotWrite: the audit log cannot be opened.
    """
    values, problems = function_values(environment, file)
    seconds = cache_seconds(environment.get("AUTHORIZER_CACHE_SECONDS", "0"), problems)
    raises = environment.get("AUTHORIZER_RAISES", "on")
    if raises not in ("on", "off"):
        problems.append("AUTHORIZER_RAISES: must be on or off")
    settings = parse(without_secrets(values), problems)
    if seconds and len(settings.resources) > 1:
        raise SettingsError(["AUTHORIZER_CACHE_SECONDS: must be 0 with several resources, for a token has one answer"])
    return Authorizer(settings, cache_seconds=seconds, raises=raises == "on", audit=audit_writer(settings.audit_log))


def cache_seconds(text: str, problems: list[str]) -> int:
    """How long an answer is remembered."""
    if text.isascii() and text.isdigit() and int(text) <= MAX_CACHE:
        return int(text)
    problems.append(f"AUTHORIZER_CACHE_SECONDS: must be whole seconds from 0 to {MAX_CACHE}, those of the authorizer")
    return 0


def without_secrets(values: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of the gate without what only it needs: an authorizer's role can read no secret."""
    kept = {key: value for key, value in values.items() if key not in SECRETS}
    if isinstance(resources := values.get("resources"), list):
        kept["resources"] = [
            {key: value for key, value in one.items() if key not in BEHIND} if isinstance(one, dict) else one
            for one in resources
        ]
    return kept


def __getattr__(name: str) -> Authorizer:
    """`handler`, made when the runtime asks for it: importing this module starts nothing."""
    if name != "handler":
        raise AttributeError(name)
    log_as_json()
    try:
        made = authorizer(os.environ)
    except (SettingsError, CannotWrite) as error:
        sys.exit("\n".join(f"bearergate: {line}" for line in str(error).splitlines()))
    atexit.register(made.close)
    globals()["handler"] = made
    return made
