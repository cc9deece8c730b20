"""`esb replay`: history again, into another stream, a file, a group, or a projection."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from esb_cli import connection, consent, moments, terminal
from esb_cli.events import Masks
from esb_cli.failures import Exit, Failure
from esb_cli.options import EnvironmentOption, RateOption, Server, ShowPersonalOption, StreamArgument, YesOption, spread
from esb_cli.progress import Progress
from esb_cli.selection import Range, Selection
from esb_cli.targets import Target, ToFile, ToGroup, ToStream, pace, renames
from esb_cli.workspace import Workspace

if TYPE_CHECKING:
    from typing import TextIO

    from esb_runtime.operations import Census, Pace, Slice


@spread
def command(
    uri: StreamArgument,
    *,
    to_uri: Annotated[
        str | None, typer.Option("--to-uri", metavar="URI", help="Copy to this stream.", show_default=False)
    ] = None,
    to_file: Annotated[
        Path | None,
        typer.Option("--to-file", metavar="FILE", help="Write JSON lines (- is stdout).", show_default=False),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(
            "--group", metavar="GROUP", help="Have this group handle again what it has handled.", show_default=False
        ),
    ] = None,
    into: Annotated[
        str | None,
        typer.Option(
            "--into",
            metavar="MODULE:CLASS",
            help="Run a projection or a consumer of the workspace.",
            show_default=False,
        ),
    ] = None,
    range_: Range,
    rename: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="OLD=NEW",
            help="With --to-uri: another name for an event, or for an argument (EVENT.OLD=NEW); repeatable.",
            show_default=False,
        ),
    ] = None,
    rate: RateOption = None,
    speed: Annotated[
        str | None,
        typer.Option(
            "--speed",
            metavar="1x",
            help="As fast as the events once came, or so many times faster.",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where an interrupted replay to the same target ended.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what would be replayed.")] = False,
    yes: YesOption = False,
    show_personal: ShowPersonalOption = False,
    environment: EnvironmentOption = "",
    server: Server,
) -> None:
    """Replay history to a stream, a file, a group or a view.

    Counts first; a view is a projection or a consumer of the workspace. Copies keep their
    message id and link to their source, so copying again stores nothing twice.

    --group re-delivers within one group, whose idempotent handlers handle again; events that it has in hand, or was
    not given yet, come to it anyway. No other group notices.

    --resume goes on exactly behind the last event that arrived, however the replay ended: what the target holds
    says which that was. It wants a stream, a file, a group, or a projection that stores its own checkpoint.

    \b
    Examples:
      esb replay event-demo --since -1h --event order_placed --to-uri copy
      esb replay event-demo --to-uri copy --map order_placed=placed --resume
      esb replay event-demo --group shipping --since 10:30 --until 11:00 --yes
      esb replay event-demo --into mycompany.events.views:OrdersPerProduct
      esb replay event-demo --since -1h --to-uri staging --speed 10x
      esb replay event-demo --since 2026-11-23 --to-file - | jq .args
    """
    import asyncio
    from tempfile import TemporaryFile

    from esb_runtime.operations import stream_key

    targets = [target for target in (to_uri, to_file, group, into) if target is not None]
    if len(targets) > 1 or (not targets and not dry_run):
        raise Failure(
            "name one target: --to-uri, --to-file, --group or --into (or --dry-run to only count)", Exit.USAGE
        )
    if rename and to_uri is None:
        raise Failure("--map gives copies other names: it wants --to-uri", Exit.USAGE)
    if resume and (not targets or str(to_file) == "-"):
        raise Failure("--resume wants a target that can be gone on with: a stream, a file, a projection", Exit.USAGE)
    stream = stream_key(uri, environment)
    target: Target | None = None
    if to_uri is not None:
        target = ToStream(to=stream_key(to_uri, environment), renames=renames(rename or ()))
    elif to_file is not None:
        target = ToFile.named(to_file, stream, Masks.of_workspace(show_personal=show_personal))
    elif group is not None:
        target = ToGroup(group=group)
    plan = Plan(
        stream=stream,
        selection=range_.selection(),
        target=target,
        into=into,
        pace=pace(rate, speed),
        resume=resume,
        dry_run=dry_run,
        yes=yes,
    )
    chosen = server.choose()
    with TemporaryFile("w+", encoding="ascii") as ids:
        outcome = asyncio.run(_replay(chosen, plan, ids))
        code = outcome if isinstance(outcome, int) else _run(chosen, plan, *outcome, ids)
    if code:
        raise typer.Exit(code)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to replay, where to, and how fast. Code of the workspace (`into`) runs in its own interpreter."""

    stream: str
    selection: Selection
    target: Target | None
    into: str | None
    pace: Pace
    resume: bool
    dry_run: bool
    yes: bool


