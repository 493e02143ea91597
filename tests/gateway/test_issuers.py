"""Where an issuer's keys are found, what goes wrong on the way, and whom a resource trusts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from conformance.issuer import Issuer
from discovery.fetch import Fetch
from gateway.errors import KeysUnavailable
from gateway.issuers import TrustedIssuers
from gateway.sources import parse
from tests.gated import COGNITO, ISSUER, PUBLIC, RESOURCE, cognito_issuer, plain_issuer


def trusting(
    issuer: Issuer, *resources: dict[str, Any], timeout: float = 5.0, network: ASGIApp | None = None, **changes: Any
) -> TrustedIssuers:
    """A gate's issuers: this one, reached in process."""
    app = network or issuer.app
    settings = parse(
        {"public_url": PUBLIC, "issuers": [{"issuer": issuer.url, **changes}], "resources": list(resources) or [{}]}
    )
    hosts = frozenset({"issuer.example"})
    fetch = Fetch(allow_hosts=hosts, transport=lambda: httpx.ASGITransport(app), timeout=timeout)
    return TrustedIssuers(settings, fetch, issuer.clock.now)


async def why_not(issuers: TrustedIssuers) -> str:
    """Why the keys of the one issuer cannot be had."""
    (keys,) = issuers.key_sets.values()
    with pytest.raises(KeysUnavailable):
        await keys.get("any", "RS256")
    return keys.failure


class TestFetching:
    @pytest.mark.parametrize("make", [plain_issuer, cognito_issuer])
    async def test_keys_are_found_through_the_metadata(self, make: Callable[[], Issuer]) -> None:
        issuer = make()
        kind: dict[str, Any] = {"resource_binding": True, "kind": "cognito"} if issuer.url == COGNITO else {}
        issuers = trusting(issuer, **kind)
        assert await issuers.key_sets[issuer.url].get(issuer.keys.access.kid, "RS256")
        assert issuer.metadata_server.hits >= 1

    async def test_keys_are_found_where_the_settings_say(self) -> None:
        issuer = plain_issuer()
        issuers = trusting(issuer, jwks_uri=issuer.metadata()["jwks_uri"])
        assert await issuers.key_sets[ISSUER].get(issuer.keys.access.kid, "RS256")
        assert issuer.metadata_server.hits == 0

    @pytest.mark.parametrize(
        ("broken", "why"),
        [
            pytest.param({"status": 500}, "answers 500", id="answers 500"),
            pytest.param({"status": 404}, "answers 404", id="is not there"),
            pytest.param({"redirect_to": "https://issuer.example/jwks"}, "redirects are not followed", id="redirects"),
            pytest.param({"body": b"<html>Sign in</html>", "content_type": "text/html"}, "no JWKS", id="is a page"),
            pytest.param({"body": b"\x00\xff"}, "no JWKS", id="is garbage"),
            pytest.param({"body": b""}, "no JWKS", id="is empty"),
            pytest.param({"body": b'{"keys":[]}'}, "no key that can verify RS256", id="holds no key"),
            pytest.param({"body": b" " * 300_000}, "larger than", id="is huge"),
            pytest.param({"headers": {"Content-Encoding": "gzip"}}, "compressed", id="is compressed"),
        ],
    )
    async def test_key_set_that_cannot_be_used_says_why(self, broken: dict[str, Any], why: str) -> None:
        issuer = plain_issuer()
        vars(issuer.key_server).update(broken)
        assert why in await why_not(trusting(issuer))

    async def test_key_server_that_never_answers_is_given_up(self) -> None:
        issuer = plain_issuer()
        issuer.key_server.hold = anyio.Event()
        assert "no complete answer" in await why_not(trusting(issuer, timeout=0.01))

    @pytest.mark.parametrize(
        ("broken", "why"),
        [
            pytest.param({"status": 503}, "answers 503", id="issuer is down"),
            pytest.param({"status": 404}, "publishes no metadata", id="no metadata"),
            pytest.param({"body": b"{}"}, "the document is from", id="somebody else's metadata"),
            pytest.param({"body": b'{"issuer":"https://issuer.example"}'}, "names no jwks_uri", id="no jwks_uri"),
            pytest.param(
                {"body": b'{"issuer":"https://issuer.example","jwks_uri":"http://10.0.0.1/"}'}, "https", id="plain http"
            ),
            pytest.param(
                {"body": b'{"issuer":"https://issuer.example","jwks_uri":"https://10.0.0.1/"}'},
                "a private address",
                id="a private address",
            ),
        ],
    )
    async def test_metadata_that_cannot_be_used_says_why(self, broken: dict[str, Any], why: str) -> None:
        issuer = plain_issuer()
        vars(issuer.metadata_server).update(broken)
        assert why in await why_not(trusting(issuer))

    async def test_failure_names_no_query_of_a_location(self) -> None:
        issuer = plain_issuer()
        issuer.key_server.status = 500
        assert "hidden" not in await why_not(trusting(issuer, jwks_uri=f"{issuer.metadata()['jwks_uri']}?key=hidden"))

    async def test_issuer_that_comes_back_is_asked_again(self) -> None:
        issuer = plain_issuer()
        issuer.key_server.status = 500
        issuers = trusting(issuer)
        await why_not(issuers)
        issuer.key_server.reset()
        issuer.clock.move(30)
        assert await issuers.key_sets[ISSUER].get(issuer.keys.access.kid, "RS256")

    async def test_keys_are_fetched_soon_after_the_start_though_nobody_asks(self) -> None:
        issuer = plain_issuer()
        asked = anyio.Event()

        async def network(scope: Scope, receive: Receive, send: Send) -> None:
            await issuer.app(scope, receive, send)
            if scope["path"] == urlsplit(issuer.metadata()["jwks_uri"]).path:
                asked.set()

        issuers = trusting(issuer, network=network)
        issuers.fetch_ahead()
        await asked.wait()
        await issuers.key_sets[ISSUER].refresh()
        assert issuers.key_sets[ISSUER].usable
        assert issuer.key_server.hits == 1
        await issuers.close()

    async def test_copy_of_the_key_set_serves_from_the_start_and_is_renewed_at_its_first_use(
        self, tmp_path: Path
    ) -> None:
        issuer = plain_issuer()
        file = tmp_path / "keys.json"
        file.write_text(json.dumps(issuer.keys.document()))
        issuers = trusting(issuer, jwks_file=str(file))
        issuers.fetch_ahead()
        assert issuers._timers == []
        (keys,) = issuers.key_sets.values()
        assert keys.usable
        assert keys.find(issuer.keys.document()["keys"][0]["kid"], "RS256") is not None
        assert issuer.key_server.hits == 0
        await keys.refresh()
        assert issuer.key_server.hits == 1
        await issuers.close()

    async def test_fetch_under_way_ends_with_the_gate(self) -> None:
        issuer = plain_issuer()
        issuer.key_server.hold = anyio.Event()
        issuers = trusting(issuer)
        (keys,) = issuers.key_sets.values()
        keys.take_off()
        await issuers.close()
        await keys.refresh()
        assert not keys.usable

    async def test_nothing_is_fetched_after_the_end(self) -> None:
        issuers = trusting(plain_issuer())
        issuers.fetch_ahead()
        await issuers.close()
        assert all(timer.cancelled() for timer in issuers._timers)

    def test_hosts_of_the_settings_may_be_private_and_no_others(self) -> None:
        issuers = [{"issuer": "https://login.internal", "jwks_uri": "https://keys.internal/jwks"}]
        settings = parse({"public_url": PUBLIC, "issuers": issuers, "private_hosts": ["mirror.internal:8443"]})
        trusted = TrustedIssuers(settings)
        fetch = trusted.fetch()
        assert fetch.allow_hosts == {"login.internal", "keys.internal", "mirror.internal"}
        assert trusted.fetch().allow_hosts == fetch.allow_hosts


