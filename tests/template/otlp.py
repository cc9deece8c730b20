"""A stand-in for an OpenTelemetry collector: takes OTLP over HTTP, and remembers what it was told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Thread

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Told

KINDS = {Told.SPAN_KIND_SERVER: "server", Told.SPAN_KIND_PRODUCER: "producer", Told.SPAN_KIND_CONSUMER: "consumer"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A span, with what tests look at."""

    service: str
    name: str
    kind: str
    trace: bytes
    id: bytes
    parent: bytes
    attributes: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A metric as it is declared: `counter`, `gauge` or `histogram`, and the attributes of its points."""

    name: str
    kind: str
    unit: str
    attributes: frozenset[str]


class Collector:
    """What has been told so far."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.metrics: set[Metric] = set()
        self._told = Condition()
        self.endpoint = ""

    def until(self, true: Callable[[], bool]) -> None:
        """Wait until what was told is as it should be."""
        with self._told:
            assert self._told.wait_for(true, 60), f"{self.spans}\n{self.metrics}"

    def take(self, path: str, body: bytes) -> None:
        """Note what was sent to a path of OTLP."""
        with self._told:
            if path == "/v1/traces":
                self.spans.extend(_spans(ExportTraceServiceRequest.FromString(body)))
            elif path == "/v1/metrics":
                self.metrics.update(_metrics(ExportMetricsServiceRequest.FromString(body)))
            self._told.notify_all()


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector that listens at its `endpoint`."""
    collector = Collector()

    class Taker(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            """Take it; an empty message says that all of it was taken."""
            assert not self.headers.get("Content-Encoding")
            collector.take(self.path, self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *words: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Taker) as server:
        collector.endpoint = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()


def _spans(request: ExportTraceServiceRequest) -> Iterator[Span]:
    for resource in request.resource_spans:
        service = _plain(resource.resource.attributes)["service.name"]
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield Span(
                    service=service,
                    name=span.name,
                    kind=KINDS.get(span.kind, "internal"),
                    trace=span.trace_id,
                    id=span.span_id,
                    parent=span.parent_span_id,
                    attributes=_plain(span.attributes),
                )


def _metrics(request: ExportMetricsServiceRequest) -> Iterator[Metric]:
    for resource in request.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                kind = {"sum": "counter"}.get(str(metric.WhichOneof("data")), str(metric.WhichOneof("data")))
                points = getattr(metric, "sum" if kind == "counter" else kind).data_points
                names = frozenset(one.key for point in points for one in point.attributes)
                yield Metric(name=metric.name, kind=kind, unit=metric.unit, attributes=names)


def _plain(attributes: Iterator[KeyValue]) -> dict[str, str]:
    return {one.key: str(getattr(one.value, str(one.value.WhichOneof("value")))) for one in attributes}
