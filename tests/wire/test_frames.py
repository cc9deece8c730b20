"""Commands as bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esb_runtime.redis._frames import Word, joined

words = st.lists(st.binary(max_size=600) | st.text(max_size=600) | st.integers(), min_size=1, max_size=20)


def parsed(frame: bytes) -> list[bytes]:
    """An array of bulk strings, read by its lengths alone."""
    head, _, rest = frame.partition(b"\r\n")
    found: list[bytes] = []
    for _ in range(int(head[1:])):
        size, _, rest = rest.partition(b"\r\n")
        assert size[:1] == b"$"
        length = int(size[1:])
        found.append(rest[:length])
        assert rest[length : length + 2] == b"\r\n"
        rest = rest[length + 2 :]
    assert rest == b""
    return found


@given(words)
def test_every_word_arrives(command: list[Word]) -> None:
    """Whatever bytes, texts and numbers a command has, the server reads exactly them."""
    expected = [word if isinstance(word, bytes) else str(word).encode() for word in command]
    assert parsed(joined(command)) == expected


@given(words)
def test_both_ways_are_one(command: list[Word]) -> None:
    """hiredis, where it is installed, packs the same bytes."""
    hiredis = pytest.importorskip("hiredis")
    assert hiredis.pack_command(tuple(command)) == joined(command)
