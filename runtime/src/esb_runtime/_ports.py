"""What the library asks of a channel and of a payload store. Adapters fulfil it; nobody above knows which one.

A *stream* here is always the full key of one partition. Ids are `<milliseconds>-<sequence>` and grow.
All methods may raise `ChannelUnavailable`, `LoginRefused` and `WrongKeyType`; other errors are named.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Protocol, runtime_checkable

from msgspec import Struct

from ._envelope import Record, Stored
from ._errors import EsbError
from ._identifiers import EventKey
from ._retention import Trimming
from ._settings import Durability, Start


class Placement(Enum):
    """Where a channel puts payloads: beside the entry, inside it, or in a store of its own."""

    BESIDE = "hash"
    INLINE = "inline"
    EXTERNAL = "external"


class PayloadStore(Protocol):
    """A place outside the channel that keeps payloads, under a name derived from the message id.

    `save` returns only when the payload is durable; saving the same message id again replaces equal by equal.
    """

    @property
    def name(self) -> str:
        """The name that entries carry, so that any reader knows where to look."""
        ...

    async def save(self, stream: str, payloads: Mapping[str, Mapping[str, bytes]], /) -> None:
        """Keep the arguments of each message id."""
        ...

    async def load(self, stream: str, message_ids: Sequence[str], /) -> list[Mapping[str, bytes] | None]:
        """The arguments of each message id, in order; None where there are none."""
        ...

    async def delete(self, stream: str, message_ids: Sequence[str], /) -> None:
        """Forget the arguments of each message id; unknown ones are no error."""
        ...


class Taken(Struct, frozen=True, kw_only=True, gc=False):
    """An event that was given to this process to handle.

    `starts` counts how often its handler was started before (0 for a new one), `failures` how many of those ended
    with an error. What is left, `starts - failures`, are starts without any outcome: a suspect runs alone.
    `done` is true when the group's record of handled message ids already holds it (in the present epoch). `unclaimed`:
    it was left to the processes that implement it, and none of them came within a lease.
    """

    stored: Stored
    starts: int = 0
    failures: int = 0
    done: bool = False
    unclaimed: bool = False


class DeadLetter(Struct, frozen=True, kw_only=True):
    """An event that will not be tried again: why, after how many attempts, and where (no argument values).

    `passed`: its group keeps a position of its own that has moved past the event, as a stored projection does; a
    replay then brings it as a new entry, because in its old place it would be passed over.
    """

    id: str
    message_id: str
    reason: str
    attempts: int
    traceback: str = ""
    passed: bool = False


class BuriedEvent(Struct, frozen=True, kw_only=True):
    """A dead letter in its group's list: why, and the event as it was (with a payload of its own).

    `id` is the letter's own, which says when it was written; `consumer` is the process that gave up. `empty`: nothing
    is left of the event, so there is nothing to replay.
    """

    id: str
    letter: DeadLetter
    stored: Stored
    consumer: str
    empty: bool = False


class Replay(Enum):
    """What became of a dead letter that was to be handled again by its group."""

    RETURNED = "returned"
    """The event stands in its old place among the group's pending ones, as if it had never been started."""
    COPIED = "copied"
    """Its entry was trimmed: a copy that no other group sees stands at the end of the stream."""
    AHEAD = "ahead"
    """The group was moved back before it and comes to it anyway: only the letter went."""
    ABSENT = "absent"
    """The letter is not there (any more)."""
    EMPTY = "empty"
    """Nothing is left of the event; the letter stays."""


class DeadLetters(Protocol):
    """The dead letters of one group on one partition, oldest first."""

    async def page(self, *, first: str = "-", last: str = "+", count: int) -> list[BuriedEvent]:
        """Letters between two of their ids (`(id` excludes the bound; `-` and `+` are the ends)."""
        ...

    async def replay(self, ids: Sequence[str], *, dry_run: bool = False) -> list[Replay]:
        """Have the group, and no other one, handle the events of these letters again, with fresh attempts.

        One atomic step per letter: it leaves the list exactly when its event is the group's again. A dry run says what
        would become of each and changes nothing. Raises `GroupLost`.
        """
        ...

    async def purge(self, ids: Sequence[str]) -> int:
        """Delete letters by their own ids, with their payloads; returns how many there were."""
        ...


