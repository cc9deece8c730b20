"""One stream in memory: entries in order, and what its groups have had of them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from .._envelope import Stored
from .._identifiers import entry_order

Id = tuple[int, int]
"""An entry id as two integers, which is how ids compare."""

ZERO: Id = (0, 0)
HIGHEST = 2**64 - 1
"""The highest sequence number within a millisecond, as in Redis."""


def as_text(id_: Id) -> str:
    """`<milliseconds>-<sequence>`."""
    return f"{id_[0]}-{id_[1]}"


def below(id_: Id) -> Id:
    """The highest id under this one."""
    return (id_[0], id_[1] - 1) if id_[1] else (id_[0] - 1, HIGHEST)


def next_id(last: Id, milliseconds: int) -> Id:
    """The id that an entry written now gets, also when the clock went backwards."""
    return (milliseconds, 0) if milliseconds > last[0] else (last[0], last[1] + 1)


@dataclass(slots=True)
class Pending:
    """An event that was delivered and not settled: who holds it, and its delivery counter."""

    holder: str
    starts: int
    since: float = 0.0
    """When the holder was given it."""


@dataclass(slots=True)
class Group:
    """What a group was given so far. Events are delivered in id order, so `pending` is in id order too."""

    delivered: Id
    pending: dict[Id, Pending] = field(default_factory=dict[Id, Pending])
    consumers: set[str] = field(default_factory=set[str])

    def held_by(self, consumer: str) -> bool:
        """Whether anything is pending under this name."""
        return any(each.holder == consumer for each in self.pending.values())

    def give_back(self, id_: Id, pending: Pending) -> None:
        """Make an event pending again, in its place."""
        self.pending[id_] = pending
        self.pending = dict(sorted(self.pending.items()))

    @property
    def floor(self) -> Id:
        """Where the group would have to begin again: everything up to here is settled."""
        return below(next(iter(self.pending))) if self.pending else self.delivered


@dataclass(slots=True)
class Log:
    """Entries with strictly growing ids. Removing an entry never lowers `last`."""

    key: str
    last: Id = ZERO
    ids: list[Id] = field(default_factory=list[Id])
    entries: dict[Id, Stored] = field(default_factory=dict[Id, Stored])
    groups: dict[str, Group] = field(default_factory=dict[str, Group])

    def add(self, id_: Id, entry: Stored) -> None:
        """Append an entry under the id that `next_id` gave."""
        self.last = id_
        self.ids.append(id_)
        self.entries[id_] = entry

    def remove(self, id_: Id) -> None:
        """Take an entry out of the stream; groups that hold it keep it as pending."""
        if self.entries.pop(id_, None) is not None:
            del self.ids[bisect_left(self.ids, id_)]

    def after(self, id_: Id, count: int) -> list[Id]:
        """Up to `count` ids above this one."""
        start = bisect_right(self.ids, id_)
        return self.ids[start : start + count]

    def between(self, first: str, last: str, *, reverse: bool) -> Iterator[Id]:
        """Ids within two bounds, written as Redis writes them (`-`, `+`, `id`, `milliseconds`, `(id`)."""
        start, end = self._index(first, last=False), self._index(last, last=True)
        span = range(start, end)
        return (self.ids[n] for n in (reversed(span) if reverse else span))

    def _index(self, bound: str, *, last: bool) -> int:
        if bound in {"-", "+"}:
            return 0 if bound == "-" else len(self.ids)
        text = bound.removeprefix("(")
        milliseconds, _ = entry_order(text)
        id_ = entry_order(text) if "-" in text else (milliseconds, HIGHEST if last else 0)
        beyond = last != bound.startswith("(")  # an upper bound takes its id in, an excluded lower one skips it
        return bisect_right(self.ids, id_) if beyond else bisect_left(self.ids, id_)


@dataclass(slots=True)
class Payload:
    """Arguments beside an entry; that they are there is the record that the message id is stored."""

    id: str
    arguments: Mapping[str, bytes]
    erased: frozenset[str] = frozenset()
