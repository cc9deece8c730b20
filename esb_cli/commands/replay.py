"""`esb replay`: history again, into another stream, a file, or a projection."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from esb_cli import connection, moments, positions, terminal
from esb_cli.events import Masks, document
from esb_cli.expressions import conditions
from esb_cli.failures import Exit, Failure
from esb_cli.options import (
    EndpointOption,
    EnvironmentOption,
    EventOption,
    PassFileOption,
    ShowPersonalOption,
    SinceOption,
    StreamArgument,
    UntilOption,
    WhereOption,
)
from esb_cli.progress import Progress
from esb_cli.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO

    from esb_runtime.operations import Census, Condition, Operations, Slice


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
    into: Annotated[
        str | None,
        typer.Option(
            "--into",
            metavar="MODULE:CLASS",
            help="Run a projection or a consumer of the workspace.",
            show_default=False,
        ),
    ] = None,
    since: SinceOption = None,
    until: UntilOption = None,
    event: EventOption = None,
    where: WhereOption = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="With --to-uri: go on behind the last event that it holds a copy of.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what would be replayed.")] = False,
    show_personal: ShowPersonalOption = False,
    environment: EnvironmentOption = "",
    endpoint: EndpointOption = None,
    pass_file: PassFileOption = None,
) -> None:
    """Replay history to a stream, a file or a view.

    Counts first; a view is a projection or a consumer of the workspace. Copies keep their
    message id and link to their source, so copying again stores nothing twice.

    \b
    Examples:
      esb replay event-demo --since -1h --event order_placed --to-uri copy
      esb replay event-demo --to-uri copy --resume
      esb replay event-demo --into mycompany.events.views:OrdersPerProduct
      esb replay event-demo --since 2026-11-23 --to-file - | jq .args
    """
    import asyncio
    from tempfile import TemporaryFile

    targets = [target for target in (to_uri, to_file, into) if target is not None]
    if len(targets) > 1 or (not targets and not dry_run):
        raise Failure("name one target: --to-uri, --to-file or --into (or --dry-run to only count)", Exit.USAGE)
    if to_file is not None and str(to_file) != "-" and to_file.exists():
        raise Failure(f"{to_file} is there already; remove it, or name another file", Exit.USAGE)
    plan = Plan(
        uri=uri,
        environment=environment,
        to_uri=to_uri,
        to_file=to_file,
        into=into,
        since=since,
        until=until,
        only=frozenset(event or ()),
        where=conditions(where),
        resume=resume,
        dry_run=dry_run,
    )
    if resume and to_uri is None:
        raise Failure("--resume goes on with a copy: name it with --to-uri", Exit.USAGE)
    chosen = connection.choose(endpoint, pass_file)
    with TemporaryFile("w+", encoding="ascii") as ids:
        outcome = asyncio.run(_replay(chosen, plan, Masks.of_workspace(show_personal=show_personal), ids))
        code = outcome if isinstance(outcome, int) else _run(chosen, into or "", *outcome, ids)
    if code:
        raise typer.Exit(code)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to replay, and where to."""

    uri: str
    environment: str
    to_uri: str | None
    to_file: Path | None
    into: str | None
    since: str | None
    until: str | None
    only: frozenset[str]
    where: Sequence[Condition]
    resume: bool
    dry_run: bool


async def _replay(chosen: connection.Connection, plan: Plan, masks: Masks, ids: TextIO) -> int | tuple[Slice, Census]:
    """Count, then replay; returns the exit code, or what is left for the workspace's own interpreter to do.

    That one knows no expressions: `ids` gets the events for which they are true.
    """
    from esb_runtime.operations import Slice, stream_key

    def named(id_: str) -> None:
        ids.write(f"{id_}\n")

    async with connection.connected(chosen) as operations:
        stream = stream_key(plan.uri, plan.environment)
        await operations.require(stream)
        now = await operations.now()
        newest = await operations.last_id(stream)  # what comes from now on is not history
        part = Slice(
            stream=stream,
            first=positions.first_id(plan.since, now=now) if plan.since is not None else "-",
            last=positions.last_id(plan.until, now=now) if plan.until is not None else newest,
            only=plan.only,
            where=plan.where,
        )
        if plan.resume and plan.to_uri is not None:
            part = await _behind(operations, part, stream_key(plan.to_uri, plan.environment))
        with Progress("counting", total=None) as progress:
            census = await operations.census(
                part, progress=progress.to, each=named if plan.into is not None and plan.where else None
            )
        _announce(part, census)
        if plan.dry_run or not census.total:
            terminal.note("dry run: nothing was replayed" if plan.dry_run else "nothing to replay")
            return 0
        if plan.to_uri is not None:
            return await _copy(operations, part, stream_key(plan.to_uri, plan.environment), census)
        if plan.to_file is not None:
            return await _write(operations, part, plan.to_file, masks, census)
    return part, census


