"""`esb import`: lines of `esb export` become events of a stream again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from esb_cli import connection, lines, terminal
from esb_cli.failures import Exit, Failure
from esb_cli.interrupts import accounted
from esb_cli.options import EnvironmentOption, Server, StreamArgument, spread
from esb_cli.progress import Progress

if TYPE_CHECKING:
    from esb_runtime.operations import Operations, Record


@spread
def command(
    uri: StreamArgument,
    *,
    file: Annotated[Path, typer.Option("--from", metavar="FILE", help="Lines of `esb export` (- is stdin).")] = Path(
        "-"
    ),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only check the lines.")] = False,
    environment: EnvironmentOption = "",
    server: Server,
) -> None:
    """Store events that `esb export` wrote, exactly as they were.

    Ids, times, headers and links are kept; only the keys are new: Redis gives them. Each piece of up to 500 lines is
    checked before any of it is sent, and a message id that the stream knows is not stored again, so after an
    interruption the same import goes on.

    \b
    Examples:
      esb import copy --from events.jsonl
      zcat yesterday.jsonl.gz | esb import copy
      esb import copy --from events.jsonl --dry-run
    """
    import asyncio

    asyncio.run(_import(server.choose(), uri, environment, file, dry_run=dry_run))


async def _import(chosen: connection.Connection, uri: str, environment: str, file: Path, *, dry_run: bool) -> None:
    from esb_runtime.operations import stream_key

    async with connection.connected(chosen) as operations:
        stream = stream_key(uri, environment)
        before = _order(await operations.last_id(stream))
        stored = present = 0

        def reached() -> str:
            done = f"{terminal.count(stored, 'event')} imported to {stream}{_already(present)}"
            return "it was a dry run" if dry_run else f"{done}; import it again: nothing is stored twice"

        with accounted(reached), Progress(f"importing to {stream}", total=lines.total(file)) as progress:
            async for piece in lines.incoming(file):
                try:
                    ids = await _store(operations, stream, piece, dry_run=dry_run)
                except Failure as problem:
                    told = f"{problem}\n  {terminal.count(stored + present, 'event')} before it "
                    told += (
                        "can be imported" if dry_run else "stored; mend it and import again, nothing is stored twice"
                    )
                    raise Failure(told, problem.code) from None
                new = sum(_order(id_) > before for id_ in ids)
                stored, present = stored + new, present + len(ids) - new
                progress.to(stored + present)
    if dry_run:
        terminal.note(f"dry run: {terminal.count(stored + present, 'event')} could be imported; nothing was")
        return
    terminal.note(f"{terminal.count(stored, 'event')} imported to {stream}{_already(present)}")


def _already(present: int) -> str:
    return f", {present:,} were there already" if present else ""


async def _store(operations: Operations, stream: str, piece: Sequence[lines.Line], *, dry_run: bool) -> list[str]:
    """Check all of a piece, then store it; returns the ids. Raises `Failure` (5) naming the bad line."""
    from esb_runtime.operations import BadLine

    records: list[Record] = []
    for line in piece:
        try:
            records.append(operations.read_line(line.text))
        except BadLine as problem:
            raise Failure(f"line {line.number:,}: {problem}", Exit.BAD_DATA) from None
    if dry_run:
        return ["0-0"] * len(records)
    return [key.id for key in await operations.store(stream, records)]


def _order(id_: str) -> tuple[int, int]:
    milliseconds, _, sequence = id_.partition("-")
    return int(milliseconds), int(sequence)
