"""The fronts that are compared: ours, HAProxy with and without JWT verification, nginx without, FastMCP's proxy; and
what is behind.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import httpx
from joserfc.jwk import RSAKey

from conformance.issuer import Issuer, User
from tests.compiled import wheel
from tests.gated import keys

ROOT = Path(__file__).parents[2]
TICKS = os.sysconf("SC_CLK_TCK")
ANSWER = '{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"Hello, Ada!"}]}}'
PORTS = ("behind", "bearergate", "source", "haproxy", "jwt", "nginx", "events", "fastmcp", "fastmcp behind")
RESOURCE = "http://127.0.0.1:{port}/mcp"

BEHIND = """
daemon off; master_process off; worker_rlimit_nofile 20000; pid {folder}/behind.pid; error_log /dev/null;
events {{ worker_connections 19000; }}
http {{
  access_log off; keepalive_requests 100000000; keepalive_timeout 600s; client_body_temp_path {folder}/b1;
  proxy_temp_path {folder}/b2; fastcgi_temp_path {folder}/b3; uwsgi_temp_path {folder}/b4; scgi_temp_path {folder}/b5;
  default_type application/json;
  server {{ listen 127.0.0.1:{port} backlog=4096;
    location = /jwks {{ alias {folder}/jwks.json; }}
    location = /mcp {{ return 200 '{answer}'; }} }}
}}
"""
NGINX = """
daemon off; master_process off; worker_rlimit_nofile 20000; pid {folder}/nginx.pid; error_log /dev/null;
events {{ worker_connections 19000; }}
http {{
  access_log off; keepalive_requests 100000000; keepalive_timeout 600s; client_body_temp_path {folder}/n1;
  proxy_temp_path {folder}/n2; fastcgi_temp_path {folder}/n3; uwsgi_temp_path {folder}/n4; scgi_temp_path {folder}/n5;
  upstream behind {{ server 127.0.0.1:{behind}; keepalive 1000; keepalive_requests 100000000; }}
  server {{ listen 127.0.0.1:{port} backlog=4096;
    location = /mcp {{ proxy_pass http://behind; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off; proxy_request_buffering off; }} }}
}}
"""
HAPROXY = """
global
  nbthread 1
  maxconn 9000
defaults
  mode http
  option http-no-delay
  http-reuse always
  timeout client 600s
  timeout server 600s
  timeout connect 5s
frontend front
  bind 127.0.0.1:{port} backlog 4096
{verify}
  default_backend behind
backend behind
  http-request del-header authorization
  server behind 127.0.0.1:{behind} pool-max-conn 1000
"""
VERIFY = """
  http-request set-var(txn.bearer) http_auth_bearer
  http-request set-var(txn.alg) var(txn.bearer),jwt_header_query('$.alg')
  http-request set-var(txn.iss) var(txn.bearer),jwt_payload_query('$.iss')
  http-request set-var(txn.aud) var(txn.bearer),jwt_payload_query('$.aud')
  http-request set-var(txn.exp) var(txn.bearer),jwt_payload_query('$.exp','int')
  http-request set-var(txn.now) date()
  http-request deny deny_status 401 unless {{ var(txn.alg) -m str RS256 }}
  http-request deny deny_status 401 unless {{ var(txn.iss) -m str {issuer} }}
  http-request deny deny_status 401 unless {{ var(txn.aud) -m str {resource} }}
  http-request deny deny_status 401 if {{ var(txn.exp),sub(txn.now) -m int lt 0 }}
  http-request deny deny_status 401 unless {{ var(txn.bearer),jwt_verify(txn.alg,"{folder}/key.pem") 1 }}
"""
OURS = """
public_url: {public_url}
port: {port}
issuers: [{{issuer: '{issuer}', jwks_uri: 'http://127.0.0.1:{behind}/jwks', token_type: at+jwt}}]
resources: [{{scopes: ['mcp:use'], upstream: {{url: 'http://127.0.0.1:{upstream}/mcp'}}}}]
private_hosts: [127.0.0.1]
token_cache_size: 20000
allowed_hosts: [gw.example]
audit_log: 'off'
"""


@dataclass
class Front:
    """A running front."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    slow: bool = False  # so that it gets fewer requests

    @property
    def cpu(self) -> float:
        """CPU seconds it has used, by the operating system's account."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    @property
    def resident(self) -> int:
        """Bytes in memory."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Machine:
    """Everything that a run needs: a server behind, an issuer's keys and tokens, and fronts to start."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        self.folder = folder
        self.stack = stack
        self.ports = {name: free_port() for name in PORTS}
        self.resource = RESOURCE.format(port=self.ports["bearergate"])
        self.issuer = Issuer.plain(
            f"http://127.0.0.1:{self.ports['behind']}",
            users=[User("alice", "wonderland")],
            resources=[self.resource],
            keys=keys().copy(),
        )
        self._write_keys()

    def _write_keys(self) -> None:
        async def fetched() -> bytes:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(self.issuer.app)) as http:
                return (await http.get(f"{self.issuer.url}/jwks")).content

        document = asyncio.run(fetched())
        (self.folder / "jwks.json").write_bytes(document)
        kid = json.loads(decoded(self.token().partition(".")[0]))["kid"]
        key = next(key for key in json.loads(document)["keys"] if key["kid"] == kid)
        (self.folder / "key.pem").write_bytes(RSAKey.import_key(key).as_pem(private=False))

    def token(self, **claims: object) -> str:
        """A token of alice."""
        return self.issuer.token("alice", "client", ["mcp:use"], self.resource, claims=claims)

    def tokens(self, count: int) -> Path:
        """A file with so many tokens, all different."""
        file = self.folder / f"tokens-{count}"
        if not file.exists():
            file.write_text("\n".join(self.token(jti=str(number)) for number in range(count)))
        return file

    def behind(self) -> Front:
        """The server behind all fronts: it answers every call alike, at once."""
        return self._started("behind", BEHIND.format(answer=ANSWER, **self._names("behind")), ["nginx", "-c"])

    def nginx(self) -> Front:
        """nginx that passes on whatever comes."""
        return self._started("nginx", NGINX.format(**self._names("nginx")), ["nginx", "-c"])

    def haproxy(self, *, verify: bool, upstream: int | None = None) -> Front:
        """HAProxy; with `verify` it checks what it can of a JWT."""
        names = self._names("jwt" if verify else "haproxy")
        names["behind"] = upstream or names["behind"]
        checks = VERIFY.format(issuer=self.issuer.url, resource=self.resource, **names) if verify else ""
        text = HAPROXY.format(verify=checks, **names)
        return self._started("jwt" if verify else "haproxy", text, ["haproxy", "-db", "-q", "-f"])

    def bearergate(self, upstream: int | None = None, *, compiled: bool = True) -> Front:
        """The gate, compiled as for a server or as it is, before the server behind or the one at another port."""
        name = "bearergate" if compiled else "source"
        behind, public_url = upstream or self.ports["behind"], self.resource.removesuffix("/mcp")
        text = OURS.format(issuer=self.issuer.url, public_url=public_url, upstream=behind, **self._names(name))
        home = compiled_tree() if compiled else ROOT
        return self._started(name, text, [sys.executable, "-m", "deploy.cli", "serve", "-f"], home)

    def fastmcp(self) -> Front:
        """FastMCP's proxy with its verifier of JWTs, before a server of its own, as it needs a real one."""
        behind = self.ports["fastmcp behind"]
        jwks = f"http://127.0.0.1:{self.ports['behind']}/jwks"
        told = [f"http://127.0.0.1:{behind}/mcp", jwks, self.issuer.url, self.resource]
        peers = [sys.executable, "-m", "tests.benchmarks.peers"]
        self._running("fastmcp behind", [*peers, "server", str(behind)])
        front = self._running("fastmcp", [*peers, "proxy", str(self.ports["fastmcp"]), *told])
        front.slow = True
        return front

    def _names(self, name: str) -> dict[str, object]:
        return {"folder": self.folder, "port": self.ports[name], "behind": self.ports["behind"]}

    def _started(self, name: str, text: str, command: list[str], home: Path = ROOT) -> Front:
        file = self.folder / f"{name}.conf"
        file.write_text(text)
        return self._running(name, [*command, str(file)], home)

    def _running(self, name: str, command: list[str], home: Path = ROOT) -> Front:
        path = f"{os.environ['PATH']}:/usr/sbin"
        environment = os.environ | {"PYTHONPATH": str(home), "PATH": path}
        if shutil.which(command[0], path=path) is None:
            raise SystemExit(f"{command[0]} is missing: apt-get install nginx haproxy")
        process = subprocess.Popen(command, cwd=home, env=environment, stderr=(self.folder / name).open("wb"))
        self.stack.callback(process.wait)
        self.stack.callback(process.kill)
        wait_for(self.ports[name], process)
        return Front(name, self.ports[name], process)


@cache
def compiled_tree() -> Path:
    """A folder with the modules of a compiled wheel, until the benchmarks end."""
    folder = Path(tempfile.mkdtemp(prefix="bearergate-"))
    atexit.register(shutil.rmtree, folder)
    with zipfile.ZipFile(wheel(folder)) as archive:
        archive.extractall(folder)
    return folder


def decoded(segment: str) -> bytes:
    """A segment of a JWT."""
    return urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


def free_port() -> int:
    """A port nobody listens on, at least a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as opened:
        return int(opened.getsockname()[1])


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until a server takes connections."""
    for _ in range(2_000):
        if process.poll() is not None:
            raise SystemExit(f"{process.args!r} ended with status {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.005)
        else:
            return
    raise SystemExit(f"nobody listens on port {port}")


@contextlib.contextmanager
def machine(folder: Path) -> Iterator[Machine]:
    """A machine whose servers end with the block."""
    with contextlib.ExitStack() as stack:
        yield Machine(folder, stack)
