"""`esb pending`: what a group has in hand, and why it is not done."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from esb_cli import connection, moments, terminal
from esb_cli.expressions import put
from esb_cli.options import EnvironmentOption, GroupArgument, IdleOption, Printed, Server, StreamArgument, spread
from esb_cli.tables import Column, put_all, table
from esb_cli.terminal import Output

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from esb_runtime.operations import PendingEvent

COLUMNS = (
    Column(title="ID", whole=True),
    Column(title="EVENT", styles=("bold",)),
    Column(title="CONSUMER", name=True),
    Column(title="IDLE", number=True),
    Column(title="STARTS", number=True),
    Column(title="FAILED", number=True),
    Column(title="WHY", text=True),
)

MEMBERS = ("id", "event", "version", "consumer", "alive", "idle", "starts", "failures", "why")


@spread
def command(
    uri: StreamArgument,
    group: GroupArgument,
    *,
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="At most so many, oldest first.")] = 100,
    consumer: Annotated[
        str | None, typer.Option("--consumer", metavar="NAME", help="Only what this one holds.", show_default=False)
    ] = None,
    idle: IdleOption = None,
    printed: Printed,
    environment: EnvironmentOption = "",
    server: Server,
) -> None:
    """Show what a group was given and has not settled.

    IDLE: since the last start of its handler. STARTS: how often that was started; FAILED: how many of these ended
    with an error. WHY: what is known about it.

    \b
    Examples:
      esb pending event-demo reporters
      esb pending event-demo reporters --idle 10m
      esb pending event-demo reporters -o json | jq 'select(.failures > 2)'
    """
    import asyncio

    from esb_cli.positions import duration

    how = printed.form(MEMBERS)
    chosen = server.choose()
    least = duration(idle) if idle else timedelta(0)

    async def find() -> tuple[list[PendingEvent], int]:
        from esb_runtime.operations import stream_key

        async with connection.connected(chosen) as operations:
            found = await operations.group(stream_key(uri, environment), group)
            return await _first(found.pending(consumer=consumer, idle=least), count), found.summary.pending

    found, total = asyncio.run(find())
    if how[0] is Output.TABLE and found:
        put_all(table(terminal.stdout(), COLUMNS, [_row(event) for event in found]))
    for event in found if how[0] is not Output.TABLE else ():
        put(document(event), how)
    if not found:
        narrowed = " like that" if consumer or idle else ""
        terminal.note(f"nothing{narrowed} is pending in {group}")
    elif len(found) == count and total > count and not (consumer or idle):
        terminal.note(f"the oldest {count:,} of {total:,}; -n shows more")


async def _first(events: AsyncIterator[PendingEvent], count: int) -> list[PendingEvent]:
    found: list[PendingEvent] = []
    async for event in events:
        found.append(event)
        if len(found) == count:
            break
    return found


def document(event: PendingEvent) -> dict[str, Any]:
    """A pending event as JSON; idle is in seconds."""
    return {
        "id": event.id,
        "event": event.event or None,
        "version": event.version or None,
        "consumer": event.consumer or None,
        "alive": event.alive,
        "idle": event.idle.total_seconds(),
        "starts": event.starts,
        "failures": event.failures,
        "why": why(event),
    }


def why(event: PendingEvent) -> str:
    """Why an event is not settled, as far as the server knows."""
    if event.problem:
        return event.problem
    if event.waits_for:
        return f"waits for a consumer that implements {event.waits_for}"
    if not event.consumer:
        return "handed back, the next consumer takes it" + _history(event)
    if not event.alive:
        return "its consumer is gone, another takes it over" + _history(event)
    unfinished = event.starts - event.failures
    if event.failures and unfinished <= 0:
        return f"failed {terminal.count(event.failures, 'time')}, will be tried again"
    if unfinished > 1:
        return f"in hand after {terminal.count(unfinished - 1, 'start')} without an outcome" + _history(event)
    return "in hand" + _history(event)


def _history(event: PendingEvent) -> str:
    return f"; failed {terminal.count(event.failures, 'time')}" if event.failures else ""


def _row(event: PendingEvent) -> list[str]:
    name = f"{event.event} v{event.version}" if event.version > 1 else event.event
    return [
        event.id,
        name or "?",
        event.consumer or "-",
        moments.short(event.idle),
        str(event.starts),
        str(event.failures),
        why(event),
    ]
