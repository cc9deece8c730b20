"""Records as the words of the scripts that store them: framed here word by word, since all else passes over them twice.

What is equal for records of one shape is framed once; a record costs its own words, and one join for all of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from .._envelope import NO_DETAILS, Record
from .._ports import Placement
from . import _keys, _wire
from ._frames import HEADS, Frames, Word, framed, head, raw

SHAPES = 1000
"""Kinds of records whose layout is kept."""
MAX_UNPACKED = 1000
"""Words that Lua hands to one command without trouble (it can hold several times as many)."""


class Appending:
    """How a channel with this placement lays records out; `store` is the name of the payloads' store."""

    def __init__(self, placement: Placement, store: str, window: int) -> None:
        self._beside = placement is Placement.BESIDE
        self._external = placement is Placement.EXTERNAL
        self._store = store
        self._window = window
        self._layouts: dict[tuple[object, ...], Frames] = {}

    def many(self, stream: str, records: Sequence[Record], *, together: bool, before: Record | None) -> Frames:
        """What comes behind the script's name for `append`: number of keys, keys, arguments."""
        prefix = _keys.record_prefix(stream, beside=self._beside).encode()
        keys: list[bytes] = []
        shapes: dict[tuple[object, ...], bytes] = {}
        layouts: list[Frames] = []
        words: list[bytes] = []
        count = 0
        for record in records:
            name = record.message_id.encode()
            values: Sequence[bytes]
            shape: tuple[object, ...]
            plain = record.ordering_key is None and record.details is NO_DETAILS and not record.erased
            if plain and self._beside:  # as most of them
                shape = (record.event, record.version, *record.arguments)
                values = (name, b"%d" % record.produced_at, *record.arguments.values())
            else:
                shape, values = _wire.entry_shape(record), self._values(record)
            number = shapes.get(shape)
            if number is None:
                layouts.append(self._layouts.get(shape) or self._layout(shape, record))
                number = shapes[shape] = framed((len(layouts),)).body
            size = len(prefix) + len(name)
            keys += (HEADS[size] if size < len(HEADS) else head(size), prefix, name)
            words.append(number)
            for value in values:
                size = len(value)
                words.append(HEADS[size] if size < len(HEADS) else head(size))
                words.append(value)
            count += len(values) + 1
        others = [_keys.drop_key(stream, self._store)] if self._external else []
        if before is not None:
            others.append(_keys.record_prefix(stream, beside=self._beside) + before.message_id)
        all_keys = 1 + len(records) + len(others)
        place = 0 if before is None else all_keys
        kind = "hash" if self._beside else "record"
        first = framed((all_keys, stream))
        then = framed((*others, kind, int(together), self._window, len(records), len(layouts), place))
        body = b"".join((first.body, *keys, then.body, *[layout.body for layout in layouts], *words))
        total = first.number + len(records) + then.number + sum(layout.number for layout in layouts) + count
        return Frames(total, body)

    def one(self, stream: str, record: Record) -> Frames | None:
        """What comes behind the script's name for `append_one`; None for a record that is not for it."""
        entry = _wire.entry_words(record, _wire.HASH)
        key = _keys.record_prefix(stream, beside=True) + record.message_id
        words: list[Word] = [2, stream, key, len(entry), *entry]
        for pair in record.arguments.items():
            words += pair
        return None if record.erased or len(words) > MAX_UNPACKED else framed(words)

    def _values(self, record: Record) -> list[bytes]:
        """What a record says behind the number of its shape."""
        values = [raw(word) for word in _wire.entry_values(record, self._store)]
        if self._beside:
            values += record.arguments.values()
            if record.erased:
                values.append(_wire.erased_names(record.erased))
        return values

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
