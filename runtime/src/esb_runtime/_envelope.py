"""An event in its three states: asked for (Record), stored (Stored), and what a handler sees of it (Metadata).

These are msgspec structs rather than dataclasses because every event passes through them: a frozen struct is built
about ten times faster than a frozen dataclass. `gc=False`: they hold text and bytes, so no cycle can lead through them,
and the garbage collector need not walk over thousands of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from msgspec import Struct, structs

from ._identifiers import EventKey
from ._settings import Origin

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = 253_402_300_799_999_999
"""The last microsecond that a `datetime` can be; an entry that names a later one is garbage."""


def to_microseconds(moment: datetime) -> int:
    """Microseconds since 1970 of an aware time."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def from_microseconds(value: int) -> datetime:
    """The UTC time of microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=value)


class Details(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The seldom part of an event's metadata; most events have none of it and store none of it."""

    headers: Mapping[str, str] = {}
    correlation_id: str = ""
    causation_id: str = ""
    trace: Mapping[str, str] = {}
    origin: Origin = Origin.ORIGINAL
    linked: tuple[str, str] | None = None
    """Stream and entry id of the source of a copy."""


NO_DETAILS = Details()


class Record(Struct, frozen=True, kw_only=True, gc=False):
    """An event on its way into a stream; `arguments` are encoded, `produced_at` is in microseconds since 1970.

    `erased` names arguments of a copy that were erased from its source. `fresh`: its message id was just made for
    it, so where that is stored, this record was.
    """

    message_id: str
    event: str
    version: int
    produced_at: int
    arguments: Mapping[str, bytes]
    ordering_key: str | None = None
    details: Details = NO_DETAILS
    erased: frozenset[str] = frozenset()
    fresh: bool = False

    @property
    def size(self) -> int:
        """Bytes of the arguments, for bounds on batches and memory."""
        return sum(map(len, self.arguments.values()))


class Stored(Struct, frozen=True, kw_only=True, gc=False):
    """An event as a channel holds it.

    `arguments` is None when the payload was not asked for, or is not there. `problem` says in words why the entry
    cannot be delivered (not written by esb, garbage, payload gone); then the other attributes hold what is known and
    `raw` the entry's fields as they are. `erased` names arguments that a person's right to be forgotten removed.
    `only_for` names the group that alone gets this entry (a replayed dead letter whose entry was trimmed); "" for all.
    """

    key: EventKey
    event: str = ""
    version: int = 0
    message_id: str = ""
    produced_at: int = 0
    ordering_key: str | None = None
    details: Details = NO_DETAILS
    arguments: Mapping[str, bytes] | None = None
    erased: frozenset[str] = frozenset()
    store: str = ""
    only_for: str = ""
    problem: str = ""
    raw: Mapping[bytes, bytes] = {}

    @property
    def size(self) -> int:
        """Bytes of the arguments, for bounds on memory."""
        return sum(map(len, self.arguments.values())) if self.arguments else 0


def copy_details(stored: Stored) -> Details:
    """The details of a copy: it says that it is one, and of what."""
    linked = (stored.key.stream, stored.key.id)
    if stored.details is NO_DETAILS:
        return Details(origin=Origin.COPY, linked=linked)
    return structs.replace(stored.details, origin=Origin.COPY, linked=linked)


class Metadata(Struct, frozen=True, kw_only=True):
    """Everything a handler can know about an event besides its arguments.

    `key` is where it stands; `group` handles it (empty where there is none: `read`, projections); `produced_at` is the
    producer's clock in UTC, to the microsecond; `ordering_key` is the value of the contract's `key`; `attempt` counts
    from 1; `erased` names arguments that were erased (they are None).
    """

    event: str
    version: int
    message_id: str
    key: EventKey
    produced_at: datetime
    uri: str
    environment: str = ""
    ordering_key: str | None = None
    origin: Origin = Origin.ORIGINAL
    linked: EventKey | None = None
    headers: Mapping[str, str] = {}
    correlation_id: str = ""
    causation_id: str = ""
    trace: Mapping[str, str] = {}
    attempt: int = 1
    erased: frozenset[str] = frozenset()
    group: str = ""


def metadata_of(stored: Stored, *, uri: str, environment: str, attempt: int = 1, group: str = "") -> Metadata:
    """What a handler sees of a stored event."""
    details = stored.details
    linked = EventKey(stream=details.linked[0], id=details.linked[1]) if details.linked else None
    return Metadata(
        event=stored.event,
        version=stored.version,
        message_id=stored.message_id,
        key=stored.key,
        produced_at=from_microseconds(stored.produced_at),
        uri=uri,
        environment=environment,
        ordering_key=stored.ordering_key,
        origin=details.origin,
        linked=linked,
        headers=details.headers,
        correlation_id=details.correlation_id,
        causation_id=details.causation_id,
        trace=details.trace,
        attempt=attempt,
        erased=stored.erased,
        group=group,
    )
