"""The contract that the fault tests produce and consume, and the log that their handlers write.

Every line of the log is one `write` on a file opened for appending, so a process killed in between leaves whole lines:
`started|finished <key> <number> <monotonic ns> <checksum>`. The monotonic clock is one for all processes of a machine.
"""

from __future__ import annotations

import os
import time
import zlib
from dataclasses import dataclass
from pathlib import Path

from esb_runtime import EventContract, Side, event

URI = "shipments"
GROUP = "workers"


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


def lines(folder: Path) -> list[Line]:
    """Every line of every process, in the order in which they were written."""
    found: list[Line] = []
    for file in folder.glob("*.log"):
        for text in file.read_text("utf-8").splitlines():
            what, key, number, at, proof = text.split()
            found.append(Line(what=what, key=key, number=int(number), at=int(at), proof=int(proof)))
    return sorted(found, key=lambda line: line.at)
