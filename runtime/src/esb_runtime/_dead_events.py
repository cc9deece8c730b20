"""A group's dead letters as tools see them: found by what an operator knows, replayed or purged in bulk."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ._conditions import Condition
from ._identifiers import entry_order
from ._plain_event import PlainEvent, plain_event
from ._ports import BuriedEvent, Channel

PAGE = 100
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadEvent:
    """A dead letter as JSON can say it.

    `id` is the letter's own, `event` the event as it was, `at` when the group gave up (None for times past the year
    9999), `consumer` which of its processes did, `attempts` how often the handler was started. `reason` and
    `traceback` hold no argument values. `empty`: nothing is left of the event, so it cannot be replayed.
    """

    id: str
    event: PlainEvent
    reason: str
    attempts: int
    traceback: str
    consumer: str
    at: datetime | None
    empty: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterFilter:
    """Which dead letters are meant: all that meet every condition that is given.

    `first` and `last` are bounds of their own ids (which are times), `only` names events, `reason` is a part of the
    reason whatever the case, `ids` are letters' own ids, or ids or keys of their events. `where` is about the events.
    """

    first: str = "-"
    last: str = "+"
    only: frozenset[str] = frozenset()
    reason: str = ""
    ids: frozenset[str] = frozenset()
    where: Sequence[Condition] = ()

    def holds(self, letter: DeadEvent) -> bool:
        """Whether a letter is meant (its bounds and the conditions on its event aside)."""
        names = {letter.id, letter.event.key.id, str(letter.event.key)}
        return (
            (not self.only or letter.event.event in self.only)
            and self.reason.casefold() in letter.reason.casefold()
            and (not self.ids or not self.ids.isdisjoint(names))
        )


async def dead_events(channel: Channel, stream: str, group: str, part: LetterFilter) -> AsyncIterator[DeadEvent]:
    """The letters that are meant, oldest first. What is written while this goes on may be among them."""
    letters, first = channel.dead_letters(stream, group), part.first
    while True:
        page = await letters.page(first=first, last=part.last, count=PAGE)
        for buried in page:
            letter = dead_event(buried)
            if part.holds(letter) and all(condition.holds(buried.stored) for condition in part.where):
                yield letter
        if len(page) < PAGE:
            return
        first = f"({page[-1].id}"


def dead_event(buried: BuriedEvent) -> DeadEvent:
    """A dead letter without a contract."""
    letter = buried.letter
    return DeadEvent(
        id=buried.id,
        event=plain_event(buried.stored),
        reason=letter.reason or buried.stored.problem,
        attempts=letter.attempts,
        traceback=letter.traceback,
        consumer=buried.consumer,
        at=_moment(buried.id),
        empty=buried.empty,
    )


def slices(ids: Sequence[str]) -> list[Sequence[str]]:
    """Ids in parts of a page."""
    return [ids[start : start + PAGE] for start in range(0, len(ids), PAGE)]


def _moment(id_: str) -> datetime | None:
    try:
        return _EPOCH + timedelta(milliseconds=entry_order(id_)[0])
    except OverflowError:
        return None
