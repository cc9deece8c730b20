"""Values without a contract: msgpack by the `msgpack` library, and their form in JSON.

The bytes are those that the typed codec writes for the same values (a property test proves it): aware times are
timestamp extensions in UTC, dates, durations, Decimal and UUID are text.
"""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import msgpack  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]  # it ships no types
import msgspec

from ._errors import DecodeError, EncodeError
from ._narrow import is_items, is_mapping

# msgpack has no types of its own: these lines are where they are given
_untyped: Any = msgpack
_pack: Callable[..., bytes] = _untyped.packb
_unpack: Callable[..., Any] = _untyped.unpackb
_EXT: Any = _untyped.ExtType
ext_type: Any = _EXT
"""A value of an extension type: its `code` and `data`."""
_UNREADABLE: tuple[type[Exception], ...] = (ValueError, OverflowError, RecursionError, _untyped.UnpackException)

_SCALARS = frozenset({str, int, bool, type(None)})
_AS_TEXT = (date, time, timedelta, Decimal, UUID)
_NOT_FINITE = {math.inf: "Infinity", -math.inf: "-Infinity"}


def encode_plain(value: object, *, event: str = "", argument: str = "") -> bytes:
    """The msgpack of a value without a declared type. Raises `EncodeError`, which never repeats the value."""
    try:
        return _pack(value, datetime=True, default=_default)
    except (TypeError, ValueError, OverflowError) as error:
        reason = str(error) if isinstance(error, _Unfit) else f"it cannot be stored ({type(error).__name__})"
    raise EncodeError(
        f"{_subject(event, argument)}: {reason}", event=event, argument=argument, expected="a plain value"
    )


def plain(raw: bytes, *, event: str = "", argument: str = "") -> Any:
    """The value of msgpack bytes: scalars, lists, dicts, aware times. Raises `DecodeError` for anything else."""
    try:
        return _unpack(raw, timestamp=3, strict_map_key=False)
    except _UNREADABLE:
        pass  # the reason may repeat bytes of the value
    raise DecodeError(f"{_subject(event, argument)} is not msgpack", event=event, argument=argument, expected="msgpack")


def jsonable(value: Any) -> Any:
    """A plain value as JSON can say it.

    Times are RFC 3339 in UTC with Z, bytes base64, keys text, what is not a finite number text.
    """
    if type(value) in _SCALARS or (type(value) is float and math.isfinite(value)):
        return value
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, bytes | bytearray):
        return b64encode(value).decode("ascii")
    if isinstance(value, float) and not math.isfinite(value):
        return _NOT_FINITE.get(value, "NaN")
    if is_mapping(value):
        return {_json_key(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, _EXT):
        return _ext_form(value)
    if is_items(value):
        return [jsonable(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return jsonable(_default(value))


def _ext_form(value: Any) -> dict[str, Any]:
    return {"ext": value.code, "data": jsonable(value.data)}


def _json_key(key: Any) -> str:
    shown = jsonable(key)
    return shown if isinstance(shown, str) else str(msgspec.json.encode(shown), "utf-8")


class _Unfit(TypeError):
    """Why a value has no msgpack; the message holds no value."""


def _default(value: Any) -> Any:
    if isinstance(value, datetime):
        raise _Unfit("a time without a zone is ambiguous: use an aware datetime")
    if isinstance(value, _AS_TEXT):
        return msgspec.to_builtins(value)
    if isinstance(value, Enum):
        return value.value
    if is_items(value):
        return list(value)
    raise _Unfit(f"{type(value).__name__} is not a plain value")


def _subject(event: str, argument: str) -> str:
    return f"{event}: argument {argument!r}" if event else f"argument {argument!r}" if argument else "the value"
