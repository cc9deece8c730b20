"""One grammar for every place in a stream."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esb_cli.failures import Exit, Failure
from esb_cli.positions import first_id, last_id, milliseconds

NOW = 1_795_000_000_000
LAST = 2**64 - 1


@pytest.fixture(autouse=True)
def _zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Local time is that of a place west of Greenwich."""
    monkeypatch.setitem(os.environ, "TZ", "EST5")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("-1h", 3_600_000),
        ("1h", 3_600_000),
        ("90m", 5_400_000),
        ("1d12h", 129_600_000),
        ("-2w", 1_209_600_000),
        ("1m30s", 90_000),
        ("250ms", 250),
        ("1.5s", 1500),
        ("-0s", 0),
    ],
)
def test_durations_count_back_from_the_servers_clock(text: str, ago: int) -> None:
    """A duration, with or without its sign, is so long before the server's now."""
    assert milliseconds(text, now=NOW) == NOW - ago


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-23T10:00:00Z", datetime(2026, 11, 23, 10, tzinfo=UTC)),
        ("2026-11-23t10:00:00.250z", datetime(2026, 11, 23, 10, 0, 0, 250_000, tzinfo=UTC)),
        ("2026-11-23T10:00:00+02:00", datetime(2026, 11, 23, 8, tzinfo=UTC)),
        ("2026-11-23 10:00", datetime(2026, 11, 23, 15, tzinfo=UTC)),
        ("2026-11-23", datetime(2026, 11, 23, 5, tzinfo=UTC)),
        ("1795000000", datetime.fromtimestamp(1_795_000_000, tz=UTC)),
        ("1795000000.5", datetime.fromtimestamp(1_795_000_000.5, tz=UTC)),
        ("1795000000123", datetime.fromtimestamp(1_795_000_000, tz=UTC) + timedelta(milliseconds=123)),
        ("1969-01-01", datetime(1970, 1, 1, tzinfo=UTC)),
    ],
)
def test_times_are_what_they_say(text: str, moment: datetime) -> None:
    """RFC 3339, dates and Unix times; without a zone local, before 1970 the beginning."""
    assert milliseconds(text, now=NOW) == (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def test_a_clock_time_is_the_last_one() -> None:
    """`HH:MM` is today, or yesterday when today's is still to come, in local time."""
    local = datetime.fromtimestamp(NOW / 1000, tz=timezone(timedelta(hours=-5)))
    earlier, later = local - timedelta(hours=1), local + timedelta(minutes=5)
    assert NOW - milliseconds(f"{earlier:%H:%M}", now=NOW) < 3_600_000 + 60_000
    assert 0 <= NOW - milliseconds(f"{later:%H:%M:%S}", now=NOW) - (86_400_000 - 300_000) < 1000


def test_ids_and_ends_are_taken_as_they_are() -> None:
    """An entry id is itself; the ends of the stream have names."""
    assert first_id("1685268930300-4", now=NOW) == last_id("1685268930300-4", now=NOW) == "1685268930300-4"
    assert first_id("start", now=NOW) == "-"
    assert last_id("END", now=NOW) == "+"
    assert last_id("start", now=NOW) == "0-0"
    assert first_id("end", now=NOW) == f"{LAST}-{LAST}"


def test_bounds_include_the_whole_millisecond() -> None:
    """An upper bound takes every event of its millisecond, a lower one begins with the first."""
    assert first_id("1795000000", now=NOW) == "1795000000000-0"
    assert last_id("1795000000", now=NOW) == f"1795000000000-{LAST}"


@pytest.mark.parametrize(
    "text",
    ["", "-", "soon", "1x", "1h1d", "-1", "--1h", "1685268930300-", "2026-13-01", "20261123", "2026-W01-1", "25:00",
     f"{2**64}-0", "٣h", "12345678901234567890", "h", "1.5h", "2026-11-23T10:00:00Zjunk"],
)  # fmt: skip
def test_anything_else_is_refused_with_the_forms(text: str) -> None:
    """What is no position is a usage error that shows how one looks."""
    with pytest.raises(Failure) as caught:
        first_id(text, now=NOW)
    assert caught.value.code is Exit.USAGE
    assert "-1h" in str(caught.value) or "2**64" in str(caught.value)


@given(st.text(max_size=30))
def test_no_text_breaks_the_grammar(text: str) -> None:
    """Any text is a position or a usage error, never another error."""
    for bound in (first_id, last_id):
        with suppress(Failure):
            assert bound(text, now=NOW)


@given(st.datetimes(min_value=datetime(1974, 1, 2), max_value=datetime(2200, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_every_form_of_a_moment_means_it(moment: datetime) -> None:
    """A moment written as RFC 3339, in another zone or in Unix milliseconds is the same place."""
    moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    expected = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    assert milliseconds(moment.isoformat(), now=NOW) == expected
    assert milliseconds(moment.astimezone(timezone(timedelta(hours=9, minutes=30))).isoformat(), now=NOW) == expected
    assert milliseconds(f"{expected // 1000}.{expected % 1000:03}", now=NOW) == expected


@given(st.integers(0, 50), st.integers(0, 23), st.integers(0, 59), st.integers(1, 59), st.integers(0, 999))
def test_durations_add_up(days: int, hours: int, minutes: int, seconds: int, rest: int) -> None:
    """The parts of a duration are summed."""
    whole = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds, milliseconds=rest)
    text = f"{days}d{hours}h{minutes}m{seconds}s{rest}ms"
    assert NOW - milliseconds(text, now=NOW) == whole // timedelta(milliseconds=1)
