"""The typed codec: arguments of an event to msgpack and back, by the contract's annotations.

Everything that can be known before the first event is compiled once per event. On the way in each value is checked:
by classes where these tell all, everything else by reading back what was written, so what a producer stores is what a
consumer can read. No error repeats a value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from functools import lru_cache
from typing import Any, TypeVar, cast

import msgspec

from ._admission import Unfit, admission_of
from ._binding import REQUIRED, compiled
from ._certainty import certainty_of
from ._errors import CodecError, DecodeError, EncodeError, UsageError
from ._events import EventDefinition, Parameter
from ._moments import NAIVE, naive_finder, zoned
from ._narrow import is_items, is_mapping
from ._shapes import mentions_pydantic, problem_of, text_of

T = TypeVar("T")

Write = Callable[[Any], bytes]
Read = Callable[[bytes], Any]
Readers = list[tuple[str, Read, Any]]
Arguments = tuple[tuple[Any, ...], dict[str, Any]]
"""Positional and keyword arguments."""
Starter = Callable[[Any, Mapping[str, bytes] | None, AbstractSet[str]], T]
"""Calls something with what is first, and the arguments that are stored; with names of those that were erased."""

_REFUSED = (AttributeError, TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError)


_SCALARS: tuple[tuple[type[Any], Callable[[Any], Any]], ...] = (
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
    (bytes, bytes),
)


def _builtin(value: Any) -> Any:
    """What stands for a value that msgspec does not know: subclasses of scalars, and other kinds of containers."""
    for kind, exact in _SCALARS:
        if isinstance(value, kind):
            return exact(value)
    if is_mapping(value):
        return dict(value)
    if is_items(value):
        return list(value)
    raise Unfit(f"{text_of(type(value))} cannot be stored")


_encode = msgspec.msgpack.Encoder(enc_hook=_builtin).encode


class EventCodec:
    """Writes and reads the arguments of one event."""

    __slots__ = ("_definition", "_keyword_readers", "_read_all", "_readers", "encode")

    encode: Callable[[Mapping[str, Any]], dict[str, bytes]]
    """The arguments as msgpack. Raises `EncodeError` for a value that does not fit its annotation."""

    def __init__(self, definition: EventDefinition) -> None:
        self._definition = definition
        self._readers = _readers(definition, keyword_only=False)
        self._keyword_readers = _readers(definition, keyword_only=True)
        self._read_all = _compiled_read(self._readers, self._keyword_readers)
        self.encode = _compiled_encode(definition, self._encode_slowly)

    def _encode_slowly(self, arguments: Mapping[str, Any]) -> dict[str, bytes]:
        """One by one: which argument is it that was refused?"""
        name, encoded = "", dict[str, bytes]()
        try:
            for parameter in self._definition.parameters:
                name = parameter.name
                encoded[name] = writer_of(parameter.annotation)(arguments[name])
        except _REFUSED as error:
            reason = _reason(error)
        else:
            return encoded
        raise self._error(EncodeError, name, f"{reason}; nothing was sent")

    def decode(self, raw: Mapping[str, bytes], erased: AbstractSet[str] = frozenset()) -> Arguments:
        """Positional and keyword arguments, ready to call with.

        A missing argument gets its default, an erased one is None, an unknown one is ignored. Raises `DecodeError`.
        """
        try:
            return self._read_all(raw)
        except (KeyError, *_REFUSED):
            pass  # once more, one by one: a default may help, and else the error names the argument
        args = self._read(raw, self._readers, erased)
        if not self._keyword_readers:
            return tuple(args), {}
        names = [name for name, _, _ in self._keyword_readers]
        return tuple(args), dict(zip(names, self._read(raw, self._keyword_readers, erased), strict=True))

    def starter(self, call: Callable[..., T]) -> Starter[T]:
        """What decodes the arguments and calls with them, in as few steps as there can be: one event in nearly all
        programs has one handler. Raises as `decode` does, and then the call does not happen."""
        return _compiled_start(call, self._readers, self._keyword_readers, self.decode)

    def _read(self, raw: Mapping[str, bytes], readers: Readers, erased: AbstractSet[str]) -> list[Any]:
        values: list[Any] = []
        name, get = "", raw.get
        try:
            for name, read, default in readers:
                data = get(name)
                values.append(read(data) if data is not None else _absent(name, default, erased))
        except _REFUSED as error:
            reason = _reason(error)
        else:
            return values
        raise self._error(DecodeError, name, reason)

    def _error(self, kind: type[CodecError], argument: str, reason: str) -> CodecError:
        annotations = {parameter.name: parameter.annotation for parameter in self._definition.parameters}
        expected = text_of(annotations[argument])
        return kind(
            f"{self._definition.label}: argument {argument!r} (expected {expected}): {reason}",
            event=self._definition.name,
            argument=argument,
            expected=expected,
        )


def codec_of(definition: EventDefinition) -> EventCodec:
    """The event's codec, compiled at first use. Raises `ContractError` while an annotation cannot be resolved."""
    found: EventCodec | None = definition.codec
    if found is None:
        found = definition.codec = EventCodec(definition)
    return found


