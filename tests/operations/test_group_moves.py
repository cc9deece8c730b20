"""Moving groups and handing over their events: counted before, exact after, right beside living consumers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from esb_runtime import Backbone, Consume, ConsumerContext, EventContract, GroupBusy, GroupNotFound, Side, event
from esb_runtime._ports import SeatOptions, Settlements
from esb_runtime.operations import Group, Operations, PendingEvent
from esb_runtime.redis._connection import Connection
from esb_runtime.redis._keys import floor_key, lease_key, owner_key
from esb_runtime.testing import RedisServer
from esb_runtime.testing._binary import find_binary

LEASE = timedelta(seconds=30)


class Orders(EventContract[Side], uri="orders"):
    """Events of one customer wait for each other."""

    @event(key="customer")
    async def placed(self, customer: str, n: int) -> None: ...


class Jobs(EventContract[Side], uri="jobs"):
    """Events that wait for nobody."""

    @event
    async def job(self, n: int) -> None: ...


class Seen(Orders[Consume], Jobs[Consume]):
    """Notes what it handles; `gate` holds every handler back."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def placed(self, ctx: ConsumerContext, customer: str, n: int) -> None:
        self.numbers.append(n)
        await self.gate.wait()

    async def job(self, ctx: ConsumerContext, n: int) -> None:
        self.numbers.append(n)
        await self.gate.wait()

    async def sees(self, count: int, *, again: tuple[int, ...] = ()) -> None:
        """Wait until so many handlers have started, and behind the first one these, in this order.

        Others may stand between them: whoever lost its hold may begin one more event before it notices.
        """
        async with asyncio.timeout(60):
            while len(self.numbers) < count or not in_order(again, self.numbers[1:]):  # noqa: ASYNC110 - the handlers run elsewhere
                await asyncio.sleep(0.01)


def in_order(wanted: Iterable[int], among: Iterable[int]) -> bool:
    """Whether these come one after another among those."""
    rest = iter(among)
    return all(number in rest for number in wanted)


@pytest.fixture
async def raw(redis_server: RedisServer) -> AsyncIterator[Connection]:
    """Plain commands on the same, empty server."""
    redis_server.clear()
    connection = Connection(redis_server.endpoint)
    yield connection
    await connection.aclose()


@pytest.fixture
async def operations(redis_server: RedisServer, raw: Connection) -> AsyncIterator[Operations]:
    """Operations on the server."""
    endpoint = redis_server.endpoint
    made = await Operations.connect(endpoint=endpoint.display, password=endpoint.password)
    yield made
    await made.aclose()


async def filled(operations: Operations, stream: str, count: int) -> list[str]:
    """So many events; their ids."""
    name = "placed" if stream == "orders" else "job"
    arguments = {"customer": "ann"} if stream == "orders" else {}
    return [
        (await operations.produce(stream, name, {**arguments, "n": n}, ordering_key=arguments.get("customer"))).id
        for n in range(count)
    ]


async def given(operations: Operations, stream: str, count: int, *, handled: int, consumer: str = "dead") -> None:
    """A group `g` that was given `count` events and settled the first `handled`; its consumer has no lease."""
    options = SeatOptions(stream=stream, group="g", consumer=consumer, lease=LEASE, owned=False)
    seat = operations._channel.seat(options)
    await seat.open()
    await seat.acquire()
    taken = await seat.read(count, timedelta(0)) if count else []
    ids = [(each.stored.key.id, each.stored.message_id) for each in taken]
    await seat.settle(Settlements(handled=ids[:handled], failed=[], dead=[]))
    connection = operations._channel._commands
    await connection.call("DEL", lease_key(stream, "g", consumer))
    await asyncio.to_thread(seat._heart.close)


@asynccontextmanager
async def consuming(server: RedisServer, *consumers: Seen, **options: object) -> AsyncIterator[None]:
    """These consumers in the group `g`, each as a process of its own."""
    endpoint = server.endpoint
    async with Backbone.connect(endpoint=endpoint.display, password=endpoint.password) as backbone:
        subscriptions = [backbone.subscribe(each, group="g", lease=LEASE, **options) for each in consumers]  # type: ignore[arg-type]
        tasks = [asyncio.create_task(each.run()) for each in subscriptions]
        try:
            yield
        finally:
            for consumer in consumers:
                consumer.gate.set()
            for each in subscriptions:
                await each.stop()
            await asyncio.gather(*tasks)


async def pending(group: Group) -> list[PendingEvent]:
    """Everything that is pending."""
    return [each async for each in group.pending()]


