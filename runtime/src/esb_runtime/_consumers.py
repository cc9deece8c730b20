"""What a consumer implements, checked when it is subscribed: the mistakes that no type checker can see."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ._annotations import written_annotations
from ._batching import BatchOptions, batch_options
from ._codecs import Starter, codec_of
from ._context import ConsumerContext
from ._contract import Consume, EventContract, contracts_of, is_contract, is_producer, side_of
from ._delivery import Delivery
from ._errors import ContractError
from ._events import EventDefinition, EventToken, definition_of
from ._narrow import is_items

EventId = tuple[str, int]
Fallback = Callable[[ConsumerContext, Delivery[...]], Coroutine[Any, Any, None]]

_NAMED = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@dataclass(frozen=True, kw_only=True)
class Handler:
    """What handles one event: call it with a `ConsumerContext` and the decoded arguments, or, with `batch`, with a
    sequence of deliveries."""

    definition: EventDefinition
    call: Callable[..., Coroutine[Any, Any, None]]
    batch: BatchOptions | None = None

    @cached_property
    def starter(self) -> Starter[Coroutine[Any, Any, None]]:
        """Calls it with a context and the arguments of a stored event; see `EventCodec.starter`."""
        return codec_of(self.definition).starter(self.call)


def handlers_of(consumer: EventContract[Consume]) -> Mapping[EventId, Handler]:
    """The events that a consumer implements, over all its contracts, by (wire name, version).

    Raises `ContractError` for a producer, a forgotten `[Consume]`, a method that is not async, lacks the context, has
    renamed, missing or extra parameters, for an abstract event without a method, and for a public coroutine method
    that takes a `ConsumerContext` but is no event, with the name that was probably meant.
    """
    cls = type(consumer)
    _check_consumer(consumer)
    events = _events_of(cls)
    _check_misspelt(cls, {found.method for found in events.values()})
    found = {id_: handler for id_, event in events.items() if (handler := _handler(consumer, event)) is not None}
    if not found and fallback_of(consumer) is None:
        raise ContractError(f"{cls.__name__} implements no event and no fallback: it would handle nothing")
    return found


def fallback_of(consumer: EventContract[Consume]) -> Fallback | None:
    """The consumer's own `fallback`, or None when it has none. Raises `ContractError` when it is not async."""
    method = inspect.getattr_static(type(consumer), "fallback")
    if method is vars(EventContract)["fallback"]:
        return None
    if not inspect.iscoroutinefunction(inspect.unwrap(method)):
        raise ContractError(
            f"{type(consumer).__name__}.fallback must be a coroutine function: write `async def fallback`"
        )
    return consumer.fallback


def function_handler(token: EventToken[...], function: Callable[..., Coroutine[Any, Any, None]]) -> Handler:
    """A function as the handler of one event, checked like a consumer's method. Raises `ContractError`."""
    definition = definition_of(token)
    label = getattr(function, "__qualname__", repr(function))
    options = batch_options(function)
    _check_method(function, definition, label=label, skip=0, batch=options is not None)
    return Handler(definition=definition, call=function, batch=options)


def _check_consumer(consumer: EventContract[Any]) -> None:
    if not isinstance(consumer, EventContract):  # pyright: ignore[reportUnnecessaryIsInstance]  # untyped callers
        raise ContractError(
            f"a consumer is an instance of a class derived from Contract[Consume], not {_described(consumer)}"
        )
    cls = type(consumer)
    if is_producer(consumer):
        raise ContractError(
            f"{cls.__name__} is a producer: subscribe an instance of a class derived from Contract[Consume]"
        )
    if side_of(cls) is not Consume:
        contract = next((found.__name__ for found in contracts_of(cls)), "Contract")
        raise ContractError(f"{cls.__name__} is not a consumer: write class {cls.__name__}({contract}[Consume])")


def _described(consumer: object) -> str:
    if isinstance(consumer, type):
        return f"the class {consumer.__name__} itself: write {consumer.__name__}()"
    if is_items(consumer):
        return f"a {type(consumer).__name__}: write subscribe(*consumers, ...)"
    return f"{type(consumer).__name__}"


def _events_of(cls: type[EventContract[Any]]) -> dict[EventId, EventDefinition]:
    events: dict[EventId, EventDefinition] = {}
    for contract in contracts_of(cls):
        for id_, event in contract.events().items():
            other = events.setdefault(id_, event)
            if other.function is not event.function:
                raise ContractError(
                    f"{cls.__name__}: {other.label} and {event.label} are both event {event.name!r} version "
                    f"{event.version}: write one consumer for each contract"
                )
    return events


