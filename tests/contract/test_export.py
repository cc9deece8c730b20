"""Exported values: whatever bytes an event holds, the line gives back exactly those."""

from __future__ import annotations

import json
import math
import struct
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import msgpack
import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from esb_runtime._envelope import NO_DETAILS, Details, Record, Stored
from esb_runtime._export import BadLine, exported, imported, value_from_json, value_to_json
from esb_runtime._identifiers import EventKey
from esb_runtime._plain import encode_plain
from esb_runtime._settings import Origin

scalars = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary()
    | st.datetimes(timezones=st.just(UTC)) | st.decimals(allow_nan=False) | st.uuids() | st.dates()
    | st.builds(msgpack.ExtType, st.integers(0, 127), st.binary(max_size=20))
)  # fmt: skip
keys = st.text() | st.integers(-(2**63), 2**63) | st.booleans() | st.none() | st.floats() | st.binary()
names = st.sampled_from(["$bytes", "$map", "$", "a", "$msgpack"])
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4) | st.dictionaries(names, inner)
    ),
    max_leaves=12,
)


def round_trip(raw: bytes) -> bytes:
    """Through the text of a line."""
    return value_from_json(msgspec.json.decode(msgspec.json.encode(value_to_json(raw))))


@given(values)
@example(math.nan)
@example([struct.unpack("d", struct.pack("Q", 0x7FFB843E7786EA2A))[0]])  # a NaN with bits of its own
@example(-0.0)
@example({"$msgpack": b"x"})
@example({True: "b", 0: "c"})
@example(datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=5))))
@example(Decimal("0.10"))
def test_every_value_comes_back_byte_for_byte(value: Any) -> None:
    """bytes, Decimal, times, 64-bit integers, NaN, extension types, dicts with any keys and names like ours."""
    raw = encode_plain(value)
    assert round_trip(raw) == raw


@given(
    st.binary() | st.builds(lambda head, tail: bytes([head]) + tail, st.integers(0x80, 0xDF), st.binary(max_size=40))
)
@example(b"\xca\x7f\xc0\x00\x01")  # a float of 32 bits
@example(b"\xcd\x00\x01")  # a small number in a large form
@example(b"\xd7\xff" + b"\xff" * 8)  # a time with nanoseconds
@example(b"\x81\x90\xc0")  # a map with a list for a key
@example(b"\xa1\xff")  # text that is no UTF-8
def test_any_bytes_come_back(raw: bytes) -> None:
    """What no decoder reads, or another writer wrote in a longer form, is kept as it is."""
    assert round_trip(raw) == raw


texts = st.text(st.characters(codec="utf-8"), max_size=10)
printable = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=10)
details = st.builds(
    Details,
    headers=st.dictionaries(texts, texts, max_size=2),
    correlation_id=texts,
    causation_id=texts,
    trace=st.dictionaries(texts, texts, max_size=2),
    origin=st.sampled_from(Origin),
    linked=st.none() | st.tuples(st.sampled_from(["s", "a/b", "dev:x"]), st.just("1-0")),
)


@given(
    message_id=printable, event=texts, version=st.integers(0, 2**40), at=st.integers(0, 2**60),
    ordering_key=st.none() | texts, details=details, erased=st.frozensets(texts, max_size=2),
    arguments=st.dictionaries(texts, scalars.map(encode_plain), max_size=3),
)  # fmt: skip
def test_a_line_keeps_everything_but_the_key(
    *, message_id: str, event: str, version: int, at: int, ordering_key: str | None, details: Details,
    erased: frozenset[str], arguments: dict[str, bytes],
) -> None:  # fmt: skip
    """Message id, times, headers, links, ordering keys, versions and erased markers are as they were."""
    stored = Stored(
        key=EventKey(stream="s", id="5-1"), event=event, version=version, message_id=message_id, produced_at=at,
        ordering_key=ordering_key, details=details, arguments=arguments, erased=erased,
    )  # fmt: skip
    line = exported(stored)
    assert b"\n" not in line
    assert json.loads(line)["key"] == "s/5-1"
    assert imported(line) == Record(
        message_id=message_id, event=event, version=version, produced_at=at, arguments=arguments,
        ordering_key=ordering_key, details=NO_DETAILS if details == NO_DETAILS else details, erased=erased,
    )  # fmt: skip


GOOD = {"event": "e", "version": 1, "at": "2026-01-01T00:00:00Z", "args": {}, "meta": {"message_id": "m"}}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"event": 1}, "Expected `str`, got `int` - at `$.event`"),
        ({"args": None}, "at `$.args`"),
        ({"args": {"a": {"$what": 1}}}, "argument 'a' cannot be stored"),
        ({"args": {"a": {"$bytes": "secret!"}}}, "argument 'a' cannot be stored"),
        ({"args": {"a": 2**70}}, "argument 'a' cannot be stored"),
        ({"at": "2026-01-01T00:00:00"}, "no time with a zone"),
        ({"meta": {}}, "message_id"),
        ({"meta": {"message_id": "m", "problem": "gone"}}, "could not be read"),
        ({"meta": {"message_id": "m", "origin": "moon"}}, "`origin` is unknown"),
    ],
)
def test_bad_lines_say_why(change: dict[str, Any], words: str) -> None:
    """Every bad line is refused in words that hold no value."""
    with pytest.raises(BadLine) as caught:
        imported(json.dumps(GOOD | change).encode())
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b"\xff", b'{"event": "e"}'])
def test_what_is_no_line_is_refused(line: bytes) -> None:
    """No JSON, no object, no UTF-8: a bad line, never another error."""
    with pytest.raises(BadLine):
        imported(line)
