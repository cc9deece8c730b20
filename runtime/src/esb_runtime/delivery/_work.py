"""What an engine asks of those who run events."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Protocol

from .._envelope import Stored
from ._batches import BatchPlan
from ._job import Attempt
from ._policy import Failure


class Work(Protocol):
    """What events are run with."""

    @property
    def collects(self) -> bool:
        """Whether `plan_of` may say something."""
        ...

    def plan_of(self, stored: Stored) -> BatchPlan | None:
        """How events of this kind are collected before they are handled together; None for one by one."""
        ...

    def handle(self, attempt: Attempt) -> Awaitable[None]:
        """Handle one event."""
        ...

    def handle_batch(self, attempts: Sequence[Attempt]) -> Awaitable[None]:
        """Handle several events of one kind together."""
        ...

    def failure(self, attempts: Sequence[Attempt], error: BaseException) -> Failure:
        """Put an error into words that hold no argument values."""
        ...

    def redacted(self, attempt: Attempt, words: str) -> str:
        """What a handler said about its event, without argument values."""
        ...


class TookTooLong(Exception):
    """A handler went past its time limit."""