def _handler(consumer: EventContract[Consume], event: EventDefinition) -> Handler | None:
    cls = type(consumer)
    method: Any = inspect.getattr_static(cls, event.method)
    if isinstance(method, EventDefinition):
        if method.__isabstractmethod__:
            raise ContractError(f"{cls.__name__} does not implement the abstract event {event.method}")
        return None
    options = batch_options(method)
    function: Callable[..., Any] = getattr(method, "__func__", method)  # a staticmethod wraps it
    skip = 1 if function is method else 0
    _check_method(function, event, label=f"{cls.__name__}.{event.method}", skip=skip, batch=options is not None)
    return Handler(definition=event, call=getattr(consumer, event.method), batch=options)


def _check_method(function: Callable[..., Any], event: EventDefinition, *, label: str, skip: int, batch: bool) -> None:
    _ = event.parameters, event.key_path  # a forward reference that leads nowhere is found now, not at the first event
    everything = list(inspect.signature(function).parameters.values())
    opaque = any(parameter.kind is parameter.VAR_POSITIONAL for parameter in everything)
    shown = everything[skip:]
    # a decorator that returns `def wrapper(*args, **kwargs)` without functools.wraps cannot be looked through
    if not opaque and not _is_async(function):
        raise ContractError(f"{label} must be a coroutine function: write `async def {event.method}`")
    if opaque:
        return
    if batch:
        _check_batch(shown, label=label)
    else:
        _check_parameters(shown, event, label=label)


def _is_async(function: Callable[..., Any]) -> bool:
    inner: Any = inspect.unwrap(function)
    return inspect.iscoroutinefunction(inner) or inspect.iscoroutinefunction(getattr(inner, "__call__", None))  # noqa: B004


def _check_batch(shown: list[inspect.Parameter], *, label: str) -> None:
    needed = [parameter for parameter in shown if parameter.default is parameter.empty]
    if len(needed) != 1:
        raise ContractError(f"{label}: a batch handler takes one argument: deliveries: Sequence[Delivery[...]]")


def _check_parameters(shown: list[inspect.Parameter], event: EventDefinition, *, label: str) -> None:
    wanted = list(event.signature.parameters.values())
    names = [parameter.name for parameter in shown]
    right = f"async def {event.method}(self, {', '.join(['ctx', *(parameter.name for parameter in wanted)])})"
    if not shown or (wanted and names[0] == wanted[0].name):
        raise ContractError(f"{label} lacks the context: write {right}")
    positional = [parameter.name for parameter in shown[1:] if parameter.kind in _NAMED]
    expected = [parameter.name for parameter in wanted if parameter.kind in _NAMED]
    keywords = [parameter.name for parameter in wanted if parameter.kind is parameter.KEYWORD_ONLY]
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in shown)
    lost = [name for name in keywords if name not in names[1:] and not takes_any]
    if positional[: len(expected)] != expected or lost:
        have = ", ".join(names[1:]) or "none"
        raise ContractError(f"{label}: its parameters ({have}) are not those of {event.label}: write {right}")
    known = {*expected, *keywords}
    for parameter in shown[1:]:
        optional = parameter.default is not parameter.empty or parameter.kind is parameter.VAR_KEYWORD
        if parameter.name not in known and not optional:
            raise ContractError(f"{label}: {event.label} has no {parameter.name!r}; an extra parameter needs a default")


def _check_misspelt(cls: type[EventContract[Any]], events: set[str]) -> None:
    for name, function in _own_methods(cls):
        if name in events or name == "fallback":
            continue
        if batch_options(function) is None and not _takes_context(function):
            continue
        written = {found for found, _ in _own_methods(cls)}
        near = difflib.get_close_matches(name, sorted(events - written), n=1, cutoff=0.3)
        meant = f"; did you mean {near[0]}?" if near else f" (its events: {', '.join(sorted(events))})."
        raise ContractError(
            f"{cls.__name__}.{name} looks like a handler, but no contract of it has such an event{meant} "
            f"A method that is no handler is named with an underscore: _{name}"
        )


def _own_methods(cls: type[Any]) -> Iterator[tuple[str, Callable[..., Any]]]:
    """The public methods that the consumer's classes define, contracts aside."""
    for base in cls.__mro__:
        if is_contract(base) or not issubclass(base, EventContract):
            continue
        members: dict[str, Any] = dict(base.__dict__)
        for name, member in members.items():
            if not name.startswith("_") and inspect.isfunction(member):
                yield name, member


def _takes_context(function: Callable[..., Any]) -> bool:
    """Whether a coroutine method's first parameter is annotated as a `ConsumerContext`."""
    inner = inspect.unwrap(function)
    if not inspect.iscoroutinefunction(inner):
        return False
    first = list(inspect.signature(inner).parameters)[1:2]
    annotation = written_annotations(inner).get(first[0]) if first else None
    if isinstance(annotation, str):
        return annotation.strip("\"' ").rpartition(".")[2] == ConsumerContext.__name__
    return annotation is ConsumerContext
