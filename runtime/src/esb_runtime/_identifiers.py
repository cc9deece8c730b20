"""Names of things: where an event stands, and what makes it itself."""

from __future__ import annotations

import os
import re
import time
from binascii import b2a_base64
from typing import ClassVar

from msgspec import Struct

from ._errors import UsageError

_ENTRY_ID = re.compile(r"\d{1,20}-\d{1,20}")
MAX_MESSAGE_ID = 512
"""Longest message id that a caller may choose, in UTF-8 bytes."""


class EventKey(Struct, frozen=True, kw_only=True, order=False, gc=False):
    """Where an event stands: its stream's key and the id of its entry (`<milliseconds>-<sequence>`).

    As text it is `stream/id`, which `parse` reads back; the id is the server's, so keys of one stream sort by time.
    """

    stream: str
    id: str
    separator: ClassVar[str] = "/"

    @classmethod
    def parse(cls, text: str, /) -> EventKey:
        """Read `stream/id` back. Raises `ValueError` when `text` is not of this form."""
        stream, found, id_ = text.rpartition(cls.separator)
        if not found or not stream or not _ENTRY_ID.fullmatch(id_):
            raise ValueError(f"{text!r} is not an event key; it looks like event-demo/1685268930300-0")
        return cls(stream=stream, id=id_)

    def __str__(self) -> str:
        return f"{self.stream}{self.separator}{self.id}"


def entry_order(id_: str) -> tuple[int, int]:
    """Sort key of an entry id: ids compare as two integers, never as text."""
    milliseconds, _, sequence = id_.partition("-")
    return int(milliseconds), int(sequence or 0)


_AHEAD = 256
"""Message ids whose random half is made in one go."""
_URL_SAFE = bytes.maketrans(b"+/", b"-_")


def _text(raw: bytes | bytearray) -> str:
    return b2a_base64(raw, newline=False).translate(_URL_SAFE).decode("ascii")


class _Random:
    """The random halves of message ids, made for many ids at once."""

    def __init__(self) -> None:
        self._left: list[str] = []
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.forget)

    def forget(self) -> None:
        """A forked process must not use the halves that its parent uses."""
        self._left = []

    def next(self) -> str:
        """80 random bits as 14 characters that nobody else gets."""
        try:
            return self._left.pop()  # atomic: ids may be made in several threads
        except IndexError:
            fresh = self._fresh()
            half = fresh.pop()
            self._left += fresh
            return half

    @staticmethod
    def _fresh() -> list[str]:
        """Each half is ten bytes; two more, always zero, let base64 write every one of them as 16 characters."""
        random, padded = os.urandom(10 * _AHEAD), bytearray(12 * _AHEAD)
        for n in range(10):
            padded[n::12] = random[n * _AHEAD : (n + 1) * _AHEAD]
        text = _text(padded)
        return [text[n : n + 14] for n in range(0, 16 * _AHEAD, 16)]


class _Time:
    """The half of a message id that says when: 48 bits are 8 characters, so both halves are written apart."""

    def __init__(self) -> None:
        self._last = (0, "AAAAAAAA")

    def now(self) -> str:
        """The present millisecond."""
        now = time.time_ns() // 1_000_000
        last = self._last  # one reference, so that no thread sees half of it
        if last[0] != now:
            last = self._last = (now, _text(now.to_bytes(6, "big")))
        return last[1]


_random = _Random()
_time = _Time()


def new_message_id() -> str:
    """A fresh id: 22 characters, URL-safe, unique, sorting roughly by time (48-bit milliseconds, 80 random bits)."""
    return _time.now() + _random.next()


def checked_message_id(value: str) -> str:
    """A message id chosen by a caller: 1 to 512 bytes of printable text. Raises `UsageError` otherwise."""
    if not value or len(value.encode("utf-8", "surrogatepass")) > MAX_MESSAGE_ID or not value.isprintable():
        raise UsageError(f"a message id is 1 to {MAX_MESSAGE_ID} bytes of printable text")
    return value
