"""How long one step of trimming keeps the server from its other clients, by the server's own SLOWLOG.

Each case fills a stream and trims nine tenths of it, three times; every script that took part is in the log with its
time. A stream that goes whole, on a server that holds nothing else, shows the allocator giving back all memory at once.
The log counts time, not work: the run whose longest step is the shortest one is shown, for in the others the machine
gave the server's processor to somebody else meanwhile.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import redis.asyncio

from esb_runtime import Backbone, Store
from esb_runtime.operations import Operations, Record, Retention
from esb_runtime.testing import RedisServer

STREAM = "bench"


@dataclass(frozen=True, kw_only=True)
class Case:
    """A stream: so many events, with so many arguments of so many bytes; groups that have handled none of it."""

    name: str
    events: int
    arguments: int
    size: int
    store: Store = Store.REDIS
    groups: int = 0


CASES = (
    Case(name="hash, 3 x 50 bytes", events=5_000, arguments=3, size=50),
    Case(name="hash, 10 x 1 kB", events=2_000, arguments=10, size=1_000),
    Case(name="hash, 10 x 10 kB", events=1_000, arguments=10, size=10_000),
    Case(name="hash, 200 x 100 bytes", events=2_000, arguments=200, size=100),
    Case(name="hash, 1 x 1 MB", events=100, arguments=1, size=1_000_000),
    Case(name="hash, 10 x 300 kB", events=200, arguments=10, size=300_000),
    Case(name="hash, 3 x 50 bytes, forced past 5 groups", events=5_000, arguments=3, size=50, groups=5),
    Case(name="inline, 3 x 50 bytes", events=5_000, arguments=3, size=50, store=Store.INLINE),
    Case(name="inline, 1 x 100 kB", events=300, arguments=1, size=100_000, store=Store.INLINE),
    Case(name="inline, 1 x 1 MB", events=100, arguments=1, size=1_000_000, store=Store.INLINE),
)


async def measure(case: Case, server: RedisServer) -> Sequence[int]:
    """Microseconds of every script call of the trim."""
    server.clear()
    where = server.endpoint
    raw: Any
    async with (
        redis.asyncio.Redis(host=where.host or "", port=where.port) as raw,
        Backbone.connect(endpoint=where.display, store=case.store) as backbone,
    ):
        operations = Operations(backbone)
        arguments = {f"argument_{n}": "x" * case.size for n in range(case.arguments)}
        part = max(min(256, 4_000_000 // (case.arguments * case.size)), 1)
        records: list[Record] = [operations.record("filled", arguments) for _ in range(case.events)]
        for first in range(0, case.events, part):
            await operations.store(STREAM, records[first : first + part])
        for n in range(case.groups):
            await raw.xgroup_create(STREAM, f"g{n}", "0")
            await raw.xreadgroup(f"g{n}", "c", {STREAM: ">"}, count=case.events)
        await raw.config_set("slowlog-max-len", 100_000)
        await raw.config_set("slowlog-log-slower-than", 0)
        await raw.slowlog_reset()
        cut = await operations.cut(STREAM, Retention(maxlen=case.events // 10), force=case.groups > 0)
        async for _ in operations.trim(STREAM, cut):
            pass
        await raw.config_set("slowlog-log-slower-than", -1)
        log: list[dict[str, Any]] = await raw.slowlog_get(-1)
        return [each["duration"] for each in log if each["command"].split()[0] in (b"EVALSHA", b"EVAL")]


async def main() -> None:
    """One line per case."""
    print(f"{'payloads':42} {'steps':>6} {'half':>9} {'99 %':>9} {'longest':>9}")
    with tempfile.TemporaryDirectory() as folder, RedisServer.start(folder, ends_with_process=True) as server:
        print(server.description)
        for case in CASES:
            took = min([sorted(await measure(case, server)) for _ in range(3)], key=lambda each: each[-1])
            row = (took[len(took) // 2], took[len(took) * 99 // 100], took[-1])
            print(f"{case.name:42} {len(took):6} " + " ".join(f"{each / 1000:6.2f} ms" for each in row), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
