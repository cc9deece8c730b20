"""Handlers that never wait leave the event loop to others now and then."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from esb_runtime._ports import Settlements
from esb_runtime.delivery._policy import Policy
from esb_runtime.delivery._runner import Runner

from .kit import job, until


class Seat:
    """Takes outcomes."""

    async def settle(self, settlements: Settlements) -> None: ...


class Spins:
    """A handler that works for a millisecond."""

    collects = False

    def __init__(self) -> None:
        self.ran = 0

    async def handle(self, attempt: object) -> None:
        self.ran += 1
        loop = asyncio.get_running_loop()
        began = loop.time()
        while loop.time() - began < 0.001:
            pass


async def test_handlers_that_never_wait_leave_room_for_others() -> None:
    """Two hundred handlers without an await do not keep the loop from its other work."""
    work = Spins()
    runner = Runner(
        cast("Any", Seat()), cast("Any", work), Policy(), name="orders / g", group="g", broken=lambda error: None
    )
    runner.admit([job(n) for n in range(200)])
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert 0 < work.ran < 200
    await until(lambda: work.ran == 200)
    await runner.flush()
    assert not runner.in_hand()
