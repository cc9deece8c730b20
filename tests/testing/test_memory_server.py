"""The in-memory server: what it does beyond the conformance suite, for tests that inject faults."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from threading import Thread

import pytest

from esb_runtime import ChannelUnavailable, EventKey, GroupLost, UsageError
from esb_runtime._envelope import Record
from esb_runtime._identifiers import new_message_id
from esb_runtime._ports import Placement, Seat, SeatOptions
from esb_runtime.testing import ManualClock, MemoryChannel, MemoryServer

MINUTE = timedelta(minutes=1)
SOON = timedelta(seconds=5)


def record(message_id: str | None = None) -> Record:
    """An event without arguments."""
    return Record(message_id=message_id or new_message_id(), event="ticked", version=1, produced_at=1, arguments={})


def seat_of(server: MemoryServer, consumer: str, *, owned: bool = False) -> Seat:
    """A seat in the group `readers` on the stream `s`, with a lease of a minute."""
    options = SeatOptions(stream="s", group="readers", consumer=consumer, lease=MINUTE, owned=owned)
    return MemoryChannel(server).seat(options)


async def test_channels_share_a_server() -> None:
    """What one channel appends, another one of the same server reads; a channel of its own server does not."""
    server = MemoryServer()
    await MemoryChannel(server).append("s", [record()])
    assert len(await MemoryChannel(server).scan("s", count=9)) == 1
    assert await MemoryChannel().scan("s", count=9) == []


async def test_leases_follow_the_clock() -> None:
    """With a manual clock a lease runs out when the test says so."""
    clock = ManualClock()
    server = MemoryServer(clock=clock)
    ann, bob = seat_of(server, "ann", owned=True), seat_of(server, "bob", owned=True)
    for seat in (ann, bob):
        await seat.open()
    assert await ann.acquire()
    clock.advance(MINUTE / 2)
    assert ann.beat()
    clock.advance(MINUTE * 0.9)
    assert not await bob.acquire()
    clock.advance(MINUTE * 0.2)
    assert await bob.acquire()
    assert not ann.beat()


async def test_ids_follow_the_clock() -> None:
    """Entry ids are the clock's milliseconds, and still grow when it goes nowhere."""
    clock = ManualClock()
    channel = MemoryChannel(MemoryServer(clock=clock))
    first = await channel.append("s", [record(), record()])
    clock.advance(timedelta(milliseconds=5))
    second = await channel.append("s", [record()])
    now = clock.now() // 1000
    assert first + second == [EventKey(stream="s", id=f"{now - 5}-{n}") for n in (0, 1)] + [
        EventKey(stream="s", id=f"{now}-0")
    ]


async def test_message_ids_are_forgotten_in_time() -> None:
    """Inside the entry there is no payload that remembers a message id: it is remembered for `dedup`."""
    clock = ManualClock()
    channel = MemoryChannel(MemoryServer(clock=clock), placement=Placement.INLINE, dedup=MINUTE)
    (first,) = await channel.append("s", [record("m")])
    clock.advance(MINUTE / 2)
    assert await channel.append("s", [record("m")]) == [first]
    clock.advance(MINUTE)
    assert await channel.append("s", [record("m")]) != [first]


async def test_an_outage() -> None:
    """During an outage everything raises, also what was waiting; after it everything is as before."""
    server = MemoryServer()
    channel, seat = MemoryChannel(server), seat_of(server, "ann")
    await channel.append("s", [record()])
    await seat.open()
    await seat.read(9, SOON)
    reading = asyncio.create_task(seat.read(9, SOON))
    await channel.now()
    with server.outage():
        for attempt in (channel.append("s", [record()]), channel.now(), seat.mine("0-0", 9), reading):
            with pytest.raises(ChannelUnavailable, match="memory://"):
                await attempt
        with pytest.raises(ChannelUnavailable):
            seat.beat()
    assert len((await seat.mine("0-0", 9))[0]) == 1


async def test_a_flush() -> None:
    """A flush loses everything, groups too."""
    server = MemoryServer()
    channel, seat = MemoryChannel(server), seat_of(server, "ann")
    await channel.append("s", [record()])
    await seat.open()
    server.flush()
    assert server.streams() == []
    with pytest.raises(GroupLost):
        await seat.read(9, SOON)
    await seat.open()
    await channel.append("s", [record()])
    assert len(await seat.read(9, SOON)) == 1


async def test_two_event_loops() -> None:
    """A reader on one event loop wakes for an event that was appended on another one."""
    server = MemoryServer()
    waiting = asyncio.create_task(MemoryChannel(server).wait({"s": "0-0"}, SOON))
    await asyncio.sleep(0)

    def append() -> None:
        asyncio.run(_append(server))

    thread = Thread(target=append)
    thread.start()
    assert await waiting
    thread.join()


async def _append(server: MemoryServer) -> None:
    await MemoryChannel(server).append("s", [record()])


async def test_looking() -> None:
    """A test can look at streams, groups, consumers, pending events and at what is left to do."""
    server = MemoryServer()
    seat = seat_of(server, "ann")
    (key,) = await MemoryChannel(server).append("s", [record()])
    await seat.open()
    assert server.unsettled() == ["group readers of s: 0 pending (0 of them failed), 1 not delivered"]
    await seat.read(9, SOON)
    assert (server.streams(), server.groups("s")) == (["s"], ["readers"])
    assert (server.consumers("s", "readers"), server.pending("s", "readers")) == (["ann"], [key])
    assert server.groups("elsewhere") == server.consumers("elsewhere", "readers") == []


def test_an_external_store_is_needed() -> None:
    """Payloads cannot go to a store that is not given."""
    with pytest.raises(UsageError, match="stores="):
        MemoryChannel(placement=Placement.EXTERNAL)
