"""`esb trim`: remove old events with their payloads, never what a group has yet to handle."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from esb_cli import connection, consent, terminal
from esb_cli.expressions import put
from esb_cli.failures import Exit, Failure
from esb_cli.options import DryRunOption, EnvironmentOption, Printed, Server, StreamArgument, YesOption, spread
from esb_cli.progress import Progress
from esb_cli.terminal import Output

if TYPE_CHECKING:
    from esb_runtime.operations import Operations, Retention, Trimmed

_DURATION = re.compile(r"(?=\d)(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", re.ASCII)
GRACE = "1h"


@spread
def command(
    uri: StreamArgument,
    *,
    keep: Annotated[
        str | None,
        typer.Option("--keep", metavar="TIME", help="Remove what is older: 7d, 1d12h, 90m.", show_default=False),
    ] = None,
    maxlen: Annotated[
        int | None,
        typer.Option("--maxlen", metavar="N", min=0, help="Keep the newest N events.", show_default=False),
    ] = None,
    handled: Annotated[bool, typer.Option("--handled", help="Remove what every group has handled.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also remove what a group has yet to handle: it never will.")
    ] = False,
    sweep: Annotated[bool, typer.Option("--sweep", help="Delete payloads that belong to no event any more.")] = False,
    grace: Annotated[str, typer.Option("--grace", metavar="TIME", help="With --sweep: only what is older.")] = GRACE,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    printed: Printed,
    environment: EnvironmentOption = "",
    server: Server,
) -> None:
    """Remove old events with their payloads.

    By age, by number (with both, either is reason enough), or by being handled. What a group
    has yet to handle stays, unless it is forced. In small steps that block nobody: safe to
    break off, and to repeat. Dead letters stay.

    \b
    Examples:
      esb trim event-demo --keep 7d --dry-run
      esb trim event-demo --maxlen 100000 --yes
      esb trim event-demo --handled
      esb trim event-demo --sweep --yes
    """
    import asyncio

    by_rule = keep is not None or maxlen is not None
    if handled == by_rule and not (sweep and not handled):
        raise Failure("say what may go: --keep and/or --maxlen, or --handled alone, or --sweep", Exit.USAGE)
    if force and not by_rule:
        raise Failure("--force goes with --keep or --maxlen: what is handled needs no force", Exit.USAGE)
    plan = Plan(
        uri=uri, environment=environment, keep=None if keep is None else _duration(keep), maxlen=maxlen,
        handled=handled, force=force, sweep=sweep, grace=_duration(grace), dry_run=dry_run, yes=yes,
    )  # fmt: skip
    how = printed.form()
    done = asyncio.run(_trim(server.choose(), plan))
    if how[0] is Output.TABLE:
        for line in _sentences(done):
            terminal.put(terminal.clean(line))
    else:
        put(done, how)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What may go, as it was written."""

    uri: str
    environment: str
    keep: timedelta | None
    maxlen: int | None
    handled: bool
    force: bool
    sweep: bool
    grace: timedelta
    dry_run: bool
    yes: bool

    def policy(self) -> Retention | None:
        """The rule, when there is one besides sweeping."""
        from esb_runtime.operations import Retention

        if not (self.handled or self.keep is not None or self.maxlen is not None):
            return None
        return Retention(keep=self.keep, maxlen=self.maxlen, handled=self.handled)


def _duration(text: str) -> timedelta:
    """`7d`, `1d12h`, `90m`. Raises `Failure` (2) for anything else."""
    found = _DURATION.fullmatch(text.strip())
    parts = [int(part or 0) for part in found.groups()] if found else []
    try:
        weeks, days, hours, minutes, seconds = parts
        duration = timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
    except (ValueError, OverflowError):
        duration = timedelta(0)
    if not duration:
        raise Failure(f"{text!r} is no span of time: write 7d, 1d12h or 90m", Exit.USAGE)
    return duration


async def _trim(chosen: connection.Connection, plan: Plan) -> dict[str, Any]:
    from esb_runtime.operations import stream_key

    async with connection.connected(chosen) as operations:
        stream = stream_key(plan.uri, plan.environment)
        await operations.require(stream)
        policy = plan.policy()
        result = await _by_rule(operations, stream, plan, policy) if policy is not None else None
        swept = await _sweep(operations, stream, plan) if plan.sweep else None
    known: dict[str, Any] = {"stream": stream, "dry_run": plan.dry_run, "force": plan.force}
    if result is not None:
        known |= {"entries": result.entries, "payloads": result.payloads, "outside": result.outside}
        known["held_up_by"] = list(result.pinned)
    return known if swept is None else {**known, "swept": swept}


async def _by_rule(operations: Operations, stream: str, plan: Plan, policy: Retention) -> Trimmed:
    """Count, ask, remove."""
    from esb_runtime.operations import Trimmed

    counted = Trimmed()
    cut = await operations.cut(stream, policy, force=plan.force)
    with Progress("counting", total=None) as progress:
        async for counted in operations.trim(stream, cut, dry_run=True):
            progress.to(counted.entries)
    if plan.dry_run or not counted.entries:
        return counted
    harm = ", also what a group has yet to handle" if plan.force else ""
    consent.required(f"Remove {terminal.count(counted.entries, 'event')} of {stream}{harm}?", yes=plan.yes)
    done = Trimmed()
    with Progress(f"trimming {stream}", total=counted.entries) as progress:
        async for done in operations.trim(stream, cut):
            progress.to(done.entries)
    return done


async def _sweep(operations: Operations, stream: str, plan: Plan) -> int:
    """Count, ask, delete."""
    found = await operations.sweep(stream, plan.grace, dry_run=True)
    if plan.dry_run or not found:
        return found
    consent.required(f"Delete {terminal.count(found, 'payload')} of {stream} that no event has?", yes=plan.yes)
    return await operations.sweep(stream, plan.grace)


def _sentences(done: dict[str, Any]) -> list[str]:
    """What was removed, for a person."""
    would = "would be " if done["dry_run"] else ""
    lines: list[str] = []
    if "entries" in done:
        payloads = f" with {terminal.count(done['payloads'], 'payload')}" if done["payloads"] else ""
        lines.append(f"{done['stream']}: {terminal.count(done['entries'], 'event')}{payloads} {would}removed")
        if done["outside"]:
            queued = terminal.count(done["outside"], "payload")
            lines.append(f"{queued} in external stores {would}left to the processes that have these stores")
        if done["held_up_by"]:
            *others, last = done["held_up_by"]
            who = f"groups {', '.join(others)} and {last} have" if others else f"group {last} has"
            lines.append(f"{who} not handled what comes next: it stays")
    if "swept" in done:
        lines.append(f"{done['stream']}: {terminal.count(done['swept'], 'payload')} without an event {would}deleted")
    return lines
