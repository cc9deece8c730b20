"""Many bounds share one timer and are still as exact as `asyncio.timeout`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from esb_runtime._patience import Patience


@pytest.fixture
async def patience() -> AsyncIterator[Patience]:
    """Bounds of this loop."""
    made = Patience()
    yield made
    made.close()


async def test_a_bound_ends_the_wait(patience: Patience) -> None:
    """Each ends at its own time, also one that begins later and ends earlier; the others go on."""

    async def waiting(seconds: float) -> float:
        began = time.monotonic()
        with pytest.raises(TimeoutError), patience.within(seconds):
            await asyncio.Event().wait()
        return time.monotonic() - began

    long = asyncio.create_task(waiting(0.3))
    await asyncio.sleep(0)
    assert 0.04 < await waiting(0.05) < 0.25
    assert not long.done()
    assert 0.29 < await long < 0.9


async def test_what_ends_in_time_is_left_alone(patience: Patience) -> None:
    """A task whose bound ended well is not cancelled when the shared timer comes."""
    other = asyncio.Event()
    with patience.within(0.05):
        await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(other.wait(), 0.1)  # longer than the bound was
    with pytest.raises(ValueError, match="its own"), patience.within(0.05):
        raise ValueError("its own")


async def test_a_cancellation_from_outside_stays_one(patience: Patience) -> None:
    """Who is cancelled by somebody else ends as cancelled, whether its time is over at the same moment or not."""

    async def waiting(seconds: float) -> None:
        with patience.within(seconds):
            await asyncio.Event().wait()

    for seconds in (10.0, 0.0):
        task = asyncio.create_task(waiting(seconds))
        await asyncio.sleep(0)
        if not seconds:
            patience._look(asyncio.get_running_loop())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
