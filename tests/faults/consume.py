"""A consumer process: `consume.py keyed|unkeyed|once LOGS [LEASE_SECONDS] [MISFORTUNE]`.

`once` is `unkeyed` with `idempotent=True`.

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

from story import GROUP, Keyed, Log, Parcel, Unkeyed, checksum

from esb_runtime import Backbone, Consume, ConsumerContext, Retry


class Misfortune(Exception):
    """What a failing handler raises."""


class Handling:
    """What both consumers do."""

    def __init__(self, log: Log, misfortune: str) -> None:
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


async def main(kind: str, logs: Path, lease: float, misfortune: str) -> None:
    """Consume until SIGTERM."""
    log = Log(logs)
    consumer = KeyedConsumer(log, misfortune) if kind == "keyed" else UnkeyedConsumer(log, misfortune)
    async with Backbone.connect() as backbone:
        backbone.subscribe(
            consumer,
            group=GROUP,
            concurrency=32,
            lease=timedelta(seconds=lease),
            idempotent=kind == "once",
            retry=Retry(attempts=3, first_delay=timedelta(milliseconds=50), crashes=5 if misfortune else 20),
        )
        running = asyncio.create_task(backbone.run())
        await asyncio.sleep(0)  # one turn of the loop: from here on SIGTERM is heard
        (logs / f"{os.getpid()}.ready").touch()
        await running


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]), sys.argv[4] if len(sys.argv) > 4 else ""))
