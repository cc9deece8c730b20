"""Keys: paths into the arguments, checked at class definition and read as text."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import NamedTuple, TypedDict
from uuid import UUID

import pytest

from esb_runtime import ContractError, EncodeError, EventContract, Side, event
from esb_runtime._events import definition_of

from .shop import Orders, User


class Color(Enum):
    """For keys."""

    RED = "red"


class Pair(NamedTuple):
    """For keys."""

    left: str
    right: float


class Shape(TypedDict):
    """For keys."""

    color: Color
    owner: User | None


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ("nobody", "there is no parameter 'nobody'"),
        ("user.mail", r"user has no field 'mail' \(its fields: id, email, name\)"),
        ("user", "leads to User; a key is a str"),
        ("number.first", "number is int, which has no fields"),
        ("pair.right", "leads to float"),
        ("shape.owner.nobody", "shape.owner has no field 'nobody'"),
        ("at", "leads to datetime"),
    ],
)
def test_a_key_must_lead_to_a_scalar(key: str, problem: str) -> None:
    """A key path is followed through the annotations when the class is defined."""
    with pytest.raises(ContractError, match=problem):

        class _Keyed(EventContract[Side]):
            @event(key=key)
            async def made(self, user: User, number: int, pair: Pair, shape: Shape, at: datetime) -> None: ...


def test_a_key_is_the_text_of_what_the_path_leads_to() -> None:
    """Keys of all kinds become text; where the path meets None there is no key."""

    class Keyed(EventContract[Side]):
        @event(key="pair.left")
        async def by_tuple(self, pair: Pair) -> None: ...
        @event(key="shape.color")
        async def by_dict(self, shape: Shape) -> None: ...
        @event(key="shape.owner.email")
        async def by_optional(self, shape: Shape) -> None: ...
        @event(key="number")
        async def by_number(self, number: UUID | int) -> None: ...
        @event
        async def unkeyed(self, number: int) -> None: ...

    shape = Shape(color=Color.RED, owner=None)
    assert definition_of(Keyed.by_tuple).ordering_key({"pair": Pair("a", 1.0)}) == "a"
    assert definition_of(Keyed.by_dict).ordering_key({"shape": shape}) == "red"
    assert definition_of(Keyed.by_optional).ordering_key({"shape": shape}) is None
    assert definition_of(Keyed.by_number).ordering_key({"number": 7}) == "7"
    assert definition_of(Keyed.unkeyed).ordering_key({"number": 7}) is None
    with pytest.raises(EncodeError, match=r"Orders\.placed: key='user\.email' cannot be read from what was given"):
        definition_of(Orders.placed).ordering_key({"user": {"email": "a dict is no User"}})
