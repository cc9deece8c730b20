"""Handlers that take many events of one kind at once."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Concatenate, Protocol, cast

from ._context import ConsumerContext
from ._delivery import Delivery
from ._errors import ContractError

_MARK = "__esb_batch__"


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchOptions:
    """How many events a batch holds at most, and how long its first event waits for the others."""

    size: int
    wait: timedelta


class BatchDecorator(Protocol):
    """`@batch(...)`."""

    def __call__(
        self, fn: Callable[[Any, Sequence[Delivery[...]]], Coroutine[Any, Any, None]], /
    ) -> Callable[Concatenate[Any, ConsumerContext, ...], Coroutine[Any, Any, None]]:
        """Make the method handle batches."""
        ...


def batch(*, size: int = 100, wait: timedelta = timedelta(milliseconds=50)) -> BatchDecorator:
    """Let a consumer's method take up to `size` events at once, waiting up to `wait` for more after the first.

        @batch(size=500, wait=timedelta(milliseconds=50))
        async def packing(self, deliveries: Sequence[Delivery[...]]) -> None: ...

    When the method returns, all its events are handled; when it raises, all of them are retried. Raises
    `ContractError` for a size below 1 or a negative wait.
    """
    if size < 1 or wait < timedelta(0):
        raise ContractError("@batch: size is at least 1, wait at least 0")

    def mark(fn: Callable[..., Any], /) -> Any:
        if not callable(fn):
            raise ContractError("@batch marks a method of a consumer: write `async def` below it")
        vars(fn)[_MARK] = BatchOptions(size=size, wait=wait)
        return fn

    return cast("BatchDecorator", mark)


def batch_options(fn: object) -> BatchOptions | None:
    """What `@batch` said about a method; None for one that takes single events."""
    return cast("BatchOptions | None", getattr(fn, _MARK, None))
