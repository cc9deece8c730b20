"""A proxy between clients and a server that does harm: it loses replies, cuts connections, lets bytes wait.

It runs on a thread of its own, so that a test may wait for processes meanwhile. Faults come from a seeded chance.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from random import Random
from typing import Self

from esb_runtime.testing import RedisServer


class FaultProxy:
    """Where clients think that the server is. `harm(fault, share)` sets how likely a reply meets a fault.

    `lost`: the server did what it was asked, the reply is swallowed and the connection cut. `cut`: the connection ends
    before the request reaches the server. `slow`: the reply waits for up to a fifth of a second.
    """

    def __init__(self, server: RedisServer, seed: int) -> None:
        self.server = server
        self._chance = Random(seed)
        self._shares: dict[str, float] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault proxy", daemon=True)
        self._writers: set[asyncio.StreamWriter] = set()
        self.faults: Counter[str] = Counter()
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def environment(self) -> dict[str, str]:
        """The variables with which a child process finds the server through this proxy."""
        return {**self.server.environment(), "REDIS_EVENT_SOURCE_ENDPOINT": f"127.0.0.1:{self.port}"}

    def harm(self, fault: str, share: float) -> None:
        """From now on this share of requests meets this fault."""
        self._shares[fault] = share

    async def _open(self) -> None:
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        self._listener.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _meets(self, fault: str) -> bool:
        if self._chance.random() >= self._shares.get(fault, 0.0):
            return False
        self.faults[fault] += 1
        return True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        where = self.server.endpoint
        try:
            up_reader, up_writer = await asyncio.open_connection(where.host, where.port)
        except OSError:
            writer.close()
            return
        ways = [
            asyncio.create_task(self._forth(reader, up_writer)),
            asyncio.create_task(self._back(up_reader, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            writer.close()
            up_writer.close()

    async def _forth(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            if self._meets("cut"):
                return
            writer.write(data)
            await writer.drain()

    async def _back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            if self._meets("lost"):
                return
            if self._meets("slow"):
                await asyncio.sleep(self._chance.random() * 0.2)
            writer.write(data)
            await writer.drain()
