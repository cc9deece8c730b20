"""What dead letters promise."""

from __future__ import annotations

import pytest

from ..._ports import Channel
from ._subject import PATIENCE, ChannelSubject, Seats, appended, counted, dead, failed, handled, ids, record, recovered

both = pytest.mark.parametrize("owned", [False, True], ids=["shared", "owned"])


class DeadLetters(ChannelSubject):
    """Events that are not tried again."""

    @both
    async def test_a_dead_letter(self, channel: Channel, stream: str, seats: Seats, *, owned: bool) -> None:
        """It leaves the group and stands in the dead letters, with reason, attempts and traceback."""
        await appended(channel, stream, 2)
        seat = await seats.take(owned=owned)
        first, second = await seat.read(9, PATIENCE)
        await seat.settle(failed(first))
        await seat.settle(dead(first, reason="no such product", attempts=5))
        assert ids((await seat.mine("0-0", 10))[0]) == [second.stored.key.id]
        (letter,) = await self.dead_letters(channel, stream, "readers")
        assert (letter.id, letter.message_id) == (first.stored.key.id, first.stored.message_id)
        assert (letter.reason, letter.attempts, letter.traceback) == ("no such product", 5, "Traceback: ...")

    async def test_outcomes_together(self, channel: Channel, stream: str, seats: Seats) -> None:
        """Handled, failed and dead events of one call each get their outcome."""
        await appended(channel, stream, 3)
        seat = await seats.take()
        one, two, three = await seat.read(9, PATIENCE)
        outcomes = handled(one)
        outcomes.failed += failed(two).failed
        outcomes.dead += dead(three).dead
        await seat.settle(outcomes)
        (left,) = (await seat.mine("0-0", 10))[0]
        assert (left.stored.key, left.failures) == (two.stored.key, 1)
        assert [letter.id for letter in await self.dead_letters(channel, stream, "readers")] == ids([three])

    async def test_buried_once(self, channel: Channel, stream: str, seats: Seats) -> None:
        """What was settled already does not become a dead letter, and nothing becomes one twice."""
        await appended(channel, stream, 2)
        seat = await seats.take()
        one, two = await seat.read(9, PATIENCE)
        await seat.settle(handled(one))
        for event in (one, two, two):
            await seat.settle(dead(event))
        assert [letter.id for letter in await self.dead_letters(channel, stream, "readers")] == ids([two])

    async def test_groups_bury_for_themselves(self, channel: Channel, stream: str, seats: Seats) -> None:
        """A dead letter of one group is handled by another as ever."""
        await appended(channel, stream, 1)
        one, two = await seats.take(group="one"), await seats.take(group="two")
        await one.settle(dead(*await one.read(9, PATIENCE)))
        (event,) = await two.read(9, PATIENCE)
        assert event.stored.arguments == counted(0)
        assert await self.dead_letters(channel, stream, "two") == []

    async def test_it_owns_its_payload(self, channel: Channel, stream: str, seats: Seats) -> None:
        """A dead letter keeps its arguments, also when entry and payload are gone from the stream."""
        await channel.append(stream, [record(7, message_id="kept")])
        seat = await seats.take()
        (event,) = await seat.read(9, PATIENCE)
        await seat.settle(dead(event))
        payload = await self.dead_payload(channel, stream, "readers", event.stored.key.id)
        assert payload == counted(7)
        await self.drop_payload(channel, stream, "kept")
        await self.remove_entry(channel, stream, event.stored.key.id)
        assert await self.dead_payload(channel, stream, "readers", event.stored.key.id) == payload

    async def test_what_cannot_be_read_can_be_buried(self, channel: Channel, stream: str, seats: Seats) -> None:
        """An entry that esb did not write, or whose payload is gone, can become a dead letter."""
        await self.put_entry(channel, stream, {b"not": b"ours"})
        seat = await seats.take()
        (event,) = await seat.read(9, PATIENCE)
        await seat.settle(dead(event, reason=event.stored.problem))
        (letter,) = await self.dead_letters(channel, stream, "readers")
        assert (letter.id, letter.message_id, letter.reason) == (event.stored.key.id, "", event.stored.problem)
        assert await recovered(seat) == []

    async def test_not_a_stream_of_events(self, channel: Channel, stream: str, seats: Seats) -> None:
        """Where dead letters lie is not listed as a stream."""
        await appended(channel, stream, 1)
        seat = await seats.take()
        await seat.settle(dead(*await seat.read(9, PATIENCE)))
        assert [name async for name in channel.names(f"*{stream}*")] == [stream]
