"""Replies are read from bytes as they come, by hiredis and without it alike."""

from __future__ import annotations

from typing import Any

import hiredis
import pytest
from redis.exceptions import InvalidResponse, ResponseError

from esb_runtime.redis._replies import PythonReader, Reader

SENT = (
    b"+OK\r\n:-12\r\n$-1\r\n*-1\r\n$4\r\na\r\nb\r\n$0\r\n\r\n-ERR caf\xe9\r\n*3\r\n*1\r\n:1\r\n-NOSCRIPT no\r\n*0\r\n"
)


def read(reader: Reader, step: int) -> list[Any]:
    """Every reply, from bytes that come `step` at a time."""
    replies: list[Any] = []
    for start in range(0, len(SENT), step):
        reader.feed(SENT[start : start + step])
        while (reply := reader.gets()) is not False:
            replies.append(reply)
    return replies


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
def test_wherever_the_bytes_are_cut_the_replies_are_the_same(step: int) -> None:
    """The reader in Python gives what hiredis gives, errors as values included."""
    expected = read(hiredis.Reader(replyError=ResponseError), 1000)
    assert repr(read(PythonReader(), step)) == repr(expected)
    assert expected[:6] == [b"OK", -12, None, None, b"a\r\nb", b""]


def test_what_is_no_reply_is_refused() -> None:
    """Something that is no Redis answers there."""
    reader = PythonReader()
    reader.feed(b"HTTP/1.1 400 Bad Request\r\n")
    with pytest.raises(InvalidResponse):
        reader.gets()
