"""Why the facade goes no further with a request: said to the client, or shown to the person.

    OAuthError   the client is told, by redirect or in JSON (RFC 6749 §4.1.2.1, §5.2)
    Shown        nobody can be trusted with a redirect, so a page says it (RFC 6749 §4.1.2.1)

`description` and `sentence` are for strangers, fixed texts that repeat nothing of a request. `detail` is for the
log alone; neither ever holds a token, code, verifier or secret.
"""

from __future__ import annotations

NO_PAGE = "The client asked for no page (prompt=none), and the issuer needs to show one; it must ask without."
REMEDIES = {
    "invalid_request": "The client sends a request that OAuth 2.1 does not allow; its developers must change it.",
    "invalid_client": (
        "The client must register again. If many do at once, a seal key was removed before its values were over: "
        "keep old keys in the list, behind the new one."
    ),
    "invalid_client_metadata": "The client asks to be registered with something this server does not do.",
    "invalid_redirect_uri": "The client must register https redirect URIs, a loopback address, or its own scheme.",
    "invalid_grant": (
        "The client must log in again: the code or refresh token is used, over, or another client's. If it happens "
        "at every refresh, look at the life of refresh tokens and the rotation grace at the issuer."
    ),
    "invalid_scope": "The client asks for scopes it was not granted, or the issuer does not let our client have them.",
    "invalid_target": "The client must name a resource of this gate in `resource`, exactly as its metadata does.",
    "unauthorized_client": "The grant is not offered here; the client must use the authorization code grant.",
    "unsupported_grant_type": "The client must use the authorization code or refresh token grant.",
    "unsupported_response_type": "The client must ask with response_type=code.",
    "unsupported_token_type": "Only refresh tokens can be revoked; access tokens end by themselves.",
    "access_denied": "A person refused, at our consent page or at the issuer.",
    "request_not_supported": "The client must send its parameters themselves, not as a request object.",
    "consent_required": "The client asked for no page (prompt=none), but the person has to agree: it must ask without.",
    "login_required": NO_PAGE,
    "interaction_required": NO_PAGE,
    "account_selection_required": NO_PAGE,
    "server_error": (
        "The issuer refused our own client or answered nonsense: check facade.client_id, its secret, and that the "
        "issuer allows our callback, the code grant and the scopes."
    ),
    "temporarily_unavailable": "The issuer cannot be reached or has trouble of its own; look at the log of the gate.",
    "too_many_requests": "Somebody registers more often than facade.registrations_per_minute allows.",
    "shown": "The person was shown a page; the detail says why. Nothing was redirected.",
}


class OAuthError(Exception):
    """An error that a client understands; `code` is OAuth's, `status` that of a JSON answer."""

    def __init__(self, code: str, description: str, *, status: int = 400, detail: str = "") -> None:
        super().__init__(detail or description)
        self.code = code
        self.description = description
        self.status = status


class Shown(Exception):
    """An error that only the person in front of the browser is told."""

    def __init__(self, sentence: str, *, status: int = 400, detail: str = "") -> None:
        super().__init__(detail or sentence)
        self.sentence = sentence
        self.status = status


def issuer_unavailable(detail: str) -> OAuthError:
    """The issuer cannot be asked; nothing is lost, and trying again may help."""
    return OAuthError(
        "temporarily_unavailable", "The issuer cannot be reached: try again in a moment.", status=503, detail=detail
    )
