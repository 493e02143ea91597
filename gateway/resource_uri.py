"""Whether every reader takes a resource's URI for the same one.

Rules compare URIs by their letters, and servers look them up in ways of their own: the TypeScript SDK after
`new URL(uri)`, which lowers schemes, drops blanks and resolves dot segments (WHATWG URL §4.4), others through a file
system. A URI that one of them would write in another way must not pass by a rule about that way.
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

# RFC 3986 §2 with the letters of all languages (RFC 3987 §2.2), without the fragment, which is the reader's own (§3.5)
# and which some drop before they look.
LETTERS = re.compile(
    r"(?:%[0-9A-F]{2}|[A-Za-z0-9._~:/?\[\]@!$&'()*+,;=-]|[\xa0-\ud7ff\uf900-\ufdcf\ufdf0-\uffef\U00010000-\U000efffd])+"
)
NEEDLESS = re.compile(  # escapes of unreserved characters (§2.3), and of what is an escape after that
    r"%(?:2D|2E|5F|7E|3[0-9]|[46][1-9A-F]|[57][0-9A]|25[0-9A-Fa-f]{2})"
)
SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:")
# Schemes that URL parsers repair: slashes that lack or abound, hosts in any case, default ports.
REPAIRED = re.compile(r"(?:https?|wss?|ftp|file):")
HOST = r"[a-z0-9-]+(?:\.[a-z0-9-]+)*"
WHOLE = re.compile(
    rf"(?:https?|wss?|ftp)://{HOST}(?::[1-9][0-9]*)?/(?!/)(?:(?!//)[^?])*(?:\?[^']*)?|file:///(?!/)(?:(?!//)[^?])*"
)
DEFAULT_PORT = re.compile(r"(?:http|ws)://[^/]*:80/|(?:https|wss)://[^/]*:443/|ftp://[^/]*:21/")
REWRITTEN = re.compile(r"[^/?]*//[^/?]*(?:@|:(?:0[0-9]+)?(?:[/?]|$))")  # in any scheme: users, and odd ports
NUMBER = re.compile(r"(?:https?|wss?|ftp)://(?:[^/:]*\.)?(?:[0-9]+|0x[0-9a-f]*)[:/]")  # read as an IPv4 address
ADDRESS = re.compile(r"\w+://(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.|(?=[:/]))){4}[:/]")  # and written as one
BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")
EXPRESSION = re.compile(r"\{[^{}]*\}")  # of a URI template (RFC 6570 §2.2)


def spellings(uri: str) -> set[str]:
    """The URI as it stands, without its escapes, and with those of letters beyond ASCII: any may be looked up."""
    return {uri, unquote(uri), BEYOND_ASCII.sub(lambda letters: quote(letters[0], errors="surrogatepass"), uri)}


def ambiguity(uri: str, *, template: bool = False) -> str:
    """Why readers may take this for different URIs, or ""; a `template` is judged by what stands around its parts."""
    if template:
        uri = EXPRESSION.sub("x", uri)
    if LETTERS.fullmatch(uri) is None:
        return "characters that no URI holds, a fragment, or escapes in lower case"
    if NEEDLESS.search(uri):
        return "escapes of letters that need none, or of escapes"
    if SCHEME.match(uri) is None:
        return "no scheme, or one in upper case"
    if not {".", ".."}.isdisjoint(re.split("[/?]", unquote(uri))):
        return "dot segments"
    repaired = REPAIRED.match(uri) and (WHOLE.fullmatch(uri) is None or DEFAULT_PORT.match(uri))
    if repaired or REWRITTEN.match(uri):
        return "slashes, a host or a port that a URL parser would write in another way"
    if NUMBER.match(uri) and not ADDRESS.match(uri):
        return "a number for a host"
    return ""
