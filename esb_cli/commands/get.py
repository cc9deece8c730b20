"""`esb get`: one event, everything known about it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from esb_cli import connection, terminal
from esb_cli.events import Masks, brief, document, raw_line
from esb_cli.expressions import MEMBERS, put
from esb_cli.failures import Exit, Failure
from esb_cli.options import EnvironmentOption, Printed, Server, ShowPersonalOption, spread
from esb_cli.tables import facts, put_all
from esb_cli.terminal import Output

if TYPE_CHECKING:
    from collections.abc import Mapping

    from esb_runtime.operations import PlainEvent


@spread
def command(
    key: Annotated[str, typer.Argument(metavar="KEY", help="As `esb produce` and `esb tail -o json` print it.")],
    *,
    printed: Printed,
    show_personal: ShowPersonalOption = False,
    environment: EnvironmentOption = "",
    server: Server,
) -> None:
    """Show one event and everything known about it.

    \b
    Examples:
      esb get event-demo/1685268930300-0
      esb get event-demo/1685268930300-0 -o json | jq .args
      esb get orders/1685268930300-0 --environment prod
    """
    import asyncio

    how = printed.form(MEMBERS)
    chosen = server.choose()
    masks = Masks.of_workspace(show_personal=show_personal)
    event = asyncio.run(_get(chosen, key, environment))
    shown = document(event, masks)
    if how[0] is Output.TABLE:
        _put_facts(event, shown)
    else:
        put(shown, how, raw_line(shown))
    if event.problem:
        raise Failure(f"{event.key}: {event.problem}", Exit.BAD_DATA)


async def _get(chosen: connection.Connection, key: str, environment: str) -> PlainEvent:
    from esb_runtime import EventKey
    from esb_runtime.operations import stream_key

    try:
        parsed = EventKey.parse(key)
    except ValueError as problem:
        raise Failure(str(problem), Exit.USAGE) from None
    where = EventKey(stream=stream_key(parsed.stream, environment), id=parsed.id)
    async with connection.connected(chosen) as operations:
        return await operations.get(where)


def _put_facts(event: PlainEvent, shown: Mapping[str, Any]) -> None:
    """The event for a person: what it is, then its arguments, one per line."""
    screen = terminal.stdout()
    known = {
        "key": shown["key"],
        "event": f"{event.event} (version {event.version})" if event.event else "unreadable",
        "at": f"{event.at.astimezone():%Y-%m-%d %H:%M:%S.%f %z}" if event.at else "",
    }
    known |= {name: _words(value) for name, value in shown["meta"].items()}
    put_all(facts(screen, known))
    if shown["args"]:
        terminal.put("")
        terminal.put(screen.style("arguments", "bold"))
        put_all(facts(screen, {terminal.clean(n): _words(v) for n, v in shown["args"].items()}, indent="  "))


def _words(value: object) -> str:
    """A value whole: text as it is, small things on one line, others as JSON."""
    if isinstance(value, str):
        return value
    text = brief(value)
    return text if len(text) < 400 else json.dumps(value, ensure_ascii=False)
