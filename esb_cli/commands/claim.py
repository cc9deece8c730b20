"""`esb claim`: pending events change hands."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from esb_cli import connection, consent, positions, terminal
from esb_cli.expressions import put
from esb_cli.failures import Exit, Failure
from esb_cli.options import (
    DryRunOption,
    EnvironmentOption,
    GroupArgument,
    IdleOption,
    Printed,
    Server,
    StreamArgument,
    YesOption,
    spread,
)
from esb_cli.terminal import Output

if TYPE_CHECKING:
    from collections.abc import Mapping

    from esb_runtime.operations import Claimed, Group

MEMBERS = ("from", "to", "moved", "gone", "dry_run")


@spread
def command(
    uri: StreamArgument,
    group: GroupArgument,
    *,
    consumer: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="NAME", help="The consumer that holds them; else all that are gone.", show_default=False
        ),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="NAME", help="Give them to this consumer, not to the group.", show_default=False),
    ] = None,
    ids: Annotated[
        list[str] | None, typer.Option("--id", metavar="ID", help="Only these events; repeatable.", show_default=False)
    ] = None,
    idle: IdleOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    printed: Printed,
    environment: EnvironmentOption = "",
    server: Server,
) -> None:
    """Take pending events from a consumer and hand them to others.

    They go back to the group: the next consumer that looks takes them, with the starts and failures that they had.
    A living holder is asked about: its handlers go on, so an event may be handled twice. An owner (ordering by key)
    loses the ownership with its events; whoever becomes the owner takes up everything pending, in order.

    \b
    Examples:
      esb claim event-demo reporters
      esb claim event-demo reporters --from web-1 --idle 10m
      esb claim event-demo reporters --from web-1 --id 1685268930300-0 --dry-run
    """
    import asyncio

    wanted = _Wanted(
        holder=consumer,
        ids=frozenset(positions.entry_id(id_.rpartition("/")[2]) for id_ in ids or ()),
        idle=positions.duration(idle) if idle else timedelta(0),
        to=to or "",
    )
    how = printed.form(MEMBERS)
    chosen = server.choose()

    async def work() -> dict[str, Claimed]:
        from esb_runtime.operations import stream_key

        async with connection.connected(chosen) as operations:
            found = await operations.group(stream_key(uri, environment), group)
            counted = await _count(found, wanted)
            return counted if dry_run else await _claim(found, wanted, counted, yes=yes)

    moved = asyncio.run(work())
    for name, claimed in moved.items():
        if how[0] is Output.TABLE:
            _say(name, claimed, to=to, dry_run=dry_run)
        else:
            values = (name, to, claimed.moved, claimed.gone, dry_run)
            put(dict(zip(MEMBERS, values, strict=True)), how)
    if not moved:
        terminal.note(f"nothing to claim in {group}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """Which events, and where they go; without a holder those of every consumer that is gone."""

    holder: str | None
    ids: frozenset[str]
    idle: timedelta
    to: str


async def _claim(group: Group, wanted: _Wanted, counted: Mapping[str, Claimed], *, yes: bool) -> dict[str, Claimed]:
    """Ask about every living holder, then move; what became of it, by holder."""
    alive = {each.name for each in group.summary.consumers if each.alive}
    for holder, claimed in counted.items():
        if holder in alive:
            consent.required(_question(group, holder, claimed.moved), yes=yes)
    return {
        holder: await group.claim(holder, ids=sorted(wanted.ids), idle=wanted.idle, to=wanted.to) for holder in counted
    }


async def _count(group: Group, wanted: _Wanted) -> dict[str, Claimed]:
    """What each holder has of the wanted events. Raises `Failure` (4) for a consumer that is not there."""
    from esb_runtime.operations import Claimed

    known = {each.name: each for each in group.summary.consumers}
    if wanted.holder is not None and wanted.holder not in known:
        raise Failure(f"group {group.name!r} has no consumer {wanted.holder!r}", Exit.NOT_FOUND)
    holders = [wanted.holder] if wanted.holder is not None else [each.name for each in known.values() if not each.alive]
    counted: dict[str, Claimed] = {}
    for holder in holders:
        pending = group.pending(consumer=holder, idle=timedelta(0) if wanted.ids else wanted.idle)
        removed = [event.removed async for event in pending if not wanted.ids or event.id in wanted.ids]
        if removed:
            counted[holder] = Claimed(moved=removed.count(False), gone=removed.count(True))
    return counted


def _question(group: Group, holder: str, events: int) -> str:
    if holder == group.summary.owner:
        return (
            f"{holder} is alive and owns {group.stream}: it loses {terminal.count(events, 'event')} and the ownership."
        )
    return f"{holder} is alive: {terminal.count(events, 'event')} that it may be handling now would be handled twice."


def _say(name: str, claimed: Claimed, *, to: str | None, dry_run: bool) -> None:
    verb = "would go" if dry_run else "went"
    where = f"to {to}" if to else "back to the group"
    terminal.put(terminal.clean(f"{terminal.count(claimed.moved, 'event')} of {name} {verb} {where}"))
    if claimed.gone:
        be = "are" if claimed.gone > 1 else "is"
        terminal.put(f"{terminal.count(claimed.gone, 'event')} {be} no longer in the stream")
