"""The path of every request, top to bottom: public documents and health above the gate, all else behind it.

`build` puts one gate before every resource. `Gate.__call__` is the order in which a request is judged: Host and
Origin, then the preflight, then the token, then what it asks for; the first thing that is wrong is the answer.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.audit import Audit, Counts, Decisions, Write
from gateway.authenticate import authenticate
from gateway.authz import forward_auth_routes
from gateway.body import check_length, check_single, has_body, read_body, replay
from gateway.documents import not_found, public_routes
from gateway.errors import Refusal
from gateway.issuers import TrustedIssuers
from gateway.lifespan import started
from gateway.operation import Operation, check_mirrored, operations
from gateway.origin import Origins
from gateway.paths import ByPath
from gateway.policy import Policy
from gateway.principal import Principal
from gateway.refuse import Answers
from gateway.settings import CedarSettings, ResourceSettings, Settings
from gateway.streams import EndWithToken, FilterLists, completion, lists_something, with_cors
from gateway.verified_tokens import VerifiedTokens
from gateway.verifier import Verifier

if TYPE_CHECKING:
    from discovery.fetch import Fetch
    from gateway.cedar import Cedar
    from gateway.facade.routes import Facade

LISTEN = b"subscriptions/listen"  # the request of 2026-07-28 whose answer is a stream that may wait for ever


def build(
    settings: Settings,
    apps: Mapping[str, ASGIApp],
    *,
    audit: Write | None = None,
    counts: Counts | None = None,
    fetch: Fetch | None = None,
    strangers: Fetch | None = None,
    now: Callable[[], float] = time.time,
    monotonic: Callable[[], float] = time.monotonic,
) -> Starlette:
    """The gate around MCP servers: `apps` maps each resource's path to the ASGI app that a verified request reaches.

    The app finds the caller in `request.state.principal`. `audit` takes the lines of the audit log; in `counts` the
    gate counts with what the apps refuse themselves. Tests hand in `fetch`, where metadata and keys come from,
    `strangers`, where the documents of clients do, and two clocks in seconds: the wall's and one that never goes back.

    Raises:
        ValueError: `apps` and the resources of the settings are not the same paths.
    """
    paths = {resource.path for resource in settings.resources}
    if paths != apps.keys():
        raise ValueError(f"the settings name resources at {sorted(paths)}, the apps are for {sorted(apps)}")
    counts = defaultdict(Decisions) if counts is None else counts
    issuers = TrustedIssuers(settings, fetch, monotonic)
    facade = facade_of(settings, issuers, audit=audit, counts=counts, strangers=strangers, now=now, monotonic=monotonic)
    gates = {
        resource.path: Gate(apps[resource.path], settings, resource, issuers, audit=audit, counts=counts, now=now)
        for resource in settings.resources
    }

    app = Starlette(
        routes=[
            *public_routes(settings, issuers),
            *forward_auth_routes(settings, gates),
            *(facade.routes() if facade else []),
        ],
        exception_handlers={404: not_found(settings)},
        lifespan=lambda _: started(gates, issuers, facade),
    )
    app.router.redirect_slashes = False  # it would redirect to whatever the Host header says
    app.state.gates, app.state.key_sets, app.state.counts = gates, issuers.key_sets, counts
    # Outermost: what Starlette puts around an app would wrap each of its messages for nothing.
    app.middleware_stack = Gates(app.build_middleware_stack(), gates)
    return app


def facade_of(
    settings: Settings,
    issuers: TrustedIssuers,
    *,
    audit: Write | None,
    counts: Counts,
    strangers: Fetch | None,
    now: Callable[[], float],
    monotonic: Callable[[], float],
) -> Facade | None:
    """The authorization server of these settings, if they have one; a gate without one does not load it."""
    if isinstance(settings.facade, str):
        return None
    from gateway.facade.routes import Facade  # noqa: PLC0415 - see above

    careful = None if strangers is None else lambda: strangers
    return Facade(
        settings,
        settings.facade,
        fetch=issuers.fetch,
        strangers=careful,
        write=audit,
        counts=counts,
        now=now,
        monotonic=monotonic,
    )


def cedar_of(settings: CedarSettings | None, url: str, now: Callable[[], float]) -> Cedar | None:
    """The Cedar policies of a resource, if it has any; a gate without them does not load Cedar."""
    if settings is None:
        return None
    from gateway.cedar import Cedar  # noqa: PLC0415 - see above

    return Cedar(settings, url, now)


def drain(app: Starlette) -> None:
    """End the event streams of a gate that only wait, so that a server which stops need not wait with them."""
    for gate in app.state.gates.values():
        for stream in list(gate.waiting):
            stream.end()


def flush(app: Starlette) -> None:
    """Write what the audit logs of a gate have gathered, for servers that may stop between two requests."""
    for gate in app.state.gates.values():
        gate.audit.flush()


class Gates:
    """Finds the gate a request has to pass; what has none is a public route, or nothing at all."""

    def __init__(self, app: ASGIApp, gates: Mapping[str, Gate]) -> None:
        self.app = app
        self.paths = ByPath(gates, [path for path, gate in gates.items() if gate.subpaths])

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Send a request to its gate. The path that chooses it is the one the app will see."""
        gate = None
        if scope["type"] == "http":
            gate = self.paths.at(scope["path"]) or self.paths.below(scope["path"])
        return (gate or self.app)(scope, receive, send)


