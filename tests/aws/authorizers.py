"""API Gateway with a Lambda authorizer before a front door: its cache, its Gateway Responses, and switches."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.aws.front_doors import HTTP_API, REMAPPED, REST_API, WORKERS
from tests.aws.runtime import FunctionError
from tests.deploy.laptop import ROOT

# What API Gateway says itself, by the type of its answer.
PLAIN: Mapping[str, tuple[int, str]] = {
    "UNAUTHORIZED": (401, "Unauthorized"),
    "EXPIRED_TOKEN": (403, "The incoming token has expired"),
    "ACCESS_DENIED": (403, "Forbidden"),
    "AUTHORIZER_FAILURE": (500, "Internal Server Error"),
}


@dataclass(frozen=True)
class GatewayResponse:
    """What a REST API says in place of its own words: the same for every request."""

    status: int
    body: str
    headers: Mapping[str, str]


def gateway_responses(origin: str, path: str = "mcp") -> dict[str, GatewayResponse]:
    """Those of the template, for a gate at an origin."""

    class Loader(yaml.SafeLoader):
        """Reads `!Sub` as text; other short forms play no part in what is read."""

    def plain(loader: yaml.SafeLoader, _: str, node: yaml.Node) -> Any:
        return loader.construct_scalar(node) if isinstance(node, yaml.ScalarNode) else None

    yaml.add_multi_constructor("!", plain, Loader)
    resources = yaml.load((ROOT / "deploy" / "template.yaml").read_text("utf-8"), Loader)["Resources"]  # noqa: S506 - a safe one
    found = {}
    for one in resources.values():
        if one["Type"] == "AWS::ApiGateway::GatewayResponse":
            said = one["Properties"]
            headers = {
                name.rpartition(".")[2]: value.replace("${Origin.Value}", origin).replace("${ResourcePath}", path)[1:-1]
                for name, value in said["ResponseParameters"].items()
            }
            body = said["ResponseTemplates"]["application/json"]
            found[said["ResponseType"]] = GatewayResponse(int(said["StatusCode"]), body, headers)
    return found


@dataclass
class Authorized:
    """A door whose resource an authorizer guards; what is public (well-known documents, the facade) goes by it.

    `ttl` is in seconds. `responses` are those of a REST API; an HTTP API has none.
    """

    door: ASGIApp
    kind: str
    authorize: Callable[[dict[str, Any]], dict[str, Any]]
    paths: frozenset[str] = frozenset({"/mcp"})
    stage: str = "$default"
    ttl: int = 0
    understands_raise: bool = True  # whether an HTTP API makes 401 of an authorizer that raises Unauthorized
    tells_expired: bool = False  # whether what it raises of an expired token is answered as EXPIRED_TOKEN
    responses: Mapping[str, Mapping[str, GatewayResponse]] = field(default_factory=dict)  # by path, then by type
    remaps_responses: bool = False  # whether their challenge is renamed, too
    now: Callable[[], float] = lambda: 0.0
    invoked: int = 0
    context: dict[str, str] = field(default_factory=dict)  # that the last request was given
    _cache: dict[str, tuple[float, dict[str, Any]]] = field(default_factory=dict)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        path = request.url.path.removeprefix(f"/{self.stage}")
        if request.method != "POST" or path not in self.paths:
            await self.door(scope, receive, send)
            return
        source = request.headers.get("authorization")
        kind = "UNAUTHORIZED" if source is None else await self.said(request, source)  # without asking anybody
        if kind:
            await self.refuse(kind, path)(scope, receive, send)
            return
        shown = {"lambda": self.context} if self.kind == HTTP_API else self.context
        await self.door({**scope, "aws.authorizer": shown}, receive, send)

    async def said(self, request: Request, source: str) -> str:
        """The type of the answer to what is refused; "" for what goes on."""
        remembered = self._cache.get(source)
        if remembered is None or remembered[0] <= self.now():
            try:
                answer = await asyncio.get_running_loop().run_in_executor(WORKERS, self.invoke, request)
            except Exception as error:  # noqa: BLE001 - whatever the function raises
                return self.raised(error, source)
            remembered = (self.now() + self.ttl, answer)
            if self.ttl:
                self._cache[source] = remembered
        answer = remembered[1]
        self.context = answer.get("context", {})
        assert all(isinstance(value, str) for value in self.context.values())
        if self.kind == HTTP_API:
            return "" if answer["isAuthorized"] else "ACCESS_DENIED"
        (statement,) = answer["policyDocument"]["Statement"]
        return "" if statement["Effect"] == "Allow" and statement["Resource"] == "*" else "ACCESS_DENIED"

    def raised(self, error: Exception, source: str) -> str:
        """The type of the answer where the authorizer raises: Unauthorized, to the letter, or its failure."""
        text = error.args[0]["errorMessage"] if isinstance(error, FunctionError) else str(error)
        if text != "Unauthorized" or (self.kind == HTTP_API and not self.understands_raise):
            return "AUTHORIZER_FAILURE"
        return "EXPIRED_TOKEN" if self.tells_expired and expires(source) <= self.now() else "UNAUTHORIZED"

    def invoke(self, request: Request) -> dict[str, Any]:
        self.invoked += 1
        headers = dict(request.headers.items())
        path = request.url.path
        if self.kind == HTTP_API:
            context: dict[str, Any] = {"stage": self.stage, "http": {"method": request.method, "path": path}}
            return self.authorize(
                {"version": "2.0", "type": "REQUEST", "rawPath": path, "headers": headers, "requestContext": context}
            )
        event = {
            "type": "REQUEST",
            "methodArn": "arn:aws:execute-api:us-east-1:123456789012:api/prod/POST/mcp",
            "resource": "/{proxy+}",
            "path": path.removeprefix(f"/{self.stage}"),
            "httpMethod": request.method,
            "headers": headers,
            "multiValueHeaders": {name: request.headers.getlist(name) for name in headers},
            "requestContext": {"stage": self.stage},
        }
        return self.authorize(event)

    def refuse(self, kind: str, path: str) -> Response:
        """The answer of that type."""
        own = self.responses.get(path, {}).get(kind)
        if self.kind == REST_API and own is not None:
            renamed = {"WWW-Authenticate": REMAPPED} if self.remaps_responses else {}
            headers = {renamed.get(name, name): value for name, value in own.headers.items()}
            return Response(own.body, own.status, headers, "application/json")
        status, message = PLAIN[kind]
        return Response(json.dumps({"message": message}), status, None, "application/json")


def expires(source: str) -> float:
    """When the token of a header does; what is no token never does."""
    try:
        payload = source.split(".")[1]
        return float(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["exp"])
    except (IndexError, ValueError):
        return float("inf")