async def test_a_move_back_does_what_the_plan_counted(operations: Operations, redis_server: RedisServer) -> None:
    """Handled events and pending ones behind the position come again; earlier pending ones stay; the lag is exact."""
    ids = await filled(operations, "jobs", 10)
    await given(operations, "jobs", 8, handled=0)
    await operations._channel._commands.call("XACK", "jobs", "g", *ids[1:6])
    group = await operations.group("jobs", "g")
    plan = await group.plan(ids[4])
    assert (plan.again, plan.restarted, plan.skipped, plan.kept, plan.dropped, plan.ahead) == (4, 2, 0, 1, 0, 6)
    assert await group.move(plan) == plan
    after = (await operations.group("jobs", "g")).summary
    assert (after.pending, after.last_delivered) == (1, plan.position)
    assert after.lag == (6 if find_binary().major >= 7 else None), "servers count it from Redis 7 on"
    seen = Seen()
    async with consuming(redis_server, seen):
        await seen.sees(7)
    assert sorted(seen.numbers) == [0, 4, 5, 6, 7, 8, 9]


async def test_a_move_to_the_end_skips_and_keeps_or_drops(operations: Operations, raw: Connection) -> None:
    """To the end, what was never given out is skipped; pending events stay unless they are let go."""
    ids = await filled(operations, "jobs", 10)
    await given(operations, "jobs", 4, handled=1)
    group = await operations.group("jobs", "g")
    plan = await group.plan("+")
    assert (plan.again, plan.skipped, plan.kept, plan.dropped, plan.ahead) == (0, 6, 3, 0, 0)
    assert await group.move(plan) == plan
    assert [each.id for each in await pending(group)] == ids[1:4]
    dropping = await group.plan("+", drop=True)
    assert (dropping.kept, dropping.dropped) == (0, 3)
    assert await group.move(dropping) == dropping
    assert await pending(group) == []
    assert (await raw.call("GET", floor_key("jobs", "g"))).decode() == ids[-1]


async def test_a_lost_group_comes_back_where_it_was_moved_to(operations: Operations, raw: Connection) -> None:
    """The floor moves with the group: a group that is lost right after is re-created at its new place."""
    ids = await filled(operations, "jobs", 6)
    await given(operations, "jobs", 6, handled=6)
    group = await operations.group("jobs", "g")
    await group.move(await group.plan(ids[2]))
    await raw.call("XGROUP", "DESTROY", "jobs", "g")
    await given(operations, "jobs", 0, handled=0)
    assert (await operations.group("jobs", "g")).summary.lag in {4, None}
    plan = await (await operations.group("jobs", "g")).plan(ids[2])
    assert plan.position == (await operations.group("jobs", "g")).summary.last_delivered


async def test_a_position_ahead_of_the_stream_is_its_end(operations: Operations) -> None:
    """A group never stands past the newest event: those that come later would be skipped."""
    ids = await filled(operations, "jobs", 2)
    await given(operations, "jobs", 1, handled=1)
    group = await operations.group("jobs", "g")
    assert (await group.plan("9999999999999-0")).position == ids[-1]


@pytest.mark.parametrize("stream", ["jobs", "orders"])
async def test_living_consumers_are_refused_or_lose_their_hold(
    operations: Operations, redis_server: RedisServer, raw: Connection, stream: str
) -> None:
    """Beside a living consumer nothing moves, unless asked; then it begins again at the new position."""
    await filled(operations, stream, 5)
    seen = Seen()
    async with consuming(redis_server, seen):
        await seen.sees(5)
        group = await operations.group(stream, "g")
        plan = await group.plan("-")
        assert len(plan.alive) == 1
        before = (await operations.group(stream, "g")).summary.last_delivered
        with pytest.raises(GroupBusy, match="alive"):
            await group.move(plan)
        assert (await operations.group(stream, "g")).summary.last_delivered == before
        if stream == "jobs":
            return  # without an owner's token nothing could refuse what is in flight; the next test is about owners
        moved = await group.move(plan, live=True)
        assert (moved.again, moved.ahead) == (5, 5)
        await seen.sees(10)
    assert seen.numbers == [*range(5)] * 2


async def test_an_owner_that_was_moved_under_cannot_settle(
    operations: Operations, redis_server: RedisServer, raw: Connection
) -> None:
    """What the owner had in flight is refused: the event that it was at comes again."""
    await filled(operations, "orders", 3)
    seen = Seen()
    seen.gate.clear()
    async with consuming(redis_server, seen):
        await seen.sees(1)
        group = await operations.group("orders", "g")
        owner = await raw.call("GET", owner_key("orders", "g"))
        await group.move(await group.plan("-"), live=True)
        seen.gate.set()
        await seen.sees(4, again=(0, 1, 2))
        assert await raw.call("GET", owner_key("orders", "g")) != owner


