"""Processes that are killed while they trim: no event without its payload, no payload without its event."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from pathlib import Path
from typing import Any

import pytest

from esb_runtime import Backbone
from esb_runtime._endpoint import Endpoint
from esb_runtime.redis._trimming import OUTSIDE

from .kit import Jobs, Proxy, eventually, settled
from .trimming_outside import KEPT, Folder

EVENTS = 3000
TRIM = ("esb_cli", "trim", "jobs", "--maxlen", "100", "--yes")
RETAIN = ("backbone.retaining",)
REMOVING = b"\r\ntrim\r\n"
"""What a request that removes has, and one that only counts has not."""
MOMENTS = (1, 5, 16)
"""With which of these requests on its way the process dies."""


async def start(endpoint: str, *module: str) -> Process:
    """A Python process that finds the server there."""
    environment = {**os.environ, "REDIS_EVENT_SOURCE_ENDPOINT": endpoint, "PYTHONPATH": str(Path(__file__).parents[1])}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", *module, env=environment, stdout=asyncio.subprocess.DEVNULL
    )


async def whole(raw: Any) -> bool:
    """Whether every event has its payload and every payload its event."""
    events = {b"{jobs}:p:" + fields[b"i"] for _, fields in await raw.xrange("jobs")}
    return events == {key async for key in raw.scan_iter("{jobs}:p:*", count=5000)}


@pytest.mark.timeout(180)
@pytest.mark.parametrize("module", [TRIM, RETAIN], ids=["esb trim", "consumer"])
async def test_killed_while_trimming(module: tuple[str, ...], redis_endpoint: Endpoint, raw: Any) -> None:
    """Killed with -9 at several moments of a trim, each time the rest is whole; the next process ends the work."""
    async with Backbone.connect() as backbone:
        await backbone.batch(Jobs.job(n) for n in range(EVENTS))
    left = [EVENTS]
    for times in MOMENTS:
        async with Proxy(redis_endpoint).open() as proxy:
            process = await start(proxy.endpoint, *module)
            proxy.at(REMOVING, times, process.kill)
            assert await asyncio.wait_for(process.wait(), 60) == -signal.SIGKILL
        await eventually(lambda: whole(raw))
        left.append(await raw.xlen("jobs"))
    assert left == sorted(left, reverse=True)
    assert EVENTS > left[-1] > 100, "each died in the middle of its work"
    last = await start(redis_endpoint.display, *module)
    await eventually(lambda: _trimmed(raw), seconds=60)
    if module is RETAIN:
        await eventually(lambda: settled(raw, "jobs", "g"), seconds=60)
        last.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(last.wait(), 60) == 0
    assert await whole(raw)
    assert await raw.xlen("jobs") == 100


def names(folder: Path) -> set[str]:
    """The message ids whose payloads are there."""
    return {file.name for file in folder.iterdir()}


async def _trimmed(raw: Any) -> bool:
    return await raw.xlen("jobs") == 100


@pytest.mark.parametrize("deletes", [0, 1, OUTSIDE // 2, OUTSIDE, 2 * OUTSIDE + 1])
async def test_killed_between_the_server_and_an_external_store(
    deletes: int, redis_endpoint: Endpoint, raw: Any, tmp_path: Path
) -> None:
    """Killed with -9 when entries are gone and some of their payloads not yet: the next process deletes the rest."""
    async with Backbone.connect(store=Folder(tmp_path)) as backbone:
        await backbone.batch(Jobs.job(n) for n in range(OUTSIDE * 3))
        killed = await start(redis_endpoint.display, "backbone.trimming_outside", str(tmp_path), str(deletes))
        assert await asyncio.wait_for(killed.wait(), 60) == -signal.SIGKILL
        assert len(names(tmp_path)) == OUTSIDE * 3 - deletes, "some are left over"
        assert [event.arguments async for event in backbone.read(Jobs)] == [
            {"n": n} for n in range(OUTSIDE * 3 - KEPT, OUTSIDE * 3)
        ], "what is there can be read"
        last = await start(redis_endpoint.display, "backbone.trimming_outside", str(tmp_path))
        assert await asyncio.wait_for(last.wait(), 60) == 0
        kept = {fields[b"i"].decode() for _, fields in await raw.xrange("jobs")}
        assert names(tmp_path) == kept
        assert len(kept) == KEPT
