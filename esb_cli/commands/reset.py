"""`esb reset`: move a group to another place in its stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from esb_cli import connection, consent, moments, positions, terminal
from esb_cli.expressions import Form, put
from esb_cli.failures import Exit, Failure
from esb_cli.options import (
    DryRunOption,
    EnvironmentOption,
    GroupArgument,
    Printed,
    Server,
    StreamArgument,
    YesOption,
    spread,
)
from esb_cli.progress import Progress
from esb_cli.tables import facts, put_all
from esb_cli.terminal import Output, count

if TYPE_CHECKING:
    from esb_runtime.operations import GroupMove

MEMBERS = (
    "stream", "group", "from", "to", "again", "restarted", "skipped", "kept", "dropped", "ahead", "alive", "dry_run",
)  # fmt: skip


@spread
def command(
    uri: StreamArgument,
    group: GroupArgument,
    *,
    to: Annotated[
        str, typer.Option("--to", metavar="TIME", help="Its next event: start, end, -1h, 10:30, a date, an entry id.")
    ],
    drop_pending: Annotated[
        bool, typer.Option("--drop-pending", help="Let go of what is pending before that place too.")
    ] = False,
    live: Annotated[
        bool, typer.Option("--live", help="Even while consumers are alive: they lose what they have in hand.")
    ] = False,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    printed: Printed,
    environment: EnvironmentOption = "",
    server: Server,
) -> None:
    """Move a group: its next event is the first one at or after --to.

    Counts what would be delivered again or skipped, then asks. Pending events behind that place begin afresh with it;
    those before it stay pending, unless --drop-pending. A new epoch begins: idempotent handlers handle again what they
    handled before. A projection that stores its own position goes by that and takes no notice.

    It refuses while consumers are alive; with --live they begin anew at that place, and an owner's outcome for what it
    has in hand is refused (without ordering by key, what is in hand may still finish).

    \b
    Examples:
      esb reset event-demo reporters --to -1h --dry-run
      esb reset event-demo reporters --to start --yes
      esb reset event-demo reporters --to end --drop-pending
    """
    import asyncio

    chosen = server.choose()
    how = printed.form(MEMBERS)

    async def work() -> None:
        from esb_runtime.operations import stream_key

        async with connection.connected(chosen) as operations:
            found = await operations.group(stream_key(uri, environment), group)
            first = positions.first_id(to, now=await operations.now())
            with Progress("counting", total=None) as progress:
                plan = await found.plan(_bound(first), drop=drop_pending, progress=progress.to)
            if dry_run:
                _put(how, plan, dry_run=True)
                return
            if plan.alive and not live:
                raise Failure(_busy(plan), Exit.FAILED)
            if how[0] is Output.TABLE and not yes:
                _put(how, plan, dry_run=True)
            consent.required(_question(plan), yes=yes)
            _put(how, await found.move(plan, live=live), dry_run=False)

    asyncio.run(work())


def _bound(first: str) -> str:
    """The end of a stream, as a group knows it."""
    return "+" if first == positions.first_id("end", now=0) else first


def _busy(plan: GroupMove) -> str:
    names = ", ".join(plan.alive[:3]) + (f" and {len(plan.alive) - 3} more" if plan.alive[3:] else "")
    return (
        f"{plan.group} has {count(len(plan.alive), 'consumer')} alive ({names}): stop them first, "
        "or take the events out of their hands with --live"
    )


def _question(plan: GroupMove) -> str:
    lost = plan.skipped + plan.dropped
    parts = [f"{count(len(plan.alive), 'living consumer')} will begin anew."] if plan.alive else []
    parts += [f"{plan.group} gets {count(plan.again, 'event')} again."] if plan.again else []
    parts += [f"{plan.group} never sees {count(lost, 'event')}."] if lost else []
    return " ".join([*parts, f"Move {plan.group}?"])


def document(plan: GroupMove, *, dry_run: bool) -> dict[str, Any]:
    """A move as JSON."""
    values = (
        plan.stream, plan.group, plan.delivered, plan.position, plan.again, plan.restarted, plan.skipped, plan.kept,
        plan.dropped, plan.ahead, list(plan.alive), dry_run,
    )  # fmt: skip
    return dict(zip(MEMBERS, values, strict=True))


def _put(how: Form, plan: GroupMove, *, dry_run: bool) -> None:
    """Show a move that would be made, or was."""
    if how[0] is Output.TABLE:
        put_all(facts(terminal.stdout(), _facts(plan, dry_run=dry_run)))
        return
    shown = document(plan, dry_run=dry_run)
    put(shown, how, terminal.tabbed(value for value in shown.values() if not isinstance(value, list)))


def _facts(plan: GroupMove, *, dry_run: bool) -> dict[str, str]:
    """What matters of a move, for a person: only what is not zero."""
    known = {
        "would move" if dry_run else "moved": f"{plan.group} of {plan.stream}",
        "from": _place(plan.delivered),
        "to": _place(plan.position),
    }
    if plan.again:
        restarted = f", {plan.restarted:,} of them pending now" if plan.restarted else ""
        known["again"] = f"{count(plan.again, 'event')} delivered before{restarted}"
    elif plan.restarted:
        known["again"] = f"{count(plan.restarted, 'pending event')}"
    if plan.skipped:
        known["skipped"] = f"{count(plan.skipped, 'event')} never delivered"
    if plan.dropped:
        known["dropped"] = f"{count(plan.dropped, 'pending event')} let go"
    if plan.kept:
        known["stay"] = f"{count(plan.kept, 'pending event')} before that place (--drop-pending lets go of them)"
    known["ahead"] = f"{count(plan.ahead, 'event')} to come"
    return known


def _place(id_: str) -> str:
    """Behind which event the group stands."""
    when = moments.of_id(id_)
    return "before the first event" if id_ == "0-0" else f"behind {id_}" + (f" ({when})" if when else "")
