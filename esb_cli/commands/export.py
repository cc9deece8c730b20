"""`esb export`: a stream as lines of JSON that lose nothing."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from esb_cli import connection, positions, terminal
from esb_cli.expressions import conditions
from esb_cli.failures import Exit, Failure
from esb_cli.options import (
    EndpointOption,
    EnvironmentOption,
    EventOption,
    PassFileOption,
    SinceOption,
    StreamArgument,
    UntilOption,
    WhereOption,
)
from esb_cli.progress import Progress

if TYPE_CHECKING:
    from esb_runtime.operations import Condition, Operations, Slice


def command(
    uri: StreamArgument,
    *,
    to: Annotated[
        Path, typer.Option("--to", metavar="FILE", help="Write here (- is stdout); a file is complete or not there.")
    ] = Path("-"),
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a file that was interrupted.")] = False,
    since: SinceOption = None,
    until: UntilOption = None,
    event: EventOption = None,
    where: WhereOption = None,
    environment: EnvironmentOption = "",
    endpoint: EndpointOption = None,
    pass_file: PassFileOption = None,
) -> None:
    """Write events as lines of JSON that lose nothing; `esb import` reads them.

    Whole events: personal arguments are not masked. What JSON has no words for is written as {"$bytes": ...},
    {"$time": ...} and the like. Events that cannot be read are left out and counted; the exit code is then 1.

    \b
    Examples:
      esb export event-demo --to events.jsonl
      esb export event-demo --to events.jsonl --resume
      esb export event-demo --since -1d | gzip > yesterday.jsonl.gz
      esb export event-demo | esb import copy
    """
    import asyncio

    plan = Plan(
        uri=uri,
        environment=environment,
        to=to,
        resume=resume,
        since=since,
        until=until,
        only=frozenset(event or ()),
        where=conditions(where),
    )
    if str(to) == "-" and resume:
        raise Failure("--resume goes on with a file: name it with --to", Exit.USAGE)
    if str(to) != "-" and to.exists():
        raise Failure(f"{to} is there already; remove it, or name another file", Exit.USAGE)
    problems = asyncio.run(_export(connection.choose(endpoint, pass_file), plan))
    if problems:
        terminal.note(f"{terminal.count(len(problems), 'event')} could not be read; the first: {problems[0]}")
        raise typer.Exit(Exit.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to write, and where to."""

    uri: str
    environment: str
    to: Path
    resume: bool
    since: str | None
    until: str | None
    only: frozenset[str]
    where: Sequence[Condition]

    @property
    def draft(self) -> Path:
        """The file while it is not complete."""
        return self.to.with_name(f".{self.to.name}.part")

    def part(self, stream: str, now: int, newest: str) -> Slice:
        """The range; what comes from now on is not in it."""
        from esb_runtime.operations import Slice

        return Slice(
            stream=stream,
            first=positions.first_id(self.since, now=now) if self.since is not None else "-",
            last=positions.last_id(self.until, now=now) if self.until is not None else newest,
            only=self.only,
            where=self.where,
        )


async def _export(chosen: connection.Connection, plan: Plan) -> list[str]:
    """Write everything; returns what could not be read, in words."""
    from esb_runtime.operations import stream_key

    async with connection.connected(chosen) as operations:
        stream = stream_key(plan.uri, plan.environment)
        await operations.require(stream)
        part = plan.part(stream, await operations.now(), await operations.last_id(stream))
        if str(plan.to) == "-":
            return await _to_stdout(operations, part)
        return await _to_file(operations, part, plan)


async def _to_stdout(operations: Operations, part: Slice) -> list[str]:
    """A pipe gets the bytes as they are; a terminal nothing that it could obey."""
    problems: list[str] = []
    shown = sys.stdout.isatty()
    async for page in operations.export(part):
        problems += page.problems
        if shown:
            for line in page.lines:
                terminal.put(terminal.json_line(json.loads(line)))
        elif page.lines:
            sys.stdout.buffer.write(b"\n".join(page.lines) + b"\n")
            sys.stdout.buffer.flush()
    return problems


async def _to_file(operations: Operations, part: Slice, plan: Plan) -> list[str]:
    """Write beside the file until it is complete; what an interruption leaves is where `--resume` goes on."""
    from dataclasses import replace

    problems: list[str] = []
    with _opened(plan.draft, fresh=not plan.resume) as stream:
        reached, done = _last(stream, part.stream)
        part = replace(part, first=positions.later(part.first, f"({reached}") if reached else part.first)
        if reached:
            terminal.note(f"going on behind {reached}, with {terminal.count(done, 'event')} written")
        census = await operations.census(part)
        with Progress(f"writing {plan.to.name}", total=census.total) as progress:
            written = 0
            try:
                async for page in operations.export(part):
                    problems += page.problems
                    stream.write(b"".join(line + b"\n" for line in page.lines))
                    written += len(page.lines)
                    progress.to(written)
            except BaseException:
                terminal.note(f"interrupted; --resume goes on with {plan.draft}")
                raise
    plan.draft.replace(plan.to)
    terminal.note(f"{terminal.count(done + written, 'event')} written to {plan.to}")
    return problems


def _opened(draft: Path, *, fresh: bool) -> BinaryIO:
    """The file, for its owner alone: it holds whole events."""
    flags = os.O_RDWR | os.O_CREAT | (os.O_TRUNC if fresh else 0)
    return os.fdopen(os.open(draft, flags, 0o600), "r+b")


def _last(stream: BinaryIO, source: str) -> tuple[str, int]:
    """The id of the last whole line and how many there are; a line that was cut off is taken away.

    Raises `Failure` (5) for a file that is no export of this stream.
    """
    done, end, last = 0, 0, b""
    for line in stream:
        if line.endswith(b"\n"):
            done, end, last = done + 1, end + len(line), line
    stream.truncate(end)
    stream.seek(end)
    if not last:
        return "", 0
    try:
        document: Any = json.loads(last)
        held, _, id_ = str(document["key"]).rpartition("/")
    except (ValueError, KeyError, TypeError):
        held, id_ = "", ""
    if held != source or not id_:
        raise Failure("the file that --resume found is no export of this stream; remove it", Exit.BAD_DATA)
    return id_, done
