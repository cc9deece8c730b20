"""Names of things: where an event stands, and what makes it itself."""

from __future__ import annotations

import os
import re
import time
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from typing import ClassVar

from ._errors import UsageError

_ENTRY_ID = re.compile(r"\d{1,20}-\d{1,20}")
MAX_MESSAGE_ID = 512
"""Longest message id that a caller may choose, in UTF-8 bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventKey:
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


def new_message_id() -> str:
    """A fresh id: 22 characters, URL-safe, unique, sorting roughly by time (48-bit milliseconds, 80 random bits)."""
    raw = (time.time_ns() // 1_000_000).to_bytes(6, "big") + os.urandom(10)
    return urlsafe_b64encode(raw)[:22].decode("ascii")


def checked_message_id(value: str) -> str:
    """A message id chosen by a caller: 1 to 512 bytes of printable text. Raises `UsageError` otherwise."""
    if not value or len(value.encode("utf-8", "surrogatepass")) > MAX_MESSAGE_ID or not value.isprintable():
        raise UsageError(f"a message id is 1 to {MAX_MESSAGE_ID} bytes of printable text")
    return value
