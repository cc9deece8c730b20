"""Where `esb replay` brings history: to another stream, to a file, or to a group again."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from . import positions, terminal
from .events import Masks, document
from .failures import Exit, Failure
from .interrupts import accounted
from .partial_file import PartialFile
from .progress import Progress

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from esb_runtime.operations import Census, Copied, Operations, Pace, Place, PlainEvent, Redelivered, Renames, Slice


class Target(Protocol):
    """Takes the events of a slice."""

    async def rest(self, operations: Operations, part: Slice, *, resume: bool) -> Slice:
        """What of the slice it is about; with `resume` what an interrupted replay left."""
        ...

    async def run(self, operations: Operations, part: Slice, census: Census, pace: Pace) -> Exit:
        """Replay, and say what came of it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ToStream:
    """Copies; the target itself says how far an interrupted copy came, whatever ended it."""

    to: str
    renames: Renames

    async def rest(self, operations: Operations, part: Slice, *, resume: bool) -> Slice:
        """Behind the last event that the target holds a copy of."""
        if not resume:
            return part
        reached = await operations.copied_up_to(part.stream, self.to)
        none = f"{self.to} holds no copy of {part.stream} yet"
        terminal.note(f"{self.to} holds copies up to {reached}" if reached else none)
        return replace(part, first=positions.later(part.first, f"({reached}")) if reached else part

    async def run(self, operations: Operations, part: Slice, census: Census, pace: Pace) -> Exit:
        """Copy; 1 when something could not be copied."""
        result = None

        def reached() -> str:
            return f"{self._copied(result)}; --resume goes on behind them"

        with accounted(reached), Progress(f"copying to {self.to}", total=census.total) as progress:
            async for result in operations.copy(part, self.to, renames=self.renames, pace=pace):
                progress.to(result.done)
        if result is None:
            return Exit.DONE
        terminal.note(self._copied(result))
        if result.skipped:
            terminal.note(f"{result.skipped:,} could not be copied; the first: {result.problem}")
        return Exit.FAILED if result.skipped else Exit.DONE

    def _copied(self, result: Copied | None) -> str:
        present = f", {result.present:,} were there already" if result is not None and result.present else ""
        return f"{terminal.count(result.stored if result else 0, 'event')} copied to {self.to}{present}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToFile:
    """Writes JSON lines: to stdout as they come, to a file complete or not at all."""

    partial: PartialFile | None
    masks: Masks

    @classmethod
    def named(cls, file: Path, stream: str, masks: Masks) -> ToFile:
        """`-` is stdout."""
        return cls(partial=None if str(file) == "-" else PartialFile(file, stream), masks=masks)

    async def rest(self, operations: Operations, part: Slice, *, resume: bool) -> Slice:
        """Behind the last whole line of an interrupted file."""
        del operations
        reached = self.partial.resume() if resume and self.partial is not None else ""
        return replace(part, first=positions.later(part.first, f"({reached}")) if reached else part

    async def run(self, operations: Operations, part: Slice, census: Census, pace: Pace) -> Exit:
        """Write every event."""
        events, done = operations.events(part, pace=pace), 0
        if self.partial is None:
            with accounted(lambda: f"{terminal.count(done, 'event')} written"):
                async for event in events:
                    sys.stdout.write(self._line(event) + "\n")
                    done += 1
            return Exit.DONE
        with self.partial as partial, Progress(f"writing {partial.file.name}", total=census.total) as progress:
            async for lines in self._in_lines(events):
                partial.write(lines)
                done += len(lines)
                progress.to(done)
        terminal.note(f"{terminal.count(partial.lines, 'event')} written to {partial.file}")
        return Exit.DONE

    async def _in_lines(self, events: AsyncIterator[PlainEvent]) -> AsyncIterator[list[bytes]]:
        lines: list[bytes] = []
        async for event in events:
            lines.append(self._line(event).encode())
            if len(lines) == 100:
                yield lines
                lines = []
        yield lines

    def _line(self, event: PlainEvent) -> str:
        return terminal.json_line(document(event, self.masks))


@dataclass(slots=True, kw_only=True)
class ToGroup:
    """Gives events back to one group; the server notes with each step how far that has come."""

    group: str
    _place: Place | None = None

    async def rest(self, operations: Operations, part: Slice, *, resume: bool) -> Slice:
        """What the group has handled; behind the last step of an interrupted replay."""
        await operations.group(part.stream, self.group)
        part = replace(part, handled_by=self.group)
        if not resume:
            return part
        self._place = place = await operations.interrupted(part.stream, self.group)
        if place is None:
            raise Failure(f"no replay to group {self.group} was interrupted; leave out --resume", Exit.NOT_FOUND)
        terminal.note(f"going on behind {place.at}")
        first, last = positions.later(part.first, f"({place.at}"), positions.earlier(part.last, place.last)
        return replace(part, first=first, last=last)

    async def run(self, operations: Operations, part: Slice, census: Census, pace: Pace) -> Exit:
        """Give back; 1 when something cannot be read."""
        result = None

        def reached() -> str:
            return f"{self._given(result)}; --resume goes on behind them"

        with accounted(reached), Progress(f"giving back to {self.group}", total=census.total) as progress:
            async for result in operations.redeliver(part, self.group, place=self._place, pace=pace):
                progress.to(result.done)
        terminal.note(f"{self._given(result)}; its consumers handle them again")
        if result is not None and (result.waiting or result.gone):
            terminal.note(f"{result.waiting:,} came to it meanwhile, {result.gone:,} were removed")
        if census.unreadable:
            terminal.note(f"{census.unreadable:,} cannot be read and were left out")
        return Exit.FAILED if census.unreadable else Exit.DONE

    def _given(self, result: Redelivered | None) -> str:
        return f"{terminal.count(result.given if result is not None else 0, 'event')} given back to {self.group}"


def renames(pairs: Sequence[str]) -> Renames:
    """What `--map OLD=NEW` asks for: `OLD` is an event, or an argument of one (`order_placed.mail`).

    Raises `Failure` (usage).
    """
    from esb_runtime.operations import Renames

    events: dict[str, str] = {}
    arguments: dict[str, dict[str, str]] = {}
    for pair in pairs:
        old, _, new = pair.partition("=")
        event, dot, argument = old.partition(".")
        if not new or not event or (dot and not argument) or "." in argument + new:
            raise Failure(f"--map {pair!r}: write OLD=NEW, or EVENT.OLD=NEW for an argument", Exit.USAGE)
        names = arguments.setdefault(event, {}) if argument else events
        name = argument or event
        if name in names or (argument and new in names.values()):
            raise Failure(f"--map {pair!r}: {name} has another name already, or another one has this name", Exit.USAGE)
        names[name] = new
    return Renames(events=events, arguments=arguments)


def pace(rate: float | None, speed: str | None) -> Pace:
    """What `--rate N` and `--speed 1x` ask for. Raises `Failure` (usage)."""
    from esb_runtime.operations import Pace

    factor = 0.0
    if speed is not None:
        try:
            factor = float(speed.lower().removesuffix("x"))
        except ValueError:
            factor = 0.0
        if not 0 < factor < float("inf"):
            raise Failure(f"--speed {speed!r}: write 1x, 10x or 0.5x", Exit.USAGE)
    return Pace(rate=rate or 0.0, speed=factor)
