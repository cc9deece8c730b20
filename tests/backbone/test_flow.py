"""What travels with an event: headers, correlation and causation, times, places."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from esb_runtime import Backbone, Consume, ConsumerContext, Metadata, Origin, headers
from esb_runtime.testing import memory_backbone

from .kit import Jobs, running, until


async def last(backbone: Backbone) -> Metadata:
    return [delivery async for delivery in backbone.read(Jobs)][-1].metadata


async def test_metadata(backbone: Backbone) -> None:
    """An event knows its name, version, id, place and time; the seldom parts are empty."""
    before = datetime.now(UTC) - timedelta(microseconds=1)
    key = await Jobs.producer(backbone).job(1)
    metadata = await last(backbone)
    assert before <= metadata.produced_at <= datetime.now(UTC)
    assert (metadata.event, metadata.version, metadata.key, metadata.uri) == ("job", 1, key, "jobs")
    assert len(metadata.message_id) == 18
    assert (metadata.headers, metadata.correlation_id, metadata.causation_id) == ({}, "", "")
    assert (metadata.origin, metadata.linked, metadata.attempt) == (Origin.ORIGINAL, None, 1)


async def test_headers(backbone: Backbone) -> None:
    """Headers reach every event of their block; inner blocks add to outer ones and end with themselves."""
    jobs = Jobs.producer(backbone)
    with headers(tenant="a", user="1"):
        await jobs.job(1)
        assert (await last(backbone)).headers == {"tenant": "a", "user": "1"}
        with headers(user="2"):
            await jobs.job(2)
            assert (await last(backbone)).headers == {"tenant": "a", "user": "2"}
        await asyncio.create_task(jobs.job(3))
        assert (await last(backbone)).headers == {"tenant": "a", "user": "1"}
    await jobs.job(4)
    assert (await last(backbone)).headers == {}


class Chain(Jobs[Consume]):
    """Answers each job with a note, from a task of its own."""

    def __init__(self, backbone: Backbone) -> None:
        self.jobs = Jobs.producer(backbone)
        self.seen: list[Metadata] = []

    async def job(self, ctx: ConsumerContext, n: int) -> None:
        self.seen.append(ctx.metadata)
        await asyncio.create_task(self._answer(n))

    async def _answer(self, n: int) -> None:
        assert ConsumerContext.current().metadata is self.seen[-1]
        await self.jobs.note("seen", n)

    async def note(self, ctx: ConsumerContext, text: str, n: int = 0) -> None:
        self.seen.append(ctx.metadata)


async def test_causation(backbone: Backbone) -> None:
    """What a handler produces names the event as its cause, and the first of the chain as its correlation."""
    chain = Chain(backbone)
    backbone.subscribe(chain, group="chain")
    with headers(tenant="a"):
        await chain.jobs.job(1)
    async with running(backbone):
        await until(lambda: len(chain.seen) == 2)
    first, second = chain.seen
    assert second.causation_id == second.correlation_id == first.message_id
    assert (first.headers, second.headers) == ({"tenant": "a"}, {})


async def test_the_environment_and_the_uri() -> None:
    """A reader learns the environment and the uri as they were given, however the key spells them."""
    async with memory_backbone(environment="Production") as backbone:
        key = await Jobs.producer(backbone).job(1)
        assert key.stream == "prod:jobs"
        for metadata in (await last(backbone), (await backbone.get(key)).metadata):
            assert (metadata.environment, metadata.uri) == ("Production", "jobs")


async def test_one_producer_elsewhere(backbone: Backbone) -> None:
    """`uri` and `environment` of a producer win over the contract's and the backbone's."""
    elsewhere = Jobs.producer(backbone, uri="elsewhere", environment="Dev")
    assert (await elsewhere.job(1)).stream == "dev:elsewhere"
