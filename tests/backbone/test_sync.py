"""The synchronous face: the same promises from ordinary functions and threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import redis

from esb_runtime import (
    Backbone,
    ChannelUnavailable,
    EndpointError,
    EventKey,
    EventNotFound,
    MessageIdReused,
    Store,
    Sync,
    SyncBackbone,
    UsageError,
    headers,
    message_id,
)
from esb_runtime._endpoint import Endpoint

from .kit import Jobs


@pytest.fixture(params=Store)
def sync(request: pytest.FixtureRequest, redis_endpoint: Endpoint) -> Iterator[SyncBackbone]:
    with SyncBackbone.connect(store=request.param) as backbone:
        yield backbone


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "esb"]


def test_produce_and_read(sync: SyncBackbone) -> None:
    """Calls return keys; `read` and `get` give typed deliveries, as on the asynchronous side."""
    jobs = Jobs[Sync].producer(sync)
    keys = [jobs.job(n) for n in range(3)]
    assert all(isinstance(key, EventKey) for key in keys)
    assert [delivery.arguments["n"] for delivery in sync.read(Jobs.job, since=keys[1])] == [1, 2]
    assert [delivery.metadata.event for delivery in sync.read(Jobs, only=[Jobs.job])] == ["job"] * 3
    assert sync.get(keys[2]).arguments == {"n": 2}
    with pytest.raises(EventNotFound):
        sync.get(EventKey(stream="jobs", id="1-0"))


def test_batch(sync: SyncBackbone) -> None:
    """`batch` stores unsent events and nothing else."""
    keys = sync.batch(Jobs.job(n) for n in range(600))
    assert [delivery.key for delivery in sync.read(Jobs.job)] == keys
    with pytest.raises(UsageError, match="unsent events"):
        sync.batch([Jobs.job(1), "no event"])  # type: ignore[list-item]
    assert len(list(sync.read(Jobs.job))) == 600


def test_what_flows(sync: SyncBackbone) -> None:
    """Message ids and headers of the calling thread govern its calls."""
    jobs = Jobs[Sync].producer(sync)
    with message_id("a"), headers(tenant="x"):
        first = jobs.job(1)
        with pytest.raises(MessageIdReused):
            jobs.job(2)
    with message_id("a"):
        assert jobs.job(3) == first
    assert sync.get(first).metadata.headers == {"tenant": "x"}


def test_threads_share_round_trips(redis_endpoint: Endpoint) -> None:
    """Many threads may call at once; their events share round trips."""
    with SyncBackbone.connect() as sync, redis.Redis(port=redis_endpoint.port) as raw:
        jobs = Jobs[Sync].producer(sync)
        jobs.job(0)
        raw.config_resetstat()
        with ThreadPoolExecutor(32) as pool:
            keys = list(pool.map(jobs.job, range(640)))
        assert len(set(keys)) == 640
        stats: Any = raw.info("commandstats")
        assert stats["cmdstat_evalsha"]["calls"] < 500


def test_a_mistake_reaches_the_caller(sync: SyncBackbone) -> None:
    """Wrong arguments raise in the calling thread, and the next call works."""
    jobs = Jobs[Sync].producer(sync)
    with pytest.raises(ValueError, match="'n'"):
        jobs.job("not a number")  # type: ignore[arg-type]
    assert isinstance(jobs.job(1), EventKey)


def test_an_outage_reaches_the_caller() -> None:
    """After its deadline a call raises `ChannelUnavailable`."""
    with (
        SyncBackbone.connect(endpoint="127.0.0.1:1", deadline=timedelta(seconds=0.1)) as sync,
        pytest.raises(ChannelUnavailable),
    ):
        Jobs[Sync].producer(sync).job(1)


def test_reading_may_end_early(sync: SyncBackbone) -> None:
    """A reader that stops in the middle leaves nothing open."""
    sync.batch(Jobs.job(n) for n in range(3))
    for delivery in sync.read(Jobs.job):
        assert delivery.arguments == {"n": 0}
        break


def test_closing_ends_the_thread(redis_endpoint: Endpoint) -> None:
    """`close` ends the thread, twice does no harm, and what comes after is refused clearly."""
    sync = SyncBackbone.connect()
    jobs = Jobs[Sync].producer(sync)
    jobs.job(1)
    sync.close()
    sync.close()
    assert threads() == []
    with pytest.raises(UsageError, match="closed"):
        jobs.job(2)
    with pytest.raises(UsageError, match="closed"):
        list(sync.read(Jobs))


def test_a_wrong_endpoint_leaves_no_thread() -> None:
    """What cannot connect leaves nothing running."""
    with pytest.raises(EndpointError):
        SyncBackbone.connect(endpoint="http://not-redis")
    assert threads() == []


def test_sides_do_not_mix(sync: SyncBackbone) -> None:
    """An asynchronous producer needs a `Backbone`, a synchronous one a `SyncBackbone`: else a `TypeError`."""
    with pytest.raises(TypeError, match="serves the other side"):
        Jobs.producer(sync)  # type: ignore[arg-type]


async def test_beside_an_event_loop(redis_endpoint: Endpoint) -> None:
    """Both faces work in one program."""
    with await asyncio.to_thread(SyncBackbone.connect) as sync:
        key = await asyncio.to_thread(Jobs[Sync].producer(sync).job, 1)
        async with Backbone.connect() as backbone:
            assert (await backbone.get(key)).arguments == {"n": 1}
