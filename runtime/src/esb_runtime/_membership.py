"""Where a live projection takes its events from: plain history, or its place in a group that it alone owns."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import Protocol

from ._envelope import Stored
from ._errors import ChannelError
from ._fold import Fold, pages
from ._identifiers import entry_order
from ._ports import Channel, DeadLetter, Seat, SeatOptions, Settlements, Taken
from .delivery._heartbeat import Heartbeat

Bounds = Mapping[str, tuple[str, str]]
STANDBY = 0.6
"""Seconds between two tries to become the one at work."""
PAGE = 100


class Source(Protocol):
    """Events for one view, in order."""

    async def join(self, lost: Callable[[], None]) -> None:
        """Wait until this process is the one at work; `lost` is called when it no longer is."""
        ...

    async def missed(self, fold: Fold) -> Bounds:
        """History that `next` will not give, as bounds for each stream."""
        ...

    async def next(self, fold: Fold) -> list[Stored]:
        """The next events; none when there are none right now."""
        ...

    async def settle(self, events: Sequence[Stored]) -> None:
        """These are folded, or given up."""
        ...

    async def bury(self, stream: str, letter: DeadLetter) -> None:
        """This one is given up."""
        ...

    async def quit(self) -> None:
        """The session is over; another one may follow."""
        ...

    async def leave(self) -> None:
        """No session follows."""
        ...


class History:
    """For views in memory: every process folds for itself, and the server knows nothing of it."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    async def join(self, lost: Callable[[], None]) -> None:
        """Nobody else is meant."""

    async def missed(self, fold: Fold) -> Bounds:
        """Nothing: `next` gives all of it."""
        del fold
        return {}

    async def next(self, fold: Fold) -> list[Stored]:
        """The page after the view's position."""
        bounds = {stream: (fold.position.id_of(stream), "+") for stream in fold.streams}
        async with aclosing(pages(self._channel, bounds)) as history:
            async for page in history:
                return page
        return []

    async def settle(self, events: Sequence[Stored]) -> None:
        """The position says it all."""

    async def bury(self, stream: str, letter: DeadLetter) -> None:
        """There is no group whose dead letters could hold it."""

    async def quit(self) -> None:
        """Nothing to give up."""

    async def leave(self) -> None:
        """Nothing to give up."""


class Line:
    """The seat on one stream, and how far its session has come."""

    def __init__(self, stream: str, seat: Seat) -> None:
        self.stream = stream
        self.seat = seat
        self.heartbeat: Heartbeat | None = None
        self.pending: str | None = "0-0"
        """Where the pending list goes on, None once it is through."""
        self.ahead: list[Taken] = []
        """Taken, but not given out yet."""

    async def take(self) -> list[Taken]:
        """What is pending from earlier, page by page; then new events."""
        while self.pending is not None:
            taken, self.pending = await self.seat.recover(self.pending, PAGE)
            if taken:
                return taken
        return await self.seat.read(PAGE, timedelta(0))


class Membership:
    """For views that store their position: one process at a time, the owner of the group on all of its streams."""

    def __init__(
        self, channel: Channel, streams: Sequence[str], *, group: str, consumer: str, lease: timedelta
    ) -> None:
        self._lease = lease
        self._name = group
        self._given_up: set[tuple[str, str]] = set()
        self._lines = [
            Line(
                stream,
                channel.seat(SeatOptions(stream=stream, group=group, consumer=consumer, lease=lease, owned=True)),
            )
            for stream in sorted(streams)  # everybody acquires in the same order, so that nobody waits in a circle
        ]

    async def join(self, lost: Callable[[], None]) -> None:
        """Own every stream, keeping each lease from the moment it is had."""
        for line in self._lines:
            line.pending, line.ahead = "0-0", []
            await line.seat.open()
            while not await line.seat.acquire():  # noqa: ASYNC110 - the owner lives in another process
                await asyncio.sleep(STANDBY)
            name = f"{line.stream} / {self._name}"
            line.heartbeat = Heartbeat(line.seat, lease=self._lease, lost=lost, alive=lambda: True, name=name)

    async def missed(self, fold: Fold) -> Bounds:
        """What lies between the view's position and the first event that the group has yet to settle."""
        bounds: dict[str, tuple[str, str]] = {}
        for line in self._lines:
            line.ahead = await line.take()
            first = f"({line.ahead[0].stored.key.id}" if line.ahead else "+"
            bounds[line.stream] = (fold.position.id_of(line.stream), first)
        return bounds

    async def next(self, fold: Fold) -> list[Stored]:
        """Pending and new events of all streams, merged by id."""
        del fold
        taken: list[Taken] = []
        for line in self._lines:
            taken += line.ahead or await line.take()
            line.ahead = []
        return sorted((each.stored for each in taken), key=lambda event: entry_order(event.key.id))

    async def settle(self, events: Sequence[Stored]) -> None:
        """Acknowledge them."""
        for line in self._lines:
            handled = [
                (event.key.id, event.message_id)
                for event in events
                if event.key.stream == line.stream and (line.stream, event.key.id) not in self._given_up
            ]
            if handled:
                await line.seat.settle(Settlements(handled=handled, failed=[], dead=[]))
        self._given_up.clear()

    async def bury(self, stream: str, letter: DeadLetter) -> None:
        """Move it to the group's dead letters, where it is pending."""
        for line in self._lines:
            if line.stream == stream:
                await line.seat.settle(Settlements(handled=[], failed=[], dead=[letter]))
        self._given_up.add((stream, letter.id))

    async def quit(self) -> None:
        """End the heartbeats; the leases run out, unless another session begins."""
        beating = [line.heartbeat for line in self._lines if line.heartbeat is not None]
        for heartbeat in beating:
            heartbeat.silence()  # all of them before the first wait: a cancellation there must leave none behind
        for line in self._lines:
            line.heartbeat = None
        for heartbeat in beating:
            await heartbeat.stop()

    async def leave(self) -> None:
        """Give up the ownership, so that the next process begins at once. Raises the first `ChannelError`."""
        errors: list[ChannelError] = []
        for line in self._lines:
            try:
                await line.seat.leave()
            except ChannelError as error:
                errors.append(error)
        if errors:
            raise errors[0]
