"""`esb export`: a stream as lines of JSON that lose nothing."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from esb_cli import connection, positions, terminal
from esb_cli.failures import Exit, Failure
from esb_cli.interrupts import accounted
from esb_cli.options import EnvironmentOption, Server, StreamArgument, spread
from esb_cli.partial_file import PartialFile
from esb_cli.progress import Progress
from esb_cli.selection import Range, Selection

if TYPE_CHECKING:
    from esb_runtime.operations import Operations, Slice


@spread
def command(
    uri: StreamArgument,
    *,
    to: Annotated[
        Path, typer.Option("--to", metavar="FILE", help="Write here (- is stdout); a file is complete or not there.")
    ] = Path("-"),
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a file that was interrupted.")] = False,
    range_: Range,
    environment: EnvironmentOption = "",
    server: Server,
) -> None:
    """Write events as lines of JSON that lose nothing.

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

    from esb_runtime.operations import stream_key

    if str(to) == "-" and resume:
        raise Failure("--resume goes on with a file: name it with --to", Exit.USAGE)
    selection = range_.selection()
    partial = None if str(to) == "-" else PartialFile(to, stream_key(uri, environment))
    problems = asyncio.run(_export(server.choose(), stream_key(uri, environment), selection, partial, resume=resume))
    if problems:
        from shlex import quote

        terminal.note(f"{terminal.count(len(problems), 'event')} left out, as unreadable; the first: {problems[0]}")
        where = quote(uri) + (f" --environment {quote(environment)}" if environment else "")
        terminal.note(f"their fields: esb tail {where} --since start --where meta.problem")
        raise typer.Exit(Exit.FAILED)


async def _export(
    chosen: connection.Connection, stream: str, selection: Selection, partial: PartialFile | None, *, resume: bool
) -> list[str]:
    """Write everything; returns what could not be read, in words."""
    async with connection.connected(chosen) as operations:
        part = await selection.of_stream(operations, stream)
        if partial is None:
            return await _to_stdout(operations, part)
        if resume and (reached := partial.resume()):
            part = replace(part, first=positions.later(part.first, f"({reached}"))
        return await _to_file(operations, part, partial)


async def _to_stdout(operations: Operations, part: Slice) -> list[str]:
    """A pipe gets the bytes as they are; a terminal nothing that it could obey."""
    problems: list[str] = []
    shown = sys.stdout.isatty()
    written, last = 0, b""

    def reached() -> str:
        behind = f", the last with id {json.loads(last)['key'].rpartition('/')[2]}; --since takes it" if last else ""
        return terminal.count(written, "event") + " written" + behind

    with accounted(reached):
        async for page in operations.export(part):
            problems += page.problems
            if shown:
                for line in page.lines:
                    terminal.put(terminal.json_line(json.loads(line)))
            elif page.lines:
                sys.stdout.buffer.write(b"\n".join(page.lines) + b"\n")
                sys.stdout.buffer.flush()
            written, last = written + len(page.lines), page.lines[-1] if page.lines else last
    return problems


async def _to_file(operations: Operations, part: Slice, partial: PartialFile) -> list[str]:
    """Write beside the file until it is complete; what an interruption leaves is where `--resume` goes on."""
    problems: list[str] = []
    census = await operations.census(part)
    written = 0
    with partial, Progress(f"writing {partial.file.name}", total=census.total) as progress:
        async for page in operations.export(part):
            problems += page.problems
            partial.write(page.lines)
            written += len(page.lines)
            progress.to(written)
    terminal.note(f"{terminal.count(partial.lines, 'event')} written to {partial.file}")
    return problems
