"""What a seat in a group promises while nothing goes wrong."""

from __future__ import annotations

import asyncio

import pytest

from ..._errors import GroupLost
from ..._ports import Channel
from ..._settings import Start
from ._subject import (
    LONG,
    MOMENT,
    NOW,
    PATIENCE,
    ChannelSubject,
    Feature,
    Seats,
    appended,
    beat,
    counted,
    handled,
    ids,
    record,
    recovered,
)

both = pytest.mark.parametrize("owned", [False, True], ids=["shared", "owned"])


class Groups(ChannelSubject):
    """Events given out and settled."""

    @both
    async def test_new_events_in_order(self, channel: Channel, stream: str, seats: Seats, *, owned: bool) -> None:
        """New events come in stream order with their payloads, never started, never failed, each once."""
        keys = await appended(channel, stream, 5)
        seat = await seats.take(owned=owned)
        events = await seat.read(3, PATIENCE) + await seat.read(3, PATIENCE)
        assert [event.stored.key for event in events] == keys
        assert [event.stored.arguments for event in events] == [counted(n) for n in range(5)]
        assert {(event.starts, event.failures, event.done) for event in events} == {(0, 0, False)}
        assert await seat.read(3, MOMENT) == []

    async def test_consumers_share(self, channel: Channel, stream: str, seats: Seats) -> None:
        """Without ownership the consumers of a group share its events: each goes to one of them."""
        keys = await appended(channel, stream, 4)
        ann, bob = await seats.take("ann"), await seats.take("bob")
        events = [*await ann.read(2, PATIENCE), *await bob.read(9, PATIENCE)]
        assert [event.stored.key for event in events] == keys

    async def test_groups_do_not_share(self, channel: Channel, stream: str, seats: Seats) -> None:
        """Every group gets every event."""
        keys = await appended(channel, stream, 3)
        for group in ("one", "two"):
            seat = await seats.take(group=group)
            assert [event.stored.key for event in await seat.read(9, PATIENCE)] == keys

    async def test_start_at_the_end(self, channel: Channel, stream: str, seats: Seats) -> None:
        """A new group that starts at the end gets what comes after it was made."""
        await appended(channel, stream, 3)
        seat = await seats.take(start=Start.END)
        keys = await appended(channel, stream, 2)
        assert ids(await seat.read(9, PATIENCE)) == [key.id for key in keys]

    async def test_start_before_the_stream(self, channel: Channel, stream: str, seats: Seats) -> None:
        """A group may come before its stream; it gets the first event, wherever it starts."""
        seat = await seats.take(start=Start.END)
        keys = await appended(channel, stream, 1)
        assert ids(await seat.read(9, PATIENCE)) == [key.id for key in keys]

    @both
    async def test_open_again(self, channel: Channel, stream: str, seats: Seats, *, owned: bool) -> None:
        """Opening a group that exists changes nothing about it."""
        keys = await appended(channel, stream, 3)
        seat = await seats.take(owned=owned)
        await seat.settle(handled(*await seat.read(2, PATIENCE)))
        await seat.open()
        assert ids(await seat.read(9, PATIENCE)) == [keys[2].id]

    @both
    async def test_read_waits(self, channel: Channel, stream: str, seats: Seats, *, owned: bool) -> None:
        """A read ends with the first event that comes."""
        self.needs(Feature.WAITING)
        seat = await seats.take(owned=owned)
        reading = asyncio.create_task(seat.read(9, PATIENCE / 4))
        await channel.now()
        assert not reading.done()
        keys = await appended(channel, stream, 1)
        assert ids(await reading) == [key.id for key in keys]

    @both
    async def test_read_without_waiting(self, channel: Channel, stream: str, seats: Seats, *, owned: bool) -> None:
        """A read with a wait of nothing gives what is there."""
        seat = await seats.take(owned=owned)
        assert await seat.read(9, NOW) == []
        keys = await appended(channel, stream, 1)
        assert ids(await seat.read(9, NOW)) == [key.id for key in keys]

    @both
    async def test_handled_is_over(self, channel: Channel, stream: str, seats: Seats, *, owned: bool) -> None:
        """What was handled is not pending; what was not still is, as this process's own."""
        await appended(channel, stream, 4)
        seat = await seats.take(owned=owned)
        events = await seat.read(9, PATIENCE)
        await seat.settle(handled(events[0], events[2]))
        left, further = await seat.mine("0-0", 10)
        assert ids(left) == [ids(events)[1], ids(events)[3]]
        assert further is None
        assert [event.stored.arguments for event in left] == [counted(1), counted(3)]

    async def test_mine_in_pages(self, channel: Channel, stream: str, seats: Seats) -> None:
        """What is pending here comes in pages, without what others hold."""
        await appended(channel, stream, 7)
        ann, bob = await seats.take("ann"), await seats.take("bob")
        own = ids(await ann.read(2, PATIENCE))
        await bob.read(2, PATIENCE)
        own += ids(await ann.read(3, PATIENCE))
        first, further = await ann.mine("0-0", 3)
        assert further is not None
        second, end = await ann.mine(further, 3)
        assert (ids(first) + ids(second), end) == (own, None)

    @both
    async def test_problems_are_delivered(self, channel: Channel, stream: str, seats: Seats, *, owned: bool) -> None:
        """An event that cannot be read is delivered with its problem; the others come as ever."""
        await channel.append(stream, [record(1, message_id="lost"), record(2)])
        await self.drop_payload(channel, stream, "lost")
        await self.put_entry(channel, stream, {b"not": b"ours"})
        seat = await seats.take(owned=owned)
        events = await seat.read(9, PATIENCE)
        assert [bool(event.stored.problem) for event in events] == [True, False, True]

    async def test_load(self, channel: Channel, stream: str, seats: Seats) -> None:
        """Events are loaded by id in the order asked for; one that is gone comes with its problem."""
        keys = await appended(channel, stream, 3)
        seat = await seats.take()
        await self.remove_entry(channel, stream, keys[1].id)
        wanted = [keys[2].id, keys[1].id, keys[0].id]
        events = await seat.load(wanted)
        assert [event.key.id for event in events] == wanted
        assert [bool(event.problem) for event in events] == [False, True, False]
        assert events[0].arguments == counted(2)
        assert await seat.load([]) == []

    @both
    async def test_lost_group(self, channel: Channel, stream: str, seats: Seats, *, owned: bool) -> None:
        """A group that is gone is said to be gone, also to a read that was waiting; opening it makes it again."""
        await appended(channel, stream, 1)
        seat = await seats.take(owned=owned)
        events = await seat.read(9, PATIENCE)
        await self.destroy_group(channel, stream, "readers")
        with pytest.raises(GroupLost):
            await seat.read(9, NOW)
        await seat.open()
        assert ids(await seat.read(9, PATIENCE)) == ids(events)

    async def test_lost_group_while_waiting(self, channel: Channel, stream: str, seats: Seats) -> None:
        """A read that waits notices that its group is gone."""
        self.needs(Feature.WAITING)
        await appended(channel, stream, 1)
        seat = await seats.take(start=Start.END)
        reading = asyncio.create_task(seat.read(9, PATIENCE / 4))
        await channel.now()
        await self.destroy_group(channel, stream, "readers")
        with pytest.raises(GroupLost):
            await reading

    @both
    async def test_floor(self, channel: Channel, stream: str, seats: Seats, *, owned: bool) -> None:
        """A lost group begins again just below its lowest unhandled event, as of the last heartbeat."""
        keys = [key.id for key in await appended(channel, stream, 6)]
        seat = await seats.take(owned=owned, start=Start.BEGINNING)
        events = await seat.read(4, PATIENCE)
        await seat.settle(handled(events[0], events[1], events[3]))
        assert await beat(seat)
        await self.destroy_group(channel, stream, "readers")
        await seat.open()
        assert ids(await seat.read(9, PATIENCE)) == keys[2:]

    async def test_floor_when_all_is_handled(self, channel: Channel, stream: str, seats: Seats) -> None:
        """A lost group that had handled everything begins again with what it never had."""
        await appended(channel, stream, 3)
        seat = await seats.take(start=Start.BEGINNING)
        await seat.settle(handled(*await seat.read(9, PATIENCE)))
        assert await beat(seat)
        keys = await appended(channel, stream, 2)
        await self.destroy_group(channel, stream, "readers")
        await seat.open()
        assert ids(await seat.read(9, PATIENCE)) == [key.id for key in keys]

    async def test_floor_of_a_lost_stream(self, channel: Channel, stream: str, seats: Seats) -> None:
        """Where the stream itself was lost, everything in its successor is new."""
        await appended(channel, stream, 3)
        seat = await seats.take(start=Start.END)
        assert await beat(seat)
        await self.delete_stream(channel, stream)
        with pytest.raises(GroupLost):
            await seat.read(9, NOW)
        await seat.open()
        keys = await appended(channel, stream, 2)
        assert ids(await seat.read(9, PATIENCE)) == [key.id for key in keys]

    @both
    async def test_done_records(self, channel: Channel, stream: str, seats: Seats, *, owned: bool) -> None:
        """A group that remembers knows a handled message id again, also after it was lost and made again."""
        await appended(channel, stream, 2)
        seat = await seats.take(owned=owned, remember=LONG)
        events = await seat.read(9, PATIENCE)
        assert {event.done for event in events} == {False}
        await seat.settle(handled(events[0]))
        await self.destroy_group(channel, stream, "readers")
        await seat.open()
        again = await seat.read(9, PATIENCE)
        assert again[-1].done is False
        assert [event.done for event in again if event.stored.key.id == ids(events)[0]] in ([True], [])

    async def test_done_record_on_recovery(self, channel: Channel, stream: str, seats: Seats) -> None:
        """A copy that is still pending when its message id was handled comes back as done."""
        await appended(channel, stream, 1)
        ann, bob = await seats.take("ann", remember=LONG), await seats.take("bob", remember=LONG)
        (event,) = await ann.read(9, PATIENCE)
        await ann.hand_back({event.stored.key.id: 1})
        other = handled(event)
        other.handled[0] = ("0-1", event.stored.message_id)
        await ann.settle(other)
        (again,) = await recovered(bob)
        assert again.done

    async def test_groups_do_not_share_done_records(self, channel: Channel, stream: str, seats: Seats) -> None:
        """What one group handled is news to another."""
        await appended(channel, stream, 1)
        one = await seats.take(group="one", remember=LONG)
        two = await seats.take(group="two", remember=LONG)
        await one.settle(handled(*await one.read(9, PATIENCE)))
        (event,) = await two.read(9, PATIENCE)
        assert not event.done

    async def test_what_is_on_record(self, channel: Channel, stream: str, seats: Seats) -> None:
        """A group says which message ids it handled, whoever of it handled them; another group knows nothing of it."""
        await channel.append(stream, [record(n, message_id=f"m{n}") for n in range(3)])
        ann, bob = await seats.take("ann", remember=LONG), await seats.take("bob", remember=LONG)
        other = await seats.take("ann", group="others", remember=LONG)
        events = await ann.read(9, PATIENCE)
        assert await bob.handled(["m0", "m1", "m2"]) == set()
        await ann.settle(handled(events[0], events[2]))
        assert await bob.handled(["m2", "m1", "unknown", "m0"]) == {"m0", "m2"}
        assert await bob.handled([]) == set()
        assert await other.handled(["m0"]) == set()

    async def test_a_new_epoch(self, channel: Channel, stream: str, seats: Seats) -> None:
        """What was handled in an earlier epoch is not on record in this one; every process learns of it at once."""
        await channel.append(stream, [record(1, message_id="m")])
        ann, bob = await seats.take("ann", remember=LONG), await seats.take("bob", remember=LONG)
        assert (await ann.epoch(), await bob.epoch()) == (0, 0)
        (event,) = await ann.read(9, PATIENCE)
        await ann.settle(handled(event))
        await self.begin_epoch(channel, stream, "readers")
        assert (await ann.epoch(), await bob.epoch()) == (1, 1)
        assert await bob.handled(["m"]) == set()
        await bob.settle(handled(event))
        assert await ann.handled(["m"]) == {"m"}
