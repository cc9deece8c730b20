"""`esb new`: create a workspace."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from esb_cli.failures import Exit, Failure
from esb_cli.terminal import note, put

if TYPE_CHECKING:
    from esb_cli.scaffold import Created


def command(
    dest: Annotated[
        Path | None,
        typer.Argument(help="Folder to create; named like the namespace when left out.", show_default=False),
    ] = None,
    *,
    uri: Annotated[str | None, typer.Option("--uri", help="Name of the stream.", show_default=False)] = None,
    consumer_group: Annotated[
        str | None, typer.Option("--consumer-group", "-g", help="Consumer group of the reporter.", show_default=False)
    ] = None,
    namespace: Annotated[
        str | None, typer.Option("--namespace", "-n", help="Import path of the packages.", show_default=False)
    ] = None,
    event: Annotated[
        list[str] | None,
        typer.Option(
            "--event", "-e", help="Event contract, in PascalCase; several with several -e.", show_default=False
        ),
    ] = None,
    defaults: Annotated[
        bool, typer.Option("--defaults", help="Never ask: take the default of what is missing.")
    ] = False,
    no_git: Annotated[bool, typer.Option("--no-git", help="No git repository, no first commit.")] = False,
    runtime_requirement: Annotated[str | None, typer.Option("--runtime-requirement", hidden=True)] = None,
) -> None:
    """Create a workspace: contracts, programs, tests.

    It runs as it is. On a terminal, `esb new` asks for what is missing.

    \b
    Examples:
      esb new
      esb new --uri event-demo --consumer-group main-consumer -n mycompany.events -e MyEvent
      esb new shop -n mycompany.shop -e Order -e Refund --defaults
    """
    from esb_cli import scaffold

    given = {
        "uri": uri,
        "consumer_group": consumer_group,
        "namespace": _lower(namespace),
        "events": ", ".join(event) if event else None,
        "runtime_requirement": runtime_requirement,
    }
    answers = {name: value for name, value in given.items() if value is not None}
    ask = not defaults and sys.stdin.isatty() and sys.stdout.isatty()
    open_options = [
        option for name, option in scaffold.OPTIONS.items() if given[name] is None and name != "runtime_requirement"
    ]
    if open_options and not (defaults or ask):
        raise Failure(f"missing {', '.join(open_options)}; `--defaults` takes the defaults", Exit.USAGE)
    created = scaffold.create(dest, answers, ask=ask, git=not no_git)
    put(str(created.folder))
    _tell(created)


def _lower(namespace: str | None) -> str | None:
    """Package names are lower-case; what was typed otherwise is said."""
    if namespace is not None and namespace != namespace.lower():
        note(f"package names are lower-case: {namespace.lower()} instead of {namespace}")
        return namespace.lower()
    return namespace


def _tell(created: Created) -> None:
    """What there is now, and what comes next."""
    if created.without_repository:
        note(f"no first commit was made: {created.without_repository}. `esb update` needs one.")
    note("next, in this folder: `make run` (or `esb dev`) starts it, `make test` tests it")
