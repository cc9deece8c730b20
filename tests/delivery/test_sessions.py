"""A session of the engine ends when it has to, also where redis-py loses its cancellation."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, cast

from esb_runtime import ChannelUnavailable
from esb_runtime._ports import Settlements, Taken
from esb_runtime.delivery._engine import Engine
from esb_runtime.delivery._policy import Policy

from .kit import taken, until

HELD = 64
"""As many as the buffer takes, so that there is no room until something is handled."""
FURTHER = 70


class OutOfOrder:
    """A seat whose server fails twice while events start, and whose reply meets the cancellation that follows."""

    tenure = "1|me"

    def __init__(self) -> None:
        self.pending = {f"{n}-0": taken(n, starts=1, failures=1) for n in range(1, HELD + FURTHER + 1)}
        self.sessions = 0
        self.refused = 0
        self.settled: set[str] = set()

    async def open(self) -> None:
        self.sessions += 1

    async def acquire(self) -> bool:
        return True

    def beat(self) -> bool:
        return True

    async def recover(self, after: str, count: int) -> tuple[list[Taken], None]:
        return [], None

    async def mine(self, after: str, count: int) -> tuple[list[Taken], None]:
        """Loses cancellations, as redis-py does when they meet a reply."""
        if self.sessions == 1:
            return [], None
        while self.sessions == 2 and self.refused < 2 * HELD:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.001)
        return [one for id_, one in self.pending.items() if id_ not in self.settled], None

    async def read(self, count: int, wait: timedelta) -> list[Taken]:
        if self.sessions == 1:
            return list(self.pending.values())[:HELD]
        await asyncio.Event().wait()
        return []

    async def starting(self, starts: Mapping[str, int]) -> None:
        if self.sessions < 3:
            self.refused += 1
            raise ChannelUnavailable("redis://away", "away")

    async def settle(self, settlements: Settlements) -> None:
        self.settled |= {id_ for id_, _ in settlements.handled}

    async def hand_back(self, entries: Mapping[str, int], *, to: str = "") -> None: ...

    async def leave(self) -> None: ...


class Handles:
    """Handles whatever comes."""

    collects = False

    def plan_of(self, stored: object) -> None: ...

    async def handle(self, attempt: object) -> None: ...


async def test_what_an_outage_stopped_makes_room_again() -> None:
    """Memory full of starts that an outage stopped: the next session goes on with them, or ends by another outage."""
    seat = OutOfOrder()
    engine = Engine(cast("Any", seat), cast("Any", Handles()), Policy(concurrency=4), stream="orders", group="g")
    running = asyncio.create_task(engine.run())
    await until(lambda: len(seat.settled) == HELD + FURTHER, seconds=30)
    await engine.stop()
    await running
    assert seat.sessions == 3
