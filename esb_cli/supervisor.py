"""Keeps programs running: starts them, shows what they write, starts them again, ends them in order.

| a program ended with | what follows |
|---|---|
| 0 | it is done |
| 2, it cannot be loaded | wait for a change of the sources; without a watch, give up |
| 4, a program that runs once failed | the same: another start would repeat what it did |
| anything else | another start, after a wait that doubles from 1 s to 30 s while it keeps failing |
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from esb_runtime.run import Ended

from . import terminal
from .child import Child
from .programs import Program, Surroundings
from .sources import Sources

COLOURS = ("cyan", "green", "yellow", "magenta", "blue")
DRAIN = timedelta(seconds=35)
"""How long programs may take to end in order: a little more than `subscribe(drain=)` has as its default."""
QUIET = timedelta(seconds=1)
"""How long an end may take without a word about it."""
HOPELESS = (Ended.UNLOADABLE, Ended.FAILED_ONCE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How long to wait before another start; a program that ran for `healthy` begins anew."""

    first: timedelta = timedelta(seconds=1)
    longest: timedelta = timedelta(seconds=30)
    healthy: timedelta = timedelta(seconds=30)

    def delay(self, failures: int) -> float:
        """Seconds after this many failures in a row."""
        return min(self.first.total_seconds() * 2.0 ** min(failures - 1, 16), self.longest.total_seconds())


class Supervisor:
    """Runs programs until all have ended, or until a signal ends them.

    `sources` restarts them when files change. `stopped_by` is the signal that ended it, None without one.
    """

    def __init__(
        self,
        programs: Sequence[Program],
        surroundings: Surroundings,
        *,
        sources: Sources | None = None,
        on_change: Callable[[frozenset[Path]], None] | None = None,
        drain: timedelta = DRAIN,
        backoff: Backoff | None = None,
    ) -> None:
        self.stopped_by: signal.Signals | None = None
        self._stop = asyncio.Event()
        self._sources = sources
        self._on_change = on_change
        width = max((len(program.name) for program in programs), default=0)
        self._keepers = [
            _Keeper(
                program,
                surroundings,
                voice=_Voice(program.name.ljust(width), COLOURS[at % len(COLOURS)], self._reader_left),
                watched=sources is not None,
                drain=drain,
                backoff=backoff or Backoff(),
            )
            for at, program in enumerate(programs)
        ]
        self._pipe_closed = False

    async def run(self) -> bool:
        """Run to the end; whether every program is done or was ended by a signal.

        Raises `BrokenPipeError` when nobody reads stdout any more, after ending everything.
        """
        async with self._signals():
            watching = asyncio.create_task(self._watch())
            try:
                async with asyncio.TaskGroup() as group:
                    for keeper in self._keepers:
                        group.create_task(keeper.keep(self._stop))
            finally:
                watching.cancel()
        if self._pipe_closed:
            raise BrokenPipeError
        return self.stopped_by is not None or all(keeper.done for keeper in self._keepers)

    async def _watch(self) -> None:
        """Restart what a change of the sources concerns."""
        if self._sources is None:
            return
        async for files in self._sources.changes():
            names = sorted({file.name for file in files})
            terminal.note(f"{', '.join(names[:3])}{' and more' if names[3:] else ''} changed")
            if self._on_change is not None:
                await asyncio.to_thread(self._on_change, files)
            for keeper in self._keepers:
                keeper.changed(files)

    @asynccontextmanager
    async def _signals(self) -> AsyncGenerator[None]:
        """Turn signals into an orderly end; the second Ctrl-C no longer waits for it."""
        loop = asyncio.get_running_loop()
        caught = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # under nohup it stays ignored
            caught.append(signal.SIGHUP)
        for number in caught:
            loop.add_signal_handler(number, self._end, number)
        try:
            yield
        finally:
            for number in caught:
                loop.remove_signal_handler(number)

    def _end(self, number: signal.Signals) -> None:
        if self._stop.is_set():
            for keeper in self._keepers:
                keeper.kill()
            return
        self.stopped_by = number
        self._stop.set()
        if number is signal.SIGINT:
            asyncio.get_running_loop().call_later(QUIET.total_seconds(), self._explain)

    def _explain(self) -> None:
        """Say why the terminal is not free yet."""
        terminal.note("the programs finish what they have in hand; Ctrl-C again kills them")

    def _reader_left(self) -> None:
        self._pipe_closed = True
        self._stop.set()


class _Voice:
    """Writes the lines of one program to stdout, its name in front."""

    def __init__(self, name: str, colour: str, reader_left: Callable[[], None]) -> None:
        self._prefix = terminal.stdout().style(f"{name} |", colour)
        self._reader_left = reader_left

    def say(self, line: str) -> None:
        try:
            sys.stdout.write(f"{self._prefix} {line}\n")
            sys.stdout.flush()
        except BrokenPipeError:
            self._reader_left()


class _Keeper:
    """Keeps one program running."""

    def __init__(
        self,
        program: Program,
        surroundings: Surroundings,
        *,
        voice: _Voice,
        watched: bool,
        drain: timedelta,
        backoff: Backoff,
    ) -> None:
        self.done = False
        self._program = program
        self._surroundings = surroundings
        self._voice = voice
        self._watched = watched
        self._drain = drain
        self._backoff = backoff
        self._changed = asyncio.Event()
        self._child: Child | None = None

    async def keep(self, stop: asyncio.Event) -> None:
        """Run the program until it is done, hopeless, or told to stop."""
        failures = 0
        while not stop.is_set():
            self._changed.clear()
            started = time.monotonic()
            code = await self._run(stop)
            if code is None:
                failures = 0
                continue
            if time.monotonic() - started > self._backoff.healthy.total_seconds():
                failures = 0
            failures += 1
            if not await self._again(code, failures, stop):
                return

    async def _run(self, stop: asyncio.Event) -> int | None:
        """Run the program once: its exit code, or None when it was ended from here."""
        self._child = child = await Child.start(self._program, self._surroundings, self._voice.say)
        ended = asyncio.create_task(child.ended())
        await _first(ended, stop, self._changed)
        if ended.done():
            return ended.result()
        await child.stop(self._drain)
        await ended
        return None

    async def _again(self, code: int, failures: int, stop: asyncio.Event) -> bool:
        """Say how the program ended; wait until it may start again. False when it will not."""
        name = self._program.name
        self.done = code == Ended.DONE
        if self.done or code in HOPELESS:
            how = "is done" if self.done else f"ended with {code}"
            if not self._watched:
                terminal.note(f"{name} {how}")
                return False
            terminal.note(f"{name} {how}" + ("" if self.done else "; waiting for a change"))
            await _first(stop, self._changed)
            return True
        delay = self._backoff.delay(failures)
        ended = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
        terminal.note(f"{name} {ended}; starting it again in {delay:g} s")
        await _first(stop, self._changed, seconds=delay)
        return True

    def changed(self, files: frozenset[Path]) -> None:
        """Sources changed: a running program starts again, one that is done only when the files are its own."""
        if not self.done or any(self._program.owns(file) for file in files):
            self._changed.set()

    def kill(self) -> None:
        """No patience any more."""
        if self._child is not None:
            self._child.kill()


async def _first(*awaited: asyncio.Event | asyncio.Task[int], seconds: float | None = None) -> None:
    """Wait for the first of these, or for so many seconds."""
    tasks = [asyncio.ensure_future(one.wait()) for one in awaited if isinstance(one, asyncio.Event)]
    others = [one for one in awaited if isinstance(one, asyncio.Task)]
    try:
        await asyncio.wait([*tasks, *others], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
