"""A real Redis for development and tests, without anything to install or to run as an administrator."""

from __future__ import annotations

import asyncio
import atexit
import os
import signal
import subprocess
import time
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .._endpoint import ENDPOINT_VARIABLE, PASSWORD_VARIABLE, Endpoint
from .._errors import ChannelError, ServerNotStarted
from ._binary import find_binary, read_binary
from ._files import ServerFolder, ServerState
from ._launch import ask_pid, call, launch, remove_socket

STOP = timedelta(seconds=15)
"""How long a server may take to write its data down and end."""
_POLL_SECONDS = 0.005
_WATCHDOG = 'read _; pid=$(cat "$0" 2>/dev/null) && kill "$pid" 2>/dev/null'


class RedisServer:
    """One server per folder, shared by every process that asks for it; it outlives them all until `stop`.

    It listens on loopback or on a unix socket, keeps its data (append-only) in the folder, apart for each flavour
    and major version, and never evicts. `started` says whether this object's `start` brought it up.
    As a context manager it stops at the end what it started. Linux and macOS.
    """

    def __init__(
        self, *, endpoint: Endpoint, folder: ServerFolder | None, state: ServerState | None, started: bool
    ) -> None:
        self.endpoint = endpoint
        self.started = started
        self._folder = folder
        self._state = state
        self._watchdog: subprocess.Popen[bytes] | None = None

    @classmethod
    def start(
        cls,
        folder: str | os.PathLike[str],
        *,
        password: str | None = None,
        unix_socket: bool = False,
        binary: str | os.PathLike[str] | None = None,
        ends_with_process: bool = False,
    ) -> Self:
        """Start the server of this folder, or join the one that runs; returns when it answers.

        Any number of processes may call this at once: one server starts. It gets the port it had before when that
        is free. `ends_with_process` also ends it when this process is gone, even killed. `binary` is a server
        program to use instead of the one that is found. Raises `ServerNotStarted`, or `LoginRefused` when the
        running one has another password.
        """
        files = ServerFolder(Path(folder))
        files.make()
        with files.starting():
            running = cls.find(folder, password=password)
            if running is not None:
                ask_pid(running.endpoint)
                return running
            _end_leftover(files)
            program = read_binary(Path(binary)) if binary is not None else find_binary()
            state = launch(files, program, password=password, unix_socket=unix_socket)
            files.write(state)
        endpoint = Endpoint.parse(state.endpoint, password=password)
        server = cls(endpoint=endpoint, folder=files, state=state, started=True)
        if ends_with_process:
            server._watch()
        return server

    @classmethod
    def find(cls, folder: str | os.PathLike[str], *, password: str | None = None) -> Self | None:
        """The server that runs for this folder; None without one. Starts nothing, writes nothing."""
        files = ServerFolder(Path(folder))
        state = files.read()
        if state is None:
            return None
        endpoint = Endpoint.parse(state.endpoint, password=password)
        return cls(endpoint=endpoint, folder=files, state=state, started=False)

    @classmethod
    def at(cls, endpoint: Endpoint) -> Self:
        """A server that somebody else runs: `stop` and `kill` leave it alone."""
        return cls(endpoint=endpoint, folder=None, state=None, started=False)

    @classmethod
    async def start_async(cls, folder: str | os.PathLike[str], **options: Any) -> Self:
        """`start`, without blocking the event loop."""
        return await asyncio.to_thread(lambda: cls.start(folder, **options))

    async def stop_async(self) -> None:
        """`stop`, without blocking the event loop."""
        await asyncio.to_thread(self.stop)

    @property
    def pid(self) -> int | None:
        """The server's process; None for one that somebody else runs."""
        return self._state.pid if self._state is not None else None

    @property
    def description(self) -> str:
        """What it is: `Valkey 9.1.2`."""
        return self._state.server if self._state is not None else "a Redis run by somebody else"

    @property
    def data(self) -> Path | None:
        """The folder of its files; None for one that somebody else runs."""
        return Path(self._state.data) if self._state is not None else None

    @property
    def log(self) -> Path | None:
        """Its log since its last start; None for one that somebody else runs."""
        return self._folder.log if self._folder is not None else None

    @property
    def locked(self) -> bool:
        """Whether it asks for a password."""
        return self._state.locked if self._state is not None else self.endpoint.password is not None

    def environment(self) -> dict[str, str]:
        """The variables with which a child process finds this server."""
        variables = {ENDPOINT_VARIABLE: self.endpoint.display}
        if self.endpoint.password is not None:
            variables[PASSWORD_VARIABLE] = self.endpoint.password
        return variables

    def clear(self) -> None:
        """Delete everything in it; only the endpoint's database when somebody else runs it."""
        call(self.endpoint, "FLUSHALL" if self._folder is not None else "FLUSHDB")

    def stop(self) -> None:
        """Stop the server and keep its data; nothing to do when it already ended.

        Only the process that provably is this folder's server gets a signal. Raises `ServerNotStarted` when it does
        not end within 15 seconds.
        """
        self._unwatch()
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the server as a power failure would (SIGKILL): the last second of data may be lost."""
        self._unwatch()
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self._folder is None or self._state is None or not self._folder.redis.exists():
            return
        with self._folder.starting():
            if self._folder.read() != self._state:
                return
            _verify(self.endpoint, self._state)
            os.kill(self._state.pid, how)
            _wait_until_gone(self._folder, self._state.pid)
            remove_socket(self.endpoint, self._folder)
            self._folder.forget()

    def _watch(self) -> None:
        """Let a tiny process wait for this one's end (a pipe that closes) and then end the server."""
        assert self._folder is not None  # noqa: S101 - only `start` calls this, with a folder
        self._watchdog = subprocess.Popen(
            ["/bin/sh", "-c", _WATCHDOG, str(self._folder.pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        atexit.register(self.stop)

    def _unwatch(self) -> None:
        """Dismiss the tiny process, before the server ends."""
        if self._watchdog is not None:
            atexit.unregister(self.stop)
            watchdog, self._watchdog = self._watchdog, None
            watchdog.kill()
            watchdog.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        if self.started:
            self.stop()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        if self.started:
            await self.stop_async()

    def __repr__(self) -> str:
        return f"RedisServer({self.endpoint.display!r})"


def _verify(endpoint: Endpoint, state: ServerState) -> None:
    """The folder's lock proves that the server lives; ask it for its number too, when it lets us."""
    try:
        answering = ask_pid(endpoint)
    except ChannelError:
        return  # it needs a password that we were not given, or hangs: the lock it holds is the proof
    if answering != state.pid:
        raise ServerNotStarted(
            f"{endpoint} is answered by process {answering}, not by {state.pid} which was started here; "
            "nothing was stopped"
        )


def _end_leftover(folder: ServerFolder) -> None:
    """End a server whose starter was killed before it could write down where the server listens."""
    if folder.alive():
        pid = folder.last_pid()
        if pid is None:
            raise ServerNotStarted(f"an unknown process holds {folder.redis}; end it, or use another folder")
        os.kill(pid, signal.SIGTERM)
        _wait_until_gone(folder, pid)
    folder.forget()


def _wait_until_gone(folder: ServerFolder, pid: int) -> None:
    """Wait until the server's process has ended."""
    deadline = time.monotonic() + STOP.total_seconds()
    while folder.alive():
        if time.monotonic() > deadline:
            raise ServerNotStarted(f"the server (process {pid}) did not end within {STOP.total_seconds():.0f} s")
        time.sleep(_POLL_SECONDS)
