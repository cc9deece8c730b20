"""`esb groups`: every group, and what is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from esb_cli import connection, moments, terminal
from esb_cli.completion import streams
from esb_cli.expressions import put
from esb_cli.options import EnvironmentOption, Printed, Server, spread
from esb_cli.tables import Column, put_all, table
from esb_cli.terminal import Output, Terminal

if TYPE_CHECKING:
    from esb_runtime.operations import Description, GroupSummary

COLUMNS = (
    Column(title="GROUP", styles=("bold",)),
    Column(title="LAG", number=True),
    Column(title="PENDING", number=True),
    Column(title="OLDEST"),
    Column(title="DEAD", number=True),
    Column(title="ALIVE", number=True),
    Column(title="STATE"),
)


@spread
def command(
    uri: Annotated[
        str | None,
        typer.Argument(metavar="URI", help="The stream; all of them without one.", autocompletion=streams),
    ] = None,
    *,
    printed: Printed,
    environment: EnvironmentOption = "",
    server: Server,
) -> None:
    """Show consumer groups and what is wrong with them.

    LAG: events not given out yet. PENDING: given out and not settled; OLDEST: since when. DEAD: dead letters.
    ALIVE: consumers whose lease runs. STATE says the worst that is known.

    \b
    Examples:
      esb groups
      esb groups event-demo
      esb groups -o json | jq 'select(.state != "ok")'
    """
    import asyncio

    how = printed.form()
    chosen = server.choose()
    found, now = asyncio.run(_find(chosen, uri, environment))
    for at, description in enumerate(found):
        if how[0] is Output.TABLE:
            _put(terminal.stdout(), description, now, at)
            continue
        for group in description.groups:
            shown = {"stream": description.summary.stream, **document(group)}
            put(shown, how, terminal.tabbed(value for value in shown.values() if not isinstance(value, list)))
    if not any(description.groups for description in found):
        terminal.note("no consumer group yet: `esb run`, or `esb dev` in a workspace, starts one")


async def _find(chosen: connection.Connection, uri: str | None, environment: str) -> tuple[list[Description], int]:
    from esb_runtime.operations import stream_key

    async with connection.connected(chosen) as operations:
        if uri is not None:
            return [await operations.describe(stream_key(uri, environment))], await operations.now()
        prefix = stream_key("x", environment).removesuffix("x")
        names = [summary.stream for summary in await operations.streams(prefix + "*") if summary.groups]
        return [await operations.describe(name) for name in names], await operations.now()


def document(group: GroupSummary) -> dict[str, Any]:
    """A group as JSON; durations are in seconds."""
    return {
        "group": group.name,
        "state": state(group),
        "lag": group.lag,
        "pending": group.pending,
        "oldest_pending": group.oldest_pending or None,
        "released": group.released,
        "trimmed": group.trimmed,
        "last_delivered": group.last_delivered,
        "dead_letters": group.dead_letters,
        "dead_letter_stream": group.dead_letter_stream,
        "owner": group.owner or None,
        "consumers": [
            {
                "consumer": consumer.name,
                "pending": consumer.pending,
                "idle": consumer.idle.total_seconds(),
                "alive": consumer.alive,
            }
            for consumer in group.consumers
        ],
    }


def state(group: GroupSummary) -> str:
    """The worst that is known of a group, in a few words; `ok` when there is nothing."""
    alive = sum(consumer.alive for consumer in group.consumers)
    waiting = group.pending + (group.lag or 0)
    if group.trimmed:
        return f"{terminal.count(group.trimmed, 'event')} trimmed unseen"
    if waiting and not alive:
        return f"{waiting:,} waiting, nobody alive"
    if group.dead_letters:
        return terminal.count(group.dead_letters, "dead letter")
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


def _put(screen: Terminal, description: Description, now: int, at: int) -> None:
    """A stream's groups under its name."""
    if at:
        terminal.put("")
    name = screen.style(terminal.clean(description.summary.stream), "bold", "cyan")
    terminal.put(f"{name}  {terminal.count(description.summary.length, 'event')}")
    if not description.groups:
        terminal.put("no consumer group yet")
        return
    put_all(table(screen, COLUMNS, [row(group, now) for group in description.groups]))
    for group in description.groups:
        if group.owner:
            text = f"{terminal.clean(group.name)} is owned by {terminal.clean(group.owner)}"
            for line in screen.wrapped(text, 0):
                terminal.put(screen.style(line, "dim"))
