"""What the endpoints of the facade share: who they are, what they protect, and how they answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import msgspec
from starlette.responses import RedirectResponse, Response

from discovery.resource import InvalidResource, canonical
from gateway.audit import Counts, Decision, Write, new_id, printable
from gateway.facade.browser import Browsers
from gateway.facade.clients import Clients
from gateway.facade.errors import OAuthError, Shown
from gateway.facade.issuer import Issuer
from gateway.facade.pages import error_page
from gateway.facade.quirks import Quirks
from gateway.facade.redirects import with_parameters
from gateway.facade.sealed import Wish
from gateway.seal import Seal

CALLBACK = "/oauth/callback"  # where the issuer sends browsers back to
NO_STORE = {"cache-control": "no-store", "pragma": "no-cache"}
EXTRA = {
    401: {"www-authenticate": 'Basic realm="clients are public"'},  # RFC 6749 §5.2, RFC 9110 §15.5.2
    429: {"retry-after": "60"},
    503: {"retry-after": "5"},
}


class Protected(msgspec.Struct, frozen=True, kw_only=True):
    """A resource as the facade sees it."""

    url: str
    name: str
    scopes: tuple[str, ...]  # what basic use needs, and what is asked for where the client names nothing
    allowed: frozenset[str]  # every scope that some operation needs, or that implies one that is needed


class Front(msgspec.Struct, frozen=True, kw_only=True):
    """The facade's parts. `url` is its issuer identifier: the public origin."""

    url: str
    seal: Seal
    clients: Clients
    issuer: Issuer
    issuer_url: str
    quirks: Quirks
    browsers: Browsers
    resources: tuple[Protected, ...]
    spelled: Mapping[str, Protected]  # by URL and by alias
    words: Mapping[str, str]  # what scopes allow
    write: Write | None
    counts: Counts
    now: Callable[[], float] = time.time

    @property
    def callback(self) -> str:
        """Where the issuer sends browsers back to: the one redirect URI of our client there."""
        return f"{self.url}{CALLBACK}"

    def resource(self, asked: tuple[str, ...]) -> Protected:
        """The resource that a request names, or the only one there is (RFC 8707 §2).

        Raises:
            OAuthError: invalid_target.
        """
        if not asked:
            if len(self.resources) == 1:
                return self.resources[0]  # clients of 2025-03-26 name none
            raise OAuthError("invalid_target", "Name the resource the token is for in `resource`.")
        found = {self._spelled(uri) for uri in asked}
        resource = found.pop() if len(found) == 1 else None
        if resource is None:
            raise OAuthError("invalid_target", "`resource` must name a resource of this server, as its metadata does.")
        return resource

    def _spelled(self, uri: str) -> Protected | None:
        if known := self.spelled.get(uri):
            return known
        try:
            return self.spelled.get(canonical(uri))  # clients write the slash of an origin, or a default port
        except InvalidResource:
            return None

    def redirect_error(
        self, redirect_uri: str, state: str | None, error: OAuthError, endpoint: str, *, method: str = "GET"
    ) -> Response:
        """An error on its way to the client, with our `iss` (RFC 6749 §4.1.2.1, RFC 9207 §2)."""
        self.note(endpoint, method, error=error)
        back = {"error": error.code, "error_description": error.description}
        return self.redirect(redirect_uri, state, back)

    def redirect(self, uri: str, state: str | None, parameters: dict[str, str]) -> Response:
        """The browser's way back to the client."""
        given = {} if state is None else {"state": state}
        return leave_for(with_parameters(uri, {**parameters, **given, "iss": self.url}))

    def show(self, error: Shown, endpoint: str, method: str) -> Response:
        """A page that says why it cannot go on; nothing is redirected."""
        return error_page(error.sentence, self.note(endpoint, method, error=error), error.status)

    def tell(self, error: OAuthError, endpoint: str, method: str = "POST") -> Response:
        """An error in JSON (RFC 6749 §5.2)."""
        refusal_id = self.note(endpoint, method, error=error)
        body = {"error": error.code, "error_description": error.description, "refusal": refusal_id}
        return json_answer(body, error.status, EXTRA.get(error.status, {}))

    def note(
        self, endpoint: str, method: str, *, error: OAuthError | Shown | None = None, done: str = "", client: str = ""
    ) -> str:
        """Write a line of the audit log, and count it; returns its id."""
        decision = Decision(
            self.now(),
            new_id(),
            "allowed" if error is None else "refused",
            f"{self.url}{endpoint}",
            printable(method),
            operation=done,
            client=printable(client),
        )
        if error is not None:
            decision.status = error.status
            decision.reason = error.code if isinstance(error, OAuthError) else "shown"
            decision.detail = printable(str(error))
            self.counts[decision.resource].refused[decision.reason] += 1
        else:
            self.counts[decision.resource].allowed += 1
        if self.write is not None:
            self.write(msgspec.json.encode(decision) + b"\n")
        return decision.id


def json_answer(body: object, status: int = 200, headers: Mapping[str, str] = {}) -> Response:
    """An answer in JSON that nobody may keep."""
    return Response(msgspec.json.encode(body), status, {**NO_STORE, **headers}, "application/json")


def leave_for(url: str) -> Response:
    """Send the browser on; it fetches the next page with GET, and tells it nothing about this one."""
    return RedirectResponse(url, 303, {**NO_STORE, "referrer-policy": "no-referrer"})


def scopes_for(asked: str, resource: Protected, quirks: Quirks) -> tuple[str, ...]:
    """The scopes to ask the issuer for: those of the request that some operation needs, else those for basic use."""
    wanted = dict.fromkeys(asked.split())
    known = [scope for scope in wanted if scope in resource.allowed]
    if not known:
        known = list(resource.scopes)
    if "offline_access" in wanted and "offline_access" not in quirks.drops:
        known.append("offline_access")
    return tuple(known)


__all__ = ["NO_STORE", "Front", "Protected", "Wish", "json_answer", "leave_for", "scopes_for"]
