"""Copies of streams inside the server: in order and once, although steps do not wait for those before them."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from esb_runtime import ChannelUnavailable
from esb_runtime.operations import Operations, Slice
from esb_runtime.redis._connection import Connection

EVENTS = 2_300
"""Some pages of some steps each, and a rest."""


@pytest.fixture(autouse=True)
async def source(operations: Operations) -> None:
    """A stream `s` of two kinds of events, one of them with an ordering key."""
    records = [
        operations.record("odd", {"n": n}, message_id=f"m{n}", ordering_key=f"k{n}")
        if n % 2
        else operations.record("even", {"n": n}, message_id=f"m{n}")
        for n in range(EVENTS)
    ]
    await operations.store("s", records)


async def numbers(operations: Operations, stream: str) -> list[int]:
    """What the events of a stream carry, in stream order; each is as it was in the source."""
    found: list[int] = []
    async for event in operations.events(Slice(stream=stream)):
        assert event.arguments is not None
        number = event.arguments["n"]
        assert (event.message_id, event.event) == (f"m{number}", "odd" if number % 2 else "even")
        assert event.meta.get("ordering_key") == (f"k{number}" if number % 2 else None)
        found.append(number)
    return found


async def test_what_cannot_be_copied_holds_up_what_comes_behind_it(operations: Operations, raw: Connection) -> None:
    """Events without a payload, at the ends of steps and pages too, are left out; all others come in order."""
    broken = {0, 49, 50, 300, 499, 500, 999, 1_100, EVENTS - 1}
    for number in broken:
        await raw.call("DEL", f"{{s}}:p:m{number}")
    await raw.call("SET", "{s}:p:m777", "no hash")
    *_, done = [progress async for progress in operations.copy(Slice(stream="s"), "t")]
    expected = [n for n in range(EVENTS) if n not in broken | {777}]
    assert await numbers(operations, "t") == expected
    assert (done.stored, done.present, done.skipped) == (len(expected), 0, len(broken) + 1)


async def test_copies_from_earlier_let_nothing_pass(operations: Operations, raw: Connection) -> None:
    """That the last event of a step was there before does not say that the step has ended: the rest comes in order."""
    part = Slice(stream="s", only=frozenset({"odd"}))
    *_, first = [progress async for progress in operations.copy(part, "t")]
    await raw.call("DEL", "{s}:p:m130", "{s}:p:m400")
    *_, then = [progress async for progress in operations.copy(Slice(stream="s"), "t")]
    odd, even = range(1, EVENTS, 2), [n for n in range(0, EVENTS, 2) if n not in {130, 400}]
    assert await numbers(operations, "t") == [*odd, *even]
    assert (first.stored, first.present) == (len(odd), 0)
    assert (then.stored, then.present, then.skipped) == (len(even), len(odd), 2)


async def test_a_lost_connection_loses_and_doubles_nothing(operations: Operations, raw: Connection) -> None:
    """Connections are killed all the while and scripts forgotten: gone on with from where it was, a copy is exact."""

    copied = asyncio.Event()

    async def kill() -> None:
        while not copied.is_set():
            await raw.pipeline([("SCRIPT", "FLUSH"), ("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")])
            with suppress(TimeoutError):
                await asyncio.wait_for(copied.wait(), 0.005)

    killing = asyncio.create_task(kill())
    cuts = 0
    try:
        while True:
            try:
                reached = await operations.copied_up_to("s", "t")
                part = Slice(stream="s", first=f"({reached}" if reached else "-")
                _ = [progress async for progress in operations.copy(part, "t")]
                break
            except ChannelUnavailable:  # the source could not be read: `--resume` goes on behind the last copy
                cuts += 1
    finally:
        copied.set()
        await killing
    assert cuts
    with suppress(ChannelUnavailable):  # the last cut
        await operations.now()
    assert await numbers(operations, "t") == [*range(EVENTS)]
