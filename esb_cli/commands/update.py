"""`esb update`: take over a newer template."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from esb_cli.failures import Exit, Failure
from esb_cli.terminal import note, put


def command(
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Only tell: exit code 1 when there is a newer template.")
    ] = False,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="V", help="Template version; that of this esb when left out.", show_default=False),
    ] = None,
    conflict: Annotated[
        Literal["inline", "rej"], typer.Option("--conflict", help="Show conflicts in the file, or in a .rej file.")
    ] = "inline",
) -> None:
    """Merge a newer template, keep the team's edits.

    The template is that of the installed esb. Exit code 1: some files need a
    person, their conflicts are marked. Files that the team owns (contracts,
    handlers, tests) are never touched.

    \b
    Examples:
      esb update --check
      esb update
      esb update --to 0.2.0 --conflict rej
    """
    from esb_cli.upgrade import refresh_wheels, standing, upgrade

    found = standing(Path.cwd(), to)
    if check:
        put(f"{found.current} -> {found.wanted}" if found.outdated else f"{found.current} is current")
        raise typer.Exit(Exit.FAILED if found.outdated else Exit.DONE)
    if not found.outdated:
        refresh_wheels(found.workspace)
        put(f"{found.current} is current")
        return
    conflicts = upgrade(found, conflict)
    refresh_wheels(found.workspace)
    put(f"{found.current} -> {found.wanted}")
    for path in conflicts:
        put(f"conflict: {path}")
    if conflicts:
        raise Failure(f"{len(conflicts)} of the files need a person: resolve the conflicts, then commit", Exit.FAILED)
    note("merged without conflicts: look at `git diff`, run the tests, then commit")
