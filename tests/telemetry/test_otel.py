"""What telemetry says: one trace per story, the documented names and no others, never an argument's value."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from esb_runtime import Backbone, Consume, ConsumerContext, Delivery, EventContract, Retry, Side, batch, event
from esb_runtime.otel import Telemetry, _names, from_environment
from esb_runtime.testing import RedisServer

PAGE = Path(__file__).parents[2] / "docs" / "telemetry.md"
SECRET = "ada@example.com"


class Shop(EventContract[Side], uri="telemetry-shop"):
    """A contract."""

    @event
    async def ordered(self, email: str) -> None:
        """Somebody ordered."""

    @event
    async def paid(self, email: str) -> None:
        """Somebody paid."""


class Cashier(Shop[Consume]):
    """Answers an order with a payment; fails once first."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.failed = False

    async def ordered(self, ctx: ConsumerContext, email: str) -> None:
        if not self.failed:
            self.failed = True
            raise RuntimeError(f"no change for {email}")
        await self.shop.paid(email)


class Ledger(Shop[Consume]):
    """Notes payments, several at a time."""

    def __init__(self, expected: int) -> None:
        self.left = expected
        self.done = asyncio.Event()

    @batch(size=10, wait=timedelta(milliseconds=20))
    async def paid(self, deliveries: Sequence[Delivery[...]]) -> None:
        self.left -= len(deliveries)
        if self.left <= 0:
            self.done.set()


class Heard:
    """Telemetry into memory, and what came."""

    def __init__(self) -> None:
        self.spans = InMemorySpanExporter()
        self.reader = InMemoryMetricReader()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.spans))
        meters = MeterProvider([self.reader])
        self.telemetry = Telemetry(tracers=self.tracers, meters=meters, every=timedelta(milliseconds=20))

    def finished(self) -> Sequence[ReadableSpan]:
        """The spans that ended."""
        return self.spans.get_finished_spans()

    def metrics(self) -> dict[str, list[Any]]:
        """The data points by metric name."""
        data = self.reader.get_metrics_data()
        return {
            metric.name: list(metric.data.data_points)
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    async def until(self, name: str, true: Callable[[list[float]], bool]) -> None:
        """Wait until the values of a metric are as they should be."""
        while True:
            if true([point.value for point in self.metrics().get(name, [])]):
                return
            await asyncio.sleep(0.02)


@pytest.fixture
def heard() -> Iterator[Heard]:
    """Telemetry into memory."""
    found = Heard()
    yield found
    found.tracers.shutdown()


@asynccontextmanager
async def running(backbone: Backbone) -> AsyncIterator[None]:
    """A backbone whose subscriptions run."""
    task = asyncio.create_task(backbone.run())
    try:
        yield
    finally:
        await backbone.stop()
        await task


async def tell(heard: Heard, server: RedisServer) -> None:
    """The story: a batch of two and one more order, one failure, three payments, all below one request."""
    server.clear()
    where = {"endpoint": server.endpoint.display, "password": server.endpoint.password}
    async with Backbone.connect(**where, telemetry=heard.telemetry) as backbone:
        shop, ledger = Shop.producer(backbone), Ledger(3)
        retry = Retry(first_delay=timedelta(milliseconds=10))
        backbone.subscribe(Cashier(shop), group="cashiers", retry=retry)
        backbone.subscribe(ledger, group="ledger")
        with heard.tracers.get_tracer("test").start_as_current_span("request"):
            await shop.ordered(SECRET)
            await backbone.batch([shop.ordered(SECRET), shop.ordered(SECRET)])
        async with asyncio.timeout(30), running(backbone):
            await ledger.done.wait()
            await heard.until(_names.LAG, lambda values: values == [0, 0])


async def test_calls_that_wait_for_each_other(heard: Heard, redis_server: RedisServer) -> None:
    """Calls that share a round trip have a span each, and each event its own trace parent."""
    redis_server.clear()
    where = {"endpoint": redis_server.endpoint.display, "password": redis_server.endpoint.password}
    async with Backbone.connect(**where, telemetry=heard.telemetry) as backbone:
        shop = Shop.producer(backbone)

        async def customer() -> None:
            for _ in range(3):
                await shop.ordered(SECRET)

        await asyncio.gather(*(customer() for _ in range(40)))
        sends = [span for span in heard.finished() if span.kind is SpanKind.PRODUCER]
        assert len(sends) == 120
        parents = {delivery.metadata.trace["traceparent"] async for delivery in backbone.read(Shop)}
    assert len(parents) == 120


async def test_one_trace_runs_through_the_streams(heard: Heard, redis_server: RedisServer) -> None:
    """Request, send, process, and the send of the event that the handler produced; a batch call links to it."""
    await tell(heard, redis_server)
    spans = heard.finished()
    request = next(span for span in spans if span.name == "request")
    traced = [span for span in spans if span.context.trace_id == request.context.trace_id]
    sends = [span for span in traced if span.kind is SpanKind.PRODUCER]
    assert {span.name for span in sends} == {"send telemetry-shop"}
    assert sum((span.attributes or {}).get(_names.BATCH, 1) for span in sends) == 6
    handled = [span for span in traced if (span.attributes or {}).get(_names.GROUP) == "cashiers"]
    orders = [span for span in handled if (span.attributes or {}).get(_names.EVENT) == "ordered"]
    assert len(orders) == 4
    assert all(span.parent and span.parent.span_id in {send.context.span_id for send in sends} for span in orders)
    booked = [span for span in spans if span.links]
    linked = {link.context.trace_id for span in booked for link in span.links}
    assert linked <= {request.context.trace_id}


async def test_a_failure_is_told_by_its_type(heard: Heard, redis_server: RedisServer) -> None:
    """The failed start has its error's class on the span and on the metrics; no span or metric quotes an argument."""
    await tell(heard, redis_server)
    (failed,) = [span for span in heard.finished() if not span.status.is_ok]
    assert (failed.attributes or {})[_names.ERROR] == "RuntimeError"
    points = heard.metrics()[_names.CONSUMED]
    assert sum(point.value for point in points if point.attributes.get(_names.ERROR) == "RuntimeError") == 1
    assert SECRET not in "".join(span.to_json() for span in heard.finished())
    data = heard.reader.get_metrics_data()
    assert data is None or SECRET not in data.to_json()


async def test_the_page_lists_what_is_emitted(heard: Heard, redis_server: RedisServer) -> None:
    """docs/telemetry.md, the module of names, and what a story emits: the same attributes, the same metrics."""
    await tell(heard, redis_server)
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL))
    listed = {title: set(re.findall(r"^\| `([^`]+)`", text, re.MULTILINE)) for title, text in sections.items()}
    emitted = heard.metrics()
    assert set(emitted) == listed["Metrics"]
    attributes = {name for span in heard.finished() for name in span.attributes or {}}
    attributes |= {name for points in emitted.values() for point in points for name in point.attributes}
    assert attributes == listed["Attributes"]
    names = {value for key, value in vars(_names).items() if key.isupper()}
    assert listed["Metrics"] | listed["Attributes"] == names - {_names.SCOPE, _names.SEND, _names.PROCESS, _names.REDIS}


