"""What does not fit is refused, on the way in and on the way out, without repeating it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
import pydantic
import pytest

from esb_runtime import DecodeError, EncodeError, EventContract, Side, UsageError, event
from esb_runtime._codecs import codec_of, decode_argument, writer_of
from esb_runtime._events import definition_of

from .kinds import (
    Account,
    Address,
    Card,
    Cash,
    Color,
    Page,
    Pair,
    Shape,
    Tree,
)
from .shop import ANN, NOON, TEA, Item, Orders, User

NAIVE = datetime(2026, 1, 2, 12)  # noqa: DTZ001 - what must be refused


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (datetime, NAIVE),
        (datetime | None, NAIVE),
        (list[datetime], [NOON, NAIVE]),
        (dict[str, datetime], {"a": NAIVE}),
        (Item, Item("a", 1, ordered=NAIVE)),
        (list[Item], [Item("a", 1, ordered=NAIVE)]),
        (dict[str, Item | None], {"a": Item("a", 1, ordered=NAIVE)}),
        (Tree, Tree("root", [Tree("leaf", at=NAIVE)])),
        (Pair, Pair("a", NAIVE)),
        (Shape, {"at": NAIVE}),
        (tuple[int, datetime], (1, NAIVE)),
        (Any, {"a": [NAIVE]}),
        (Address, Address(street="x", since=NAIVE)),
        (Page[datetime], Page([NAIVE])),
    ],
    ids=str,
)
def test_a_time_without_a_zone_is_refused(annotation: Any, value: Any) -> None:
    """However deep it stands: nobody could say later which moment was meant."""
    with pytest.raises(ValueError, match="a time without a zone"):
        writer_of(annotation)(value)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (str, 1),
        (int, "1"),
        (int, True),
        (int, 2**64),
        (float, "1.0"),
        (bool, 1),
        (bytes, "a"),
        (str, b"a"),
        (str, "\ud800"),
        (date, NOON),
        (datetime, "2026-01-02T12:00:00Z"),
        (Decimal, 1.5),
        (UUID, str(UUID(int=7))),
        (Color, "red"),
        (Literal["card"], "cash"),
        (User, {"id": 1, "email": "a", "name": "b"}),
        (User, None),
        (User, User("1", "a", "b")),  # type: ignore[arg-type]
        (list[Item], (TEA,)),
        (list[Item], [{"sku": 1, "quantity": 1}]),
        (list[int], [1, "2"]),
        (dict[str, int], {"a": "1"}),
        (dict[str, int], {1: 1}),
        (tuple[int, int], (1,)),
        (Shape, {"color": "blue"}),
        (Card | Cash, ANN),
        (Address, {"street": "x"}),
        (Annotated[int, msgspec.Meta(ge=0)], -1),
        (Any, ...),
        (User | None, 0),
    ],
    ids=str,
)
def test_a_wrong_value_is_refused(annotation: Any, value: Any) -> None:
    """A producer that is called from untyped code stores nothing that its consumers could not read."""
    with pytest.raises((ValueError, TypeError, OverflowError, msgspec.ValidationError)):
        writer_of(annotation)(value)


def test_an_encode_error_names_argument_type_and_place() -> None:
    """The message says where, what was expected and that nothing was sent; never the value."""
    codec = codec_of(definition_of(Orders.placed))
    with pytest.raises(EncodeError) as caught:
        codec.encode({"user": ANN, "items": [Item("a", "secret"), TEA], "note": ""})  # type: ignore[arg-type]
    assert str(caught.value) == (
        "Orders.placed: argument 'items' (expected list[Item]): "
        "expected `int`, got `str` at `$[0].quantity`; nothing was sent"
    )
    assert (caught.value.event, caught.value.argument, caught.value.expected) == ("placed", "items", "list[Item]")


class Touchy(Enum):
    """Error messages of libraries like to repeat the wrong value."""

    A = "a"


@dataclass
class Checked:
    """Says its own value when it is wrong."""

    name: str

    def __post_init__(self) -> None:
        if self.name == "secret-value":
            raise ValueError(f"Expected something else than {self.name}")


class Sensitive(EventContract[Side], uri="sensitive"):
    """Whose values must not appear in errors."""

    @event
    async def told(self, kind: Touchy, checked: Checked, address: Address, tags: dict[str, int]) -> None: ...


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("kind", "secret-value"),
        ("checked", {"name": "secret-value"}),
        ("address", {"street": "x", "since": "secret-value"}),
        ("tags", {"secret-value": "secret-value"}),
    ],
)
def test_errors_never_repeat_a_value(name: str, raw: Any) -> None:
    """Neither the message nor anything that a traceback prints below it."""
    stored = codec_of(definition_of(Sensitive.told)).encode(
        {"kind": Touchy.A, "checked": Checked("x"), "address": Address(street="x", since=NOON), "tags": {}}
    )
    with pytest.raises(DecodeError) as caught:
        codec_of(definition_of(Sensitive.told)).decode({**stored, name: msgspec.msgpack.encode(raw)})
    assert caught.value.argument == name
    assert "secret-value" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_pydantic_says_what_kind_of_wrong() -> None:
    """The kinds of error are its own constants; the wrong values stay out."""
    with pytest.raises(
        DecodeError, match=r"expected Address\): pydantic refuses it: datetime_from_date_parsing, missing"
    ):
        decode_argument(msgspec.msgpack.encode({"since": "secret"}), Address, argument="to")
    with pytest.raises(ValueError, match="pydantic refuses it: missing"):
        writer_of(Address)(Tree("x"))


def test_a_secret_is_refused() -> None:
    """pydantic would write stars, which nobody could read back."""
    with pytest.raises(ValueError, match="a secret is not stored"):
        writer_of(Account)(Account(password=pydantic.SecretStr("x")))


def test_garbage_is_a_decode_error() -> None:
    """Bytes that are no msgpack are named as such."""
    codec = codec_of(definition_of(Orders.shipped))
    for garbage in (b"", b"\xc1", b"\xa5ab", b"\x81", b"\xa2\xff\xff"):
        with pytest.raises(DecodeError, match="order_id"):
            codec.decode({"order_id": garbage})


def test_a_naive_time_in_a_stored_event_is_refused() -> None:
    """Text without a zone, written by something else than esb, does not become a time."""
    with pytest.raises(DecodeError, match="datetime"):
        decode_argument(msgspec.msgpack.encode("2026-01-02T12:00:00"), datetime, event="x", argument="at")


def test_one_argument_can_be_read_as_any_type() -> None:
    """Events that no contract declares are read argument by argument."""
    assert decode_argument(msgspec.msgpack.encode(TEA), Item) == TEA
    with pytest.raises(DecodeError, match=r"old: argument 'email' \(expected str\): expected `str`, got `int`"):
        decode_argument(b"\x01", str, event="old", argument="email")
    with pytest.raises(UsageError, match="complex cannot be stored"):
        decode_argument(b"\x01", complex)
