"""Times and durations as a person reads them, and as JSON says them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def of_id(id_: str) -> str | None:
    """When an entry was stored, by its id, as RFC 3339; None without an id, or past the year 9999."""
    moment = _moment(id_)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z" if moment else None


def ago(id_: str, now: int) -> str:
    """How long ago an entry was stored: `3s ago`, `2h 5m ago`; the date when that is long."""
    moment = _moment(id_)
    if moment is None:
        return "-" if not id_ else "?"
    passed = timedelta(milliseconds=now) - (moment - _EPOCH)
    if passed > timedelta(days=30):
        return f"{moment.astimezone():%Y-%m-%d}"
    return f"{short(passed)} ago" if passed >= timedelta(seconds=1) else "just now"


def short(duration: timedelta) -> str:
    """The two largest units of a duration: `2d 3h`, `5m 10s`, `3s`, `250ms`."""
    if abs(duration) < timedelta(seconds=1):
        return f"{duration // timedelta(milliseconds=1)}ms"
    rest = int(duration.total_seconds())
    parts: list[str] = []
    for seconds, unit in _UNITS:
        if rest >= seconds or parts:
            parts.append(f"{rest // seconds}{unit}")
            rest %= seconds
    parts = parts[:2]
    return " ".join(part for at, part in enumerate(parts) if at == 0 or not part.startswith("0"))


def _moment(id_: str) -> datetime | None:
    try:
        return _EPOCH + timedelta(milliseconds=int(id_.partition("-")[0]))
    except (ValueError, OverflowError):
        return None
