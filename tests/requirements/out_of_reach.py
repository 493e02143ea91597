"""The requirements that a gate before tools in its own process cannot show, each with the reason."""

from __future__ import annotations

ISSUER = "It binds the issuer, which the gate only names; the embedded issuer has its own tests, and the facade will."
FACADE = "It is about the authorization-server facade, which is not built yet."
CLIENT = "It binds a client, and the project's own is not built yet."

OUT_OF_REACH = {
    "RS-OPQ-01": "Introspection is a MAY and not offered: an opaque token is refused, and nobody is asked about it.",
    "EXT-DPOP-01": "DPoP is optional and not offered: there is no proof to check, and bound tokens are refused.",
    "GWP-01": "There is no upstream to keep the token from until the proxy is there; tools are never given one.",
    "GWP-03": "Only a proxied upstream could trust a header; the tools take the principal from the gate itself.",
    "GWP-04": "There is no upstream that could refuse the gate until the proxy is there.",
    "GWP-15": FACADE,
    "ASM-01": ISSUER,
    "ASM-02": ISSUER,
    "ASM-03": ISSUER,
    "ASM-04": ISSUER,
    "ASM-05": FACADE,
    "ASM-06": ISSUER,
    "ASM-07": ISSUER,
    "ASM-08": ISSUER,
    "ASM-09": ISSUER,
    "ASM-10": ISSUER,
    "ASM-11": ISSUER,
    "ASM-12": ISSUER,
    "ASM-13": ISSUER,
    "ASM-14": FACADE,
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
    "EXT-EMA-01": "No issuer here makes an ID-JAG or takes one; that it is no access token is shown with JWT-TYP-02.",
    "EXT-WIF-01": "No issuer here trades a platform's JWT; that it is no access token is shown with JWT-ISS-01.",
}
