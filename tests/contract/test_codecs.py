"""Arguments become msgpack and come back as their types; what does not fit is refused without repeating it."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from types import MappingProxyType
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esb_runtime import DecodeError
from esb_runtime._codecs import codec_of, reader_of, writer_of
from esb_runtime._events import definition_of

from .kinds import (
    Address,
    Attrs,
    Card,
    Cash,
    Color,
    Depth,
    Email,
    Home,
    Level,
    Page,
    Pair,
    Shape,
    Size,
    Strict,
    Tree,
    Work,
)
from .shop import ANN, NOON, TEA, Item, Orders, Payments, User

SAMPLES: list[tuple[Any, Any]] = [
    (str, "text"),
    (int, -(2**63)),
    (int, 2**64 - 1),
    (float, 1.5),
    (bool, True),
    (bytes, b"\x00\xff"),
    (None, None),
    (datetime, NOON),
    (date, date(2026, 1, 2)),
    (time, time(1, 2, 3, 4)),
    (timedelta, timedelta(days=-1, microseconds=5)),
    (Decimal, Decimal("3.140")),
    (UUID, UUID(int=7)),
    (Color, Color.RED),
    (Depth, Depth.DEEP),
    (Size, Size.BIG),
    (Level, Level.LOW),
    (Email, Email("a@b")),
    (User, ANN),
    (Item, TEA),
    (Attrs, Attrs(1, ["a"])),
    (Pair, Pair("a", NOON)),
    (Shape, {"color": Color.RED, "at": NOON}),
    (Card | Cash, Cash(Decimal(1))),
    (Address, Address(street="x", since=NOON, number=UUID(int=7))),
    (list[Home | Work], [Home(address=Address(street="x", since=NOON)), Work(site=pydantic.HttpUrl("https://a.b/"))]),
    (dict[str, Address], {"a": Address(street="x", since=NOON)}),
    (Tree, Tree("root", [Tree("leaf", at=NOON)])),
    (Page[Item], Page([TEA])),
    (User | None, None),
    (int | str, "a"),
    (Literal["card", 7], 7),
    (list[Item], [TEA]),
    (set[int], {1, 2}),
    (frozenset[str], frozenset({"a"})),
    (tuple[int, str], (1, "a")),
    (tuple[int, ...], (1, 2, 3)),
    (dict[str, list[Item]], {"a": [TEA]}),
    (dict[int, datetime], {1: NOON}),
    (Mapping[str, int], {"a": 1}),
    (Sequence[int], [1, 2]),
    (Any, {"a": [1, None, NOON]}),
    (Annotated[int, msgspec.Meta(ge=0)], 3),
]


@pytest.mark.parametrize(("annotation", "value"), SAMPLES, ids=str)
def test_every_kind_of_value_comes_back(annotation: Any, value: Any) -> None:
    """What is written as a type is read back as an equal value of this type."""
    assert reader_of(annotation)(writer_of(annotation)(value)) == value


class Mail(str):
    """A subclass of a scalar."""

    __slots__ = ()

    def __str__(self) -> str:
        return "never asked"


@pytest.mark.parametrize(
    ("annotation", "value", "read"),
    [
        (float, 3, 3.0),
        (str, Mail("a@b"), "a@b"),
        (Mapping[str, int], MappingProxyType({"a": 1}), {"a": 1}),
        (datetime, datetime(2026, 1, 2, 14, tzinfo=timezone(timedelta(hours=2))), datetime(2026, 1, 2, 12, tzinfo=UTC)),
    ],
)
def test_equal_values_of_other_classes_are_stored_as_the_declared_one(annotation: Any, value: Any, read: Any) -> None:
    """A whole number for a float, a subclass, a read-only mapping, another zone: checkers allow them, so does esb."""
    assert reader_of(annotation)(writer_of(annotation)(value)) == read


def test_strict_models_read_what_they_wrote() -> None:
    """Their strictness is about the producer's values; text is how msgpack holds a UUID."""
    value = Strict(number=UUID(int=7), tags={"a"})
    assert reader_of(Strict)(writer_of(Strict)(value)) == value


def test_a_missing_argument_gets_its_default_and_an_unknown_one_is_ignored() -> None:
    """Contracts grow by parameters with defaults, and shrink by leaving some out."""
    codec = codec_of(definition_of(Payments.paid))
    raw = codec.encode({"order_id": "o-1", "amount": Decimal(1), "payer": ANN})
    del raw["payer"]
    assert codec.decode({**raw, "unknown": b"\xc0"}) == (("o-1", Decimal(1), None), {})


def test_a_missing_argument_without_default_says_what_to_do() -> None:
    """Old events lack what was added later."""
    codec = codec_of(definition_of(Orders.shipped))
    with pytest.raises(DecodeError, match=r"argument 'order_id' \(expected str\): it is not in the stored event; give"):
        codec.decode({})


def test_an_erased_argument_is_none() -> None:
    """Erasure leaves None, whatever the default is."""
    codec = codec_of(definition_of(Payments.paid))
    raw = codec.encode({"order_id": "o-1", "amount": Decimal(1), "payer": ANN})
    del raw["payer"]
    assert codec.decode(raw, frozenset({"payer"}))[0] == ("o-1", Decimal(1), None)


def test_keyword_only_arguments_come_as_keywords() -> None:
    """The decoded form can be called with."""
    codec = codec_of(definition_of(Orders.shipped))
    raw = codec.encode({"order_id": "o-1", "carrier": "dhl"})
    assert codec.decode(raw) == (("o-1",), {"carrier": "dhl"})


def test_times_keep_their_microseconds() -> None:
    """The timestamp extension is exact."""
    raw = writer_of(datetime)(NOON)
    assert raw[:2] == b"\xd7\xff"
    assert reader_of(datetime)(raw) == NOON


names = st.text(string.ascii_letters, min_size=1, max_size=8)
moments = st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001


@given(
    st.builds(
        Item,
        sku=st.text(),
        quantity=st.integers(-(2**63), 2**64 - 1),
        price=st.decimals(allow_nan=False, allow_infinity=False),
        ordered=st.none() | moments,
    )
)
def test_any_dataclass_comes_back(item: Item) -> None:
    """A property: decode(encode(x)) == x."""
    assert reader_of(Item)(writer_of(Item)(item)) == item


@given(st.recursive(st.builds(Tree, name=names), lambda inner: st.builds(Tree, name=names, children=st.lists(inner))))
def test_any_tree_comes_back(tree: Tree) -> None:
    """A property, for a type that refers to itself."""
    assert reader_of(Tree)(writer_of(Tree)(tree)) == tree


@given(st.dictionaries(names, st.one_of(st.binary(), st.timedeltas(), st.uuids(), moments, st.dates())))
def test_any_mix_of_scalars_comes_back(values: dict[str, Any]) -> None:
    """A property: each scalar by its own type."""
    for value in values.values():
        assert reader_of(type(value))(writer_of(type(value))(value)) == value
