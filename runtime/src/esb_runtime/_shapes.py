"""What values an annotation admits: which types can be stored, what they are called, which fields they have."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from enum import Enum
from typing import Annotated, Any, Literal, NewType, ParamSpec, TypeVar, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import msgspec
import msgspec.inspect
from typing_extensions import TypeAliasType, is_typeddict

_NONE = type(None)
_STORABLE = (
    "scalars, date and time types, Decimal, UUID, Enum, bytes, dataclasses, NamedTuple, TypedDict, attrs, "
    "msgspec.Struct, pydantic models, or unions, lists, sets, tuples and dicts of these"
)


def bare(annotation: Any) -> Any:
    """The annotation without `Annotated`, `NewType` and alias wrapping."""
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation = get_args(annotation)[0]
        elif isinstance(annotation, NewType):
            annotation = annotation.__supertype__
        elif isinstance(annotation, TypeAliasType):
            annotation = annotation.__value__
        else:
            return annotation


def alternatives(annotation: Any) -> tuple[Any, ...]:
    """The members of a union, flat and bare; of anything else, itself."""
    annotation = bare(annotation)
    if get_origin(annotation) in {Union, types.UnionType}:
        return tuple(inner for member in get_args(annotation) for inner in alternatives(member))
    return (annotation,)


def _is_none(annotation: Any) -> bool:
    return annotation is None or annotation is _NONE


def admits_none(annotation: Any) -> bool:
    """Whether None is a value of this annotation."""
    return any(member is Any or _is_none(member) for member in alternatives(annotation))


def text_of(annotation: Any) -> str:
    """The annotation as a person writes it: `User | None`, `list[Item]`."""
    annotation = bare(annotation)
    if _is_none(annotation):
        return "None"
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in {Union, types.UnionType}:
        return " | ".join(map(text_of, arguments))
    if origin is Literal:
        return f"Literal[{', '.join(map(repr, arguments))}]"
    if origin is not None and arguments:
        inner = ", ".join("..." if argument is ... else text_of(argument) for argument in arguments)
        return f"{text_of(origin)}[{inner}]"
    if annotation is datetime:
        return "datetime with a time zone"
    return str(getattr(annotation, "__name__", annotation))


def fields_of(annotation: Any) -> Mapping[str, Any] | None:
    """The fields of a dataclass, NamedTuple, TypedDict, attrs class, msgspec.Struct or pydantic model; else None.

    Raises `NameError` while a field's own annotation cannot be resolved.
    """
    kind: Any = get_origin(annotation) or annotation
    if not isinstance(kind, type):
        return None
    names = _field_names(kind)
    if names is None:
        return None
    hints = get_type_hints(kind, include_extras=True)
    known = dict(zip(getattr(kind, "__parameters__", ()), get_args(annotation), strict=False))
    return {name: _unrequired(_substituted(hints[name], known)) for name in names if name in hints}


def _substituted(hint: Any, known: Mapping[Any, Any]) -> Any:
    """A generic class's field with the arguments of this mention of it."""
    if isinstance(hint, TypeVar):
        return known.get(hint, hint)
    needed = getattr(hint, "__parameters__", ())
    if not known or not needed or isinstance(hint, type):
        return hint
    return hint[tuple(known.get(variable, variable) for variable in needed)]


def _field_names(kind: Any) -> Iterator[str] | None:
    if is_typeddict(kind):
        return iter(get_type_hints(kind))
    if dataclasses.is_dataclass(kind):
        return (field.name for field in dataclasses.fields(kind))
    if (attributes := getattr(kind, "__attrs_attrs__", None)) is not None:
        return (attribute.name for attribute in attributes)
    for marker in ("__struct_fields__", "__pydantic_fields__", "_fields"):
        if (names := getattr(kind, marker, None)) is not None:
            return iter(tuple(names))
    return None


def _unrequired(annotation: Any) -> Any:
    wrapped = get_origin(annotation) in {typing.Required, typing.NotRequired}
    return get_args(annotation)[0] if wrapped else annotation


