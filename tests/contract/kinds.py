"""One class of every kind that an argument can have."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import Generic, Literal, NamedTuple, NewType, TypedDict, TypeVar
from uuid import UUID

import attrs
import msgspec
import pydantic

T = TypeVar("T")


class Color(Enum):
    """By value."""

    RED = "red"


class Depth(Enum):
    """By another value."""

    DEEP = 7


class Size(StrEnum):
    """Is a text, too."""

    BIG = "big"


class Level(IntEnum):
    """Is a number, too."""

    LOW = 1


class Pair(NamedTuple):
    """A row on the wire."""

    left: str
    at: datetime


class Shape(TypedDict, total=False):
    """A dict with names."""

    color: Color
    at: datetime


@attrs.frozen
class Attrs:
    """An attrs class."""

    number: int
    tags: list[str] = attrs.field(factory=list)


class Card(msgspec.Struct, tag=True):
    """One of two tagged structs."""

    digits: str


class Cash(msgspec.Struct, tag=True):
    """The other."""

    amount: Decimal


class Address(pydantic.BaseModel):
    """A pydantic model."""

    street: str
    since: datetime
    number: UUID | None = None


class Home(pydantic.BaseModel):
    """Another one, told apart by a Literal."""

    kind: Literal["home"] = "home"
    address: Address


class Work(pydantic.BaseModel):
    """Another one, told apart by a Literal."""

    kind: Literal["work"] = "work"
    site: pydantic.HttpUrl


@dataclass
class Tree:
    """Refers to itself."""

    name: str
    children: list[Tree] = field(default_factory=list)
    at: datetime | None = None


@dataclass
class Page(Generic[T]):
    """A generic dataclass."""

    items: list[T]


Email = NewType("Email", str)


class Account(pydantic.BaseModel):
    """Holds what must not be stored as stars."""

    password: pydantic.SecretStr


class Strict(pydantic.BaseModel, strict=True):
    """A strict model still reads what it wrote."""

    number: UUID
    tags: set[str]
