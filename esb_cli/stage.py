"""A terminal session that plays by itself: the command that a person would type, then what it really answers."""

from __future__ import annotations

import os
import queue
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Self

from esb_runtime.run import LIFELINE

from .failures import Failure
from .terminal import put, stdout

PATIENCE = timedelta(seconds=60)
"""How long a step may take before the session gives up; the usual is far below."""
ESB = (sys.executable, "-m", "esb_cli")


class Stage:
    """Plays commands in one folder after another, and checks what they do.

    Raises `Failure` as soon as something does not happen.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self._environment = dict(environment)
        self._terminal = stdout()
        if self._terminal.colour:
            self._environment["FORCE_COLOR"] = "1"
        if self._terminal.width is not None:
            self._environment["COLUMNS"] = str(self._terminal.width)

    def tell(self, text: str) -> None:
        """A sentence of the narrator."""
        put("")
        put(self._terminal.style(f"# {text}", "bold"))

    def play(self, *arguments: str, code: int = 0, shows: Sequence[str] = ()) -> str:
        """Run `esb` with these arguments: it must end with `code` and show these texts. Its output."""
        command = shlex.join(["esb", *arguments])
        self._type(command)
        try:
            done = subprocess.run(
                [*ESB, *arguments],
                cwd=self.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                errors="backslashreplace",
                timeout=PATIENCE.total_seconds(),
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise Failure(f"`{command}` did not end within {PATIENCE.total_seconds():.0f} s") from None
        put(done.stdout.rstrip("\n"))
        if done.returncode != code:
            raise Failure(f"`{command}` ended with {done.returncode}, expected {code}")
        for text in shows:
            if text not in done.stdout:
                raise Failure(f"`{command}` did not show {text!r}")
        return done.stdout

    def begin(self, *arguments: str, typed: str) -> Background:
        """Start `esb` with these arguments beside what follows; `typed` is what a person would type."""
        self._type(typed)
        return Background(arguments, self.folder, self._environment)

    def _type(self, command: str) -> None:
        put(self._terminal.style("$ ", "green") + self._terminal.style(command, "bold"))


class Background:
    """An `esb` command that goes on while others run."""

    def __init__(self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        self._name = shlex.join(["esb", *arguments])
        self._process = subprocess.Popen(
            [*ESB, *arguments],
            cwd=folder,
            env={**environment, LIFELINE: "1", "PYTHONIOENCODING": "utf-8"},
            stdin=subprocess.PIPE,  # it ends with this process, however that ends
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="backslashreplace",
            start_new_session=True,
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - it was asked for
        for line in self._process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def follow(self, until: Callable[[Sequence[str]], bool], what: str) -> None:
        """Show its lines as they come, until they tell enough. Raises `Failure`, saying `what` did not happen."""
        deadline = time.monotonic() + PATIENCE.total_seconds()
        shown: list[str] = []
        while not until(shown):
            try:
                line = self._lines.get(timeout=max(deadline - time.monotonic(), 0.01))
            except queue.Empty:
                raise Failure(f"{what} did not happen within {PATIENCE.total_seconds():.0f} s") from None
            if line is None:
                raise Failure(f"`{self._name}` ended before {what} happened")
            put(line)
            shown.append(line)

    def interrupt(self) -> int:
        """Press Ctrl-C and wait for the end: its exit code."""
        self._process.send_signal(signal.SIGINT)
        try:
            return self._process.wait(PATIENCE.total_seconds())
        except subprocess.TimeoutExpired:
            raise Failure(f"`{self._name}` did not end within {PATIENCE.total_seconds():.0f} s") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        """Leave nothing running: first in order, then by force."""
        if self._process.poll() is None:
            with suppress(Failure):
                self.interrupt()
            self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()


def surroundings() -> dict[str, str]:
    """This process's variables without a Redis of the user's: the session brings its own and touches no other."""
    return {name: value for name, value in os.environ.items() if not name.startswith("REDIS_EVENT_SOURCE_")}
