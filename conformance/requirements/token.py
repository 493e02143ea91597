"""Tokens: what makes one valid here, and everything that makes one worth nothing."""

from __future__ import annotations

from .requirement import ALL, Requirement

REQUIREMENTS = (
    Requirement(
        "JWT-FMT-01",
        role="resource-server",
        level="MUST",
        versions=ALL,
        basis="rfc",
        needs="none",
        source="RFC 7519 §7.2; RFC 7515 §5.2; RFC 8725 §3.6; RFC 7797 §6; RFC 6750 §3.1",
        statement=(
            "Only a compact JWS of three parts whose header and payload are JSON objects is looked at; every other "
            "shape of token is a plain 401."
        ),
    ),
    Requirement(
        "JWT-FMT-02",
        role="resource-server",
        level="MUST",
        versions=ALL,
        basis="rfc",
        needs="issuer-control",
        source="RFC 7519 §4; RFC 7515 §4",
        statement=(
            "A member that stands twice in header or payload makes the token invalid, or counts with its last value, "
            "everywhere alike."
        ),
    ),
    Requirement(
        "JWT-ALG-01",
        role="resource-server",
        level="MUST",
        versions=ALL,
        basis="rfc",
        needs="issuer-control",
        source="RFC 8725 §3.2; RFC 9068 §2.1 and §4",
        statement=(
            "A token without a signature is refused, however it spells `none` and whatever stands where the signature "
            "belongs."
        ),
    ),
    Requirement(
        "JWT-ALG-02",
        role="resource-server",
        level="MUST",
        versions=ALL,
        basis="rfc",
        needs="issuer-control",
        source="RFC 8725 §2.1, §3.1",
        statement=(
            "A public key never serves as a shared secret: no HMAC made with it verifies, in whichever form the key "
            "was taken."
        ),
    ),
    Requirement(
        "JWT-ALG-03",
        role="resource-server",
        level="MUST",
        versions=ALL,
        basis="rfc",
        needs="issuer-control",
        source="RFC 8725 §3.1-3.2; RFC 7517 §4.1-4.4; RFC 8414 §2 (jwks_uri)",
        statement=(
            "The settings say which algorithms an issuer's tokens may have, and a published key verifies only what its "
            "type, `alg` and `use` allow."
        ),
    ),
    Requirement(
        "JWT-ALG-04",
        role="resource-server",
        level="MUST",
        versions=ALL,
        basis="rfc",
        needs="issuer-control",
        source="RFC 7518 §3.3-3.4; RFC 8725 §3.3-3.4",
        statement=(
            "Keys and signatures that are too weak or no real ones are refused: short RSA keys, zeros for ECDSA, other "
            "curves, other lengths."
        ),
    ),
    Requirement(
        "JWT-ALG-05",
        role="resource-server",
        level="MUST",
        versions=ALL,
        basis="rfc",
        needs="issuer-control",
        source="RFC 9068 §4; RFC 8725 §3.3",
        statement="Right claims are worth nothing under a signature by a key that the issuer does not publish.",
    ),
    Requirement(
        "JWT-HDR-01",
        role="resource-server",
        level="MUST NOT",
        versions=ALL,
        basis="rfc",
        needs="issuer-control",
        source="RFC 8725 §3.10; RFC 7515 §10",
        statement="A key that the token brings along, or a place it names for one, is neither believed nor visited.",
    ),
    Requirement(
        "JWT-HDR-02",
        role="resource-server",
        level="MUST",
        versions=ALL,
        basis="rfc",
        needs="issuer-control",
        source="RFC 7515 §4.1.11",
        statement=(
            "A `crit` that is malformed, or that asks for something the verifier does not know, makes the token "
            "invalid."
        ),
    ),
    Requirement(
        "JWT-TYP-01",
        role="resource-server",
        level="MUST",
        versions=ALL,
        basis="rfc",
        needs="issuer-control",
        source="RFC 9068 §2.1 and §4; RFC 8725 §3.11; RFC 7515 §4.1.9",
        statement=(
            "Tokens of an issuer that follows RFC 9068 must say in `typ` that they are access tokens, in any case and "
            "with or without `application/`."
        ),
    ),
    Requirement(
        "JWT-TYP-02",
        role="resource-server",
        level="MUST",
        versions=ALL,
        basis="rfc",
        needs="issuer-control",
        source="RFC 8725 §3.11-3.12; ext-auth Enterprise-Managed Authorization, ID-JAG typ",
        statement="A JWT that declares itself to be of another kind is no access token, whoever issued it.",
    ),
    Requirement(
        "JWT-KID-01",
        role="resource-server",
        level="MUST",
        versions=ALL,
        basis="practice",
        needs="issuer-control",
        source="RFC 8725 §3.10; RFC 7517 §4.5; OpenID Connect Core §10.1.1",
        statement=(
            "`kid` is a stranger's text: it only ever looks up a key, and unknown ones together cause one fetch of the "
            "key set now and then."
        ),
    ),
    Requirement(
        "JWT-KID-02",
        role="resource-server",
        level="SHOULD",
        versions=ALL,
        basis="rfc",
        needs="issuer-control",
        source="RFC 7515 §4.1.4; RFC 7517 §4.5; OpenID Connect Core §10.1",
        statement="A token that names no key is accepted only where a single published key could have signed it.",
    ),
    Requirement(
        "JWT-KID-03",
        role="resource-server",
        level="SHOULD",
        versions=ALL,
        basis="rfc",
        needs="issuer-control",
        source="OpenID Connect Core §10.1.1; RFC 8414 §2 (jwks_uri)",
        statement=(
            "Without a restart, new keys are believed soon after their first use, and withdrawn ones no longer once "
            "the cached set has aged."
        ),
    ),
    Requirement(
        "JWT-JWKS-01",
        role="resource-server",
        level="MUST",
        versions=ALL,
        basis="rfc",
        needs="issuer-control",
        source="RFC 8725 §3.10; RFC 8414 §2 and §6.1; RFC 9728 §7.7",
        statement=(
            "Keys come from where the settings or the issuer's own metadata say, over TLS, in limited time and size, "
            "and never from where a redirect leads."
        ),
    ),
    Requirement(
        "JWT-JWKS-02",
        role="resource-server",
        level="MUST",
        versions=ALL,
        basis="practice",
        needs="issuer-control",
        source="OAuth 2.1 §5.2",
        statement=(
            "While keys cannot be had, those known serve for a limited time; after that, or without any, requests are "
            "refused."
        ),
    ),
    Requirement(
        "JWT-ISS-01",
        role="resource-server",
        level="MUST",
        versions=ALL,
        basis="rfc",
        needs="issuer-control",
        source="RFC 9068 §4; RFC 8725 §3.8",
        statement="`iss` names a configured issuer to the letter; any other spelling is some other issuer.",
    ),
    Requirement(
        "JWT-ISS-02",
        role="resource-server",
        level="MUST",
        versions=ALL,
        basis="rfc",
        needs="issuer-control",
        source="RFC 8725 §3.8; RFC 9207 §1; MCP Authorization, Token Handling",
        statement=(
            "One issuer's key verifies only its own tokens, and an issuer counts only at the resources that list it."
        ),
    ),
    Requirement(
        "JWT-AUD-01",
        role="resource-server",
        level="MUST",
        versions=ALL,
        basis="mcp",
        needs="issuer-control",
        source="MCP Authorization, Token Handling and Access Token Privilege Restriction; RFC 9068 §4; RFC 8707 §2",
        statement="A token meant for somebody else gets a 401 that says invalid_token, however many scopes it has.",
    ),
    Requirement(
        "JWT-AUD-02",
        role="resource-server",
        level="MUST",
        versions=ALL,
        basis="rfc",
        needs="issuer-control",
        source="RFC 7519 §4.1.3",
        statement="`aud` may be one string or a list of them, and nothing else.",
    ),
    Requirement(
        "JWT-AUD-03",
        role="resource-server",
        level="MUST NOT",
        versions=ALL,
        basis="rfc",
        needs="issuer-control",
        source="RFC 9068 §4; RFC 7519 §4.1.3; RFC 9728 §6",
        statement=(
            "An audience fits as a whole or not at all: sharing a beginning, an end, a part or the origin is not "
            "enough."
        ),
    ),
    Requirement(
        "JWT-AUD-04",
        role="resource-server",
        level="MUST",
        versions=ALL,
        basis="mcp",
        needs="issuer-control",
        source=(
            "MCP Authorization, Access Token Privilege Restriction ('audience claim or otherwise verify'); RFC 9068 "
            "§2.2"
        ),
        statement=(
            "A token that names no audience is refused, unless the settings say how else it shows whom it is for."
        ),
    ),
    Requirement(
        "JWT-AUD-05",
        role="resource-server",
        level="MUST",
        versions=ALL,
        basis="practice",
        needs="issuer-control",
        source=(
            "MCP Authorization, Access Token Privilege Restriction; Amazon Cognito developer guide, verifying tokens "
            "and resource binding"
        ),
        statement=(
            "A Cognito token without `aud` is taken from a listed client that holds a scope of our resource server; "
            "where there is an `aud`, it alone decides."
        ),
    ),
    Requirement(
        "JWT-AUD-06",
        role="gateway-proxy",
        level="MUST",
        versions=ALL,
        basis="mcp",
        needs="issuer-control",
        source="MCP Authorization, Token Handling; RFC 8707 §2; RFC 9728 §3.1 (multiple resources per host)",
        statement=(
            "Each MCP URL behind one gateway is a resource of its own, and a token for one is refused at the next."
        ),
    ),
    Requirement(
        "JWT-AUD-07",
        role="resource-server",
        level="SHOULD",
        versions=ALL,
        basis="mcp",
        needs="issuer-control",
        source="MCP Authorization, Canonical Server URI",
        statement=(
            "Other spellings of the resource pass only as aliases in the settings, and the gateway itself always "
            "writes the one without a slash at its end."
        ),
    ),
    Requirement(
        "JWT-USE-01",
        role="resource-server",
        level="MUST",
        versions=ALL,
        basis="rfc",
        needs="issuer-control",
        source="RFC 8725 §3.12; RFC 9068 §5; OAuth 2.1 §4.3; Amazon Cognito developer guide, verifying JSON web tokens",
        statement=(
            "What was made for another purpose is no access token: ID tokens, refresh tokens, codes, assertions; for "
            "Cognito `token_use` must say access."
        ),
    ),
    Requirement(
        "JWT-EXP-01",
        role="resource-server",
        level="MUST",
        versions=ALL,
        basis="mcp",
        needs="issuer-control",
        source="MCP Authorization, Token Handling; RFC 9068 §2.2 and §4; RFC 7519 §4.1.4",
        statement="An expired token is a 401, and so is one whose `exp` is missing or is not a sensible date.",
    ),
    Requirement(
        "JWT-EXP-02",
        role="resource-server",
        level="MUST",
        versions=ALL,
        basis="rfc",
        needs="issuer-control",
        source="RFC 7519 §4.1.4-4.1.6; RFC 8725 §3.10",
        statement=(
            "A token counts neither before its `nbf` nor with an `iat` far ahead, and one small leeway from the "
            "settings applies to all three dates."
        ),
    ),
    Requirement(
        "JWT-SUB-01",
        role="resource-server",
        level="SHOULD",
        versions=ALL,
        basis="rfc",
        needs="issuer-control",
        source="RFC 8725 §3.8; RFC 9068 §2.2, §5; RFC 9700 §4.15",
        statement=(
            "A principal is issuer and `sub` together, or issuer and client for a machine; names and mail addresses "
            "tell nobody apart."
        ),
    ),
    Requirement(
        "JWT-CACHE-01",
        role="resource-server",
        level="MUST",
        versions=ALL,
        basis="practice",
        needs="issuer-control",
        source="OAuth 2.1 §5.2; RFC 7662 §4 (caching trade-off)",
        statement=(
            "A remembered verification belongs to the whole token and ends with it, and refused tokens cannot push it "
            "out or change it."
        ),
    ),
    Requirement(
        "RS-OPQ-01",
        role="resource-server",
        level="MAY",
        versions=ALL,
        basis="rfc",
        needs="as-access",
        source="RFC 7662 §2.1-2.2, §4; OAuth 2.1 §5.2",
        statement=(
            "Opaque tokens may be checked by asking the issuer, where anything but a clear yes for this resource is a "
            "refusal, remembered for a short time only."
        ),
    ),
)
