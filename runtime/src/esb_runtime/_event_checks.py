"""What is wrong with an event that can be told where its contract is defined, without knowing any type."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, get_overloads

from ._annotations import written_annotations
from ._errors import ContractError
from ._shapes import admits_none, text_of

if TYPE_CHECKING:
    from ._events import EventDefinition, Parameter

_WIRE_NAME = re.compile(r"[^\W\d][\w.\-]{0,127}")


def check_options(event: EventDefinition) -> None:
    """Refuse what `@event(...)` cannot mean."""
    if type(event.version) is not int or event.version < 0:
        raise ContractError(f"{event.label}: version is a whole number from 0, not {event.version!r}")
    if not _WIRE_NAME.fullmatch(event.name):
        raise ContractError(
            f"{event.label}: name={event.name!r} cannot be an event's name: a letter, then letters, digits, _ . -"
        )
    if isinstance(event.personal, str):
        raise ContractError(f"{event.label}: personal is a sequence of names: personal=({event.personal!r},)")


def check_signature(event: EventDefinition) -> None:
    """Refuse a method that cannot be an event, and options that name none of its parameters."""
    function: Callable[..., Any] = inspect.unwrap(event.function)
    if not inspect.iscoroutinefunction(function):
        raise ContractError(f"{event.label}: an event is a coroutine function: write `async def {event.method}`")
    if get_overloads(function):
        raise ContractError(f"{event.label}: an event has one signature; give each variant its own event")
    if not inspect.signature(function).parameters:
        raise ContractError(f"{event.label}: an event is an ordinary method: its first parameter is self")
    _check_parameters(event)
    for name in (*event.personal, *([event.key.partition(".")[0]] if event.key else [])):
        if name not in event.signature.parameters:
            known = ", ".join(event.signature.parameters) or "none"
            raise ContractError(f"{event.label}: there is no parameter {name!r} (its parameters: {known})")


def _check_parameters(event: EventDefinition) -> None:
    annotations = written_annotations(event.function)
    for name, parameter in event.signature.parameters.items():
        if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
            raise ContractError(event.says(name, "an event names each of its arguments: no *args, no **kwargs"))
        if name not in annotations:
            raise ContractError(event.says(name, "has no annotation: say what it holds"))


def check_erasable(event: EventDefinition, parameter: Parameter) -> None:
    """Refuse a personal parameter that has no room for what erasure leaves: None."""
    if parameter.name in event.personal and not admits_none(parameter.annotation):
        written = f"{parameter.name}: {text_of(parameter.annotation)} | None"
        raise ContractError(
            event.says(parameter.name, f"is personal: it can be erased, so it must admit None: write `{written}`")
        )
