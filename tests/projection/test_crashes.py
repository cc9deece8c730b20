"""A stored view under `kill -9`: every event once, in order, whatever dies."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from esb_runtime import Backbone

from .sales_process import Sales, Shop

EVENTS = 1200
KILLS = 4
PATIENCE = 60.0


def started(database: Path) -> subprocess.Popen[bytes]:
    """A process that keeps the view."""
    program = Path(__file__).with_name("sales_process.py")
    return subprocess.Popen([sys.executable, str(program), str(database)], env=os.environ)


def rows(database: Path) -> list[int]:
    """What the view holds, in the order in which it was written."""
    with closing(sqlite3.connect(database, timeout=30)) as db:
        return [number for (number,) in db.execute("select number from sale order by rowid")]


async def grown(database: Path, count: int) -> None:
    """Wait until the view has this many rows."""
    async with asyncio.timeout(PATIENCE):
        while len(rows(database)) < count:  # noqa: ASYNC110 - another process writes them
            await asyncio.sleep(0.02)


@pytest.mark.usefixtures("redis_endpoint")
@pytest.mark.timeout(120)
async def test_every_event_once(tmp_path: Path) -> None:
    """Two processes keep one view while one after the other is killed: no sale is missing, twice, or out of order."""
    database = tmp_path / "sales.db"
    Sales(str(database)).db.close()
    processes = [started(database), started(database)]
    try:
        async with Backbone.connect() as backbone:
            shop = Shop.producer(backbone)
            for part in range(KILLS):
                first = part * EVENTS // KILLS
                await backbone.batch(shop.sold(n) for n in range(first, (part + 1) * EVENTS // KILLS))
                await grown(database, first + 20)
                victim = processes.pop(0)
                victim.kill()
                victim.wait()
                processes.append(started(database))
            await grown(database, EVENTS)
        assert rows(database) == list(range(EVENTS))
    finally:
        for process in processes:
            process.kill()
            process.wait()
