"""What the tests of `esb dev`, `esb run` and `esb redis` share: a small workspace, and `esb` as a process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from esb_runtime.testing import RedisServer

PASSWORD = "Wv39-unseen"

PYPROJECT = """
[tool.esb]
sources = ["src"]

[tool.esb.programs]
"""

SHOP = """
import asyncio, os, subprocess, sys, time
from pathlib import Path
from esb_runtime import Consume, ConsumerContext, EventContract, Side, event

class Shop(EventContract[Side], uri="shop"):
    @event
    async def opened(self, name: str) -> None: ...

class Teller(Shop[Consume]):
    async def opened(self, ctx: ConsumerContext, name: str) -> None:
        print(name, "is open")

def forever(backbone):
    backbone.subscribe(Teller(), group="tellers")
    print("ready as", os.getpid())

async def once(backbone):
    print("placed an order")

async def opens(backbone):
    await Shop.producer(backbone).opened("the corner shop")

async def fails_once(backbone):
    print("trying")
    raise RuntimeError("out of stock")

async def odd(backbone):
    os.write(1, b"caf\\xc3\\xa9 \\xff\\n" + b"x" * 200_000 + b"\\nno end")

async def stubborn(backbone):
    import signal
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("stubborn", os.getpid(), child.pid)
    while True:
        await asyncio.sleep(600)

def crashes_twice(backbone):
    count = Path("starts")
    starts = len(count.read_text()) if count.exists() else 0
    count.write_text("x" * (starts + 1))
    print("start", starts + 1)
    if starts < 2:
        os._exit(7)
    backbone.subscribe(Teller(), group="tellers")

async def drains(backbone):
    print("working")
    try:
        await asyncio.sleep(600)
    finally:
        print("drained")

async def shows(backbone):
    print("pass", os.environ.get("REDIS_EVENT_SOURCE_PASS") == "Wv39-unseen")
    await asyncio.sleep(600)
"""


class Esb:
    """An `esb` command that runs, with all that it has written so far."""

    def __init__(self, *arguments: str, cwd: Path, **variables: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "esb_cli", *arguments],
            cwd=cwd,
            env=environment(**variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        self.lines: list[str] = []
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._news:
                self.lines.append(line.rstrip("\n"))
                self._news.notify_all()

    def line(self, *parts: str, count: int = 1) -> str:
        """Wait for `count` lines that hold all these parts; the last of them."""

        def found() -> list[str]:
            return [line for line in self.lines if all(part in line for part in parts)]

        with self._news:
            assert self._news.wait_for(lambda: len(found()) >= count, timeout=60), "\n".join(self.lines)
        return found()[count - 1]

    def ends(self, with_signal: signal.Signals | None = None) -> int:
        """Send a signal, wait for the end: the exit code."""
        if with_signal is not None:
            self.process.send_signal(with_signal)
        code = self.process.wait(timeout=60)
        self._reader.join(timeout=20)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    @property
    def text(self) -> str:
        """Everything that was written."""
        return "\n".join(self.lines)


def environment(**variables: str) -> dict[str, str]:
    """The variables of the test run without those that name a Redis or a terminal's habits."""
    ours = ("REDIS_EVENT", "PYTEST", "FORCE_COLOR", "NO_COLOR", "COLUMNS")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)} | variables


def eventually(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not happen within 30 s"
        time.sleep(0.02)


def gone(pid: int) -> bool:
    """Whether a process has ended (it may still wait to be collected by init)."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return state.strip()[:1] in {"", "Z", "X"}


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Path]:
    """A workspace with one module; its server, if any, ends with the test."""
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "shop.py").write_text(SHOP)
    yield tmp_path
    for password in (None, PASSWORD):
        if (server := RedisServer.find(tmp_path / ".esb", password=password)) is not None:
            server.stop()


def declare(workspace: Path, **programs: str) -> None:
    """Write these programs into the workspace."""
    lines = [f'{name} = "{target}"\n' for name, target in programs.items()]
    (workspace / "pyproject.toml").write_text(PYPROJECT + "".join(lines))


def esb(*arguments: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a short `esb` command."""
    return subprocess.run(
        [sys.executable, "-m", "esb_cli", *arguments],
        cwd=cwd,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
