"""The requirements that a gate before tools in its own process cannot show, each with the reason."""

from __future__ import annotations

OUT_OF_REACH = {
    "RS-OPQ-01": "Introspection is a MAY and not offered: an opaque token is refused, and nobody is asked about it.",
    "EXT-DPOP-01": "DPoP is optional and not offered: there is no proof to check, and bound tokens are refused.",
    "EXT-EMA-01": "No issuer here makes an ID-JAG or takes one; that it is no access token is shown with JWT-TYP-02.",
    "EXT-WIF-01": "No issuer here trades a platform's JWT; that it is no access token is shown with JWT-ISS-01.",
}
