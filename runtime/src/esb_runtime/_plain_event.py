"""A stored event without a contract: plain values, fit for JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ._envelope import Stored, from_microseconds
from ._errors import DecodeError
from ._identifiers import EventKey, entry_order
from ._plain import jsonable, plain
from ._settings import Origin

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainEvent:
    """A stored event as JSON can say it.

    `at` is when it was produced (when it was stored, where it does not say); None for times past the year 9999.
    `arguments` is None when the payload was not asked for or cannot be read. `problem` says in words why it cannot be
    read, "" when it can; `raw` then holds the entry's fields. `meta` is everything else that is known, without what
    is empty.
    """

    key: EventKey
    event: str
    version: int
    at: datetime | None
    message_id: str
    arguments: Mapping[str, Any] | None
    erased: frozenset[str]
    problem: str
    meta: Mapping[str, Any]


def plain_event(stored: Stored) -> PlainEvent:
    """The event without a contract; what cannot be read becomes its `problem`, never an error."""
    arguments, problem = arguments_of(stored)
    return PlainEvent(
        key=stored.key,
        event=stored.event,
        version=stored.version,
        at=moment_of(stored),
        message_id=stored.message_id,
        arguments=arguments,
        erased=stored.erased,
        problem=problem,
        meta=meta_of(stored, problem),
    )


def arguments_of(stored: Stored, names: frozenset[str] | None = None) -> tuple[dict[str, Any] | None, str]:
    """The arguments (of these names) as JSON can say them; None and why, where they cannot be read."""
    if stored.arguments is None or stored.problem:
        return None, stored.problem
    try:
        values = {
            name: jsonable(plain(raw, argument=name))
            for name, raw in stored.arguments.items()
            if names is None or name in names
        }
    except DecodeError as error:
        return None, f"{error}: it was not written by esb"
    except RecursionError:
        return None, "an argument is nested too deeply"
    return values | dict.fromkeys(sorted(stored.erased)), ""


def meta_of(stored: Stored, problem: str) -> dict[str, Any]:
    """Everything else that is known, without what is empty."""
    details = stored.details
    known: dict[str, Any] = {
        "message_id": stored.message_id,
        "ordering_key": stored.ordering_key,
        "origin": details.origin.value if details.origin is not Origin.ORIGINAL else None,
        "linked": "/".join(details.linked) if details.linked else None,
        "correlation_id": details.correlation_id,
        "causation_id": details.causation_id,
        "headers": dict(details.headers),
        "trace": dict(details.trace),
        "store": stored.store,
        "erased": sorted(stored.erased),
        "problem": problem,
        "raw": {_text(name): _text(value) for name, value in stored.raw.items()},
    }
    return {name: value for name, value in known.items() if value not in (None, "", {}, [])}


def moment_of(stored: Stored) -> datetime | None:
    """When it was produced, or else stored; None past the year 9999."""
    try:
        if stored.produced_at:
            return from_microseconds(stored.produced_at)
        return _EPOCH + timedelta(milliseconds=entry_order(stored.key.id)[0])
    except OverflowError:
        return None


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")
