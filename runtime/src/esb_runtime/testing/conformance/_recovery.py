"""What a seat promises when other consumers die, fail or leave."""

from __future__ import annotations

from ..._ports import Channel, Seat, Taken
from ._subject import (
    MOMENT,
    NOW,
    PATIENCE,
    SHORT,
    ChannelSubject,
    Seats,
    appended,
    beat,
    counted,
    eventually,
    failed,
    handled,
    ids,
    recovered,
)


class Recovery(ChannelSubject):
    """Events whose consumer is gone."""

    async def test_the_dead_are_inherited(self, channel: Channel, stream: str, seats: Seats) -> None:
        """What a consumer held when its lease ran out goes to a living one, counted as started once."""
        keys = await appended(channel, stream, 3)
        ann, bob = await seats.take("ann", lease=SHORT), await seats.take("bob")
        await ann.read(9, PATIENCE)
        events = await eventually(lambda: recovered(bob))
        assert ids(events) == [key.id for key in keys]
        assert [event.stored.arguments for event in events] == [counted(0), counted(1), counted(2)]
        assert {(event.starts, event.failures) for event in events} == {(1, 0)}
        assert ids((await bob.mine("0-0", 10))[0]) == ids(events)

    async def test_the_living_keep_theirs(self, channel: Channel, stream: str, seats: Seats) -> None:
        """What a living consumer holds is not taken from it; what it settled is nobody's."""
        await appended(channel, stream, 3)
        ann, bob = await seats.take("ann"), await seats.take("bob")
        events = await ann.read(9, PATIENCE)
        await ann.settle(handled(events[0]))
        assert await recovered(bob) == []
        assert len((await ann.mine("0-0", 10))[0]) == 2

    async def test_recovery_counts_no_start(self, channel: Channel, stream: str, seats: Seats) -> None:
        """Being taken over costs no attempt, however often it happens."""
        await appended(channel, stream, 1)
        seat = await seats.take("ann")
        (event,) = await seat.read(9, PATIENCE)
        for consumer in ("bob", "cid", "dan"):
            await seat.hand_back({event.stored.key.id: 1})
            seat = await seats.take(consumer)
            (event,) = await recovered(seat)
            assert event.starts == 1

    async def test_starts_are_counted(self, channel: Channel, stream: str, seats: Seats) -> None:
        """The n-th start is recorded just before it happens, so that a crash cannot hide it."""
        await appended(channel, stream, 2)
        ann, bob = await seats.take("ann", lease=SHORT), await seats.take("bob")
        first, _ = await ann.read(9, PATIENCE)
        await ann.starting({first.stored.key.id: 7})
        again = await eventually(lambda: recovered(bob))
        assert [event.starts for event in again] == [7, 1]

    async def test_failures_are_counted(self, channel: Channel, stream: str, seats: Seats) -> None:
        """A failure stays pending and is counted; a start without an outcome makes a suspect."""
        await appended(channel, stream, 2)
        ann, bob = await seats.take("ann", lease=SHORT), await seats.take("bob")
        events = await ann.read(9, PATIENCE)
        await ann.settle(failed(events[0]))
        await ann.starting({events[0].stored.key.id: 2})
        await ann.settle(failed(events[0]))
        again = await eventually(lambda: recovered(bob))
        assert [(event.starts, event.failures) for event in again] == [(2, 2), (1, 0)]

    async def test_handing_back_untouched(self, channel: Channel, stream: str, seats: Seats) -> None:
        """What was handed back untouched is anybody's at once, as new; the next delivery counts as its first."""
        keys = await appended(channel, stream, 3)
        ann, bob, cid = await seats.take("ann"), await seats.take("bob", lease=SHORT), await seats.take("cid")
        events = await ann.read(9, PATIENCE)
        await ann.hand_back({event.stored.key.id: 0 for event in events})
        assert (await ann.mine("0-0", 10))[0] == []
        again = await recovered(bob)
        assert ids(again) == [key.id for key in keys]
        assert {event.starts for event in again} == {0}
        assert {event.starts for event in await eventually(lambda: recovered(cid))} == {1}

    async def test_handing_back_started(self, channel: Channel, stream: str, seats: Seats) -> None:
        """What was handed back after starts keeps their number."""
        await appended(channel, stream, 1)
        ann, bob = await seats.take("ann"), await seats.take("bob")
        (event,) = await ann.read(9, PATIENCE)
        await ann.hand_back({event.stored.key.id: 3})
        (again,) = await recovered(bob)
        assert again.starts == 3

    async def test_handing_back_to_whom_it_may_concern(self, channel: Channel, stream: str, seats: Seats) -> None:
        """What was left to those who implement it is theirs at once, as new; nobody else takes it."""
        await appended(channel, stream, 2)
        ann = await seats.take("ann", implements=frozenset())
        bob = await seats.take("bob", implements=frozenset({"other/1"}))
        cid = await seats.take("cid", implements=frozenset({"counted/1"}))
        events = await ann.read(9, PATIENCE)
        await ann.hand_back({event.stored.key.id: 0 for event in events}, to="counted/1")
        assert await recovered(bob) == []
        again = await recovered(cid)
        assert ids(again) == ids(events)
        assert {(event.starts, event.unclaimed) for event in again} == {(0, False)}

    async def test_handing_back_to_nobody(self, channel: Channel, stream: str, seats: Seats) -> None:
        """What nobody claimed within a lease is anybody's, and says so."""
        await appended(channel, stream, 1)
        ann = await seats.take("ann", lease=SHORT, implements=frozenset())
        (event,) = await ann.read(9, PATIENCE)
        await ann.hand_back({event.stored.key.id: 0}, to="counted/1")
        assert await recovered(ann) == []
        (again,) = await eventually(lambda: recovered(ann))
        assert (again.starts, again.unclaimed) == (0, True)

    async def test_recovery_in_pages(self, channel: Channel, stream: str, seats: Seats) -> None:
        """A long inheritance comes in pages, each event once, in order."""
        keys = await appended(channel, stream, 11)
        ann, bob = await seats.take("ann"), await seats.take("bob")
        events = await ann.read(20, PATIENCE)
        await ann.hand_back({event.stored.key.id: 1 for event in events})
        again = await recovered(bob, count=3)
        assert ids(again) == [key.id for key in keys]

    async def test_removed_while_pending(self, channel: Channel, stream: str, seats: Seats) -> None:
        """A pending event whose entry was removed comes back with its problem, or not at all."""
        keys = await appended(channel, stream, 2)
        ann, bob = await seats.take("ann"), await seats.take("bob")
        events = await ann.read(9, PATIENCE)
        await ann.hand_back({event.stored.key.id: 1 for event in events})
        await self.remove_entry(channel, stream, keys[0].id)
        problems = {event.stored.key.id: event.stored.problem for event in await recovered(bob)}
        assert problems.pop(keys[0].id, "not at all")
        assert problems == {keys[1].id: ""}

    async def test_two_heirs(self, channel: Channel, stream: str, seats: Seats) -> None:
        """Two who inherit at once never get the same event."""
        keys = await appended(channel, stream, 10)
        ann, bob, cid = [await seats.take(name) for name in ("ann", "bob", "cid")]
        events = await ann.read(20, PATIENCE)
        await ann.hand_back({event.stored.key.id: 1 for event in events})
        shares = [await _some(bob), await _some(cid), await _some(bob), await _some(cid)]
        inherited = [id_ for share in shares for id_ in ids(share)]
        assert sorted(inherited) == sorted({key.id for key in keys})

    async def test_leaving(self, channel: Channel, stream: str, seats: Seats) -> None:
        """A consumer that leaves with nothing pending is forgotten; its group goes on."""
        await appended(channel, stream, 2)
        ann, bob = await seats.take("ann"), await seats.take("bob")
        await ann.settle(handled(*await ann.read(1, PATIENCE)))
        await ann.leave()
        assert "ann" not in await self.consumers(channel, stream, "readers")
        assert len(await bob.read(9, PATIENCE)) == 1

    async def test_leaving_something_behind(self, channel: Channel, stream: str, seats: Seats) -> None:
        """What a consumer leaves pending is inherited at once: its lease ended with it."""
        await appended(channel, stream, 2)
        ann, bob = await seats.take("ann"), await seats.take("bob")
        events = await ann.read(9, PATIENCE)
        await ann.leave()
        assert ids(await recovered(bob)) == ids(events)
        assert await bob.read(9, MOMENT) == []
        assert await bob.read(9, NOW) == []


async def _some(seat: Seat) -> list[Taken]:
    """One page of what the seat can take over now."""
    await beat(seat)
    events, _ = await seat.recover("0-0", 3)
    return events
