"""What the gate says to an upstream in its own name: who calls, its credential, its certificate."""

from __future__ import annotations

import json
import ssl
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from cryptography import x509
from joserfc import jwt
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey

from deploy.assembly import assemble
from gateway.identity import Identity, IdentityKeys, private_keys
from gateway.secret import InvalidSecret
from gateway.settings import IdentitySettings
from gateway.sources import SettingsError, parse
from tests.authority import Authority
from tests.gateway.upstream.scripted import ALICE, OK, Talk, asked, before, proxy, saying, upstream

PUBLIC = "https://gw.example"
UPSTREAM = "http://up.example/mcp"


def settings(**upstream: Any) -> dict[str, Any]:
    """Settings with one upstream."""
    return {
        "public_url": PUBLIC,
        "issuers": [{"issuer": "https://issuer.example"}],
        "resources": [{"upstream": {"url": UPSTREAM, **upstream}}],
    }


def line(request: bytes, name: bytes) -> bytes:
    """The value of a header as the upstream saw it, which is there once."""
    (value,) = [each.partition(b": ")[2] for each in request.split(b"\r\n") if each.lower().startswith(name + b": ")]
    return value


class TestIdentity:
    async def test_upstream_is_told_who_calls_and_can_check_it(self) -> None:
        async with upstream(saying(OK)) as behind:
            app = proxy(behind.url, identity={"header": "X-Caller"})
            await asked(app, {"X_Caller": "forged", "X.Caller": "forged"})
        assert b"forged" not in behind.requests[0]
        assert app._identity is not None
        public = KeySet.import_key_set(json.loads(app._identity._keys.jwks()))
        token = jwt.decode(line(behind.requests[0], b"x-caller").decode(), public, algorithms=["ES256"])
        claims = token.claims
        assert {name: claims[name] for name in ("iss", "aud", "sub", "client_id", "scope", "groups")} == {
            "iss": PUBLIC,
            "aud": behind.url,
            "sub": "alice",
            "client_id": "client-one",
            "scope": "mcp:use",
            "groups": ["staff"],
        }
        assert claims["sub_id"] == {"format": "iss_sub", "iss": ALICE.issuer, "sub": "alice"}
        assert claims["exp"] - claims["iat"] == 60

    def test_it_is_signed_once_and_anew_before_it_ends(self) -> None:
        clock = [1_000.0]
        keys = IdentityKeys([ECKey.generate_key("P-256")])
        identity = Identity(keys, IdentitySettings(), issuer=PUBLIC, audience="x", now=lambda: clock[0])
        first = identity.line(ALICE)
        clock[0] += 44
        assert identity.line(ALICE) is first
        clock[0] += 2
        assert identity.line(ALICE) != first

    def test_principals_are_told_apart(self) -> None:
        keys = IdentityKeys([ECKey.generate_key("P-256")])
        identity = Identity(keys, IdentitySettings(), issuer=PUBLIC, audience="x", now=lambda: 1_000.0)
        others: list[dict[str, Any]] = [
            {"issuer": "https://other.example"},
            {"scopes": frozenset({"a"})},
            {"is_client": True},
            {"groups": frozenset[str]()},
        ]
        lines = {identity.line(msgspec.structs.replace(ALICE, **other)) for other in ({}, *others)}
        assert len(lines) == 5

    def test_it_ends_with_the_token_of_the_caller(self) -> None:
        keys = IdentityKeys([ECKey.generate_key("P-256")])
        identity = Identity(keys, IdentitySettings(), issuer=PUBLIC, audience="x", now=lambda: 1_000.0)
        token = identity.line(msgspec.structs.replace(ALICE, expires_at=1_020.0)).split()[1].decode()
        assert jwt.decode(token, keys._keys[0], algorithms=["ES256"]).claims["exp"] == 1_020

    def test_keys_of_a_file_sign_and_are_published(self, tmp_path: Path) -> None:
        file = tmp_path / "keys.pem"
        keys: list[OKPKey | ECKey] = [OKPKey.generate_key("Ed25519"), ECKey.generate_key("P-256")]
        file.write_bytes(b"\n".join(key.as_pem(private=True) for key in keys))
        made = IdentityKeys.of(parse({**settings(identity={}), "identity_key_file": str(file)}))
        assert made.algorithm == "EdDSA"
        published = json.loads(made.jwks())["keys"]
        assert [key["alg"] for key in published] == ["EdDSA", "ES256"]
        assert not any("d" in key for key in published)
        signed = made.sign({"a": 1})
        with pytest.warns(SecurityWarning, match="RFC 9864"):
            jwt.decode(signed, KeySet.import_key_set({"keys": published}), algorithms=["EdDSA"])

    def test_key_that_cannot_sign_is_refused(self, tmp_path: Path) -> None:
        file = tmp_path / "keys.pem"
        for content in (
            b"no key",
            RSAKey.generate_key(2048).as_pem(private=True),
            ECKey.generate_key("P-384").as_pem(private=True),
        ):
            file.write_bytes(content)
            with pytest.raises(InvalidSecret, match="P-256 or Ed25519"):
                private_keys(str(file))
            with pytest.raises(SettingsError, match="identity_key_file"):
                parse({**settings(), "identity_key_file": str(file)})

    def test_key_made_at_start_is_warned_of(self, caplog: pytest.LogCaptureFixture) -> None:
        IdentityKeys.of(parse(settings(identity={})))
        assert "identity_key_file is not set" in caplog.text

    async def test_keys_are_published_where_an_upstream_is_told(self) -> None:
        cases: list[tuple[dict[str, Any], int]] = [({"identity": {}}, 200), ({}, 404)]
        for given, status in cases:
            gate = assemble(parse(settings(**given))).gate(None)
            async with httpx.AsyncClient(transport=httpx.ASGITransport(gate), base_url=PUBLIC) as http:
                answer = await http.get("/.well-known/bearergate/jwks.json")
            assert answer.status_code == status
            if status == 200:
                assert answer.json()["keys"][0]["use"] == "sig"


