"""Replies from the bytes that come over the wire (RESP2: https://redis.io/docs/latest/develop/reference/protocol-spec/).

hiredis reads them in C where it is installed (`esb-runtime[fast]`); without it a generator does, which keeps its place
where the bytes end in the middle of a reply.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol, cast

from redis.exceptions import InvalidResponse, ResponseError


class Reader(Protocol):
    """Takes bytes as they come and gives back replies; those of hiredis do, and `PythonReader`."""

    def feed(self, data: bytes, /) -> Any:
        """More bytes."""
        ...

    def gets(self) -> Any:
        """The next reply: bytes, an int, None or a list; an error as a value; False while it is not whole."""
        ...


class PythonReader:
    """See `Reader`."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._at = 0
        self._next = self._replies()

    def feed(self, data: bytes, /) -> None:
        """More bytes."""
        del self._bytes[: self._at]
        self._at = 0
        self._bytes += data

    def gets(self) -> Any:
        """The next reply, False while it is not whole. Raises `InvalidResponse` for what no Redis would send."""
        return next(self._next)

    def _replies(self) -> Generator[Any]:
        while True:
            yield (yield from self._reply())

    def _reply(self) -> Generator[Any, None, Any]:
        line = yield from self._line()
        kind, rest = line[:1], line[1:]
        match kind:
            case b"$":
                return (yield from self._text(int(rest)))
            case b":":
                return int(rest)
            case b"*":
                return (yield from self._list(int(rest)))
            case b"+":
                return rest
            case b"-":
                return ResponseError(rest.decode("utf-8", "replace"))
            case _:
                raise InvalidResponse("what came is no reply of a Redis server")

    def _list(self, count: int) -> Generator[Any, None, Any]:
        replies: list[Any] = []
        for _ in range(count):
            replies.append((yield from self._reply()))  # noqa: PERF401 - no generator may do that in one expression
        return None if count < 0 else replies

    def _line(self) -> Generator[Any, None, bytes]:
        while (end := self._bytes.find(b"\r\n", self._at)) < 0:
            yield False
        line = bytes(self._bytes[self._at : end])
        self._at = end + 2
        return line

    def _text(self, size: int) -> Generator[Any, None, bytes | None]:
        if size < 0:
            return None
        while len(self._bytes) < self._at + size + 2:
            yield False
        text = bytes(self._bytes[self._at : self._at + size])
        self._at += size + 2
        return text


def new_reader() -> Reader:
    """The fastest reader there is here."""
    if find_spec("hiredis") is None:
        return PythonReader()
    made = import_module("hiredis").Reader(protocolError=InvalidResponse, replyError=ResponseError)
    return cast("Reader", made)


def errors_among(replies: Sequence[Any]) -> Sequence[ResponseError]:
    """The errors among many replies. There is hardly ever one, which is found out without looking at each."""
    if ResponseError not in map(type, replies):
        return ()
    return [reply for reply in replies if isinstance(reply, ResponseError)]
