"""Issuers of both profiles with one user, one app and one resource; keys are made once, since that is slow."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from conformance.issuer import Client, Issuer, Keys, ResourceServer, User
from tests.conformance.issuer.journey import CALLBACK, Journey

ALICE = User("alice", "wonderland", groups=("admins", "readers"), email="alice@example.com")
BOB = User("bob", "builder")
APP = Client("app", (CALLBACK,), name="Desk Assistant")
BACKEND = Client("backend", (CALLBACK,), secret="s3cret", grants=("authorization_code", "refresh_token"))
MACHINE = Client("machine", secret="m4chine", grants=("client_credentials",))
RESOURCE = "http://127.0.0.1:8000/mcp"


@pytest.fixture(scope="session")
def signing_keys() -> Keys:
    return Keys()


@pytest.fixture
def plain(signing_keys: Keys) -> Issuer:
    issuer = Issuer.plain(
        "http://127.0.0.1:9000",
        users=[ALICE, BOB],
        clients=[APP, BACKEND, MACHINE],
        scopes={"greetings:read": "Say hello to you", "usage:read": "Show what you have spent"},
        resources=[RESOURCE, "http://127.0.0.1:8000/other"],
        keys=signing_keys.copy(),
    )
    issuer.clock.set(1_800_000_000)
    return issuer


@pytest.fixture
def cognito(signing_keys: Keys) -> Issuer:
    return cognito_issuer(signing_keys)


def cognito_issuer(signing_keys: Keys, *, refresh_rotation: bool = False, refresh_grace: float = 0) -> Issuer:
    issuer = Issuer.cognito(
        "http://127.0.0.1:9001",
        users=[ALICE, BOB],
        clients=[APP, BACKEND, MACHINE],
        resource_servers=[ResourceServer("https://gw.example/mcp", {"greet": "Say hello to you"})],
        refresh_rotation=refresh_rotation,
        refresh_grace=refresh_grace,
        keys=signing_keys.copy(),
    )
    issuer.clock.set(1_800_000_000)
    return issuer


@pytest.fixture
async def app(plain: Issuer) -> AsyncIterator[Journey]:
    journey = Journey(plain)
    async with journey.http:
        yield journey


@pytest.fixture
async def pool_app(cognito: Issuer) -> AsyncIterator[Journey]:
    journey = Journey(cognito)
    async with journey.http:
        yield journey
