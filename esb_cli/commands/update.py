"""`esb update`: take over a newer template."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from esb_cli.failures import Exit, Failure
from esb_cli.terminal import clean, count, note, put

if TYPE_CHECKING:
    from esb_cli.merge import Merge
    from esb_cli.upgrade import Standing


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

    The template is that of the installed esb; no network is needed. It says
    what became of each file (merged, added, removed, kept, conflict) and what
    to know about each release. Exit code 1: some files need a person, their
    conflicts are marked. Files that the team owns (contracts, handlers, tests)
    are never touched.

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
        if found.outdated:
            note("`esb update` merges it")
        raise typer.Exit(Exit.FAILED if found.outdated else Exit.DONE)
    if not found.outdated:
        refresh_wheels(found.workspace)
        put(f"{found.current} is current")
        return
    merged = upgrade(found, conflict)
    merged.write()
    refresh_wheels(found.workspace)
    put(f"{found.current} -> {found.wanted}")
    for line in merged.lines():
        put(clean(line))
    _tell(found, merged)
    if merged.conflicts:
        where = "beside the files, in .rej files" if conflict == "rej" else "marked in the files"
        raise Failure(
            f"{count(len(merged.conflicts), 'file')} changed on both sides ({where}): resolve them, run `make test`, "
            "then commit",
            Exit.FAILED,
        )
    note("no conflicts: look at `git diff`, run `make test`, then commit")


def _tell(found: Standing, merged: Merge) -> None:
    """What a person should know beside the list of files."""
    from esb_cli.merge import Step
    from esb_cli.upgrade_notes import notes

    for release, remarks in notes(found.current, found.wanted).items():
        for remark in remarks:
            note(f"{release}: {remark}")
    if Step.KEPT in merged.steps.values():
        note("kept: changed in the template, but deleted, moved or written otherwise by you; left as it is")
