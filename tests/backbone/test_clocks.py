"""Wall clocks that jump, the consumer's and the server's: leases, retries and ages do not follow."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from datetime import timedelta
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from esb_runtime import Backbone, Consume, ConsumerContext, Ordering, Retention, Retry
from esb_runtime._endpoint import Endpoint
from esb_runtime.operations import Operations
from esb_runtime.otel import Telemetry

from .kit import Jobs, eventually, running, settled, until

HOUR = 3600
JUMPS = (0, 24 * HOUR, -48 * HOUR, 5, -5, 365 * 24 * HOUR, 0)
"""Seconds by which the wall clock is wrong, one after the other."""
EACH = 40
RETRY = Retry(attempts=3, first_delay=timedelta(milliseconds=50), max_delay=timedelta(milliseconds=50))
LEASE = timedelta(seconds=20)
both = pytest.mark.parametrize("ordering", [Ordering.NONE, Ordering.KEY])


class Tenth(Jobs[Consume]):
    """Fails at the first attempt of every tenth event; notes attempts and when they began."""

    def __init__(self) -> None:
        self.attempts: defaultdict[int, list[int]] = defaultdict(list)
        self.began: defaultdict[int, list[float]] = defaultdict(list)

    async def job(self, ctx: ConsumerContext, n: int) -> None:
        self.attempts[n].append(ctx.metadata.attempt)
        self.began[n].append(time.monotonic())
        if n % 10 == 0 and len(self.attempts[n]) == 1:
            raise ValueError("the first time")

    @property
    def done(self) -> int:
        return sum(len(attempts) == (2 if n % 10 == 0 else 1) for n, attempts in self.attempts.items())


@both
async def test_a_consumers_clock_that_jumps(
    ordering: Ordering,
    redis_endpoint: Endpoint,
    raw: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A process whose wall clock jumps by days keeps its lease, retries when it is time, and counts no negative age."""
    wrong = 0
    right, right_ns = time.time, time.time_ns
    monkeypatch.setattr(time, "time", lambda: right() + wrong)
    monkeypatch.setattr(time, "time_ns", lambda: right_ns() + wrong * 1_000_000_000)
    consumer, reader = Tenth(), InMemoryMetricReader()
    telemetry = Telemetry(meters=MeterProvider([reader]), every=timedelta(milliseconds=20))
    async with Backbone.connect(telemetry=telemetry) as backbone:
        backbone.subscribe(
            consumer, group="g", ordering=ordering, lease=LEASE, retry=RETRY,
            retention=Retention(keep=timedelta(days=1), every=timedelta(milliseconds=100)),
        )  # fmt: skip
        with caplog.at_level(logging.WARNING, "esb_runtime"):
            async with running(backbone):
                held = await eventually(lambda: _held(raw))
                for turn, wrong in enumerate(JUMPS):  # noqa: B007 - the clock above reads it
                    await backbone.batch(Jobs.job(n) for n in range(turn * EACH, (turn + 1) * EACH))
                    await until(lambda turn=turn: consumer.done == (turn + 1) * EACH, seconds=60)
                await eventually(lambda: settled(raw, "jobs", "g"), seconds=60)
                assert await _held(raw) == held, "the same lease from the beginning to the end"
                described = await Operations(backbone).describe("jobs")
                ages = [consumer.idle for group in described.groups for consumer in group.consumers]
    assert ages
    assert min(ages) >= timedelta(0)
    assert _least(reader) >= 0
    failing = [n for n in consumer.attempts if n % 10 == 0]
    assert {tuple(consumer.attempts[n]) for n in failing} == {(1, 2)}
    assert min(consumer.began[n][1] - consumer.began[n][0] for n in failing) >= 0.04, "no retry came early"
    assert await raw.xlen("jobs") == EACH * len(JUMPS), "what is a day old, the server's clock says"
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == len(failing), "one word for each failed attempt, nothing about leases"


async def _held(raw: Any) -> dict[bytes, bytes]:
    """The leases that there are, with their holders' tokens."""
    keys = [key for kind in ("own", "live") async for key in raw.scan_iter(f"{{jobs}}:{kind}:*")]
    return {key: await raw.get(key) for key in keys}


@both
async def test_a_servers_clock_that_jumps(ordering: Ordering, redis_endpoint: Endpoint, raw: Any) -> None:
    """A server whose clock went ahead ends every lease; one that went back again goes on with ids from the future."""
    consumer = Tenth()
    async with Backbone.connect() as backbone:
        backbone.subscribe(consumer, group="g", ordering=ordering, lease=LEASE, retry=RETRY)
        async with running(backbone):
            await backbone.batch(Jobs.job(n) for n in range(100))
            await until(lambda: consumer.done >= 50, seconds=60)
            await raw.delete(*await _held(raw))  # what the clock's jump does to keys with a time to live
            await until(lambda: len(consumer.attempts) == 100, seconds=60)
            await eventually(lambda: settled(raw, "jobs", "g"), seconds=60)
            ahead = f"{await _milliseconds(raw) + 10 * 365 * 24 * HOUR * 1000}-7"
            await raw.execute_command("XSETID", "jobs", ahead)
            keys = await backbone.batch(Jobs.job(n) for n in range(100, 200))
            assert all(key.id.split("-")[0] == ahead.split("-", maxsplit=1)[0] for key in keys)
            await until(lambda: len(consumer.attempts) == 200, seconds=60)
            await eventually(lambda: settled(raw, "jobs", "g"), seconds=60)
            await eventually(lambda: _floor_is_last(raw), seconds=60)
            await raw.xgroup_destroy("jobs", "g")
            await backbone.batch(Jobs.job(n) for n in range(200, 250))
            await until(lambda: len(consumer.attempts) == 250, seconds=60)
            await eventually(lambda: settled(raw, "jobs", "g"), seconds=60)
    assert {consumer.attempts[n][0] for n in range(100, 250)} == {1}
    assert all(len(consumer.attempts[n]) == (2 if n % 10 == 0 else 1) for n in range(100, 250))


async def _milliseconds(raw: Any) -> int:
    seconds, _ = await raw.time()
    return int(seconds) * 1000


async def _floor_is_last(raw: Any) -> bool:
    return await raw.get("{jobs}:floor:g") == (await raw.xinfo_stream("jobs"))["last-generated-id"]


def _least(reader: InMemoryMetricReader) -> float:
    """The smallest duration or age that was ever told."""
    data = reader.get_metrics_data()
    assert data is not None
    points = [
        point
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.unit == "s"
        for point in metric.data.data_points
    ]
    values = [value for point in points for value in [getattr(point, "min", None), getattr(point, "value", None)]]
    return float(min(value for value in values if value is not None))
