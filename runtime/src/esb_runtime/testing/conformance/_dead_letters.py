"""What dead letters promise."""

from __future__ import annotations

import pytest

from ..._errors import GroupLost
from ..._ports import Channel, Replay, Seat, Taken
from ..._ports import DeadLetters as Letters
from ._subject import (
    MOMENT,
    NOW,
    PATIENCE,
    ChannelSubject,
    Seats,
    appended,
    beat,
    counted,
    dead,
    failed,
    handled,
    ids,
    record,
    recovered,
)  # fmt: skip

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


class Replaying(ChannelSubject):
    """Dead letters that are handled again, or deleted."""

    async def test_pages(self, channel: Channel, stream: str, seats: Seats) -> None:
        """Letters come oldest first, page by page, each with its reason, its consumer and its event."""
        keys = await appended(channel, stream, 5)
        await buried(await seats.take())
        letters = channel.dead_letters(stream, "readers")
        first = await letters.page(count=3)
        rest = await letters.page(first=f"({first[-1].id}", count=3)
        assert [letter.letter.id for letter in [*first, *rest]] == [key.id for key in keys]
        assert [letter.stored.arguments for letter in first] == [counted(n) for n in range(3)]
        assert {(letter.consumer, letter.letter.reason) for letter in first} == {("ann", "it does not work")}
        assert await letters.page(first=first[1].id, last=first[1].id, count=9) == [first[1]]

    @both
    async def test_replayed(self, channel: Channel, stream: str, seats: Seats, *, owned: bool) -> None:
        """A replayed event is the group's again, in its place and with fresh attempts; the letter is gone."""
        await appended(channel, stream, 3)
        other = await seats.take(group="others")
        await other.settle(handled(*await other.read(9, PATIENCE)))
        seat = await seats.take(owned=owned)
        events = await seat.read(9, PATIENCE)
        await seat.settle(failed(events[0]))
        await seat.settle(dead(events[0]))
        letters = channel.dead_letters(stream, "readers")
        assert await replay_all(letters) == [Replay.RETURNED]
        assert await letters.page(count=9) == []
        (again,) = await given_back(seat, owned=owned)
        assert (again.stored.key, again.starts, again.failures) == (events[0].stored.key, 0, 0)
        assert again.stored.arguments == counted(0)
        assert await given_back(seat, owned=owned) == []
        await seat.settle(handled(*events))
        assert await recovered(seat) == []
        assert await recovered(other) == []
        assert await other.read(9, NOW) == []

    async def test_replayed_when_remembered(self, channel: Channel, stream: str, seats: Seats) -> None:
        """A replay counts as new for a group that remembers what it handled."""
        await channel.append(stream, [record(0, message_id="m")])
        seat = await seats.take(remember=PATIENCE)
        (event,) = await seat.read(9, PATIENCE)
        await seat.settle(handled(event))
        await buried(await seats.take(group="later"))
        await channel.append(stream, [record(1)])
        await buried(seat)
        letters = channel.dead_letters(stream, "readers")
        await replay_all(letters)
        assert [each.done for each in await recovered(seat)] == [False]

    async def test_replayed_after_trimming(self, channel: Channel, stream: str, seats: Seats) -> None:
        """An event whose entry is gone comes again as a copy that this group alone sees."""
        (key,) = await appended(channel, stream, 1)
        seat, other = await seats.take(), await seats.take(group="others")
        (event,) = await other.read(9, PATIENCE)
        await other.settle(handled(event))
        await buried(seat)
        await self.remove_entry(channel, stream, key.id)
        letters = channel.dead_letters(stream, "readers")
        assert await replay_all(letters) == [Replay.COPIED]
        assert await letters.page(count=9) == []
        assert await other.read(9, NOW) == []
        assert await recovered(other) == []
        assert await channel.scan(stream, count=9) == []
        assert not await channel.wait({stream: key.id}, MOMENT)
        (again,) = await seat.read(9, PATIENCE)
        assert (again.stored.message_id, again.starts) == (event.stored.message_id, 0)
        assert again.stored.arguments == counted(0)
        await buried_now(seat, again)
        (letter,) = await letters.page(count=9)
        assert letter.stored.arguments == counted(0)

    async def test_what_is_for_one_group_hides_nothing(self, channel: Channel, stream: str, seats: Seats) -> None:
        """Events around such copies are scanned, waited for and read as ever, by full pages."""
        keys = await appended(channel, stream, 4)
        await buried(await seats.take())
        for key in keys:
            await self.remove_entry(channel, stream, key.id)
        letters = channel.dead_letters(stream, "readers")
        await replay_all(letters)
        (last,) = await appended(channel, stream, 1)
        assert [event.key for event in await channel.scan(stream, count=1)] == [last]
        assert [event.key for event in await channel.scan(stream, count=9, reverse=True)] == [last]
        assert await channel.wait({stream: keys[-1].id}, PATIENCE)
        assert ids(await (await seats.take(group="others")).read(9, PATIENCE)) == [last.id]

    async def test_replayed_once(self, channel: Channel, stream: str, seats: Seats) -> None:
        """A letter that was replayed or purged meanwhile changes nothing more."""
        await appended(channel, stream, 2)
        seat = await seats.take()
        await buried(seat)
        letters = channel.dead_letters(stream, "readers")
        first, second = await letters.page(count=9)
        assert await letters.purge([second.id]) == 1
        assert await letters.purge([second.id]) == 0
        assert await letters.replay([first.id, first.id, second.id]) == [Replay.RETURNED, Replay.ABSENT, Replay.ABSENT]
        assert ids(await recovered(seat)) == [first.letter.id]

    async def test_what_cannot_be_read_can_be_replayed(self, channel: Channel, stream: str, seats: Seats) -> None:
        """It keeps its fields, comes to its group again, and is still what it was."""
        id_ = await self.put_entry(channel, stream, {b"not": b"ours", b"\xff": b"\xc1"})
        seat = await seats.take()
        await buried(seat)
        letters = channel.dead_letters(stream, "readers")
        (letter,) = await letters.page(count=9)
        assert letter.stored.raw == {b"not": b"ours", b"\xff": b"\xc1"}
        assert await letters.replay([letter.id]) == [Replay.RETURNED]
        (again,) = await recovered(seat)
        assert (again.stored.key.id, again.stored.problem) == (id_, letter.stored.problem)
        await buried_now(seat, again)
        await self.remove_entry(channel, stream, id_)
        assert await replay_all(letters) == [Replay.COPIED]
        (again,) = await seat.read(9, PATIENCE)
        assert again.stored.problem == letter.stored.problem

    async def test_a_lost_payload_comes_back(self, channel: Channel, stream: str, seats: Seats) -> None:
        """A replay restores the payload from the letter's own copy, where the event lost it."""
        await channel.append(stream, [record(7, message_id="lost")])
        seat = await seats.take()
        await buried(seat)
        await self.drop_payload(channel, stream, "lost")
        letters = channel.dead_letters(stream, "readers")
        (letter,) = await letters.page(count=9)
        assert letter.stored.arguments == counted(7)
        if letter.stored.store:
            pytest.skip("the payload lies outside the channel")
        await letters.replay([letter.id])
        (again,) = await recovered(seat)
        assert again.stored.arguments == counted(7)

    async def test_without_its_group(self, channel: Channel, stream: str, seats: Seats) -> None:
        """A letter whose group is gone stays where it is."""
        await appended(channel, stream, 1)
        await buried(await seats.take())
        await self.destroy_group(channel, stream, "readers")
        letters = channel.dead_letters(stream, "readers")
        found = await letters.page(count=9)
        with pytest.raises(GroupLost):
            await replay_all(letters)
        assert await letters.page(count=9) == found

    async def test_before_the_group_comes_to_it(self, channel: Channel, stream: str, seats: Seats) -> None:
        """A group that begins again before the event gets it once, not twice."""
        (key,) = await appended(channel, stream, 1)
        await buried(await seats.take())
        await self.destroy_group(channel, stream, "readers")
        await self.lose_records(channel, stream, "readers")
        seat = await seats.take()
        letters = channel.dead_letters(stream, "readers")
        assert await replay_all(letters) == [Replay.AHEAD]
        assert ids(await seat.read(9, PATIENCE)) == [key.id]
        assert await recovered(await seats.take("bob")) == []


async def buried(seat: Seat) -> None:
    """Read everything that is new, and bury it."""
    await buried_now(seat, *await seat.read(9, PATIENCE))


async def buried_now(seat: Seat, *events: Taken) -> None:
    """Bury these."""
    for event in events:
        await seat.settle(dead(event))


async def replay_all(letters: Letters) -> list[Replay]:
    """Replay every letter; a dry run before says what comes of it, and changes nothing."""
    found = await letters.page(count=9)
    foreseen = await letters.replay([letter.id for letter in found], dry_run=True)
    assert await letters.page(count=9) == found
    done = await letters.replay([letter.id for letter in found])
    assert done == foreseen
    return done


async def given_back(seat: Seat, *, owned: bool) -> list[Taken]:
    """What the group was given back, found the way an engine finds it."""
    await beat(seat)
    return await seat.returned() if owned else await recovered(seat)
