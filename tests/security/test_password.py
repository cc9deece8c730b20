"""A password that esb is given appears in no output, no log, no file and no process list, whatever goes wrong."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from esb_runtime.testing import RedisServer

PASSWORD = "Correct-Horse-7Kq"
WRONG = "Wrong-Battery-3Xv"
PROGRAM = """
import asyncio, logging
from datetime import timedelta
from esb_runtime import Backbone, Consume, ConsumerContext, EventContract, Side, event, EsbError

logging.basicConfig(level=logging.DEBUG)

class Door(EventContract[Side], uri="door"):
    @event
    async def opened(self, by: str) -> None: ...

class Broken(Door[Consume]):
    async def opened(self, ctx: ConsumerContext, by: str) -> None:
        raise RuntimeError("no hinges")

async def main() -> None:
    async with Backbone.connect(deadline=timedelta(seconds=1)) as backbone:
        print(repr(backbone), vars(backbone))
        try:
            await Door.producer(backbone).opened("ann")
        except EsbError as error:
            print(repr(error))
        backbone.subscribe(Broken(), group="g")
        running = asyncio.create_task(backbone.run())
        await asyncio.sleep(1)
        await backbone.stop()
        await running

asyncio.run(main())
"""


@contextmanager
def process_lists() -> Iterator[set[bytes]]:
    """Every command line of every process that runs meanwhile."""
    seen: set[bytes] = set()
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(0.03):
            for entry in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(entry.read_bytes())
                except OSError:
                    continue  # the process ended while we looked

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield seen
    finally:
        ended.set()
        watcher.join()


def commands(folder: Path, endpoint: str) -> list[list[str]]:
    """What a user runs, right and wrong."""
    esb = [sys.executable, "-m", "esb_cli"]
    return [
        [*esb, "new", "--uri", "door", "--consumer-group", "g", "-n", "safe.door", "-e", "Door"],
        [*esb, "produce", "door", "opened", "--arg", "by=ann"],
        [*esb, "tail", "door"],
        [*esb, "ls"],
        [*esb, "show", "door"],
        [*esb, "doctor"],
        [*esb, "--debug", "tail", "nothing-there"],
        [*esb, "replay", "door", "--to-uri", "door-copy"],
        [*esb, "replay", "door", "--to-file", str(folder / "door.jsonl")],
        [*esb, "tail", "door", "--endpoint", endpoint],
        [*esb, "--debug", "tail", "door", "--endpoint", "127.0.0.1:1"],
        [sys.executable, str(folder / "program.py")],
    ]


@pytest.mark.skipif(not Path("/proc").exists(), reason="command lines are read from /proc")
@pytest.mark.timeout(180)
@pytest.mark.parametrize("given", [PASSWORD, WRONG], ids=["right", "wrong"])
def test_the_password_shows_nowhere(given: str, tmp_path: Path) -> None:
    """The whole command line and a program, with the right and with a wrong password, leave no trace of either."""
    (tmp_path / "program.py").write_text(PROGRAM, "utf-8")
    with process_lists() as seen, RedisServer.start(tmp_path / "server", password=PASSWORD) as server:
        environment = {**os.environ, **server.environment(), "REDIS_EVENT_SOURCE_PASS": given, "HOME": str(tmp_path)}
        printed = b""
        for command in commands(tmp_path, server.endpoint.display):
            done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, timeout=60)
            printed += done.stdout + done.stderr
    for secret in (PASSWORD.encode(), WRONG.encode()):
        assert secret not in printed
        assert [line for line in seen if secret in line] == []
        assert [str(file) for file in tmp_path.rglob("*") if file.is_file() and secret in file.read_bytes()] == []
