"""An event as one line of JSON that loses nothing, and back: what `esb export` writes and `esb import` reads.

The line is the document of every tool, `{key, event, version, at, args, meta}`. What JSON cannot say stands in `args`
as an object with one member: `$bytes`, `$time`, `$float`, `$ext`, `$map` (an object whose keys are not all text, or
begin with `$`), and `$msgpack` for bytes that no other form would give back exactly. `docs/export.md` describes it.
"""

from __future__ import annotations

import math
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from ._envelope import NO_DETAILS, Details, Record, Stored, from_microseconds, to_microseconds
from ._errors import DecodeError, EncodeError, UsageError
from ._identifiers import checked_message_id
from ._narrow import is_items, is_mapping
from ._plain import encode_plain, ext_type, plain
from ._settings import Origin

_FLOATS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_NAN = encode_plain(math.nan)
_EXT: Any = ext_type


class BadLine(UsageError):
    """A line that is no exported event: why, without a value of it."""


class _Meta(msgspec.Struct, kw_only=True, omit_defaults=True):
    message_id: str
    ordering_key: str | None = None
    origin: str = "original"
    linked: str | None = None
    correlation_id: str = ""
    causation_id: str = ""
    headers: dict[str, str] = {}
    trace: dict[str, str] = {}
    erased: list[str] = []
    problem: str = ""


class _Line(msgspec.Struct, kw_only=True):
    key: str = ""
    event: str
    version: int
    at: str | int
    args: dict[str, Any]
    meta: _Meta


_write = msgspec.json.Encoder().encode
_read = msgspec.json.Decoder(_Line).decode


def exported(stored: Stored) -> bytes:
    """The event as a line, without its end. Raises `DecodeError` for one that cannot be read."""
    if stored.problem or stored.arguments is None:
        raise DecodeError(stored.problem or "its payload was not read", event=stored.event, argument="", expected="")
    details = stored.details
    meta = _Meta(
        message_id=stored.message_id,
        ordering_key=stored.ordering_key,
        origin=details.origin.value,
        linked="/".join(details.linked) if details.linked else None,
        correlation_id=details.correlation_id,
        causation_id=details.causation_id,
        headers=dict(details.headers),
        trace=dict(details.trace),
        erased=sorted(stored.erased),
    )
    arguments = {name: value_to_json(raw) for name, raw in stored.arguments.items()}
    return _write(
        _Line(
            key=str(stored.key),
            event=stored.event,
            version=stored.version,
            at=_time_to_json(stored.produced_at),
            args=arguments,
            meta=meta,
        )
    )


def imported(line: bytes) -> Record:
    """The event of a line, ready to be stored. Raises `BadLine`."""
    try:
        found = _read(line)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        said = str(error) if isinstance(error, msgspec.ValidationError) else "it is no JSON"
        raise BadLine(said) from None
    meta = found.meta
    if meta.problem:
        raise BadLine("it stands for an event that could not be read")
    try:
        return Record(
            message_id=checked_message_id(meta.message_id),
            event=found.event,
            version=found.version,
            produced_at=found.at if isinstance(found.at, int) else to_microseconds(_aware(found.at)),
            arguments={name: _argument(name, value) for name, value in found.args.items()},
            ordering_key=meta.ordering_key,
            details=_details_of(meta),
            erased=frozenset(meta.erased),
        )
    except ValueError:
        raise BadLine("`at` is no time with a zone, or `origin` is unknown") from None


def value_to_json(raw: bytes) -> Any:
    """A stored value as JSON can say it without losing anything."""
    try:
        value = plain(raw)
        if encode_plain(value) == raw:
            return _to_json(value)
    except (DecodeError, EncodeError, TypeError, RecursionError):
        pass
    return {"$msgpack": b64encode(raw).decode("ascii")}


def value_from_json(value: Any) -> bytes:
    """The stored value that `value_to_json` was given. Raises `EncodeError`, or `ValueError` for an unknown form."""
    if is_mapping(value) and "$msgpack" in value and len(value) == 1:
        return b64decode(value["$msgpack"], validate=True)
    return encode_plain(_from_json(value))


def _argument(name: str, value: Any) -> bytes:
    try:
        return value_from_json(value)
    except (EncodeError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise BadLine(f"argument {name!r} cannot be stored") from None


def _to_json(value: Any) -> Any:
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$float": _float_name(value)}
    if isinstance(value, bytes):
        return {"$bytes": b64encode(value).decode("ascii")}
    if isinstance(value, datetime):
        return {"$time": _rfc3339(value)}
    if isinstance(value, _EXT):
        return {"$ext": [value.code, b64encode(value.data).decode("ascii")]}
    if is_mapping(value):
        if all(isinstance(name, str) and not name.startswith("$") for name in value):
            return {name: _to_json(member) for name, member in value.items()}
        return {"$map": [[_to_json(name), _to_json(member)] for name, member in value.items()]}
    return [_to_json(item) for item in value]


def _from_json(value: Any) -> Any:
    if is_mapping(value):
        (first, *others) = value or [""]
        if isinstance(first, str) and first.startswith("$"):
            if others or first not in _FORMS:
                raise ValueError("unknown form")
            return _FORMS[first](value[first])
        return {name: _from_json(member) for name, member in value.items()}
    return [_from_json(item) for item in value] if is_items(value) else value


def _float_name(value: float) -> str:
    if math.isnan(value) and encode_plain(value) != _NAN:
        raise TypeError("a NaN with bits of its own has no name")  # it goes as $msgpack
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _aware(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("no zone")
    return moment


_FORMS: Mapping[str, Callable[[Any], Any]] = {
    "$float": lambda text: _FLOATS[text],
    "$bytes": lambda text: b64decode(text, validate=True),
    "$time": _aware,
    "$ext": lambda pair: _EXT(pair[0], b64decode(pair[1], validate=True)),
    "$map": lambda pairs: {_from_json(name): _from_json(member) for name, member in pairs},
}


def _time_to_json(microseconds: int) -> str | int:
    """RFC 3339, or the number itself where no calendar has the time."""
    try:
        return from_microseconds(microseconds).strftime("%Y-%m-%dT%H:%M:%S.%fZ") if microseconds > 0 else microseconds
    except OverflowError:
        return microseconds


def _details_of(meta: _Meta) -> Details:
    stream, _, id_ = (meta.linked or "").rpartition("/")
    details = Details(
        headers=meta.headers,
        correlation_id=meta.correlation_id,
        causation_id=meta.causation_id,
        trace=meta.trace,
        origin=Origin(meta.origin),
        linked=(stream, id_) if meta.linked else None,
    )
    return NO_DETAILS if details == NO_DETAILS else details
