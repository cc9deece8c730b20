"""Consumers applying a stream's retention policy: one of them at a time, a bounded part at a time."""

from __future__ import annotations

import asyncio
import logging
import time
from random import random

from ._errors import ChannelError
from ._ports import Channel
from ._retention import Kept, Retention, Trimmed
from ._trim import cut_of, trim

logger = logging.getLogger("esb_runtime")

SHARE = 0.5
"""Of the time between two turns, so much may be spent on one; what is left waits for the next one."""


class Retainer:
    """Applies a policy to one stream until it is stopped. Whoever is elected works; the others send one command."""

    def __init__(self, channel: Channel, stream: str, policy: Retention, *, holder: str) -> None:
        self._channel = channel
        self._stream = stream
        self._policy = policy
        self._holder = holder
        self._trimming = channel.trimming(stream)
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Take turns until `stop`. Outages are waited out: the consumer beside this says so."""
        every = self._policy.every.total_seconds()
        while not await self._stopped_within(every * (0.5 + random() / 2)):  # noqa: S311 - spread, not secrecy
            try:
                if await self._trimming.elected(self._holder, self._policy.every):
                    await self._turn()
            except ChannelError as error:
                logger.debug("%s: retention waits: %s", self._stream, error)
            except Exception as error:  # noqa: BLE001 - a store's own error; consuming must go on
                logger.warning("%s: retention: a payload store failed: %s", self._stream, type(error).__name__)

    async def stop(self) -> None:
        """End after the slice at hand."""
        self._stopping.set()

    async def _turn(self) -> None:
        done = await self._trim()
        await self._trimming.drain()
        if done is not None:
            await self._tell([name for name in done.pinned if not await self._trimming.living(name)])

    async def _trim(self) -> Trimmed | None:
        """Trim a bounded part; None when something is left to do."""
        done, ends = Trimmed(), time.monotonic() + SHARE * self._policy.every.total_seconds()
        async for so_far in trim(self._channel, self._stream, await cut_of(self._channel, self._stream, self._policy)):
            done = so_far
            if time.monotonic() > ends or self._stopping.is_set():
                return None
            await asyncio.sleep(0.001)  # the server's other clients, and this loop's handlers, come between
        return done

    async def _tell(self, dead: list[str]) -> None:
        """Record what is applied, and say so once when a dead group begins to hold it up, or no longer does."""
        policy, pinned = self._policy, min(dead, default="")
        before = await self._trimming.noted()
        now = Kept(keep=policy.keep, maxlen=policy.maxlen, handled=policy.handled, pinned=pinned)
        if now == before:
            return
        await self._trimming.note(now)
        was = before.pinned if before is not None else ""
        if pinned and pinned != was:
            logger.warning(
                "%s: group %s holds up retention: it has events to handle and no living process; start one, or remove "
                "the group if nobody needs it", self._stream, pinned,
            )  # fmt: skip
        elif was and not pinned:
            logger.info("%s: group %s no longer holds up retention", self._stream, was)

    async def _stopped_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._stopping.wait(), timeout=seconds)
        except TimeoutError:
            return False
        return True
