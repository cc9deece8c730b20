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
"""Message ids whose random part is made in one go."""
_URL_SAFE = bytes.maketrans(b"+/", b"-_")


def _text(raw: bytes) -> str:
    return b2a_base64(raw, newline=False).translate(_URL_SAFE).decode("ascii")


class _MessageIds:
    """Makes message ids: the part that says when is made once per millisecond, the random one for many ids at once."""

    def __init__(self) -> None:
        self._random: list[str] = []
        self._when = (0, "")
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.forget)

    def forget(self) -> None:
        """A forked process must not use the random parts that its parent uses."""
        self._random = []

    def at(self, milliseconds: int) -> str:
        """A fresh id: 42 bits of milliseconds (they last until 2109) as 7 characters, 66 random ones as 11."""
        when = self._when  # one reference, so that no thread sees half of it
        if when[0] != milliseconds:
            when = self._when = (milliseconds, _text((milliseconds & (1 << 42) - 1).to_bytes(6, "big"))[1:])
        try:
            return when[1] + self._random.pop()  # atomic: ids may be made in several threads
        except IndexError:
            text = _text(os.urandom(9 * _AHEAD))
            self._random += [text[n : n + 11] for n in range(12, 12 * _AHEAD, 12)]
            return when[1] + text[:11]


message_id_at = _MessageIds().at
"""A fresh message id of an event that is produced at this Unix time in milliseconds; see `new_message_id`."""


def new_message_id() -> str:
    """A fresh id: 18 URL-safe characters, made of the millisecond and 66 random bits."""
    return message_id_at(time.time_ns() // 1_000_000)


def checked_message_id(value: str) -> str:
    """A message id chosen by a caller: 1 to 512 bytes of printable text. Raises `UsageError` otherwise."""
    if not value or len(value.encode("utf-8", "surrogatepass")) > MAX_MESSAGE_ID or not value.isprintable():
        raise UsageError(f"a message id is 1 to {MAX_MESSAGE_ID} bytes of printable text")
    return value
