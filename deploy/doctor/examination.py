"""All steps of a client in their order."""

from __future__ import annotations

import ssl

from deploy.doctor.asking import Asker, Resolver, home_of
from deploy.doctor.browsers import as_page
from deploy.doctor.connection import connect
from deploy.doctor.issuer import ask_issuers
from deploy.doctor.metadata import read_metadata
from deploy.doctor.refusal import ask_without_token
from deploy.doctor.streams import watch
from deploy.doctor.tokens import with_bad_tokens, with_token
from deploy.doctor.visit import CannotExamine, Question, Visit
from discovery.fetch import resolve
from discovery.location import InvalidLocation


async def examine(
    question: Question,
    *,
    tls: ssl.SSLContext | None = None,
    resolver: Resolver = resolve,
) -> Visit:
    """What a client meets at a server, step by step.

    Raises:
        CannotExamine: there is no such server, or nobody answers.
    """
    try:
        home = home_of(question.url)
    except InvalidLocation as why:
        raise CannotExamine(f"This URL cannot be examined: {why}.") from None
    if home.query is not None:
        raise CannotExamine("This URL cannot be examined: leave out '?' and what follows.")
    asker = Asker(home, question.patience, tls=tls, resolver=resolver, secret=question.token)
    try:
        _ = asker.tls
    except OSError:  # ssl.SSLError is one
        raise CannotExamine("SSL_CERT_FILE or SSL_CERT_DIR names no certificates in PEM: correct it.") from None
    visit = Visit(question, home, asker)
    await connect(visit)
    await walk(visit)
    return visit


async def walk(visit: Visit) -> None:
    """The steps from the first request on.

    Raises:
        CannotExamine: nobody answers.
    """
    await ask_without_token(visit)
    if visit.findings.has("open"):
        visit.findings.skip(
            "challenge, metadata, issuer, tokens, web pages and event streams",
            "a server that asks for a token",
        )
        return
    await read_metadata(visit)
    await ask_issuers(visit)
    if visit.findings.has("redirected", "not-401"):
        visit.findings.skip("calls from web pages, and bad tokens", "an endpoint that answers 401 without a token")
    else:
        await as_page(visit)
        await with_bad_tokens(visit)
    await with_token(visit)
    await watch(visit)
