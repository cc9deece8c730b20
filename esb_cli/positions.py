"""One grammar for every place in a stream: what `--since`, `--until`, `--from` and `--to` accept.

| written | means |
|---|---|
| `-1h`, `90m`, `1d12h`, `-1.5s`, `250ms` | so long ago, by the server's clock (the sign may be left out) |
| `2026-11-23T10:00:00Z`, `2026-11-23 10:00` | a time (RFC 3339); without a zone it is local |
| `2026-11-23` | the beginning of that day, local time |
| `10:30`, `10:30:15` | the last time that the local clock showed this |
| `1685268930`, `1685268930.5` | Unix seconds; 13 digits are milliseconds |
| `1685268930300-0` | an entry id |
| `start`, `end` | the ends of the stream |

Ids are made by the server, so "now" is the server's clock, never this machine's. Bounds include what they name: the
upper bound of a time takes every event of its millisecond.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from .failures import Exit, Failure

_DURATION = re.compile(
    r"-?(?=\d)(?:(?P<weeks>\d+)w)?(?:(?P<days>\d+)d)?(?:(?P<hours>\d+)h)?(?:(?P<minutes>\d+)m(?!s))?"
    r"(?:(?P<seconds>\d+(?:\.\d+)?)s)?(?:(?P<milliseconds>\d+)ms)?",
    re.ASCII,
)
_MILLISECONDS = {
    "weeks": 604_800_000,
    "days": 86_400_000,
    "hours": 3_600_000,
    "minutes": 60_000,
    "seconds": 1000,
    "milliseconds": 1,
}
_ENTRY_ID = re.compile(r"\d{1,20}-\d{1,20}", re.ASCII)
_UNIX = re.compile(r"0|\d{9,11}(?:\.\d{1,9})?|\d{13}", re.ASCII)  # 20261123 is a mistyped date, no time in 1970
_CLOCK = re.compile(r"\d{1,2}:\d\d(?::\d\d)?", re.ASCII)
_LONGEST = 3_155_760_000_000
"""A hundred years in milliseconds: longer durations are slips."""
_LAST_SEQUENCE = 2**64 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FORMS = "-1h, 1d12h, 2026-11-23T10:00:00Z, 2026-11-23, 10:30, Unix seconds, an entry id, start or end"


def first_id(text: str, *, now: int) -> str:
    """The lower bound that `text` means, as an id that a range starts with (`-` is the stream's beginning).

    `now` is the server's clock in milliseconds. Raises `Failure` (usage) naming the forms.
    """
    word = text.strip().lower()
    if word == "start":
        return "-"
    if word == "end":
        return f"{_LAST_SEQUENCE}-{_LAST_SEQUENCE}"
    if _ENTRY_ID.fullmatch(word):
        return _checked(word, text)
    return f"{milliseconds(text, now=now)}-0"


def last_id(text: str, *, now: int) -> str:
    """The upper bound that `text` means, as an id that a range ends with (`+` is the stream's end)."""
    word = text.strip().lower()
    if word == "end":
        return "+"
    if word == "start":
        return "0-0"
    if _ENTRY_ID.fullmatch(word):
        return _checked(word, text)
    return f"{milliseconds(text, now=now)}-{_LAST_SEQUENCE}"


def milliseconds(text: str, *, now: int) -> int:
    """The time that `text` means, in milliseconds since 1970; a time before that is 0."""
    word = text.strip()
    try:
        return max(_milliseconds(word, now), 0)
    except (ValueError, OverflowError, OSError):
        raise Failure(f"{text!r} is no position: write {FORMS}", Exit.USAGE) from None


def later(one: str, other: str) -> str:
    """The later one of two lower bounds (`(id` excludes the id itself)."""

    def order(bound: str) -> tuple[int, int, bool]:
        if bound == "-":
            return 0, 0, False
        milliseconds, _, sequence = bound.removeprefix("(").partition("-")
        return int(milliseconds), int(sequence or 0), bound.startswith("(")

    return max(one, other, key=order)


def entry_id(text: str) -> str:
    """An entry id, as it was written. Raises `Failure` (usage) for anything else."""
    if not _ENTRY_ID.fullmatch(text):
        raise Failure(f"{text!r} is no entry id; it looks like 1685268930300-0", Exit.USAGE)
    return _checked(text, text)


def duration(text: str) -> timedelta:
    """How long `text` says: `10m`, `1d12h`, `250ms`. Raises `Failure` (usage)."""
    found = _DURATION.fullmatch(text.strip())
    parts = {unit: Decimal(value) for unit, value in found.groupdict().items() if value} if found else {}
    total = sum(value * _MILLISECONDS[unit] for unit, value in parts.items())
    if not parts or text.strip().startswith("-") or total > _LONGEST:
        raise Failure(f"{text!r} is no duration: write 10m, 1d12h or 250ms", Exit.USAGE)
    return timedelta(milliseconds=float(total))


def earlier(one: str, other: str) -> str:
    """The earlier one of two upper bounds."""

    def order(bound: str) -> tuple[int, int]:
        if bound == "+":
            return _LAST_SEQUENCE, _LAST_SEQUENCE
        milliseconds, _, sequence = bound.partition("-")
        return int(milliseconds), int(sequence or 0)

    return min(one, other, key=order)


def _milliseconds(word: str, now: int) -> int:
    """Each form in turn; raises `ValueError` for none of them."""
    if _UNIX.fullmatch(word):
        return int(word) if len(word) == 13 and word.isdecimal() else int(Decimal(word) * 1000)
    if (found := _DURATION.fullmatch(word)) and any(found.groupdict().values()):
        parts = found.groupdict().items()
        return now - int(sum(Decimal(value) * _MILLISECONDS[unit] for unit, value in parts if value))
    if _CLOCK.fullmatch(word):
        return _since_epoch(_latest(word, now))
    moment = datetime.fromisoformat(_checked_date(word).upper())
    return _since_epoch(moment.astimezone() if moment.tzinfo is None else moment)


def _latest(clock: str, now: int) -> datetime:
    """The last moment at which the local clock showed this: today, or yesterday when today's is still to come."""
    hour, minute, *second = map(int, clock.split(":"))
    present = (_EPOCH + timedelta(milliseconds=now)).astimezone()
    wanted = present.replace(tzinfo=None, hour=hour, minute=minute, second=second[0] if second else 0, microsecond=0)
    moment = wanted.astimezone()
    return moment if moment <= present else (wanted - timedelta(days=1)).astimezone()


def _checked_date(word: str) -> str:
    """RFC 3339 has dashes; `fromisoformat` alone would also take `20261123` and week dates for dates."""
    if not re.match(r"\d{4}-\d\d-\d\d(?:$|[Tt ])", word, re.ASCII):
        raise ValueError(word)
    return word


def _since_epoch(moment: datetime) -> int:
    """Milliseconds since 1970, in whole numbers."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def _checked(id_: str, text: str) -> str:
    """Both halves of an id fit 64 bits; the server refuses others in words that help nobody."""
    if any(int(half) > _LAST_SEQUENCE for half in id_.split("-")):
        raise Failure(f"{text!r} is no entry id: both numbers are below 2**64", Exit.USAGE)
    return id_
