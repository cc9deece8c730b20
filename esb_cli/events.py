"""An event as the command line shows it: `{key, event, version, at, args, meta}`, everywhere the same.

Personal arguments are masked unless they are asked for; the workspace's `contract.lock` says which those are.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from .expressions import Template
from .formats import is_array, is_object
from .lock import Lock
from .terminal import Output, Terminal, cells, clean, json_line, tabbed, wrap

if TYPE_CHECKING:
    from esb_runtime.operations import PlainEvent

MASK = "***"
LONGEST = 12
"""Lines that one event may take on a terminal; JSON shows all of it."""
_COLOURS = ("cyan", "green", "magenta", "blue", "yellow")
_GAP = "  "


@dataclass(frozen=True, slots=True, kw_only=True)
class Masks:
    """Which arguments are hidden."""

    lock: Lock | None = None

    @classmethod
    def of_workspace(cls, *, show_personal: bool) -> Masks:
        """What the workspace's lock calls personal; nothing when it is asked for, or without a lock."""
        return cls(lock=None if show_personal else Lock.of_workspace())

    def arguments(self, event: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments, with the personal ones masked; what was erased stays null."""
        personal = self.lock.personal(event) if self.lock else frozenset[str]()
        return {name: MASK if name in personal and value is not None else value for name, value in arguments.items()}

    def meta(self, event: str, meta: Mapping[str, Any]) -> dict[str, Any]:
        """What else is known, without an ordering key that repeats a personal argument."""
        hidden = "ordering_key" in meta and self.lock is not None and self.lock.personal_key(event)
        return {**meta, "ordering_key": MASK} if hidden else dict(meta)


def document(event: PlainEvent, masks: Masks) -> dict[str, Any]:
    """The event as JSON says it, on one line."""
    return {
        "key": str(event.key),
        "event": event.event,
        "version": event.version,
        "at": _rfc3339(event.at),
        "args": None if event.arguments is None else masks.arguments(event.event, event.arguments),
        "meta": masks.meta(event.event, event.meta),
    }


@dataclass(slots=True, kw_only=True)
class EventPrinter:
    """Events one after another, in the form asked for.

    `streams` are those that are shown: with several, a column says which. `payload` is false when nobody asked for
    arguments.
    """

    output: Output
    terminal: Terminal
    masks: Masks
    streams: Sequence[str]
    template: Template | None = None
    payload: bool = True
    _day: str = ""
    _width: int = field(default=12)

    def lines(self, event: PlainEvent) -> Iterator[str]:
        """The lines of one event."""
        shown = document(event, self.masks)
        if self.template is not None:
            yield self.template.line(shown)
        elif self.output is Output.JSON:
            yield json_line(shown)
        elif self.output is Output.RAW:
            yield raw_line(shown)
        else:
            yield from self._row(event, shown)

    def _row(self, event: PlainEvent, shown: Mapping[str, Any]) -> Iterator[str]:
        """A line that a person reads: local time, event, arguments; more lines where the terminal is too narrow."""
        moment = event.at.astimezone() if event.at else None
        yield from self._new_day(moment)
        time = moment.strftime("%H:%M:%S.") + f"{moment.microsecond // 1000:03}" if moment else "?" * 12
        parts: list[tuple[str, tuple[str, ...]]] = [(time, ("dim",))]
        if len(self.streams) > 1:
            width = min(max(map(cells, map(clean, self.streams))), 24)
            parts.append((_padded(self.terminal.fit(clean(event.key.stream), width), width), ("dim",)))
        name, styles = _title(event, self.terminal)
        self._width = max(self._width, min(cells(name), 24))
        parts.append((_padded(name, self._width), styles))
        words = self._words(event, shown)
        margin = sum(cells(part) for part, _ in parts) + len(_GAP) * len(parts)
        head = _GAP.join(self.terminal.style(part, *styles) for part, styles in parts)
        yield from self._laid_out(head, words, margin)

    def _laid_out(self, head: str, words: Sequence[str], margin: int) -> Iterator[str]:
        """The words behind the head where they have room, else below it."""
        width = self.terminal.width
        text = " ".join(words)
        if width is None or margin + cells(text) <= width:
            yield f"{head}{_GAP}{text}".rstrip()
            return
        below = width - margin < 30
        indent = 2 if below else margin
        pieces = packed(words, width - indent)
        if len(pieces) > LONGEST:
            more = f"{len(pieces) - LONGEST + 1} more lines: -o json"
            pieces = [*pieces[: LONGEST - 1], self.terminal.sign("… ", ".. ") + more]
        if below:
            yield head.rstrip()
        else:
            yield f"{head}{_GAP}{pieces.pop(0)}"
        for piece in pieces:
            yield " " * indent + piece

    def _new_day(self, moment: datetime | None) -> Iterator[str]:
        """A line where the date changes: the rows carry only the time."""
        day = f"{moment:%Y-%m-%d} {moment:%z}" if moment else ""
        if day and day != self._day:
            self._day = day
            line = self.terminal.sign("─", "-") * 2
            yield self.terminal.style(f"{line} {day[:10]} {line}", "dim")

    def _words(self, event: PlainEvent, shown: Mapping[str, Any]) -> Sequence[str]:
        """What stands behind an event's name: one word per argument, clean."""
        if event.problem:
            raw = shown["meta"].get("raw")
            return [clean(f"{event.problem}{'; it holds ' + brief(raw) if raw else ''}")]
        if event.arguments is None:
            return [] if self.payload else [clean(str(event.key))]
        return [clean(f"{name}={brief(value)}") for name, value in shown["args"].items()]


def packed(words: Sequence[str], width: int) -> list[str]:
    """Lines of words: a word begins a new line rather than being broken, unless no line could hold it."""
    lines = [""]
    for word in words:
        joined = f"{lines[-1]} {word}" if lines[-1] else word
        if cells(word) <= width < cells(joined):
            lines.append(word)
        else:
            lines[-1:] = wrap(joined, width)
    return lines


def brief(value: object) -> str:
    """A value as a person reads it: `{id: 1, name: Ann}`; text is quoted only where it could be misread."""
    if is_object(value):
        return "{" + ", ".join(f"{name}: {brief(member)}" for name, member in value.items()) + "}"
    if is_array(value):
        return "[" + ", ".join(map(brief, value)) + "]"
    if isinstance(value, str) and value and _plain_word(value):
        return value
    return json.dumps(value, ensure_ascii=False)


def raw_line(shown: Mapping[str, Any]) -> str:
    """Tab-separated fields for `cut` and `awk`: key, event, version, time, arguments as JSON."""
    return tabbed([shown["key"], shown["event"], shown["version"], shown["at"]]) + "\t" + json_line(shown["args"])


def _title(event: PlainEvent, terminal: Terminal) -> tuple[str, tuple[str, ...]]:
    if not event.event:
        return terminal.sign("⚠ ", "! ") + "unreadable", ("yellow",)
    name = clean(event.event) + (f" v{event.version}" if event.version != 1 else "")
    return name, ("bold", _COLOURS[zlib.crc32(event.event.encode("utf-8", "replace")) % len(_COLOURS)])


def _plain_word(text: str) -> bool:
    """Whether text reads as text without quotes: no blanks or signs, and not what a number or null looks like."""
    if not all(character.isalnum() or character in "-_.@:/+*" for character in text):
        return False
    try:
        float(text)
    except ValueError:
        return text not in {"null", "true", "false"}
    return False


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cells(text))


def _rfc3339(moment: datetime | None) -> str | None:
    """Always with microseconds, so that texts sort as times."""
    return f"{moment.astimezone(UTC).isoformat(timespec='microseconds')[:-6]}Z" if moment else None
