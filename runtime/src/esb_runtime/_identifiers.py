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


class EventKey(Struct, frozen=True, kw_only=True, order=False):
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


class _Random:
    """Random bytes, fetched from the system for many ids at once."""

    def __init__(self) -> None:
        self._left: list[bytes] = []
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.forget)

    def forget(self) -> None:
        """A forked process must not use the bytes that its parent uses."""
        self._left = []

    def next(self) -> bytes:
        """Ten bytes that nobody else gets."""
        try:
            return self._left.pop()  # atomic: ids may be made in several threads
        except IndexError:
            fresh = os.urandom(2560)
            self._left += [fresh[n : n + 10] for n in range(10, 2560, 10)]
            return fresh[:10]


_random = _Random()
_URL_SAFE = bytes.maketrans(b"+/", b"-_")


def new_message_id() -> str:
    """A fresh id: 22 characters, URL-safe, unique, sorting roughly by time (48-bit milliseconds, 80 random bits)."""
    raw = (time.time_ns() // 1_000_000).to_bytes(6, "big") + _random.next()
    return b2a_base64(raw, newline=False).translate(_URL_SAFE)[:22].decode("ascii")


def checked_message_id(value: str) -> str:
    """A message id chosen by a caller: 1 to 512 bytes of printable text. Raises `UsageError` otherwise."""
    if not value or len(value.encode("utf-8", "surrogatepass")) > MAX_MESSAGE_ID or not value.isprintable():
        raise UsageError(f"a message id is 1 to {MAX_MESSAGE_ID} bytes of printable text")
    return value
