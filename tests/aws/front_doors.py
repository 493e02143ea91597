"""What stands before a Lambda function at AWS: turns requests into its events, and its answers into responses.

Each front door does what AWS documents of it, the renaming of `WWW-Authenticate` included; where reports contradict
each other, a switch says which one is right.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from tests.aws.runtime import FunctionError

Invoke = Callable[[dict[str, Any]], Any]

REMAPPED = "x-amzn-Remapped-www-authenticate"
MAX_LAMBDA = 6 * 1024 * 1024  # bytes of a buffered event or answer
MAX_GATEWAY = 10 * 1024 * 1024  # bytes of a request or answer, for API Gateway
HTTP_API, REST_API, FUNCTION_URL = "http-api", "rest-api", "function-url"


@dataclass
class FrontDoor:
    """One front door as an ASGI app. `stage` is `$default` or a name; `remaps` whether the challenge is renamed."""

    kind: str
    invoke: Invoke
    stage: str = "$default"
    remaps: bool = True
    seconds: float = 29.0  # for one answer: 29 for a REST API, 30 for an HTTP API, the function's own for a URL

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request as this front door would."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        body = await request.body()
        path = request.url.path
        if self.kind == REST_API:
            _, stage, *rest = path.split("/")
            if stage != self.stage:
                await JSONResponse({"message": "Forbidden"}, 403)(scope, receive, send)
                return
            path = "/" + "/".join(rest)
        event = self.event(request, path, body)
        gateway = self.kind != FUNCTION_URL and len(body) > MAX_GATEWAY
        if gateway or len(event["body"] or "") > MAX_LAMBDA:
            await JSONResponse({"message": "Request Entity Too Large"}, 413)(scope, receive, send)
            return
        response = await self.answer(event)
        await response(scope, receive, send)

    async def answer(self, event: dict[str, Any]) -> Response:
        try:
            answered = await asyncio.wait_for(asyncio.to_thread(self.invoke, event), self.seconds)
        except TimeoutError:
            text = "Service Unavailable" if self.kind == HTTP_API else "Endpoint request timed out"
            return JSONResponse({"message": text}, 503 if self.kind == HTTP_API else 504)
        except FunctionError:
            status = 502 if self.kind != HTTP_API else 500
            return JSONResponse({"message": "Internal Server Error"}, status)
        return self.response(answered)

    def event(self, request: Request, path: str, body: bytes) -> dict[str, Any]:
        """The event of a request."""
        text, is_base64 = body.decode("utf-8", "surrogateescape"), False
        content_type = request.headers.get("content-type", "")
        if body and not content_type.startswith(("text/", "application/json", "application/x-www-form-urlencoded")):
            text, is_base64 = base64.b64encode(body).decode(), True
        if self.kind == FUNCTION_URL and content_type == "application/x-www-form-urlencoded":
            text, is_base64 = base64.b64encode(body).decode(), True
        make = self.rest_event if self.kind == REST_API else self.v2_event
        return make(request, path) | {"body": text or None, "isBase64Encoded": is_base64}

    def rest_event(self, request: Request, path: str) -> dict[str, Any]:
        """REST API, Lambda proxy integration, payload 1.0: the path is without the stage."""
        headers = dict(request.headers.items())
        query = parse_qs(request.url.query, keep_blank_values=True)
        return {
            "resource": "/{proxy+}",
            "path": path,
            "httpMethod": request.method,
            "headers": headers,
            "multiValueHeaders": {name: request.headers.getlist(name) for name in headers},
            "queryStringParameters": {name: values[-1] for name, values in query.items()} or None,
            "multiValueQueryStringParameters": query or None,
            "requestContext": {
                "stage": self.stage,
                "path": request.url.path,
                "httpMethod": request.method,
                "identity": {"sourceIp": "192.0.2.1"},
            },
        }

    def v2_event(self, request: Request, path: str) -> dict[str, Any]:
        """HTTP API and function URL, payload 2.0: headers joined, cookies apart, a named stage before the path."""
        headers = {name: ",".join(request.headers.getlist(name)) for name in request.headers if name != "cookie"}
        cookies = [cookie.strip() for cookie in request.headers.get("cookie", "").split(";") if cookie.strip()]
        event: dict[str, Any] = {
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": path,
            "rawQueryString": request.url.query,
            "headers": headers,
            "requestContext": {
                "stage": self.stage,
                "http": {"method": request.method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1"},
            },
        }
        return event | ({"cookies": cookies} if cookies else {})

    def response(self, answered: dict[str, Any]) -> Response:
        """The response that reaches the client."""
        body = answered.get("body") or ""
        raw = base64.b64decode(body) if answered.get("isBase64Encoded") else body.encode()
        if len(raw) > MAX_LAMBDA:
            return JSONResponse({"message": "Internal Server Error"}, 502)
        response = Response(raw, answered["statusCode"])
        fields = list((answered.get("headers") or {}).items())
        several = (answered.get("multiValueHeaders") or {}).items()
        fields += [(name, value) for name, values in several for value in values]
        fields += [("set-cookie", cookie) for cookie in answered.get("cookies") or []]
        for name, value in dict.fromkeys((name.lower(), value) for name, value in fields):
            if name != "content-length":
                renamed = name == "www-authenticate" and self.remaps
                response.headers.append(REMAPPED if renamed else name, value)
        return response
