"""Running a program's loop, and things together until a signal comes or every one of them has ended."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Runnable(Protocol):
    """Something that runs until it is asked to stop."""

    async def run(self) -> None:
        """Run until `stop`."""
        ...

    async def stop(self) -> None:
        """Ask `run` to end in order."""
        ...


def run_to_end(main: Coroutine[Any, Any, T]) -> T:
    """What a program of esb's own does, run to its end: on uvloop where `esb-runtime[fast]` brought it."""
    uvloop: Any = import_module("uvloop") if find_spec("uvloop") is not None else None
    with asyncio.Runner(loop_factory=uvloop and uvloop.new_event_loop) as runner:
        return runner.run(main)


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
