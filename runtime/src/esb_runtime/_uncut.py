"""A step that a cancellation does not cut in two: it ends first, and what came of it is known."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

PATIENCE = 2.0
"""Seconds that a cancelled step has to end."""


async def uncut(step: Coroutine[Any, Any, T]) -> T:
    """The step's result, also when the caller is cancelled meanwhile: then the cancellation comes at its next wait.

    A step that does not end within two seconds of the cancellation is cancelled, too, and has no result.
    """
    try:
        await asyncio.sleep(0)  # one that waits already comes here: steps in a row need not wait anywhere else
    except asyncio.CancelledError:
        step.close()
        raise
    task = asyncio.ensure_future(step)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        caller = asyncio.current_task()
        ended, _ = await asyncio.wait({task}, timeout=PATIENCE)
        if not ended or caller is None:
            task.cancel()
            raise
        if caller.cancelling():
            caller.uncancel()
            caller.cancel()
        return task.result()
