"""The three-way merge that grows and upgrades a workspace: two renderings of a template, and what the team has now.

Nothing is written before everything is merged, so what cannot be merged leaves the workspace as it was.
"""

from __future__ import annotations

import difflib
import subprocess
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Literal

from . import repository, template_history
from .failures import Exit, Failure
from .interrupts import undisturbed

Conflict = Literal["inline", "rej"]
"""How a conflict is shown: in the file itself, or in a `.rej` file beside it."""


class Step(StrEnum):
    """What happens to a file that the template changes; what needs a person stands last, as in a report."""

    MERGED = "merged"
    ADDED = "added"
    REMOVED = "removed"
    KEPT = "kept"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """The contents of a file that the team and the template have both changed."""

    base: bytes
    mine: bytes
    theirs: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Merge:
    """What will be written (None removes the file), and what it does to each file that the template changes."""

    workspace: Path
    steps: Mapping[str, Step]
    contents: Mapping[str, bytes | None] = field(repr=False)
    unmerged: Mapping[str, Sides] = field(repr=False)

    def write(self) -> None:
        """Write it; where there is a repository, git knows afterwards which files hold a conflict."""
        with undisturbed():
            for path, content in self.contents.items():
                target = self.workspace / path
                if content is None:
                    _remove(target)
                else:
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(content)
        if self.unmerged and template_history.has_git() and repository.holds(self.workspace):
            stages = {path: (sides.base, sides.mine, sides.theirs) for path, sides in self.unmerged.items()}
            repository.mark_unmerged(self.workspace, stages)

    @property
    def conflicts(self) -> Sequence[str]:
        """The files that need a person."""
        return [path for path, step in self.steps.items() if step is Step.CONFLICT]

    def lines(self) -> list[str]:
        """One line per file: `merged: Makefile`, ..., `conflict: pyproject.toml`."""
        return [f"{step}: {path}" for step in Step for path, found in sorted(self.steps.items()) if found is step]


def merge(
    workspace: Path,
    before: Mapping[str, bytes],
    after: Mapping[str, bytes],
    *,
    whole: Collection[str] = (),
    conflict: Conflict = "inline",
) -> Merge:
    """What becomes of a workspace whose template rendered `before` and renders `after` now.

    The team's edits stay; a file that it has deleted or moved does not come back, one of its own is not overwritten,
    one that it has edited is not removed. The files in `whole` are not merged: they follow until the team edits them.
    Raises `Failure` when git is needed and missing.
    """
    steps: dict[str, Step] = {}
    contents: dict[str, bytes | None] = {}
    unmerged: dict[str, Sides] = {}
    for path in sorted({*before, *after}):
        old, new, file = before.get(path), after.get(path), workspace / path
        mine = file.read_bytes() if file.is_file() else None
        if new in {old, mine}:
            continue
        if mine == old and not _is_taken(file):
            steps[path] = Step.ADDED if old is None else Step.REMOVED if new is None else Step.MERGED
            contents[path] = new
        elif mine is None or old is None or new is None or path in whole:
            steps[path] = Step.KEPT
        else:
            sides = Sides(base=old, mine=mine, theirs=new)
            merged, clean = _merged(sides)
            if clean:
                steps[path], contents[path] = Step.MERGED, merged
            elif conflict == "inline":
                steps[path], contents[path], unmerged[path] = Step.CONFLICT, merged, sides
            else:
                steps[f"{path}.rej"] = Step.CONFLICT
                contents[path], contents[f"{path}.rej"] = _rejected(path, sides)
    return Merge(workspace=workspace, steps=steps, contents=contents, unmerged=unmerged)


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder by its path."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _is_taken(file: Path) -> bool:
    """Whether something that is no file has its name, or a file that of a folder above it."""
    above = next(path for path in file.parents if path.exists())
    return not above.is_dir() or (not file.is_file() and (file.exists() or file.is_symlink()))


def _remove(file: Path) -> None:
    """Remove a file, and the folders that it leaves empty."""
    file.unlink()
    folder = file.parent
    while not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent


def _merged(sides: Sides, *options: str) -> tuple[bytes, bool]:
    """The team's file with the template's change, and whether no line was changed by both."""
    if not template_history.has_git():
        raise Failure("files with edits of yours are merged with git, which is not on this machine", Exit.USAGE)
    with tempfile.TemporaryDirectory(prefix="esb-merge-") as folder:
        for name, content in (("mine", sides.mine), ("base", sides.base), ("theirs", sides.theirs)):
            Path(folder, name).write_bytes(content)
        labels = ("-L", "yours", "-L", "before", "-L", "the template's")
        command = ["git", "merge-file", "-p", *options, *labels, "mine", "base", "theirs"]
        done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    if done.returncode > 127 or done.returncode < 0:
        raise Failure(f"git could not merge: {done.stderr.decode(errors='replace').strip()}", Exit.FAILED)
    return done.stdout, done.returncode == 0


def _rejected(path: str, sides: Sides) -> tuple[bytes, bytes]:
    """The file with the template's lines where both sides changed some, and the patch that puts the team's there."""
    (theirs, _), (mine, _) = _merged(sides, "--theirs"), _merged(sides, "--ours")
    name = path.encode()
    lines = difflib.diff_bytes(difflib.unified_diff, theirs.splitlines(True), mine.splitlines(True), name, name)
    return theirs, b"".join(lines)
