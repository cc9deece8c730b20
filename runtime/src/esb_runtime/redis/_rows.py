"""Reading many events: most stand in rows of one kind, and what those have in common is read once.

It says nothing of its own about the wire format: whatever is out of the ordinary is read by `_wire`, one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

from msgspec import Struct, structs

from .._binding import compiled
from .._envelope import Stored
from .._identifiers import EventKey
from . import _wire

Pick = Callable[[Sequence[bytes]], dict[str, bytes]]
"""Takes the values of arguments out of words."""

KINDS = 1000
NAMES = 4096
"""Kinds of events that are remembered, and bytes of their names in all: these may be anybody's."""
MANY = 64
"""Arguments of an event that is out of the ordinary."""
_set = structs.force_setattr
_STORED_AT = _wire.STORED_AT.encode()


class _Row(Struct):
    """What entries of a kind have in common. `inner`: where the value of STORE is, where arguments follow it."""

    names: Sequence[bytes] = ()
    kind: Sequence[bytes] = ()
    event: str = ""
    version: int = 0
    keyed: bool = False
    inner: int = 0
    pick: Pick | None = None


_NO_ROW = _Row()


class Rows:
    """Reads entries and payloads, and remembers how those of a kind look."""

    def __init__(self) -> None:
        self._entries: dict[tuple[bytes, ...], _Row] = {}
        self._payloads: dict[tuple[bytes, ...], Pick] = {}

    def events(self, stream: str, entries: Iterable[tuple[bytes, Sequence[bytes]]]) -> list[Stored]:
        """Read entries as `_wire.stored_event` does."""
        events: list[Stored] = []
        row = _NO_ROW
        for id_, words in entries:
            kind = words[1:6:2]
            if kind != row.kind:
                row = self._entries.get(tuple(kind), _NO_ROW)
            pick = row.pick
            if words[::2] == row.names and (pick is None or words[row.inner] == _wire.INSIDE):
                try:
                    events.append(
                        Stored(
                            key=EventKey(stream=stream, id=id_.decode()),
                            event=row.event,
                            version=row.version,
                            message_id=words[7].decode(),
                            produced_at=int(words[9]),
                            ordering_key=words[11].decode() if row.keyed else None,
                            store=_wire.HASH if pick is None else _wire.INLINE,
                            arguments=None if pick is None else pick(words),
                        )
                    )
                    continue
                except ValueError:
                    pass  # what is wrong is said below
            found = _wire.stored_event(stream, id_.decode(), words)
            events.append(found)
            row = self._row_of(words, found)
        return events

    def _row_of(self, words: Sequence[bytes], found: Stored) -> _Row:
        """The row that begins with this entry; none where it is out of the ordinary."""
        names, kind, keyed = words[::2], words[1:6:2], found.ordering_key is not None
        head = [_wire.FORMAT, _wire.EVENT, _wire.VERSION, _wire.MESSAGE_ID, _wire.PRODUCED_AT]
        head += [_wire.ORDERING_KEY] if keyed else []
        row = _Row(names, kind, found.event, found.version, keyed)
        if found.store == _wire.INLINE and found.arguments is not None:
            count, row.inner = len(found.arguments), 2 * len(head) + 1
            head += [_wire.STORE, *names[len(names) - count :]]
            if len(names) == len(head) and count <= MANY:
                row.pick = _picker(count, row.inner + 2)(*found.arguments)
        if found.problem or names != head or bool(row.inner) is (row.pick is None):
            return _NO_ROW
        if sum(map(len, (*names, *kind))) > NAMES:
            return _NO_ROW
        if len(self._entries) >= KINDS:
            self._entries.clear()
        self._entries[tuple(kind)] = row
        return row

    def complete(self, events: Iterable[Stored], payloads: Iterable[Sequence[bytes] | Exception]) -> list[Stored]:
        """Complete events with their hashes as `_wire.with_payload` does."""
        whole: list[Stored] = []
        row: Sequence[bytes] = ()
        pick: Pick | None = None
        for event, words in zip(events, payloads, strict=True):
            if isinstance(words, Exception):
                whole.append(_wire.with_payload(event, words))
                continue
            names = words[::2]
            if names != row:
                row, pick = names, self._payloads.get(tuple(names))
            if pick is not None:
                # the event was just read and is nobody else's yet; a copy of it would cost as much as reading it did
                _set(event, "arguments", pick(words))
                whole.append(event)
                continue
            found = _wire.with_payload(event, words)
            whole.append(found)
            pick = None if found.problem else self._pick_of(names)
        return whole

    def _pick_of(self, names: Sequence[bytes]) -> Pick | None:
        """What picks the arguments out of hashes with these fields; none where they are out of the ordinary."""
        if names[0] != _STORED_AT or _wire.ERASED in names or len(names) > MANY or sum(map(len, names)) > NAMES:
            return None
        if len(self._payloads) >= KINDS:
            self._payloads.clear()
        pick = _picker(len(names) - 1, 3)(*[name.decode() for name in names[1:]])
        self._payloads[tuple(names)] = pick
        return pick


@lru_cache(maxsize=4 * MANY)
def _picker(count: int, first: int) -> Callable[..., Pick]:
    """Given so many names, what picks their values out of words: every other one from the first on.

    A function for each number of names, because a display takes a third of the time of `dict(zip(...))`. The names
    themselves, which may be anybody's, do not become a part of its text.
    """
    names = ", ".join(f"name_{n}" for n in range(count))
    pairs = ", ".join(f"name_{n}: words[{2 * n + first}]" for n in range(count))
    found: Callable[..., Pick] = compiled(f"def pick({names}): return lambda words: {{{pairs}}}", {})
    return found
