"""A consumer group as commands show it: one line of a table, one member of a JSON document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from esb_cli import moments, terminal
from esb_cli.tables import Column

if TYPE_CHECKING:
    from esb_runtime.operations import ConsumerSummary, GroupSummary

COLUMNS = (
    Column(title="GROUP", styles=("bold",)),
    Column(title="LAG", number=True),
    Column(title="PENDING", number=True),
    Column(title="OLDEST"),
    Column(title="DEAD", number=True),
    Column(title="ALIVE", number=True),
    Column(title="STATE", text=True),
)


def document(group: GroupSummary) -> dict[str, Any]:
    """A group as JSON; durations are in seconds."""
    return {
        "group": group.name,
        "state": state(group),
        "lag": group.lag,
        "pending": group.pending,
        "oldest_pending": group.oldest_pending or None,
        "released": group.released,
        "failing": group.failing,
        "trimmed": group.trimmed,
        "last_delivered": group.last_delivered,
        "dead_letters": group.dead_letters,
        "dead_letter_stream": group.dead_letter_stream,
        "owner": group.owner or None,
        "consumers": [_consumer(consumer) for consumer in group.consumers],
    }


def state(group: GroupSummary) -> str:
    """The worst that is known of a group, in a few words; `ok` when there is nothing."""
    alive = sum(consumer.alive for consumer in group.consumers)
    waiting = group.pending + (group.lag or 0)
    if group.trimmed:
        return f"{terminal.count(group.trimmed, 'event')} trimmed unseen"
    if waiting and not alive:
        return f"{waiting:,} waiting, nobody alive"
    dead = terminal.count(group.dead_letters, "dead letter") if group.dead_letters else ""
    if group.failing:
        return f"failing: {group.failing:,} being retried" + (f", {dead}" if dead else "")
    if dead:
        return dead
    stranded = sum(consumer.pending for consumer in group.consumers if not consumer.alive)
    if stranded:
        return f"{stranded:,} held by consumers that are gone"
    return "ok"


def row(group: GroupSummary, now: int) -> list[str]:
    """A group as a line of a table."""
    return [
        group.name,
        f"{group.lag:,}" if group.lag is not None else "?",
        f"{group.pending:,}",
        moments.ago(group.oldest_pending, now),
        f"{group.dead_letters:,}",
        str(sum(consumer.alive for consumer in group.consumers)),
        state(group),
    ]


def _consumer(consumer: ConsumerSummary) -> dict[str, Any]:
    return {
        "consumer": consumer.name,
        "pending": consumer.pending,
        "idle": consumer.idle.total_seconds(),
        "alive": consumer.alive,
    }