class TestCredential:
    async def test_secret_of_a_file_is_sent_and_never_the_clients(self, tmp_path: Path) -> None:
        file = tmp_path / "secret"
        file.write_text("s3cret\n")
        for credential, name, value in (
            ({"file": str(file)}, b"authorization", b"Bearer s3cret"),
            ({"file": str(file), "header": "X-Api-Key", "prefix": ""}, b"x-api-key", b"s3cret"),
            ({"file": str(file), "username": "gate"}, b"authorization", b"Basic Z2F0ZTpzM2NyZXQ="),
        ):
            async with upstream(saying(OK)) as behind:
                app = proxy(behind.url, credential=credential)
                await asked(
                    app, {"Authorization": "Bearer forged", "X_Api_Key": "forged" if name != b"authorization" else ""}
                )
            assert line(behind.requests[0], name) == value
            assert b"forged" not in behind.requests[0]

    async def test_secret_of_a_variable_is_sent(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("UPSTREAM_SECRET", "s3cret")
        async with upstream(saying(OK)) as behind:
            await asked(proxy(behind.url, credential={"variable": "UPSTREAM_SECRET"}))
        assert line(behind.requests[0], b"authorization") == b"Bearer s3cret"


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        pytest.param({"url": "ftp://up.example/"}, "upstream.url", id="another scheme"),
        pytest.param({"url": "http://"}, "upstream.url", id="no host"),
        pytest.param({"url": "http://up.example:99999/"}, "upstream.url", id="no port"),
        pytest.param({"url": "http://up.example/\r\nX: y"}, "upstream.url", id="line break"),
        pytest.param({"url": "http://me:secret@up.example/"}, "upstream.url", id="password"),
        pytest.param({"url": "http://up.example/?key=1"}, "upstream.url", id="query"),
        pytest.param({"url": "http://127.0.0.1:8000/other"}, "is this gate itself", id="where the gate listens"),
        pytest.param({"url": "https://gw.example/mcp"}, "is this gate itself", id="the resource itself"),
        pytest.param({"ca_file": "ca.pem"}, "upstream.ca_file", id="certificates without TLS"),
        pytest.param({"url": "https://up.example/", "ca_file": "/no/such"}, "upstream.ca_file", id="no CA"),
        pytest.param(
            {"url": "https://up.example/", "client_key_file": "k"}, "upstream.client_key_file", id="key alone"
        ),
        pytest.param(
            {"url": "https://up.example/", "client_certificate_file": "/no/such"},
            "upstream.client_certificate_file",
            id="no certificate",
        ),
        pytest.param({"credential": {}}, "upstream.credential", id="no secret"),
        pytest.param({"credential": {"variable": "A", "file": "b"}}, "upstream.credential", id="two secrets"),
        pytest.param({"credential": {"variable": "NO_SUCH_VARIABLE"}}, "upstream.credential", id="variable not set"),
        pytest.param({"credential": {"file": "/no/such"}}, "upstream.credential", id="file not there"),
        pytest.param({"credential": {"variable": "PATH", "header": "Host"}}, "credential.header", id="header taken"),
        pytest.param({"credential": {"variable": "PATH", "header": "X Y"}}, "credential.header", id="no header"),
        pytest.param({"credential": {"variable": "PATH", "prefix": "a\r\n"}}, "credential.prefix", id="prefix"),
        pytest.param({"credential": {"variable": "PATH", "username": "a:b"}}, "credential.username", id="username"),
        pytest.param({"identity": {"header": "Content-Type"}}, "identity.header", id="identity header taken"),
        pytest.param(
            {"identity": {"header": "X-A"}, "credential": {"variable": "PATH", "header": "x-a"}},
            "identity.header",
            id="one header for two",
        ),
    ],
)
def test_contradiction_is_named_with_its_key(changes: dict[str, Any], key: str) -> None:
    with pytest.raises(SettingsError, match=key):
        parse(settings(**changes))


