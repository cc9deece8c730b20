"""Which classes the values of an annotation have: the first, cheap half of checking what a producer is given."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin
from uuid import UUID

import msgspec
from typing_extensions import is_typeddict

from ._shapes import alternatives, bare

_EXACT: tuple[type[Any], ...] = (
    str, int, float, bool, bytes, UUID, Decimal, date, timedelta, NoneType,
)  # fmt: skip


class Unfit(ValueError):
    """Why a value does not fit; the message holds no value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """`classes` a value must be an instance of (None: any); `exact` ones whose values always fit.

    `moment` is `datetime` where it is one of them: its values fit when they have a zone.
    """

    classes: tuple[type[Any], ...] | None
    exact: frozenset[type[Any]]
    moment: type[datetime] | None


def admission_of(annotation: Any) -> Admission:
    """What an annotation admits. Constraints (`Annotated[int, Meta(ge=1)]`) leave nothing exact."""
    members = alternatives(annotation)
    classes: list[type[Any]] = []
    for member in members:
        found = _classes(member)
        if found is None:
            return Admission(classes=None, exact=frozenset(), moment=None)
        classes.extend(found)
    free = not _constrained(annotation)
    return Admission(
        classes=tuple(classes),
        exact=frozenset(kind for kind in classes if kind in members and _always_fits(kind)) if free else frozenset(),
        moment=datetime if free and datetime in members else None,
    )


def _classes(member: Any) -> tuple[type[Any], ...] | None:
    if member is Any:
        return None
    if member is None:
        return (NoneType,)
    if member is float:
        return (float, int)  # as type checkers have it
    origin = get_origin(member)
    if origin is Literal:
        kinds: set[type[Any]] = {type(value) for value in get_args(member)}
        return tuple(kinds)
    kind: Any = origin or member
    return (dict,) if is_typeddict(kind) else (kind,)


def _always_fits(kind: type[Any]) -> bool:
    return kind in _EXACT or issubclass(kind, Enum)


def _constrained(annotation: Any) -> bool:
    if get_origin(annotation) is Annotated:
        return any(isinstance(item, msgspec.Meta) for item in get_args(annotation)[1:])
    inner = bare(annotation)
    return get_origin(inner) is not Literal and any(map(_constrained, get_args(inner)))
