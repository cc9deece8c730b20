"""One child process: its lines, its orderly end, and the end of everything it started."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

from esb_runtime.run import LIFELINE

from .programs import Program, Surroundings

_LONGEST_LINE = 64 * 1024
_PIPE_SECONDS = 2.0
"""How long after a program's end its last lines may still arrive."""


class Child:
    """A program that runs, in a session of its own: what it starts can be ended with it."""

    def __init__(self, process: asyncio.subprocess.Process, listener: asyncio.Task[None]) -> None:
        self._process = process
        self._listener = listener

    @classmethod
    async def start(cls, program: Program, surroundings: Surroundings, hear: Callable[[str], None]) -> Child:
        """Start a program; `hear` gets each line that it writes, whichever stream it chose.

        Its stdin is a pipe that closes with this process: a program that is left alone ends itself.
        """
        process = await asyncio.create_subprocess_exec(
            *program.command(surroundings.interpreter),
            cwd=surroundings.folder,
            env={**surroundings.environment, LIFELINE: "1"},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        assert process.stdout is not None  # noqa: S101 - it was asked for
        return cls(process, asyncio.create_task(_listen(process.stdout, hear)))

    async def ended(self) -> int:
        """Wait for the program's end and its last lines; whatever it started and left is killed. Its exit code."""
        code = await self._process.wait()
        self._signal_group(signal.SIGKILL)
        done, _ = await asyncio.wait([self._listener], timeout=_PIPE_SECONDS)
        if not done:
            self._listener.cancel()
        return code

    async def stop(self, drain: timedelta) -> int:
        """Ask the program to end in order (SIGTERM); kill it and all that it started when it takes too long."""
        if self._process.returncode is None:
            self._process.terminate()
        try:
            async with asyncio.timeout(drain.total_seconds()):
                await self._process.wait()
        except TimeoutError:
            self.kill()
        return await self.ended()

    def kill(self) -> None:
        """End the program and all that it started, now."""
        self._signal_group(signal.SIGKILL)

    def _signal_group(self, how: signal.Signals) -> None:
        try:
            os.killpg(self._process.pid, how)
        except (ProcessLookupError, PermissionError):  # nothing is left (macOS says it the second way)
            return


async def _listen(stream: asyncio.StreamReader, hear: Callable[[str], None]) -> None:
    """Hand over each line of a program."""
    async for line in _lines(stream):
        hear(line.decode("utf-8", "backslashreplace").rstrip("\r"))


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """The lines of a stream, the last one too when it does not end; endless ones come in pieces."""
    rest = b""
    while chunk := await stream.read(_LONGEST_LINE):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line
        if len(rest) >= _LONGEST_LINE:
            yield rest
            rest = b""
    if rest:
        yield rest
