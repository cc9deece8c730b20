"""Files that are complete or not there: written beside their place, gone on with after an interruption."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from . import terminal
from .failures import Exit, Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """How far a file came: the id of its last whole line ("" for none), how many lines and bytes."""

    id: str = ""
    lines: int = 0
    size: int = 0


class PartialFile:
    """Lines of JSON about events of one stream, on their way into a file.

    An interruption leaves the lines so far; whatever ended it, they are whole but for the last one.
    """

    def __init__(self, file: Path, source: str) -> None:
        """Raises `Failure` (usage) when the file is there already."""
        if file.exists():
            raise Failure(f"{file} is there already; remove it, or name another file", Exit.USAGE)
        self.file = file
        self.path = file.with_name(f".{file.name}.part")
        self.reached = Reached()
        self._source = source
        self._stream: BinaryIO | None = None
        self._written = 0

    def resume(self) -> str:
        """Find out how far an interrupted one came: the id to go on behind, "" for the beginning.

        Raises `Failure` (5) for one that is not about this stream.
        """
        if self.path.exists():
            with self.path.open("rb") as stream:
                self.reached = _reached(stream, self._source)
        if self.reached.id:
            done = terminal.count(self.reached.lines, "event")
            terminal.note(f"going on behind {self.reached.id}, with {done} written")
        return self.reached.id

    def __enter__(self) -> Self:
        """Open it, for its owner alone: it may hold whole events."""
        self._stream = os.fdopen(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600), "r+b")
        self._stream.truncate(self.reached.size)
        self._stream.seek(self.reached.size)
        return self

    def write(self, lines: Iterable[bytes]) -> None:
        """Add lines, given without their ends."""
        if self._stream is not None:
            several = [line + b"\n" for line in lines]
            self._stream.write(b"".join(several))
            self._written += len(several)

    @property
    def lines(self) -> int:
        """How many lines it holds, with those before an interruption."""
        return self.reached.lines + self._written

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Put it in its place; an interrupted one stays where `--resume` finds it."""
        if self._stream is not None:
            self._stream.close()
        if kind is None:
            self.path.replace(self.file)
        else:
            terminal.note(f"interrupted: {terminal.count(self.lines, 'event')} written; --resume goes on behind them")


def _reached(stream: BinaryIO, source: str) -> Reached:
    """The last whole line; what was cut off behind it does not count."""
    lines, size, last = 0, 0, b""
    for line in stream:
        if line.endswith(b"\n"):
            lines, size, last = lines + 1, size + len(line), line
    if not last:
        return Reached()
    try:
        document: Any = json.loads(last)
        held, _, id_ = str(document["key"]).rpartition("/")
    except (ValueError, KeyError, TypeError):
        held, id_ = "", ""
    if held != source or not id_:
        raise Failure(f"{stream.name}, which --resume found, is not about {source}; remove it", Exit.BAD_DATA)
    return Reached(id=id_, lines=lines, size=size)
