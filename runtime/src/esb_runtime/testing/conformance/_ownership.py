"""What ownership promises: one owner at a time, and a former owner changes nothing any more."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from ..._errors import OwnershipLost
from ..._ports import Channel, Seat, Taken
from ._subject import (
    NOW,
    PATIENCE,
    SHORT,
    ChannelSubject,
    Seats,
    appended,
    beat,
    dead,
    eventually,
    failed,
    handled,
    ids,
    recovered,
)


class Ownership(ChannelSubject):
    """Seats with `owned`."""

    async def test_one_owner(self, seats: Seats) -> None:
        """While one process owns the stream for a group, another one cannot; it can once the first one left."""
        ann, bob = await seats.take("ann", owned=True), seats.seat("bob", owned=True)
        await bob.open()
        assert not await bob.acquire()
        assert await ann.acquire(), "who owns it goes on owning it"
        await ann.leave()
        assert await bob.acquire()

    async def test_groups_have_owners_of_their_own(self, seats: Seats) -> None:
        """Ownership is for one group: another group has another owner."""
        await seats.take("ann", owned=True, group="one")
        await seats.take("bob", owned=True, group="two")

    async def test_nobody_owns_a_shared_stream(self, seats: Seats) -> None:
        """Without `owned` everybody may take part, each under a lease of its own."""
        ann, bob = await seats.take("ann"), await seats.take("bob")
        assert ann.tenure != bob.tenure
        before = ann.tenure
        assert await ann.acquire()
        assert ann.tenure == before

    async def test_past_its_lease(self, channel: Channel, stream: str, seats: Seats) -> None:
        """A consumer of a shared stream that slept past its lease learns it, and changes nothing any more."""
        await appended(channel, stream, 2)
        ann, bob = await seats.take("ann", lease=SHORT), await seats.take("bob")
        before = ann.tenure
        first, second = await ann.read(2, PATIENCE)
        await eventually(lambda: recovered(bob))
        attempts: list[Callable[[], Awaitable[None]]] = [
            lambda: ann.starting({first.stored.key.id: 9}),
            lambda: ann.settle(handled(first)),
            lambda: ann.settle(failed(first)),
            lambda: ann.settle(dead(second)),
            lambda: ann.hand_back({first.stored.key.id: 0}),
        ]
        for attempt in attempts:
            with pytest.raises(OwnershipLost):
                await attempt()
        assert not await beat(ann)
        assert [(event.starts, event.failures) for event in (await bob.mine("0-0", 9))[0]] == [(1, 0), (1, 0)]
        assert await ann.acquire()
        assert ann.tenure != before
        assert (await ann.mine("0-0", 9))[0] == []

    async def test_repeated_steps(self, channel: Channel, stream: str, seats: Seats) -> None:
        """A step whose reply was lost is repeated, and counts once: failures, hand-backs, acknowledgements."""
        await appended(channel, stream, 2)
        ann, bob = await seats.take("ann"), await seats.take("bob", lease=SHORT)
        first, second = await ann.read(9, PATIENCE)
        for _ in range(3):
            await ann.settle(failed(first))
            await ann.hand_back({second.stored.key.id: 0})
        assert [event.failures for event in (await ann.mine("0-0", 9))[0]] == [1]
        assert ids(await recovered(bob)) == ids([second])
        await ann.hand_back({second.stored.key.id: 0})
        assert ids((await bob.mine("0-0", 9))[0]) == ids([second]), "it is bob's now, and stays so"
        for _ in range(2):
            await ann.settle(handled(first))
        await ann.settle(failed(first))
        assert (await ann.mine("0-0", 9))[0] == []

    async def test_tenure(self, seats: Seats) -> None:
        """A tenure keeps its name for as long as it lasts, and no other has the same."""
        ann = await seats.take("ann", owned=True)
        before = ann.tenure
        assert await ann.acquire()
        assert before
        assert ann.tenure == before
        await ann.leave()
        bob = await seats.take("bob", owned=True)
        assert bob.tenure != before
        await bob.leave()
        again = await seats.take("ann", owned=True)
        assert again.tenure not in {before, bob.tenure}

    async def test_beating_keeps_it(self, seats: Seats) -> None:
        """A heartbeat renews the lease, also far beyond its length."""
        ann, bob = await seats.take("ann", owned=True, lease=SHORT), seats.seat("bob", owned=True)
        await bob.open()
        loop = asyncio.get_running_loop()
        end = loop.time() + 3 * SHORT.total_seconds()
        while loop.time() < end:
            assert await beat(ann)
            assert not await bob.acquire()

    async def test_a_lease_runs_out(self, seats: Seats) -> None:
        """Without a heartbeat the ownership ends with the lease; the next owner has it, the former knows."""
        ann, bob = await seats.take("ann", owned=True, lease=SHORT), seats.seat("bob", owned=True)
        await bob.open()
        await eventually(bob.acquire)
        assert not await beat(ann)
        assert await beat(bob)
        assert not await ann.acquire()

    async def test_not_owner_yet(self, channel: Channel, stream: str, seats: Seats) -> None:
        """Who does not own the stream yet gets nothing of it."""
        await appended(channel, stream, 1)
        seat = seats.seat(owned=True)
        await seat.open()
        with pytest.raises(OwnershipLost):
            await seat.read(9, NOW)
        with pytest.raises(OwnershipLost):
            await seat.recover("0-0", 9)

    async def test_a_former_owner_is_refused(self, channel: Channel, stream: str, seats: Seats) -> None:
        """Whatever a former owner still does is refused and changes nothing."""
        await appended(channel, stream, 3)
        ann, bob = await seats.take("ann", owned=True, lease=SHORT), seats.seat("bob", owned=True)
        await bob.open()
        first, second = await ann.read(2, PATIENCE)
        await eventually(bob.acquire)
        for attempt in (
            lambda: ann.recover("0-0", 9),
            lambda: ann.starting({first.stored.key.id: 9}),
            lambda: ann.settle(handled(first)),
            lambda: ann.settle(failed(first)),
            lambda: ann.settle(dead(second)),
            lambda: ann.hand_back({first.stored.key.id: 0}),
        ):
            with pytest.raises(OwnershipLost):
                await attempt()
        events = await recovered(bob)
        assert ids(events) == ids([first, second])
        assert {(event.starts, event.failures) for event in events} == {(1, 0)}
        assert len(await bob.read(9, PATIENCE)) == 1

    async def test_a_former_owner_reads_nothing_away(self, channel: Channel, stream: str, seats: Seats) -> None:
        """What a former owner reads, not knowing that it is one, its successor gets, in order and as never started."""
        keys = [key.id for key in await appended(channel, stream, 3)]
        ann, bob = await seats.take("ann", owned=True, lease=SHORT), seats.seat("bob", owned=True)
        await bob.open()
        await ann.read(1, PATIENCE)
        await eventually(bob.acquire)
        assert ids(await recovered(bob)) == keys[:1]
        with pytest.raises(OwnershipLost):
            await ann.read(1, PATIENCE)
        keys += [key.id for key in await appended(channel, stream, 1)]
        events: list[Taken] = []
        try:
            events += await bob.read(9, PATIENCE)
        except OwnershipLost:  # what came to light by it lies in the group now
            assert await bob.acquire()
            events += [event for event in await recovered(bob) if event.stored.key.id != keys[0]]
            events += [] if len(events) == 3 else await bob.read(9, PATIENCE)
        assert ids(events) == keys[1:]
        assert events[0].starts == 0

    async def test_a_former_owner_leaves_nothing_broken(self, channel: Channel, stream: str, seats: Seats) -> None:
        """A former owner that leaves does not take the ownership from its successor."""
        await appended(channel, stream, 1)
        ann, bob = await seats.take("ann", owned=True, lease=SHORT), seats.seat("bob", owned=True)
        await bob.open()
        await eventually(bob.acquire)
        await ann.leave()
        assert await beat(bob)
        assert len(await bob.read(9, PATIENCE)) == 1

    async def test_the_new_owner_drains(self, channel: Channel, stream: str, seats: Seats) -> None:
        """A new owner takes over everything pending in the group, whoever held it, in id order, in pages."""
        keys = [key.id for key in await appended(channel, stream, 9)]
        ann = await seats.take("ann", owned=True)
        await ann.read(4, PATIENCE)
        await ann.leave()
        bob = await seats.take("bob", owned=True)
        await bob.read(3, PATIENCE)
        assert await _pages(bob, 3) == keys[:7]
        await bob.leave()
        cid = await seats.take("cid", owned=True)
        assert await _pages(cid, 2) == keys[:7]
        assert ids(await cid.read(9, PATIENCE)) == keys[7:]

    async def test_handing_back_as_owner(self, channel: Channel, stream: str, seats: Seats) -> None:
        """What an owner hands back keeps its number of starts and comes to the next owner in id order."""
        await appended(channel, stream, 3)
        ann = await seats.take("ann", owned=True)
        events = await ann.read(9, PATIENCE)
        await ann.hand_back({event.stored.key.id: n for n, event in enumerate(events)})
        await ann.leave()
        bob = await seats.take("bob", owned=True)
        assert [event.starts for event in await recovered(bob)] == [0, 1, 2]


async def _pages(seat: Seat, count: int) -> list[str]:
    """Everything pending, page by page; every page but the last is full."""
    found: list[str] = []
    after: str | None = "0-0"
    while after is not None:
        page, after = await seat.recover(after, count)
        assert after is None or len(page) == count
        found += ids(page)
    return found
