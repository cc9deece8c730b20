"""Commands as the bytes that go over the wire (RESP: https://redis.io/docs/latest/develop/reference/protocol-spec/).

redis-py's asynchronous connections pack each word in Python, which costs more than everything else on a produce call's
way. hiredis does it in C where it is installed (`esb-runtime[fast]`); without it one join does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import cast

Word = bytes | str | int
"""What a command is made of."""
Pack = Callable[[tuple[Word, ...]], bytes]

_HEADS = [b"\r\n$%d\r\n" % size for size in range(512)]


def joined(words: Sequence[Word]) -> bytes:
    """A command as RESP, made in Python."""
    parts = [b"*%d" % len(words)]
    for word in words:
        raw = word if isinstance(word, bytes) else str(word).encode()
        size = len(raw)
        parts += (_HEADS[size] if size < 512 else b"\r\n$%d\r\n" % size, raw)
    parts.append(b"\r\n")
    return b"".join(parts)


def _fastest() -> Pack:
    if find_spec("hiredis") is None:
        return joined
    return cast("Pack", import_module("hiredis").pack_command)


packed: Pack = _fastest()
"""A command as RESP, the fastest way there is here."""
