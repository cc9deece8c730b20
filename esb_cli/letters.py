"""Dead letters as the command line shows them: `{id, at, reason, attempts, consumer, traceback, event}`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from . import moments, terminal
from .events import Masks, brief
from .events import document as event_document
from .expressions import Form, put
from .tables import Column, facts, put_all, table
from .terminal import Output

if TYPE_CHECKING:
    from esb_runtime.operations import DeadEvent

MEMBERS = ("id", "at", "reason", "attempts", "consumer", "traceback", "event")
COLUMNS = (
    Column(title="ID", whole=True, styles=("bold",)),
    Column(title="SINCE"),
    Column(title="EVENT", styles=("cyan",)),
    Column(title="TRIES", number=True),
    Column(title="REASON", text=True),
)


def document(letter: DeadEvent, masks: Masks) -> dict[str, Any]:
    """A dead letter as JSON says it, on one line."""
    return {
        "id": letter.id,
        "at": moments.of_id(letter.id),
        "reason": letter.reason,
        "attempts": letter.attempts,
        "consumer": letter.consumer,
        "traceback": letter.traceback,
        "event": event_document(letter.event, masks),
    }


def put_list(found: Sequence[DeadEvent], how: Form, masks: Masks, now: int) -> None:
    """The letters, one per line."""
    if how[0] is Output.TABLE and found:
        put_all(table(terminal.stdout(), COLUMNS, [_row(letter, now) for letter in found]))
    for letter in found if how[0] is not Output.TABLE else ():
        put_other(letter, how, masks)


def put_other(letter: DeadEvent, how: Form, masks: Masks) -> None:
    """One letter in a form for programs."""
    shown = document(letter, masks)
    event = shown["event"]
    values = [shown["id"], shown["at"], event["key"], event["event"], shown["attempts"], shown["reason"]]
    put(shown, how, terminal.tabbed(values))


def put_one(letter: DeadEvent, how: Form, masks: Masks) -> None:
    """Everything that is known about one letter."""
    if how[0] is not Output.TABLE:
        put_other(letter, how, masks)
        return
    screen = terminal.stdout()
    event = letter.event
    shown = event_document(event, masks)
    known = {
        "letter": letter.id,
        "since": f"{letter.at.astimezone():%Y-%m-%d %H:%M:%S %z}" if letter.at else "?",
        "reason": letter.reason,
        "attempts": str(letter.attempts),
        "consumer": letter.consumer,
        "key": shown["key"],
        "event": f"{event.event} (version {event.version})" if event.event else "unreadable",
        "at": f"{event.at.astimezone():%Y-%m-%d %H:%M:%S.%f %z}" if event.at else "",
    }
    raw = shown["meta"].pop("raw", {})
    known |= {name: value if isinstance(value, str) else brief(value) for name, value in shown["meta"].items()}
    put_all(facts(screen, {name: value for name, value in known.items() if value}))
    _put_values("arguments", shown["args"])
    _put_values("fields of the entry", raw)
    if letter.traceback:
        _put_heading("traceback")
        for line in letter.traceback.splitlines():
            terminal.put(f"  {terminal.clean(line)}")


def put_outcome(done: Mapping[str, Any], how: Form) -> None:
    """What was done to letters, or would be."""
    if how[0] is Output.TABLE:
        terminal.put(terminal.clean(_sentence(done)))
    else:
        put(done, how)


def _sentence(done: Mapping[str, Any]) -> str:
    number = terminal.count(done["letters"], "dead letter")
    where = f"{done['group']} of {done['stream']}"
    if not done["letters"]:
        return f"{where}: nothing to {done['action']}"
    if done["action"] == "purge":
        would = " would be" if done["dry_run"] else ""
        return f"{where}: {terminal.count(done['purged'], 'dead letter')}{would} purged"
    counts = ", ".join(f"{done[name]:,} {words}" for name, words in _OUTCOMES.items() if done.get(name))
    return f"{where}: {number} would be replayed: {counts}" if done["dry_run"] else f"{where}: {counts}"


_OUTCOMES = {
    "returned": "back in the group",
    "copied": "back as copies, their entries were trimmed",
    "ahead": "still to come, the group was moved back before them",
    "absent": "gone meanwhile",
    "empty": "kept, nothing is left to replay",
}


def _row(letter: DeadEvent, now: int) -> list[str]:
    event = letter.event
    name = event.event + (f" v{event.version}" if event.version > 1 else "")
    return [letter.id, moments.ago(letter.id, now), name or "unreadable", str(letter.attempts), letter.reason]


def _put_heading(title: str) -> None:
    terminal.put("")
    terminal.put(terminal.stdout().style(title, "bold"))


def _put_values(title: str, values: Mapping[str, Any] | None) -> None:
    if values:
        _put_heading(title)
        shown = {terminal.clean(n): v if isinstance(v, str) else brief(v) for n, v in values.items()}
        put_all(facts(terminal.stdout(), shown, indent="  "))
