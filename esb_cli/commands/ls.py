"""`esb ls`: the streams of a server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from esb_cli import connection, moments, terminal
from esb_cli.expressions import put
from esb_cli.failures import Exit, Failure
from esb_cli.options import EnvironmentOption, Printed, Server, spread
from esb_cli.tables import Column, put_all, table
from esb_cli.terminal import Output

if TYPE_CHECKING:
    from esb_runtime.operations import StreamSummary

MEMBERS = ("stream", "events", "memory", "groups", "first", "last")
COLUMNS = (
    Column(title="STREAM", styles=("bold",)),
    Column(title="EVENTS", number=True),
    Column(title="MEMORY", number=True),
    Column(title="GROUPS", number=True),
    Column(title="FIRST"),
    Column(title="LAST"),
)


@spread
def command(
    pattern: Annotated[str, typer.Argument(metavar="PATTERN", help="A glob pattern: 'orders*'.")] = "*",
    *,
    printed: Printed,
    environment: EnvironmentOption = "",
    server: Server,
) -> None:
    """List the streams: length, memory, age.

    Memory includes the payloads, estimated from a sample. Streams that esb keeps for itself are left out.

    \b
    Examples:
      esb ls
      esb ls 'shop.*' --environment prod
      esb ls -o json | jq -r 'select(.events > 1000) | .stream'
    """
    import asyncio

    how = printed.form(MEMBERS)
    chosen = server.choose()
    summaries, now = asyncio.run(_list(chosen, pattern, environment))
    if how[0] is Output.TABLE and summaries:
        put_all(table(terminal.stdout(), COLUMNS, [_row(summary, now) for summary in summaries]))
    for summary in summaries if how[0] is not Output.TABLE else ():
        put(document(summary), how)
    if not summaries:
        if pattern != "*":
            raise Failure(f"no stream matches {pattern!r}", Exit.NOT_FOUND)
        terminal.note("no streams yet: `esb produce`, or `esb dev` in a workspace, makes the first")


async def _list(chosen: connection.Connection, pattern: str, environment: str) -> tuple[list[StreamSummary], int]:
    from esb_runtime.operations import stream_key

    prefix = stream_key("x", environment).removesuffix("x")
    async with connection.connected(chosen) as operations:
        return await operations.streams(prefix + pattern), await operations.now()


def document(summary: StreamSummary) -> dict[str, Any]:
    """A stream as JSON."""
    return {
        "stream": summary.stream,
        "events": summary.length,
        "memory": summary.memory,
        "groups": summary.groups,
        "first": moments.of_id(summary.first),
        "last": moments.of_id(summary.last),
    }


def _row(summary: StreamSummary, now: int) -> list[str]:
    return [
        summary.stream,
        f"{summary.length:,}",
        terminal.size(summary.memory) if summary.memory is not None else "?",
        str(summary.groups),
        moments.ago(summary.first, now),
        moments.ago(summary.last, now),
    ]
