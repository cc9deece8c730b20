"""Commands as the bytes that go over the wire (RESP: https://redis.io/docs/latest/develop/reference/protocol-spec/).

redis-py's asynchronous connections pack each word in Python, which costs more than everything else on a produce call's
way. hiredis does it in C where it is installed (`esb-runtime[fast]`); without it one join does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import cast

from msgspec import Struct

Word = bytes | str | int
"""What a command is made of."""
Pack = Callable[[tuple[Word, ...]], bytes]


class _Heads(dict[int, bytes]):
    """What stands between two words, by the size of the second one; those of short words are kept."""

    def __missing__(self, size: int) -> bytes:
        return b"\r\n$%d\r\n" % size


head = _Heads((size, b"\r\n$%d\r\n" % size) for size in range(512)).__getitem__
"""What stands before a word of this size."""


class Frames(Struct, frozen=True, gc=False):
    """Some of a command's words, each behind its head."""

    count: int
    body: bytes


def raw(word: Word) -> bytes:
    """A word's own bytes."""
    return word if isinstance(word, bytes) else str(word).encode()


def headed(words: Sequence[bytes]) -> bytes:
    """Words, each behind its head. There may be thousands, so that no step of this is one of the interpreter's."""
    parts = [b""] * (2 * len(words))
    parts[::2] = map(head, map(len, words))
    parts[1::2] = words
    return b"".join(parts)


def framed(words: Sequence[Word]) -> Frames:
    """Words that become a part of a command."""
    return Frames(len(words), headed([raw(word) for word in words]))


def command(first: Frames, rest: Frames) -> bytes:
    """A whole command out of framed words."""
    return b"*%d%b%b\r\n" % (first.count + rest.count, first.body, rest.body)


def joined(words: Sequence[Word]) -> bytes:
    """A command as RESP, made in Python."""
    return command(Frames(0, b""), framed(words))


def repeated(command: str, prefix: str, names: Sequence[str], words: Sequence[str] = ()) -> bytes:
    """The same command about each of many keys, which are a prefix and a name: one join, as most are equally long."""
    tail = "".join([f"\r\n${len(word)}\r\n{word}" for word in words])
    heads = {
        size: f"*{2 + len(words)}\r\n${len(command)}\r\n{command}\r\n${len(prefix) + size}\r\n{prefix}"
        for size in set(map(len, names))
    }
    if len(heads) == 1:
        head = next(iter(heads.values()))
        text = head + f"{tail}\r\n{head}".join(names) + f"{tail}\r\n"
    else:
        text = "".join([f"{heads[len(name)]}{name}{tail}\r\n" for name in names])
    if text.isascii():  # so that characters are bytes
        return text.encode()
    return b"".join([packed((command, prefix + name, *words)) for name in names])


def _fastest() -> Pack:
    if find_spec("hiredis") is None:
        return joined
    return cast("Pack", import_module("hiredis").pack_command)


packed: Pack = _fastest()
"""A command as RESP, the fastest way there is here."""
