"""What stands in front of a server, told by what it writes into answers, and the lines that mend what it breaks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from conformance.wire import Answer


@dataclass(frozen=True)
class Front:
    """A front: how it shows, and by topic the line to change. `lines` speak of `header`, `documents`, `buffering`,
    `cors`, `https`, `methods` and `time`.
    """

    name: str
    shows: Callable[[str, Answer], bool] = field(repr=False)
    lines: dict[str, str] = field(default_factory=dict, repr=False)


EDGE = (
    "put CloudFront before it, with a Lambda@Edge function at origin response that renames "
    "x-amzn-remapped-www-authenticate back (a CloudFront Function does not run for a status from 400 on), or host "
    "the gate in a container behind an ALB"
)


def _server(*names: str) -> Callable[[str, Answer], bool]:
    return lambda _, answer: any(said.lower().startswith(names) for said in answer.all("server"))


FUNCTION_URL = Front(
    "the Lambda function URL",
    lambda host, _: host.endswith(".on.aws") and ".lambda-url." in host,
    {
        "header": f"it renames WWW-Authenticate always: {EDGE}.",
        "buffering": 'set Streaming to "on" in template.yaml (InvokeMode: RESPONSE_STREAM).',
        "cors": "leave Cors of AWS::Lambda::Url empty, so that the gate answers, and set allowed_origins of the gate.",
        "time": "raise Timeout in template.yaml.",
    },
)
REST_API = Front(
    "the REST API of Amazon API Gateway",
    lambda host, answer: answer.has("x-amz-apigw-id") or (".execute-api." in host and answer.has("x-amzn-requestid")),
    {
        "header": (
            'set Authorizer to "on" in template.yaml: its Gateway Responses (UNAUTHORIZED, ACCESS_DENIED) carry a '
            f"real WWW-Authenticate; or {EDGE}."
        ),
        "documents": (
            "no stage of an execute-api address can serve /.well-known/: set DomainName in template.yaml (a base path "
            "mapping at the root), or FrontDoor to http-api, whose stage is $default."
        ),
        "buffering": 'set Streaming to "on" in template.yaml (responseTransferMode: STREAM).',
        "cors": "add no mock integration for OPTIONS: let ANY /{proxy+} pass it on; set allowed_origins.",
    },
)
HTTP_API = Front(
    "the HTTP API of Amazon API Gateway",
    lambda host, answer: answer.has("apigw-requestid") or ".execute-api." in host,
    {
        "header": f"{EDGE}.",
        "documents": "deploy to the stage $default; a named stage is a part of every path.",
        "buffering": "an HTTP API never streams: set FrontDoor to rest-api or function-url and Streaming to on.",
        "cors": "leave CorsConfiguration of AWS::ApiGatewayV2::Api empty, so that the gate answers OPTIONS itself.",
    },
)
CLOUDFRONT = Front(
    "CloudFront",
    lambda _, answer: answer.has("x-amz-cf-id") or "cloudfront" in answer.header("via").lower(),
    {
        "header": "no CustomErrorResponses for 401 and 403; if the origin renames it, a Lambda@Edge function at origin "
        "response that sets www-authenticate.",
        "documents": "a cache behavior for /.well-known/* that leads to the same origin as the MCP endpoint.",
        "buffering": "CachePolicyId CachingDisabled and Compress: false for the behavior of the MCP endpoint.",
        "cors": "an OriginRequestPolicyId of AllViewerExceptHostHeader, AllowedMethods with OPTIONS, and no "
        "ResponseHeadersPolicyId with CORS.",
        "methods": "AllowedMethods: [GET, HEAD, OPTIONS, PUT, PATCH, POST, DELETE].",
    },
)
ALB = Front(
    "the Application Load Balancer",
    _server("awselb"),
    {
        "header": "no authenticate-oidc or authenticate-cognito action before the forward action of the rule.",
        "documents": "a listener rule with path-pattern /.well-known/* that forwards to the same target group.",
        "buffering": "a target group of type instance or ip; one of type lambda gathers every answer.",
        "time": "raise idle_timeout.timeout_seconds.",
    },
)
NGINX = Front(
    "nginx",
    _server("nginx", "openresty"),
    {
        "header": "no `proxy_hide_header WWW-Authenticate;`, and `proxy_intercept_errors off;`.",
        "documents": "`location /.well-known/oauth-protected-resource { proxy_pass …; }` like that of the endpoint, "
        "above any `location ~ /\\. { deny all; }`.",
        "buffering": "`proxy_buffering off;` and `gzip off;` in the location of the MCP endpoint.",
        "cors": "no `add_header Access-Control-…`, and no `if ($request_method = OPTIONS)`: pass both on.",
        "https": "`proxy_set_header Host $host;` and `proxy_set_header X-Forwarded-Proto $scheme;`.",
        "methods": "no `limit_except` in the location of the MCP endpoint.",
        "time": "`proxy_read_timeout 3600s;`.",
    },
)
ENVOY = Front(
    "Envoy",
    lambda _, answer: _server("envoy", "istio-envoy")("", answer) or answer.has("x-envoy-upstream-service-time"),
    {
        "header": "no response_headers_to_remove with www-authenticate, and no local_reply_config for 401.",
        "documents": "a route with prefix /.well-known/ to the same cluster.",
        "buffering": "no envoy.filters.http.buffer or compressor filter on the route of the MCP endpoint.",
        "time": "`timeout: 0s` on that route.",
    },
)
CLOUDFLARE = Front(
    "Cloudflare",
    lambda _, answer: answer.has("cf-ray"),
    {
        "header": "no Transform Rule that removes www-authenticate, and no Access application on the MCP endpoint.",
        "documents": "no WAF rule or Bot Fight Mode on /.well-known/*: add a Skip rule for it.",
        "buffering": "no Cloudflare Tunnel with buffering between, and Content-Type: text/event-stream as it is.",
    },
)
CADDY = Front(
    "Caddy",
    lambda _, answer: _server("caddy")("", answer) or "caddy" in answer.header("via").lower(),
    {
        "header": "no `header -WWW-Authenticate`, and no `handle_errors` or `handle_response` for 401.",
        "documents": "`handle /.well-known/oauth-* { reverse_proxy … }`.",
        "buffering": "`flush_interval -1` in reverse_proxy, and no `encode` on the MCP endpoint.",
    },
)
HAPROXY = Front(
    "HAProxy",
    _server("haproxy"),
    {
        "header": "no `http-response del-header WWW-Authenticate` and no `errorfile 401`.",
        "documents": "`use_backend gate if { path_beg /.well-known/oauth-protected-resource }`.",
        "buffering": "`option http-no-delay` and no `compression type text/event-stream`.",
        "time": "raise `timeout server` and `timeout tunnel`.",
    },
)
# In this order: what is nearest to the client first, where both can be told.
FRONTS = (CLOUDFRONT, CLOUDFLARE, FUNCTION_URL, REST_API, HTTP_API, ALB, NGINX, ENVOY, CADDY, HAPROXY)
SILENT = (NGINX, HAPROXY, ALB, CLOUDFRONT)  # that may stand there and not show; all are named where none is told


def front_of(host: str, answer: Answer) -> Front | None:
    """The front that an answer tells of; None where it tells of none."""
    return next((front for front in FRONTS if front.shows(host, answer)), None)
