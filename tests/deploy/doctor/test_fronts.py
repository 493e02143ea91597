"""What stands in front is told by what it writes, and its lines go where they mend something."""

from __future__ import annotations

import pytest

from conformance.wire import Answer
from deploy.doctor.fronts import FRONTS, SILENT, front_of

HOST = "mcp.example.com"
TOPICS = {"header", "documents", "buffering", "cors", "https", "methods", "time"}


@pytest.mark.parametrize(
    ("host", "headers", "name"),
    [
        (HOST, {"x-amz-cf-id": "one", "x-amz-apigw-id": "one"}, "CloudFront"),
        (HOST, {"via": "1.1 abc.cloudfront.net (CloudFront)"}, "CloudFront"),
        (HOST, {"cf-ray": "one", "server": "cloudflare"}, "Cloudflare"),
        ("abc.lambda-url.us-east-1.on.aws", {"x-amzn-requestid": "one"}, "the Lambda function URL"),
        (HOST, {"x-amz-apigw-id": "one"}, "the REST API of Amazon API Gateway"),
        ("abc.execute-api.us-east-1.amazonaws.com", {"x-amzn-requestid": "1"}, "the REST API of Amazon API Gateway"),
        (HOST, {"apigw-requestid": "one"}, "the HTTP API of Amazon API Gateway"),
        ("abc.execute-api.us-east-1.amazonaws.com", {}, "the HTTP API of Amazon API Gateway"),
        (HOST, {"server": "awselb/2.0"}, "the Application Load Balancer"),
        (HOST, {"server": "nginx/1.29.1"}, "nginx"),
        (HOST, {"server": "istio-envoy"}, "Envoy"),
        (HOST, {"x-envoy-upstream-service-time": "3"}, "Envoy"),
        (HOST, {"server": "Caddy"}, "Caddy"),
        (HOST, {"via": "2.0 Caddy"}, "Caddy"),
        (HOST, {"server": "HAProxy"}, "HAProxy"),
        (HOST, {"server": "uvicorn"}, None),
        (HOST, {}, None),
    ],
)
def test_front_is_told_by_what_it_writes(host: str, headers: dict[str, str], name: str | None) -> None:
    front = front_of(host, Answer("POST", "", (), b"", 401, tuple(headers.items())))
    assert (front.name if front else None) == name


@pytest.mark.parametrize("front", FRONTS, ids=lambda front: front.name)
def test_lines_of_a_front_are_sentences_about_known_topics(front: object) -> None:
    lines: dict[str, str] = vars(front)["lines"]
    assert lines.keys() <= TOPICS
    assert all(line.endswith(".") for line in lines.values())


def test_fronts_that_do_not_show_have_a_line_about_headers() -> None:
    assert all("header" in front.lines for front in SILENT)