def decode_argument(raw: bytes, type: type[T], *, event: str = "", argument: str = "") -> T:  # noqa: A002
    """One stored value as a type. Raises `DecodeError`, and `UsageError` for a type that cannot be stored."""
    problem = problem_of(type)
    if problem is not None:
        raise UsageError(problem)
    try:
        return cast("T", _cached_reader(cast("Any", type))(raw))
    except _REFUSED as error:
        reason = _reason(error)
    expected = text_of(type)
    said = f"argument {argument!r} (expected {expected}): {reason}" if argument else f"expected {expected}: {reason}"
    raise DecodeError(f"{event}: {said}" if event else said, event=event, argument=argument, expected=expected)


def writer_of(annotation: Any) -> Write:
    """Compile the check and the encoding of values of an annotation."""
    scope: dict[str, Any] = {}
    written = _written(annotation, "value", scope)
    found: Write = compiled(f"def write(value): return {written}", scope)
    return found


def _written(annotation: Any, value: str, scope: dict[str, Any]) -> str:
    """The checked encoding of a variable as a Python expression; what it names is put into the scope."""
    name = f"_write_{len(scope)}"
    if mentions_pydantic(annotation):
        from ._pydantic import writer

        scope[name] = writer(annotation)
        return f"{name}({value})"
    scope[name], scope["_encode"] = _checked_writer(annotation), _encode
    certain = certainty_of(annotation, value, scope)
    return f"(_encode({value}) if {certain} else {name}({value}))" if certain else f"{name}({value})"


def reader_of(annotation: Any) -> Read:
    """Compile the decoding of values of an annotation."""
    if mentions_pydantic(annotation):
        from ._pydantic import reader

        return reader(annotation)
    return cast("Read", msgspec.msgpack.Decoder(zoned(annotation)).decode)


@lru_cache(maxsize=256)
def _cached_reader(annotation: Any) -> Read:
    return reader_of(annotation)


def _checked_writer(annotation: Any) -> Write:
    """Check the class, write, read back; and refuse times without a zone, which reading cannot tell."""
    read, naive, classes = reader_of(annotation), naive_finder(annotation), admission_of(annotation).classes

    def write(value: Any) -> bytes:
        if classes is not None and not isinstance(value, classes):
            raise Unfit(f"got {text_of(type(value))}")
        if naive is not None and naive(value):
            raise Unfit(NAIVE)
        raw = _encode(value)
        read(raw)
        return raw

    return write


def _absent(name: str, default: Any, erased: AbstractSet[str]) -> Any:
    """What stands for an argument that is not stored."""
    if name in erased:
        return None
    if default is REQUIRED:
        raise Unfit("it is not in the stored event; give the parameter a default, or make it a new version")
    return default


def _readers(definition: EventDefinition, *, keyword_only: bool) -> Readers:
    wanted: list[Parameter] = [found for found in definition.parameters if found.keyword_only is keyword_only]
    return [(found.name, reader_of(found.annotation), found.default) for found in wanted]


