"""How a workspace comes into being: rendered aside, then moved to its place whole, or not at all."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from . import repository, template_history, wheels
from .failures import Exit, Failure

SOURCE = "esb://template.git"
"""Where every workspace says its template is: copier takes what ends in `.git` for git's, git asks `git-remote-esb`."""

ANSWERS = ".copier-answers.yml"
WHEELS = Path(".esb", "wheels")
OPTIONS = {
    "uri": "--uri",
    "consumer_group": "--consumer-group",
    "namespace": "--namespace",
    "events": "--event",
    "runtime_requirement": "--runtime-requirement",
}
"""The questions of `copier.yml` and the options of `esb new` that answer them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """A new workspace, and what became of its repository: None when it has one, else why not."""

    folder: Path
    without_repository: str | None


def installed() -> str:
    """The template version that this esb carries, as a tag."""
    return template_history.tag_of(version("esb-cli"))


def create(folder: Path | None, answers: Mapping[str, str], *, ask: bool, git: bool) -> Created:
    """Render a workspace with these answers; `ask` for the others, or take their defaults.

    Without a folder it goes to one named like its namespace. Raises `Failure` (usage) for an answer that the template
    refuses and for a place that is taken or cannot be written; nothing is left behind then.
    """
    repository.forget_callers()
    if folder is not None:
        _require_free(folder)
    with tempfile.TemporaryDirectory(prefix="esb-new-") as aside:
        rendered = Path(aside, "workspace")
        _render(rendered, answers, ask=ask)
        target = folder if folder is not None else Path.cwd() / answer(rendered, "namespace")
        _require_free(target)
        _move(rendered, target)
    wheels.put_wheels(target / WHEELS)
    return Created(folder=target, without_repository=_begin_repository(target) if git else "as you asked (--no-git)")


def answer(workspace: Path, name: str) -> str:
    """A recorded answer that is one plain word; `Failure` (usage) when there is none."""
    path = workspace / ANSWERS
    found = re.search(rf"^{name}: *['\"]?(.*?)['\"]? *$", path.read_text("utf-8"), re.MULTILINE)
    if not found:
        raise Failure(f"{path} does not say `{name}`: it was not written by esb", Exit.USAGE)
    return found[1]


@contextmanager
def copier_errors() -> Generator[None]:
    """Turn what copier raises into a `Failure` in this command's own terms."""
    from copier.errors import CopierAnswersInterrupt, CopierError
    from plumbum import ProcessExecutionError

    try:
        yield
    except CopierAnswersInterrupt as interrupt:
        raise KeyboardInterrupt from interrupt
    except (CopierError, ValueError) as error:  # ValueError: a validator said no
        text = " ".join(str(error).split())
        refused = re.match(r"Validation error for question '(\w+)': (.*)", text)
        message = f"{OPTIONS.get(refused[1], refused[1])}: {refused[2]}" if refused else text
        raise Failure(message, Exit.USAGE) from error
    except ProcessExecutionError as error:
        raise Failure(f"git failed: {str(error.stderr).strip()}", Exit.FAILED) from error


def _render(target: Path, answers: Mapping[str, str], *, ask: bool) -> None:
    from copier import Settings, run_copy

    with template_history.tree() as source, copier_errors():
        run_copy(
            str(source),
            target,
            # the template writes these instead of the temporary folder that it was rendered from
            data={**answers, "esb_source": {"_commit": installed(), "_src_path": SOURCE}},
            defaults=not ask,
            quiet=True,
            settings=Settings(),  # not the defaults that the user keeps for other templates
        )


def _require_free(folder: Path) -> None:
    """A folder is free when it is missing or empty; a fresh repository counts as empty."""
    if folder.is_dir():
        if any(path.name != ".git" for path in folder.iterdir()):
            raise Failure(f"{folder} is not empty: name a new folder, as in `esb new my-workspace`", Exit.USAGE)
    elif folder.exists() or folder.is_symlink():
        raise Failure(f"{folder} is in the way: it is not a folder", Exit.USAGE)


def _move(rendered: Path, target: Path) -> None:
    """Move everything, or take back what was moved."""
    missing = [path for path in (target, *target.parents) if not path.exists()]
    moved: list[Path] = []
    try:
        target.mkdir(parents=True, exist_ok=True)
        for path in sorted(rendered.iterdir()):
            moved.append(target / path.name)
            shutil.move(path, moved[-1])
    except BaseException as error:
        _take_back(missing[-1:] or moved)
        if isinstance(error, OSError):
            raise Failure(f"cannot write to {target}: {error.strerror or error}", Exit.USAGE) from error
        raise


def _take_back(paths: list[Path]) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        elif path.exists():
            path.unlink()


def _begin_repository(folder: Path) -> str | None:
    """The first commit; or why there is none: the workspace itself is complete without it."""
    if not template_history.has_git():
        return "there is no git on this machine"
    if repository.holds(folder):
        return "the folder belongs to a repository already: commit it there"
    try:
        repository.begin(folder)
    except Failure as failure:
        return str(failure)
    return None
