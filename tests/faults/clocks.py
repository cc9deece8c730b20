"""Wall clocks that a test sets: those of its Python processes, and the server's where libfaketime is installed.

Monotonic clocks stay as they are, as they do where somebody sets the time of a machine.
"""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

VARIABLE = "ESB_FAULTS_CLOCK"
"""Names the file that says how far off the wall clocks of Python processes are, in seconds."""
_LIBRARIES = "*/faketime/libfaketimeMT.so.1"
"""Below /usr/lib, where Debian's package libfaketime puts it."""


def follow() -> None:
    """From now on this process's wall clock is off by what the file says at each look, where a test names one."""
    if VARIABLE not in os.environ:
        return
    file = os.open(os.environ[VARIABLE], os.O_RDONLY)
    seconds, nanoseconds = time.time, time.time_ns

    def off() -> int:
        return int(os.pread(file, 32, 0))

    time.time = lambda: seconds() + off()
    time.time_ns = lambda: nanoseconds() + off() * 1_000_000_000


class Clocks:
    """The two files, and the program that starts a server under the second one."""

    def __init__(self, folder: Path) -> None:
        self.clients = folder / "clients-clock"
        self._server = folder / "server-clock"
        self._program = folder / "server-with-a-clock"
        self._library = next(iter(sorted(Path("/usr/lib").glob(_LIBRARIES))), None)
        self.set_clients(0)
        self.set_server(0)

    @property
    def server_can_jump(self) -> bool:
        """Whether libfaketime is here, and the server lives with it."""
        return self._library is not None

    def set_clients(self, seconds: int) -> None:
        """So far off are the Python processes from now on; one write over the old one, so that no reader sees half."""
        file = os.open(self.clients, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.pwrite(file, f"{seconds:<+32d}".encode(), 0)
        finally:
            os.close(file)

    def set_server(self, seconds: int) -> None:
        """So far off is the server within a second from now."""
        self._server.write_text(f"{seconds:+d}s\n", "ascii")

    def program(self, server: Path) -> Path:
        """What to start instead of this server program; itself where it cannot live with libfaketime.

        Debian's redis-server 7.0 is one of those: its allocator is a library that waits for libfaketime, which waits
        for memory.
        """
        if self._library is None:
            return server
        self._program.write_text(
            f"#!/bin/sh\nexport LD_PRELOAD={self._library} FAKETIME_TIMESTAMP_FILE={self._server}\n"
            f'export FAKETIME_CACHE_DURATION=1 FAKETIME_DONT_FAKE_MONOTONIC=1\nexec {server} "$@"\n'
        )
        self._program.chmod(0o700)
        try:
            subprocess.run([self._program, "--version"], capture_output=True, timeout=3, check=True)
        except subprocess.TimeoutExpired:
            self._library = None
            return server
        return self._program
