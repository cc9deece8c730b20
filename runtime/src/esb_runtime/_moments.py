"""Times without a zone: msgpack cannot say what they mean, so none may be stored.

msgspec writes a naive `datetime` as text and reads it back as naive, wherever it stands inside a value; only looking
at the value itself tells.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from operator import attrgetter
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
from typing_extensions import is_typeddict

from ._narrow import is_items, is_mapping
from ._shapes import alternatives, fields_of, parts_of

Finder = Callable[[Any], bool]

NAIVE = "a time without a zone is ambiguous: use an aware datetime, as in datetime.now(UTC)"
"""Why such a value is refused."""

_ZONED = Annotated[datetime, msgspec.Meta(tz=True)]
_CONTAINERS: tuple[Any, ...] = (list, tuple, set, frozenset, dict)


def zoned(annotation: Any) -> Any:
    """The annotation with every `datetime` outside of classes required to have a zone."""
    if annotation is datetime:
        return _ZONED
    origin: Any = get_origin(annotation)
    arguments = get_args(annotation)
    if origin in {Union, UnionType}:
        return Union[tuple(map(zoned, arguments))]  # noqa: UP007 - built from a tuple
    if origin in _CONTAINERS and arguments:
        return origin[tuple(argument if argument is ... else zoned(argument) for argument in arguments)]
    return annotation


def naive_anywhere(value: Any) -> bool:
    """Whether a plain value holds a time without a zone."""
    if isinstance(value, datetime):
        return value.tzinfo is None
    if is_mapping(value):
        return any(map(naive_anywhere, value)) or any(map(naive_anywhere, value.values()))
    return is_items(value) and any(map(naive_anywhere, value))


def naive_finder(annotation: Any) -> Finder | None:
    """A function that finds a naive time in a value of this annotation; None where there cannot be one."""
    if not any(part is datetime or part is Any for part in parts_of(annotation)):
        return None
    return _finder(annotation, {})


def _finder(annotation: Any, known: dict[Any, Finder]) -> Finder:
    found = [_finder_of_one(member, known) for member in alternatives(annotation)]
    found = [finder for finder in found if finder is not _none]
    if len(found) <= 1:
        return found[0] if found else _none
    return lambda value: any(finder(value) for finder in found)


def _none(value: Any) -> bool:  # noqa: ARG001 - one of the finders
    return False


def _finder_of_one(member: Any, known: dict[Any, Finder]) -> Finder:
    if member is datetime:
        return lambda value: isinstance(value, datetime) and value.tzinfo is None
    if member is Any:
        return naive_anywhere
    if get_origin(member) is Literal:
        return _none
    fields = fields_of(member)
    if fields is not None:
        return _finder_of_fields(member, fields, known)
    inner = [_finder(argument, known) for argument in get_args(member) if argument is not ...]
    if all(finder is _none for finder in inner):
        return _none
    return _finder_of_container(inner)


def _finder_of_fields(member: Any, fields: Mapping[str, Any], known: dict[Any, Finder]) -> Finder:
    if member in known:
        return known[member]
    rows: list[tuple[Callable[[Any], Any], Finder]] = []
    kind = get_origin(member) or member
    known[member] = _in_typed_dict(rows) if is_typeddict(kind) else _in_object(kind, rows)
    for name, annotation in fields.items():
        finder = _finder(annotation, known)
        if finder is not _none:
            rows.append((_getter(name) if is_typeddict(kind) else attrgetter(name), finder))
    return known[member]


def _getter(name: str) -> Callable[[Any], Any]:
    return lambda value: value.get(name)


def _in_typed_dict(rows: list[tuple[Callable[[Any], Any], Finder]]) -> Finder:
    return lambda value: isinstance(value, dict) and any(finder(get(value)) for get, finder in rows)


def _in_object(kind: Any, rows: list[tuple[Callable[[Any], Any], Finder]]) -> Finder:
    def find(value: Any) -> bool:
        if not isinstance(value, kind):
            return False
        for get, finder in rows:  # noqa: SIM110 - a generator costs twice as much here
            if finder(get(value)):
                return True
        return False

    return find


def _finder_of_container(inner: list[Finder]) -> Finder:
    def find(value: Any) -> bool:
        if is_mapping(value):
            return any(map(inner[0], value)) or any(map(inner[-1], value.values()))
        return is_items(value) and any(finder(item) for item in value for finder in inner)

    return find