class Settlements(Struct, kw_only=True):
    """Outcomes that are written together: handled ids, failed ids, dead letters."""

    handled: list[tuple[str, str]]
    """(entry id, message id) pairs; the message id is recorded when the group remembers what it handled."""
    failed: list[str]
    dead: list[DeadLetter]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeatOptions:
    """How a process takes part in a group. `owned`: one process at a time owns the partition (ordering by key)."""

    stream: str
    group: str
    consumer: str
    lease: timedelta
    owned: bool
    start: Start = Start.BEGINNING
    remember: timedelta | None = None
    """How long handled message ids are remembered; None when the group does not ask for it."""
    implements: frozenset[str] | None = None
    """Kinds of events (`packing/1`) that others may leave to this process; None for all."""


class Seat(Protocol):
    """One process's place in one group on one partition.

    Every call but `beat` belongs to the event loop. Every call that changes the group (without `owned`: all but `read`)
    checks the fencing token in the same step and raises `OwnershipLost` when this process's lease ended in between.
    `read` may look behind its step: what a former owner took along then makes the owner's next `read` raise it too,
    unless `recover` or `returned` brought that before. All raise `GroupLost` when the group is gone.
    """

    async def open(self) -> None:
        """Make the group exist: at `start` when it is new, just below its lowest unhandled event when it was lost."""
        ...

    async def acquire(self) -> bool:
        """Take the lease and, with `owned`, become the owner, or stay it; false while another process is."""
        ...

    @property
    def tenure(self) -> str:
        """Names the lease: the same text for as long as it never ended in between."""
        ...

    def beat(self) -> bool:
        """Renew the lease; false when it was lost. Called from a thread of its own, so that a busy loop keeps it."""
        ...

    async def recover(self, after: str, count: int) -> tuple[list[Taken], str | None]:
        """Take over entries without a live holder, in id order, without counting a start.

        With `owned`: everything pending in the group. Without: what dead processes and hand-backs left.
        Returns one page and the id to continue after, None at the end. `after` begins at "0-0".
        """
        ...

    async def read(self, count: int, wait: timedelta) -> list[Taken]:
        """Up to `count` new events, in stream order; waits up to `wait` for the first one."""
        ...

    async def returned(self) -> list[Taken]:
        """Entries that were given back to the group while this process owns it, as a replayed dead letter is.

        A page of them, in id order; nothing when there are no more. Without `owned`, `recover` finds them.
        """
        ...

    async def mine(self, after: str, count: int) -> tuple[list[Taken], str | None]:
        """Entries that the server counts as this process's own, in id order (a page as in `recover`)."""
        ...

    async def load(self, ids: Sequence[str]) -> list[Stored]:
        """Events by id, in the order asked for; a missing one comes back with its `problem`."""
        ...

    async def starting(self, starts: Mapping[str, int]) -> None:
        """Record that these entries are being started for the n-th time (new ones need no record)."""
        ...

    async def settle(self, settlements: Settlements) -> None:
        """Write outcomes: one step for all that was handled, one atomic step per dead letter."""
        ...

    async def hand_back(self, entries: Mapping[str, int], *, to: str = "") -> None:
        """Give entries (id to starts so far) back to the group so that another process gets them at once.

        With `to` (a kind of event, `packing/1`) one that implements it, or anyone after a lease.
        """
        ...

    async def handled(self, message_ids: Sequence[str]) -> set[str]:
        """Those of these message ids that the group has on record as handled, in its present epoch."""
        ...

    async def epoch(self) -> int:
        """Counts from 0 how often the group was told to handle its events again (a reset, a replay to the group).

        What was recorded in an earlier epoch does not count as handled.
        """
        ...

    async def leave(self) -> None:
        """Give up ownership and the lease; disappear from the group when nothing is pending here."""
        ...


Appended = EventKey | EsbError
"""The outcome of one record: its key (the first call's, when the message id is already stored) or its error."""


class Confirmation(Struct, frozen=True, kw_only=True):
    """What became of events that were to be durable.

    `lost` are those that the stream does not hold: the server came back without them, or somebody removed them.
    """

    durable: bool
    lost: frozenset[str]