async def _behind(operations: Operations, part: Slice, to: str) -> Slice:
    """What is left of a copy: the target itself says how far it came, whatever ended it."""
    from dataclasses import replace

    reached = await operations.copied_up_to(part.stream, to)
    terminal.note(f"{to} holds copies up to {reached}" if reached else f"{to} holds no copy of {part.stream} yet")
    return replace(part, first=positions.later(part.first, f"({reached}")) if reached else part


def _announce(part: Slice, census: Census) -> None:
    """What will be replayed: how many of each event, and from when to when."""
    span = f", {moments.of_id(census.first)} to {moments.of_id(census.last)}" if census.total else ""
    terminal.note(f"{part.stream}: {terminal.count(census.total, 'event')}{span}")
    width = max((len(f"{count:,}") for count in census.events.values()), default=0)
    for (name, version), count in sorted(census.events.items(), key=lambda item: -item[1]):
        terminal.note(f"  {count:{width},}  {name}{f' v{version}' if version != 1 else ''}")
    if census.unreadable:
        terminal.note(f"  {census.unreadable:{width},}  unreadable")


async def _copy(operations: Operations, part: Slice, to: str, census: Census) -> int:
    """Copy to another stream; 1 when something could not be copied."""
    result = None
    with Progress(f"copying to {to}", total=census.total) as progress:
        async for result in operations.copy(part, to):
            progress.to(result.done)
    if result is None:
        return 0
    present = f", {result.present:,} were there already" if result.present else ""
    terminal.note(f"{terminal.count(result.stored, 'event')} copied to {to}{present}")
    if result.skipped:
        terminal.note(f"{result.skipped:,} could not be copied; the first: {result.problem}")
    return int(Exit.FAILED if result.skipped else Exit.DONE)


async def _write(operations: Operations, part: Slice, file: Path, masks: Masks, census: Census) -> int:
    """Write JSON lines: to stdout as they come, to a file complete or not at all."""
    import sys

    if str(file) == "-":
        await _write_lines(operations, part, sys.stdout, masks, None)
        return 0
    draft = file.with_name(f".{file.name}.part")
    try:
        with draft.open("w", encoding="utf-8") as stream, Progress(f"writing {file.name}", total=census.total) as shown:
            await _write_lines(operations, part, stream, masks, shown)
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)
    terminal.note(f"{terminal.count(census.total, 'event')} written to {file}")
    return 0


async def _write_lines(
    operations: Operations, part: Slice, stream: TextIO, masks: Masks, progress: Progress | None
) -> None:
    done = 0
    async for event in operations.events(part):
        stream.write(terminal.json_line(document(event, masks)) + "\n")
        done += 1
        if progress is not None and done % 500 == 0:
            progress.to(done)


def _run(chosen: connection.Connection, target: str, part: Slice, census: Census, ids: TextIO) -> int:
    """Have the workspace's own interpreter replay: its code is never imported here."""
    import os
    import signal
    import subprocess
    import sys

    workspace = Workspace.find()
    python = str(workspace.interpreter) if workspace else sys.executable
    arguments = [python, "-m", "esb_runtime.replay", target, part.stream, "--first", part.first, "--last", part.last]
    arguments += ["--total", str(census.total), *[word for name in sorted(part.only) for word in ("--event", name)]]
    arguments += ["--ids"] if part.where else []
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
