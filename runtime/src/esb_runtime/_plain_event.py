"""A stored event without a contract: plain values, fit for JSON."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ._envelope import Record, Stored, from_microseconds
from ._errors import DecodeError
from ._identifiers import EventKey, checked_message_id, entry_order, new_message_id
from ._plain import encode_plain, jsonable, plain
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
    chosen = stored.arguments
    if names is not None:
        chosen = {name: chosen[name] for name in names if name in chosen}
    values, problem = plain_arguments(chosen)
    if values is not None and stored.erased:
        values |= dict.fromkeys(sorted(stored.erased))
    return values, problem


def plain_arguments(arguments: Mapping[str, bytes]) -> tuple[dict[str, Any] | None, str]:
    """Stored arguments as JSON can say them; None and why, where they cannot be read."""
    try:
        return {name: jsonable(plain(raw, argument=name)) for name, raw in arguments.items()}, ""
    except DecodeError as error:
        return None, f"{error}: it was not written by esb"
    except RecursionError:
        return None, "an argument is nested too deeply"


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


def plain_record(
    event: str,
    arguments: Mapping[str, Any],
    *,
    version: int = 1,
    ordering_key: str | None = None,
    message_id: str | None = None,
) -> Record:
    """An event of plain values, ready for `store`. Raises `EncodeError`, and `UsageError` for a bad message id."""
    return Record(
        message_id=new_message_id() if message_id is None else checked_message_id(message_id),
        event=event,
        version=version,
        produced_at=time.time_ns() // 1000,
        arguments={name: encode_plain(value, event=event, argument=name) for name, value in arguments.items()},
        ordering_key=ordering_key,
    )
