"""The parts of a JSON Schema that are about single values: kinds, formats of text, limits, and their words."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any, TypeGuard
from uuid import UUID

Schema = Mapping[str, Any]

_DURATION = re.compile(r"[+-]?P(?!$)(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?", re.ASCII)


def is_object(value: object) -> TypeGuard[Mapping[str, Any]]:
    """Whether a JSON value is an object."""
    return isinstance(value, dict) or isinstance(value, Mapping)  # noqa: SIM101 - most are, and asking this is cheap


def is_array(value: object) -> TypeGuard[list[Any]]:
    """Whether a JSON value is an array."""
    return isinstance(value, list)


def kind_of(value: object) -> str:
    """What a JSON value is, in a word."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int):
        return "an integer"
    if isinstance(value, float | Decimal):
        return "a number"
    return "text" if isinstance(value, str) else "an object" if is_object(value) else "a list"


def is_kind(value: object, kind: str, schema: Schema) -> bool:
    """Whether a JSON value is of a JSON Schema type; a number may stand for a decimal's text."""
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "string":
        return isinstance(value, str) or (schema.get("format") == "decimal" and isinstance(value, int | Decimal))
    if kind == "integer":
        return isinstance(value, int) or (isinstance(value, Decimal) and value == value.to_integral_value())
    if kind == "number":
        return isinstance(value, int | float | Decimal)
    if kind == "null":
        return value is None
    return (kind == "object" and is_object(value)) or (kind == "array" and is_array(value))


def text_of(value: str | int | Decimal, schema: Schema) -> object:
    """Text as an event carries it, by its format. Raises `ValueError` when it is not of that."""
    text = str(value)
    if schema.get("contentEncoding") == "base64":
        try:
            return base64.b64decode(text, validate=True)
        except binascii.Error as problem:
            raise ValueError("no base64") from problem
    convert = _FORMATS.get(str(schema.get("format")))
    return convert(text) if convert else text


def named(kind: str, schema: Schema) -> str:
    """A type as a person reads it."""
    if kind == "string" and schema.get("contentEncoding") == "base64":
        return "bytes as base64"
    name = str(schema.get("format")) if kind == "string" else kind
    return _NAMES.get(name, _NAMES.get(kind, kind))


def broken_limits(value: object, schema: Schema) -> Iterator[str]:
    """What a value should have been, for each limit that it breaks; each counts only for values that it is about."""
    for word, about, holds, text in _LIMITS:
        if word in schema and isinstance(value, about) and not holds(value, schema[word]):
            yield text.format(schema[word])


def plain(value: object) -> object:
    """A JSON value without a schema: numbers as they are."""
    if isinstance(value, Decimal):
        return float(value)
    if is_object(value):
        return {name: plain(member) for name, member in value.items()}
    return [plain(item) for item in value] if is_array(value) else value


def shown(value: object) -> object:
    """What an event carries, as JSON says it."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if is_object(value):
        return {str(name): shown(member) for name, member in value.items()}
    return [shown(item) for item in value] if is_array(value) else value


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None or not re.match(r"\d{4}-\d\d-\d\d[Tt ]", text):
        raise ValueError("no zone, or no time")
    return moment


def _decimal(text: str) -> str:
    try:
        Decimal(text)
    except InvalidOperation as problem:
        raise ValueError("no decimal") from problem
    return text


def _duration(text: str) -> str:
    if not _DURATION.fullmatch(text):
        raise ValueError("no duration")
    return text


_FORMATS: dict[str, Callable[[str], object]] = {
    "date-time": _moment,
    "date": lambda text: date.fromisoformat(text).isoformat(),
    "time": lambda text: time.fromisoformat(text).isoformat(),
    "duration": _duration,
    "uuid": lambda text: str(UUID(text)),
    "decimal": _decimal,
}

_NAMES = {
    "date-time": "a time with a zone (2026-11-23T10:00:00Z)",
    "date": "a date (2026-11-23)",
    "time": "a time of day (10:30:00)",
    "duration": "a duration (ISO 8601: PT1H30M)",
    "uuid": "a UUID",
    "decimal": "a decimal number",
    "string": "text",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}

_NUMBERS = (int, float, Decimal)
_LIMITS: tuple[tuple[str, Any, Callable[[Any, Any], bool], str], ...] = (
    ("minimum", _NUMBERS, lambda value, limit: value >= limit, "at least {}"),
    ("maximum", _NUMBERS, lambda value, limit: value <= limit, "at most {}"),
    ("exclusiveMinimum", _NUMBERS, lambda value, limit: value > limit, "more than {}"),
    ("exclusiveMaximum", _NUMBERS, lambda value, limit: value < limit, "less than {}"),
    ("multipleOf", _NUMBERS, lambda value, limit: value % limit == 0, "a multiple of {}"),
    ("minLength", str, lambda value, limit: len(value) >= limit, "at least {} characters"),
    ("maxLength", str, lambda value, limit: len(value) <= limit, "at most {} characters"),
    ("pattern", str, lambda value, limit: re.search(limit, value) is not None, "text that matches {}"),
    ("minItems", list, lambda value, limit: len(value) >= limit, "at least {} items"),
    ("maxItems", list, lambda value, limit: len(value) <= limit, "at most {} items"),
    ("minProperties", Mapping, lambda value, limit: len(value) >= limit, "at least {} members"),
    ("maxProperties", Mapping, lambda value, limit: len(value) <= limit, "at most {} members"),
)
