"""What a terminal, a pipe and an old locale get."""

from __future__ import annotations

import json
import sys
from io import BytesIO, TextIOWrapper

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esb_cli import tables, terminal
from esb_cli.tables import Column
from esb_cli.terminal import Terminal, cells, clean, json_line, size, wrap

PLAIN = Terminal(interactive=False, colour=False, unicode=True, width=None)
NARROW = Terminal(interactive=True, colour=False, unicode=True, width=40)
ASCII = Terminal(interactive=True, colour=False, unicode=False, width=40)
DANGEROUS = ["\x1b[2J", "\x9b31m", "\x07", "\x08", "\r", "\u202e", "\u2028", "\x7f", "\u200b", "\U000e0041"]


class Console(TextIOWrapper):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """It is."""
        return True


def console(encoding: str = "utf-8") -> Console:
    """A terminal of this encoding."""
    return Console(BytesIO(), encoding=encoding)


@given(st.text())
def test_clean_text_holds_nothing_a_terminal_obeys(text: str) -> None:
    """No control character, no direction override and no half of a pair is left."""
    cleaned = clean(text)
    assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or c in "\u202e\u2028\u200b" for c in cleaned)
    assert clean(cleaned) == cleaned
    cleaned.encode("utf-8")


@pytest.mark.parametrize("text", DANGEROUS)
def test_what_was_cleaned_away_is_shown_as_an_escape(text: str) -> None:
    """Nothing disappears: a reader sees that something odd is there."""
    assert "\\" in clean(f"a{text}b")


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_json_lines_are_one_valid_object_and_safe(value: object) -> None:
    """A line of JSON says what it was given and holds nothing a terminal obeys."""
    line = json_line({"value": value})
    assert json.loads(line) == {"value": value}
    assert clean(line) == line


def test_json_in_an_old_locale_is_still_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the stream cannot show a character, JSON's own escape stands for it."""
    monkeypatch.setattr(sys, "stdout", console("latin-1"))
    line = json_line({"name": "Zoë 😀"})
    line.encode("ascii")
    assert json.loads(line) == {"name": "Zoë 😀"}


@pytest.mark.parametrize(
    ("variables", "colour"),
    [
        ({}, True),
        ({"NO_COLOR": "1"}, False),
        ({"NO_COLOR": ""}, True),
        ({"TERM": "dumb"}, False),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
    ],
)
def test_colour_on_a_terminal_can_be_refused(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], *, colour: bool
) -> None:
    """NO_COLOR (when not empty) and TERM=dumb turn colour off."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert Terminal.of(console()).colour is colour


def test_colour_in_a_pipe_can_be_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe is plain unless FORCE_COLOR asks for colour."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    pipe = TextIOWrapper(BytesIO(), encoding="utf-8")
    assert Terminal.of(pipe).style("x", "red") == "x"
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert Terminal.of(pipe).style("x", "red") == "\x1b[31mx\x1b[0m"


def test_columns_win_over_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """COLUMNS says how wide it is; a pipe without it has no width."""
    pipe = TextIOWrapper(BytesIO(), encoding="utf-8")
    monkeypatch.delenv("COLUMNS", raising=False)
    assert Terminal.of(pipe).width is None
    monkeypatch.setenv("COLUMNS", "40")
    assert Terminal.of(pipe).width == 40
    monkeypatch.setenv("COLUMNS", "wide")
    assert Terminal.of(pipe).width is None


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(10, 60))
def test_wrapping_loses_no_word_and_fits(text: str, width: int) -> None:
    """Wrapped text keeps everything but blanks at the breaks, and no piece is wider than asked."""
    text = clean(text)
    pieces = list(wrap(text, width))
    assert "".join(pieces).replace(" ", "") == text.replace(" ", "")
    assert all(cells(piece) <= width for piece in pieces)


def test_wide_characters_take_two_cells() -> None:
    """Columns are counted as a terminal counts them."""
    assert cells("日本") == 4
    assert cells("e\u0301") == 1
    assert NARROW.fit("日本語", 5) == "日本…"
    assert ASCII.fit("abcdef", 4) == "ab.."


def test_sizes_are_short() -> None:
    """Bytes are shown in the largest unit that gives a number above one."""
    assert [size(n) for n in (0, 812, 4300, 5 * 1024**2, 3 * 1024**4)] == [
        "0 B", "812 B", "4.2 KiB", "5.0 MiB", "3.0 TiB",
    ]  # fmt: skip


COLUMNS = (Column(title="STREAM"), Column(title="EVENTS", number=True), Column(title="LAST"))
ROWS = [["orders", "1,204", "3s ago"], ["a-much-longer-name-than-the-others", "7", "just now"]]


def test_tables_are_aligned_columns_without_boxes() -> None:
    """Numbers to the right, text to the left, nothing behind the last column."""
    assert list(tables.table(PLAIN, COLUMNS, ROWS)) == [
        "STREAM                              EVENTS  LAST",
        "orders                               1,204  3s ago",
        "a-much-longer-name-than-the-others       7  just now",
    ]


def test_narrow_tables_shrink_the_widest_column() -> None:
    """A table fits into 40 columns: what is cut says so."""
    lines = list(tables.table(NARROW, COLUMNS, ROWS))
    assert max(map(cells, lines)) <= 40
    assert lines[2].startswith("a-much-longer-name-th…")


def test_what_is_too_wide_keeps_what_matters() -> None:
    """A name is cut in its middle, text continues below, numbers and what is copied stay whole."""
    columns = (
        Column(title="ID", whole=True), Column(title="WHO", name=True), Column(title="N", number=True),
        Column(title="WHY", text=True),
    )  # fmt: skip
    rows = [["1795661836014-0", "worker-on-host-12-aabb", "12,345", "its consumer is gone, another takes it over"]]
    wide = Terminal(interactive=True, colour=False, unicode=True, width=60)
    assert list(tables.table(wide, columns, rows)) == [
        "ID               WHO                    N  WHY",
        "1795661836014-0  worker-o…12-aabb  12,345  its consumer is",
        "                                           gone, another",
        "                                           takes it over",
    ]


def test_tables_that_cannot_fit_become_blocks() -> None:
    """In 20 columns each row is a block of names and values: nothing is lost."""
    tiny = Terminal(interactive=True, colour=False, unicode=False, width=20)
    text = "\n".join(tables.table(tiny, COLUMNS, ROWS))
    assert "STREAM  orders\nEVENTS  1,204\nLAST    3s ago" in text


def test_tables_show_no_raw_control_characters() -> None:
    """A value from the server cannot move the cursor."""
    (_, line) = tables.table(PLAIN, (Column(title="X"),), [["a\x1b[2Jb"]])
    assert line == "a\\x1b[2Jb"


def test_an_old_locale_gets_escapes_instead_of_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an encoding lacks is written as an escape."""
    stream = console("latin-1")
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setenv("LANG", "de_DE.ISO-8859-1")
    for name in ("LC_ALL", "LC_CTYPE", "PYTHONIOENCODING", "PYTHONUTF8"):
        monkeypatch.delenv(name, raising=False)
    terminal.prepare()
    terminal.put("Zoë 😀")
    stream.flush()
    raw = stream.buffer
    assert isinstance(raw, BytesIO)
    assert raw.getvalue() == b"Zo\xeb \\U0001f600\n"
