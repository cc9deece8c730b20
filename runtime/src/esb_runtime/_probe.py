"""What a cluster asks a process over HTTP: is it alive (`/live`), does it do its work (`/ready`)?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

PATIENCE = 5.0
"""Seconds that somebody who asks may take."""


@asynccontextmanager
async def answering(port: int, ready: Callable[[], bool]) -> AsyncGenerator[None]:
    """Answer on a port, on every interface, for as long as the block runs.

    `/live` is 200 whenever the event loop turns; `/ready` is 200 while `ready` says so, else 503. Raises `OSError` when
    the port cannot be had.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                request = await reader.readline()
                while (await reader.readline()).strip():
                    continue
                writer.write(_reply(request, ready))
                await writer.drain()
        except (TimeoutError, ConnectionError, ValueError):
            return  # who asks so slowly, leaves, or sends endless lines gets no answer
        finally:
            writer.close()

    server = await asyncio.start_server(answer, port=port)
    async with server:
        yield


def _reply(request: bytes, ready: Callable[[], bool]) -> bytes:
    path = b"".join(request.split()[1:2])
    if path == b"/live":
        status, text = "200 OK", "alive"
    elif path == b"/ready":
        status, text = ("200 OK", "consuming") if ready() else ("503 Service Unavailable", "not consuming")
    else:
        status, text = "404 Not Found", "there are /live and /ready"
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(text) + 1}\r\nConnection: close"
    return f"{head}\r\n\r\n{text}\n".encode()
