"""How fast events are replayed: so many a second, or as they once came."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import takewhile

from ._envelope import Stored
from ._identifiers import entry_order

GRAIN = 0.02
"""Shortest wait in seconds: what falls due within it goes together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """At most `rate` events a second; or with the gaps that they were stored with, divided by `speed`.

    0 stands for no bound. What runs late catches up.
    """

    rate: float = 0.0
    speed: float = 0.0

    async def __call__(self, pages: AsyncIterator[list[Stored]]) -> AsyncIterator[list[Stored]]:
        """The events of these pages, each not before it is due."""
        if not self.rate and not self.speed:
            async for page in pages:
                yield page
            return
        began, passed, origin = time.monotonic(), 0, 0
        async for page in pages:
            origin = origin or (_milliseconds(page[0]) if page else 0)
            rest = [(self._due(event, passed + n, origin), event) for n, event in enumerate(page)]
            passed += len(page)
            while rest:
                now = time.monotonic() - began
                due = [event for _, event in takewhile(lambda each: each[0] <= now, rest)]  # noqa: B023 - used at once
                if due:
                    yield due
                    rest = rest[len(due) :]
                else:
                    await asyncio.sleep(max(rest[0][0] - now, GRAIN))

    def _due(self, event: Stored, number: int, origin: int) -> float:
        """Seconds after the beginning."""
        by_rate = number / self.rate if self.rate else 0.0
        by_time = (_milliseconds(event) - origin) / 1000 / self.speed if self.speed else 0.0
        return max(by_rate, by_time)


UNBOUNDED = Pace()


def _milliseconds(event: Stored) -> int:
    return entry_order(event.key.id)[0]
