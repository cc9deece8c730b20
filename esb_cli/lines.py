"""Lines that come in, in pieces as they come, with their numbers: from a file, from stdin, or the same one again."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from .failures import Exit, Failure

PIECE = 1 << 18
AT_ONCE = 500
AHEAD = 4
"""Pieces that are read before the first one is used."""


GRAIN = 0.05
"""Seconds of a rate whose lines go together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line without its end, and where it stands, from 1."""

    number: int
    text: bytes


def total(file: Path) -> int | None:
    """How many lines a file has; None where only reading it to its end tells."""
    if str(file) == "-" or not file.is_file():
        return None
    with file.open("rb") as stream:
        return sum(piece.count(b"\n") for piece in iter(lambda: stream.read(1 << 20), b""))


async def incoming(file: Path) -> AsyncIterator[list[Line]]:
    """Lines in lists of at most 500, as soon as they are there; empty lines are left out. `-` is stdin.

    Read by a thread that ends with the process: somebody who types slowly does not hold up Ctrl-C.
    """
    try:
        descriptor = sys.stdin.fileno() if str(file) == "-" else os.open(file, os.O_RDONLY)
    except OSError as problem:
        raise Failure(f"{file}: {problem.strerror}", Exit.USAGE) from None
    number, rest = 0, b""
    async for piece in _pieces(descriptor):
        *whole, rest = (rest + piece).split(b"\n") if piece else [rest, b""]
        lines = [Line(number=number + at, text=text) for at, text in enumerate(whole, 1)]
        number += len(whole)
        lines = [line for line in lines if line.text.strip()]
        for at in range(0, len(lines), AT_ONCE):
            yield lines[at : at + AT_ONCE]


async def repeated(text: bytes, count: int) -> AsyncIterator[list[Line]]:
    """The same line so many times, each with a number of its own."""
    for first in range(1, count + 1, AT_ONCE):
        yield [Line(number=number, text=text) for number in range(first, min(first + AT_ONCE, count + 1))]


async def paced(pieces: AsyncIterator[list[Line]], rate: float | None) -> AsyncIterator[list[Line]]:
    """The same lines, at most `rate` a second; a few at a time where they are many."""
    import asyncio

    loop = asyncio.get_running_loop()
    began, done = loop.time(), 0
    async for piece in pieces:
        size = len(piece) if rate is None else max(int(rate * GRAIN), 1)
        for at in range(0, len(piece), max(size, 1)):
            part = piece[at : at + size]
            if rate is not None:  # the last of them is due
                await asyncio.sleep(max(began + (done + len(part) - 1) / rate - loop.time(), 0.0))
            yield part
            done += len(part)


async def _pieces(descriptor: int) -> AsyncIterator[bytes]:
    """What a file holds, piece by piece; an empty one at the end."""
    import asyncio
    import threading

    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[bytes | OSError] = asyncio.Queue()
    room = threading.Semaphore(AHEAD)

    def read() -> None:
        while room.acquire():
            try:
                piece: bytes | OSError = os.read(descriptor, PIECE)
            except OSError as problem:
                piece = problem
            try:
                loop.call_soon_threadsafe(queue.put_nowait, piece)
            except RuntimeError:  # the command has ended
                return
            if not piece or isinstance(piece, OSError):
                return

    threading.Thread(target=read, name="esb-lines", daemon=True).start()
    while True:
        piece = await queue.get()
        room.release()
        if isinstance(piece, OSError):
            raise Failure(f"the lines cannot be read: {piece.strerror}", Exit.FAILED)
        yield piece
        if not piece:
            return
