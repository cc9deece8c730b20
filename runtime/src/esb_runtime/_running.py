"""Running things together until a signal comes, or until every one of them has ended."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence
from typing import Protocol


class Runnable(Protocol):
    """Something that runs until it is asked to stop."""

    async def run(self) -> None:
        """Run until `stop`."""
        ...

    async def stop(self) -> None:
        """Ask `run` to end in order."""
        ...


async def run_together(runnables: Sequence[Runnable]) -> None:
    """Run all until SIGINT or SIGTERM asks them to stop; raises what one of them raises, after stopping the others."""
    loop = asyncio.get_running_loop()
    stopping: list[asyncio.Future[None]] = []

    def stop_soon() -> None:
        stopping.append(asyncio.ensure_future(stop_all(runnables)))

    installed = [one for one in (signal.SIGINT, signal.SIGTERM) if _installed(loop, one, stop_soon)]
    try:
        async with asyncio.TaskGroup() as tasks:
            for runnable in runnables:
                tasks.create_task(runnable.run())
    finally:
        for one in installed:
            loop.remove_signal_handler(one)


async def stop_all(runnables: Sequence[Runnable]) -> None:
    """Ask all to end."""
    for runnable in runnables:
        await runnable.stop()


def _installed(loop: asyncio.AbstractEventLoop, number: signal.Signals, callback: Callable[[], None]) -> bool:
    """Whether the loop takes this signal (it cannot outside the main thread, or on Windows)."""
    try:
        loop.add_signal_handler(number, callback)
    except (NotImplementedError, RuntimeError, ValueError):
        return False
    return True