async def test_a_group_that_went_on_is_not_moved(operations: Operations) -> None:
    """A plan is about what was seen: a group that was given more since then stays where it is."""
    await filled(operations, "jobs", 5)
    await given(operations, "jobs", 2, handled=2)
    group = await operations.group("jobs", "g")
    plan = await group.plan("+")
    await given(operations, "jobs", 1, handled=1)
    with pytest.raises(GroupBusy, match="more events"):
        await group.move(plan)


async def test_a_new_epoch_handles_again(operations: Operations, redis_server: RedisServer, raw: Connection) -> None:
    """`idempotent` holds back what comes twice by itself, and nothing of what a moved group is given again."""
    last = (await filled(operations, "jobs", 4))[-1]

    async def handled() -> int:
        seen = Seen()
        async with consuming(redis_server, seen, idempotent=True), asyncio.timeout(60):
            while [(g.last_delivered, g.pending) for g in (await operations.describe("jobs")).groups] != [(last, 0)]:  # noqa: ASYNC110 - a server tells nobody
                await asyncio.sleep(0.01)
        return len(seen.numbers)

    assert await handled() == 4
    await raw.call("XGROUP", "SETID", "jobs", "g", "0")
    assert await handled() == 0
    group = await operations.group("jobs", "g")
    await group.move(await group.plan("-"))
    assert await handled() == 4


async def test_pending_events_say_who_has_them_and_how_it_went(operations: Operations, raw: Connection) -> None:
    """Name, holder, life, starts and failures; an entry that is gone or garbled says so."""
    ids = await filled(operations, "jobs", 3)
    garbled = (await raw.call("XADD", "jobs", "*", "x", "\xff")).decode()
    await given(operations, "jobs", 4, handled=0)
    await raw.call("XDEL", "jobs", ids[1])
    group = await operations.group("jobs", "g")
    found = await pending(group)
    assert [(each.id, each.event, each.consumer, each.alive, each.starts) for each in found] == [
        (ids[0], "job", "dead", False, 1), (ids[1], "", "dead", False, 1), (ids[2], "job", "dead", False, 1),
        (garbled, "", "dead", False, 1),
    ]  # fmt: skip
    assert "removed" in found[1].problem
    assert "not written by esb" in found[3].problem
    assert [each async for each in group.pending(consumer="other")] == []
    assert [each async for each in group.pending(idle=timedelta(hours=1))] == []


async def test_pending_events_come_page_by_page(operations: Operations) -> None:
    """More than one page is whole and in order."""
    ids = await filled(operations, "jobs", 1100)
    await given(operations, "jobs", 1100, handled=0)
    assert [each.id for each in await pending(await operations.group("jobs", "g"))] == ids


async def test_a_claim_gives_events_back_with_their_starts(operations: Operations, redis_server: RedisServer) -> None:
    """What a dead consumer holds goes back to the group, and whoever lives takes it; starts are not forgotten."""
    ids = await filled(operations, "jobs", 5)
    await given(operations, "jobs", 5, handled=0)
    group = await operations.group("jobs", "g")
    assert (await group.claim("dead", ids=ids[:2])).moved == 2
    assert (await group.claim("dead", ids=ids[:2])).moved == 0
    assert (await group.claim("dead", ids=ids[2:3], to="eve")).moved == 1
    assert [(each.consumer, each.starts) for each in await pending(group)] == [
        ("", 1), ("", 1), ("eve", 1), ("dead", 1), ("dead", 1),
    ]  # fmt: skip
    await operations._channel._commands.call("XDEL", "jobs", ids[4])
    claimed = await group.claim("dead")
    assert (claimed.moved, claimed.gone) == (1, 1)
    seen = Seen()
    async with consuming(redis_server, seen):
        await seen.sees(4)
    assert sorted(seen.numbers) == [0, 1, 2, 3]


async def test_an_owner_loses_the_stream_with_its_events(
    operations: Operations, redis_server: RedisServer, raw: Connection
) -> None:
    """Claiming from an owner ends its ownership: the successor takes up everything, in order."""
    await filled(operations, "orders", 3)
    seen = Seen()
    seen.gate.clear()
    async with consuming(redis_server, seen):
        await seen.sees(1)
        group = await operations.group("orders", "g")
        mark = await raw.call("GET", owner_key("orders", "g"))
        assert (await group.claim(group.summary.owner)).moved == 3
        seen.gate.set()
        await seen.sees(4, again=(0, 1, 2))
        assert await raw.call("GET", owner_key("orders", "g")) != mark


async def test_an_unknown_group_names_the_nearest(operations: Operations) -> None:
    """A mistyped group is an error with a hint, and is not created."""
    await filled(operations, "jobs", 1)
    await given(operations, "jobs", 0, handled=0)
    with pytest.raises(GroupNotFound) as caught:
        await operations.group("jobs", "gg")
    assert caught.value.nearest == ("g",)
    assert len((await operations.describe("jobs")).groups) == 1
