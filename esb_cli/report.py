"""What an update did to a workspace, file by file, and what its team should know about the releases in between."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import repository

NOTES = Path(__file__).with_name("upgrade_notes.md")
_HEADING = re.compile(r"^## (\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What changed upstream, and what became of it; paths are relative to the workspace, sorted.

    `kept` changed upstream and not here: the team has deleted or moved it, or has made the same change.
    """

    merged: Sequence[str]
    added: Sequence[str]
    removed: Sequence[str]
    conflicts: Sequence[str]
    kept: Sequence[str]

    @classmethod
    def of(cls, workspace: Path, upstream: set[str], conflicts: set[str]) -> Report:
        """Look at what git says is new since the merge; `upstream` are the files that the template changed."""
        states = repository.states(workspace)
        here = {path: state for path, state in states.items() if path not in conflicts and not path.endswith(".rej")}
        return cls(
            merged=sorted(path for path, state in here.items() if state not in "?AD"),
            added=sorted(path for path, state in here.items() if state in "?A"),
            removed=sorted(path for path, state in here.items() if state == "D"),
            conflicts=sorted(conflicts),
            kept=sorted(upstream - {*states} - {path.removesuffix(".rej") for path in conflicts}),
        )

    def lines(self) -> list[str]:
        """One line per file, what it needs last: `merged: Makefile`, ..., `conflict: pyproject.toml`."""
        groups = (
            ("merged", self.merged),
            ("added", self.added),
            ("removed", self.removed),
            ("kept", self.kept),
            ("conflict", self.conflicts),
        )
        return [f"{word}: {path}" for word, paths in groups for path in paths]


def notes(newer_than: str, up_to: str) -> Mapping[str, Sequence[str]]:
    """The remarks on the releases after one version and up to another, oldest first."""
    from packaging.version import Version

    text = NOTES.read_text("utf-8")
    parts = _HEADING.split(text)[1:]
    found = dict(zip(parts[::2], parts[1::2], strict=True))
    wanted = sorted((name for name in found if Version(newer_than) < Version(name) <= Version(up_to)), key=Version)
    return {name: [" ".join(item.split()) for item in found[name].split("\n- ")[1:]] for name in wanted}


def changed(before: Path, after: Path) -> set[str]:
    """The files that differ between two renderings."""
    sides = [
        {path.relative_to(side).as_posix(): path.read_bytes() for path in side.rglob("*") if path.is_file()}
        for side in (before, after)
    ]
    return {path for path in {*sides[0], *sides[1]} if sides[0].get(path) != sides[1].get(path)}
