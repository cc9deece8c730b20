"""Which values fit an annotation beyond doubt, told by classes alone: what an event's encoder asks first.

The answer is a Python expression, because it is compiled into the encoder: a handful of comparisons costs a third of
what reading back costs, which is how all other values are checked.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import msgspec

from ._admission import admission_of
from ._shapes import alternatives, fields_of

_MOST = 40
"""Comparisons after which reading back is about as fast."""


def certainty_of(annotation: Any, value: str, scope: dict[str, Any]) -> str:
    """An expression that is true only of values (of the variable `value`) that can be written and read back.

    It is "" where classes tell nothing; what it names beside `value` is put into `scope`. Evaluating it may raise
    `AttributeError`, for an object that lacks a field.
    """
    told = _told(annotation, value, scope, ())
    return told if told.count("__class__") <= _MOST else ""


def _told(annotation: Any, value: str, scope: dict[str, Any], inside: tuple[Any, ...]) -> str:
    admission = admission_of(annotation)
    ways: list[str] = []
    if len(admission.exact) == 1:
        ways.append(f"{value}.__class__ is {_named(next(iter(admission.exact)), scope)}")
    elif admission.exact:
        ways.append(f"{value}.__class__ in {_named(admission.exact, scope)}")
    if admission.moment:
        ways.append(f"({value}.__class__ is {_named(admission.moment, scope)} and {value}.tzinfo is not None)")
    for member in alternatives(annotation):
        if admission.classes and _is_plain_object(member) and member not in inside:
            ways += _object(member, value, scope, (*inside, member))
    return f"({' or '.join(ways)})" if ways else ""


def _object(kind: Any, value: str, scope: dict[str, Any], inside: tuple[Any, ...]) -> list[str]:
    """The expression for an object of just this class, if all its fields can be told."""
    parts = [
        _told(annotation, f"{value}.{name}", scope, inside) for name, annotation in (fields_of(kind) or {}).items()
    ]
    return [f"({' and '.join([f'{value}.__class__ is {_named(kind, scope)}', *parts])})"] if all(parts) else []


def _is_plain_object(member: Any) -> bool:
    """Whether what is read back has exactly the fields that were written, and nothing that could refuse them."""
    if not isinstance(member, type) or hasattr(member, "__post_init__"):
        return False
    if dataclasses.is_dataclass(member):
        fields = dataclasses.fields(member)
        pseudo = vars(member).get("__dataclass_fields__", {}).keys() - {field.name for field in fields}
        return not pseudo and all(field.init and not field.name.startswith("_") for field in fields)
    return issubclass(member, msgspec.Struct)


def _named(thing: object, scope: dict[str, Any]) -> str:
    """A name for it in the scope."""
    found = next((name for name, known in scope.items() if known is thing), "")
    if not found:
        scope[found := f"_{len(scope)}"] = thing
    return found
