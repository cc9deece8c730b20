"""The contract that the fault tests produce and consume, and the log that their handlers write.

Every line of the log is one `write` on a file opened for appending, so a process killed in between leaves whole lines:
`started|finished|again <key> <number> <monotonic ns> <checksum>`. All processes of a machine share the monotonic clock.
"""

from __future__ import annotations

import heapq
import os
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

from esb_runtime import EventContract, Side, event

URI = "shipments"
GROUP = "workers"
REMEMBERING = "remembering"
"""The group with `idempotent=True`."""
ONCE = "once"
"""The group whose effects are in a database."""
GROUPS = (GROUP, REMEMBERING, ONCE)


@dataclass(frozen=True, slots=True)
class Parcel:
    """Something with enough in it to notice when it comes back changed."""

    label: str
    weights: list[int]
    note: str | None = None


def parcel(key: str, number: int) -> Parcel:
    """The parcel that belongs to this key and number."""
    return Parcel(label=f"{key}/{number}", weights=[number % 7, number % 11], note="ü" * (number % 5) or None)


def checksum(found: Parcel) -> int:
    """A short proof of what a handler saw."""
    return zlib.crc32(repr(found).encode())


class Keyed(EventContract[Side], uri=URI):
    """Events of one key are handled in order."""

    @event(key="key")
    async def moved(self, key: str, number: int, parcel: Parcel) -> None: ...


class Unkeyed(EventContract[Side], uri=URI):
    """The same event without a key: all processes share the stream."""

    @event
    async def moved(self, key: str, number: int, parcel: Parcel) -> None: ...


class Log:
    """Appends one process's lines."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self._file = os.open(folder / f"{os.getpid()}.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def write(self, what: str, key: str, number: int, proof: int = 0) -> None:
        """One line, in one system call."""
        os.write(self._file, f"{what} {key} {number} {time.monotonic_ns()} {proof}\n".encode())


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a log, read back."""

    what: str
    key: str
    number: int
    at: int
    proof: int


def lines(folder: Path) -> Iterator[Line]:
    """Every line of every process, in the order in which they were written."""
    return heapq.merge(*map(_read, folder.glob("*.log")), key=attrgetter("at"))


def _read(file: Path) -> Iterator[Line]:
    with file.open(encoding="utf-8") as log:
        for text in log:
            what, key, number, at, proof = text.split()
            yield Line(what=what, key=key, number=int(number), at=int(at), proof=int(proof))
