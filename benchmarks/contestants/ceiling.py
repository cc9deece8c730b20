"""What the server itself can do: frames made beforehand, a blocking socket, several batches on their way."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence

import hiredis
import msgspec
from stopwatch import Control, Stopwatch
from workload import BATCH, BATCHES, CONSUME, NAME, NOW, PRICE, PRODUCT, amount, email

WINDOW = 4
"""Batches on their way at a time."""
pack = hiredis.pack_command
encode = msgspec.msgpack.Encoder().encode


class Contestant:
    """HSET and XADD per event in one MULTI per batch; XREADGROUP, HMGETs, XACK."""

    def __init__(self, port: int, name: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = hiredis.Reader()

    def _blast(self, frames: Sequence[bytes], replies: int) -> None:
        """Send frames that are answered by so many replies each, a window of them unanswered at most."""
        got = 0
        for sent, frame in enumerate(frames):
            while got < (sent - WINDOW + 1) * replies:
                got += len(self._some())
            self._socket.sendall(frame)
        while got < len(frames) * replies:
            got += len(self._some())

    def _some(self) -> list[object]:
        self._reader.feed(self._socket.recv(1 << 20))
        found: list[object] = []
        while (reply := self._reader.gets()) is not False:
            found.append(reply)
        return found

    def _ask(self, frame: bytes, count: int) -> list[object]:
        self._socket.sendall(frame)
        found: list[object] = []
        while len(found) < count:
            found += self._some()
        return found

    async def throughput(self, stopwatch: Stopwatch) -> None:
        """Write a backlog, then read it."""
        count = amount(60_000)
        frames = [_batch(start) for start in range(0, count, BATCH)]
        self._blast(frames, BATCH * 2 + 2)  # the allocator's pages exist from here on
        stopwatch.control("FLUSHALL")
        frames = [_batch(start) for start in range(0, count, BATCH)]
        with stopwatch(BATCHES, count):
            self._blast(frames, BATCH * 2 + 2)
        _checked(stopwatch.control, count)
        with stopwatch(CONSUME, count):
            self._consume(count)

    def _consume(self, count: int) -> None:
        self._ask(pack(("XGROUP", "CREATE", "bench", "g", "0")), 1)
        read = pack(("XREADGROUP", "GROUP", "g", "c", "COUNT", 100, "STREAMS", "bench", ">"))
        seen, acks = 0, b""
        while seen < count:
            reply: list[list[list[list[bytes]]]] = self._ask(acks + read, 2 if acks else 1)[-1]  # type: ignore[assignment]
            entries = reply[0][1]
            self._ask(
                b"".join(pack(("HMGET", entry[1][1], "user", "product", "at")) for entry in entries), len(entries)
            )
            acks = pack(("XACK", "bench", "g", *(entry[0] for entry in entries)))
            seen += len(entries)
        self._ask(acks, 1)


def _batch(start: int) -> bytes:
    frames = [pack(("MULTI",))]
    at = encode(NOW)
    for number in range(start, start + BATCH):
        key = b"e:" + os.urandom(13).hex().encode()
        user = encode({"id": number, "email": email(number), "name": NAME})
        product = encode({"id": number, "name": PRODUCT, "price": PRICE})
        frames += (
            pack(("HSET", key, "user", user, "product", product, "at", at)),
            pack(("XADD", "bench", "*", "id", key, "n", "order.placed")),
        )
    return b"".join((*frames, pack(("EXEC",))))


def _checked(control: Control, count: int) -> None:
    if control("XLEN", "bench") != count or control("DBSIZE") != count + 1:
        raise RuntimeError("the ceiling's events are not all there")
