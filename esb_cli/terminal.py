"""The one renderer: what a terminal, a pipe and an old locale get.

Data goes to stdout, words to stderr. On a terminal there is colour and a width to respect; in a pipe there are plain,
line-buffered lines. `NO_COLOR`, `FORCE_COLOR`, `COLUMNS` and `TERM=dumb` are respected. Text that came from a server
is data: its control characters are shown as escapes and never reach a terminal.
"""

from __future__ import annotations

import json
import os
import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from io import TextIOWrapper
from pathlib import Path
from typing import TextIO, cast


class Output(StrEnum):
    """What `-o/--output` accepts; `auto` is a table on a terminal and JSON lines in a pipe."""

    AUTO = "auto"
    TABLE = "table"
    JSON = "json"
    RAW = "raw"
    TEMPLATE = "template"

    def chosen(self) -> Output:
        """The form to print: `auto` decided by where stdout leads."""
        if self is not Output.AUTO:
            return self
        return Output.TABLE if sys.stdout.isatty() else Output.JSON


# Of the 256 colours, where the usual ones are too bright for a white background or, blue, too dark for a black one.
_CODES = {
    "bold": "1", "dim": "2", "red": "31", "green": "38;5;28", "yellow": "38;5;130", "blue": "38;5;62",
    "magenta": "35", "cyan": "38;5;30",
}  # fmt: skip

# What a terminal may take as an order, or what hides other text: C0, DEL, C1, line and paragraph separators,
# bidirectional overrides, zero-width characters, tags, and halves of surrogate pairs.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)
_JSON = {unicode: json.JSONEncoder(ensure_ascii=not unicode, allow_nan=False) for unicode in (True, False)}
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def prepare() -> None:
    """Make the standard streams safe: a pipe gets every line at once, an old locale gets escapes, never an error.

    A stream that was closed before the start (`>&-`) becomes one that swallows everything.
    """
    sys.stdout = sys.stdout or _nowhere()
    sys.stderr = sys.stderr or _nowhere()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            encoding = "ascii" if _ascii_wanted() else stream.encoding
            stream.reconfigure(encoding=encoding, errors="backslashreplace", line_buffering=True)


def _nowhere() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8")


