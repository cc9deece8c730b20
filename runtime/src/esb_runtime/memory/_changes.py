"""Waiting for something to change, from any event loop of the process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import timedelta
from threading import RLock
from typing import TypeVar

T = TypeVar("T")


class Changes:
    """Who waits for which topic. The lock guards this and everything that conditions look at."""

    def __init__(self) -> None:
        self.lock = RLock()
        self._listeners: dict[asyncio.Event, tuple[asyncio.AbstractEventLoop, frozenset[str]]] = {}

    def announce(self, topic: str) -> None:
        """Something about `topic` changed; call it with the lock held."""
        for event, (loop, topics) in self._listeners.items():
            if topic in topics and not event.is_set():
                loop.call_soon_threadsafe(event.set)

    def announce_all(self) -> None:
        """Everything changed; call it with the lock held."""
        for event, (loop, _) in self._listeners.items():
            loop.call_soon_threadsafe(event.set)

    async def until(self, found: Callable[[], T], within: timedelta, *topics: str) -> T:
        """The first true answer of `found`, which is asked now and after each change of a topic.

        After `within` (real time) its last, false answer. `found` runs with the lock held and may raise.
        """
        with self._listening(frozenset(topics)) as event:
            try:
                async with asyncio.timeout(max(0.0, within.total_seconds())):
                    while True:
                        with self.lock:
                            event.clear()
                            answer = found()
                        if answer:
                            return answer
                        await event.wait()
            except TimeoutError:
                with self.lock:
                    return found()

    @contextmanager
    def _listening(self, topics: frozenset[str]) -> Generator[asyncio.Event, None, None]:
        event = asyncio.Event()
        with self.lock:
            self._listeners[event] = (asyncio.get_running_loop(), topics)
        try:
            yield event
        finally:
            with self.lock:
                del self._listeners[event]