def parts_of(annotation: Any) -> Iterator[Any]:
    """The annotation and everything inside it, fields included, each once, without wrapping."""
    seen: set[Any] = set()
    waiting = [annotation]
    while waiting:
        part = bare(waiting.pop())
        if not _hashable(part) or part in seen:
            continue
        seen.add(part)
        yield part
        if get_origin(part) is Literal:
            continue
        waiting.extend(argument for argument in get_args(part) if argument is not ...)
        waiting.extend((fields_of(part) or {}).values())


def _hashable(part: Any) -> bool:
    try:
        hash(part)
    except TypeError:
        return False
    return True


def is_pydantic(part: Any) -> bool:
    """Whether this type is pydantic's business; pydantic itself is never imported for the answer."""
    return isinstance(part, type) and (
        hasattr(part, "__pydantic_core_schema__") or hasattr(part, "__get_pydantic_core_schema__")
    )


def mentions_pydantic(annotation: Any) -> bool:
    """Whether a pydantic type stands anywhere in the annotation."""
    return any(is_pydantic(part) for part in parts_of(annotation))


def problem_of(annotation: Any) -> str | None:
    """Why values of this annotation cannot be stored and read back; None when they can.

    Raises `NameError` while a field's own annotation cannot be resolved.
    """
    variable = next((part for part in _arguments_of(annotation) if isinstance(part, TypeVar | ParamSpec)), None)
    if variable is not None:
        return f"the type variable {variable} has no meaning in a stored event: write a concrete type"
    if mentions_pydantic(annotation):
        return _pydantic_problem(annotation)
    try:
        info = msgspec.inspect.type_info(annotation)
    except TypeError as error:
        reason = str(error).splitlines()[0]
        return f"{reason}; use tagged msgspec.Structs, or one class" if reason.startswith("Type unions") else reason
    for node in _nodes(info):
        if isinstance(node, msgspec.inspect.CustomType | msgspec.inspect.ExtType | msgspec.inspect.RawType):
            name = text_of(getattr(node, "cls", type(node)))
            return f"{name} cannot be stored; use {_STORABLE}"
    return None


def _pydantic_problem(annotation: Any) -> str | None:
    from pydantic import TypeAdapter  # the annotation came from it, so it is installed

    try:
        TypeAdapter(annotation)
    except NameError:
        raise
    except Exception as error:  # noqa: BLE001 - pydantic raises several kinds of its own for types it cannot handle
        return f"pydantic refuses {text_of(annotation)}: {str(error).splitlines()[0]}"
    return None


def _arguments_of(annotation: Any) -> Iterator[Any]:
    annotation = bare(annotation)
    yield annotation
    if get_origin(annotation) is not Literal:
        for argument in get_args(annotation):
            yield from _arguments_of(argument)


def _nodes(info: msgspec.inspect.Type) -> Iterator[Any]:
    """Every node of a type's description; recursive types are visited once."""
    seen: set[int] = set()
    waiting: list[Any] = [info]
    while waiting:
        node = waiting.pop()
        if isinstance(node, tuple | list):
            waiting.extend(typing.cast("list[Any]", node))
        elif isinstance(node, msgspec.inspect.Type | msgspec.inspect.Field) and id(node) not in seen:
            seen.add(id(node))
            yield node
            waiting.extend(getattr(node, name) for name in node.__struct_fields__)


_KEY_TYPES = (str, int, UUID, date, Enum)


def can_be_key(annotation: Any) -> bool:
    """Whether equal values always have equal text: str, int, UUID, date, Enum, Literal, None."""
    return all(_is_key(member) for member in alternatives(annotation))


def _is_key(member: Any) -> bool:
    if _is_none(member) or get_origin(member) is Literal:
        return True
    if not isinstance(member, type) or issubclass(member, bool | datetime):
        return False
    return issubclass(member, _KEY_TYPES)
