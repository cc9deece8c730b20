"""Lists and facts as a person reads them: aligned columns, no boxes, never wider than the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from .terminal import Terminal, cells, clean, put, wrap

GAP = "  "
NARROWEST = 8
"""A column is never cut below this; where that is too wide, each row becomes a block of `name value` lines."""
LEAST_WRAPPED = 16
"""A column whose text continues below is never narrower than this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column: its heading, whether its values are numbers (aligned right), and the styles of its values.

    What is too wide is cut at its end; a `name` in its middle, where names are alike; `text` continues below itself;
    what somebody will copy (`whole`) and numbers are never cut.
    """

    title: str
    number: bool = False
    whole: bool = False
    name: bool = False
    text: bool = False
    styles: tuple[str, ...] = ()

    @property
    def least(self) -> int | None:
        """How narrow it may become; None when it may not."""
        if self.number or self.whole:
            return None
        return LEAST_WRAPPED if self.text else NARROWEST

    def lines(self, terminal: Terminal, value: str, width: int) -> list[str]:
        """A value in lines of this width."""
        if self.text:
            return list(wrap(value, width))
        return [terminal.squeeze(value, width) if self.name else terminal.fit(value, width)]


def table(terminal: Terminal, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The lines of a table; values are cleaned here."""
    cleaned = [[clean(value) for value in row] for row in rows]
    widths = [max([cells(column.title), *(cells(row[at]) for row in cleaned)]) for at, column in enumerate(columns)]
    fitted = _fit(columns, widths, terminal.width)
    if fitted is None:
        yield from _blocks(terminal, columns, cleaned)
        return
    yield terminal.style(_line(terminal, columns, [c.title for c in columns], fitted, styled=False), "dim")
    for row in cleaned:
        parts = [
            column.lines(terminal, value, width) for column, value, width in zip(columns, row, fitted, strict=True)
        ]
        for line in zip_longest(*parts, fillvalue=""):
            yield _line(terminal, columns, line, fitted, styled=True)


def facts(terminal: Terminal, values: Mapping[str, str], *, indent: str = "") -> Iterator[str]:
    """The lines of a short description: one `name  value` per line; long values continue under themselves."""
    name_width = max(map(cells, values), default=0)
    margin = len(indent) + name_width + len(GAP)
    for name, value in values.items():
        text = clean(value)
        room = (terminal.width or 0) - margin
        pieces = list(wrap(text, room)) if terminal.width and room >= NARROWEST else [text]
        head = terminal.style(name + " " * (name_width - cells(name)), "dim")
        yield f"{indent}{head}{GAP}{pieces[0]}"
        for piece in pieces[1:]:
            yield " " * margin + piece


def put_all(lines: Iterator[str]) -> None:
    """Print lines of data."""
    for line in lines:
        put(line)


def _fit(columns: Sequence[Column], widths: Sequence[int], limit: int | None) -> list[int] | None:
    """The widths, with the widest columns shrunk until the line fits; None when it cannot."""
    result = list(widths)
    if limit is None:
        return result
    least = [width if column.least is None else column.least for column, width in zip(columns, widths, strict=True)]
    room = limit - len(GAP) * (len(result) - 1)
    while sum(result) > room:
        able = [at for at, width in enumerate(result) if width > least[at]]
        if not able:
            return None
        result[max(able, key=result.__getitem__)] -= 1
    return result


def _line(
    terminal: Terminal, columns: Sequence[Column], row: Sequence[str], widths: Sequence[int], *, styled: bool
) -> str:
    """One aligned line; numbers to the right, nothing behind the last value."""
    parts: list[str] = []
    for column, value, width in zip(columns, row, widths, strict=True):
        shown = terminal.fit(value, width)
        space = " " * (width - cells(shown))
        text = terminal.style(shown, *column.styles) if styled else shown
        parts.append(space + text if column.number else text + space)
    while parts and not parts[-1].strip():
        del parts[-1]
    return GAP.join(parts).rstrip()


def _blocks(terminal: Terminal, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Each row as its own block, for terminals on which the columns do not fit."""
    for at, row in enumerate(rows):
        if at:
            yield ""
        yield from facts(terminal, {c.title: value for c, value in zip(columns, row, strict=True)})
