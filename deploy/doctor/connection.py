"""The first steps: is anybody there, is it TLS, does the certificate hold, and do the clocks agree."""

from __future__ import annotations

import asyncio
import datetime as dt
import ssl
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import TYPE_CHECKING

from deploy.doctor.asking import NotAsked, cause
from deploy.doctor.visit import CannotExamine, Visit
from discovery.address import is_loopback

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from conformance.wire import Answer

SOON_DAYS = 14  # before its end, a certificate should have been renewed
LEEWAY = 30  # seconds by which clocks may differ, as `leeway` of the settings has it


async def connect(visit: Visit) -> None:
    """Whether a client would connect, and to whom.

    Raises:
        CannotExamine: nobody is there, or nobody who speaks TLS.
    """
    try:
        addresses = await visit.asker.addresses(visit.home)
    except NotAsked as why:
        raise CannotExamine(f"{visit.url} cannot be examined: {why}. Check how the host is spelled.") from None
    if visit.home.scheme == "https":
        await _look_at_certificate(visit, addresses)
    elif not is_loopback(visit.home.host):
        visit.asker.trusted = False
        visit.findings.add(
            "plain-http",
            f"{visit.url} is plain http, which MCP forbids and some clients refuse: tokens could be read on the way.",
            visit.at("https", f"Serve https, and set public_url to https://{visit.home.host}."),
        )


async def _look_at_certificate(visit: Visit, addresses: list[str]) -> None:
    try:
        shown = await _handshake(visit, addresses, visit.asker.tls)
    except ssl.SSLCertVerificationError as refusal:
        visit.asker.trusted = False
        _judge(visit, _parsed(await _handshake(visit, addresses, visit.asker.blind)), refusal)
        return
    left = _parsed(shown).not_valid_after_utc - _now(visit)
    if left < dt.timedelta(days=SOON_DAYS):
        visit.findings.add(
            "certificate-expiring",
            f"The certificate of {visit.home.host} ends in {left.days} days.",
            "Renew it now, and see why that did not happen by itself (ACM renews only while its DNS record stands).",
        )
    else:
        visit.findings.good(f"The certificate holds for {visit.home.host}, and for {left.days} more days")


def _judge(visit: Visit, certificate: Certificate, refusal: ssl.SSLCertVerificationError) -> None:
    """Everything that a client holds against a certificate, of which TLS names only the first."""
    names, host = _names(certificate), visit.home.host
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    known = visit.findings
    if not begins <= _now(visit) <= ends:
        known.add(
            "certificate-expired",
            f"The certificate of {host} is valid from {begins:%Y-%m-%d} to {ends:%Y-%m-%d}, and today is "
            f"{_now(visit):%Y-%m-%d}.",
            "Renew it, and reload what ends TLS; if the dates look right, set this machine's clock.",
        )
    if not any(_covers(name, host) for name in names):
        known.add(
            "certificate-host",
            f"The certificate is for {', '.join(names[:5]) or 'no name'}, and {host} was asked.",
            f"Use a certificate with {host} among its names (subjectAltName), or give clients a URL with its name.",
        )
    if not known.has("certificate-expired", "certificate-host") or refusal.verify_code in UNTRUSTED:
        known.add(
            "certificate-unknown",
            f"Clients do not know who signed the certificate of {host} ({refusal.verify_message}).",
            "Serve the full chain (fullchain.pem, not cert.pem) of a public authority. If the authority is your own, "
            "every client must be told of it; for the doctor, set SSL_CERT_FILE to its certificate.",
        )


UNTRUSTED = {18, 19, 20, 21}  # X509_V_ERR_…: self-signed, in the chain too, no issuer found, no chain


async def _handshake(visit: Visit, addresses: list[str], tls: ssl.SSLContext) -> bytes:
    """The certificate that is shown, as DER.

    Raises:
        ssl.SSLCertVerificationError: it does not hold.
        CannotExamine: there is no connection, or no TLS.
    """
    refused: Exception = OSError("no address")
    for address in addresses:
        try:
            return await asyncio.wait_for(_shown(address, visit, tls), visit.asker.patience)
        except ssl.SSLCertVerificationError:
            raise
        except (OSError, TimeoutError) as error:  # ssl.SSLError is an OSError
            refused = error
    if isinstance(refused, ssl.SSLError):
        raise CannotExamine(
            f"{visit.home.authority} does not speak TLS that clients understand ({cause(refused)}). "
            "Ask about the port that does, or let it listen with TLS 1.2 or 1.3."
        )
    raise CannotExamine(
        f"{visit.home.authority} cannot be reached ({cause(refused)}). Check host and port, and that it is up."
    )


async def _shown(address: str, visit: Visit, tls: ssl.SSLContext) -> bytes:
    _, writer = await asyncio.open_connection(
        address, visit.home.effective_port, ssl=tls, server_hostname=visit.home.host
    )
    shown: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.transport.abort()
    return shown


def _parsed(shown: bytes) -> Certificate:
    from cryptography.x509 import InvalidVersion, load_der_x509_certificate

    try:
        return load_der_x509_certificate(shown)
    except (ValueError, InvalidVersion) as error:
        raise CannotExamine(f"The certificate that is shown cannot be read ({cause(error)}): replace it.") from None


def _names(certificate: Certificate) -> list[str]:
    """The DNS names and addresses that a certificate is for."""
    from cryptography.x509 import DNSName, ExtensionNotFound, IPAddress, SubjectAlternativeName

    try:
        named = certificate.extensions.get_extension_for_class(SubjectAlternativeName).value
    except (ExtensionNotFound, ValueError):
        return []
    addresses = [str(each) for each in named.get_values_for_type(IPAddress)]
    return [*named.get_values_for_type(DNSName), *addresses]


def _covers(name: str, host: str) -> bool:
    """Whether a name of a certificate is that of a host (RFC 6125 §6.4.3)."""
    try:
        return ip_address(name) == ip_address(host)
    except ValueError:
        if name.startswith("*."):
            return name[1:].lower() == host[host.find(".") :]
        return name.lower() == host


def clocks(visit: Visit, answer: Answer) -> None:
    """Whether the server's clock agrees with this machine's, by its answer's Date."""
    said = answer.header("date")
    try:
        ahead = round((parsedate_to_datetime(said).astimezone(dt.UTC) - _now(visit)).total_seconds())
    except (ValueError, OverflowError):
        visit.findings.skip("the server's clock", "a Date header in its answers")
        return
    if abs(ahead) <= LEEWAY + answer.seconds:
        visit.findings.good("The server's clock agrees with this machine's")
        return
    visit.findings.add(
        "clock",
        f"The server's clock is {abs(ahead)} s {'ahead of' if ahead > 0 else 'behind'} this machine's, and tokens are "
        f"judged by it: more than {LEEWAY} s turns good ones down.",
        "Set whichever is wrong by NTP (chronyc tracking, timedatectl); leeway of the settings is for a few seconds.",
    )


def _now(visit: Visit) -> dt.datetime:
    return dt.datetime.fromtimestamp(visit.now(), dt.UTC)
