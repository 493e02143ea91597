"""The issuer as a server: `python -m conformance.issuer --profile cognito --port 9000 --user alice:wonderland`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

from . import Client, Issuer, ResourceServer, User


@dataclass(frozen=True)
class Settings:
    """What the command line asked for."""

    issuer: Issuer
    host: str
    port: int


def read(arguments: Sequence[str] | None = None) -> Settings:
    """The issuer that the arguments describe, and where it listens; exits with a sentence about a wrong one."""
    parser = _parser()
    given = parser.parse_args(arguments)
    host = given.insecure_host or "127.0.0.1"
    base = given.url or f"http://127.0.0.1:{given.port}"
    if not 0 < given.port < 1 << 16:
        parser.error("--port is a number from 1 to 65535.")
    try:
        make = _cognito if given.profile == "cognito" else _plain
        return Settings(make(base, given), host, given.port)
    except ValueError as error:
        parser.error(str(error))


def main() -> None:
    """Serve until interrupted."""
    import uvicorn  # noqa: PLC0415 - reading the arguments needs no server

    settings = read()
    print(f"Issuer {settings.issuer.url}", flush=True)  # noqa: T201 - what the person who started it needs
    # No access log: its lines would hold what stands for a login.
    uvicorn.run(settings.issuer.app, host=settings.host, port=settings.port, access_log=False)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m conformance.issuer", description=__doc__)
    parser.add_argument("--profile", choices=("plain", "cognito"), default="plain")
    parser.add_argument("--port", type=int, default=9000)
    parser.add_argument("--url", help="where clients reach it, if not at http://127.0.0.1:PORT")
    parser.add_argument("--insecure-host", metavar="ADDRESS", help="listen here instead of on 127.0.0.1")
    parser.add_argument("--pool", default="us-east-1_Example1", help="the user pool of a Cognito issuer")
    repeated = {
        "--user": ("NAME:PASSWORD[:GROUP,GROUP]", "who can log in"),
        "--client": ("ID[:SECRET]=REDIRECT[,REDIRECT]", "an app client, public without a secret"),
        "--scope": ("NAME=WORDS", "a scope and what it allows; IDENTIFIER/NAME for Cognito"),
        "--resource": ("URL", "what tokens of a plain issuer may be for; any, if none is given"),
    }
    for option, (metavar, words) in repeated.items():
        parser.add_argument(option, metavar=metavar, help=words, action="append", default=[])
    return parser


def _plain(base: str, given: argparse.Namespace) -> Issuer:
    return Issuer.plain(
        base,
        users=map(_user, given.user),
        clients=map(_client, given.client),
        scopes=dict(map(_scope, given.scope)),
        resources=given.resource or None,
    )


def _cognito(base: str, given: argparse.Namespace) -> Issuer:
    if given.resource:
        raise ValueError("--resource is for the plain profile; Cognito takes any resource a client names.")
    return Issuer.cognito(
        base,
        pool=given.pool,
        users=map(_user, given.user),
        clients=map(_client, given.client),
        resource_servers=[_resource_server(*_scope(text)) for text in given.scope],
    )


def _user(text: str) -> User:
    name, _, rest = text.partition(":")
    password, _, groups = rest.partition(":")
    if not name or not password:
        raise ValueError("--user is NAME:PASSWORD or NAME:PASSWORD:GROUP,GROUP.")
    return User(name, password, tuple(filter(None, groups.split(","))))


def _client(text: str) -> Client:
    credentials, _, redirects = text.partition("=")
    client_id, _, secret = credentials.partition(":")
    if not client_id:
        raise ValueError("--client is ID=REDIRECT or ID:SECRET=REDIRECT,REDIRECT.")
    return Client(client_id, tuple(filter(None, redirects.split(","))), secret or None)


def _scope(text: str) -> tuple[str, str]:
    name, _, words = text.partition("=")
    return name, words or name


def _resource_server(scope: str, words: str) -> ResourceServer:
    identifier, _, name = scope.rpartition("/")
    if not identifier or not name:
        raise ValueError("--scope of a Cognito issuer is IDENTIFIER/NAME=WORDS.")
    return ResourceServer(identifier, {name: words})


if __name__ == "__main__":
    main()