async def test_lag_and_age_grow_while_nobody_handles(heard: Heard, redis_server: RedisServer) -> None:
    """An event that is being retried counts, and its age is that of its entry."""
    redis_server.clear()
    where = {"endpoint": redis_server.endpoint.display, "password": redis_server.endpoint.password}
    async with Backbone.connect(**where, telemetry=heard.telemetry) as backbone:
        backbone.subscribe(
            Cashier(Shop.producer(backbone)),
            group="cashiers",
            retry=Retry(first_delay=timedelta(hours=1), max_delay=timedelta(hours=1)),
        )
        await Shop.producer(backbone).ordered(SECRET)
        async with asyncio.timeout(30), running(backbone):
            await heard.until(_names.AGE, lambda values: any(value > 0.05 for value in values))
            assert [point.value for point in heard.metrics()[_names.LAG]] == [1]


def test_nothing_is_set_up_without_a_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an OTLP endpoint, or switched off, there is no telemetry at all."""
    for name in (
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    ):
        monkeypatch.delenv(name, raising=False)
    assert from_environment(service="shop") is None
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert from_environment(service="shop") is None


def test_the_runtime_does_not_load_opentelemetry() -> None:
    """`import esb_runtime` loads nothing of it; `import esb_runtime.otel` without it names the extra."""
    script = """
import sys
import esb_runtime
assert "esb_runtime.otel" not in sys.modules
for name in [name for name in sys.modules if name.startswith("opentelemetry")]:
    del sys.modules[name]  # redis-py's own
sys.modules["opentelemetry"] = None
try:
    import esb_runtime.otel
except ModuleNotFoundError as error:
    assert "esb-runtime[otel]" in str(error)
else:
    raise SystemExit("it was loaded")
"""
    subprocess.run([sys.executable, "-c", script], check=True)
