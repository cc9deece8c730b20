"""How a workspace grows: rendered as it was answered and as it is answered now, and the difference merged into it.

The template is the one that the workspace is at, so nothing but the answer changes it. What the team has edited is
merged three ways, what it has deleted stays deleted.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from . import questions, template_history
from .failures import Exit, Failure
from .questions import Answer
from .scaffold import installed, rendered
from .upgrade import answers, bundle, standing

LOCK = "contract.lock"


class Step(StrEnum):
    """What happened to one file."""

    ADDED = "added"
    MERGED = "merged"
    CONFLICT = "conflict"
    KEPT = "kept"


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """What will be written, and what it does to each file that the new answer changes."""

    workspace: Path
    steps: Mapping[str, Step]
    contents: Mapping[str, bytes] = field(repr=False)

    def write(self) -> None:
        """Write it."""
        for path, content in self.contents.items():
            target = self.workspace / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)


def grow(start: Path, change: Callable[[Mapping[str, Answer]], Mapping[str, Answer]]) -> Growth:
    """What the workspace around `start` becomes when its answers change; nothing is written yet.

    Raises `Failure` (usage) for an answer that the template refuses, and whatever `standing` refuses.
    """
    found = standing(start)
    old = answers(found.workspace)
    new = {**old, **change(old)}
    with _template(found.current) as tree:
        questions.check(questions.load(tree), new, dict.fromkeys(new, "NAME"))
        with rendered(tree, old, tag=found.current) as before, rendered(tree, new, tag=found.current) as after:
            return _difference(found.workspace, _files(before), _files(after))


@contextmanager
def _template(tag: str) -> Generator[Path]:
    if tag == installed():
        with template_history.tree() as tree:
            yield tree
        return
    with bundle() as history:
        known = template_history.tags(history)
        if tag not in known:
            raise Failure(f"this esb knows no template {tag}; it knows {', '.join(known)}", Exit.USAGE)
        with template_history.tree_of(history, tag) as tree:
            yield tree


def _difference(workspace: Path, before: Mapping[str, bytes], after: Mapping[str, bytes]) -> Growth:
    steps: dict[str, Step] = {}
    contents: dict[str, bytes] = {}
    for path, new in after.items():
        old, file = before.get(path), workspace / path
        if old == new:
            continue
        mine = file.read_bytes() if file.is_file() else None
        if mine == new:
            continue
        if mine is None:
            steps[path] = Step.ADDED if old is None else Step.KEPT
        elif old is None or (path == LOCK and mine != old):  # theirs already; the lock is written from the contracts
            steps[path] = Step.KEPT
        elif mine == old:
            steps[path] = Step.MERGED
        else:
            contents[path], clean = _merged(file, old, new)
            steps[path] = Step.MERGED if clean else Step.CONFLICT
            continue
        if steps[path] is not Step.KEPT:
            contents[path] = new
    return Growth(workspace=workspace, steps=steps, contents=contents)


def _merged(mine: Path, old: bytes, new: bytes) -> tuple[bytes, bool]:
    """The team's file with the template's change, and whether no line was changed by both."""
    import tempfile

    if not template_history.has_git():
        raise Failure(f"{mine.name} has edits of yours: merging needs git, which is not on this machine", Exit.USAGE)
    with tempfile.TemporaryDirectory(prefix="esb-merge-") as folder:
        base, theirs = Path(folder, "base"), Path(folder, "theirs")
        base.write_bytes(old)
        theirs.write_bytes(new)
        names = ("-L", "yours", "-L", "before", "-L", "esb add")
        done = subprocess.run(
            ["git", "merge-file", "-p", *names, str(mine), str(base), str(theirs)], capture_output=True, check=False
        )
    if done.returncode < 0 or done.returncode > 127:
        raise Failure(f"git could not merge {mine}: {done.stderr.decode(errors='replace').strip()}", Exit.FAILED)
    return done.stdout, done.returncode == 0


def _files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }
