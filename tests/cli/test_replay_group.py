"""`esb replay --group` and `esb tail --group`: what one group has handled, and what it has not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import redis
from command_kit import Esb

from esb_runtime import Backbone, Consume, ConsumerContext, EventContract, Side, event
from esb_runtime.operations import Operations

PATIENCE = 60.0


class Steps(EventContract[Side], uri="s"):
    """Some events."""

    @event
    async def step(self, n: int) -> None: ...


class Handler(Steps[Consume]):
    """Notes what it handles."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    async def step(self, ctx: ConsumerContext, n: int) -> None:
        """Note it."""
        self.seen.append(n)


@dataclass(kw_only=True)
class Groups:
    """A stream of numbered events, and groups that handle them in this process."""

    esb: Esb
    server: redis.Redis

    def handle(self, group: str, count: int, **options: Any) -> list[int]:
        """What the group handles until it has handled so many, and nothing is left in its hands."""
        return asyncio.run(self._handle(group, count, options))

    async def _handle(self, group: str, count: int, options: dict[str, Any]) -> list[int]:
        handler, deadline = Handler(), time.monotonic() + PATIENCE
        async with Backbone.connect(endpoint=self.esb.variables["REDIS_EVENT_SOURCE_ENDPOINT"]) as backbone:
            subscription = backbone.subscribe(handler, group=group, **options)
            running = asyncio.create_task(subscription.run())
            while len(handler.seen) < count or self.pending(group):
                assert time.monotonic() < deadline, f"it has handled {len(handler.seen)} of {count}"
                await asyncio.sleep(0.02)
            await subscription.stop()
            await running
        return handler.seen

    def pending(self, group: str) -> list[str]:
        """The ids that the group has in hand."""
        found: Sequence[dict[str, Any]] = self.server.xpending_range("s", group, "-", "+", 10_000)
        return [entry["message_id"].decode() for entry in found]


@pytest.fixture
def groups(esb: Esb, server: redis.Redis) -> Groups:
    """Thirty events that two groups have handled."""
    esb.seed("s", *[("step", 1, {"n": n}) for n in range(30)])
    made = Groups(esb=esb, server=server)
    for group in ("one", "other"):
        assert made.handle(group, 30, idempotent=True) == [*range(30)]
    return made


def test_one_group_handles_a_part_again(groups: Groups) -> None:
    """Exactly what was chosen comes again, in order, to that group alone, although its handlers are idempotent."""
    words = ("replay", "s", "--where", "args.n > `4` && args.n < `20`", "--event", "step", "--group", "one")
    dry = groups.esb("replay", "s", "--where", "args.n > `4` && args.n < `20`", "--group", "one", "--dry-run")
    assert "s: 15 events" in dry.stderr
    assert "pass --yes" in groups.esb.fails(2, *words)
    assert groups.pending("one") == []
    done = groups.esb(*words, "--yes")
    assert done.returncode == 0, done.stderr
    assert "15 events given back to one" in done.stderr
    assert [event["args"]["n"] for event in groups.esb.lines("tail", "s", "--group", "one")] == [*range(10, 20)]
    assert groups.esb.lines("tail", "s", "--group", "other") == []
    assert groups.handle("one", 15, idempotent=True) == [*range(5, 20)]
    assert groups.pending("other") == []
    groups.esb.seed("s", ("step", 1, {"n": 30}))
    assert groups.handle("other", 1, idempotent=True) == [30]
    assert not groups.server.keys("*:replay:*")


def test_a_living_owner_takes_up_what_is_given_back(esb: Esb, server: redis.Redis) -> None:
    """A group that is at work, ordered by key, handles again without a restart."""
    esb.seed("s", *[("step", 1, {"n": n}) for n in range(10)])
    groups = Groups(esb=esb, server=server)

    async def both() -> list[int]:
        from esb_runtime import Ordering

        working = asyncio.create_task(groups._handle("one", 20, {"ordering": Ordering.KEY}))
        deadline = time.monotonic() + PATIENCE
        while not (await asyncio.to_thread(server.xinfo_groups, "s")) or groups.pending("one"):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
        while int(server.xinfo_groups("s")[0]["entries-read"] or 0) < 10 or groups.pending("one"):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
        await asyncio.to_thread(esb.ok, "replay", "s", "--group", "one", "--yes")
        return await working

    assert asyncio.run(both()) == [*range(10), *range(10)]