class Gate:
    """One resource behind the gate: a request reaches the app with a verified principal, or is refused."""

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings,
        resource: ResourceSettings,
        issuers: TrustedIssuers,
        *,
        audit: Write | None,
        counts: Counts | None = None,
        now: Callable[[], float],
    ) -> None:
        url = settings.url_of(resource)
        self.app = app
        self.subpaths = resource.subpaths
        self.origins = Origins(settings.public_url, settings.allowed_hosts, settings.allowed_origins)
        self.policy = Policy(
            resource.scopes, resource.rules, settings.scope_hierarchy, cedar_of(resource.cedar, url, now)
        )
        self.verifier = Verifier(
            frozenset({url, *resource.aliases}),
            issuers.of(resource),
            claim_names=self.policy.claim_names,
            leeway=settings.leeway,
            cache=VerifiedTokens(settings.token_cache_size, settings.token_cache_seconds),
            now=now,
        )
        self.answers = Answers(settings, resource)
        self.audit = Audit(url, audit, now, counts)
        self.waiting: set[EndWithToken] = set()  # event streams that may wait for ever
        self.state: Mapping[str, Any] = {}  # what the app's own start-up yields
        self.max_body = settings.max_body_bytes
        self.leeway = settings.leeway
        self.now = now

    async def __call__(self, scope: Scope, receive: Receive, send: Send, app: ASGIApp | None = None) -> None:
        """Judge one request, in this order; no refusal tells more than the order allows.

        `app` answers in place of the resource's, where somebody only asks who the principal is.
        """
        # Not every server takes off the blanks around a value, as RFC 9110 §5.5 asks.
        fields = scope["headers"] = [(name, value.strip(b" \t")) for name, value in scope["headers"]]
        headers = dict(fields)
        origin = headers.get(b"origin")
        principal: Principal | None = None
        refused: Refusal | None = None  # answered after the `try`, as compiled code must not wait in an `except`
        trial: Refusal | None = None
        asked: list[Operation] = []
        try:
            self.origins.check_host(headers.get(b"host"))  # 421
            if origin is not None:
                self.origins.check_origin(origin)  # 403
                if scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
                    await self.answers.preflight(origin, headers, send)
                    return
                send = with_cors(send, origin)
            principal = await authenticate(self.verifier, headers, fields, scope["query_string"])  # 401, 400, 503
            if len(headers) != len(fields):
                check_single(fields)  # 400
            check_length(headers, self.max_body)  # 413
            judged = self.judges_body(scope["method"], headers)
            if judged or b"transfer-encoding" in headers:
                body = await read_body(receive, self.max_body)  # 413
                if body is None:
                    return  # the client went away
                receive = replay(body, receive)
                if judged:
                    asked = operations(body)  # 400
                    check_mirrored(headers, asked)  # 400
            revision = headers.get(b"mcp-protocol-version", b"")
            trial = self.policy.check(principal, asked, scope["method"], revision)  # 403
        except Refusal as refusal:
            refused = refusal.with_traceback(None)
        if refused is not None:
            await self.refuse(refused, scope["method"], principal, asked, send)
        elif principal is not None:  # which it is where nothing was refused
            self.audit.allowed(principal, scope["method"], asked, trial)
            self.admit(scope, principal)
            stream = self.stream(scope, headers, principal, asked, send)
            listing = self.listing(scope, principal, asked, stream)
            await self.serve(app or self.app, scope, receive, stream, listing)

    async def refuse(
        self, refusal: Refusal, method: str, principal: Principal | None, asked: list[Operation], send: Send
    ) -> None:
        """Note a refusal, and answer with it."""
        await self.answers.refuse(refusal, self.audit.refused(refusal, method, principal, asked), send)

    async def serve(
        self, app: ASGIApp, scope: Scope, receive: Receive, stream: EndWithToken, listing: FilterLists | None
    ) -> None:
        """Let the app answer."""
        try:
            await app(scope, receive, listing or stream)
            if listing is not None:
                await listing.close(receive)
        finally:
            stream.close()

    def judges_body(self, method: str, headers: dict[bytes, bytes]) -> bool:
        """Whether the body decides something: where rules ask what is called, and where its id ends a subscription."""
        if self.policy.asks_about_operations:
            return method == "POST" or has_body(headers)
        return method == "POST" and headers.get(b"mcp-method") == LISTEN

    def admit(self, scope: Scope, principal: Principal) -> None:
        """Give the app the principal and its own state, and take the token out of the headers."""
        scope["state"] = {**self.state, "principal": principal}
        scope["headers"] = [field for field in scope["headers"] if field[0] != b"authorization"]

    def stream(
        self, scope: Scope, headers: dict[bytes, bytes], principal: Principal, asked: list[Operation], send: Send
    ) -> EndWithToken:
        """The response, which as an event stream ends with the token; or with the server, if it only waits."""
        listens = headers.get(b"mcp-method") == LISTEN
        waiting = self.waiting if listens or scope["method"] == "GET" else None
        seconds = principal.expires_at + self.leeway - self.now()
        if listens and asked and asked[0].method == LISTEN.decode():
            return EndWithToken(send, seconds, waiting, completion(asked[0].request_id))
        return EndWithToken(send, seconds, waiting)

    def listing(self, scope: Scope, principal: Principal, asked: list[Operation], send: Send) -> FilterLists | None:
        """The response as a list that shows only what the principal may use; None where it is no list."""
        resumed = scope["method"] == "GET" and self.policy.kinds  # a stream that is resumed may replay a list
        if resumed or (asked and lists_something(asked, self.policy)):
            # What is compressed cannot be filtered.
            scope["headers"] = [field for field in scope["headers"] if field[0] != b"accept-encoding"]

            async def refuse(refusal: Refusal, send: Send) -> None:
                await self.refuse(refusal, scope["method"], principal, asked, send)

            return FilterLists(send, self.policy, principal, refuse)
        return None
