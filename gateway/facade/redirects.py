"""Redirect URIs: which ones a client may register, and which one a request may name."""

from __future__ import annotations

import re
from urllib.parse import urlencode

from discovery.location import InvalidLocation, Location

MAX_REDIRECT = 1024  # characters; it travels in `state`, and Cognito takes no longer ones either
LOOPBACK = re.compile(r"http://(localhost|127\.0\.0\.1|\[::1\])(?::([0-9]{1,5}))?(?=[/?]|$)")
OWN_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):[A-Za-z0-9._~:/?@!$&'()*+,;=%-]+")
# Schemes that a browser acts on itself, that open one, or that belong to a protocol; not an app's own (RFC 8252 §7.1).
TAKEN = re.compile(
    r"(about|acct|blob|brave|cid|chrome|data|dav|dict|dns|feed|file|filesystem|firefox|ftps?|geo|git|googlechromes?|"
    r"gopher|https?|imap|info|intent|irc|jar|jabber|javascript|ldaps?|mailto|microsoft-edge|mid|moz-extension|"
    r"ms-[a-z0-9+.-]*|nfs|nntp|news|opera|pop|res|resource|rtsp|search|search-ms|sftp|shell|sips?|sms|smb|ssh|tel|"
    r"telnet|tip|urn|vbscript|view-source|web|webcal|wais|wss?|x-web-search|xmpp)"
)


class InvalidRedirect(ValueError):
    """A client may not be sent back there; the text is one sentence that does not repeat the URI."""


def check_redirect(uri: str, *, native: bool) -> None:
    """Check a URI that a client wants to register (OAuth 2.1 §2.3, RFC 8252 §7, OpenID Registration §2).

    Raises:
        InvalidRedirect: it is not https, loopback http or an app's own scheme, or can be read in two ways.
    """
    if len(uri) > MAX_REDIRECT:
        raise InvalidRedirect(f"A redirect URI has at most {MAX_REDIRECT} characters.")
    if uri.startswith("https:"):
        _check_https(uri)
    elif not native:
        raise InvalidRedirect(
            "A web client's redirect URIs use https; register as application_type native for loopback addresses "
            "and apps' own schemes."
        )
    elif uri.startswith("http:"):
        _check_loopback(uri)
    else:
        _check_own_scheme(uri)


def _check_https(uri: str) -> None:
    try:
        Location.of(uri)
    except InvalidLocation as error:
        raise InvalidRedirect(f"A redirect URI cannot be used: {error}.") from None


def _check_loopback(uri: str) -> None:
    if LOOPBACK.match(uri) is None:
        raise InvalidRedirect("A redirect URI with http is for localhost, 127.0.0.1 and [::1] only; use https.")
    _check_https(uri)  # the same reader also knows loopback addresses


def _check_own_scheme(uri: str) -> None:
    match = OWN_SCHEME.fullmatch(uri)
    if match is None or TAKEN.fullmatch(match[1]) or len(match[1]) == 1:  # or a Windows drive
        raise InvalidRedirect("A redirect URI is absolute, without a fragment, and https, loopback or an own scheme.")
    rest = uri.partition(":")[2]
    if rest.startswith("//") and "@" in rest[2:].partition("/")[0].partition("?")[0]:
        raise InvalidRedirect("A redirect URI names no user: leave out what stands before '@'.")


def is_native(uri: str) -> bool:
    """Whether a URI leads to an app on the person's own machine."""
    return not uri.startswith("https:")


def without_port(uri: str) -> str:
    """A loopback URI without its port, and any other one as it is: what stays the same from login to login."""
    match = LOOPBACK.match(uri)
    return uri if match is None else f"http://{match[1]}{uri[match.end() :]}"


def is_registered(uri: str, registered: tuple[str, ...]) -> bool:
    """Whether a request may name this URI: to the letter, but for the port of a loopback address (RFC 8252 §7.3)."""
    if uri in registered:
        return True
    match = LOOPBACK.match(uri)
    if match is None or not 0 < int(match[2] or 80) < 65_536:
        return False
    return without_port(uri) in {without_port(known) for known in registered}


def with_parameters(uri: str, parameters: dict[str, str]) -> str:
    """A URI with parameters added to its query."""
    return f"{uri}{'&' if '?' in uri else '?'}{urlencode(parameters)}"


def destination(uri: str) -> str:
    """Where a redirect leads, as a person understands it."""
    if LOOPBACK.match(uri):
        return f"an app on this computer, at {Location.of(uri).authority}"
    if is_native(uri):
        return f"an app on this device that opens {uri.partition(':')[0]}: links"
    return Location.of(uri).authority