def test_what_it_has_in_hand_or_was_not_given_comes_anyway(groups: Groups) -> None:
    """Pending events stay with their consumer, new ones are left: both are unhandled, and no replay doubles them."""
    groups.server.xgroup_create("s", "third", id="0")
    groups.server.xreadgroup("third", "busy", {"s": ">"}, count=20)
    ids = groups.pending("third")
    groups.server.xack("s", "third", *ids[3:12])
    unhandled = groups.esb.lines("tail", "s", "--group", "third", "--since", "start")
    assert [event["args"]["n"] for event in unhandled] == [0, 1, 2, *range(12, 30)]
    chosen = groups.esb.lines("tail", "s", "--group", "third", "-n", "2", "--where", "args.n < `13`")
    assert [event["args"]["n"] for event in chosen] == [2, 12]
    done = groups.esb("replay", "s", "--group", "third", "--yes")
    assert "9 events given back to third" in done.stderr
    assert groups.pending("third") == ids
    held = groups.server.xpending_range("s", "third", "-", "+", 100, consumername="busy")
    assert len(held) == 11


def test_a_killed_replay_goes_on_exactly(groups: Groups) -> None:
    """Killed between steps, --resume gives the rest, once: what was handled meanwhile does not come a second time."""
    running = groups.esb.start("replay", "s", "--group", "one", "--yes", "--rate", "20")
    deadline = time.monotonic() + PATIENCE
    while not groups.pending("one"):
        assert time.monotonic() < deadline
        assert running.poll() is None
        time.sleep(0.01)
    running.kill()
    running.communicate()
    first = len(groups.pending("one"))
    assert 0 < first < 30
    assert groups.handle("one", first, idempotent=True) == [*range(first)]
    groups.esb.seed("s", ("step", 1, {"n": 30}))
    assert groups.handle("one", 1, idempotent=True) == [30]
    done = groups.esb("replay", "s", "--group", "one", "--yes", "--resume")
    assert f"{30 - first} events given back to one" in done.stderr, done.stderr
    assert groups.handle("one", 30 - first, idempotent=True) == [*range(first, 30)]
    assert "no replay to group one was interrupted" in groups.esb.fails(4, "replay", "s", "--group", "one", "--resume")


def test_a_step_whose_reply_was_lost_gives_nothing_twice(groups: Groups) -> None:
    """Repeated after the group has handled its events, a step answers as before and does nothing."""

    async def twice() -> tuple[Any, Any, list[str]]:
        operations = await Operations.connect(endpoint=groups.esb.variables["REDIS_EVENT_SOURCE_ENDPOINT"])
        channel: Any = operations._channel
        try:
            port, page = channel.redelivery("s", "one"), await channel.scan("s", count=5, payload=False)
            once = await port.give(page, run="r", begins=True, last="+")
            given = groups.pending("one")
            groups.server.xack("s", "one", *given)
            again = await port.give(page, run="r", begins=True, last="+")
            page = await channel.scan("s", first=given[3], count=4, payload=False)
            shifted = await port.give(page, run="r", begins=False, last="+")
            assert (shifted.given, groups.pending("one")) == (2, [event.key.id for event in page[2:]])
            groups.server.xack("s", "one", *groups.pending("one"))
            return once, again, given
        finally:
            await operations.aclose()

    once, again, given = asyncio.run(twice())
    assert (once.given, again) == (5, once)
    assert len(given) == 5
    assert groups.pending("one") == []


def test_what_there_is_not(groups: Groups) -> None:
    """Unknown groups are named with those that there are; -f with a group is refused."""
    assert "has no group 'nobody'" in groups.esb.fails(4, "replay", "s", "--group", "nobody", "--dry-run")
    assert "has no group 'nobody'" in groups.esb.fails(4, "tail", "s", "--group", "nobody")
    groups.esb.fails(2, "tail", "s", "--group", "one", "-f")