async def _replay(chosen: connection.Connection, plan: Plan, ids: TextIO) -> int | tuple[Slice, Census]:
    """Count, then replay; returns the exit code, or what is left for the workspace's own interpreter to do.

    That one knows no expressions: `ids` gets the events for which they are true.
    """

    def named(id_: str) -> None:
        ids.write(f"{id_}\n")

    async with connection.connected(chosen) as operations:
        part = await plan.selection.of_stream(operations, plan.stream)
        if plan.target is not None:
            part = await plan.target.rest(operations, part, resume=plan.resume)
        with Progress("counting", total=None) as progress:
            census = await operations.census(
                part, progress=progress.to, each=named if plan.into is not None and part.where else None
            )
        _announce(part, census)
        if plan.dry_run or not census.total:
            terminal.note("dry run: nothing was replayed" if plan.dry_run else "nothing to replay")
            return 0
        if isinstance(plan.target, ToGroup):
            events = terminal.count(census.total, "event")
            consent.required(f"Have group {plan.target.group} handle {events} of {part.stream} again?", yes=plan.yes)
        if plan.target is not None:
            return int(await plan.target.run(operations, part, census, plan.pace))
    return part, census


def _announce(part: Slice, census: Census) -> None:
    """What will be replayed: how many of each event, and from when to when."""
    span = f", {moments.of_id(census.first)} to {moments.of_id(census.last)}" if census.total else ""
    terminal.note(f"{part.stream}: {terminal.count(census.total, 'event')}{span}")
    width = max((len(f"{count:,}") for count in census.events.values()), default=0)
    for (name, version), count in sorted(census.events.items(), key=lambda item: -item[1]):
        terminal.note(f"  {count:{width},}  {name}{f' v{version}' if version != 1 else ''}")
    if census.unreadable:
        terminal.note(f"  {census.unreadable:{width},}  unreadable")


def _run(chosen: connection.Connection, plan: Plan, part: Slice, census: Census, ids: TextIO) -> int:
    """Have the workspace's own interpreter replay: its code is never imported here."""
    import os
    import signal
    import subprocess
    import sys

    workspace = Workspace.find()
    python = str(workspace.interpreter) if workspace else sys.executable
    arguments = [
        python,
        "-m",
        "esb_runtime.replay",
        plan.into or "",
        part.stream,
        "--first",
        part.first,
        "--last",
        part.last,
    ]
    arguments += ["--total", str(census.total), *[word for name in sorted(part.only) for word in ("--event", name)]]
    arguments += ["--ids"] if part.where else []
    arguments += ["--rate", str(plan.pace.rate), "--speed", str(plan.pace.speed)]
    arguments += ["--resume"] if plan.resume else []
    environment = (workspace.environment() if workspace else dict(os.environ)) | chosen.environment()
    ids.seek(0)
    with subprocess.Popen(arguments, env=environment, stdin=ids if part.where else None) as process:

        def forward(_number: int, _frame: object) -> None:
            process.terminate()

        signal.signal(signal.SIGTERM, forward)
        try:
            return _code(process.wait())
        except KeyboardInterrupt:  # the terminal told the handlers, too: what they have begun ends first
            return _code(process.wait())


def _code(status: int) -> int:
    """A shell's exit code: 128 and the signal that ended it."""
    return status if status >= 0 else 128 - status
