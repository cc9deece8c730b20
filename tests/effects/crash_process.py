"""Handles events slowly, notes each in a file, and dies before the third one is acknowledged: `... FILE`."""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import timedelta

from effects.kit import Shop
from esb_runtime import Backbone, Consume, ConsumerContext

LOG = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


class Dying(Shop[Consume]):
    """Appends each number to the file."""

    async def ordered(self, ctx: ConsumerContext, n: int, who: str) -> None:
        await asyncio.sleep(0.05)
        os.write(LOG, f"{n}\n".encode())
        if n == 2:
            os._exit(9)  # nothing is written any more, as after kill -9


async def main() -> None:
    """Until it dies."""
    async with Backbone.connect() as backbone:
        backbone.subscribe(Dying(), group="g", lease=timedelta(milliseconds=300))
        await backbone.run()


if __name__ == "__main__":
    asyncio.run(main())
