"""How a workspace takes over a newer template: a three-way merge that keeps the team's edits, without a network."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from . import repository, template_history, wheels
from .failures import Exit, Failure
from .questions import Answer
from .report import Report, changed
from .scaffold import ANSWERS, SOURCE, WHEELS, answer, copier_errors, installed, rendered

Conflict = Literal["inline", "rej"]
"""How a conflict is shown: in the file itself, or in a `.rej` file beside it."""

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


def upgrade(found: Standing, conflict: Conflict) -> Report:
    """Merge the wanted version into the workspace; returns what became of each file.

    Everything that can be refused is refused before the first change: `Failure` (usage).
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
    before = repository.unmerged(found.workspace)
    with bundle() as history:
        known = template_history.tags(history)
        for tag in (found.current, found.wanted):
            if tag not in known:
                raise Failure(f"this esb knows no template {tag}; it knows {', '.join(known)}", Exit.USAGE)
        upstream = _upstream(found, history)
        _merge(found, conflict, history)
    return Report.of(found.workspace, upstream, repository.unmerged(found.workspace) - before)


def answers(workspace: Path) -> dict[str, Answer]:
    """What a workspace was made from."""
    import yaml

    document: dict[str, Any] = yaml.safe_load((workspace / ANSWERS).read_text("utf-8"))
    return {name: value for name, value in document.items() if not name.startswith("_")}


def _upstream(found: Standing, history: Path) -> set[str]:
    """The files that the template itself has changed between the two versions, for these answers."""
    given = answers(found.workspace)
    with (
        template_history.tree_of(history, found.current) as old,
        template_history.tree_of(history, found.wanted) as new,
        rendered(old, given, tag=found.current) as before,
        rendered(new, given, tag=found.current) as after,
    ):
        return {path for path in changed(before, after) if not _is_the_teams(path)}


def _is_the_teams(path: str) -> bool:
    """Whether an update leaves a file alone, as `_exclude` in copier.yml has it."""
    parts = path.split("/")
    if parts[0] == "api":
        return "routes" in parts
    is_code = parts[1:2] == ["src"] and path.endswith(".py")
    return parts[0] in {"contract.lock", "tests"} or (
        is_code and parts[-1] not in {"__init__.py", "__main__.py", "backbone.py"}
    )


def refresh_wheels(workspace: Path) -> None:
    """Leave this esb's wheels in the workspace: a fresh clone has none."""
    wheels.put_wheels(workspace / WHEELS)


def _merge(found: Standing, conflict: Conflict, bundle: Path) -> None:
    from copier import Settings, run_update

    with _offline(bundle), copier_errors():
        run_update(
            found.workspace,
            vcs_ref=found.wanted,
            defaults=True,
            skip_answered=True,
            overwrite=True,
            conflict=conflict,
            quiet=True,
            settings=Settings(),  # not the defaults that the user keeps for other templates
        )


@contextmanager
def bundle() -> Generator[Path]:
    """The history of the template that this esb carries. Raises `Failure` (usage) when it has none."""
    try:
        with template_history.bundle(version("esb-cli")) as path:
            yield path
    except template_history.NoTemplateError as error:
        raise Failure(str(error), Exit.USAGE) from error


@contextmanager
def _offline(bundle: Path) -> Generator[None]:
    """Let git read `SOURCE` from the bundle, for the commands that copier starts inside this block.

    copier would keep a mirror of the address for ever, in a cache folder; it gets one that ends with the block.
    """
    from plumbum import local

    count = int(os.environ.get("GIT_CONFIG_COUNT", "0"))  # what the caller has set stays
    settings = {
        "GIT_CONFIG_COUNT": str(count + 1),
        f"GIT_CONFIG_KEY_{count}": f"url.{bundle.as_posix()}.insteadOf",
        f"GIT_CONFIG_VALUE_{count}": SOURCE,
        "GIT_TERMINAL_PROMPT": "0",
    }
    kept = os.environ.get("COPIER_CACHE_DIR")
    with tempfile.TemporaryDirectory(prefix="esb-copier-", ignore_cleanup_errors=True) as cache:
        os.environ["COPIER_CACHE_DIR"] = cache
        try:
            with local.env(**settings):  # plumbum copied the environment when it was imported
                yield
        finally:
            if kept is None:
                del os.environ["COPIER_CACHE_DIR"]
            else:
                os.environ["COPIER_CACHE_DIR"] = kept


def _number(tag: str) -> Version:
    """The version of a tag, comparable; `Failure` (usage) when it is none."""
    from packaging.version import InvalidVersion, Version

    try:
        return Version(tag)
    except InvalidVersion as error:
        raise Failure(f"{tag} is no version of the template, such as v0.1.0", Exit.USAGE) from error
