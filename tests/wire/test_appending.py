"""How records are laid out for the script that stores them."""

from __future__ import annotations

from itertools import pairwise

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from esb_runtime import _envelope as envelope
from esb_runtime import _line
from esb_runtime._ports import Placement
from esb_runtime.redis import _keys, _wire
from esb_runtime.redis._appending import Appending
from esb_runtime.redis._frames import Frames, command, framed, raw

from .test_frames import parsed


class Appended:
    """What `append.lua` would write: it reads its arguments by its own description of them."""

    def __init__(self, frames: Frames) -> None:
        packed = command(framed(("EVALSHA", "digest")), frames)
        words = parsed(packed)[2:]
        keys, self._words = words[1 : 1 + int(words[0])], iter(words[1 + int(words[0]) :])
        self.stream, self.keys = keys[0], keys[1:]
        self.kind, self.together, self.window = self._take(3)
        count, shapes, self.before = map(int, self._take(3))
        known = [self._shape() for _ in range(shapes)]
        self.entries: list[tuple[list[bytes], dict[bytes, bytes]]] = []
        for _ in range(count):
            head, names, payload = known[int(next(self._words)) - 1]
            entry = [*head, *(word for pair in zip(names, self._take(len(names)), strict=True) for word in pair)]
            self.entries.append((entry, dict(zip(payload, self._take(len(payload)), strict=True))))
        assert list(self._words) == []

    def _take(self, count: int) -> list[bytes]:
        return [next(self._words) for _ in range(count)]

    def _shape(self) -> list[list[bytes]]:
        return [self._take(size) for size in map(int, self._take(3))]


text = st.text(max_size=600)
records = st.builds(
    envelope.Record,
    message_id=st.text(min_size=1, max_size=600),
    event=st.sampled_from(["placed", "paid"]),
    version=st.integers(0, 3),
    produced_at=st.integers(0, 10**17),
    arguments=st.fixed_dictionaries({"a": st.binary(max_size=600)}, optional={"b": st.binary(max_size=600)}),
    ordering_key=st.none() | text,
    details=st.just(envelope.NO_DETAILS) | st.builds(envelope.Details, correlation_id=text),
    erased=st.just(frozenset[str]()) | st.just(frozenset({"c"})),
)


@given(st.lists(records, max_size=6), st.sampled_from(Placement), st.booleans(), st.none() | records)
def test_records_are_laid_out_for_the_script(
    given: list[envelope.Record], placement: Placement, together: bool, before: envelope.Record | None
) -> None:
    """Whatever they are, the script finds their entries and payloads in its arguments, and their keys in order."""
    beside, outside = placement is Placement.BESIDE, placement is Placement.EXTERNAL
    store = {Placement.BESIDE: "", Placement.INLINE: "inline", Placement.EXTERNAL: "files"}[placement]
    plain = [structs.replace(r, ordering_key=None, details=envelope.NO_DETAILS, erased=frozenset()) for r in given]
    appending = Appending(placement, store, 1000)
    for some in (given, plain, given):
        written = Appended(appending.many("s", some, together=together, before=before))
        prefix = "{s}:p:" if beside else "{s}:d:"
        own = [f"{prefix}{record.message_id}".encode() for record in some]
        queue = [_keys.drop_key("s", store).encode()] if outside else []
        mark = [] if before is None else [f"{prefix}{before.message_id}".encode()]
        assert (written.stream, written.keys) == (b"s", [*own, *queue, *mark])
        assert written.before == (0 if before is None else len(written.keys) + 1)
        assert (written.kind, written.together) == (b"hash" if beside else b"record", b"1" if together else b"0")
        for record, (entry, payload) in zip(some, written.entries, strict=True):
            assert entry == [raw(word) for word in _wire.entry_words(record, store)]
            erased = {b"@x": msgspec.msgpack.encode(sorted(record.erased))} if record.erased else {}
            kept = {name.encode(): value for name, value in record.arguments.items()} | erased
            assert payload == (kept if beside else {})


@given(st.lists(records, min_size=1, max_size=6))
def test_one_record_is_laid_out_for_its_script(given: list[envelope.Record]) -> None:
    """`append_one` gets the entry and the payload as they are, word by word; an erased record is not for it."""
    appending = Appending(Placement.BESIDE, "", 1000)
    for record in given:
        frames = appending.one("s", record)
        if record.erased:
            assert frames is None
            continue
        assert frames is not None
        entry = _wire.entry_words(record, "")
        payload = [word for pair in record.arguments.items() for word in pair]
        words = [2, "s", f"{{s}}:p:{record.message_id}", len(entry), *entry, *payload]
        assert parsed(command(Frames(0, b""), frames)) == list(map(raw, words))


@given(st.lists(st.integers(0, 5) | st.sampled_from([_line.MAX_BYTES // 2, _line.MAX_BYTES + 1]), max_size=600))
def test_chunks(sizes: list[int]) -> None:
    """They hold all records in order, are never empty, and none but a record by itself is larger than allowed."""
    zeros = {size: bytes(size) for size in set(sizes)}
    given = [
        envelope.Record(message_id=str(n), event="e", version=1, produced_at=0, arguments={"a": zeros[size]})
        for n, size in enumerate(sizes)
    ]
    found = list(_line.chunks(given))
    assert [record for chunk in found for record in chunk] == given
    assert all(1 <= len(chunk) <= _line.MAX_RECORDS for chunk in found)
    assert all(len(chunk) == 1 or sum(record.size for record in chunk) <= _line.MAX_BYTES for chunk in found)
    following = pairwise(found)
    assert not any(
        len(one) < _line.MAX_RECORDS and sum(record.size for record in (*one, then[0])) <= _line.MAX_BYTES
        for one, then in following
    ), "as much as fits goes together"
