"""`python -m conformance.issuer`: the issuer as a server of its own."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

from conformance.issuer.__main__ import read


def test_plain_issuer_is_described_by_its_arguments() -> None:
    settings = read(
        [
            "--port=9005",
            "--user=alice:wonder:land",
            "--user=bob:builder:admins,readers",
            "--client=app=http://127.0.0.1:1/cb,https://a.example/cb?x=1",
            "--client=backend:s3cret=",
            "--scope=greet=Say hello to you",
            "--scope=quiet",
            "--resource=http://127.0.0.1:8000/mcp",
        ]
    )
    issuer = settings.issuer
    assert (settings.host, settings.port, issuer.url) == ("127.0.0.1", 9005, "http://127.0.0.1:9005")
    assert issuer.metadata()["scopes_supported"] == ["openid", "greet", "quiet"]
    assert issuer.claims("bob")["groups"] == ["admins", "readers"]
    assert issuer.claims("alice")["aud"] == "http://127.0.0.1:8000/mcp"
    assert issuer.claims("alice")["client_id"] == "app"


def test_cognito_issuer_is_described_by_its_arguments() -> None:
    settings = read(
        [
            "--profile=cognito",
            "--pool=eu-west-1_Pool",
            "--url=https://issuer.example",
            "--insecure-host=0.0.0.0",
            "--user=alice:wonderland",
            "--scope=https://gw.example/mcp/greet=Say hello",
        ]
    )
    assert settings.host == "0.0.0.0"  # noqa: S104 - what was asked for
    assert settings.issuer.url == "https://issuer.example/eu-west-1_Pool"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--user=alice"], "--user is NAME:PASSWORD"),
        (["--user=:secret"], "--user is NAME:PASSWORD"),
        (["--client==http://127.0.0.1/cb"], "--client is ID=REDIRECT"),
        (["--url=http://issuer.example"], "has to be https"),
        (["--port=0"], "--port is a number"),
        (["--port=65536"], "--port is a number"),
        (["--profile=cognito", "--resource=https://x.example"], "--resource is for the plain profile"),
        (["--profile=cognito", "--scope=greet"], "IDENTIFIER/NAME"),
        (["--profile=cognito", "--scope=https://x.example/"], "IDENTIFIER/NAME"),
    ],
)
def test_wrong_argument_is_named(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read(arguments)
    assert words in capsys.readouterr().err


def test_issuer_is_served_on_loopback_until_interrupted() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    command = [sys.executable, "-m", "conformance.issuer", "--port", str(port)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stderr
        assert process.stdout
        try:
            assert process.stdout.readline() == f"Issuer http://127.0.0.1:{port}\n"
            next(line for line in process.stderr if "Uvicorn running" in line)
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/.well-known/openid-configuration") as answer:
                assert json.load(answer)["issuer"] == f"http://127.0.0.1:{port}"
        finally:
            process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
