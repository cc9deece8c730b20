"""`esb produce`: store an event, checked against its contract before it is sent."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from esb_cli import connection, lines, terminal
from esb_cli.completion import events
from esb_cli.compose import Draft, Form, has_places
from esb_cli.failures import Exit, Failure
from esb_cli.interrupts import accounted
from esb_cli.lock import Lock
from esb_cli.options import EnvironmentOption, RateOption, Server, StreamArgument, spread
from esb_cli.progress import Progress

if TYPE_CHECKING:
    from esb_runtime import EventKey
    from esb_runtime.operations import Record


@spread
def command(
    uri: StreamArgument,
    event: Annotated[str, typer.Argument(metavar="EVENT", help="The event's name.", autocompletion=events)],
    *,
    arg: Annotated[
        list[str] | None,
        typer.Option("--arg", "-a", metavar="NAME=VALUE", help="An argument; repeatable; user.name=Ann goes inside."),
    ] = None,
    arguments: Annotated[
        str | None, typer.Option("--json", metavar="TEXT", help="All arguments as a JSON object (- reads stdin).")
    ] = None,
    version: Annotated[
        int | None, typer.Option("--version", min=1, metavar="N", help="The event's version (default: the newest).")
    ] = None,
    contract: Annotated[
        str | None, typer.Option("--contract", metavar="MODULE:CLASS", help="Check against this contract class.")
    ] = None,
    idempotency_key: Annotated[
        str | None,
        typer.Option("--idempotency-key", metavar="TEXT", help="The message id: the same one is stored once."),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--file", metavar="FILE", help="An event per line, its arguments as a JSON object (- is stdin)."),
    ] = None,
    count: Annotated[
        int | None, typer.Option("--count", min=1, metavar="N", help="So many events; placeholders tell them apart.")
    ] = None,
    rate: RateOption = None,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="With --file: leave bad lines out, count them, and end with 5.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check and show what would be sent; send nothing.")
    ] = False,
    environment: EnvironmentOption = "",
    server: Server,
) -> None:
    """Store an event and print its key.

    Arguments are checked against --contract, else against the workspace's contract.lock. Without either they are
    sent as plain values.

    In --arg, --json, --file and --idempotency-key {{n}} is the number of the event (or line), from 1, {{now}} the
    time and {{uuid}} another UUID each time. A bad event ends it with nothing of that event sent.

    \b
    Examples:
      esb produce event-demo packing --arg email=a@b.org --arg product_id=7
      esb produce event-demo order_placed --json - < order.json
      esb produce event-demo packing --file orders.jsonl --keep-going
      esb produce event-demo packing -a email={{uuid}} --count 1000 --rate 50
      esb produce event-demo packing --json '{"email": "a@b.org"}' --dry-run
    """
    import asyncio

    _refuse_odd_pairs(arguments, file, server.pass_file, idempotency_key, count, keep_going=keep_going)
    lock = Lock.of_contract(contract) if contract else Lock.of_workspace()
    known = lock.find(uri, event, version, strict=contract is not None) if lock else None
    if lock is not None and known is None:
        terminal.note(f"{lock.source} knows neither {uri} nor {event}: sending plain values, unchecked")
    if known is not None and known.deprecated is not None:
        terminal.note(f"{known.title} is deprecated {_since(known.deprecated)}".rstrip())
    form = Form(
        uri=uri,
        environment=environment,
        event=event,
        version=version or 1,
        known=known,
        pairs=arg or (),
        message_id=idempotency_key,
    )
    text = sys.stdin.read() if arguments == "-" else arguments or ""
    if file is None and count is None:
        draft = form.draft(text)
        if dry_run:
            _show(draft)
        else:
            terminal.put(str(asyncio.run(_send(server.choose(), draft))))
        return
    run = Run(
        source=lines.incoming(file) if file is not None else lines.repeated(text.encode(), count or 0),
        file=file,
        total=lines.total(file) if file is not None else count,
        word="line" if file is not None else "event",
        rate=rate,
        keep_going=keep_going,
        dry_run=dry_run,
    )
    asyncio.run(_produce(None if dry_run else server.choose(), form, run))


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Many events: where they come from, how many, how fast, and what a bad one does."""

    source: AsyncIterator[list[lines.Line]]
    file: Path | None
    total: int | None
    word: str
    rate: float | None
    keep_going: bool
    dry_run: bool

    def rest(self, line: int) -> str:
        """How to go on behind a line, in words."""
        if self.file is None:
            return f"{self.total or 0:,} were asked for"
        how = "" if str(self.file) == "-" else f" (tail -n +{line + 1} {self.file})"
        return f"line {line + 1:,} is the next one{how}"


