"""The event loop of programs that esb runs itself: uvloop, where `esb-runtime[fast]` brought it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from esb_runtime._endpoint import Endpoint

PROGRAM = """
import asyncio
from esb_runtime import Backbone, Consume, ConsumerContext, EventContract, Side, event

class Door(EventContract[Side], uri="door"):
    @event
    async def opened(self, by: str) -> None: ...

class Porter(Door[Consume]):
    async def opened(self, ctx: ConsumerContext, by: str) -> None:
        print(by, type(asyncio.get_running_loop()).__module__, flush=True)

async def knock(backbone: Backbone) -> None:
    await Door.producer(backbone).opened("ann")
"""


async def program(folder: Path, *words: str) -> asyncio.subprocess.Process:
    """`python -m esb_runtime.run` with these words."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "esb_runtime.run", *words,
        env={**os.environ, "PYTHONPATH": f"{folder}:{os.environ.get('PYTHONPATH', '')}"},
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def test_programs_run_on_uvloop(redis_endpoint: Endpoint, tmp_path: Path) -> None:
    """A program that ends by itself and one that runs until a signal comes: both on uvloop, both to a clean end."""
    pytest.importorskip("uvloop")
    (tmp_path / "doors.py").write_text(PROGRAM, "utf-8")
    sender = await program(tmp_path, "doors:knock")
    assert await asyncio.wait_for(sender.wait(), 30) == 0
    porter = await program(tmp_path, "doors:Porter", "--group", "porters")
    assert porter.stdout is not None
    assert await asyncio.wait_for(porter.stdout.readline(), 30) == b"ann uvloop\n"
    porter.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(porter.wait(), 30) == 0
