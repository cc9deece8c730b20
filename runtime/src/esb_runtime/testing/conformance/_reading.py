"""What reading without a group promises."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from ..._ports import Channel
from ._subject import MOMENT, PATIENCE, ChannelSubject, Feature, appended, record


class Reading(ChannelSubject):
    """Events looked at, touching no group."""

    async def test_scan_in_order(self, channel: Channel, stream: str) -> None:
        """A scan gives events in stream order, or against it, up to `count`."""
        keys = await appended(channel, stream, 10)
        assert [e.key for e in await channel.scan(stream, count=100)] == keys
        assert [e.key for e in await channel.scan(stream, count=3)] == keys[:3]
        assert [e.key for e in await channel.scan(stream, count=3, reverse=True)] == keys[:-4:-1]

    async def test_scan_bounds(self, channel: Channel, stream: str) -> None:
        """Bounds take their id in, `(` leaves it out, in both directions."""
        keys = await appended(channel, stream, 5)
        first, last = keys[1].id, keys[3].id
        assert [e.key for e in await channel.scan(stream, first=first, last=last, count=9)] == keys[1:4]
        assert [e.key for e in await channel.scan(stream, first=f"({first}", last=last, count=9)] == keys[2:4]
        assert [e.key for e in await channel.scan(stream, first=first, last=f"({last}", count=9)] == keys[1:3]
        backwards = await channel.scan(stream, first=f"({first}", last=last, count=9, reverse=True)
        assert [e.key for e in backwards] == [keys[3], keys[2]]

    async def test_scan_by_time(self, channel: Channel, stream: str) -> None:
        """A bound of milliseconds alone takes in everything of that millisecond."""
        keys = await appended(channel, stream, 5)
        first, last = keys[0].id.partition("-")[0], keys[-1].id.partition("-")[0]
        assert [e.key for e in await channel.scan(stream, first=first, last=last, count=9)] == keys
        assert await channel.scan(stream, first=str(int(last) + 1), count=9) == []

    async def test_scan_of_nothing(self, channel: Channel, stream: str) -> None:
        """A stream that does not exist has no events; looking does not make it."""
        assert await channel.scan(stream, count=10) == []
        assert await channel.last_id(stream) == "0-0"
        assert stream not in [name async for name in channel.names()]

    async def test_scan_without_payload(self, channel: Channel, stream: str) -> None:
        """Without `payload` the arguments are None, which is no problem."""
        await appended(channel, stream, 2)
        events = await channel.scan(stream, count=10, payload=False)
        assert [(event.arguments, event.problem, event.event) for event in events] == [(None, "", "counted")] * 2

    async def test_lost_payload(self, channel: Channel, stream: str) -> None:
        """An event whose payload is gone comes with its `problem`; its neighbours come as ever."""
        await channel.append(stream, [record(1), record(2, message_id="lost"), record(3)])
        await self.drop_payload(channel, stream, "lost")
        events = await channel.scan(stream, count=10)
        assert [bool(event.problem) for event in events] == [False, True, False]
        assert (events[1].event, events[1].message_id, events[1].arguments) == ("counted", "lost", None)

    async def test_foreign_entry(self, channel: Channel, stream: str) -> None:
        """An entry that esb did not write comes with its `problem` and its fields as they are."""
        id_ = await self.put_entry(channel, stream, {b"temperature": b"\xff21"})
        await appended(channel, stream, 1)
        foreign, own = await channel.scan(stream, count=10)
        assert (foreign.key.id, foreign.raw, own.problem) == (id_, {b"temperature": b"\xff21"}, "")
        assert foreign.problem

    async def test_last_id(self, channel: Channel, stream: str) -> None:
        """The last id is that of the newest entry ever, also when it was removed."""
        keys = await appended(channel, stream, 3)
        assert await channel.last_id(stream) == keys[-1].id
        await self.remove_entry(channel, stream, keys[-1].id)
        assert await channel.last_id(stream) == keys[-1].id

    async def test_ids_come_from_the_servers_clock(self, channel: Channel, stream: str) -> None:
        """The milliseconds of an id lie between the server's clock before and after."""
        before = await channel.now()
        (key,) = await appended(channel, stream, 1)
        assert before <= int(key.id.partition("-")[0]) <= await channel.now()

    async def test_partitions(self, channel: Channel, stream: str) -> None:
        """A stream has at least one partition; each is a stream that can be read."""
        await appended(channel, stream, 3)
        partitions = await channel.partitions(stream)
        events = [event for each in partitions for event in await channel.scan(each, count=10)]
        assert len(events) == 3

    async def test_names(self, channel: Channel, stream: str) -> None:
        """Streams are found by glob pattern."""
        await appended(channel, stream, 1)
        await appended(channel, f"{stream}-b", 1)
        assert sorted([name async for name in channel.names(f"{stream}*")]) == [stream, f"{stream}-b"]
        assert [name async for name in channel.names(f"{stream}-?")] == [f"{stream}-b"]
        assert [name async for name in channel.names(f"{stream}-[ac]")] == []

    async def test_wait_for_what_is_there(self, channel: Channel, stream: str) -> None:
        """Waiting ends at once where a newer entry is there already."""
        await appended(channel, stream, 1)
        assert await channel.wait({stream: "0-0"}, PATIENCE)

    async def test_wait_for_what_comes(self, channel: Channel, stream: str) -> None:
        """Waiting ends with the next entry of any of the streams."""
        self.needs(Feature.WAITING)
        (key,) = await appended(channel, stream, 1)
        other = f"{stream}-other"
        waiting = asyncio.create_task(channel.wait({stream: key.id, other: "0-0"}, PATIENCE / 4))
        await channel.now()
        assert not waiting.done()
        await appended(channel, other, 1)
        assert await waiting

    async def test_wait_in_vain(self, channel: Channel, stream: str) -> None:
        """Waiting ends without a word when nothing came in time."""
        (key,) = await appended(channel, stream, 1)
        assert not await channel.wait({stream: key.id}, MOMENT)
        assert not await channel.wait({stream: key.id}, timedelta(milliseconds=1))
