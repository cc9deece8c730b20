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
    from ._settings import Deprecated

REQUIRED = inspect.Parameter.empty
"""The default of a parameter that has none."""


def compiled_binder(name: str, signature: inspect.Signature) -> Callable[..., dict[str, Any]]:
    """Compile `def name(a, b=..., *, c=...): return {"a": a, ...}`: as fast as a call, and Python words the errors."""
    return cast("Callable[..., dict[str, Any]]", _compiled_call(name, signature, "{}", {}))


def _compiled_call(name: str, signature: inspect.Signature, result: str, scope: dict[str, Any]) -> Callable[..., Any]:
    """A function with this very signature; `result` is an expression around the arguments by name (`{}`)."""
    shown: list[inspect.Parameter] = []
    for parameter in signature.parameters.values():
        plain = parameter.replace(annotation=REQUIRED)
        if parameter.default is not REQUIRED:
            scope[f"_default_{parameter.name}_"] = parameter.default
            plain = plain.replace(default=_Source(f"_default_{parameter.name}_"))
        shown.append(plain)
    items = ", ".join(f"{parameter.name!r}: {parameter.name}" for parameter in shown)
    source = f"def {name}{inspect.Signature(shown)}: return {result.format(f'{{{items}}}')}"
    return cast("Callable[..., Any]", compiled(source, scope))


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
    """What `producer.order_placed` is: binds the arguments and hands them to the sender, in one compiled call."""
    scope = {"_send_": sender.sends(definition, stream)}
    produce = _compiled_call(definition.method, definition.signature, "_send_({})", scope)
    if definition.deprecated is not None:
        produce = _warning(produce, _deprecation(definition.label, definition.deprecated))
    produce.__qualname__ = definition.label
    produce.__module__ = definition.function.__module__
    produce.__doc__ = definition.__doc__
    produce.__signature__ = definition.signature  # type: ignore[attr-defined]  # what help() and inspect read
    return produce


def _warning(produce: Callable[..., Any], text: str) -> Callable[..., Any]:
    def deprecated(*args: Any, **kwargs: Any) -> Any:
        warnings.warn(text, DeprecationWarning, stacklevel=2)
        return produce(*args, **kwargs)

    deprecated.__name__ = produce.__name__
    return deprecated


def _deprecation(label: str, deprecated: Deprecated) -> str:
    remark = f": {deprecated.remark}" if deprecated.remark else ""
    return f"{label} is deprecated since {deprecated.since}{remark}"


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
