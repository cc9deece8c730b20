"""Runs one program: `python -m esb_runtime.run MODULE:FUNCTION` (what `esb run` and `esb dev` start).

| the target is | what happens |
|---|---|
| a plain function | it is called with a connected `Backbone`, to subscribe; then the backbone runs until a signal |
| a coroutine function | it is awaited with a connected `Backbone`; the program ends with it |
| a consumer class | `--group GROUP` subscribes an instance made without arguments; then as above |

The backbone is `Backbone.connect()`, or what the function that `--connect MODULE:FUNCTION` names returns. Redis and its
password come from `REDIS_EVENT_SOURCE_ENDPOINT` and `REDIS_EVENT_SOURCE_PASS`. SIGTERM and SIGINT end it
in order. How it ended is its exit code (`Ended`). With `--health PORT` it answers HTTP: `/live` is 200, `/ready` is 200
while every subscription consumes, else 503.
"""

from __future__ import annotations

import argparse
import asyncio
import inspect
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from enum import IntEnum
from importlib import import_module
from typing import Any, cast

from ._errors import ChannelUnavailable, EndpointError, LoginRefused
from ._probe import answering
from ._running import run_to_end

LIFELINE = "ESB_LIFELINE"
"""Set by a supervisor that holds the other end of this process's stdin: when that closes, the supervisor is gone."""


class Ended(IntEnum):
    """How a program ended, for whoever decides whether to start it again."""

    DONE = 0
    FAILED = 1
    """Consumers stopped with an error: another start goes on where they were."""
    UNLOADABLE = 2
    """There is no such program, or its module cannot be imported: only a change of the code helps."""
    UNREACHABLE = 3
    """Redis could not be reached or refused the login."""
    FAILED_ONCE = 4
    """A program that runs once failed: another start repeats what it did before."""


class Unloadable(Exception):
    """The target names no program."""


def main(arguments: list[str] | None = None) -> int:
    """Run one program to its end; returns its exit code."""
    options = _parser().parse_args(arguments)
    hold_lifeline()
    try:
        target = load(options.target, group=options.group)
        connect = load(options.connect, group=None) if options.connect else None
    except Unloadable as problem:
        _say(str(problem))
        return Ended.UNLOADABLE
    except Exception:  # noqa: BLE001 - whatever the user's module raises while it is imported
        traceback.print_exc()
        return Ended.UNLOADABLE
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        return run_to_end(_run(target, group=options.group, connect=connect, health=options.health))
    except Unloadable as problem:
        _say(str(problem))
        return Ended.UNLOADABLE
    except (ChannelUnavailable, LoginRefused, EndpointError) as problem:
        _say(str(problem))
        return Ended.UNREACHABLE
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except Exception:  # noqa: BLE001 - the user's own failure, shown as Python shows it
        traceback.print_exc()
        return Ended.FAILED_ONCE if inspect.iscoroutinefunction(target) else Ended.FAILED


def load(text: str, *, group: str | None) -> Callable[..., Any]:
    """The function or class that `MODULE:NAME` names. Raises `Unloadable`, or what the module itself raises."""
    module_name, colon, name = text.partition(":")
    if not module_name or not colon or not name:
        raise Unloadable(f"{text!r} is no program: write MODULE:FUNCTION, as in shop.consumer:wire")
    try:
        found: Any = import_module(module_name)
    except ModuleNotFoundError as problem:
        if problem.name is None or not f"{module_name}.".startswith(f"{problem.name}."):
            raise
        raise Unloadable(f"there is no module {problem.name!r} for {sys.executable}") from None
    for part in name.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise Unloadable(f"module {module_name!r} has no function or class {name!r}")
    if inspect.isclass(found) != (group is not None):
        remedy = "name its group with --group" if group is None else "--group belongs to a consumer class"
        raise Unloadable(f"{text} is a {'class' if group is None else 'function'}: {remedy}")
    return cast("Callable[..., Any]", found)


async def _run(
    target: Callable[..., Any], *, group: str | None, connect: Callable[..., Any] | None, health: int | None
) -> int:
    """Connect, do what the target is for, and leave in order."""
    from ._backbone import Backbone

    async with AsyncExitStack() as stack:
        backbone = await stack.enter_async_context((connect or Backbone.connect)())
        if health is not None:
            try:
                await stack.enter_async_context(answering(health, lambda: backbone.consuming))
            except OSError as problem:
                raise Unloadable(f"--health: port {health} cannot be had: {problem.strerror}") from None
        if inspect.iscoroutinefunction(target):
            return await _once(target(backbone))
        if group is not None:
            backbone.subscribe(target(), group=group)
        else:
            outcome = target(backbone)
            if inspect.isawaitable(outcome):  # a partial or a callable object around a coroutine function
                return await _once(outcome)
        await backbone.run()
    return Ended.DONE


async def _once(work: Awaitable[Any]) -> int:
    """Await a program that ends by itself; SIGTERM cancels it, so that its connection is closed in order."""
    task = asyncio.ensure_future(work)
    stopped = threading.Event()

    def stop() -> None:
        stopped.set()
        task.cancel()

    if sys.platform != "win32":
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop)
    try:
        await task
    except asyncio.CancelledError:
        if not stopped.is_set():
            raise
        return 128 + signal.SIGTERM
    return Ended.DONE


def hold_lifeline() -> None:
    """End this process in order when its supervisor is gone, however that ended; without one there is nothing to do."""
    if not os.environ.get(LIFELINE):
        return

    def watch() -> None:
        while os.read(0, 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="esb-lifeline", daemon=True).start()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m esb_runtime.run", description="Run one program of esb.")
    parser.add_argument("target", metavar="MODULE:NAME", help="a function, a coroutine function or a consumer class")
    parser.add_argument("--group", help="the consumer group of a consumer class")
    parser.add_argument("--health", metavar="PORT", type=int, help="answer /live and /ready on this port")
    parser.add_argument("--connect", metavar="MODULE:FUNCTION", help="a function that returns the backbone")
    return parser


def _say(message: str) -> None:
    """A sentence for the log."""
    sys.stderr.write(f"{message}\n")


if __name__ == "__main__":
    sys.exit(main())
