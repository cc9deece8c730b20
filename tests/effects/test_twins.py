"""Each fault of `Faults` beside the same fault of a real server: the same scenario has the same outcome."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, fields
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from backbone.kit import Proxy, client, running, settled

from esb_runtime import Backbone, Consume, ConsumerContext, UsageError
from esb_runtime._endpoint import Endpoint
from esb_runtime.redis import _keys
from esb_runtime.redis._scripts import script
from esb_runtime.testing import Faults, RedisServer, memory_backbone

from .kit import Billing, Shop

EVENTS = 8
TESTS = Path(__file__).parents[1]


class Slow(Shop[Consume]):
    """Takes its time, so that each outcome is written before the next event ends."""

    def __init__(self) -> None:
        self.finished: Counter[int] = Counter()

    async def ordered(self, ctx: ConsumerContext, n: int, who: str) -> None:
        await asyncio.sleep(0.05)
        self.finished[n] += 1


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What can be seen afterwards: entries in the stream, how often each event was handled, what is left over."""

    stored: int
    finished: Counter[int]
    pending: int = 0
    dead: tuple[str, ...] = ()


async def produce(backbone: Backbone) -> None:
    """The events, one after another."""
    for n in range(EVENTS):
        await Shop.producer(backbone).ordered(n)


async def in_memory(faults: Faults, *, idempotent: bool = False) -> Outcome:
    """The whole scenario in memory."""
    consumer = Slow()
    async with memory_backbone(faults=faults) as backbone:
        await produce(backbone)
        backbone.subscribe(consumer, group="g", idempotent=idempotent)
        await backbone.settled()
        server = backbone.server
        return Outcome(
            stored=len(server.events("shop")),
            finished=consumer.finished,
            pending=len(server.pending("shop", "g")),
            dead=tuple(each.letter.reason for each in server.dead_letters("shop", "g")),
        )


class Real:
    """A real server, with a proxy before it and a plain client beside it."""

    def __init__(self, proxy: Proxy, raw: Any) -> None:
        self.proxy = proxy
        self.raw = raw

    def backbone(self) -> Backbone:
        """Connected through the proxy."""
        return Backbone.connect(endpoint=self.proxy.endpoint)

    async def lose_reply_to(self, name: str) -> None:
        """The next reply to this script is lost (the server knows the script already, so it does run)."""
        await self.raw.script_load(script(name).source)
        self.proxy.cut_after(script(name).digest.encode())

    async def outcome(self, *, idempotent: bool = False, before: Counter[int] | None = None) -> Outcome:
        """Consume everything; `before` was handled by a process that is gone."""
        consumer = Slow()
        async with self.backbone() as backbone:
            backbone.subscribe(consumer, group="g", idempotent=idempotent, lease=timedelta(milliseconds=300))
            async with running(backbone), asyncio.timeout(30):
                while not await self._settled():  # noqa: ASYNC110 - a server tells nobody
                    await asyncio.sleep(0.01)
        letters = await self.raw.xrange(_keys.dead_letter_stream("shop", "g"))
        return Outcome(
            stored=await self.raw.xlen("shop"),
            finished=consumer.finished + (before or Counter()),
            pending=(await self.raw.xpending("shop", "g"))["pending"],
            dead=tuple(words[b"reason"].decode() for _, words in letters),
        )

    async def _settled(self) -> bool:
        return bool(await settled(self.raw, "shop", "g"))


@pytest_asyncio.fixture
async def real(redis_endpoint: Endpoint) -> AsyncIterator[Real]:
    """Empty at first."""
    async with client(redis_endpoint) as raw, Proxy(redis_endpoint).open() as proxy:
        yield Real(proxy, raw)


ONCE = Counter(range(EVENTS))


async def test_a_lost_reply_to_a_write(real: Real) -> None:
    """The producer sends again; the event is stored once."""
    await real.lose_reply_to("append_one")
    async with real.backbone() as backbone:
        await produce(backbone)
    assert real.proxy.cuts == 1
    assert await real.outcome() == await in_memory(Faults(lose_replies=1)) == Outcome(stored=EVENTS, finished=ONCE)


