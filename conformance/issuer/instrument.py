"""The issuer under control: everything a test or a laptop does with it, short of HTTP."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from .accounts import Accounts, User
from .app import build
from .approval import Approval
from .client_documents import ClientDocuments
from .clients import Client, Clients
from .clock import Clock
from .keys import Keys
from .ledger import Ledger
from .profile_cognito import CognitoProfile
from .profile_plain import PlainProfile
from .publication import Publication
from .server import OAuthServer
from .signing import Json, SigningKey, sign
from .tokens import Lifetimes, Mint, changed

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from .profile import Claims, Profile, ResourceServer


class Parts(TypedDict, total=False):
    """What both kinds of issuer can be given; each part has a default."""

    users: Iterable[User]
    clients: Iterable[Client]
    keys: Keys  # two new ones, which take a moment to make
    clock: Clock  # the system's time
    lifetimes: Lifetimes


class Changes(TypedDict, total=False):
    """What is different from a valid token; bytes replace the whole header or payload."""

    claims: Json
    header: Json
    key: SigningKey  # the header names it, and its algorithm, unless `header` or `alg` say otherwise
    alg: str
    signature: bytes


class Issuer:
    """An OAuth issuer whose every part can be reached, moved and broken.

    `app` is the issuer as an ASGI app, `url` its identifier. `clock`, `keys`, `key_server` and `metadata_server`
    are there to be changed while it runs. `plain` and `cognito` make one.
    """

    def __init__(self, profile: Profile, documents: ClientDocuments | None, parts: Parts) -> None:
        self.url = profile.url
        self.clock = parts.get("clock") or Clock()
        self.keys = parts.get("keys") or Keys()
        self.key_server = Publication()
        self.metadata_server = Publication()
        self.lifetimes = parts.get("lifetimes") or Lifetimes()
        if documents:
            documents.clock = self.clock
        self._profile = profile
        self._accounts = Accounts(parts.get("users", ()))
        self._clients = Clients(parts.get("clients", ()), documents)
        self._mint = Mint(profile, self.keys, self.clock, self.lifetimes)
        self._ledger = Ledger(profile, self.clock, self.lifetimes)

    @classmethod
    def plain(
        cls,
        base: str,
        *,
        scopes: Mapping[str, str] | None = None,
        resources: Iterable[str] | None = None,
        registration: bool = True,
        refresh_grace: float = 0,
        documents: ClientDocuments | None = None,
        **parts: Unpack[Parts],
    ) -> Issuer:
        """A spec-complete OAuth 2.1 issuer at `base`.

        `scopes` are names with what they allow in words. `resources` are what tokens may be for, the first one
        being the default; None takes any. `refresh_grace` is how many seconds a superseded refresh token works.
        `documents` fetches the metadata of clients whose id is a URL.

        Raises:
            ValueError: `base` is not https or a loopback address.
        """
        profile = PlainProfile(
            base, scopes=scopes or {}, resources=resources, registration=registration, grace=refresh_grace
        )
        return cls(profile, documents or ClientDocuments(), parts)

    @classmethod
    def cognito(
        cls,
        base: str,
        *,
        pool: str = "us-east-1_Example1",
        resource_servers: Iterable[ResourceServer] = (),
        registration: bool = False,
        refresh_rotation: bool = False,
        refresh_grace: float = 0,
        insecure_loopback_resources: bool = False,
        **parts: Unpack[Parts],
    ) -> Issuer:
        """A Cognito user pool whose domain is `base` and whose issuer identifier is `base/pool`.

        `registration` is the pool's own dynamic registration, `refresh_rotation` and `refresh_grace` (0 to 60
        seconds) its rotation of refresh tokens. `insecure_loopback_resources` takes http://127.0.0.1 as a
        resource too, where Cognito knows only http://localhost.

        Raises:
            ValueError: the base, the pool or the grace is none that Cognito could have.
        """
        profile = CognitoProfile(
            base,
            pool=pool,
            resource_servers=resource_servers,
            registration=registration,
            rotates=refresh_rotation,
            grace=refresh_grace,
            insecure_loopback_resources=insecure_loopback_resources,
        )
        return cls(profile, None, parts)

    @cached_property
    def app(self) -> Starlette:
        """The issuer as an ASGI app; it holds no connections and needs no lifespan."""
        server = OAuthServer(self._profile, self._clients, self._ledger, self._mint, self.clock)
        return build(server, self._accounts, self.keys, self.key_server, self.metadata_server)

    def metadata(self) -> dict[str, Any]:
        """The discovery document, to compare with or to change and put into `metadata_server.body`."""
        return self._profile.metadata()

    def add_user(self, user: User) -> None:
        """Add a user, or replace the one of the same name."""
        self._accounts.add(user)

    def add_client(self, client: Client) -> None:
        """Add a client, or replace the one of the same id."""
        self._clients.add(client)

    def add_resource(self, resource: str | ResourceServer) -> None:
        """Make a resource known: its URL to a plain issuer, a resource server to a Cognito one.

        Raises:
            TypeError: this is the other kind of issuer.
        """
        self._profile.add_resource(resource)

    def claims(
        self,
        user: str | None = None,
        client: str | None = None,
        scopes: Iterable[str] = (),
        resource: str | Iterable[str] | None = None,
        **changes: Any,
    ) -> Claims:
        """The claims of a valid access token issued now; changes of value `ABSENT` take a claim out.

        Without a user it is a machine's token. A client need not be registered; without one it is the first.

        Raises:
            LookupError: there is no such user.
        """
        return changed(self._mint.access_claims(self._approval(user, client, scopes, resource)), changes)

    def token(
        self,
        user: str | None = None,
        client: str | None = None,
        scopes: Iterable[str] = (),
        resource: str | Iterable[str] | None = None,
        **changes: Unpack[Changes],
    ) -> str:
        """A valid access token but for the changes.

        Raises:
            LookupError: there is no such user.
            ValueError: the key cannot make a signature of the algorithm.
        """
        claims = self._mint.access_claims(self._approval(user, client, scopes, resource))
        return self._signed(claims, self.keys.access, changes, access=True)

    def id_token(
        self,
        user: str,
        client: str | None = None,
        scopes: Iterable[str] = ("openid",),
        **changes: Unpack[Changes],
    ) -> str:
        """A valid ID token but for the changes.

        Raises:
            LookupError: there is no such user.
            ValueError: the key cannot make a signature of the algorithm.
        """
        claims = self._mint.id_claims(self._approval(user, client, scopes, None))
        return self._signed(claims, self.keys.id, changes, access=False)

    def refresh_token(
        self,
        user: str,
        client: str | None = None,
        scopes: Iterable[str] = (),
        resource: str | Iterable[str] | None = None,
    ) -> str:
        """A refresh token that works, as if this user had just logged in.

        Raises:
            LookupError: there is no such user.
        """
        family = self._ledger.start_family(self._approval(user, client, scopes, resource))
        return self._ledger.add_refresh_token(family)

    def sign(
        self,
        header: Json,
        payload: Json,
        key: SigningKey | None = None,
        alg: str | None = None,
        *,
        signature: bytes | None = None,
    ) -> str:
        """A compact JWS of any header and payload, by any key; the access key without one.

        Raises:
            ValueError: the key cannot make a signature of the algorithm.
        """
        return sign(header, payload, key or self.keys.access, alg, signature=signature)

    def revoke(self, refresh_token: str) -> None:
        """End the login that a refresh token belongs to.

        Raises:
            LookupError: the issuer never made it.
        """
        if (entry := self._ledger.refresh_token(refresh_token)) is None:
            raise LookupError("This issuer knows no such refresh token.")
        entry.family.revoked = True

    def revoke_user(self, name: str) -> None:
        """End every login of a user: codes, and refresh tokens at every client."""
        self._ledger.revoke_user(name)

    def _signed(self, claims: Claims, own_key: SigningKey, changes: Changes, *, access: bool) -> str:
        key, alg = changes.get("key", own_key), changes.get("alg")
        header = _with(self._mint.header(key, alg, access=access), changes.get("header", {}))
        return sign(header, _with(claims, changes.get("claims", {})), key, alg, signature=changes.get("signature"))

    def _approval(
        self, user: str | None, client: str | None, scopes: Iterable[str], resource: str | Iterable[str] | None
    ) -> Approval:
        named = () if resource is None else (resource,) if isinstance(resource, str) else tuple(resource)
        return Approval(
            client_id=client or self._clients.first(),
            user=None if user is None else self._accounts.named(user),
            scopes=tuple(scopes),
            resources=named or self._profile.resources_for(()),
            auth_time=int(self.clock.now()),
        )


def _with(original: Mapping[str, Any], changes: Json) -> Json:
    return changes if isinstance(changes, bytes) else changed(original, changes)
