"""A producer process: `python -m faults.produce keyed|unkeyed FIRST_KEY KEYS EVENTS`; each key counts from 1."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from datetime import timedelta

from esb_runtime import Backbone

from . import clocks
from .story import Keyed, Unkeyed, parcel

PATIENCE = timedelta(minutes=2)
"""A server that has much to load is away for longer than a call waits by itself."""


async def main(kind: str, first_key: int, keys: int, events: int) -> None:
    """Produce from ten tasks at once, each with keys of its own, so that each key's order is the order of its calls."""
    contract = Keyed if kind == "keyed" else Unkeyed
    async with Backbone.connect(deadline=PATIENCE) as backbone:
        producer = contract.producer(backbone)

        async def task(offset: int) -> None:
            numbers: Counter[str] = Counter()
            mine = range(offset, keys, 10)
            for turn in range(events // 10):
                key = f"k{first_key + mine[turn % len(mine)]}"
                numbers[key] += 1
                await producer.moved(key, numbers[key], parcel(key, numbers[key]))

        await asyncio.gather(*(task(offset) for offset in range(10)))


if __name__ == "__main__":
    clocks.follow()
    asyncio.run(main(sys.argv[1], *map(int, sys.argv[2:5])))
