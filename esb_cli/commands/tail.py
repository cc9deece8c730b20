"""`esb tail`: the last events of streams, and those that follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import typer

from esb_cli import connection, positions, terminal
from esb_cli.completion import streams
from esb_cli.events import EventPrinter, Masks
from esb_cli.expressions import MEMBERS, Template
from esb_cli.failures import Exit, Failure
from esb_cli.options import EnvironmentOption, Printed, Server, ShowPersonalOption, spread
from esb_cli.selection import Range, Selection
from esb_cli.terminal import Output

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from esb_runtime.operations import Operations, PlainEvent, Slice


@spread
def command(
    uris: Annotated[
        list[str],
        typer.Argument(metavar="URI", help="Streams or patterns; merged in time order.", autocompletion=streams),
    ],
    *,
    count: Annotated[
        int | None, typer.Option("-n", "--count", min=0, metavar="N", help="The last N events (default 10).")
    ] = None,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on with new events until Ctrl-C.")] = False,
    range_: Range,
    group: Annotated[
        str | None,
        typer.Option("--group", metavar="GROUP", help="Only what this group has not handled.", show_default=False),
    ] = None,
    printed: Printed,
    no_payload: Annotated[bool, typer.Option("--no-payload", help="Leave the arguments out.")] = False,
    show_personal: ShowPersonalOption = False,
    environment: EnvironmentOption = "",
    server: Server,
) -> None:
    """Show the last events of streams, and follow them with -f.

    Touches no consumer group; --group shows what one has not handled: what it has in hand, and what is to come. With
    --since or --until it shows the whole range, or its last N with -n. -f also waits for streams that are not there
    yet, named or matching a pattern.

    \b
    Examples:
      esb tail event-demo -f
      esb tail event-demo --since -1h --event order_placed
      esb tail orders 'shop.*' -f -o json | jq .args
      esb tail event-demo --since -1h --where "args.product_id == `7`"
      esb tail event-demo --group shipping -n 100
      esb tail event-demo -f --template '{{at}} {{event}} {{args.email}}'
    """
    import asyncio

    if follow and range_.until is not None:
        raise Failure("--follow has no end: leave out --until, or -f", Exit.USAGE)
    if follow and group is not None:
        raise Failure("--group shows what is unhandled now, -f what comes: every new event is that", Exit.USAGE)
    plan = Plan(
        uris=uris,
        environment=environment,
        count=10 if count is None and range_.since is None and range_.until is None else count,
        follow=follow,
        selection=range_.selection(),
        group=group,
        payload=not no_payload,
    )
    chosen = server.choose()
    shape = printed.form(MEMBERS)
    asyncio.run(_tail(chosen, plan, shape, Masks.of_workspace(show_personal=show_personal)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to show."""

    uris: Sequence[str]
    environment: str
    count: int | None
    follow: bool
    selection: Selection
    group: str | None
    payload: bool

    def patterns(self) -> list[str]:
        """The glob patterns among the streams, as keys."""
        from esb_runtime.operations import stream_key

        return [stream_key(uri, self.environment) for uri in self.uris if _is_pattern(uri)]


async def _tail(chosen: connection.Connection, plan: Plan, shape: tuple[Output, Template | None], masks: Masks) -> None:
    screen = terminal.stdout()
    async with connection.connected(chosen) as operations:
        keys = await _keys(operations, plan)
        output, template = shape
        printer = EventPrinter(
            output=output,
            terminal=screen,
            masks=masks,
            streams=[*keys, *plan.patterns()] if plan.follow else keys,
            template=template,
            payload=plan.payload,
        )
        now = await operations.now()
        reached: dict[str, str] = {}
        for stream in keys:
            reached[stream] = await operations.last_id(stream)
            if reached[stream] == "0-0" and not (plan.follow and await _to_come(operations, stream)):
                await operations.require(stream)
        parts = [plan.selection.part(stream, now=now, newest=reached[stream]) for stream in keys]
        parts = [await _of_group(operations, part, plan.group) for part in parts] if plan.group else parts
        async for event in _history(operations, plan, parts):
            _print(printer, event)
        if plan.follow:
            async for event in operations.follow(
                reached,
                patterns=plan.patterns(),
                only=plan.selection.only,
                where=plan.selection.where,
                payload=plan.payload,
                outage=_outage,
            ):
                _print(printer, event)


async def _of_group(operations: Operations, part: Slice, group: str) -> Slice:
    """What a group has not handled; nothing below the first event that it has in hand, or was not given yet."""
    found = (await operations.group(part.stream, group)).summary
    first = found.oldest_pending or f"({found.last_delivered}"
    return replace(part, first=positions.later(part.first, first), unhandled_by=group)


async def _keys(operations: Operations, plan: Plan) -> list[str]:
    """The keys of the streams, each once; patterns stand for those that match now."""
    from esb_runtime.operations import stream_key

    found: list[str] = []
    for uri in plan.uris:
        key = stream_key(uri, plan.environment)
        matching = await operations.names(key) if _is_pattern(uri) else [key]
        if not matching and not plan.follow:
            raise Failure(f"no stream matches {uri!r}", Exit.NOT_FOUND)
        found += matching
    return list(dict.fromkeys(found))


async def _history(operations: Operations, plan: Plan, parts: Sequence[Slice]) -> AsyncIterator[PlainEvent]:
    """The events that are there, of all streams in time order."""
    if plan.count is not None:
        newest = [event for part in parts for event in await operations.newest(part, plan.count, payload=plan.payload)]
        newest.sort(key=_order)
        for event in newest[len(newest) - plan.count :] if plan.count < len(newest) else newest:
            yield event
        return
    sources = [operations.events(part, payload=plan.payload) for part in parts]
    heads = [await anext(source, None) for source in sources]
    while waiting := [(_order(head), at) for at, head in enumerate(heads) if head is not None]:
        at = min(waiting)[1]
        head = heads[at]
        heads[at] = await anext(sources[at], None)
        if head is not None:
            yield head


def _is_pattern(uri: str) -> bool:
    return any(sign in uri for sign in "*?[")


async def _to_come(operations: Operations, stream: str) -> bool:
    """Whether there is nothing at this key yet: then it is waited for."""
    from esb_runtime import StreamNotFound

    try:
        await operations.require(stream)
    except StreamNotFound as problem:
        terminal.note(f"{problem}; waiting for it")
        return True
    return False


def _order(event: PlainEvent) -> tuple[int, int]:
    """Entry ids sort by the server's clock; as two numbers, never as text."""
    milliseconds, _, sequence = event.key.id.partition("-")
    return int(milliseconds), int(sequence)


def _print(printer: EventPrinter, event: PlainEvent) -> None:
    for line in printer.lines(event):
        terminal.put(line)


def _outage(reason: str) -> None:
    terminal.note(f"Redis is not reachable ({reason}); waiting for it" if reason else "connected again")
