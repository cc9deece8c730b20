"""Records as the words of the scripts that store them: framed here word by word, since all else passes over them twice.

What is equal for records of one shape is framed once; a record costs its own words, and one join for all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from .._envelope import NO_DETAILS, Record
from .._ports import Placement
from . import _keys, _wire
from ._frames import Frames, Word, framed, head, headed, raw

SHAPES = 1000
"""Kinds of records whose layout is kept."""
MAX_UNPACKED = 500
"""Names and values that Lua hands to one command without trouble (it can hold several times as many)."""


class Appending:
    """How a channel with this placement lays records out; `store` is the name of the payloads' store."""

    def __init__(self, placement: Placement, store: str, window: int) -> None:
        self._beside = placement is Placement.BESIDE
        self._kind = b"hash" if self._beside else b"record"
        self._external = placement is Placement.EXTERNAL
        self._store = store
        self._window = window
        self._layouts: dict[tuple[object, ...], Frames] = {}
        self._between: dict[tuple[object, ...], list[bytes]] = {}

    def many(self, stream: str, records: Sequence[Record], *, together: bool, before: Record | None) -> Frames:
        """What comes behind the script's name for `append`: number of keys, keys, arguments."""
        prefix = _keys.record_prefix(stream, beside=self._beside).encode()
        shapes: dict[tuple[object, ...], bytes] = {}
        layouts: list[Frames] = []
        keys = [stream.encode()]
        words: list[bytes] = []
        for record in records:
            shape, values = self._told(record)
            number = shapes.get(shape)
            if number is None:
                layouts.append(self._layouts.get(shape) or self._layout(shape, record))
                number = shapes[shape] = b"%d" % len(layouts)
            keys.append(prefix + values[0])
            words.append(number)
            words += values
        if self._external:
            keys.append(_keys.drop_key(stream, self._store).encode())
        if before is not None:
            keys.append(prefix + before.message_id.encode())
        place = 0 if before is None else len(keys)
        options: tuple[Word, ...] = (self._kind, int(together), self._window, len(records), len(layouts), place)
        front = [b"%d" % len(keys), *keys, *map(raw, options)]
        body = b"".join((headed(front), *[layout.body for layout in layouts], headed(words)))
        return Frames(len(front) + sum(layout.count for layout in layouts) + len(words), body)

    def one(self, stream: str, record: Record) -> Frames | None:
        """What comes behind the script's name for `append_one`; None for a record that is not for it."""
        if record.erased:
            return None
        shape, values = self._told(record)
        between = self._between.get(shape) or self._names(shape, record)
        if len(between) > MAX_UNPACKED:
            return None
        (keys, prefix), name = _place(stream), values[0]
        parts = [b""] * (3 * len(values))
        parts[::3], parts[1::3], parts[2::3] = between, map(head, map(len, values)), values
        key = prefix + name
        return Frames(4 + _wire.HEAD + 2 * len(values), b"".join((keys, head(len(key)), key, *parts)))

    def _names(self, shape: tuple[object, ...], record: Record) -> list[bytes]:
        """What `append_one` is told before each value of a record of this shape: what is before it in the entry, or
        its name in the payload.
        """
        names = _wire.entry_names(record, _wire.HASH)
        first = (_wire.HEAD + 2 * len(names), *_wire.entry_head(record), names[0])
        if len(self._between) >= SHAPES:
            self._between.clear()
        found = self._between[shape] = [framed(words).body for words in (first, *zip([*names[1:], *record.arguments]))]
        return found

    def _told(self, record: Record) -> tuple[tuple[object, ...], list[bytes]]:
        """A record's shape, and its values in the order of the names that its layout has; the first is its message id.

        Records of one shape have the same entry but for the values, and arguments of the same names.
        """
        if record.details is NO_DETAILS and not record.erased and not self._external:  # as most of them
            key, values = record.ordering_key, [record.message_id.encode(), b"%d" % record.produced_at]
            if key is not None:
                values.append(key.encode())
            if not self._beside:
                values.append(_wire.INSIDE)
            values += record.arguments.values()
            return (record.event, record.version, key is None, *record.arguments), values
        values = [raw(word) for word in _wire.entry_values(record, self._store)]
        if self._beside:
            values += record.arguments.values()
            if record.erased:
                values.append(_wire.erased_names(record.erased))
        return _wire.entry_shape(record), values

    def _layout(self, shape: tuple[object, ...], record: Record) -> Frames:
        """What the script needs to know once about records of one shape."""
        entry, names = _wire.entry_head(record), _wire.entry_names(record, self._store)
        payload: list[Word] = [*record.arguments] if self._beside else []
        if self._beside and record.erased:
            payload.append(_wire.ERASED)
        if len(self._layouts) >= SHAPES:  # names may come from other people's events, in copies
            self._layouts.clear()
        sizes = (len(entry), len(names), len(payload))
        found = self._layouts[shape] = framed((*sizes, *entry, *names, *payload))
        return found


@lru_cache(maxsize=SHAPES)
def _place(stream: str) -> tuple[bytes, bytes]:
    """How the keys of one record begin: their number and the stream's own, and the beginning of the payload's."""
    return framed((2, stream)).body, _keys.record_prefix(stream, beside=True).encode()
