"""What settings must mean together before the first request: every contradiction is a sentence that names its key."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from ipaddress import ip_network
from itertools import chain
from pathlib import Path
from urllib.parse import urlsplit

from discovery.resource import InvalidResource, canonical
from gateway.cedar_consistency import cedar_problems
from gateway.facade.redirects import InvalidRedirect, check_redirect
from gateway.keys import FITS, KeysError, read_keys
from gateway.origin import HOST
from gateway.paths import PATH, is_reserved
from gateway.seal import seal_keys
from gateway.secret import InvalidSecret, read_secret
from gateway.settings import (
    COGNITO,
    POOL,
    ClientSettings,
    CommandSettings,
    FacadeSettings,
    IssuerSettings,
    ResourceSettings,
    Settings,
)
from gateway.upstream_consistency import upstream_problems

SCOPE = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+")  # RFC 6749 §3.3
ORIGIN = re.compile(rf"https?://{HOST.pattern}", re.IGNORECASE)  # RFC 6454 §6.2
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")  # POSIX.1 §8.1
CLIENT_ID = re.compile(r"[A-Za-z0-9._~-]{1,100}")


def problems_of(settings: Settings) -> list[str]:
    """Every reason not to start with these settings; empty when there is none."""
    return [
        *_public_url(settings.public_url),
        *_listening(settings),
        *_issuers(settings),
        *_resources(settings),
        *_scopes(
            "scope_hierarchy", [*settings.scope_hierarchy, *chain.from_iterable(settings.scope_hierarchy.values())]
        ),
        *_origins(settings.allowed_origins),
        *_hosts("allowed_hosts", settings.allowed_hosts),
        *_hosts("private_hosts", settings.private_hosts),
        *_networks("forward_auth_peers", settings.forward_auth_peers),
        *_seal_keys(settings),
        *_identity_keys(settings.identity_key_file),
        *_facade(settings),
    ]


def _public_url(url: str) -> Iterator[str]:
    if "://" not in url:
        yield "public_url: write it with its scheme, such as https://mcp.example.com"
        return
    try:
        spelled = canonical(url)
        if urlsplit(spelled).path:
            yield f"public_url: must be an origin without a path; put the path of {url} into resources[].path"
        elif spelled != url:
            yield f"public_url: write it as {spelled}: in lower case, without a slash at the end or the usual port"
    except InvalidResource as error:
        yield f"public_url: {error}"


def _listening(settings: Settings) -> Iterator[str]:
    if not settings.host:
        yield "host: empty; write 127.0.0.1, or 0.0.0.0 for every address of this machine"
    if not settings.metrics_host:
        yield "metrics_host: empty; write 127.0.0.1, or 0.0.0.0 for every address of this machine"
    if settings.metrics_port and settings.metrics_port == settings.port:
        yield f"metrics_port: {settings.metrics_port} is the port of the gate itself; choose another one"
    if "\0" in settings.audit_log or not settings.audit_log:
        yield "audit_log: must be stdout, stderr, off or the name of a file"


def _issuers(settings: Settings) -> Iterator[str]:
    if not settings.issuers:
        yield "issuers: name at least one issuer whose tokens are accepted"
    names = [issuer.issuer for issuer in settings.issuers]
    for i, issuer in enumerate(settings.issuers):
        where = f"issuers[{i}]."
        yield from _issuer_url(f"{where}issuer", issuer.issuer)
        if (host := COGNITO.match(issuer.issuer)) and POOL.fullmatch(issuer.issuer, host.end()) is None:
            yield f"{where}issuer: a user pool's is {host[0]} and the pool's id, such as us-east-1_Ab1Cd2Ef3, no more"
        if issuer.jwks_uri:
            yield from _issuer_url(f"{where}jwks_uri", issuer.jwks_uri, query=True)
        if issuer.jwks_file:
            yield from _key_set_file(f"{where}jwks_file", issuer)
        if names.count(issuer.issuer) > 1:
            yield f"{where}issuer: {issuer.issuer} is listed twice; keep one entry"
        yield from _algorithms(f"{where}algorithms", issuer.algorithms)
        yield from _audience_rule(where, issuer)


def _issuer_url(where: str, url: str, *, query: bool = False) -> Iterator[str]:
    try:
        canonical(url.partition("?")[0] if query else url)
    except InvalidResource as error:
        yield f"{where}: {error}"


def _key_set_file(where: str, issuer: IssuerSettings) -> Iterator[str]:
    try:
        read_keys(Path(issuer.jwks_file).read_bytes(), [name for name in issuer.algorithms if name in FITS])
    except (OSError, ValueError) as error:  # ValueError: no file can have such a name
        cause = error.strerror if isinstance(error, OSError) else error
        yield f"{where}: {issuer.jwks_file} cannot be read ({cause}); save the document of its jwks_uri there"
    except KeysError as error:
        yield f"{where}: {issuer.jwks_file}: {error}; save the document of its jwks_uri there"


def _algorithms(where: str, algorithms: list[str]) -> Iterator[str]:
    if not algorithms:
        yield f"{where}: name at least one, such as RS256"
    for name in algorithms:
        if name not in FITS:
            yield f"{where}: {name} is no algorithm with a public key; choose among {', '.join(FITS)}"


def _audience_rule(where: str, issuer: IssuerSettings) -> Iterator[str]:
    if not issuer.is_cognito:
        if issuer.client_ids or issuer.resource_server or issuer.resource_binding:
            yield f"{where}client_ids: only Cognito's tokens may lack an audience; leave it out, or set kind: cognito"
    elif bool(issuer.client_ids) == issuer.resource_binding:
        yield (
            f"{where}client_ids: no audience rule, or two. Cognito's tokens may lack `aud`: list the app clients whose "
            "tokens are accepted, or set resource_binding: true if every client asks with `resource`"
        )
    if issuer.resource_binding and issuer.resource_server:
        yield f"{where}resource_server: is for tokens without aud, which resource_binding rules out; remove one of them"
    if "" in issuer.client_ids:
        yield f"{where}client_ids: an entry is empty; remove it"


def _resources(settings: Settings) -> Iterator[str]:
    if not settings.resources:
        yield "resources: name at least one, or leave it out for one at /mcp"
    issuers = {issuer.issuer for issuer in settings.issuers}
    paths = [resource.path for resource in settings.resources]
    for i, resource in enumerate(settings.resources):
        where = f"resources[{i}]."
        yield from _path(f"{where}path", resource.path, paths)
        yield from _scopes(f"{where}scopes", resource.scopes)
        if resource.scope_prefix:
            yield from _scopes(f"{where}scope_prefix", [resource.scope_prefix])
            if resource.scope_prefix[-1].isalnum():
                yield f"{where}scope_prefix: end it with what stands before a scope's own name, such as a slash"
        for issuer in resource.issuers:
            if issuer not in issuers:
                yield f"{where}issuers: {issuer} is not among issuers; add it there or correct it"
        if resource.documentation and not resource.documentation.startswith(("https://", "http://")):
            yield f"{where}documentation: {resource.documentation!r} must be the URL of a page, https://…"
        if "" in resource.aliases:
            yield f"{where}aliases: an entry is empty; remove it"
        if resource.command is not None:
            yield from _command(where, resource, resource.command)
        yield from upstream_problems(where, settings, resource)
        yield from _rules(where, resource)
        yield from cedar_problems(where, resource)


def _command(where: str, resource: ResourceSettings, command: CommandSettings) -> Iterator[str]:
    if not command.run or not command.run[0]:
        yield f"{where}command.run: names no program; give it and its arguments as a list"
    if resource.tools is not None:
        yield f"{where}command: tools are named as well; give them a resource of their own"
    if resource.upstream is not None:
        yield f"{where}command: an upstream is named as well; give it a resource of its own"
    if not resource.sessions:
        yield f"{where}sessions: a command needs them for clients of older revisions; leave it out"
    for name in (*command.env, *command.inherit):
        if VARIABLE.fullmatch(name) is None:
            yield f"{where}command: {name!r} is no name of a variable; one has letters, digits and _ alone"
        elif name.startswith("BEARERGATE_"):
            yield f"{where}command: {name} is for the gate alone, as it may be a secret; remove it"
    if any("\0" in text for text in (*command.run, *command.env.values(), command.directory)):
        yield f"{where}command: holds a NUL character, which nothing can be told; remove it"


def _path(where: str, path: str, paths: list[str]) -> Iterator[str]:
    segments = path.split("/")
    if path != "/" and (PATH.fullmatch(path) is None or "." in segments or ".." in segments):
        yield f"{where}: {path!r} must begin with a slash, not end with one, and need no escapes, such as /mcp"
    elif is_reserved(path):
        yield f"{where}: {path} is a path of the gate itself; choose another one"
    if paths.count(path) > 1:
        yield f"{where}: {path} is listed twice; give every resource its own path"


def _rules(where: str, resource: ResourceSettings) -> Iterator[str]:
    for i, rule in enumerate(resource.rules):
        if not (rule.tools or rule.prompts or rule.resources):
            yield f"{where}rules[{i}]: is about nothing; name tools, prompts or resources"
        if not (rule.scopes or rule.groups or rule.claims):
            yield f"{where}rules[{i}]: asks for nothing; name scopes, groups or claims"
        yield from _scopes(f"{where}rules[{i}].scopes", rule.scopes)


def _networks(where: str, networks: Iterable[str]) -> Iterator[str]:
    for network in networks:
        try:
            ip_network(network)
        except ValueError as error:
            yield f"{where}: {error}; write an address or a network, 10.0.0.0/8"


def _scopes(where: str, scopes: Iterable[str]) -> Iterator[str]:
    for scope in scopes:
        if SCOPE.fullmatch(scope) is None:
            yield f"{where}: {scope!r} is no scope; one has no blanks, quotes or backslashes (RFC 6749 §3.3)"
        elif scope == "offline_access":
            yield f"{where}: offline_access is between clients and the issuer; a resource does not need it, remove it"


def _seal_keys(settings: Settings) -> Iterator[str]:
    if settings.seal_keys and settings.seal_keys_file:
        yield "seal_keys: also in seal_keys_file; keep one of the two"
    try:
        keys = seal_keys(settings)
    except InvalidSecret as error:
        yield f"seal_keys{'_file' if settings.seal_keys_file else ''}: {error}"
        return
    if not keys and settings.facade != "off":
        yield "seal_keys: missing; the facade seals what clients carry. Make one with `openssl rand -base64 32`"


def _identity_keys(file: str) -> Iterator[str]:
    if file:
        from gateway.identity import private_keys  # noqa: PLC0415 - few gates sign, and none of the others has to load it

        try:
            private_keys(file)
        except InvalidSecret as error:
            yield f"identity_key_file: {error}"


def _facade(settings: Settings) -> Iterator[str]:
    facade = settings.facade
    if isinstance(facade, str):
        return
    known = [issuer.issuer for issuer in settings.issuers]
    if facade.issuer and facade.issuer not in known:
        yield f"facade.issuer: {facade.issuer} is not among issuers; add it there or correct it"
    elif not settings.facade_issuer and known:
        yield "facade.issuer: missing; there are several issuers, name the one that the facade stands before"
    elif not settings.behind_facade() and settings.resources and known:
        yield "facade.issuer: no resource takes its tokens; name it in resources[].issuers, or set facade: off"
    if not facade.client_id:
        yield "facade.client_id: empty; create a client for the gate at the issuer and name it here"
    yield from _facade_secret(facade)
    yield from _hosts("facade.insecure_client_document_hosts", facade.insecure_client_document_hosts)
    yield from _scopes("facade.scopes", facade.scopes)
    yield from _clients(facade.clients)


def _facade_secret(facade: FacadeSettings) -> Iterator[str]:
    if facade.client_secret and facade.client_secret_file:
        yield "facade.client_secret: also in client_secret_file; keep one of the two"
    if facade.client_secret_file:
        try:
            read_secret(facade.client_secret_file)
        except InvalidSecret as error:
            yield f"facade.client_secret_file: {error}"


def _clients(clients: list[ClientSettings]) -> Iterator[str]:
    names = [client.client_id for client in clients]
    for i, client in enumerate(clients):
        where = f"facade.clients[{i}]."
        if CLIENT_ID.fullmatch(client.client_id) is None:
            yield f"{where}client_id: {client.client_id!r} must be 1 to 100 letters, digits and ._~-"
        if names.count(client.client_id) > 1:
            yield f"{where}client_id: {client.client_id} is listed twice; keep one entry"
        if not client.redirect_uris:
            yield f"{where}redirect_uris: name at least one"
        for uri in client.redirect_uris:
            try:
                check_redirect(uri, native=True)
            except InvalidRedirect as error:
                yield f"{where}redirect_uris: {uri!r}: {error}"


def _origins(origins: list[str]) -> Iterator[str]:
    for origin in origins:
        if ORIGIN.fullmatch(origin) is None:
            yield f"allowed_origins: {origin!r} must be scheme and host as browsers send them, https://app.example.com"


def _hosts(where: str, hosts: list[str]) -> Iterator[str]:
    for host in hosts:
        if HOST.fullmatch(host) is None:
            yield f"{where}: {host!r} must be a host name or address, with a port if it is not the usual one"
