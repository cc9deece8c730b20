"""What `esb produce` sends: an event from `--json`, `--arg` and the contract, its placeholders filled in."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from .failures import Exit, Failure
from .formats import is_object, plain, shown
from .lock import LockedEvent

if TYPE_CHECKING:
    from esb_runtime.operations import Record

_PLACE = re.compile(r"\{\{ *(n|now|uuid) *\}\}")


def has_places(text: str) -> bool:
    """Whether there is a placeholder in a text."""
    return _PLACE.search(text) is not None


def filled(text: str, number: int) -> str:
    """A text with `{{n}}` (this number), `{{now}}` (the time, RFC 3339) and `{{uuid}}` (another one each) filled in."""
    if "{{" not in text:
        return text
    return _PLACE.sub(lambda found: _PLACES[found[1]](number), text)


_PLACES: Mapping[str, Callable[[int], str]] = {
    "n": str,
    "now": lambda _: datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    "uuid": lambda _: _uuid(),
}


def _uuid() -> str:
    from uuid import uuid4

    return str(uuid4())


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What all events of a call have in common."""

    uri: str
    environment: str
    event: str
    version: int
    known: LockedEvent | None
    pairs: Sequence[str] = ()
    """What `--arg` says, as it was written."""
    message_id: str | None = None

    def draft(self, text: str, number: int = 1) -> Draft:
        """The event of this number, with the arguments of a JSON object below those of `pairs`.

        Raises `Failure` (5) when they do not fit the contract.
        """
        known = self.known
        values = _values(filled(text, number), [filled(pair, number) for pair in self.pairs], known)
        return Draft(
            uri=self.uri,
            environment=self.environment,
            event=self.event,
            version=known.version if known else self.version,
            arguments=known.checked(values) if known else {name: plain(value) for name, value in values.items()},
            known=known,
            message_id=None if self.message_id is None else filled(self.message_id, number),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An event that is ready to be sent."""

    uri: str
    environment: str
    event: str
    version: int
    arguments: Mapping[str, object]
    known: LockedEvent | None
    message_id: str | None = None

    @property
    def ordering_key(self) -> str | None:
        """What the contract orders it by."""
        return self.known.ordering_key(self.arguments) if self.known else None

    def record(self) -> Record:
        """The event, ready to be stored. Raises `EsbError` for what cannot be."""
        from esb_runtime.operations import Operations

        return Operations.record(
            self.event,
            self.arguments,
            version=self.version,
            ordering_key=self.ordering_key,
            message_id=self.message_id,
        )

    def document(self) -> dict[str, object]:
        """What would be sent, in the form of every event; its key and time are the server's to give."""
        return {
            "key": None,
            "event": self.event,
            "version": self.version,
            "at": None,
            "args": {name: shown(value) for name, value in self.arguments.items()},
            "meta": {"ordering_key": self.ordering_key} if self.ordering_key is not None else {},
        }


def _values(text: str, pairs: Sequence[str], known: LockedEvent | None) -> dict[str, Any]:
    """The arguments that were written: the JSON object first, each --arg on top of it."""
    values = _object(text) if text else {}
    for pair in pairs:
        name, found, value = pair.partition("=")
        if not found or not name:
            raise Failure(f"--arg {pair!r}: write NAME=VALUE", Exit.USAGE)
        path = name.split(".")
        _put(values, path, _typed(value, path, known), name)
    return values


def _object(text: str) -> dict[str, Any]:
    try:
        value = _parse(text)
    except ValueError as problem:
        place = f" (line {problem.lineno}, column {problem.colno})" if isinstance(problem, json.JSONDecodeError) else ""
        words = problem.msg if isinstance(problem, json.JSONDecodeError) else "a number is not finite"
        raise Failure(f"--json is no JSON: {words}{place}", Exit.BAD_DATA) from None
    if not is_object(value):
        raise Failure('--json takes an object of arguments: {"name": value, ...}', Exit.BAD_DATA)
    return dict(value)


def _parse(text: str) -> Any:
    """JSON whose numbers keep their digits, so that a price stays what was typed."""
    return json.loads(text, parse_float=Decimal, parse_constant=_refuse)


def _refuse(word: str) -> Any:
    raise ValueError(word)


def _typed(text: str, path: Sequence[str], known: LockedEvent | None) -> Any:
    """A value as its place in the contract reads it; without a contract JSON, or else text."""
    schema = known.schema_of(path) if known else None
    if known is not None and schema is not None:
        return known.fitter.read(text, schema, _parse)
    try:
        return _parse(text)
    except ValueError:
        return text


def _put(values: dict[str, Any], path: Sequence[str], value: object, name: str) -> None:
    """Put a value at a path, making the objects on the way."""
    for part in path[:-1]:
        inner: Any = values.setdefault(part, {})
        if not is_object(inner):
            raise Failure(f"--arg {name}: {part} has a value of its own, nothing can go inside it", Exit.USAGE)
        copied = values[part] = dict(inner)
        values = copied
    values[path[-1]] = value
