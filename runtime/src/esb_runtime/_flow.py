"""What travels with an event without being its argument: message id, headers, correlation and causation.

It flows through context variables, so a handler that produces an event links it to the one it handles without a word.
Engines set one variable per event, `CURRENT`; what follows from it is worked out when something is produced.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from typing import Protocol

from msgspec import Struct

from ._envelope import NO_DETAILS, Details, Metadata
from ._errors import MessageIdReused, UsageError
from ._identifiers import checked_message_id


class Handled(Protocol):
    """What is being handled here and now."""

    @property
    def metadata(self) -> Metadata:
        """Everything known about the event besides its arguments."""
        ...

    @property
    def single(self) -> bool:
        """Whether it is the one cause of what is produced meanwhile; not so for a batch's first event."""
        ...


class _Chosen(Struct):
    """A message id that a caller chose for the next produce call, while `inside` was being handled."""

    value: str
    inside: Handled | None
    used: bool = False


class _Flow(Struct, frozen=True):
    """What goes with events that are produced while `inside` is being handled."""

    inside: Handled | None
    headers: Mapping[str, str] = {}
    correlation_id: str = ""
    causation_id: str = ""


CURRENT: ContextVar[Handled] = ContextVar("esb_consumer_context")
"""Set by the engine around each handler call."""
_chosen: ContextVar[_Chosen | None] = ContextVar("esb_message_id", default=None)
_flow: ContextVar[_Flow | None] = ContextVar("esb_flow", default=None)
_deadline: ContextVar[float | None] = ContextVar("esb_deadline", default=None)


@contextmanager
def message_id(value: str, /) -> Generator[None]:
    """Give the one produce call inside this block a message id of your own, such as an order's number.

    The same id is stored once per stream: producing it again, from any process, returns the first call's key. A second
    produce call inside raises `MessageIdReused`. An id is 1 to 512 bytes of printable text (else `UsageError`).
    """
    token = _chosen.set(_Chosen(checked_message_id(value), CURRENT.get(None)))
    try:
        yield
    finally:
        _chosen.reset(token)


@contextmanager
def headers(**values: str) -> Generator[None]:
    """Add headers to every event produced inside this block; inner blocks add to outer ones."""
    outer = _current() or _Flow(None)
    merged = {**outer.headers, **values}
    token = _flow.set(_Flow(CURRENT.get(None), merged, outer.correlation_id, outer.causation_id))
    try:
        yield
    finally:
        _flow.reset(token)


@contextmanager
def deadline(limit: timedelta, /) -> Generator[None]:
    """Bound every produce call and batch that is awaited inside this block: it returns or raises within `limit`.

    What has no outcome by then raises `ChannelUnavailable`, whose message id makes sending it again safe (or
    `NotConfirmed`). Without a block the backbone's own deadline bounds outages, not the wait for one's turn.
    Raises `UsageError` for no time at all.
    """
    if limit <= timedelta(0):
        raise UsageError("deadline: more than no time")
    token = _deadline.set(limit.total_seconds())
    try:
        yield
    finally:
        _deadline.reset(token)


def current_deadline() -> float | None:
    """The seconds that a produce call has here and now; None when no block says so."""
    return _deadline.get()


def take_chosen_id() -> str | None:
    """The message id that a caller chose for the event being produced, once; None when nobody did."""
    chosen = _chosen.get()
    if chosen is None or chosen.inside is not CURRENT.get(None):
        return None
    if chosen.used:
        raise MessageIdReused(chosen.value)
    chosen.used = True
    return chosen.value


def current_details() -> Details:
    """The seldom metadata of an event produced here and now."""
    if _flow.get() is None and CURRENT.get(None) is None:  # as mostly, and said without a call
        return NO_DETAILS
    flow = _current()
    if flow is None:
        return NO_DETAILS
    return Details(headers=flow.headers, correlation_id=flow.correlation_id, causation_id=flow.causation_id)


def _current() -> _Flow | None:
    """What was said inside the event being handled, else what follows from it: it is the cause."""
    flow, event = _flow.get(), CURRENT.get(None)
    if event is None or (flow is not None and flow.inside is event):
        return flow
    if not event.single:
        return None
    cause = event.metadata
    return _Flow(event, {}, cause.correlation_id or cause.message_id, cause.message_id)