async def test_a_lost_reply_to_an_acknowledgement(real: Real) -> None:
    """The outcome is written again; nothing is handled twice, nothing stays pending."""
    async with real.backbone() as backbone:
        await produce(backbone)
    await real.lose_reply_to("settle")
    outcome = await real.outcome()
    assert real.proxy.cuts == 1
    assert outcome == await in_memory(Faults(lose_acks=1)) == Outcome(stored=EVENTS, finished=ONCE)


async def test_a_crash(real: Real, redis_server: RedisServer, tmp_path: Path) -> None:
    """What the dead process handled and could not acknowledge is handled again by its successor; nothing else is."""
    async with real.backbone() as backbone:
        await produce(backbone)
    environment = {**os.environ, **redis_server.environment(), "PYTHONPATH": str(TESTS)}
    log = tmp_path / "log"
    command = [sys.executable, "-m", "effects.crash_process", str(log)]
    assert (await asyncio.to_thread(subprocess.run, command, env=environment, cwd=TESTS, timeout=60)).returncode == 9
    before = Counter(map(int, log.read_text("utf-8").split()))
    expected = Outcome(stored=EVENTS, finished=ONCE + Counter([2]))
    assert await real.outcome(before=before) == await in_memory(Faults(crash_after=3)) == expected


async def test_a_crash_of_an_owner() -> None:
    """The same where one process owns the stream: the successor owns it, and keeps the order."""
    finished: list[int] = []

    class Keyed(Billing[Consume]):
        async def billed(self, ctx: ConsumerContext, n: int, who: str) -> None:
            await asyncio.sleep(0.05)
            finished.append(n)

    async with memory_backbone(faults=Faults(crash_after=3)) as backbone:
        for n in range(5):
            await Billing.producer(backbone).billed(n, "ann")
        backbone.subscribe(Keyed(), group="g", concurrency=4)
        await backbone.settled()
        assert backbone.server.pending("billing", "g") == []
    assert finished == [0, 1, 2, 2, 3, 4]


@pytest.mark.parametrize("idempotent", [False, True])
async def test_events_that_are_stored_twice(real: Real, idempotent: bool) -> None:
    """A duplicate is an event of its own, unless the group handles each message id once."""
    async with real.backbone() as backbone:
        for n in range(EVENTS):
            key = await Shop.producer(backbone).ordered(n)
            ((_, words),) = await real.raw.xrange("shop", key.id, key.id)
            await real.raw.xadd("shop", words)
    twice = Outcome(stored=2 * EVENTS, finished=ONCE if idempotent else ONCE + ONCE)
    assert await real.outcome(idempotent=idempotent) == twice
    assert await in_memory(Faults(duplicate=1.0), idempotent=idempotent) == twice


async def test_lost_payloads(real: Real) -> None:
    """An event without its payload ends in the dead letters, and the same words say why."""
    async with real.backbone() as backbone:
        await produce(backbone)
    for key in await real.raw.keys("{shop}:p:*"):
        await real.raw.delete(key)
    outcome = await real.outcome()
    assert outcome == await in_memory(Faults(lose_payloads=1.0))
    assert (len(outcome.dead), outcome.finished) == (EVENTS, Counter())


async def test_a_share() -> None:
    """A share is met roughly, and the same seed hits the same events again."""
    runs = [await in_memory(Faults(duplicate=0.5, seed=seed)) for seed in (1, 1, 2)]
    assert runs[0] == runs[1]
    assert EVENTS < runs[0].stored < 2 * EVENTS
    assert runs[2].finished != runs[0].finished


def test_what_cannot_be() -> None:
    """Faults that cannot be are refused where they are written."""
    wrong: list[dict[str, Any]] = [{"lose_acks": -1}, {"lose_replies": -1}, {"crash_after": 0}, {"duplicate": 1.5}]
    for options in [*wrong, {"lose_payloads": -0.1}]:
        with pytest.raises(UsageError, match="Faults"):
            Faults(**options)


def test_every_fault_has_a_twin() -> None:
    """Whoever adds a fault adds its twin here."""
    source = Path(__file__).read_text("utf-8")
    names = {each.name for each in fields(Faults)} - {"seed"}
    assert {name for name in names if f"in_memory(Faults({name}=" in source} == names
