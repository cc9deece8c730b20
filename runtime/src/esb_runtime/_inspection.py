"""What tools ask of a server beyond events: streams, groups, the server itself. Adapters fulfil it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """What a server is and how it is set. None and "" stand for what it would not tell.

    `settings` are those that matter to events: `appendonly`, `appendfsync`, `maxmemory-policy`,
    `hash-max-listpack-value`. `features` are commands of newer servers that it has. `denied` are commands that esb
    needs and the user may not run. `clock` is its time in milliseconds since 1970, `processor` how long it has computed
    since it started, `round_trip` how long asking took.
    """

    flavour: str
    version: str
    mode: str
    role: str
    replicas: int | None
    uptime: timedelta | None
    processor: timedelta | None
    memory: int | None
    memory_limit: int | None
    settings: Mapping[str, str]
    features: frozenset[str]
    user: str
    denied: tuple[str, ...] | None
    clock: int
    round_trip: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSummary:
    """A stream in one line. `first` and `last` are the ids of its ends, "" when it is empty.

    `memory` is in bytes, payloads included: theirs is estimated from a sample (None when the server does not tell).
    """

    stream: str
    length: int
    first: str
    last: str
    groups: int
    memory: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerSummary:
    """A process of a group. `idle` is since it last asked for events, `alive` whether its lease runs."""

    name: str
    pending: int
    idle: timedelta
    alive: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSummary:
    """A group of a stream.

    `pending` events were given out and are not settled, the oldest of them to `oldest_pending`; `lag` is how many
    were not given out yet (None when the server cannot tell). Of the pending, `released` were handed back and wait for
    a process, and `failing` failed at least once and are tried again. `trimmed` is how many the stream lost before the
    group was given them; `dead_letters` stand in `dead_letter_stream`; `owner` is the consumer that owns the stream for
    the group ("" without ordering by key).
    """

    name: str
    pending: int
    oldest_pending: str
    lag: int | None
    released: int
    failing: int
    trimmed: int
    last_delivered: str
    dead_letters: int
    dead_letter_stream: str
    owner: str
    consumers: tuple[ConsumerSummary, ...]


@runtime_checkable
class Inspection(Protocol):
    """Looks at a server, and takes scratch streams away again. Raises what the methods of a channel raise."""

    async def server(self) -> ServerFacts:
        """What the server is and how it is set."""
        ...

    async def summaries(self, streams: Sequence[str]) -> list[StreamSummary]:
        """Each stream in one line; those that are gone, or are no streams, are left out."""
        ...

    async def groups(self, stream: str) -> list[GroupSummary]:
        """The groups of a stream, by name."""
        ...

    async def held_up(self, streams: Sequence[str]) -> dict[str, str]:
        """Those of these streams whose retention a dead group holds up, with that group."""
        ...

    async def discard(self, stream: str) -> None:
        """Delete a stream with everything that belongs to it, groups and dead letters included.

        For scratch streams: nobody may be using it. Raises `UsageError` for a stream with a hash tag of its own, whose
        side keys other streams may share.
        """
        ...

    async def kind(self, key: str) -> str:
        """What a key holds in the server's words (`stream`, `string`, ...); `none` when there is no such key."""
        ...
