"""What trimming promises."""

from __future__ import annotations

from datetime import timedelta

from ..._ports import Channel
from ..._retention import Cut, Kept, Trimmed, Trimming, total
from ._subject import NOW, PATIENCE, ChannelSubject, Seats, appended, dead, handled, ids, record, recovered, succeeded

EVERYTHING = Cut(before="99999999999999-0")


class Retaining(ChannelSubject):
    """Events that go when their time is over."""

    async def test_by_age(self, channel: Channel, stream: str) -> None:
        """Entries below an id go with their payloads; a dry run says so before."""
        keys = await appended(channel, stream, 5)
        later = await appended(channel, stream, 3)
        cut = Cut(before=later[0].id)
        expected = await trimmed(channel.trimming(stream), cut, dry_run=True)
        assert len(await channel.scan(stream, count=99)) == 8
        done = await trimmed(channel.trimming(stream), cut)
        assert done == expected
        assert done.entries == len(keys)
        assert [event.key for event in await channel.scan(stream, count=99)] == later
        assert all(event.arguments for event in await channel.scan(stream, count=99))

    async def test_by_length(self, channel: Channel, stream: str) -> None:
        """Exactly the newest stay, over several slices; the count of a dry run is the real one."""
        keys = await appended(channel, stream, 250)
        trimming = channel.trimming(stream)
        for left in (247, 30, 0):
            expected = await trimmed(trimming, Cut(maxlen=left), dry_run=True)
            assert await trimmed(trimming, Cut(maxlen=left)) == expected
            found = await channel.scan(stream, count=999)
            assert [event.key for event in found] == (keys[-left:] if left else [])
        assert await channel.last_id(stream) == keys[-1].id

    async def test_never_past_the_slowest_group(self, channel: Channel, stream: str, seats: Seats) -> None:
        """What a group has not settled stays, whatever its age; the group is named."""
        keys = await appended(channel, stream, 6)
        fast, slow = await seats.take(group="fast"), await seats.take(group="slow")
        await fast.settle(handled(*await fast.read(9, PATIENCE)))
        events = await slow.read(4, PATIENCE)
        await slow.settle(handled(events[0], events[1], events[3]))
        done = await trimmed(channel.trimming(stream), EVERYTHING)
        assert (done.entries, done.pinned) == (2, ("slow",))
        await slow.settle(handled(events[2]))
        done = await trimmed(channel.trimming(stream), Cut(maxlen=0))
        assert (done.entries, done.pinned) == (2, ("slow",))
        assert ids(await slow.read(9, PATIENCE)) == [key.id for key in keys[4:]]

    async def test_handled_by_all(self, channel: Channel, stream: str, seats: Seats) -> None:
        """Everything that every group has handled goes; where there is no group, nothing."""
        keys = await appended(channel, stream, 3)
        cut = Cut(handled=True)
        assert (await trimmed(channel.trimming(stream), cut)).entries == 0
        seat = await seats.take()
        await seat.settle(handled(*await seat.read(2, PATIENCE)))
        assert (await trimmed(channel.trimming(stream), cut)).entries == 2
        assert [event.key for event in await channel.scan(stream, count=9)] == [keys[2]]

    async def test_by_force(self, channel: Channel, stream: str, seats: Seats) -> None:
        """Force takes unhandled events from their groups, and nothing of them stays pending."""
        await appended(channel, stream, 3)
        seat = await seats.take()
        events = await seat.read(2, PATIENCE)
        done = await trimmed(channel.trimming(stream), Cut(maxlen=1, force=True))
        assert (done.entries, done.pinned) == (2, ())
        await seat.settle(handled(*events))
        assert await recovered(seat) == []
        assert len(await seat.read(9, PATIENCE)) == 1

    async def test_up_to_an_id(self, channel: Channel, stream: str) -> None:
        """What was written after the work began stays."""
        keys = await appended(channel, stream, 4)
        await trimmed(channel.trimming(stream), Cut(maxlen=0, last=keys[1].id))
        assert [event.key for event in await channel.scan(stream, count=9)] == keys[2:]

    async def test_a_message_id_after_trimming(self, channel: Channel, stream: str) -> None:
        """What is stored again under the id of a trimmed event keeps its own payload."""
        await channel.append(stream, [record(1, message_id="m")])
        await trimmed(channel.trimming(stream), Cut(maxlen=0))
        (again,) = await channel.append(stream, [record(2, message_id="m")])
        await channel.trimming(stream).drain()
        for event in await channel.scan(stream, count=9):
            assert (event.key, event.problem) == (succeeded(again), "")

    async def test_foreign_entries(self, channel: Channel, stream: str, seats: Seats) -> None:
        """What esb did not write goes like anything else, once it is handled."""
        await self.put_entry(channel, stream, {b"i": b"x", b"@": b"y"})
        seat = await seats.take()
        (event,) = await seat.read(9, PATIENCE)
        assert (await trimmed(channel.trimming(stream), EVERYTHING)).entries == 0
        await seat.settle(dead(event))
        assert (await trimmed(channel.trimming(stream), EVERYTHING)).entries == 1
        (letter,) = await channel.dead_letters(stream, "readers").page(count=9)
        assert letter.stored.raw == {b"i": b"x", b"@": b"y"}

    async def test_dead_letters_stay(self, channel: Channel, stream: str, seats: Seats) -> None:
        """A dead letter keeps its payload when the event is trimmed, also in an external store."""
        await channel.append(stream, [record(7)])
        seat = await seats.take()
        await seat.settle(dead(*await seat.read(9, PATIENCE)))
        trimming = channel.trimming(stream)
        assert (await trimmed(trimming, EVERYTHING)).entries == 1
        await trimming.drain()
        assert await trimming.sweep(NOW) == 0
        (letter,) = await channel.dead_letters(stream, "readers").page(count=9)
        assert letter.stored.arguments == record(7).arguments

    async def test_sweeping(self, channel: Channel, stream: str) -> None:
        """Payloads whose entries somebody else removed go after a grace period, those of events never."""
        (key,) = await appended(channel, stream, 1)
        await self.remove_entry(channel, stream, key.id)
        await appended(channel, stream, 1)
        trimming = channel.trimming(stream)
        assert await trimming.sweep(timedelta(hours=1)) == 0
        orphans = await trimming.sweep(timedelta(seconds=-5), dry_run=True)
        assert await trimming.sweep(timedelta(seconds=-5)) == orphans <= 1
        assert await trimming.sweep(timedelta(seconds=-5)) == 0
        (left,) = await channel.scan(stream, count=9)
        assert left.problem == ""

    async def test_one_is_elected(self, channel: Channel, stream: str) -> None:
        """One process at a time trims, until its time is over."""
        trimming = channel.trimming(stream)
        assert await trimming.elected("ann", PATIENCE)
        assert not await trimming.elected("bob", PATIENCE)
        assert await channel.trimming(stream + "2").elected("bob", PATIENCE)

    async def test_what_is_noted(self, channel: Channel, stream: str, seats: Seats) -> None:
        """The policy and who holds it up can be looked at; a group lives while one of its processes does."""
        trimming = channel.trimming(stream)
        assert await trimming.noted() is None
        kept = Kept(keep=timedelta(days=7), maxlen=3, pinned="slow")
        await trimming.note(kept)
        assert await trimming.noted() == kept
        seat = await seats.take()
        await appended(channel, stream, 1)
        assert len(await seat.read(1, NOW)) == 1  # before Redis 7.2 a consumer is known from its first event on
        assert await trimming.living("readers")
        await seat.leave()
        assert not await trimming.living("readers")


async def trimmed(trimming: Trimming, cut: Cut, *, dry_run: bool = False) -> Trimmed:
    """All slices as one."""
    done: list[Trimmed] = []
    after: str | None = ""
    while after is not None:
        counted = sum(each.entries for each in done) if dry_run else 0
        done.append(await trimming.slice(cut, after=after if dry_run else "", counted=counted, dry_run=dry_run))
        after = done[-1].after
    return total(done)
