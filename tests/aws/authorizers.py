"""API Gateway with a Lambda authorizer before a front door: its cache, its Gateway Responses, and switches."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.aws.front_doors import HTTP_API, REST_API


@dataclass
class Authorized:
    """A door whose resource an authorizer guards; what is public (well-known documents, the facade) goes by it.

    `ttl` is in seconds. `understands_raise` is whether an HTTP API makes 401 of an authorizer that raises
    Unauthorized; `challenge` is what the Gateway Responses of a REST API carry, and nothing for an HTTP API.
    """

    door: ASGIApp
    kind: str
    authorize: Callable[[dict[str, Any], object], dict[str, Any]]
    path: str = "/mcp"
    stage: str = "$default"
    ttl: int = 0
    understands_raise: bool = True
    challenge: str = ""
    now: Callable[[], float] = lambda: 0.0
    invoked: int = 0
    context: dict[str, str] = field(default_factory=dict)  # that the last request was given
    _cache: dict[str, tuple[float, dict[str, Any]]] = field(default_factory=dict)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        if request.url.path.removeprefix(f"/{self.stage}") != self.path:
            await self.door(scope, receive, send)
            return
        source = request.headers.get("authorization")
        if source is None:
            await self.refuse(401)(scope, receive, send)  # without asking anybody
            return
        status = await self.status(request, source)
        answer = self.door if status == 200 else self.refuse(status)
        await answer(scope, receive, send)

    async def status(self, request: Request, source: str) -> int:
        """200 for what goes on."""
        remembered = self._cache.get(source)
        if remembered is None or remembered[0] <= self.now():
            try:
                answer = await asyncio.to_thread(self.invoke, request)
            except Exception as error:  # noqa: BLE001 - whatever the function raises
                known = str(error) == "Unauthorized" and (self.kind == REST_API or self.understands_raise)
                return 401 if known else 500
            remembered = (self.now() + self.ttl, answer)
            if self.ttl:
                self._cache[source] = remembered
        answer = remembered[1]
        self.context = answer.get("context", {})
        assert all(isinstance(value, str) for value in self.context.values())
        if self.kind == HTTP_API:
            return 200 if answer["isAuthorized"] else 403
        (statement,) = answer["policyDocument"]["Statement"]
        return 200 if statement["Effect"] == "Allow" and statement["Resource"] == "*" else 403

    def invoke(self, request: Request) -> dict[str, Any]:
        self.invoked += 1
        headers = dict(request.headers.items())
        path = request.url.path
        if self.kind == HTTP_API:
            context: dict[str, Any] = {"stage": self.stage, "http": {"method": request.method, "path": path}}
            return self.authorize(
                {"version": "2.0", "type": "REQUEST", "rawPath": path, "headers": headers, "requestContext": context},
                None,
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
        return self.authorize(event, None)

    def refuse(self, status: int) -> JSONResponse:
        """The Gateway Response: for a REST API with the challenge of the template, the same for every request."""
        message = {401: "Unauthorized", 403: "Forbidden", 500: "Internal Server Error"}[status]
        real = self.kind == REST_API and self.challenge and status != 500
        return JSONResponse({"message": message}, status, {"WWW-Authenticate": self.challenge} if real else {})