class Channel(Protocol):
    """Streams of events."""

    @property
    def endpoint(self) -> str:
        """Where this channel leads, without credentials."""
        ...

    async def append(self, stream: str, records: Sequence[Record], *, together: bool = False) -> list[Appended]:
        """Store records in order, in one atomic step: entry and payload appear together or not at all.

        Each record has its own outcome; with `together` the first refusal refuses all. Safe to repeat: a message id
        that is already stored is not stored again.
        """
        ...

    async def require(self, durability: Durability) -> None:
        """Raise `DurabilityUnavailable` when this channel can never promise that durability."""
        ...

    async def confirm(
        self, stream: str, ids: Sequence[str], durability: Durability, timeout: timedelta
    ) -> Confirmation:
        """Wait up to `timeout` until these events are that durable; says too which of them the stream has lost."""
        ...

    async def partitions(self, stream: str) -> Sequence[str]:
        """The keys of the stream's partitions, at least one."""
        ...

    async def scan(
        self, stream: str, *, first: str = "-", last: str = "+", count: int, reverse: bool = False, payload: bool = True
    ) -> list[Stored]:
        """Events between two ids (`(id` excludes the bound; `-` and `+` are the ends); touches no group.

        Fewer than `count` means that there are no more. Copies that belong to one group alone are left out.
        """
        ...

    async def complete(self, stream: str, events: Sequence[Stored]) -> list[Stored]:
        """Events that were read without their payloads, with them, in few round trips."""
        ...

    async def wait(self, after: Mapping[str, str], timeout: timedelta) -> bool:
        """Wait until one of the streams has an entry after the given id; false when none came in time."""
        ...

    async def last_id(self, stream: str) -> str:
        """The id of the newest entry that the stream ever had; `0-0` when there is no stream."""
        ...

    async def now(self) -> int:
        """The server's clock, in milliseconds since 1970."""
        ...

    def seat(self, options: SeatOptions) -> Seat:
        """A place in a group; nothing happens on the server before `Seat.open`."""
        ...

    def dead_letters(self, stream: str, group: str) -> DeadLetters:
        """The dead letters of a group; nothing happens on the server before its first method."""
        ...

    def trimming(self, stream: str) -> Trimming:
        """Removes a stream's oldest events; nothing happens on the server before its first method."""
        ...

    def names(self, pattern: str = "*") -> AsyncIterator[str]:
        """Keys of the event streams that match a glob pattern (never esb's own side keys)."""
        ...

    async def aclose(self) -> None:
        """Close every connection."""
        ...


@runtime_checkable
class Peeker(Protocol):
    """A channel that reads single arguments of many events for less than their whole payloads."""

    async def peek(
        self, stream: str, events: Sequence[Stored], names: Sequence[str]
    ) -> list[Mapping[str, bytes] | None]:
        """The arguments of these names, of each event; None for an event whose payload must be read whole."""
        ...


class Copies(Struct, frozen=True, kw_only=True):
    """How many copies are new, and the ids of those that were there before; in all, so many of the first events."""

    new: int
    known: tuple[str, ...]


@runtime_checkable
class Chain(Protocol):
    """A channel that takes a write while the one before it is still under way, without giving up their order."""

    @property
    def can_append_after(self) -> bool:
        """Whether it does, as it is set up."""
        ...

    async def append_after(
        self, before: Record, stream: str, records: Sequence[Record], *, together: bool = False
    ) -> list[Appended]:
        """As `Channel.append`, if the stream holds `before` by then; else nothing is stored.

        In that case, `ChannelUnavailable` is raised: `before` was refused, or nothing is known of it.
        """
        ...


@runtime_checkable
class Copier(Protocol):
    """A channel that copies events between its own streams by itself, so that payloads need not leave it."""

    def can_copy(self, event: Stored) -> bool:
        """Whether the event's payload lies where `copy` finds it."""
        ...

    async def copy(
        self,
        to: str,
        events: Sequence[Stored],
        names: Mapping[str, str],
        *,
        since: str,
        behind: Stored | None = None,
    ) -> Copies:
        """Copy events of one stream in order, each in one step with its payload and its link.

        `names` are other names for events. Stops before the first whose payload is not there. Safe to repeat: a
        message id that is already stored is not stored again. With `behind`, the event before these, copies nothing
        unless a copy of that one, newer than the target's id `since`, is there: so that this can be asked for before
        it is known what became of the events before.
        """
        ...
