"""Values without a contract: the same bytes as the typed codec writes, and a form in JSON."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import msgpack  # type: ignore[import-untyped]
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esb_runtime import DecodeError, EncodeError
from esb_runtime._codecs import reader_of, writer_of
from esb_runtime._plain import encode_plain, jsonable, plain

from .shop import NOON

moments = st.datetimes(timezones=st.just(UTC), min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30))  # noqa: DTZ001
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False),
    st.text(),
    st.binary(),
    moments,
)
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)
texts = st.one_of(st.dates(), st.times(), st.timedeltas(), st.uuids(), st.decimals(allow_nan=False))


@given(values)
def test_both_sides_write_equal_bytes(value: Any) -> None:
    """A property: msgpack and msgspec agree on every plain value, to the byte."""
    assert encode_plain(value) == writer_of(Any)(value) == msgspec.msgpack.encode(value)


@given(values)
def test_both_sides_read_each_other(value: Any) -> None:
    """A property: what one side writes, the other reads."""
    assert plain(writer_of(Any)(value)) == value
    assert reader_of(Any)(encode_plain(value)) == value


@given(texts)
def test_types_without_a_msgpack_of_their_own_are_the_same_text(value: Any) -> None:
    """A property: dates, durations, UUID and Decimal are text on both sides."""
    assert encode_plain(value) == writer_of(type(value))(value)
    assert reader_of(type(value))(encode_plain(value)) == value


class Color(Enum):
    """By value."""

    RED = "red"


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (Color.RED, "red"),
        ({1}, [1]),
        ((1, 2), [1, 2]),
        (Decimal("1.50"), "1.50"),
        (UUID(int=7), str(UUID(int=7))),
        (date(2026, 1, 2), "2026-01-02"),
        (timedelta(seconds=90), "PT90S"),
        (NOON.astimezone(timezone(timedelta(hours=2))), NOON),
        ({1: "a"}, {1: "a"}),
    ],
    ids=str,
)
def test_plain_forms(value: Any, read: Any) -> None:
    """What common values look like to tools that know no type."""
    assert plain(encode_plain(value)) == read


@pytest.mark.parametrize("value", [..., 2**64, "\ud800", datetime(2026, 1, 2), {"a": ...}, 1j], ids=str)  # noqa: DTZ001
def test_what_cannot_be_stored_is_an_encode_error(value: Any) -> None:
    """The error names the argument, never the value."""
    with pytest.raises(EncodeError, match="made: argument 'it'") as caught:
        encode_plain(value, event="made", argument="it")
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "raw", [b"", b"\xc1", b"\xa5ab", b"\x01\x02", b"\xa2\xff\xff", b"\xd7\xff" + b"\xff" * 8, b"\x91" * 5000], ids=repr
)
def test_garbage_is_a_decode_error(raw: bytes) -> None:
    """Bytes that are no single msgpack value are refused, whatever the reason."""
    with pytest.raises(DecodeError, match="is not msgpack"):
        plain(raw)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (NOON, "2026-01-02T12:00:00.123456Z"),
        (NOON.astimezone(timezone(timedelta(hours=2))), "2026-01-02T12:00:00.123456Z"),
        (b"\x00\xff", "AP8="),
        (math.nan, "NaN"),
        (-math.inf, "-Infinity"),
        ({1: {"a": [NOON]}, None: 1}, {"1": {"a": ["2026-01-02T12:00:00.123456Z"]}, "null": 1}),
        ((1, 2.5, "a", None, True), [1, 2.5, "a", None, True]),
        (msgpack.ExtType(5, b"\x01"), {"ext": 5, "data": "AQ=="}),
        (Decimal("1.50"), "1.50"),
    ],
    ids=str,
)
def test_json_forms(value: Any, shown: Any) -> None:
    """Everything that can be stored has a form in JSON."""
    assert jsonable(value) == shown


@given(values)
def test_everything_plain_is_jsonable(value: Any) -> None:
    """A property: strict JSON, without NaN."""
    json.dumps(jsonable(value), allow_nan=False)
