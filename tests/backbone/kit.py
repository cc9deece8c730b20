"""Contracts, a proxy that cuts connections, and waiting for conditions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Protocol, TypeVar

import redis.asyncio

from esb_runtime import Consume, ConsumerContext, EventContract, Retry, Side, event
from esb_runtime._endpoint import Endpoint

T = TypeVar("T")

AT_ONCE = Retry(attempts=3, first_delay=timedelta(0), max_delay=timedelta(0))
"""Tries again without a wait."""
LEASE = timedelta(milliseconds=300)
"""A lease that a test can wait for."""


class Jobs(EventContract[Side], uri="jobs"):
    """Events that wait for nobody."""

    @event
    async def job(self, n: int) -> None: ...

    @event
    async def note(self, text: str, n: int = 0) -> None: ...


class Orders(EventContract[Side], uri="orders"):
    """Events of one customer wait for each other."""

    @event(key="customer")
    async def placed(self, customer: str, n: int) -> None: ...

    @event(key="customer")
    async def paid(self, customer: str, *, amount: int = 0) -> None: ...


class Manual(Jobs[Consume]):
    """Keeps the contexts; `say` is what it does at each start."""

    def __init__(self, say: Any = None) -> None:
        self.contexts: list[ConsumerContext] = []
        self.say = say

    async def job(self, ctx: ConsumerContext, n: int) -> None:
        self.contexts.append(ctx)
        if self.say is not None:
            await self.say(ctx)

    @property
    def attempts(self) -> list[int]:
        return [ctx.metadata.attempt for ctx in self.contexts]


class Runnable(Protocol):
    """What can run: a backbone, a subscription."""

    async def run(self) -> None: ...

    async def stop(self) -> None: ...


@asynccontextmanager
async def running(*runnables: Runnable) -> AsyncIterator[None]:
    """Run these meanwhile; afterwards stop them, and see that they end well."""
    tasks = [asyncio.create_task(one.run()) for one in runnables]
    try:
        yield
    finally:
        for one in runnables:
            await one.stop()
        async with asyncio.timeout(20):
            await asyncio.gather(*tasks)


async def until(condition: Callable[[], T], seconds: float = 10.0) -> T:
    """The first true answer; fails the test when there is none in time."""
    async with asyncio.timeout(seconds):
        while not (answer := condition()):  # noqa: ASYNC110 - whatever a test looks at
            await asyncio.sleep(0.002)
    return answer


async def eventually(condition: Callable[[], Awaitable[T]], seconds: float = 10.0) -> T:
    """As `until`, for questions to a server."""
    async with asyncio.timeout(seconds):
        while not (answer := await condition()):  # noqa: ASYNC110 - a server tells nobody
            await asyncio.sleep(0.005)
    return answer


def client(endpoint: Endpoint) -> Any:
    """A plain client, for looking at keys and for doing harm."""
    return redis.asyncio.Redis(host=endpoint.host, port=endpoint.port, password=endpoint.password)


async def calls(raw: Any, *names: str) -> int:
    """How often the server ran these commands since `CONFIG RESETSTAT`."""
    stats = await raw.info("commandstats")
    return sum(stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in names)


async def pending(raw: Any, stream: str, group: str) -> int:
    """How many events a group was given and has not settled."""
    return int((await raw.xpending(stream, group))["pending"])


async def settled(raw: Any, stream: str, group: str) -> bool:
    """Whether a group has settled every event of a stream."""
    for found in await raw.xinfo_groups(stream):
        if found["name"].decode() == group:
            info = await raw.xinfo_stream(stream)
            return not found["pending"] and found["last-delivered-id"] == info["last-generated-id"]
    return False


class Proxy:
    """Stands between a client and a server. `cut_after(word)`: the next reply to a command with this word is lost, and
    its connection with it. `mute()`: every reply is lost, on connections that stay open; `speak()` ends that.
    `at(word, n, act)`: the n-th request with this word is on its way when `act` is called."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._target = endpoint
        self._word = b""
        self._muted = False
        self._awaited = b""
        self._times = 0
        self._act: Callable[[], object] = int
        self.cuts = 0
        self.lost = 0
        self.port = 0

    def cut_after(self, word: bytes) -> None:
        self._word = word

    def at(self, word: bytes, times: int, act: Callable[[], object]) -> None:
        self._awaited, self._times, self._act = word, times, act

    def mute(self) -> None:
        self._muted = True

    def speak(self) -> None:
        self._muted = False

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection(self._target.host, self._target.port)
        asked = b""

        async def forth() -> None:
            nonlocal asked
            while data := await reader.read(65536):
                asked = data
                up_writer.write(data)
                if self._awaited and self._awaited in data:
                    self._times -= 1
                    if self._times == 0:
                        self._act()

        async def back() -> None:
            while data := await up_reader.read(65536):
                if self._word and self._word in asked:  # the server has answered: it has done what it was asked
                    self._word = b""
                    self.cuts += 1
                    return
                if self._muted:
                    self.lost += 1
                else:
                    writer.write(data)

        tasks = [asyncio.create_task(forth()), asyncio.create_task(back())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            writer.close()
            up_writer.close()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Proxy]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self
