"""`esb` without Python's own start: a process that has imported everything forks for each command.

A command still is a process of its own, with its own words, variables, folder, standard streams, signals and exit code.
Only the imports are shared, which are most of what a short command takes.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, NoReturn

from esb_cli.app import COMMANDS, MODULES

PRELOADED = (
    "asyncio", "hiredis", "jmespath", "redis.asyncio",
    "esb_cli.__main__", "esb_cli.checks", "esb_cli.contract_source", "esb_cli.schema", "esb_cli.supervisor",
    "esb_runtime.operations", "esb_runtime.redis._channel", "esb_runtime.replay",
    *(f"esb_cli.commands.{MODULES.get(name, name)}" for name in COMMANDS),
)  # fmt: skip
"""What commands import while they work."""


def run(words: Sequence[str], *, folder: Path, variables: Mapping[str, str], stdin: str) -> tuple[int, str, str]:
    """Run `esb` to its end: its exit code (negative for a signal), what it wrote to stdout and to stderr."""
    with TemporaryFile() as given, TemporaryFile() as out, TemporaryFile() as err:
        given.write(stdin.encode())
        given.seek(0)
        code = start(words, folder=folder, variables=variables, streams=(given, out, err)).wait(60)
        return code, _text(out), _text(err)


class Running:
    """A command that runs."""

    def __init__(self, told: socket.socket) -> None:
        self._told = told
        self.pid = int(told.recv(20))

    def wait(self, seconds: float) -> int:
        """Its exit code; it is killed, and `TimeoutError` raised, when it takes longer."""
        with self._told:
            self._told.settimeout(seconds)
            try:
                return int(self._told.recv(20))
            except TimeoutError:
                os.kill(self.pid, signal.SIGKILL)
                raise


def start(
    words: Sequence[str], *, folder: Path, variables: Mapping[str, str], streams: Sequence[IO[bytes] | int]
) -> Running:
    """Start `esb` with these standard streams."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    descriptors = [each if isinstance(each, int) else each.fileno() for each in streams]
    asked = json.dumps({"words": list(words), "folder": str(folder), "variables": dict(variables)}).encode()
    with theirs:
        socket.send_fds(_server(), [asked], [*descriptors, theirs.fileno()])
    return Running(ours)


@cache
def _server() -> socket.socket:
    """The process that forks; it ends when this one does, because their connection ends then."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    atexit.register(ours.close)
    with theirs:
        subprocess.Popen(
            [sys.executable, __file__, str(theirs.fileno())],
            env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
            pass_fds=[theirs.fileno()],
        ).returncode = 0  # nobody waits for it, and nobody wants to hear so
    return ours


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


def _serve(requests: socket.socket) -> None:
    """Fork for each request: once to wait for the command and tell its exit code, once more for the command."""
    for name in PRELOADED:
        importlib.import_module(name)
    gc.freeze()  # what is here stays: looking at it would copy it for every command
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # those who wait are waited for by nobody
    while True:
        asked, descriptors, _, _ = socket.recv_fds(requests, 1 << 20, 4)
        if not asked:
            return
        if os.fork():
            for each in descriptors:
                os.close(each)
            continue
        requests.close()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        told = descriptors[3]
        command = os.fork()
        if not command:
            os.close(told)
            _become(json.loads(asked), descriptors[:3])
        for each in descriptors[:3]:
            os.close(each)
        os.write(told, b"%d\n" % command)
        os.write(told, b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(command, 0)[1]))
        os._exit(0)


def _become(asked: dict[str, Any], descriptors: Sequence[int]) -> NoReturn:
    """Be the command."""
    for number, each in enumerate(descriptors):
        os.dup2(each, number)
        os.close(each)
    os.chdir(str(asked["folder"]))
    os.environ.clear()
    os.environ.update(asked["variables"])
    time.tzset()
    sys.argv = ["esb", *asked["words"]]
    sys.stdin, sys.stdout = open(0, encoding="utf-8"), open(1, "w", encoding="utf-8")  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1)  # noqa: SIM115
    try:
        sys.modules["esb_cli.__main__"].main()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # without tidying up everything that was imported: that would copy most of the memory


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