def _refuse_odd_pairs(
    arguments: str | None,
    file: Path | None,
    pass_file: Path | None,
    idempotency_key: str | None,
    count: int | None,
    *,
    keep_going: bool,
) -> None:
    if arguments == "-" and pass_file == Path("-"):
        raise Failure("--json - and --pass-file - both want stdin: use a file for one of them", Exit.USAGE)
    if file is not None and (arguments is not None or idempotency_key is not None):
        raise Failure("--file has arguments of its own: leave out --json and --idempotency-key", Exit.USAGE)
    if file is not None and count is not None:
        raise Failure("--file has as many events as lines: leave out --count", Exit.USAGE)
    if keep_going and file is None:
        raise Failure("--keep-going is about the lines of a --file", Exit.USAGE)
    if (count or 0) > 1 and idempotency_key is not None and not has_places(idempotency_key):
        raise Failure("one --idempotency-key stores one event: write {{n}} or {{uuid}} into it", Exit.USAGE)


async def _send(chosen: connection.Connection, draft: Draft) -> EventKey:
    from esb_runtime.operations import stream_key

    async with connection.connected(chosen) as operations:
        (key,) = await operations.store(stream_key(draft.uri, draft.environment), [draft.record()])
        return key


async def _produce(chosen: connection.Connection | None, form: Form, run: Run) -> None:
    """Store many events, many in a round trip; without a connection only check them.

    A bad one ends it with nothing of it sent, and everything before it; `keep_going` counts them.
    """
    from contextlib import AsyncExitStack

    from esb_runtime.operations import stream_key

    sent = bad = on_their_way = line = 0
    stream = stream_key(form.uri, form.environment)

    def reached() -> str:
        unsure = f"{on_their_way:,} more were on their way and may be stored, too; " if on_their_way else ""
        return f"{terminal.count(sent, 'event')} {_fate(chosen)}; {unsure}{run.rest(line)}"

    async with AsyncExitStack() as stack:
        operations = await stack.enter_async_context(connection.connected(chosen)) if chosen else None
        stack.enter_context(accounted(reached))
        progress = stack.enter_context(Progress(f"producing to {stream}", total=run.total))
        async for piece in lines.paced(run.source, run.rate):
            good, problems = _checked(form, run, piece)
            if operations is not None and good:
                on_their_way = len(good)
                keys = await operations.store(stream, [record for _, record in good])
                on_their_way = 0
                progress.close()  # else the first key would stand behind it
                terminal.put("\n".join(map(str, keys)))
            elif run.word == "event":
                for draft, _ in good:
                    terminal.put(terminal.json_line(draft.document()))
            sent, bad, line = sent + len(good), bad + len(problems), piece[-1].number
            progress.to(sent + bad)
            if problems and not run.keep_going:
                raise Failure(
                    f"{problems[0]}\n{terminal.count(sent, 'event')} before it {_fate(chosen)}", Exit.BAD_DATA
                )
            for problem in problems:
                terminal.note(problem)
    terminal.note(f"{terminal.count(sent, 'event')} {_fate(chosen)}" + (f", {bad:,} bad left out" if bad else ""))
    if bad:
        raise typer.Exit(Exit.BAD_DATA)


def _fate(chosen: connection.Connection | None) -> str:
    return "stored" if chosen else "would be stored (dry run)"


def _checked(form: Form, run: Run, piece: Sequence[lines.Line]) -> tuple[list[tuple[Draft, Record]], list[str]]:
    """The events of some lines, and what is wrong with bad ones; without `keep_going` up to the first."""
    from esb_runtime import EsbError

    good: list[tuple[Draft, Record]] = []
    problems: list[str] = []
    for line in piece:
        try:
            draft = form.draft(line.text.decode("utf-8"), line.number)
            good.append((draft, draft.record()))
        except (Failure, EsbError, UnicodeDecodeError) as problem:
            words = "it is no UTF-8" if isinstance(problem, UnicodeDecodeError) else str(problem)
            told = words.removeprefix("--json is ").removeprefix("--json ")
            problems.append(f"{run.word} {line.number:,}: {told}")
            if not run.keep_going:
                break
    return good, problems


def _show(draft: Draft) -> None:
    from esb_runtime.operations import stream_key

    terminal.put(terminal.json_line(draft.document()))
    checked = f"it fits {draft.known.contract}" if draft.known else "it is unchecked"
    terminal.note(f"dry run: {checked}; nothing was sent to {stream_key(draft.uri, draft.environment)}")


def _since(deprecated: Mapping[str, Any]) -> str:
    since, remark = deprecated.get("since"), deprecated.get("remark")
    return " ".join([*([f"since {since}"] if since else []), *([f"({remark})"] if remark else [])])
