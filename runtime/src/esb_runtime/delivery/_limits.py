"""How long a handler may take, and whether those that run keep to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from datetime import timedelta

from ._job import Attempt
from ._work import TookTooLong


class TimeLimit:
    """A bound on every handler; none when `seconds` is 0."""

    def __init__(self, limit: timedelta | None) -> None:
        self.seconds = 0.0 if limit is None else limit.total_seconds()
        self._loop = asyncio.get_running_loop()
        self._running: set[Attempt] = set()

    def respected(self) -> bool:
        """Whether no handler is past its time (asked by the heartbeat's thread)."""
        if not self.seconds:
            return True
        now = self._loop.time()
        return all(now - attempt.alive_at < self.seconds + 1 for attempt in tuple(self._running))

    def clear(self) -> None:
        """Forget those that run: what they handle belongs to others now."""
        self._running.clear()

    async def kept(self, handling: Awaitable[None], attempts: Sequence[Attempt]) -> None:
        """Handle these within the limit. Raises `TookTooLong`, and what the handler raises."""
        limit = asyncio.timeout(self.seconds)
        try:
            async with limit:
                for attempt in attempts:
                    attempt.alive_at = self._loop.time()
                    attempt.limit = (limit, self.seconds)
                    self._running.add(attempt)
                await handling
        except TimeoutError as error:
            if not limit.expired():
                raise  # the handler's own
            raise TookTooLong(f"its handler took longer than {self.seconds:g} s") from error
        finally:
            self._running.difference_update(attempts)