def test_password_is_not_shown_whatever_else_is_wrong() -> None:
    with pytest.raises(SettingsError, match="holds a name or password") as refused:
        parse(settings(url="http://me:hunter2@up.example:99999/"))
    assert "hunter2" not in str(refused.value)


def test_port_of_the_gate_on_another_address_is_another_server() -> None:
    parse(settings(url="http://127.0.0.1:8000/mcp") | {"host": "10.0.0.1"})


def test_upstream_and_tools_are_not_one_resource() -> None:
    values = settings()
    values["resources"][0]["tools"] = []
    with pytest.raises(SettingsError, match="tools are named as well"):
        parse(values)


def test_secret_no_header_can_carry_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_bytes("ü".encode())
    with pytest.raises(SettingsError, match="no header can carry"):
        parse(settings(credential={"file": str(file)}))


def test_gate_before_an_upstream_alone_loads_no_tools() -> None:
    assembled = assemble(parse(settings()))
    assert assembled.plugins == {"/mcp": ()}
    assembled.gate(None)


class TestTls:
    async def test_upstream_is_verified_and_shown_the_certificate(self, tmp_path: Path) -> None:
        server, files = certificates(tmp_path)

        async def script(talk: Talk) -> None:
            assert talk.writer.get_extra_info("peercert") is not None
            while await talk.request():
                await talk.say(OK)

        async with upstream(script, server) as behind:
            url = f"https://localhost:{behind.port}/mcp"
            (trusted,) = await asked(proxy(url, **files))
            (unknown,) = await asked(proxy(url))
            (misnamed,) = await asked(proxy(url.replace("localhost", "127.0.0.1"), **files))
            (unshown,) = await asked(proxy(url, ca_file=files["ca_file"]))
            (plain,) = await asked(proxy(f"http://127.0.0.1:{behind.port}/mcp"))
        answers = [answer.status for answer in (trusted, unknown, misnamed, unshown, plain)]
        assert answers == [200, 502, 502, 502, 502]

    async def test_connection_with_tls_is_kept(self, tmp_path: Path) -> None:
        server, files = certificates(tmp_path)
        async with upstream(saying(OK), server) as behind:
            app = proxy(f"https://localhost:{behind.port}/mcp", **files)
            async with before(app) as connect:
                for _ in range(3):
                    client = await connect()
                    await client.send()
                    assert (await client.answer()).status == 200
        assert len(behind.talks) == 1


def certificates(folder: Path) -> tuple[ssl.SSLContext, dict[str, Any]]:
    """A server's TLS for localhost that wants a client's certificate, and the settings that fit it."""
    authority = Authority(folder)
    server = authority.server(x509.DNSName("localhost"))
    ca, certificate = str(authority.file()), str(folder / "server.pem")
    server.load_verify_locations(ca)
    server.verify_mode = ssl.CERT_REQUIRED
    return server, {"ca_file": ca, "client_certificate_file": certificate}