def _compiled_encode(
    definition: EventDefinition, slowly: Callable[[Mapping[str, Any]], dict[str, bytes]]
) -> Callable[[Mapping[str, Any]], dict[str, bytes]]:
    """All arguments of an event in one call, those that certainly fit without another one."""
    scope: dict[str, Any] = {"_refused": _REFUSED, "_slowly": slowly}
    lines = [f"  {found.name}_ = given[{found.name!r}]" for found in definition.parameters]
    items = [
        f"{found.name!r}: {_written(found.annotation, f'{found.name}_', scope)}" for found in definition.parameters
    ]
    source = "\n".join(
        ["def encode(given):", " try:", *lines, f"  return {{{', '.join(items)}}}", " except _refused:",
         "  pass", " return _slowly(given)"]
    )  # fmt: skip
    found: Callable[[Mapping[str, Any]], dict[str, bytes]] = compiled(source, scope)
    return found


def _compiled_read(readers: Readers, keyword_readers: Readers) -> Callable[[Mapping[str, bytes]], Arguments]:
    """All arguments of a stored event in one call. It raises where one is missing."""
    every = [*readers, *keyword_readers]
    scope = {f"_{n}": read for n, (_, read, _) in enumerate(every)}
    values = [f"_{n}(raw[{name!r}])" for n, (name, _, _) in enumerate(every)]
    args = "".join(f"{value}, " for value in values[: len(readers)])
    pairs = zip(keyword_readers, values[len(readers) :], strict=True)
    kwargs = ", ".join(f"{name!r}: {value}" for (name, _, _), value in pairs)
    found: Callable[[Mapping[str, bytes]], Arguments] = compiled(f"def read(raw): return ({args}), {{{kwargs}}}", scope)
    return found


def _compiled_start(
    call: Callable[..., T], readers: Readers, keyword_readers: Readers, slowly: Callable[..., Arguments]
) -> Starter[T]:
    """A call with all arguments of a stored event; what cannot be read at once is read slowly."""
    every = [*readers, *keyword_readers]
    scope: dict[str, Any] = {f"_read_{n}": read for n, (_, read, _) in enumerate(every)}
    scope |= {"_call": call, "_slowly": slowly, "_refused": (KeyError, *_REFUSED)}
    values = [f"  value_{n} = _read_{n}(raw[{name!r}])" for n, (name, _, _) in enumerate(every)]
    args = [f"value_{n}" for n in range(len(readers))]
    kwargs = [f"{name}=value_{n}" for n, (name, _, _) in enumerate(keyword_readers, len(readers))]
    source = "\n".join(
        ["def start(first, raw, erased):", " try:", *values, "  pass", " except _refused:",
         "  args, kwargs = _slowly(raw or {}, erased)", "  return _call(first, *args, **kwargs)",
         f" return _call({', '.join(['first', *args, *kwargs])})"]
    )  # fmt: skip
    found: Starter[T] = compiled(source, scope)
    return found


_WHERE = re.compile(r" - at (?P<path>(?:`key` in )?`\$[^`]*`)$")
_SAFE = re.compile(
    r"Expected `[\w | ]+`(?:, got `\w+`)?"
    r"|Expected `\w+` (?:of (?:at (?:least|most) )?length|with)[\w <>=,]*"
    r"|Object missing required field `\w+`"
    r"|Invalid (?:UUID|decimal string|RFC3339 encoded \w+|ISO8601 duration|base64 encoded string)"
)


def _reason(error: Exception) -> str:
    """Why, without a value: only what is known to hold none is repeated."""
    if isinstance(error, Unfit):
        return str(error)
    if isinstance(error, msgspec.ValidationError):
        text = str(error)
        where = _WHERE.search(text)
        said = text[: where.start()] if where else text
        said = said[0].lower() + said[1:] if _SAFE.fullmatch(said) else "the value is not an allowed one"
        return f"{said} at {where['path']}" if where else said
    if isinstance(error, OverflowError):
        return "the number is too large to be stored"
    if isinstance(error, msgspec.MsgspecError):
        return "the stored bytes are not msgpack"
    return "the value does not fit"
