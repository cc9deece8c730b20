"""A consumer process that keeps only the newest hundred events: `python -m backbone.retaining`."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from esb_runtime import Backbone, Consume, ConsumerContext, Retention

from .kit import Jobs


class Quiet(Jobs[Consume]):
    """Handles at once."""

    async def job(self, ctx: ConsumerContext, n: int) -> None: ...


async def main() -> None:
    """Consume until SIGTERM."""
    async with Backbone.connect() as backbone:
        backbone.subscribe(
            Quiet(), group="g", lease=timedelta(seconds=1),
            retention=Retention(maxlen=100, every=timedelta(milliseconds=100)),
        )  # fmt: skip
        await backbone.run()


if __name__ == "__main__":
    asyncio.run(main())
