"""Why a request stops at the gate: one class per cause, and each knows its answer.

    Refusal                  status  error               reason
    ├── MissingToken         401     none (RFC 6750 §3.1)  missing_token
    ├── MalformedRequest     400     invalid_request     malformed_request
    ├── InvalidToken         401     invalid_token       one per subclass: malformed_token, oversized_token,
    │                                                    unsupported_algorithm, unknown_issuer, unknown_key,
    │                                                    bad_signature, wrong_token_kind, expired_token,
    │                                                    not_yet_valid, wrong_audience, client_not_allowed,
    │                                                    bound_token
    ├── InsufficientScope    403     insufficient_scope  insufficient_scope; carries the scopes required
    ├── DeniedByPolicy       403     none: no scope would help   denied_by_policy
    ├── OriginRefused        403     none                origin_refused
    ├── HostRefused          421     none                host_refused
    ├── ProtocolError        400     none; a JSON-RPC code       one per subclass: invalid_json, invalid_message,
    │                                                    header_mismatch, repeated_header
    ├── BodyTooLarge         413     none                body_too_large
    └── KeysUnavailable      503     none: not the caller's doing  keys_unavailable

`error` and `description` are for the caller, `reason` and the text of the exception for the log alone.
The reasons are a contract; the sentences are not.
"""

from __future__ import annotations

from typing import ClassVar

# From the range that JSON-RPC leaves to implementations and MCP does not reserve (-32020 to -32099).
REFUSED = -32010

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
HEADER_MISMATCH = -32020


class Refusal(Exception):
    """A request that goes no further. The text says why, for the log only; it never holds a token."""

    status: ClassVar[int]
    reason: ClassVar[str]
    description: ClassVar[str]  # one sentence for the caller, with the next step
    error: ClassVar[str | None] = None
    code: ClassVar[int] = REFUSED  # the JSON-RPC error code of the body


class MissingToken(Refusal):
    """The request carries no bearer token, so the challenge names no error (RFC 6750 §3.1)."""

    status = 401
    reason = "missing_token"
    description = "This server needs an access token: log in at the issuer its resource metadata names."


class MalformedRequest(Refusal):
    """The token is conveyed in a way that no reading of RFC 6750 §2.1 allows."""

    status = 400
    error = "invalid_request"
    reason = "malformed_request"
    description = "Send exactly one Authorization header with one bearer token, and the body as application/json."


class InvalidToken(Refusal):
    """A token was presented and is worth nothing here (RFC 6750 §3.1)."""

    status = 401
    error = "invalid_token"
    description = "The access token is not valid for this server: obtain a new one for this resource."


class MalformedToken(InvalidToken):
    """What was sent is not one compact JWS with a JSON object inside (RFC 7515 §5.2, RFC 7519 §7.2)."""

    reason = "malformed_token"


class OversizedToken(InvalidToken):
    """The token is larger than any honest one, so it is not even split."""

    reason = "oversized_token"


class UnsupportedAlgorithm(InvalidToken):
    """`alg` is not one that the settings allow for this issuer (RFC 8725 §3.1)."""

    reason = "unsupported_algorithm"


class UnknownIssuer(InvalidToken):
    """`iss` is not, character for character, an issuer of this resource (RFC 8725 §3.8)."""

    reason = "unknown_issuer"


class UnknownKey(InvalidToken):
    """The issuer publishes no usable key of this id and algorithm."""

    reason = "unknown_key"


class BadSignature(InvalidToken):
    """The key does not verify these bytes."""

    reason = "bad_signature"


class WrongTokenKind(InvalidToken):
    """A JWT of another purpose: an ID token, an assertion, a logout token (RFC 8725 §3.11)."""

    reason = "wrong_token_kind"


class ExpiredToken(InvalidToken):
    """`exp` lies in the past, beyond the leeway."""

    reason = "expired_token"
    description = "The access token has expired: refresh it or log in again."


class NotYetValid(InvalidToken):
    """`nbf` or `iat` lies in the future, beyond the leeway."""

    reason = "not_yet_valid"


class WrongAudience(InvalidToken):
    """The token was issued for another resource (RFC 9068 §4)."""

    reason = "wrong_audience"


class ClientNotAllowed(InvalidToken):
    """A token without audience, from a client that is not on the list, or without a scope of this resource."""

    reason = "client_not_allowed"


class BoundToken(InvalidToken):
    """The token is bound to a key (`cnf`), so it is worth nothing as a bearer token (RFC 9449 §7.2)."""

    reason = "bound_token"


class InsufficientScope(Refusal):
    """The principal lacks a scope; `scopes` is all that the operation needs, granted ones included."""

    status = 403
    error = "insufficient_scope"
    reason = "insufficient_scope"
    description = "The access token lacks a scope this operation needs: ask for the scopes named in the challenge."

    def __init__(self, scopes: frozenset[str], detail: str) -> None:
        super().__init__(detail)
        self.scopes = scopes


class DeniedByPolicy(Refusal):
    """No scope would help: the policy wants another group or claim (RFC 6750 §3.1 by what it leaves out)."""

    status = 403
    reason = "denied_by_policy"
    description = "This principal may not do this, whatever its scopes: ask whoever runs the server."


class OriginRefused(Refusal):
    """A browser says that a page of a foreign origin sent this (MCP Transports, security warning)."""

    status = 403
    reason = "origin_refused"
    description = "Pages of this origin may not call this server: its operator can add them to allowed_origins."


class HostRefused(Refusal):
    """The request was meant for a host that is not this one, as in DNS rebinding (RFC 9110 §7.4)."""

    status = 421
    reason = "host_refused"
    description = "This server does not answer for that Host: its operator can add it to allowed_hosts."


class ProtocolError(Refusal):
    """The message breaks MCP or JSON-RPC; `request_id` is echoed where the body gave one."""

    status = 400

    def __init__(self, detail: str, request_id: int | str | None = None) -> None:
        super().__init__(detail)
        self.request_id = request_id


class InvalidJson(ProtocolError):
    """The body is not JSON (JSON-RPC 2.0 §5.1)."""

    reason = "invalid_json"
    description = "The body is not valid JSON."
    code = PARSE_ERROR


class InvalidMessage(ProtocolError):
    """The body is JSON, but not a message whose operation can be told."""

    reason = "invalid_message"
    description = "The body is not a JSON-RPC message of MCP, or names its tool, prompt or resource in no known way."
    code = INVALID_REQUEST


class HeaderMismatch(ProtocolError):
    """A mirrored header is missing or says something else than the body (MCP 2026-07-28, Server Validation)."""

    reason = "header_mismatch"
    description = "MCP-Protocol-Version, Mcp-Method and Mcp-Name must be present and equal to the body."
    code = HEADER_MISMATCH


class RepeatedHeader(ProtocolError):
    """A header that says one thing was sent twice, so what it says depends on who reads it."""

    reason = "repeated_header"
    description = "An MCP header was sent more than once: send it once."
    code = INVALID_REQUEST


class BodyTooLarge(Refusal):
    """The body is larger than the settings allow."""

    status = 413
    reason = "body_too_large"
    description = "The body is larger than this server accepts: send less in one request."


class KeysUnavailable(Refusal):
    """The issuer's keys cannot be had, so nobody can be verified; the caller's token may be fine."""

    status = 503
    reason = "keys_unavailable"
    description = "The issuer's keys cannot be fetched at the moment: try again later with the same token."

    def __init__(self, detail: str, retry_after: int) -> None:
        super().__init__(detail)
        self.retry_after = retry_after  # seconds
