"""`esb produce`: store an event, checked against its contract before it is sent."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from esb_cli import connection, lines, terminal
from esb_cli.completion import events
from esb_cli.failures import Exit, Failure
from esb_cli.formats import is_object, plain, shown
from esb_cli.lock import Lock, LockedEvent
from esb_cli.options import EndpointOption, EnvironmentOption, PassFileOption, StreamArgument
from esb_cli.progress import Progress

if TYPE_CHECKING:
    from esb_runtime import EventKey
    from esb_runtime.operations import Record


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
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="With --file: leave bad lines out, count them, and end with 5.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check and show what would be sent; send nothing.")
    ] = False,
    environment: EnvironmentOption = "",
    endpoint: EndpointOption = None,
    pass_file: PassFileOption = None,
) -> None:
    """Store an event and print its key.

    Arguments are checked against --contract, else against the workspace's contract.lock. Without either they are
    sent as plain values.

    \b
    Examples:
      esb produce event-demo packing --arg email=a@b.org --arg product_id=7
      esb produce event-demo order_placed --json - < order.json
      esb produce event-demo packing --file orders.jsonl --keep-going
      esb produce event-demo packing --json '{"email": "a@b.org"}' --dry-run
    """
    import asyncio

    if arguments == "-" and pass_file == Path("-"):
        raise Failure("--json - and --pass-file - both want stdin: use a file for one of them", Exit.USAGE)
    lock = Lock.of_contract(contract) if contract else Lock.of_workspace()
    known = lock.find(uri, event, version, strict=contract is not None) if lock else None
    if lock is not None and known is None:
        terminal.note(f"{lock.source} knows neither {uri} nor {event}: sending plain values, unchecked")
    if file is not None and (arguments is not None or idempotency_key is not None):
        raise Failure("--file has arguments of its own: leave out --json and --idempotency-key", Exit.USAGE)
    if keep_going and file is None:
        raise Failure("--keep-going is about the lines of a --file", Exit.USAGE)
    form = Form(uri=uri, environment=environment, event=event, version=version or 1, known=known)
    if known is not None and known.deprecated is not None:
        terminal.note(f"{known.title} is deprecated {_since(known.deprecated)}".rstrip())
    if file is not None:
        chosen = None if dry_run else connection.choose(endpoint, pass_file)
        asyncio.run(produce_lines(chosen, form, file, arg or (), keep_going=keep_going))
        return
    draft = form.draft(_values(arguments, arg or (), known), idempotency_key)
    if dry_run:
        _show(draft)
    else:
        terminal.put(str(asyncio.run(_send(connection.choose(endpoint, pass_file), draft))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What all events of a call have in common."""

    uri: str
    environment: str
    event: str
    version: int
    known: LockedEvent | None

    def draft(self, values: Mapping[str, Any], message_id: str | None = None) -> Draft:
        """An event with these arguments. Raises `Failure` (5) when they do not fit the contract."""
        known = self.known
        return Draft(
            uri=self.uri,
            environment=self.environment,
            event=self.event,
            version=known.version if known else self.version,
            arguments=known.checked(values) if known else {name: plain(value) for name, value in values.items()},
            known=known,
            message_id=message_id,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An event that is ready to be sent."""

    uri: str
    environment: str
    event: str
    version: int
    arguments: Mapping[str, object]
    known: LockedEvent | None
    message_id: str | None = None

    @property
    def ordering_key(self) -> str | None:
        """What the contract orders it by."""
        return self.known.ordering_key(self.arguments) if self.known else None


async def _send(chosen: connection.Connection, draft: Draft) -> EventKey:
    from esb_runtime.operations import stream_key

    async with connection.connected(chosen) as operations:
        (key,) = await operations.store(stream_key(draft.uri, draft.environment), [_record(draft)])
        return key


def _record(draft: Draft) -> Record:
    from esb_runtime.operations import Operations

    return Operations.record(
        draft.event,
        draft.arguments,
        version=draft.version,
        ordering_key=draft.ordering_key,
        message_id=draft.message_id,
    )


async def produce_lines(
    chosen: connection.Connection | None, form: Form, file: Path, pairs: Sequence[str], *, keep_going: bool
) -> None:
    """Store an event per line, many in a round trip; without a connection only check them.

    A bad line ends it with nothing of the line sent, and everything before it; `keep_going` counts bad lines.
    """
    from contextlib import AsyncExitStack

    from esb_runtime.operations import stream_key

    sent = bad = 0
    stream = stream_key(form.uri, form.environment)
    async with AsyncExitStack() as stack:
        operations = await stack.enter_async_context(connection.connected(chosen)) if chosen else None
        progress = stack.enter_context(Progress(f"producing to {stream}", total=lines.total(file)))
        async for piece in lines.incoming(file):
            good, problems = _checked(form, piece, pairs, keep_going=keep_going)
            if operations is not None and good:
                for key in await operations.store(stream, good):
                    terminal.put(str(key))
            sent, bad = sent + len(good), bad + len(problems)
            progress.to(sent + bad)
            if problems and not keep_going:
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


def _checked(
    form: Form, piece: Sequence[lines.Line], pairs: Sequence[str], *, keep_going: bool
) -> tuple[list[Record], list[str]]:
    """The events of some lines, and what is wrong with bad ones; without `keep_going` up to the first."""
    from esb_runtime import EsbError

    good: list[Record] = []
    problems: list[str] = []
    for line in piece:
        try:
            good.append(_record(form.draft(_values(line.text.decode("utf-8"), pairs, form.known))))
        except (Failure, EsbError, UnicodeDecodeError) as problem:
            words = "it is no UTF-8" if isinstance(problem, UnicodeDecodeError) else str(problem)
            problems.append(f"line {line.number:,}: {words.removeprefix('--json is ').removeprefix('--json ')}")
            if not keep_going:
                break
    return good, problems


def _values(text: str | None, pairs: Sequence[str], known: LockedEvent | None) -> dict[str, Any]:
    """The arguments that were written: the JSON object first, each --arg on top of it."""
    values = _object(text) if text is not None else {}
    for pair in pairs:
        name, found, value = pair.partition("=")
        if not found or not name:
            raise Failure(f"--arg {pair!r}: write NAME=VALUE", Exit.USAGE)
        path = name.split(".")
        _put(values, path, _typed(value, path, known), name)
    return values


def _object(text: str) -> dict[str, Any]:
    import sys

    try:
        value = _parse(sys.stdin.read() if text == "-" else text)
    except ValueError as problem:
        place = f" (line {problem.lineno}, column {problem.colno})" if isinstance(problem, json.JSONDecodeError) else ""
        words = problem.msg if isinstance(problem, json.JSONDecodeError) else "a number is not finite"
        raise Failure(f"--json is no JSON: {words}{place}", Exit.BAD_DATA) from None
    if not is_object(value):
        raise Failure('--json takes an object of arguments: {"name": value, ...}', Exit.BAD_DATA)
    return dict(value)


def _parse(text: str) -> Any:
    """JSON whose numbers keep their digits, so that a price stays what was typed."""
    return json.loads(text, parse_float=Decimal, parse_constant=_refuse)


def _refuse(word: str) -> Any:
    raise ValueError(word)


def _typed(text: str, path: Sequence[str], known: LockedEvent | None) -> Any:
    """A value as its place in the contract reads it; without a contract JSON, or else text."""
    schema = known.schema_of(path) if known else None
    if known is not None and schema is not None:
        return known.fitter.read(text, schema, _parse)
    try:
        return _parse(text)
    except ValueError:
        return text


def _put(values: dict[str, Any], path: Sequence[str], value: object, name: str) -> None:
    """Put a value at a path, making the objects on the way."""
    for part in path[:-1]:
        inner: Any = values.setdefault(part, {})
        if not is_object(inner):
            raise Failure(f"--arg {name}: {part} has a value of its own, nothing can go inside it", Exit.USAGE)
        copied = values[part] = dict(inner)
        values = copied
    values[path[-1]] = value


def _show(draft: Draft) -> None:
    """What would be sent, in the form of every event; its key and time are the server's to give."""
    from esb_runtime.operations import stream_key

    stream = stream_key(draft.uri, draft.environment)
    document = {
        "key": None,
        "event": draft.event,
        "version": draft.version,
        "at": None,
        "args": {name: shown(value) for name, value in draft.arguments.items()},
        "meta": {"ordering_key": draft.ordering_key} if draft.ordering_key is not None else {},
    }
    terminal.put(terminal.json_line(document))
    checked = f"it fits {draft.known.contract}" if draft.known else "it is unchecked"
    terminal.note(f"dry run: {checked}; nothing was sent to {stream}")


def _since(deprecated: Mapping[str, Any]) -> str:
    since, remark = deprecated.get("since"), deprecated.get("remark")
    return " ".join([*([f"since {since}"] if since else []), *([f"({remark})"] if remark else [])])
