"""Commands as the bytes that go over the wire (RESP: https://redis.io/docs/latest/develop/reference/protocol-spec/).

redis-py's asynchronous connections pack each word in Python, which costs more than everything else on a produce call's
way. hiredis does it in C where it is installed (`esb-runtime[fast]`); without it one join does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import NamedTuple, cast

Word = bytes | str | int
"""What a command is made of."""
Pack = Callable[[tuple[Word, ...]], bytes]

HEADS = [b"\r\n$%d\r\n" % size for size in range(512)]
"""What stands between two words, by the size of the second one."""


class Frames(NamedTuple):
    """Some of a command's words, each behind its head."""

    number: int
    body: bytes


def head(size: int) -> bytes:
    """What stands before a word of any size."""
    return HEADS[size] if size < len(HEADS) else b"\r\n$%d\r\n" % size


def raw(word: Word) -> bytes:
    """A word's own bytes."""
    return word if isinstance(word, bytes) else str(word).encode()


def framed(words: Sequence[Word]) -> Frames:
    """Words that become a part of a command."""
    parts: list[bytes] = []
    for word in words:
        own = raw(word)
        parts += (head(len(own)), own)
    return Frames(len(words), b"".join(parts))


def command(first: Frames, rest: Frames) -> bytes:
    """A whole command out of framed words."""
    return b"*%d%b%b\r\n" % (first.number + rest.number, first.body, rest.body)


def joined(words: Sequence[Word]) -> bytes:
    """A command as RESP, made in Python."""
    return command(Frames(0, b""), framed(words))


def _fastest() -> Pack:
    if find_spec("hiredis") is None:
        return joined
    return cast("Pack", import_module("hiredis").pack_command)


packed: Pack = _fastest()
"""A command as RESP, the fastest way there is here."""
