"""The requirements that no test of a server from outside can judge, each with the reason."""

from __future__ import annotations

CLIENT = "It binds a client, and this suite plays the client: what is judged here is a server."

OUT_OF_REACH = {
    "RS-403-05": "Which scope implies which is the server's own affair, and nothing it publishes says so.",
    "RS-403-07": "Why a policy refuses somebody who has every scope cannot be seen from outside, nor be brought about.",
    "RS-OPQ-01": "The suite's issuer makes signed tokens; a server that asks about opaque ones needs an issuer of "
    "its own.",
    "JWT-AUD-05": "It is about Amazon Cognito's tokens alone, and the suite's issuer makes those of RFC 9068.",
    "EXT-DPOP-01": "DPoP is optional and still a draft for MCP; that bound tokens are no bearer tokens is judged "
    "(EXT-DPOP-02).",
    "EXT-EMA-01": "It needs an enterprise's identity provider; that its assertion is no access token is judged "
    "(JWT-TYP-02).",
    "EXT-WIF-01": "It needs a platform that hands out tokens; that they are no access tokens is judged (JWT-ISS-01).",
    "CLI-01": CLIENT,
    "CLI-02": CLIENT,
    "CLI-03": CLIENT,
    "CLI-04": CLIENT,
    "CLI-05": CLIENT,
    "CLI-06": CLIENT,
    "CLI-07": CLIENT,
    "CLI-09": CLIENT,
    "CLI-10": CLIENT,
    "CLI-11": CLIENT,
    "CLI-12": CLIENT,
    "CLI-13": CLIENT,
    "CLI-14": CLIENT,
}
