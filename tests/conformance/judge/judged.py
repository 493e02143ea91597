"""Brings a mutant up, with the issuer and the upstream where it needs them, and has it judged."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from conformance.judge import judge
from conformance.mcp_server import PRIVILEGED, STATE
from conformance.options import Login, Options
from conformance.report import Report
from conformance.serving import serving
from tests.conformance.judge.correct import ADMIN, BASE, Protected
from tests.conformance.judge.login_server import NAME, PASSWORD, SECOND, LoginServer
from tests.conformance.judge.mutants import Mutant
from tests.conformance.judge.naive_front import naive_front
from tests.conformance.judge.tokens import SECOND_ISSUER
from tests.ports import free_port


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the tracebacks of servers that crash on purpose."""
    logger = logging.getLogger("uvicorn.error")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def server(*faults: str, only: tuple[str, ...] = (), logs: Path | None = None, **more: object) -> Report:
    """What is said of a server with issuer control."""
    port, issuer_port = free_port(), free_port()
    url = f"http://127.0.0.1:{port}/mcp"
    issuer = f"http://127.0.0.1:{issuer_port}"
    app = Protected(url, issuer, *faults, servers=(issuer, SECOND_ISSUER))
    options = Options(
        url,
        only=only,
        issuer_port=issuer_port,
        privileged_tool=PRIVILEGED,
        state_tool=STATE,
        scopes=(BASE, ADMIN),
        low_scopes=(BASE,),
        strict=True,
        logs=(logs,) if logs else (),
        patience=5,
    )
    with quiet(), serving(app, port, lifespan=True):
        app.log_file = logs
        return judge(replace(options, **more))  # type: ignore[arg-type]


def gateway(*faults: str, only: tuple[str, ...] = ()) -> Report:
    """What is said of a gateway with issuer and upstream control, and a second resource."""
    port, issuer_port, upstream_port = free_port(), free_port(), free_port()
    url, other = f"http://127.0.0.1:{port}/mcp", f"http://127.0.0.1:{port}/other"
    upstream = f"http://127.0.0.1:{upstream_port}/mcp"
    app = Protected(url, f"http://127.0.0.1:{issuer_port}", *faults, upstream=upstream, other=other)
    options = Options(
        url,
        only=only,
        issuer_port=issuer_port,
        upstream_port=upstream_port,
        other_url=other,
        privileged_tool=PRIVILEGED,
        scopes=(BASE, ADMIN),
        low_scopes=(BASE,),
        strict=True,
        patience=5,
    )
    with contextlib.ExitStack() as stack:
        stack.enter_context(quiet())
        if "lengths are believed" in faults:
            inner = stack.enter_context(serving(app, 0, lifespan=True))
            stack.enter_context(naive_front(port, f"http://127.0.0.1:{inner}"))
        else:
            stack.enter_context(serving(app, port, lifespan=True))
        return judge(options)


def with_login(*faults: str, only: tuple[str, ...] = ()) -> Report:
    """What is said of a server whose authorization server the judge logs in at."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/mcp"
    own = f"http://127.0.0.1:{port}"
    server = LoginServer(own, url, *faults)
    app = Protected(url, own, *faults, servers=(own,))
    app.beside = server
    options = Options(
        url,
        only=only,
        login=Login(NAME, PASSWORD),
        second_login=Login(SECOND, PASSWORD),
        low_scopes=(BASE,),
        privileged_tool=PRIVILEGED,
        strict=True,
        patience=5,
        grace=0.5,
    )
    with quiet(), serving(app, port, lifespan=True):
        return judge(options)


JUDGED = {"server": server, "gateway": gateway, "issuer": with_login}


def mutant_judged(mutant: Mutant, logs: Path) -> Report:
    """What is said of a mutant, about the requirement it breaks."""
    if mutant.setting == "server":
        return server(mutant.fault, only=(mutant.breaks,), logs=logs)
    return JUDGED[mutant.setting](mutant.fault, only=(mutant.breaks,))
