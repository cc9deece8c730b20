"""`esb replay --to-uri` under `kill -9`: a copy goes on where it was, whatever ended it.

Every event is looked at, in the server itself: entries, payloads and links, of a million of them in the full run.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import Iterator

import msgpack
import pytest
import redis
from command_kit import Esb

from esb_runtime.operations import Operations

EVENTS = 20_000
MANY = 1_000_000
KILLS = 3
GROWTH = 2_500
"""Events that each life of the copy stores, at least; the rest is the room that a busy machine has to notice it."""
PATIENCE = 60.0


async def seeded(esb: Esb, stream: str, count: int) -> None:
    """Many events, of two kinds."""
    operations = await Operations.connect(endpoint=esb.variables["REDIS_EVENT_SOURCE_ENDPOINT"])
    try:
        for at in range(0, count, 1000):
            numbers = range(at, min(at + 1000, count))
            records = [Operations.record("odd" if n % 2 else "even", {"n": n, "text": f"of {n}"}) for n in numbers]
            await operations.store(stream, records)
    finally:
        await operations.aclose()


def events(server: redis.Redis, stream: str) -> Iterator[tuple[str, dict[bytes, bytes], dict[bytes, bytes]]]:
    """Every event in stream order: its id, its entry, and its payload without its place."""
    after = "-"
    while page := server.xrange(stream, after, count=1000):
        pipe = server.pipeline(transaction=False)
        for _, entry in page:
            pipe.hgetall(f"{{{stream}}}:p:{entry[b'i'].decode()}")
        for (id_, entry), payload in zip(page, pipe.execute(), strict=True):
            del payload[b"@"]
            yield id_.decode(), entry, payload
        after = f"({page[-1][0].decode()}"


def assert_copied(server: redis.Redis, source: str, to: str, count: int) -> None:
    """The target holds exactly the source's events, in order, each linked to its own."""
    number = 0
    for (id_, entry, payload), (_, copy, copied) in zip(events(server, source), events(server, to), strict=True):
        assert msgpack.unpackb(payload[b"n"]) == number
        assert msgpack.unpackb(copy.pop(b"d")) == {"origin": "copy", "linked": [source, id_]}
        assert (copy, copied) == (entry, payload)
        number += 1
    assert number == count


def killed_at(running: subprocess.Popen[str], server: redis.Redis, count: int) -> int:
    """Kill it once the copy has this many events; returns how many it has then."""
    held, deadline = 0, time.monotonic() + PATIENCE
    try:
        while held < count:
            assert running.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < deadline, "the copy does not grow"
            time.sleep(0.001)
            before, held = held, int(server.xlen("copy"))
            if held > before:
                deadline = time.monotonic() + PATIENCE
    finally:
        running.kill()
        running.communicate()
    return int(server.xlen("copy"))


def killed_three_times(esb: Esb, server: redis.Redis, count: int, growth: int) -> None:
    """Each life of the copy stores some events before it is killed; the last one goes on to the end."""
    held = 0
    for _ in range(KILLS):
        held = killed_at(esb.start("replay", "s", "--to-uri", "copy", "--resume"), server, held + growth)
        assert held < count, "it was killed too late"


@pytest.mark.timeout(240)
async def test_a_copy_survives_kills(esb: Esb, server: redis.Redis) -> None:
    """Killed three times and resumed, the target holds every event once, in order, linked to its source."""
    await seeded(esb, "s", EVENTS)
    killed_three_times(esb, server, EVENTS, GROWTH)
    done = esb("replay", "s", "--to-uri", "copy", "--resume")
    assert done.returncode == 0, done.stderr
    assert "copy holds copies up to " in done.stderr
    assert "were there already" not in done.stderr
    assert_copied(server, "s", "copy", EVENTS)


@pytest.mark.full
@pytest.mark.timeout(1800)
def test_a_million_events_survive_kills_and_a_pipe(esb: Esb, server: redis.Redis) -> None:
    """A copy killed three times is exact and needs less than 150 MB; `export | import` gives the same stream."""
    asyncio.run(seeded(esb, "s", MANY))
    killed_three_times(esb, server, MANY, MANY // 5)
    running = esb.start("replay", "s", "--to-uri", "copy", "--resume")
    said = running.stderr.read() if running.stderr is not None else ""
    _, status, used = os.wait4(running.pid, 0)
    running.returncode = os.waitstatus_to_exitcode(status)
    running.communicate()
    assert running.returncode == 0, said
    assert used.ru_maxrss * 1024 < 150_000_000
    assert_copied(server, "s", "copy", MANY)
    command = " ".join(esb.command("export", "s")) + " | " + " ".join(esb.command("import", "again"))
    subprocess.run(command, shell=True, cwd=esb.folder, env=esb.environment(), check=True, timeout=900)
    pairs = zip(events(server, "s"), events(server, "again"), strict=True)
    assert all(one[1:] == other[1:] for one, other in pairs)
    assert server.xlen("again") == MANY
