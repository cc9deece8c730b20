"""Entries that nobody can read, among good ones: the good are handled, the bad kept with a reason, nothing spins."""

from __future__ import annotations

import asyncio
import time
from random import Random

import pytest

from esb_runtime import Backbone, Consume, ConsumerContext
from esb_runtime._endpoint import Endpoint
from esb_runtime.testing import RedisServer

from .run import client, wait_until
from .story import GROUP, URI, Parcel, Unkeyed, parcel

SHORT, LONG = 1_000, 10_000


class Counts(Unkeyed[Consume]):
    """Notes which numbers it handled."""

    def __init__(self) -> None:
        self.seen: set[int] = set()

    async def moved(self, ctx: ConsumerContext, key: str, number: int, parcel: Parcel) -> None:
        self.seen.add(number)


def nonsense(chance: Random) -> dict[bytes, bytes]:
    """Fields of an entry that no esb wrote, or that one wrote and somebody damaged."""
    good = {b"f": b"1", b"e": b"moved", b"v": b"1", b"i": b"gone-%d" % chance.randrange(1 << 60), b"t": b"1"}
    kind = chance.randrange(6)
    if kind == 0:
        return {chance.randbytes(8): chance.randbytes(chance.randrange(64)) for _ in range(chance.randrange(1, 6))}
    if kind == 1:
        good.pop(chance.choice(list(good)))  # a field is missing
    elif kind == 2:
        good[chance.choice([b"e", b"v", b"i", b"t"])] = b"\xff\xfe" + chance.randbytes(6)  # not UTF-8, not a number
    elif kind == 3:
        good |= {b"s": b":", b":n": chance.randbytes(chance.randrange(200))}  # a payload of garbage
    elif kind == 4:
        good[b"f"] = chance.choice([b"99", b"", b"x" * 100_000])  # another format, or a huge one
    return good  # kind 5: all well, but the payload is gone


@pytest.mark.parametrize("count", [SHORT, pytest.param(LONG, marks=pytest.mark.full)])
@pytest.mark.parametrize("seed", [1])
async def test_malformed_entries(count: int, seed: int, redis_endpoint: Endpoint, redis_server: RedisServer) -> None:
    """As many malformed entries as good ones: all good ones handled, all others buried with a reason, idle after."""
    chance = Random(seed)
    consumer = Counts()
    async with Backbone.connect() as backbone:
        with client(redis_server) as look:
            producer = Unkeyed.producer(backbone)
            for first in range(0, count, 100):
                await backbone.batch(producer.moved("k", n, parcel("k", n)) for n in range(first, first + 100))
                pipe = look.pipeline(transaction=False)
                for _ in range(100):
                    pipe.xadd(URI, nonsense(chance))  # type: ignore[arg-type]
                pipe.execute()
            subscription = backbone.subscribe(consumer, group=GROUP, concurrency=16)
            run = asyncio.create_task(subscription.run())
            letters = f"{{{URI}}}:dlq:{GROUP}"
            await asyncio.to_thread(
                wait_until, lambda: look.xlen(letters) == count, seconds=240, what="the bad ones are buried"
            )
            await asyncio.to_thread(
                wait_until, lambda: look.xpending(URI, GROUP)["pending"] == 0, seconds=60, what="nothing is pending"
            )
            assert consumer.seen == set(range(count))
            assert all(fields[b"reason"] for _, fields in look.xrange(letters))
            began = time.process_time()
            await asyncio.sleep(2)
            assert time.process_time() - began < 0.2, "nothing to do, and still busy"
            await subscription.stop()
            await run