def _ascii_wanted() -> bool:
    """Whether the user asked for the C locale in so many words.

    Python writes UTF-8 there. Without any locale variable (containers, cron) that is right; after `LANG=C` it is not.
    """
    if os.environ.get("PYTHONIOENCODING") or os.environ.get("PYTHONUTF8"):
        return False
    asked = {"C", "POSIX"}
    if os.environ.get("LC_ALL"):
        return os.environ["LC_ALL"] in asked
    coerced = os.environ.get("LC_CTYPE") == "C.UTF-8"  # Python itself sets this when it starts under LANG=C
    ctype = "" if coerced else os.environ.get("LC_CTYPE", "")
    return (ctype or os.environ.get("LANG", "")) in asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminal:
    """What one stream can show. `width` is None where lines may be of any length."""

    interactive: bool
    colour: bool
    unicode: bool
    width: int | None

    @classmethod
    def of(cls, stream: TextIO) -> Terminal:
        """Look at a stream and at the environment."""
        interactive = stream.isatty()
        return cls(
            interactive=interactive,
            colour=_colour(interactive=interactive),
            unicode=_is_unicode(stream),
            width=_width(stream, interactive=interactive),
        )

    def style(self, text: str, *names: str) -> str:
        """The text in these styles, or plain. The text must be clean."""
        if not self.colour or not names or not text:
            return text
        return f"\x1b[{';'.join(_CODES[name] for name in names)}m{text}\x1b[0m"

    def sign(self, fancy: str, plain: str) -> str:
        """A decoration, where the stream can show it."""
        return fancy if self.unicode else plain

    def fit(self, text: str, width: int) -> str:
        """The text cut to so many cells, with a sign that something is missing."""
        if cells(text) <= width:
            return text
        mark = self.sign("…", "..")[:width]
        return _take(text, max(width - cells(mark), 0)) + mark

    def squeeze(self, text: str, width: int) -> str:
        """The text cut in its middle: both ends of a name tell it apart."""
        if cells(text) <= width:
            return text
        mark = self.sign("…", "..")[:width]
        room = max(width - cells(mark), 0)
        head = _take(text, (room + 1) // 2)
        return head + mark + _take(text[::-1], room - cells(head))[::-1]

    @property
    def narrow(self) -> bool:
        """Whether names and values stand better below each other."""
        return self.width is not None and self.width < 60

    def wrapped(self, text: str, margin: int) -> Iterator[str]:
        """The text in pieces that fit behind a margin."""
        return wrap(text, max(self.width - margin, 10)) if self.width else iter([text])


def stdout() -> Terminal:
    """What stdout can show."""
    return Terminal.of(sys.stdout)


def stderr() -> Terminal:
    """What stderr can show."""
    return Terminal.of(sys.stderr)


def put(line: str) -> None:
    """One line of data on stdout."""
    sys.stdout.write(line + "\n")


def note(message: str) -> None:
    """One line of words on stderr, dimmed on a terminal."""
    sys.stderr.write(stderr().style(clean(message), "dim") + "\n")


def clean(text: str) -> str:
    """Text from elsewhere, with everything that a terminal could obey shown as an escape."""
    return _UNSAFE.sub(lambda found: _SHORT.get(found[0]) or _escape(found[0]), text)


def branches(folder: Path, margin: str = "") -> Iterator[str]:
    """What is in a folder, as a tree: a line each, folders before files."""
    terminal = stdout()
    entries = sorted(folder.iterdir(), key=lambda path: (not path.is_dir(), path.name))
    for entry in entries:
        last = entry == entries[-1]
        sign = terminal.sign("└── ", "`-- ") if last else terminal.sign("├── ", "|-- ")
        yield margin + sign + clean(entry.name) + "/" * entry.is_dir()
        if entry.is_dir():
            yield from branches(entry, margin + ("    " if last else terminal.sign("│   ", "|   ")))


def json_line(value: object) -> str:
    """One line of JSON that survives any locale and holds nothing a terminal could obey."""
    text = _JSON[_is_unicode(sys.stdout)].encode(value)
    return _UNSAFE.sub(lambda found: json.dumps(found[0])[1:-1] if ord(found[0]) > 0x7F else "\\u007f", text)


def tabbed(values: Iterable[object]) -> str:
    """Values between tabs, for `cut` and `awk`: nothing for None, `true` and `false`, commas between several."""
    return "\t".join(map(_field, values))


def _field(value: object) -> str:
    if isinstance(value, list | tuple):
        return ",".join(map(_field, cast("Iterable[object]", value)))
    return "" if value is None else str(value).lower() if isinstance(value, bool) else clean(str(value))


def cells(text: str) -> int:
    """How many columns a clean text takes on a terminal."""
    return len(text) if text.isascii() else sum(map(_cell, text))


def wrap(text: str, width: int) -> Iterator[str]:
    """The text in pieces of at most `width` cells, broken at spaces where there are any."""
    while cells(text) > width:
        piece = _take(text, width) or text[:1]
        at = piece.rfind(" ", width // 2)
        if at > 0 and not text[len(piece) :].startswith(" "):
            piece = piece[:at]
        yield piece.rstrip()
        text = text[len(piece) :].lstrip()
    yield text


def size(octets: int) -> str:
    """Bytes as a person reads them: `812 B`, `4.2 KiB`, `1.3 GiB`."""
    value = float(octets)
    units = ["B", "KiB", "MiB", "GiB", "TiB"]
    while value >= 1024 and len(units) > 1:
        value /= 1024
        del units[0]
    return f"{value:.0f} B" if units[0] == "B" else f"{value:.1f} {units[0]}"


def count(number: int, word: str) -> str:
    """`1 event`, `1,204 events`."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def _escape(character: str) -> str:
    """`\\x1b`, `\\u202e`, `\\U000e0001`."""
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _is_unicode(stream: TextIO) -> bool:
    return (stream.encoding or "").lower().startswith("utf")


def _colour(*, interactive: bool) -> bool:
    """NO_COLOR wins over FORCE_COLOR, as no-color.org asks; both count when they are not empty."""
    environ: Mapping[str, str] = os.environ
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR"):
        return True
    return interactive and environ.get("TERM") != "dumb"


def _width(stream: TextIO, *, interactive: bool) -> int | None:
    """`COLUMNS`, else the terminal's own width, else no limit; never so narrow that nothing fits."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns):
        return max(int(columns), 20)
    if not interactive:
        return None
    try:
        return max(os.get_terminal_size(stream.fileno()).columns, 20)
    except OSError:
        return 80


def _take(text: str, width: int) -> str:
    """The longest beginning of at most `width` cells."""
    used = 0
    for at, character in enumerate(text):
        used += _cell(character)
        if used > width:
            return text[:at]
    return text


@cache
def _cell(character: str) -> int:
    """Columns of one character: none for what combines with its neighbour, two for wide ones."""
    if unicodedata.category(character) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1
