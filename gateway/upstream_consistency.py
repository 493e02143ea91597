"""What the settings of an upstream must mean together, files and secrets included."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

from discovery.address import is_loopback
from gateway.credential import credential_field
from gateway.secret import InvalidSecret
from gateway.settings import CredentialSettings, ResourceSettings, Settings, UpstreamSettings

HEADER = re.compile(r"[A-Za-z0-9-]+")
# Names that mean something else already; the gate's own fields must not take their place.
TAKEN = frozenset(
    """connection keep-alive te trailer transfer-encoding upgrade host content-length content-type content-encoding
    accept expect origin mcp-session-id mcp-protocol-version mcp-method mcp-name last-event-id cookie""".split()  # noqa: SIM905 - two lines
)
URL = re.compile(r"[\x21-\x7e]+")
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared with, not listened on


def upstream_problems(where: str, settings: Settings, resource: ResourceSettings) -> Iterator[str]:
    """Every reason not to start with the upstream of a resource; `where` names the resource."""
    upstream = resource.upstream
    if upstream is None:
        return
    if resource.tools is not None:
        yield f"{where}upstream: tools are named as well; give them a resource of their own"
    where += "upstream."
    yield from _url(where, upstream.url, settings)
    yield from _tls(where, upstream)
    if upstream.credential is not None:
        yield from _credential(f"{where}credential", upstream.credential)
    if upstream.identity is not None:
        yield from _header(f"{where}identity.header", upstream.identity.header)
        if upstream.credential and upstream.credential.header.lower() == upstream.identity.header.lower():
            yield f"{where}identity.header: is the header of the credential as well; choose another one"


def _url(where: str, url: str, settings: Settings) -> Iterator[str]:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and URL.fullmatch(url)
    except ValueError:
        usable = False
    if "@" in url.partition("://")[2].partition("/")[0]:
        yield f"{where}url: holds a name or password; put it into credential, and the secret into a file"
    elif not usable:
        yield f"{where}url: {url!r} must be the address of an MCP endpoint, http://host:port/mcp or https://…"
    elif "?" in url or "#" in url:
        yield f"{where}url: must end with the path; what the gate adds to a request is a header, see credential"
    elif _is_own(url, settings):
        yield f"{where}url: {url} is this gate itself; name the server that stands behind it"


def _is_own(url: str, settings: Settings) -> bool:
    """Whether the gate would pass requests on to itself."""
    parts = urlsplit(url)
    if parts.scheme == "http" and is_loopback(parts.hostname or "") and (parts.port or 80) == settings.port:
        return settings.host in EVERYWHERE or is_loopback(settings.host)
    return url in {settings.url_of(resource) for resource in settings.resources}


def _tls(where: str, upstream: UpstreamSettings) -> Iterator[str]:
    files = {
        "ca_file": upstream.ca_file,
        "client_certificate_file": upstream.client_certificate_file,
        "client_key_file": upstream.client_key_file,
    }
    if not upstream.url.startswith("https:"):
        for name, file in files.items():
            if file:
                yield f"{where}{name}: only an upstream at https:// has certificates; remove it, or correct url"
        return
    if upstream.client_key_file and not upstream.client_certificate_file:
        yield f"{where}client_key_file: is of no use without client_certificate_file"
        return
    try:
        context = ssl.create_default_context(cafile=upstream.ca_file or None)
    except (OSError, ValueError):  # ssl.SSLError is an OSError
        yield f"{where}ca_file: {upstream.ca_file} is no readable file of certificates in PEM"
        return
    if upstream.client_certificate_file:
        try:
            context.load_cert_chain(
                upstream.client_certificate_file, upstream.client_key_file or None, password=lambda: ""
            )
        except (OSError, ValueError):
            yield (
                f"{where}client_certificate_file: {upstream.client_certificate_file} and its key cannot be used; both "
                "must be readable, in PEM, of one another, and without a password"
            )


def _credential(where: str, credential: CredentialSettings) -> Iterator[str]:
    yield from _header(f"{where}.header", credential.header)
    if bool(credential.variable) == bool(credential.file):
        yield f"{where}: name either variable or file, which hold the secret"
        return
    if ":" in credential.username or not credential.username.isascii() or not credential.username.isprintable():
        yield f"{where}.username: must be ASCII without a colon (RFC 7617 §2)"
    if not credential.prefix.isascii() or (credential.prefix and not credential.prefix.isprintable()):
        yield f"{where}.prefix: must be ASCII that a header can carry"
    try:
        credential_field(credential)
    except InvalidSecret as error:
        yield f"{where}: {error}"


def _header(where: str, name: str) -> Iterator[str]:
    if HEADER.fullmatch(name) is None:
        yield f"{where}: {name!r} is no name of a header; one has letters, digits and dashes"
    elif name.lower() in TAKEN:
        yield f"{where}: {name} means something else already; choose another one, such as X-Api-Key"
