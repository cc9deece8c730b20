"""How an event is called: the function that binds its arguments, and what a producer's attribute is."""

from __future__ import annotations

import asyncio
import inspect
import sys
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from ._errors import UsageError

if TYPE_CHECKING:
    from ._events import EventDefinition, Sender

REQUIRED = inspect.Parameter.empty
"""The default of a parameter that has none."""


def compiled_binder(name: str, signature: inspect.Signature) -> Callable[..., dict[str, Any]]:
    """Compile `def name(a, b=..., *, c=...): return {"a": a, ...}`: as fast as a call, and Python words the errors."""
    scope: dict[str, Any] = {}
    shown: list[inspect.Parameter] = []
    for parameter in signature.parameters.values():
        plain = parameter.replace(annotation=REQUIRED)
        if parameter.default is not REQUIRED:
            scope[f"_default_{parameter.name}_"] = parameter.default
            plain = plain.replace(default=_Source(f"_default_{parameter.name}_"))
        shown.append(plain)
    items = ", ".join(f"{parameter.name!r}: {parameter.name}" for parameter in shown)
    return cast(
        "Callable[..., dict[str, Any]]", compiled(f"def {name}{inspect.Signature(shown)}: return {{{items}}}", scope)
    )


def compiled(source: str, scope: dict[str, Any]) -> Any:
    """The function that this source defines, seeing the names of `scope`.

    Only names that Python itself accepted as parameters may reach the text.
    """
    name = source.removeprefix("def ").partition("(")[0]
    exec(compile(source, f"<esb event {name}>", "exec"), scope)  # noqa: S102
    return scope[name]


class _Source:
    """Text that stands for a default in generated source."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def bound(definition: EventDefinition, sender: Sender, stream: str) -> Callable[..., Any]:
    """What `producer.order_placed` is: binds the arguments and hands them to the sender."""
    send, bind, warning = sender.send, definition.binder, _deprecation(definition)

    def produce(*args: Any, **kwargs: Any) -> Any:
        if warning:
            warnings.warn(warning, DeprecationWarning, stacklevel=2)
        return send(definition, bind(*args, **kwargs), stream=stream)

    produce.__name__ = definition.method
    produce.__qualname__ = definition.label
    produce.__doc__ = definition.__doc__
    produce.__signature__ = definition.signature  # type: ignore[attr-defined]  # what help() and inspect read
    return produce


def _deprecation(definition: EventDefinition) -> str:
    if definition.deprecated is None:
        return ""
    remark = f": {definition.deprecated.remark}" if definition.deprecated.remark else ""
    return f"{definition.label} is deprecated since {definition.deprecated.since}{remark}"


def unusable(definition: EventDefinition, kind: type[Any] | None) -> Callable[..., Any]:
    def refuse(*_: Any, **__: Any) -> Any:
        name = kind.__name__ if kind else "this object"
        raise UsageError(
            f"{name} neither produces nor implements {definition.method}: a producer comes from "
            f"{definition.contract.__name__}.producer(backbone), a consumer defines the method"
        )

    refuse.__name__ = definition.method
    return refuse


def mark_as_coroutine_function(definition: EventDefinition) -> None:
    """Let `AsyncMock(spec=Contract)` see that this is awaited when called on a producer."""
    if sys.version_info >= (3, 12):
        inspect.markcoroutinefunction(definition)
    else:
        vars(definition)["_is_coroutine"] = vars(asyncio.coroutines)["_is_coroutine"]
