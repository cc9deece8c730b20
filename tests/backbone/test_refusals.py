"""A server that answers, but refuses for a while: the consumer goes on once it is well again, and loses nothing."""

from __future__ import annotations

from typing import Any

import pytest

from esb_runtime import Backbone, Consume, ConsumerContext, Ordering
from esb_runtime._endpoint import Endpoint
from esb_runtime.redis._connection import passing

from .kit import Jobs, eventually, running, settled, until

HARM: dict[str, tuple[tuple[Any, ...], tuple[Any, ...]]] = {
    "READONLY": (("REPLICAOF", "127.0.0.1", 1), ("REPLICAOF", "NO", "ONE")),
    "OOM": (("CONFIG", "SET", "maxmemory", 1), ("CONFIG", "SET", "maxmemory", 0)),
    "WRONGPASS": (("CONFIG", "SET", "requirepass", "other"), ("CONFIG", "SET", "requirepass", "")),
    "NOREPLICAS": (("CONFIG", "SET", "min-replicas-to-write", 3), ("CONFIG", "SET", "min-replicas-to-write", 0)),
    "paused": (("CLIENT", "PAUSE", 700), ("PING",)),
}


class Sees(Jobs[Consume]):
    """Notes what it handles."""

    def __init__(self) -> None:
        self.seen: set[int] = set()

    async def job(self, ctx: ConsumerContext, n: int) -> None:
        self.seen.add(n)


@pytest.mark.parametrize("ordering", [Ordering.NONE, Ordering.KEY])
@pytest.mark.parametrize("harm", HARM)
async def test_a_refusal_is_waited_out(harm: str, ordering: Ordering, redis_endpoint: Endpoint, raw: Any) -> None:
    """Events from before, during and after the trouble are handled; nothing stays pending."""
    ill, well = HARM[harm]
    consumer = Sees()
    async with Backbone.connect() as backbone:
        backbone.subscribe(consumer, group="g", ordering=ordering)
        async with running(backbone):
            await backbone.batch(Jobs.job(n) for n in range(50))
            await until(lambda: len(consumer.seen) == 50)
            await raw.execute_command(*ill)
            try:
                await raw.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
                await eventually(lambda: _complained(raw, harm))
            finally:
                await raw.execute_command(*well)
            await backbone.batch(Jobs.job(n) for n in range(50, 100))
            await until(lambda: consumer.seen == set(range(100)))
            await eventually(lambda: settled(raw, "jobs", "g"))


async def _complained(raw: Any, harm: str) -> bool:
    """Whether the consumer has met the trouble: connected again at least, and was refused where the server says so."""
    errors = await raw.info("errorstats")
    word = {"WRONGPASS": "NOAUTH"}.get(harm, harm)
    return harm in ("paused", "OOM") or any(word in name for name in errors)


def test_words_not_parts_of_words() -> None:
    """What passes is told by whole words: BUSY passes, BUSYGROUP is a mistake that does not."""
    assert passing("BUSY Redis is busy running a script")
    assert passing("ERR Error running script: @user_script:29: -OOM command not allowed")
    assert not passing("BUSYGROUP Consumer Group name already exists")
    assert not passing("ERR no such key 'ROOM-1'")
