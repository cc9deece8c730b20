"""`esb show`: one stream with its groups and their processes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from esb_cli import connection, group_view, moments, terminal
from esb_cli.commands.ls import MEMBERS
from esb_cli.commands.ls import document as stream_document
from esb_cli.expressions import put
from esb_cli.options import EnvironmentOption, Printed, Server, StreamArgument, spread
from esb_cli.tables import Column, facts, put_all, table
from esb_cli.terminal import Output, Terminal

if TYPE_CHECKING:
    from esb_runtime.operations import ConsumerSummary, Description, GroupSummary, Kept

CONSUMERS = (
    Column(title="CONSUMER", name=True),
    Column(title="GROUP"),
    Column(title="PENDING", number=True),
    Column(title="IDLE", number=True),
    Column(title="STATE"),
)


@spread
def command(
    uri: StreamArgument,
    *,
    printed: Printed,
    environment: EnvironmentOption = "",
    server: Server,
) -> None:
    """Show a stream, its groups and their consumers.

    LAG: events not given out yet. PENDING: given out and not settled; OLDEST: since when. DEAD: dead letters.

    \b
    Examples:
      esb show event-demo
      esb show event-demo -o json | jq '.groups[] | select(.lag > 100)'
      esb show orders --environment prod
    """
    import asyncio

    how = printed.form((*MEMBERS, "retention"))
    chosen = server.choose()
    description, now = asyncio.run(_describe(chosen, uri, environment))
    if how[0] is Output.TABLE:
        _put(description, now)
    elif how[0] is Output.RAW:
        for group in description.groups:
            terminal.put(terminal.tabbed(v for v in group_view.document(group).values() if not isinstance(v, list)))
    else:
        put(document(description), how)


async def _describe(chosen: connection.Connection, uri: str, environment: str) -> tuple[Description, int]:
    from esb_runtime.operations import stream_key

    async with connection.connected(chosen) as operations:
        return await operations.describe(stream_key(uri, environment)), await operations.now()


def document(description: Description) -> dict[str, Any]:
    """A stream and its groups as JSON; durations are in seconds."""
    groups = [group_view.document(group) for group in description.groups]
    return {**stream_document(description.summary), "groups": groups, "retention": _retention(description.retention)}


def _retention(kept: Kept | None) -> dict[str, Any] | None:
    """The policy that the stream's consumers apply; `keep` in seconds."""
    if kept is None:
        return None
    keep = kept.keep.total_seconds() if kept.keep is not None else None
    return {"keep": keep, "maxlen": kept.maxlen, "handled": kept.handled, "held_up_by": kept.pinned or None}


def _put(description: Description, now: int) -> None:
    screen = terminal.stdout()
    summary = description.summary
    memory = f"{screen.sign('≈', '~')} {terminal.size(summary.memory)}" if summary.memory is not None else "?"
    known = {"stream": summary.stream, "events": f"{summary.length:,}", "memory": memory}
    if summary.first:
        known |= {"first": _end(summary.first, now), "last": _end(summary.last, now)}
    if (kept := description.retention) is not None:
        rules = [f"{moments.short(kept.keep)}"] if kept.keep else []
        rules += [terminal.count(kept.maxlen, "event")] if kept.maxlen is not None else []
        known["keeps"] = " and at most ".join(rules) or "what a group has yet to handle"
    put_all(facts(screen, known))
    if kept is not None and kept.pinned:
        terminal.put("")
        _put_warning(screen, f"{terminal.clean(kept.pinned)} is dead and holds up retention: start it, or remove it")
    terminal.put("")
    if not description.groups:
        terminal.put("no consumer group yet")
        return
    put_all(table(screen, group_view.COLUMNS, [group_view.row(group, now) for group in description.groups]))
    rows = [_consumer_row(group, consumer) for group in description.groups for consumer in group.consumers]
    if rows:
        terminal.put("")
        put_all(table(screen, CONSUMERS, rows))
    warnings = [text for group in description.groups for text in _warnings(terminal.clean(summary.stream), group)]
    if warnings:
        terminal.put("")
    for text in warnings:
        _put_warning(screen, text)


def _warnings(stream: str, group: GroupSummary) -> Iterator[str]:
    """What nobody works on, and what fails: what an operator looks for first."""
    name, waiting = terminal.clean(group.name), group.pending + (group.lag or 0)
    if waiting and not any(consumer.alive for consumer in group.consumers):
        yield f"{name}: {terminal.count(waiting, 'event')} waiting and no process alive"
    if group.failing:
        yield f"{name}: {terminal.count(group.failing, 'event')} failed, being retried; esb pending {stream} {name}"
    if group.dead_letters:
        yield f"{name}: {terminal.count(group.dead_letters, 'dead letter')}; esb dlq list {stream} {name}"


def _put_warning(screen: Terminal, text: str) -> None:
    """Only the sign has a colour: yellow words are hard to read on a light background."""
    sign = screen.sign("⚠", "!")
    first, *rest = screen.wrapped(text, 2)
    terminal.put(f"{screen.style(sign, 'bold', 'yellow')} {first}")
    for line in rest:
        terminal.put(f"  {line}")


def _end(id_: str, now: int) -> str:
    return f"{id_}  ({moments.ago(id_, now)})"


def _consumer_row(group: GroupSummary, consumer: ConsumerSummary) -> list[str]:
    state = "alive" if consumer.alive else "gone"
    return [
        consumer.name,
        group.name,
        f"{consumer.pending:,}",
        moments.short(consumer.idle),
        f"{state}, owner" if consumer.name == group.owner else state,
    ]
