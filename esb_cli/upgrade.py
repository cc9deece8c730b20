"""How a workspace takes over a newer template: rendered as it was and as it is now, the difference merged into it.

Plain `copier update` comes to the same result; this way renders twice instead of three times, and says what it did.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import repository, template_history, wheels
from .failures import Exit, Failure
from .merge import Conflict, Merge, files, merge
from .ownership import of_the_team
from .questions import Answer
from .scaffold import ANSWERS, SOURCE, WHEELS, answer, installed, rendered

if TYPE_CHECKING:
    from packaging.version import Version


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A workspace, the template version it is at, and the one it can have; both as tags."""

    workspace: Path
    current: str
    wanted: str

    @property
    def outdated(self) -> bool:
        """Whether the wanted version is a newer one."""
        return _number(self.wanted) > _number(self.current)


def standing(start: Path, to: str | None = None) -> Standing:
    """Where the workspace around `start` stands. Reads one file; raises `Failure` (usage) when it is none of ours.

    So does a workspace that is ahead of the wanted version, for example because this esb is the older one.
    """
    workspace = next((path for path in (start, *start.parents) if (path / ANSWERS).is_file()), None)
    if workspace is None:
        raise Failure(f"there is no workspace here: no {ANSWERS} in {start} or above it", Exit.USAGE)
    source = answer(workspace, "_src_path")
    if source != SOURCE:
        raise Failure(f"this workspace was made from {source}, not by `esb new`: use `copier update`", Exit.USAGE)
    wanted = template_history.tag_of(to) if to else installed()
    found = Standing(workspace=workspace, current=answer(workspace, "_commit"), wanted=wanted)
    if _number(found.current) > _number(installed()):
        raise Failure(
            f"this workspace is at {found.current}, this esb knows up to {installed()}: upgrade esb", Exit.USAGE
        )
    if _number(found.current) > _number(found.wanted):
        raise Failure(f"this workspace is at {found.current}: it cannot go back to {found.wanted}", Exit.USAGE)
    return found


def upgrade(found: Standing, conflict: Conflict) -> Merge:
    """What the workspace becomes with the wanted version; nothing is written yet.

    Raises `Failure` (usage) for whatever stands in the way: no git, no repository, changes that are not committed.
    """
    if not template_history.has_git():
        raise Failure("`esb update` merges with git, and there is no git on this machine", Exit.USAGE)
    repository.forget_callers()
    if not repository.holds(found.workspace):
        raise Failure(
            f"{found.workspace} is in no git repository, which the merge needs: "
            "`git init && git add -A && git commit -m 'before esb update'`",
            Exit.USAGE,
        )
    if changed := repository.changes(found.workspace):
        shown = ", ".join(changed[:3]) + (f" and {len(changed) - 3} more" if len(changed) > 3 else "")
        raise Failure(f"there are changes that are not committed ({shown}): commit or stash them first", Exit.USAGE)
    given = answers(found.workspace)
    with bundle() as history:
        require_known(history, found.current, found.wanted)
        with (
            template_history.tree_of(history, found.current) as old,
            template_history.tree_of(history, found.wanted) as new,
            rendered(old, given, tag=found.current) as before,
            rendered(new, given, tag=found.wanted) as after,
        ):
            is_theirs = of_the_team(new)
            sides = [
                {path: content for path, content in files(side).items() if not is_theirs(path)}
                for side in (before, after)
            ]
            return merge(found.workspace, *sides, conflict=conflict)


def require_known(history: Path, *tags: str) -> None:
    """Refuse versions that a history does not hold: `Failure` (usage)."""
    known = template_history.tags(history)
    for tag in tags:
        if tag not in known:
            raise Failure(f"this esb knows no template {tag}; it knows {', '.join(known)}", Exit.USAGE)


def answers(workspace: Path) -> dict[str, Answer]:
    """What a workspace was made from."""
    import yaml

    document: dict[str, Any] = yaml.safe_load((workspace / ANSWERS).read_text("utf-8"))
    return {name: value for name, value in document.items() if not name.startswith("_")}


def refresh_wheels(workspace: Path) -> None:
    """Leave this esb's wheels in the workspace: a fresh clone has none."""
    wheels.put_wheels(workspace / WHEELS)


@contextmanager
def bundle() -> Generator[Path]:
    """The history of the template that this esb carries. Raises `Failure` (usage) when it has none."""
    try:
        with template_history.bundle() as path:
            yield path
    except template_history.NoTemplateError as error:
        raise Failure(str(error), Exit.USAGE) from error


def _number(tag: str) -> Version:
    """The version of a tag, comparable; `Failure` (usage) when it is none."""
    from packaging.version import InvalidVersion, Version

    try:
        return Version(tag)
    except InvalidVersion as error:
        raise Failure(f"{tag} is no version of the template, such as v0.1.0", Exit.USAGE) from error
