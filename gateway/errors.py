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
    ├── DeniedByPolicy       403     none: no scope would help   denied_by_policy, policy_denied
    ├── ForwardRefused       403     none                forward_refused
    ├── OriginRefused        403     none                origin_refused
    ├── HostRefused          421     none                host_refused
    ├── ProtocolError        400     none; a JSON-RPC code       one per subclass: invalid_json, invalid_message,
    │                                                    ambiguous_uri, header_mismatch, repeated_header
    ├── BodyTooLarge         413     none                body_too_large
    ├── HeadersTooLarge      431     none                headers_too_large
    ├── NotForwarded         404     none                not_forwarded
    ├── UnknownSession       404     none                unknown_session
    ├── MethodNotForwarded   501     none                method_not_forwarded
    ├── KeysUnavailable      503     none: not the caller's doing  keys_unavailable
    ├── UpstreamBusy         503     none: likewise      upstream_busy
    ├── UpstreamTimeout      504     none: likewise      upstream_timeout
    └── UpstreamFailed       502     none: likewise      one per subclass: upstream_unreachable, upstream_broken,
                                                         upstream_refused_gate, upstream_redirected

`error` and `description` are for the caller; `reason`, `remedy` and the text of the exception are for the operator.
The reasons are a contract; the sentences are not.
"""

from __future__ import annotations

from typing import ClassVar

# From the range that JSON-RPC leaves to implementations and MCP does not reserve (-32020 to -32099).
REFUSED = -32010

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
INVALID_PARAMS = -32602
HEADER_MISMATCH = -32020


class Refusal(Exception):
    """A request that goes no further. The text says why, for the log only; it never holds a token."""

    status: ClassVar[int]
    reason: ClassVar[str]
    remedy: ClassVar[str]  # for whoever runs the gate: what to change, and where
    description: str  # one sentence for the caller, with the next step
    error: ClassVar[str | None] = None
    code: ClassVar[int] = REFUSED  # the JSON-RPC error code of the body


class MissingToken(Refusal):
    """The request carries no bearer token, so the challenge names no error (RFC 6750 §3.1)."""

    status = 401
    reason = "missing_token"
    remedy = (
        "The client must log in: check that it supports MCP authorization, follows resource_metadata, and "
        "sends `Authorization: Bearer`."
    )
    description = "This server needs an access token: log in at the issuer its resource metadata names."


class MalformedRequest(Refusal):
    """The token is conveyed in a way that no reading of RFC 6750 §2.1 allows."""

    status = 400
    error = "invalid_request"
    reason = "malformed_request"
    remedy = (
        "The client, or a proxy between, must send one Authorization field with one token, no access_token "
        "in the query, and JSON."
    )
    description = "Send exactly one Authorization header with one bearer token, and the body as application/json."


class InvalidToken(Refusal):
    """A token was presented and is worth nothing here (RFC 6750 §3.1)."""

    status = 401
    error = "invalid_token"
    description = "The access token is not valid for this server: obtain a new one for this resource."


class MalformedToken(InvalidToken):
    """What was sent is not one compact JWS with a JSON object inside (RFC 7515 §5.2, RFC 7519 §7.2)."""

    reason = "malformed_token"
    remedy = (
        "The client sends something that is no JWT access token of this issuer: an opaque token, an ID of a "
        "session, or a damaged one."
    )


class OversizedToken(InvalidToken):
    """The token is larger than any honest one, so it is not even split."""

    reason = "oversized_token"
    remedy = "The issuer must put fewer groups or claims into its access tokens."


class UnsupportedAlgorithm(InvalidToken):
    """`alg` is not one that the settings allow for this issuer (RFC 8725 §3.1)."""

    reason = "unsupported_algorithm"
    remedy = (
        "If the issuer really signs with this algorithm, add it to algorithms of that issuer; otherwise "
        "somebody made the token up."
    )


class UnknownIssuer(InvalidToken):
    """`iss` is not, character for character, an issuer of this resource (RFC 8725 §3.8)."""

    reason = "unknown_issuer"
    remedy = "If the issuer is to be trusted, add it to issuers, spelled exactly as here, slash and case included."


class UnknownKey(InvalidToken):
    """The issuer publishes no usable key of this id and algorithm."""

    reason = "unknown_key"
    remedy = "The issuer has withdrawn the key, or the token is not the issuer's: the client must obtain a new one."


class BadSignature(InvalidToken):
    """The key does not verify these bytes."""

    reason = "bad_signature"
    remedy = "The token was changed on its way, or made up: the client must obtain a new one."


class WrongTokenKind(InvalidToken):
    """A JWT of another purpose: an ID token, an assertion, a logout token (RFC 8725 §3.11)."""

    reason = "wrong_token_kind"
    remedy = (
        "The client must send the access token, not the ID token or another one; if this issuer does not "
        "stamp at+jwt, leave token_type empty."
    )


class ExpiredToken(InvalidToken):
    """`exp` lies in the past, beyond the leeway."""

    reason = "expired_token"
    remedy = "The client must refresh its token; if the token is fresh, one of the clocks is wrong."
    description = "The access token has expired: refresh it or log in again."


class NotYetValid(InvalidToken):
    """`nbf` or `iat` lies in the future, beyond the leeway."""

    reason = "not_yet_valid"
    remedy = "The clock of the issuer or of this machine is wrong: set it by NTP, or raise leeway by a few seconds."


class WrongAudience(InvalidToken):
    """The token was issued for another resource (RFC 9068 §4)."""

    reason = "wrong_audience"
    remedy = (
        "The client must ask for the token with `resource` set to this resource; what the issuer writes into "
        "aud can be accepted through aliases."
    )


class ClientNotAllowed(InvalidToken):
    """A token without audience, from a client that is not on the list, or without a scope of this resource."""

    reason = "client_not_allowed"
    remedy = "Add the client to client_ids of the issuer, and give it a scope of this resource's resource server."


class BoundToken(InvalidToken):
    """The token is bound to a key (`cnf`), so it is worth nothing as a bearer token (RFC 9449 §7.2)."""

    reason = "bound_token"
    remedy = "The client must obtain a plain bearer token: DPoP and mTLS-bound tokens are not accepted."


class InsufficientScope(Refusal):
    """The principal lacks a scope; `scopes` is all that the operation needs, granted ones included."""

    status = 403
    error = "insufficient_scope"
    reason = "insufficient_scope"
    remedy = (
        "The client must log in again with the scopes named here; the issuer must be willing to grant them "
        "to this client."
    )
    description = "The access token lacks a scope this operation needs: ask for the scopes named in the challenge."

    def __init__(self, scopes: frozenset[str], detail: str) -> None:
        super().__init__(detail)
        self.scopes = scopes


class DeniedByPolicy(Refusal):
    """No scope would help: the policy wants another group or claim (RFC 6750 §3.1 by what it leaves out)."""

    status = 403
    reason = "denied_by_policy"
    remedy = "Put the principal into one of the groups, or give it the claim, that the rule names; or change the rule."
    description = "This principal may not do this, whatever its scopes: ask whoever runs the server."


class DeniedByCedar(DeniedByPolicy):
    """The Cedar policies forbid it, or none of them permits it; `advice` is what they say to the caller."""

    reason = "policy_denied"
    remedy = (
        "`detail` names the policies that decided by their @id; try a change with `bearergate policy test`, or with "
        "dry_run."
    )

    def __init__(self, detail: str, advice: str = "") -> None:
        super().__init__(detail)
        self.description = advice or self.description


class ForwardRefused(Refusal):
    """Somebody asks /authz who may not, or a proxy does not say what it asks about."""

    status = 403
    reason = "forward_refused"
    remedy = "List the proxy in forward_auth_peers, and let it name one resource with forward_auth, as the guide shows."
    description = "This request cannot be judged here: the proxy that asks must be set up for it."


class OriginRefused(Refusal):
    """A browser says that a page of a foreign origin sent this (MCP Transports, security warning)."""

    status = 403
    reason = "origin_refused"
    remedy = "If the page at this origin is meant to call, add the origin to allowed_origins."
    description = "Pages of this origin may not call this server: its operator can add them to allowed_origins."


class HostRefused(Refusal):
    """The request was meant for a host that is not this one, as in DNS rebinding (RFC 9110 §7.4)."""

    status = 421
    reason = "host_refused"
    remedy = "If a proxy in front sends this Host, make it pass the public one on, or add it to allowed_hosts."
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
    remedy = "The client sends a body that is not JSON."
    description = "The body is not valid JSON."
    code = PARSE_ERROR


class InvalidMessage(ProtocolError):
    """The body is JSON, but not a message whose operation can be told."""

    reason = "invalid_message"
    remedy = "The client sends JSON that is not an MCP message, or names its tool, prompt or resource in no known way."
    description = "The body is not a JSON-RPC message of MCP, or names its tool, prompt or resource in no known way."
    code = INVALID_REQUEST


class AmbiguousUri(ProtocolError):
    """Rules ask about resources, and this URI of one can be read in more than one way (RFC 3986 §6.1)."""

    reason = "ambiguous_uri"
    remedy = "The client must write the resource's URI as RFC 3986 has it; `detail` says what is wrong with it."
    description = (
        "The URI of the resource can be read in more than one way: write it in its shortest form, with the scheme in "
        "lower case, without dot segments, needless escapes or a fragment."
    )
    code = INVALID_PARAMS


class HeaderMismatch(ProtocolError):
    """A mirrored header is missing or says something else than the body (MCP 2026-07-28, Server Validation)."""

    reason = "header_mismatch"
    remedy = (
        "The client, or a proxy between, must leave MCP-Protocol-Version, Mcp-Method and Mcp-Name as the body says."
    )
    description = "MCP-Protocol-Version, Mcp-Method and Mcp-Name must be present and equal to the body."
    code = HEADER_MISMATCH


class RepeatedHeader(ProtocolError):
    """A header that says one thing was sent twice, so what it says depends on who reads it."""

    reason = "repeated_header"
    remedy = "The client, or a proxy between, sends a header twice that says one thing; `detail` names it."
    description = "A header that says one thing was sent more than once: send it once."
    code = INVALID_REQUEST


class BodyTooLarge(Refusal):
    """The body is larger than the settings allow."""

    status = 413
    reason = "body_too_large"
    remedy = "The client must send less in one request, or max_body_bytes must be raised."
    description = "The body is larger than this server accepts: send less in one request."


class KeysUnavailable(Refusal):
    """The issuer's keys cannot be had, so nobody can be verified; the caller's token may be fine."""

    status = 503
    reason = "keys_unavailable"
    remedy = (
        "See the gate's own log for why: the issuer is down, its address is wrong, or it is private and not "
        "in private_hosts."
    )
    description = "The issuer's keys cannot be fetched at the moment: try again later with the same token."

    def __init__(self, detail: str, retry_after: int) -> None:
        super().__init__(detail)
        self.retry_after = retry_after  # seconds


class HeadersTooLarge(Refusal):
    """The header fields are larger than the settings allow (RFC 6585 §5)."""

    status = 431
    reason = "headers_too_large"
    remedy = "The client must send fewer or shorter headers, or max_header_bytes of the upstream must be raised."
    description = "The request's headers are larger than this server accepts: send fewer or shorter ones."


class NotForwarded(Refusal):
    """The path is below the resource, but one that no upstream is shown: a well-known document, or dot segments."""

    status = 404
    reason = "not_forwarded"
    remedy = "The client must ask for a plain path below the resource; well-known documents are the gate's own."
    description = "There is nothing here: use the MCP endpoint itself."


class UnknownSession(Refusal):
    """The session id was made up, or sealed for another principal or resource (MCP Transports, Session Management)."""

    status = 404
    reason = "unknown_session"
    remedy = (
        "The client must open a new session with initialize; if that happens to many, the replicas do not share "
        "their seal_keys_file."
    )
    description = "Session not found: send initialize to open one."
    code = INVALID_REQUEST


class MethodNotForwarded(Refusal):
    """The method would tunnel through the gate, or show what it adds to a request (RFC 9110 §9.3.6 and §9.3.8)."""

    status = 501
    reason = "method_not_forwarded"
    remedy = "The client must use GET, POST, DELETE or another method that only asks something of the resource."
    description = "This method is not passed on: use POST, GET or DELETE."


class UpstreamBusy(Refusal):
    """As many connections to the upstream are open as the settings, or this process, allow."""

    status = 503
    reason = "upstream_busy"
    remedy = "Raise max_connections of the upstream and the limit on open files, or run more replicas."
    description = "The server behind this gateway is busy: try again in a moment with the same token."


class UpstreamTimeout(Refusal):
    """The upstream did not take the connection, begin its answer or go on with it in time."""

    status = 504
    reason = "upstream_timeout"
    remedy = "See why the upstream is slow, or raise connect_seconds, first_byte_seconds or idle_seconds of it."
    description = "The server behind this gateway did not answer in time: try again later with the same token."


class UpstreamFailed(Refusal):
    """The upstream gave no answer that can be passed on."""

    status = 502


class UpstreamUnreachable(UpstreamFailed):
    """No connection to the upstream: refused, no such host, or a certificate that does not hold."""

    reason = "upstream_unreachable"
    remedy = "Check that the upstream runs, that url of the upstream names it, and that ca_file fits its certificate."
    description = "The server behind this gateway cannot be reached: try again later with the same token."


class UpstreamBroken(UpstreamFailed):
    """The upstream closed before its answer was there, or sent what is no unambiguous HTTP (RFC 9112 §6.3)."""

    reason = "upstream_broken"
    remedy = "See the upstream's own log: it hung up in the middle, or what listens there does not speak HTTP/1.1."
    description = "The server behind this gateway gave no proper answer: try again later with the same token."


class UpstreamRefusedGate(UpstreamFailed):
    """The upstream challenges the gate, whose own credential it does not take; the caller's token is fine."""

    reason = "upstream_refused_gate"
    remedy = "Give the upstream a valid credential of the gate's own, or switch off its authorization."
    description = "The server behind this gateway refused the gateway's own credential: tell whoever runs it."


class UpstreamRedirected(UpstreamFailed):
    """The upstream answers with a redirect, whose target would lead the caller around the gate."""

    reason = "upstream_redirected"
    remedy = "Set url of the upstream to where it redirects to; often only a slash at the end is missing."
    description = "The server behind this gateway is not where it is expected: tell whoever runs it."
