"""Batch handlers: events of one kind are collected, then handled by one call."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Hashable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from ._job import Attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchPlan:
    """Up to `size` events together, the first of them waiting at most `wait`. `kind` tells kinds apart."""

    kind: Hashable
    size: int
    wait: timedelta


class BatchRunner(Protocol):
    """Who handles a full batch."""

    def run_batch(self, attempts: Sequence[Attempt]) -> Awaitable[None]:
        """Handle these together and settle each."""
        ...


class Batches:
    """Open batches, one per kind."""

    def __init__(self, runner: BatchRunner) -> None:
        self._runner = runner
        self._loop = asyncio.get_running_loop()
        self._open: dict[Hashable, list[Attempt]] = {}
        self._timers: dict[Hashable, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._one_at_a_time = asyncio.Lock()

    def add(self, plan: BatchPlan, attempt: Attempt) -> None:
        """Put an event into the open batch of its kind."""
        batch = self._open.setdefault(plan.kind, [])
        batch.append(attempt)
        if len(batch) >= plan.size:
            self._close(plan.kind)
        elif len(batch) == 1:
            self._timers[plan.kind] = self._loop.call_later(plan.wait.total_seconds(), self._close, plan.kind)

    def take_open(self) -> list[Attempt]:
        """Give up the open batches; returns their events, none of which was handled."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        left = [attempt for batch in self._open.values() for attempt in batch]
        self._open.clear()
        return left

    async def idle(self) -> None:
        """Wait until no batch is being handled."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def cancel(self) -> None:
        """Cancel what is being handled."""
        for task in self._tasks:
            task.cancel()
        await self.idle()

    def _close(self, kind: Hashable) -> None:
        timer = self._timers.pop(kind, None)
        if timer is not None:
            timer.cancel()
        batch = self._open.pop(kind, None)
        if batch:
            task = self._loop.create_task(self._run(batch))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run(self, batch: list[Attempt]) -> None:
        async with self._one_at_a_time:
            await self._runner.run_batch(batch)
