"""Every option of the verbs, as it reaches the issuer."""

from __future__ import annotations

import asyncio
import base64
import sys
from subprocess import CompletedProcess

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.client.conftest import Home
from tests.client.world import World, another
from tests.ports import free_port

PROOFS = {"secret": "s3cret\n", "workload": "of-the-platform\n"}


@pytest.fixture(autouse=True)
def equipped(home: Home) -> None:
    """Files with what proves a client, and a browser for issuers that ask for nothing."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    for name, content in {**PROOFS, "key": pem}.items():
        (home.folder / name).write_text(content)
    browser = f"{sys.executable} -m tests.client.browser nobody nothing %s"
    home.variables.update({"BROWSER": browser, "SEEN": "/dev/null"})


async def run(home: Home, *arguments: str, **variables: str) -> CompletedProcess[str]:
    return await asyncio.to_thread(home.run, *arguments, **variables)


@pytest.mark.parametrize(
    ("option", "member", "value"),
    [
        ("--client-secret-file secret", "_authorization", "Basic " + base64.b64encode(b"batch:s3cret").decode()),
        ("--client-key-file key", "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("--workload-token-file workload", "assertion", "of-the-platform"),
    ],
    ids=["secret", "key", "workload token"],
)
async def test_machine_proves_itself(here: World, home: Home, option: str, member: str, value: str) -> None:
    machine = ("--client-credentials", "--client-id", "batch", *option.split())
    done = await run(home, "token", *machine, here.server.url)
    assert (done.returncode, done.stdout) == (0, "access-1\n"), done.stderr
    (said,) = here.authority.asked("/token")
    assert said[member] == value
    assert (await run(home, "token", *machine, here.server.url)).stdout == "access-1\n", "it is kept"
    assert (await run(home, "shell", *machine, here.server.url, "-c", "auth refresh")).returncode == 0
    assert len(here.authority.asked("/token")) == 2


async def test_person_logs_in_as_a_known_client(here: World, home: Home) -> None:
    redirect = f"http://127.0.0.1:{free_port()}/back"
    options = ("--client-id", "me", "--redirect-uri", redirect, "--scope", "more most", "--auth", "oauth")
    done = await run(home, "login", *options, here.server.url, OAUTH_CLIENT_SECRET="s3cret")
    assert done.returncode == 0, done.stderr
    (asked,) = here.authority.asked("/authorize")
    assert (asked["client_id"], asked["redirect_uri"], asked["scope"]) == ("me", redirect, "more most")
    (said,) = here.authority.asked("/token")
    assert said["_authorization"].startswith("Basic ")
    assert "/register" not in [path for path, _ in here.authority.seen]


async def test_person_logs_in_as_a_client_that_is_a_document(here: World, home: Home) -> None:
    here.authority.metadata["client_id_metadata_document_supported"] = True
    document = "https://client.example.com/document.json"
    assert (await run(home, "login", "--client-metadata-url", document, here.server.url)).returncode == 0
    assert here.authority.asked("/authorize")[0]["client_id"] == document


async def test_person_says_which_issuer_it_is(here: World, home: Home) -> None:
    async with another() as second:
        here.server.resource["authorization_servers"] = [here.authority.origin, second.origin]
        done = await run(home, "login", "--client-id", "me", "--issuer", second.origin, here.server.url)
        assert done.returncode == 0, done.stderr
        assert second.origin in done.stderr
        assert here.authority.seen == []
        status = await run(home, "shell", "--client-id", "me", here.server.url, "-c", "auth status")
        assert f"issuer\t{second.origin}" in status.stdout


async def test_issuer_at_a_private_address_is_called_only_if_it_is_named(here: World, home: Home) -> None:
    here.server.resource["authorization_servers"] = ["https://10.255.255.254"]
    done = await run(home, "login", "--allow-host", "login.example.com", here.server.url)
    assert (done.returncode, done.stderr.count("\n")) == (6, 1), done.stderr
    assert "10.255.255.254 is a private address, not allowed for this host" in done.stderr


async def test_method_that_has_no_login_says_so(here: World, home: Home) -> None:
    for verb in ("login", "token"):
        done = await run(home, verb, "--auth", "lambda", here.server.url)
        assert (done.returncode, "ACCESS_TOKEN" in done.stderr) == (3, True)
    assert (await run(home, "login", "--auth", "magic", here.server.url)).returncode == 2
