"""`esb add`: grow a workspace."""

from __future__ import annotations

import difflib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from esb_cli.failures import Exit, Failure
from esb_cli.terminal import clean, count, note, put, stderr
from esb_cli.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from esb_cli.contract_source import ContractSource
    from esb_cli.questions import Answer

app = typer.Typer(
    no_args_is_help=True,
    help="""Grow a workspace: an event, a contract, a consumer.

    \b
    Examples:
      esb add event MyEvent.paid email:str amount:Decimal time:datetime --key email
      esb add contract Refund
      esb add consumer audit --group audit
    """,
)

YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@app.command()
def event(
    name: Annotated[str, typer.Argument(metavar="CONTRACT.NAME", help="The contract and the new event.")],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ARG:TYPE]...", help="Its arguments: email:str, 'note:str | None', count:int=1."),
    ] = None,
    *,
    key: Annotated[
        str | None, typer.Option("--key", help="Argument, or path into one, that keeps order.", show_default=False)
    ] = None,
    version: Annotated[
        int | None, typer.Option("--version", min=1, help="Version of the event.", show_default="1")
    ] = None,
    personal: Annotated[
        list[str] | None,
        typer.Option("--personal", metavar="ARG", help="A personal argument; repeatable.", show_default=False),
    ] = None,
    doc: Annotated[
        str | None, typer.Option("--doc", metavar="TEXT", help="What happened, in a sentence.", show_default=False)
    ] = None,
    yes: YesOption = False,
) -> None:
    """Write an event into a contract's own file.

    Only the new method and the imports that it needs change. The difference is
    shown first, and the contract is tried; contract.lock follows. Types: those
    of the file, builtins, datetime, Decimal, UUID and their like, and classes
    of the modules beside it, such as User.

    \b
    Examples:
      esb add event MyEvent.paid email:str amount:Decimal time:datetime
      esb add event MyEvent.packing email:str boxes:int --version 2 --key email
      esb add event MyEvent.moved 'user:User | None' --personal user --yes
    """
    from esb_cli.contract_source import ContractSource
    from esb_cli.new_event import Argument, NewEvent, require_name

    contract_name, dot, event_name = name.partition(".")
    if not dot or not contract_name or not event_name:
        raise Failure(f"{name!r} names no event: write CONTRACT.NAME, such as MyEvent.paid", Exit.USAGE)
    require_name(event_name, "event")
    new = NewEvent(
        name=event_name,
        arguments=[Argument.parse(text) for text in arguments or ()],
        doc=_sentence(doc or event_name.replace("_", " ")),
        version=version,
        key=key,
        personal=tuple(personal or ()),
    )
    workspace = Workspace.required()
    contract = ContractSource.find(workspace, contract_name)
    _write(workspace, contract, contract.with_event(new).bytes, yes=yes)


@app.command()
def contract(name: Annotated[str, typer.Argument(metavar="NAME", help="The contract, in PascalCase.")]) -> None:
    """Add a contract, with a consumer that shows its events.

    Rendered from the workspace's own template version and merged with your
    edits; what you deleted stays deleted. Exit code 1: conflicts are marked.

    \b
    Examples:
      esb add contract Refund
    """

    def change(known: Mapping[str, Answer]) -> Mapping[str, Answer]:
        return {"events": f"{known['events']}, {name}"}

    _grow(change)


@app.command()
def consumer(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its module: letters, digits and _.")],
    *,
    contract: Annotated[
        str | None, typer.Option("--contract", "-e", help="What it consumes.", show_default="the first contract")
    ] = None,
    group: Annotated[
        str | None, typer.Option("--group", "-g", help="Its consumer group.", show_default="like its name")
    ] = None,
) -> None:
    """Add a consumer with a group of its own.

    A module, a program of `esb dev`, and a line in the package's __main__, from
    the workspace's own template version, merged with your edits.

    \b
    Examples:
      esb add consumer audit
      esb add consumer billing --contract Refund --group billing-v2
    """
    module = name.replace("-", "_")

    def change(known: Mapping[str, Answer]) -> Mapping[str, Answer]:
        chosen = contract or str(known["events"]).split(",")[0].strip()
        for place, word in (("NAME", name), ("--contract", chosen), ("--group", group or name)):
            if "," in word or word.split() != [word]:
                raise Failure(f"{place}: {word!r} is not one word without commas", Exit.USAGE)
        added = f"{module} {chosen} {group or name}"
        return {"consumer": True, "consumers": ", ".join(filter(None, [str(known.get("consumers", "")), added]))}

    _grow(change)


def _grow(change: Callable[[Mapping[str, Answer]], Mapping[str, Answer]]) -> None:
    """Merge what the new answer brings, say what became of each file, and keep the lock true."""
    from esb_cli import contract_lock
    from esb_cli.growth import LOCK, grow
    from esb_cli.merge import Step
    from esb_cli.programs import Surroundings

    grown = grow(Path.cwd(), change)
    grown.write()
    for line in grown.lines():
        put(clean(line))
    workspace = Workspace.find(grown.workspace)
    if workspace is not None and grown.steps.get(LOCK) is Step.KEPT:
        contract_lock.refresh(workspace, Surroundings.of(workspace, {}))
    if grown.conflicts:
        raise Failure(
            f"{count(len(grown.conflicts), 'file')} changed on both sides: resolve the conflicts, then commit",
            Exit.FAILED,
        )
    note("look at `git diff`, run `make test`, then commit")


def _write(workspace: Workspace, contract: ContractSource, content: bytes, *, yes: bool) -> None:
    """Show the difference, try the contract, ask, and write the file and the lock; or nothing."""
    from esb_cli import contract_lock
    from esb_cli.programs import Surroundings

    shown = contract.file.relative_to(workspace.root)
    _show(contract.module.bytes.decode(), content.decode(), shown)
    surroundings = Surroundings.of(workspace, {})
    tried = contract_lock.said_with(workspace, surroundings, root=contract.root, file=contract.file, content=content)
    if tried.text is None and (tried.is_contract_error or contract_lock.said(workspace, surroundings).text is not None):
        raise Failure(f"{shown} stays as it is: {tried.reason}", Exit.BAD_DATA)
    _agree(f"Write it into {shown}?", yes=yes)
    contract.file.write_bytes(content)
    put(str(shown))
    if tried.text is None:
        note(f"{workspace.lock.name} was not updated, the contracts cannot be imported: {tried.reason}")
    elif contract_lock.write(workspace, tried.text):
        put(workspace.lock.name)
    note("consumers skip it until they have a method of this name; `make test` checks the rest")


def _show(before: str, after: str, file: Path) -> None:
    """The difference, for the person: on stderr."""
    terminal = stderr()
    styles = {"+": ("green",), "-": ("red",), "@": ("cyan",)}
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), str(file), str(file), lineterm="", n=3)
    for line in lines:
        sys.stderr.write(terminal.style(clean(line), *styles.get(line[:1], ())) + "\n")


def _agree(question: str, *, yes: bool) -> None:
    """Ask; without a terminal only `--yes` counts. Raises `Failure` for a no."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise Failure("nothing was written: `--yes` writes without a question", Exit.USAGE)
    if not typer.confirm(question, default=True, err=True):
        raise Failure("nothing was written", Exit.FAILED)


def _sentence(text: str) -> str:
    """A docstring's line."""
    text = " ".join(text.split())
    if '"""' in text or "\\" in text or text.endswith('"'):
        raise Failure("--doc cannot hold a backslash or three quotes, nor end with one", Exit.USAGE)
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
