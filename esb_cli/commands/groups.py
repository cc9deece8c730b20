"""`esb groups`: every group, and what is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from esb_cli import connection, terminal
from esb_cli.completion import streams
from esb_cli.expressions import put
from esb_cli.group_view import COLUMNS, document, row
from esb_cli.options import EnvironmentOption, Printed, Server, spread
from esb_cli.tables import put_all, table
from esb_cli.terminal import Output, Terminal

if TYPE_CHECKING:
    from esb_runtime.operations import Description


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
    ALIVE: consumers whose lease runs. STATE says the worst that is known; "failing" counts the pending events whose
    handler failed and that are tried again.

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
    shown_already = how[0] is Output.TABLE and found
    if not shown_already and not any(description.groups for description in found):
        terminal.note("no consumer group yet: `esb run`, or `esb dev` in a workspace, starts one")


async def _find(chosen: connection.Connection, uri: str | None, environment: str) -> tuple[list[Description], int]:
    from esb_runtime.operations import stream_key

    async with connection.connected(chosen) as operations:
        if uri is not None:
            return [await operations.describe(stream_key(uri, environment))], await operations.now()
        prefix = stream_key("x", environment).removesuffix("x")
        names = [summary.stream for summary in await operations.streams(prefix + "*") if summary.groups]
        return [await operations.describe(name) for name in names], await operations.now()


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
