"""The server that in-memory channels share: what a Redis server is to Redis channels."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

from .._clock import Clock, SystemClock
from .._envelope import Stored
from .._errors import ChannelUnavailable
from .._identifiers import EventKey, entry_order
from .._ports import BuriedEvent
from ._changes import Changes
from ._state import GroupRecords, State

T = TypeVar("T")

ENDPOINT = "memory://"
SETTLED = "?settled"
"""Topic of those who wait until groups have handled everything; no stream has this key."""
FOREIGN = "the entry was not written by esb (it has no format version)"


class MemoryServer:
    """Streams of events in memory. Give the same object to every channel that should see the same events.

    Leases, entry ids and times to live come from `clock`; a read that waits does so in real time. Safe to share
    between event loops and threads. The methods here are for tests: they look, or do what faults do.
    """

    def __init__(self, *, clock: Clock | None = None) -> None:
        self.clock: Clock = clock or SystemClock()
        self._changes = Changes()
        self._state = State(self.clock, self._changes.announce)
        self._reachable = True

    # What channels and seats call

    async def call(self, step: Callable[[State], T]) -> T:
        """One atomic step, after the turn of the event loop that a round trip would take."""
        await asyncio.sleep(0)
        return self.step(step)

    def step(self, step: Callable[[State], T]) -> T:
        """One atomic step, from any thread. Raises `ChannelUnavailable` during an outage."""
        with self._changes.lock:
            if not self._reachable:
                raise ChannelUnavailable(ENDPOINT, "an outage that a test asked for")
            return step(self._state)

    async def until(self, found: Callable[[State], T], within: timedelta, *streams: str) -> T:
        """The first true answer of a step that is tried now and after each change of the streams."""
        await asyncio.sleep(0)
        return await self._changes.until(lambda: self.step(found), within, *streams)

    # Looking

    def streams(self) -> list[str]:
        """Keys of all streams."""
        with self._changes.lock:
            return sorted(self._state.logs)

    def events(self, stream: str) -> list[Stored]:
        """Everything in the stream, in order, with the payloads that lie beside or inside the entries."""
        with self._changes.lock:
            log = self._state.log(stream)
            return [self._state.complete(stream, log.entries[id_]) for id_ in log.ids] if log else []

    def groups(self, stream: str) -> list[str]:
        """Names of a stream's groups."""
        with self._changes.lock:
            log = self._state.log(stream)
            return sorted(log.groups) if log else []

    def consumers(self, stream: str, group: str) -> list[str]:
        """Names of the consumers that the group knows."""
        with self._changes.lock:
            log = self._state.log(stream)
            return sorted(log.groups[group].consumers) if log and group in log.groups else []

    def pending(self, stream: str, group: str) -> list[EventKey]:
        """Events that were delivered to the group and not settled, in order."""
        with self._changes.lock:
            log = self._state.log(stream)
            ids = log.groups[group].pending if log and group in log.groups else {}
            return [EventKey(stream=stream, id=f"{ms}-{seq}") for ms, seq in ids]

    def dead_letters(self, stream: str, group: str) -> list[BuriedEvent]:
        """The group's dead letters, oldest first."""
        with self._changes.lock:
            records = self._state.records.get((stream, group), GroupRecords())
            return list(records.dead)

    def unsettled(self) -> list[str]:
        """In words: each group that has not handled everything, and what it lacks."""
        with self._changes.lock:
            found: list[str] = []
            for stream, name, log, group in self._state.groups():
                fresh = len(log.after(group.delivered, len(log.ids)))
                failed = sum(id_ in group.pending for id_ in self._state.of_group(stream, name).failures)
                if fresh or group.pending:
                    pending = f"{len(group.pending)} pending ({failed} of them failed)"
                    found.append(f"group {name} of {stream}: {pending}, {fresh} not delivered")
            return found

    async def settled(self, within: timedelta, holds: Callable[[], bool] = lambda: True) -> bool:
        """Wait until every group handled everything and `holds` says yes; false when that took too long."""
        return await self._changes.until(lambda: not self.unsettled() and holds(), within, SETTLED)

    # Doing what faults do

    @contextmanager
    def outage(self) -> Generator[None, None, None]:
        """Nobody reaches the server inside this block; what it holds stays."""
        with self._changes.lock:
            self._reachable = False
            self._changes.announce_all()
        try:
            yield
        finally:
            with self._changes.lock:
                self._reachable = True
                self._changes.announce_all()

    def flush(self) -> None:
        """Lose everything."""
        with self._changes.lock:
            self._state = State(self.clock, self._changes.announce)
            self._changes.announce_all()

    def delete_stream(self, stream: str) -> None:
        """Lose a stream with its groups; payloads and the groups' records stay."""
        with self._changes.lock:
            self._state.logs.pop(stream, None)
            self._changes.announce_all()

    def destroy_group(self, stream: str, group: str) -> None:
        """Lose a group; its records (floor, failures, dead letters) stay."""
        with self._changes.lock:
            log = self._state.log(stream)
            if log:
                log.groups.pop(group, None)
            self._changes.announce_all()

    def begin_epoch(self, stream: str, group: str) -> None:
        """Have the group forget what it handled, as a reset or a replay to the group does."""
        with self._changes.lock:
            self._state.of_group(stream, group).epoch += 1

    def put_entry(self, stream: str, fields: Mapping[bytes, bytes]) -> str:
        """Write an entry that is not esb's; returns its id."""
        with self._changes.lock:
            key = EventKey(stream=stream, id="0-0")
            return self._state.put(stream, Stored(key=key, problem=FOREIGN, raw=dict(fields)))

    def remove_entry(self, stream: str, id: str) -> None:  # noqa: A002 - the entry's id, as everywhere
        """Take an entry out of the stream, as trimming does."""
        with self._changes.lock:
            log = self._state.log(stream)
            if log:
                log.remove(entry_order(id))

    def drop_payload(self, stream: str, message_id: str) -> None:
        """Lose the payload beside an entry."""
        with self._changes.lock:
            self._state.payloads.pop((stream, message_id), None)

    def occupy(self, stream: str) -> None:
        """Hold something at this key that is no stream."""
        with self._changes.lock:
            self._state.occupied.add(stream)

    def spoil(self, stream: str, message_id: str) -> None:
        """Hold something that is not esb's where the message id is recorded: it cannot be appended any more."""
        with self._changes.lock:
            self._state.spoiled.add((stream, message_id))
