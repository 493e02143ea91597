"""What a gate has counted, for Prometheus to read; it is loaded only where the settings ask for it.

Requests add to plain numbers, and all else is done when somebody reads them. What tells series apart is a resource, an
issuer or a reason, so there are few: never a principal, a client or a token.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import version

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp

from gateway.app import Gate
from gateway.audit import Counts
from gateway.keys import KeySet
from gateway.sessions import SealedSessions
from gateway.upstream import Upstream

PATH = "/metrics"


class Metrics:
    """The numbers of a gate as they are at the moment: a collector of prometheus_client."""

    def __init__(self, gates: Mapping[str, Gate], key_sets: Mapping[str, KeySet], counts: Counts) -> None:
        self._gates = {gate.audit.resource: gate for gate in gates.values()}
        self._key_sets = key_sets
        self._counts = counts

    def collect(self) -> Iterator[Metric]:
        """Every number."""
        yield InfoMetricFamily("bearergate_build", "What runs here.", {"version": version("bearergate")})
        yield self._decisions()
        yield self._key_fetches()
        yield by_resource(
            "bearergate_remembered_tokens",
            "Verified tokens that are remembered.",
            {resource: len(gate.verifier.verified) for resource, gate in self._gates.items()},
        )
        yield by_resource(
            "bearergate_waiting_event_streams",
            "Event streams that are open and only wait for events.",
            {resource: len(gate.waiting) for resource, gate in self._gates.items()},
        )
        upstreams = {resource: upstream_of(gate.app) for resource, gate in self._gates.items()}
        yield by_resource(
            "bearergate_upstream_connections",
            "Connections to the upstream that are open or being opened.",
            {resource: upstream.connections for resource, upstream in upstreams.items() if upstream is not None},
        )

    def _decisions(self) -> Metric:
        said = "Requests that were allowed, and refusals by their reason."
        family = CounterMetricFamily("bearergate_decisions", said, labels=["resource", "reason"])
        for resource, decisions in self._counts.items():
            for reason, count in {"allowed": decisions.allowed, **decisions.refused}.items():
                family.add_metric([resource, reason], count)
        return family

    def _key_fetches(self) -> Metric:
        said = "Times that the key set of an issuer was fetched."
        family = CounterMetricFamily("bearergate_key_fetches", said, labels=["issuer", "outcome"])
        for issuer, key_set in self._key_sets.items():
            for outcome, count in key_set.fetches.items():
                family.add_metric([issuer, outcome], count)
        return family


def by_resource(name: str, said: str, values: Mapping[str, int]) -> Metric:
    """A number that goes up and down, of each resource."""
    family = GaugeMetricFamily(name, said, labels=["resource"])
    for resource, value in values.items():
        family.add_metric([resource], value)
    return family


def upstream_of(app: ASGIApp) -> Upstream | None:
    """The upstream that stands behind a gate, if one does."""
    inner = app.app if isinstance(app, SealedSessions) else app
    return inner if isinstance(inner, Upstream) else None


def metrics_of(gate: Starlette) -> ASGIApp:
    """An app that shows the numbers of a gate, and of its process, at `PATH`; for a port that strangers do not reach.

    In the text format of Prometheus, or in OpenMetrics for who asks for it with `Accept`.
    """
    registry = CollectorRegistry()
    registry.register(Metrics(gate.state.gates, gate.state.key_sets, gate.state.counts))
    ProcessCollector(registry=registry)

    async def show(request: Request) -> Response:
        try:
            encode, content_type = choose_encoder(request.headers.get("accept", ""))
        except TypeError:  # it compares what is no version with one
            encode, content_type = choose_encoder("")
        return Response(encode(registry), headers={"content-type": content_type})

    return Router([Route(PATH, show, methods=["GET"])], redirect_slashes=False)
