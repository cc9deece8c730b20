"""One message id is stored once, whoever sends it, however often."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from esb_runtime import Backbone, EventKey, MessageIdReused, Store, UsageError, message_id
from esb_runtime._endpoint import Endpoint

from .conftest import Connect
from .kit import Jobs, Proxy


async def produced(backbone: Backbone, n: int, id_: str) -> EventKey:
    with message_id(id_):
        return await Jobs.producer(backbone).job(n)


async def stored(backbone: Backbone) -> list[int]:
    return [delivery.arguments["n"] async for delivery in backbone.read(Jobs.job)]


async def test_stored_once(connect: Connect) -> None:
    """The second call with an id returns the first call's key, from any client; the first call's values stand."""
    one, other = connect(), connect()
    first = await produced(one, 1, "order-42")
    assert await produced(one, 2, "order-42") == first
    assert await produced(other, 3, "order-42") == first
    assert await stored(one) == [1]
    assert (await one.get(first)).metadata.message_id == "order-42"


async def test_at_once(connect: Connect) -> None:
    """Concurrent calls with one id, from two clients, store one event and all get its key."""
    clients = [connect(), connect()]
    keys = await asyncio.gather(*(produced(clients[n % 2], n, "same") for n in range(20)))
    assert len(set(keys)) == 1
    assert len(await stored(clients[0])) == 1


async def test_per_stream(backbone: Backbone) -> None:
    """An id is unique in its stream, not across streams."""
    with message_id("a"):
        one = await Jobs.producer(backbone).job(1)
    with message_id("a"):
        other = await Jobs.producer(backbone, uri="elsewhere").job(1)
    assert (one.stream, other.stream) == ("jobs", "elsewhere")


async def test_inside_a_batch(backbone: Backbone) -> None:
    """An id that a batch holds twice, or that is stored already, is stored once."""
    jobs = Jobs.producer(backbone)
    before = await produced(backbone, 1, "a")

    def call(n: int, id_: str) -> Any:
        with message_id(id_):
            return jobs.job(n)

    keys = await backbone.batch([call(2, "a"), call(3, "b"), call(4, "b"), jobs.job(5)])
    assert (keys[0], keys[1]) == (before, keys[2])
    assert await stored(backbone) == [1, 3, 5]


async def test_one_call_per_block(backbone: Backbone) -> None:
    """A second produce call in one block raises, and stores nothing."""
    jobs = Jobs.producer(backbone)
    with message_id("a"):
        await jobs.job(1)
        with pytest.raises(MessageIdReused, match="exactly one"):
            await jobs.job(2)
        with message_id("b"):
            await jobs.job(3)
    await jobs.job(4)
    assert await stored(backbone) == [1, 3, 4]


@pytest.mark.parametrize("wrong", ["", "two\nlines", "x" * 513, "é" * 257])
def test_an_id_that_cannot_be(wrong: str) -> None:
    """A message id is short printable text."""
    with pytest.raises(UsageError, match="message id"), message_id(wrong):
        pass


CHILD = """
import asyncio
from esb_runtime import Backbone, message_id
from tests_jobs import Jobs

async def main():
    async with Backbone.connect() as backbone:
        for n in range(100):
            with message_id(f"id-{n}"):
                print(await Jobs.producer(backbone).job(n))

asyncio.run(main())
""".replace(
    "from tests_jobs import Jobs",
    'from esb_runtime import EventContract, Side, event\n\n\nclass Jobs(EventContract[Side], uri="jobs"):\n'
    "    @event\n    async def job(self, n: int) -> None: ...\n",
)


async def test_two_processes(redis_endpoint: Endpoint) -> None:
    """Two processes that send the same ids at the same time store each once, and print the same keys."""
    children = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", CHILD, stdout=asyncio.subprocess.PIPE)
        for _ in range(2)
    ]
    outputs = [(await child.communicate())[0] for child in children]
    assert [child.returncode for child in children] == [0, 0]
    assert outputs[0] == outputs[1]
    async with Backbone.connect() as backbone:
        assert await stored(backbone) == list(range(100))


@pytest.mark.parametrize("store", Store)
async def test_a_lost_reply(store: Store, redis_endpoint: Endpoint) -> None:
    """A write whose reply was lost is sent again by itself: stored once, and the call returns its key."""
    async with (
        Proxy(redis_endpoint).open() as proxy,
        Backbone.connect(endpoint=proxy.endpoint, store=store) as backbone,
    ):
        jobs = Jobs.producer(backbone)
        await jobs.job(1)
        proxy.cut_after(b"EVALSHA")
        key = await jobs.job(2)
        assert proxy.cuts == 1
        proxy.cut_after(b"EVALSHA")
        keys = await backbone.batch(Jobs.job(n) for n in (3, 4))
        assert proxy.cuts == 2
        assert await stored(backbone) == [1, 2, 3, 4]
        assert [(await backbone.get(each)).arguments["n"] for each in (key, *keys)] == [2, 3, 4]
