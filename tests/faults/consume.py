"""A consumer process: `python -m faults.consume keyed|unkeyed|all LOGS [LEASE_SECONDS] [MISFORTUNE]`.

`all` handles every event in three groups: in the order of keys, with `idempotent=True`, and with effects once; each
group has a folder of its own in LOGS.

MISFORTUNE: `raise:KEY/N` raises for each event of this key whose number is a multiple of N, `kill:KEY/NUMBER` ends the
process at once.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from esb_runtime import Backbone, Consume, ConsumerContext, Ordering, Retry

from . import clocks
from .story import GROUP, ONCE, REMEMBERING, Keyed, Log, Parcel, Unkeyed, checksum


class Misfortune(Exception):
    """What a failing handler raises."""


class Handling:
    """What both consumers do."""

    def __init__(self, log: Log, misfortune: str = "") -> None:
        self._log = log
        self._kind, _, what = misfortune.partition(":")
        self._key, _, number = what.partition("/")
        self._number = int(number or 0)

    async def handle(self, key: str, number: int, parcel: Parcel) -> None:
        self._log.write("started", key, number)
        if self._kind == "kill" and (key, number) == (self._key, self._number):
            os.kill(os.getpid(), signal.SIGKILL)
        if self._kind == "raise" and key == self._key and number % self._number == 0:
            raise Misfortune(f"cannot move {parcel.label}")
        if number % 3 == 0:
            await asyncio.sleep(0)
        self._log.write("finished", key, number, checksum(parcel))


class KeyedConsumer(Handling, Keyed[Consume]):
    """Handles in order of keys."""

    async def moved(self, ctx: ConsumerContext, key: str, number: int, parcel: Parcel) -> None:
        await self.handle(key, number, parcel)


class UnkeyedConsumer(Handling, Unkeyed[Consume]):
    """Handles in no order."""

    async def moved(self, ctx: ConsumerContext, key: str, number: int, parcel: Parcel) -> None:
        await self.handle(key, number, parcel)


def in_three_groups(backbone: Backbone, logs: Path, lease: timedelta) -> None:
    """Subscribe for each of the promises that a group can ask for."""
    from .effects import OnceConsumer, engine_of  # slow to import: others are killed once a second and must start fast

    # faults come faster than any crash loop should: waits that double at each would fill the run
    retry = Retry(attempts=100, crashes=100, first_delay=timedelta(milliseconds=50), max_delay=timedelta(seconds=1))
    common: dict[str, Any] = {"concurrency": 32, "lease": lease, "retry": retry}
    backbone.subscribe(KeyedConsumer(Log(logs / GROUP)), group=GROUP, **common)
    remembering = KeyedConsumer(Log(logs / REMEMBERING))
    backbone.subscribe(remembering, group=REMEMBERING, ordering=Ordering.NONE, idempotent=True, **common)
    once = OnceConsumer(engine_of(logs / ONCE), Log(logs / ONCE))
    backbone.subscribe(once, group=ONCE, ordering=Ordering.NONE, **common | {"concurrency": 50})


async def main(kind: str, logs: Path, lease: timedelta, misfortune: str) -> None:
    """Consume until SIGTERM."""
    async with Backbone.connect() as backbone:
        if kind == "all":
            in_three_groups(backbone, logs, lease)
        else:
            log = Log(logs)
            consumer = KeyedConsumer(log, misfortune) if kind == "keyed" else UnkeyedConsumer(log, misfortune)
            crashes = 5 if misfortune else 20
            retry = Retry(attempts=3, first_delay=timedelta(milliseconds=50), crashes=crashes)
            backbone.subscribe(consumer, group=GROUP, concurrency=32, lease=lease, retry=retry)
        running = asyncio.create_task(backbone.run())
        await asyncio.sleep(0)  # one turn of the loop: from here on SIGTERM is heard
        (logs / f"{os.getpid()}.ready").touch()
        await running


if __name__ == "__main__":
    clocks.follow()
    seconds = timedelta(seconds=float(sys.argv[3]))
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), seconds, sys.argv[4] if len(sys.argv) > 4 else ""))
