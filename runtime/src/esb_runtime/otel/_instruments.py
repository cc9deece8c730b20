"""The instruments, and the two operations that they measure: events are sent, events are processed."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from opentelemetry import context, propagate, trace
from opentelemetry.metrics import Counter, Histogram, MeterProvider, get_meter_provider
from opentelemetry.trace import Link, SpanKind, StatusCode, TracerProvider, get_tracer_provider

from .._envelope import Record, Stored
from . import _names as names

_Attributes = dict[str, str | int]

_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Operation:
    """What events go through, and how that is measured."""

    name: str
    kind: SpanKind
    count: Counter
    duration: Histogram


class Instruments:
    """One of each; made once per backbone."""

    def __init__(self, tracers: TracerProvider | None, meters: MeterProvider | None) -> None:
        self._tracer = (tracers or get_tracer_provider()).get_tracer(names.SCOPE)
        meter = (meters or get_meter_provider()).get_meter(names.SCOPE)

        def seconds(name: str, description: str) -> Histogram:
            return meter.create_histogram(name, "s", description, explicit_bucket_boundaries_advisory=_SECONDS)

        self._send = _Operation(
            name=names.SEND,
            kind=SpanKind.PRODUCER,
            count=meter.create_counter(names.SENT, "{message}", "Events that were sent"),
            duration=seconds(names.SEND_DURATION, "How long sending took"),
        )
        self._process = _Operation(
            name=names.PROCESS,
            kind=SpanKind.CONSUMER,
            count=meter.create_counter(names.CONSUMED, "{message}", "Events that were given to a handler"),
            duration=seconds(names.PROCESS_DURATION, "How long handlers took"),
        )
        self._delay = seconds(names.DELAY, "From an event's production to the start of its handler")
        self.lag = meter.create_gauge(names.LAG, "{event}", "Events that the group has not handled")
        self.age = meter.create_gauge(names.AGE, "s", "How long the group's oldest unhandled event has waited")
        self.dead_letters = meter.create_gauge(names.DEAD_LETTERS, "{event}", "Dead letters of the group")

    @contextmanager
    def sending(self, stream: str, records: Sequence[Record]) -> Generator[Mapping[str, str]]:
        """Send events of one stream; yields what they carry of the trace."""
        details = _described(records, records[0].message_id)
        with self._measured(self._send, about(names.SEND, stream), details, len(records)):
            carrier: dict[str, str] = {}
            propagate.inject(carrier)
            yield carrier

    @contextmanager
    def processing(self, batch: Sequence[Stored], group: str, attempt: int) -> Generator[None]:
        """Process events: one below the operation that sent it, several linked to those that sent them."""
        first = batch[0]
        dimensions = {**about(names.PROCESS, first.key.stream), names.GROUP: group}
        now = time.time_ns() // 1000
        for stored in batch:
            self._delay.record(max(now - stored.produced_at, 0) / 1e6, dimensions)
        details = _described(batch, first.message_id)
        parents = [propagate.extract(stored.details.trace, context.Context()) for stored in batch]
        links: list[Link] = []
        if len(batch) == 1:
            details |= {names.ENTRY: first.key.id, names.ATTEMPT: attempt}
        else:
            links = [Link(trace.get_current_span(parent).get_span_context()) for parent in parents]
        token = context.attach(parents[0] if len(batch) == 1 else context.Context())
        try:
            with self._measured(self._process, dimensions, details, len(batch), links):
                yield
        finally:
            context.detach(token)

    @contextmanager
    def _measured(
        self,
        operation: _Operation,
        dimensions: _Attributes,
        details: _Attributes,
        count: int,
        links: Sequence[Link] = (),
    ) -> Generator[None]:
        """A span, a duration and a count. Of an error only the type is told: its text can hold argument values."""
        outcome = dict(dimensions)
        began = time.perf_counter()
        with self._tracer.start_as_current_span(
            f"{operation.name} {dimensions[names.STREAM]}",
            kind=operation.kind,
            attributes={**dimensions, **details},
            links=links,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield
            except BaseException as error:
                outcome[names.ERROR] = type(error).__qualname__
                span.set_attribute(names.ERROR, type(error).__qualname__)
                span.set_status(StatusCode.ERROR)
                raise
            finally:
                operation.duration.record(time.perf_counter() - began, outcome)
                operation.count.add(count, outcome)


def about(operation: str, stream: str) -> _Attributes:
    """What all spans and metrics of an operation on a stream say."""
    return {
        names.SYSTEM: names.REDIS,
        names.STREAM: stream,
        names.OPERATION: operation,
        names.OPERATION_TYPE: operation,
    }


def _described(batch: Sequence[Record] | Sequence[Stored], message_id: str) -> _Attributes:
    """What a span says of its events beside that: of one what it is, of several how many."""
    if len(batch) > 1:
        return {names.BATCH: len(batch)}
    return {names.EVENT: batch[0].event, names.VERSION: batch[0].version, names.MESSAGE_ID: message_id}
