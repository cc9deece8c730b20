"""`esb replay --to-uri` under `kill -9`: a copy goes on where it was, whatever ended it."""

from __future__ import annotations

import subprocess
import time

import pytest
import redis
from command_kit import Esb

from esb_runtime.operations import Operations

EVENTS = 20_000
KILLS = 3
GROWTH = 2_500
"""Events that each life of the copy stores, at least; the rest is the room that a busy machine has to notice it."""
PATIENCE = 60.0


async def seeded(esb: Esb, stream: str) -> None:
    """Many events, of two kinds."""
    operations = await Operations.connect(endpoint=esb.variables["REDIS_EVENT_SOURCE_ENDPOINT"])
    try:
        records = [Operations.record("odd" if n % 2 else "even", {"n": n}) for n in range(EVENTS)]
        for at in range(0, EVENTS, 1000):
            await operations.store(stream, records[at : at + 1000])
    finally:
        await operations.aclose()


def killed_at(running: subprocess.Popen[str], server: redis.Redis, count: int) -> int:
    """Kill it once the copy has this many events; returns how many it has then."""
    deadline = time.monotonic() + PATIENCE
    try:
        while server.xlen("copy") < count:
            assert running.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < deadline, "the copy does not grow"
            time.sleep(0.001)
    finally:
        running.kill()
        running.communicate()
    return int(server.xlen("copy"))


@pytest.mark.timeout(240)
async def test_a_copy_survives_kills(esb: Esb, server: redis.Redis) -> None:
    """Killed three times and resumed, the target holds every event once, in order, linked to its source."""
    await seeded(esb, "s")
    held = 0
    for _ in range(KILLS):
        held = killed_at(esb.start("replay", "s", "--to-uri", "copy", "--resume"), server, held + GROWTH)
        assert held < EVENTS, "it was killed too late"
    done = esb("replay", "s", "--to-uri", "copy", "--resume")
    assert done.returncode == 0, done.stderr
    assert "copy holds copies up to " in done.stderr
    assert "were there already" not in done.stderr
    source = esb.lines("tail", "s", "--since", "start")
    copies = esb.lines("tail", "copy", "--since", "start")
    assert [event["args"]["n"] for event in source] == list(range(EVENTS))
    assert [event["meta"]["linked"] for event in copies] == [event["key"] for event in source]
    same = ("event", "version", "at", "args")
    assert [[event[name] for name in same] for event in copies] == [[event[name] for name in same] for event in source]
    assert [event["meta"]["message_id"] for event in copies] == [event["meta"]["message_id"] for event in source]
