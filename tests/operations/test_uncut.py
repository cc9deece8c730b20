"""A step that a cancellation does not cut in two."""

from __future__ import annotations

import asyncio

import pytest

from esb_runtime import _uncut
from esb_runtime._uncut import uncut


async def test_the_result_is_known_and_the_cancellation_comes_behind() -> None:
    """The step ends, its caller has the result, and is cancelled where it waits next."""
    begun, go_on = asyncio.Event(), asyncio.Event()
    seen: list[str] = []

    async def step() -> str:
        begun.set()
        await go_on.wait()
        return "stored"

    async def caller() -> None:
        seen.append(await uncut(step()))
        await asyncio.Event().wait()

    task = asyncio.create_task(caller())
    await begun.wait()
    task.cancel()
    await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == ["stored"]
    assert task.cancelling() == 1


async def test_steps_in_a_row_end() -> None:
    """The step behind the one that was cancelled does not begin."""
    done: list[int] = []
    task: asyncio.Task[None]

    async def step(number: int) -> None:
        if number == 3:
            task.cancel()
        await asyncio.sleep(0)
        done.append(number)

    async def caller() -> None:
        for number in range(10):
            await uncut(step(number))

    task = asyncio.create_task(caller())
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done == [0, 1, 2, 3]


async def test_a_step_that_hangs_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has its time; then it is cancelled, and what failed in it does not hide that."""
    monkeypatch.setattr(_uncut, "PATIENCE", 0.01)
    begun = asyncio.Event()

    async def step() -> None:
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(uncut(step()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
