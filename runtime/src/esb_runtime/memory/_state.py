"""What a server holds, in memory: streams, payloads and the groups' records. Every call is one atomic step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from .._clock import Clock
from .._envelope import Record, Stored
from .._errors import EsbError, WrongKeyType
from .._identifiers import EventKey
from .._ports import Appended, BuriedEvent
from .._retention import Kept
from ._log import ZERO, Group, Id, Log, Payload, as_text, next_id

K = TypeVar("K")

HASH = ""
INLINE = "inline"
GONE = "the entry was removed from the stream before it was handled"
NO_PAYLOAD = "the payload is gone without a trace of why"
SPOILED = "the payload's key is not a hash"


@dataclass(slots=True)
class GroupRecords:
    """What is kept beside a group and outlives it, as side keys do."""

    owner: str = ""
    owner_until: float = 0.0
    fence: int = 0
    leases: dict[str, float] = field(default_factory=dict[str, float])
    fenced: set[str] = field(default_factory=set[str])
    """Consumers from whom something was taken after their lease had ended: what they still do is refused."""
    floor: Id | None = None
    failures: dict[Id, int] = field(default_factory=dict[Id, int])
    done: dict[tuple[int, str], float] = field(default_factory=dict[tuple[int, str], float])
    """When the record of a message id handled in an epoch ends."""
    epoch: int = 0
    dead: list[BuriedEvent] = field(default_factory=list[BuriedEvent])
    last_letter: Id = ZERO

    def owner_at(self, now: float) -> str:
        """The mark of the owner whose lease still runs, or nothing."""
        return self.owner if self.owner_until > now else ""


class State:
    """Everything behind one lock; the lock, and who may call when, are the server's affair."""

    def __init__(self, clock: Clock, announce: Callable[[str], None]) -> None:
        self.clock = clock
        self.announce = announce
        self.logs: dict[str, Log] = {}
        self.payloads: dict[tuple[str, str], Payload] = {}
        self.dedup: dict[tuple[str, str], tuple[str, float]] = {}
        self.records: dict[tuple[str, str], GroupRecords] = {}
        self.drops: dict[tuple[str, str], dict[str, int]] = {}
        """Payloads to be deleted from external stores, by stream and store: message id to when it was put there."""
        self.trimmers: dict[str, float] = {}
        self.kept: dict[str, Kept] = {}
        self.occupied: set[str] = set()
        self.spoiled: set[tuple[str, str]] = set()

    def log(self, stream: str) -> Log | None:
        """The stream of this key, if there is one. Raises `WrongKeyType` where something else is."""
        if stream in self.occupied:
            raise WrongKeyType(stream, "stream")
        return self.logs.get(stream)

    def made(self, stream: str) -> Log:
        """The stream of this key, made where there is none."""
        found = self.log(stream)
        return found if found is not None else self.logs.setdefault(stream, Log(stream))

    def of_group(self, stream: str, group: str) -> GroupRecords:
        """The records beside a group."""
        return self.records.setdefault((stream, group), GroupRecords())

    def groups(self) -> list[tuple[str, str, Log, Group]]:
        """Every group of every stream."""
        return [(key, name, log, group) for key, log in self.logs.items() for name, group in log.groups.items()]

    def put(self, stream: str, entry: Stored) -> str:
        """Write an entry under the next id."""
        log = self.made(stream)
        id_ = next_id(log.last, self.clock.now() // 1000)
        log.add(id_, msgspec.structs.replace(entry, key=EventKey(stream=stream, id=as_text(id_))))
        self.announce(stream)
        return as_text(id_)

    def known(self, stream: str, message_id: str, *, beside: bool) -> str | None:
        """The id of the entry that a message id is already stored as."""
        if beside:
            payload = self.payloads.get((stream, message_id))
            return payload.id if payload else None
        id_, until = self.dedup.get((stream, message_id), ("", 0.0))
        return id_ if until > self.clock.monotonic() else None

    def undrop(self, stream: str, store: str, message_ids: Sequence[str]) -> None:
        """These payloads are deleted, or have their entry."""
        for message_id in message_ids:
            self.drops.get((stream, store), {}).pop(message_id, None)

    def append(
        self, stream: str, records: Sequence[Record], *, store: str, window: float, together: bool
    ) -> list[Appended]:
        """Store records; whatever can refuse one is looked at before the first write."""
        self.log(stream)
        refused: dict[str, EsbError] = {
            record.message_id: WrongKeyType(record.message_id, "key of esb")
            for record in records
            if (stream, record.message_id) in self.spoiled
        }
        if together and refused:
            return [next(iter(refused.values()))] * len(records)
        return [refused.get(record.message_id) or self._append(stream, record, store, window) for record in records]

    def _append(self, stream: str, record: Record, store: str, window: float) -> EventKey:
        self.undrop(stream, store, [record.message_id])
        known = self.known(stream, record.message_id, beside=store == HASH)
        if known is not None:
            return EventKey(stream=stream, id=known)
        id_ = self.put(stream, _entry(stream, record, store))
        if store == HASH:
            self.payloads[stream, record.message_id] = Payload(id_, dict(record.arguments), record.erased)
        else:
            self.dedup[stream, record.message_id] = (id_, self.clock.monotonic() + window)
        return EventKey(stream=stream, id=id_)

    def complete(self, stream: str, entry: Stored) -> Stored:
        """An entry with the payload that lies beside it, or with the problem that kept it away."""
        if entry.store != HASH or entry.problem:
            return entry
        if (stream, entry.message_id) in self.spoiled:
            return msgspec.structs.replace(entry, problem=SPOILED)
        payload = self.payloads.get((stream, entry.message_id))
        if payload is None:
            return msgspec.structs.replace(entry, problem=NO_PAYLOAD)
        return msgspec.structs.replace(entry, arguments=dict(payload.arguments), erased=payload.erased)

    def event(self, stream: str, id_: Id) -> Stored:
        """The event of this id, also when it is gone."""
        log = self.log(stream)
        entry = log.entries.get(id_) if log else None
        if entry is None:
            return Stored(key=EventKey(stream=stream, id=as_text(id_)), problem=GONE)
        return self.complete(stream, entry)


def alive(expiries: Mapping[K, float], name: K, now: float) -> bool:
    """Whether something with a time to live is still there."""
    return expiries.get(name, 0.0) > now


def _entry(stream: str, record: Record, store: str) -> Stored:
    return Stored(
        key=EventKey(stream=stream, id=""),
        event=record.event,
        version=record.version,
        message_id=record.message_id,
        produced_at=record.produced_at,
        ordering_key=record.ordering_key,
        details=record.details,
        store=store,
        arguments=dict(record.arguments) if store == INLINE else None,
    )
