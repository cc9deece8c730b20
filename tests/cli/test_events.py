"""An event as the command line shows it: the same JSON everywhere, rows for people, personal arguments masked."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from esb_cli.events import EventPrinter, Masks, brief, document
from esb_cli.lock import Lock
from esb_cli.terminal import Output, Terminal
from esb_runtime import EventKey
from esb_runtime.operations import PlainEvent

WIDE = Terminal(interactive=True, colour=False, unicode=True, width=80)
NARROW = Terminal(interactive=True, colour=False, unicode=True, width=40)
ASCII = Terminal(interactive=True, colour=False, unicode=False, width=80)
PIPE = Terminal(interactive=False, colour=False, unicode=True, width=None)
COLOUR = Terminal(interactive=True, colour=True, unicode=True, width=80)


def stored(**changes: Any) -> PlainEvent:
    """An order."""
    known: dict[str, Any] = {
        "key": EventKey(stream="shop", id="1795000000000-0"),
        "event": "ordered",
        "version": 1,
        "at": datetime(2026, 11, 18, 9, 46, 40, 123456, tzinfo=UTC),
        "message_id": "m-1",
        "arguments": {
            "user": {"id": 1, "email": "ann@example.org", "name": "Ann Lee"},
            "product": {"name": "Blue jeans", "price": "12.50"},
            "express": True,
            "note": None,
        },
        "erased": frozenset(),
        "problem": "",
        "meta": {"message_id": "m-1", "ordering_key": "ann@example.org"},
    }
    return PlainEvent(**(known | changes))


def rows(*events: PlainEvent, terminal: Terminal = WIDE, masks: Masks | None = None, **options: Any) -> list[str]:
    """The lines of a table of events."""
    printer = EventPrinter(
        output=Output.TABLE, terminal=terminal, masks=masks or Masks(), **({"streams": ["shop"]} | options)
    )
    return [line for event in events for line in printer.lines(event)]


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Local time is UTC."""
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


def test_a_row_at_eighty_columns() -> None:
    """Date once, then local time, event and arguments; long ones go on below, aligned."""
    assert rows(stored(), stored(event="packed", version=2, arguments={"count": 3})) == [
        "── 2026-11-18 ──",
        '09:46:40.123  ordered       user={id: 1, email: ann@example.org, name: "Ann',
        '                            Lee"} product={name: "Blue jeans", price: "12.50"}',
        "                            express=true note=null",
        "09:46:40.123  packed v2     count=3",
    ]


def test_a_row_at_forty_columns() -> None:
    """On a narrow terminal the arguments stand below their event."""
    lines = rows(stored(), terminal=NARROW)
    assert lines[1:3] == ["09:46:40.123  ordered", "  user={id: 1, email: ann@example.org,"]
    assert max(map(len, lines)) <= 40


def test_a_row_in_a_pipe_is_one_line() -> None:
    """Without a width nothing is wrapped, whatever its length."""
    assert len(rows(stored(arguments={"text": "x " * 5000}), terminal=PIPE)) == 2


def test_a_row_in_an_old_locale_is_ascii() -> None:
    """Where a terminal has no Unicode the decorations are plain signs."""
    "\n".join(rows(stored(problem="gone", arguments=None, event=""), terminal=ASCII)).encode("ascii")


def test_a_long_event_is_cut_with_a_word_about_it() -> None:
    """An event takes a dozen lines at most, and says how to see the rest."""
    lines = rows(stored(arguments={"text": "word " * 400}))
    assert len(lines) == 13
    assert "more lines: -o json" in lines[-1]


def test_several_streams_have_a_column() -> None:
    """Merged streams say which event is whose."""
    other = stored(key=EventKey(stream="other-shop", id="1795000000001-0"), arguments={})
    lines = rows(stored(arguments={}), other, streams=["shop", "other-shop"])
    assert lines[1:] == ["09:46:40.123  shop        ordered", "09:46:40.123  other-shop  ordered"]


def test_colours_only_decorate() -> None:
    """With colour the text is the same."""
    import re

    coloured = "\n".join(rows(stored(), terminal=COLOUR))
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == "\n".join(rows(stored()))


def test_control_characters_never_reach_a_row() -> None:
    """Names and values from the server cannot move the cursor, hide text or ring the bell."""
    evil = "\x1b[2J\x9b1m\u202e\x07"
    event = stored(event=evil, key=EventKey(stream=evil, id="1-0"), arguments={evil: evil, "x": {evil: [evil]}})
    for terminal in (WIDE, NARROW, PIPE):
        text = "\n".join(rows(event, terminal=terminal, streams=[evil, "b"]))
        assert not set(text) & set(evil) - set("[2J1m")
    broken = stored(problem=f"bad {evil}", arguments=None, meta={"raw": {evil: evil}})
    assert "\x1b" not in "\n".join(rows(broken))


def test_an_unreadable_entry_is_a_row_like_others() -> None:
    """A garbage entry shows what is wrong and what it holds."""
    broken = stored(event="", version=0, problem="it was not written by esb", arguments=None, meta={"raw": {"a": "b"}})
    assert rows(broken)[1] == "09:46:40.123  ⚠ unreadable  it was not written by esb; it holds {a: b}"


def test_without_payload_a_row_shows_the_key() -> None:
    """With --no-payload the key stands where the arguments were."""
    assert rows(stored(arguments=None), payload=False)[1] == "09:46:40.123  ordered       shop/1795000000000-0"


def test_the_json_of_an_event() -> None:
    """`{key, event, version, at, args, meta}`, times with microseconds in UTC."""
    shown = document(stored(), Masks())
    assert list(shown) == ["key", "event", "version", "at", "args", "meta"]
    assert shown["key"] == "shop/1795000000000-0"
    assert shown["at"] == "2026-11-18T09:46:40.123456Z"
    printer = EventPrinter(output=Output.JSON, terminal=PIPE, masks=Masks(), streams=["shop"])
    (line,) = printer.lines(stored())
    assert json.loads(line) == shown


def test_the_raw_form_is_for_cut_and_awk() -> None:
    """Tab-separated: key, event, version, time, arguments as JSON; no tab of the data gets through."""
    printer = EventPrinter(output=Output.RAW, terminal=PIPE, masks=Masks(), streams=["shop"])
    (line,) = printer.lines(stored(event="a\tb", arguments={"x": "1\t2"}))
    fields = line.split("\t")
    assert fields[1:3] == ["a\\tb", "1"]
    assert json.loads(fields[4]) == {"x": "1\t2"}


def test_personal_arguments_are_masked(shop_lock: str) -> None:
    """What the lock calls personal is hidden, also where the ordering key repeats it; what was erased stays null."""
    masks = Masks(lock=Lock.parse(shop_lock, source="test"))
    shown = document(stored(), masks)
    assert shown["args"]["user"] == "***"
    assert "ann" not in json.dumps(shown)
    assert shown["args"]["product"] == {"name": "Blue jeans", "price": "12.50"}
    assert document(stored(arguments={"user": None}), masks)["args"] == {"user": None}
    assert "ann" not in "\n".join(rows(stored(), masks=masks))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": 1, "b": [True, None, 1.5]}, "{a: 1, b: [true, null, 1.5]}"),
        ("plain-word", "plain-word"),
        ("two words", '"two words"'),
        ("12", '"12"'),
        ("true", '"true"'),
        ("", '""'),
        ("a\nb", '"a\\nb"'),
    ],
)
def test_values_are_quoted_only_where_they_could_be_misread(value: object, text: str) -> None:
    """Text that looks like a number, a word of JSON or several words is quoted."""
    assert brief(value) == text
