"""What stands before a Lambda function at AWS: turns requests into its events, and its answers into responses.

Each front door does what AWS documents of it, the renaming of `WWW-Authenticate` included; where reports contradict
each other, a switch says which one is right.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from tests.aws.runtime import END, FunctionError, Invocation

Event = dict[str, Any]
Invoke = Callable[[Event], Any]
Open = Callable[[Event], Invocation]

REMAPPED = "x-amzn-Remapped-www-authenticate"
MAX_LAMBDA = 6 * 1024 * 1024  # bytes of a buffered event
MAX_GATEWAY = 10 * 1024 * 1024  # bytes of a request, for API Gateway
MAX_PRELUDE = 16 * 1024
MAX_STREAM = 200 * 1024 * 1024
HTTP_API, REST_API, FUNCTION_URL = "http-api", "rest-api", "function-url"
SECONDS = {HTTP_API: 30.0, REST_API: 29.0, FUNCTION_URL: 900.0}  # for one buffered answer; a URL leaves it to Lambda
TEXTS = ("text/", "application/json", "application/xml", "application/javascript")
FORM = "application/x-www-form-urlencoded"
BINARY = ("application/octet-stream", "image/*")  # as the template has them for a REST API
WORKERS = ThreadPoolExecutor(64, "invocation")  # a call each, for as long as the function takes


@dataclass
class FrontDoor:
    """One front door as an ASGI app, buffering, or streaming where `open` is given. What is uncertain is a switch."""

    kind: str
    invoke: Invoke
    stage: str = "$default"
    remaps: bool = True  # whether the challenge is renamed
    seconds: float = 0.0  # for one answer, if not what the kind allows
    open: Open | None = None
    domain: bool = False  # a domain of one's own, with root mapping
    domain_shows_stage: bool = True  # whether an HTTP API puts a named stage before the path there, too
    joined_with: str = ","  # between the values of a header that came several times
    base64_forms: bool = True  # whether forms come in base64
    decodes_all: bool = False  # whether a REST API decodes base64 whatever the client accepts
    overwrites: Mapping[int, str] = field(default_factory=dict)  # `overwrite:header.www-authenticate`, by status
    overwriting_works: bool = True
    api_key: str = ""  # that a REST API asks for at the resource
    path: str = "/mcp"  # the resource
    idle: float = 300.0  # seconds between two pieces of a stream
    max_stream: int = MAX_STREAM

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request as this front door would."""
        request = Request(scope, receive)
        body = await request.body()
        path = self.inner_path(request.url.path)
        if path is None:
            missing = {"message": "Forbidden"} if self.kind == REST_API else {"message": "Not Found"}
            await JSONResponse(missing, 403 if self.kind == REST_API else 404)(scope, receive, send)
            return
        asks_for_key = self.api_key and (request.method, path) == ("POST", self.path)
        if asks_for_key and request.headers.get("x-api-key") != self.api_key:
            await JSONResponse({"message": "Forbidden"}, 403)(scope, receive, send)
            return
        event = self.event(request, path, body)
        gateway = self.kind != FUNCTION_URL and len(body) > MAX_GATEWAY
        if gateway or len(event["body"] or "") > MAX_LAMBDA:
            await JSONResponse({"message": "Request Entity Too Large"}, 413)(scope, receive, send)
        elif self.open is None:
            accepted = request.headers.get("accept", "")
            await (await self.answer(event, accepted))(scope, receive, send)
        else:
            await self.stream(self.open(event), receive, send)

    def inner_path(self, path: str) -> str | None:
        """The path as the event has it; none where no stage is."""
        if self.stage == "$default" or (self.domain and self.kind == REST_API):
            return path
        prefix = f"/{self.stage}"
        if self.domain:
            return prefix + path if self.domain_shows_stage else path
        if not f"{path}/".startswith(f"{prefix}/"):
            return None
        return (path.removeprefix(prefix) or "/") if self.kind == REST_API else path

    async def answer(self, event: Event, accepted: str) -> Response:
        loop = asyncio.get_running_loop()
        try:
            answered = await asyncio.wait_for(
                loop.run_in_executor(WORKERS, self.invoke, event), self.seconds or SECONDS[self.kind]
            )
        except TimeoutError:
            text = "Service Unavailable" if self.kind == HTTP_API else "Endpoint request timed out"
            return JSONResponse({"message": text}, 503 if self.kind == HTTP_API else 504)
        except FunctionError:
            return self.failed()
        return self.response(answered, accepted)

    def failed(self) -> Response:
        """What is said where the function fails."""
        return JSONResponse({"message": "Internal Server Error"}, 500 if self.kind == HTTP_API else 502)

    async def stream(self, made: Invocation, receive: Receive, send: Send) -> None:
        """Pass an answer on as it comes, for as long as somebody takes it."""
        watching = asyncio.ensure_future(receive())
        watching.add_done_callback(lambda _: made.gone.set())
        try:
            await self.pass_on(made, send)
        finally:
            watching.cancel()

    async def pass_on(self, made: Invocation, send: Send) -> None:
        prelude, delimiter, rest = b"", b"", b""
        while not delimiter:
            chunk = await self.chunk(made)
            if chunk is END:
                await self.unstreamed(made, prelude, send)
                return
            prelude, delimiter, rest = (prelude + chunk).partition(bytes(8))
        assert len(prelude) <= MAX_PRELUDE
        said = json.loads(prelude)
        fields = [(name.encode(), value.encode()) for name, value in self.fields(said)]
        await send({"type": "http.response.start", "status": said["statusCode"], "headers": fields})
        sent = len(rest)
        await send({"type": "http.response.body", "body": rest, "more_body": True})
        try:
            while (chunk := await asyncio.wait_for(self.chunk(made), self.idle)) is not END:
                sent += len(chunk)
                if sent > self.max_stream:
                    return  # without an end: it breaks off
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except TimeoutError:
            return
        if not made.trailers:  # else it breaks off
            await send({"type": "http.response.body", "body": b""})

    async def unstreamed(self, made: Invocation, answer: bytes, send: Send) -> None:
        """An answer in one piece, of a runtime that does not stream, or an error."""
        response = self.failed() if made.error is not None else self.response(json.loads(answer), "")
        await response({"type": "http"}, asyncio.Event().wait, send)  # type: ignore[arg-type]  # nothing is received

    async def chunk(self, made: Invocation) -> bytes | None:
        return await asyncio.get_running_loop().run_in_executor(WORKERS, made.chunk)

    def event(self, request: Request, path: str, body: bytes) -> Event:
        """The event of a request."""
        media = request.headers.get("content-type", "").partition(";")[0]
        text, is_base64 = body.decode("utf-8", "replace"), False
        if body and self.comes_in_base64(media):
            text, is_base64 = base64.b64encode(body).decode(), True
        make = self.rest_event if self.kind == REST_API else self.v2_event
        return make(request, path) | {"body": text or None, "isBase64Encoded": is_base64}

    def comes_in_base64(self, media: str) -> bool:
        """Whether a body of that media type does; without base64, what is no text is lost."""
        if self.kind == REST_API:
            return matches(media, BINARY)
        return self.base64_forms if media == FORM else not media.startswith(TEXTS)

    def rest_event(self, request: Request, path: str) -> Event:
        """REST API, Lambda proxy integration, payload 1.0: the path is without the stage, names as they were sent."""
        several = {name.title(): request.headers.getlist(name) for name in request.headers}
        several |= {name.title(): [value] for name, value in FORWARDED.items()}
        query = parse_qs(request.url.query, keep_blank_values=True)
        context = {"stage": self.stage, "path": request.url.path, "httpMethod": request.method}
        return {
            "resource": "/{proxy+}",
            "path": path,
            "httpMethod": request.method,
            "headers": {name: values[-1] for name, values in several.items()},
            "multiValueHeaders": several,
            "queryStringParameters": {name: values[-1] for name, values in query.items()} or None,
            "multiValueQueryStringParameters": query or None,
            "requestContext": context | {"identity": {"sourceIp": "192.0.2.1"}} | authorized(request),
        }

    def v2_event(self, request: Request, path: str) -> Event:
        """HTTP API and function URL, payload 2.0: headers joined, cookies apart, a named stage before the path."""
        headers = {name: self.joined_with.join(request.headers.getlist(name)) for name in request.headers}
        cookies = [cookie.strip() for cookie in headers.pop("cookie", "").split(";") if cookie.strip()]
        http = {"method": request.method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1"}
        event: Event = {
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": path,
            "rawQueryString": request.url.query,
            "headers": headers | FORWARDED,
            "requestContext": {"stage": self.stage, "http": http} | authorized(request),
        }
        return event | ({"cookies": cookies} if cookies else {})

    def response(self, answered: Event, accepted: str) -> Response:
        """The response that reaches the client."""
        body = answered.get("body") or ""
        decodes = self.kind != REST_API or self.decodes_all or matches(accepted.partition(",")[0].strip(), BINARY)
        raw = base64.b64decode(body) if answered.get("isBase64Encoded") and decodes else body.encode()
        response = Response(raw, answered["statusCode"])
        for name, value in self.fields(answered):
            if name != "content-length":
                response.headers.append(name, value)
        return response

    def fields(self, answered: Event) -> list[tuple[str, str]]:
        """Names and values of the headers that reach the client."""
        found = list((answered.get("headers") or {}).items())
        several = (answered.get("multiValueHeaders") or {}).items()
        found += [(name, value) for name, values in several for value in values]
        found += [("set-cookie", cookie) for cookie in answered.get("cookies") or []]
        unique = dict.fromkeys((name.lower(), value) for name, value in found)
        made = [(REMAPPED if name == "www-authenticate" and self.remaps else name, value) for name, value in unique]
        instead = self.overwrites.get(answered["statusCode"]) if self.overwriting_works else None
        return (
            [field for field in made if field[0] != "www-authenticate"] + [("www-authenticate", instead)]
            if instead
            else made
        )


# What every front door adds.
FORWARDED = {"x-forwarded-for": "192.0.2.1", "x-forwarded-proto": "https", "x-forwarded-port": "443"}


def authorized(request: Request) -> dict[str, Any]:
    """What an authorizer has said, for the function to read."""
    said = request.scope.get("aws.authorizer")
    return {"authorizer": said} if said else {}


def matches(media: str, patterns: tuple[str, ...]) -> bool:
    """Whether a media type is among those, some with an asterisk."""
    kind = media.partition("/")[0]
    return media in patterns or f"{kind}/*" in patterns
