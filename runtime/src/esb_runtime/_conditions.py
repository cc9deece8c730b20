"""Conditions on stored events, as tests of the document that tools show: `{key, event, version, at, args, meta}`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ._envelope import Stored
from ._plain_event import arguments_of, meta_of, moment_of, plain_arguments

WITH_PAYLOAD = frozenset({"args", "meta"})
"""Members of a document that are complete only with the payload."""


NARROW = frozenset({"args"})
"""Members of which an expression may look at a part."""
BY_KIND = frozenset({"event", "version"})
"""Members that all events of a kind have alike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What an event must be like: `test` gets its document, with at least the `members` that it looks at.

    `arguments` are the names that it looks at inside `args`; None means all of them.
    """

    test: Callable[[Mapping[str, Any]], bool]
    members: frozenset[str]
    arguments: frozenset[str] | None = None

    @property
    def payload(self) -> bool:
        """Whether it needs the payload."""
        return not self.members.isdisjoint(WITH_PAYLOAD)

    @property
    def by_kind(self) -> bool:
        """Whether the event's name and version decide it."""
        return self.members <= BY_KIND

    @property
    def narrow(self) -> bool:
        """Whether a few arguments decide it."""
        return self.members == NARROW and self.arguments is not None

    def holds_for(self, arguments: Mapping[str, bytes]) -> bool:
        """Whether an event with these arguments, among those that it looks at, is like that."""
        return self.test({"args": plain_arguments(arguments)[0]})

    def holds(self, stored: Stored) -> bool:
        """Whether the event is like that; of one that cannot be read `args` is None and `meta.problem` says why."""
        return self.test({name: _MEMBERS[name](stored, self.arguments) for name in self.members if name in _MEMBERS})


def rfc3339(moment: datetime | None) -> str | None:
    """A time in UTC, always with microseconds, so that texts sort as times."""
    return f"{moment.astimezone(UTC).isoformat(timespec='microseconds')[:-6]}Z" if moment else None


def _args(stored: Stored, names: frozenset[str] | None) -> dict[str, Any] | None:
    return arguments_of(stored, names)[0]


_MEMBERS: Mapping[str, Callable[[Stored, frozenset[str] | None], Any]] = {
    "key": lambda stored, _: str(stored.key),
    "event": lambda stored, _: stored.event,
    "version": lambda stored, _: stored.version,
    "at": lambda stored, _: rfc3339(moment_of(stored)),
    "args": _args,
    "meta": lambda stored, _: meta_of(stored, arguments_of(stored)[1]),
}
