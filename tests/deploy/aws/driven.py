"""`bearergate deploy` without its packaging, which other tests look at; and the issuer whose keys are packaged."""

from __future__ import annotations

import contextlib
import io
import json
import threading
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from joserfc.jwk import RSAKey

from deploy.aws_access import Aws
from deploy.aws_options import deploy_options, parameters
from deploy.deployment import Deployment
from deploy.key_snapshot import snapshots
from deploy.package import Package, Runtime, written
from deploy.packaged_files import Take
from tests.deploy.aws.cloudformation import Cloud, surroundings


@dataclass
class Driver:
    """Runs deployments against a cloud, from a folder."""

    aws: Cloud
    folder: Path
    packaged_for: list[Runtime] = field(default_factory=list)
    take: Take = snapshots

    def deploy(self, *arguments: str, agreed: bool = True, over: Mapping[str, str] | None = None) -> str:
        """What it printed; `over` are further variables of the environment."""
        parser = ArgumentParser()
        deploy_options(parser)
        said = parser.parse_args(arguments)
        variables = self.aws.environment() | dict(over or {})
        with surroundings(self.folder, variables), contextlib.redirect_stdout(io.StringIO()) as out:
            aws, chosen = Aws(said.region), parameters(said)
            Deployment(aws, said, chosen, lambda _: agreed, make=self.program, take=self.take).run()
        return out.getvalue()

    def program(self, runtime: Runtime) -> Package:
        self.packaged_for.append(runtime)
        return Package(written({"deploy/aws_lambda.py": b"", "streaming": b""}))

    def parameters(self) -> dict[str, str]:
        made_from = self.aws.stacks["bearergate"].made_from
        assert made_from is not None
        return made_from[1]

    def held(self) -> dict[str, bytes]:
        """The files of the package that the function runs."""
        key = f"{self.parameters()['CodeBucket']}/{self.parameters()['CodeKey']}"
        with ZipFile(io.BytesIO(self.aws.objects[key])) as archive:
            return {name: archive.read(name) for name in archive.namelist()}


class Issuer(ThreadingHTTPServer):
    """An issuer on loopback that publishes its metadata and its keys."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Publisher)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        made = [RSAKey.generate_key(parameters={"kid": name, "alg": "RS256"}) for name in ("first", "second")]
        self.keys = [key.as_dict(private=False) for key in made]
        self.metadata: dict[str, Any] = {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}


class Publisher(BaseHTTPRequestHandler):
    server: Issuer

    def do_GET(self) -> None:
        document = {"keys": self.server.keys} if self.path == "/keys" else self.server.metadata
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the standard library's name
        """Say nothing."""


@contextlib.contextmanager
def issuer() -> Iterator[Issuer]:
    """An issuer that answers while it is used."""
    with Issuer() as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield made
        finally:
            made.shutdown()
            thread.join()