class TestTrust:
    def test_resources_share_the_keys_of_an_issuer(self) -> None:
        resources = {"path": "/a"}, {"path": "/b"}
        issuers = trusting(plain_issuer(), *resources)
        one, two = (issuers.of(resource)[ISSUER] for resource in issuers._settings.resources)
        assert one.keys is two.keys

    def test_resource_trusts_the_issuers_it_names(self) -> None:
        issuers = [{"issuer": ISSUER}, {"issuer": "https://other.example"}]
        resources = [{"path": "/a"}, {"path": "/b", "issuers": [ISSUER]}]
        settings = parse({"public_url": PUBLIC, "issuers": issuers, "resources": resources})
        trusted = TrustedIssuers(settings)
        assert set(trusted.of(settings.resources[0])) == {ISSUER, "https://other.example"}
        assert set(trusted.of(settings.resources[1])) == {ISSUER}

    @pytest.mark.parametrize(
        ("issuer", "expected"),
        [
            pytest.param(
                {"issuer": "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_A", "client_ids": ["c"]},
                {
                    "cognito": True,
                    "at_jwt": False,
                    "client_ids": {"c"},
                    "scope_prefix": f"{RESOURCE}/",
                    "groups_claim": "cognito:groups",
                },
                id="Cognito told from its address",
            ),
            pytest.param(
                {"issuer": ISSUER, "kind": "cognito", "client_ids": ["c"], "resource_server": "reports"},
                {"cognito": True, "scope_prefix": "reports/"},
                id="Cognito behind another name",
            ),
            pytest.param(
                {"issuer": ISSUER, "token_type": "at+jwt"},
                {"cognito": False, "at_jwt": True, "client_ids": set(), "groups_claim": "groups"},
                id="RFC 9068",
            ),
            pytest.param({"issuer": ISSUER, "groups_claim": "roles"}, {"groups_claim": "roles"}, id="groups elsewhere"),
        ],
    )
    def test_issuer_is_trusted_as_the_settings_say(self, issuer: dict[str, Any], expected: dict[str, Any]) -> None:
        settings = parse({"public_url": PUBLIC, "issuers": [issuer]})
        trust = TrustedIssuers(settings).of(settings.resources[0])[issuer["issuer"]]
        assert {name: getattr(trust, name) for name in expected} == expected
