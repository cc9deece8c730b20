"""What classes alone tell about a value: never more than writing it and reading it back would."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esb_runtime._certainty import certainty_of
from esb_runtime._codecs import reader_of, writer_of

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Point:
    x: int
    y: float
    name: str | None = None


@dataclass
class Line:
    start: Point
    end: Point | None
    at: datetime


class Closer(Point):
    """Not the class that is named, though one of its kind."""


@dataclass
class Careful:
    x: int

    def __post_init__(self) -> None:
        if self.x < 0:
            raise ValueError("negative")


@dataclass
class Derived:
    x: int
    y: int = field(init=False, default=1)


@dataclass
class Link:
    next: Link | None = None


class Small(msgspec.Struct):
    n: Annotated[int, msgspec.Meta(le=9)]


def told(annotation: Any, value: Any) -> bool | None:
    """Whether it is certain; None where classes tell nothing."""
    scope: dict[str, Any] = {}
    expression = certainty_of(annotation, "value", scope)
    return eval(expression, scope, {"value": value}) if expression else None


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        (Line, Line(Point(1, 2.0), None, NOON), True),
        (Line, Line(Point(1, 2.0, "a"), Point(1, 2.0), NOON), True),
        (Line, Line(Point(1, 2.0), None, NOON.replace(tzinfo=None)), False),
        (Line, Line(Point(True, 2.0), None, NOON), False),
        (Line, Line(Point(1, 2), None, NOON), False),
        (Point, Closer(1, 2.0), False),
        (Point | None, None, True),
        (Link, Link(), True),
        (Link, Link(Link()), False),
        (int | str, "a", True),
        (int | str, True, False),
        (Careful, Careful(1), None),
        (Derived, Derived(1), None),
        (Small, Small(1), None),
        (Annotated[int, msgspec.Meta(le=9)], 1, None),
        (list[int], [1], None),
        (Any, 1, None),
    ],
)
def test_what_is_certain(annotation: Any, value: Any, expected: bool | None) -> None:
    """Exact classes, down to the fields; nothing where a class may refuse what it is given."""
    assert told(annotation, value) is expected


@given(
    value=st.builds(
        Line,
        st.builds(
            Point,
            st.integers() | st.booleans() | st.text(),
            st.floats(allow_nan=False) | st.integers(),
            st.none() | st.text(),
        ),
        st.none() | st.builds(Point, st.integers(), st.floats(allow_nan=False)),
        st.datetimes(timezones=st.none() | st.just(UTC)),
    )
)
def test_certain_values_come_back(value: Line) -> None:
    """What is certain is read back as it was, if it can be written at all; what is not is checked as before."""
    try:
        raw = writer_of(Line)(value)
    except (TypeError, ValueError, OverflowError):
        return  # refused in either way; a number may be too large although it is a number
    assert reader_of(Line)(raw) == value or not told(Line, value)


def test_an_object_without_its_field() -> None:
    """It is refused as one that does not fit, whatever asking for the field raises."""
    broken = object.__new__(Point)
    with pytest.raises((AttributeError, ValueError)):
        writer_of(Point)(broken)
