"""How a workspace comes into being: rendered aside, then moved to its place whole, or not at all."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from . import rendering, repository, template_history, wheels
from .failures import Exit, Failure
from .interrupts import undisturbed
from .questions import Answer

SOURCE = "esb://template.git"
"""Where every workspace says its template is: copier takes what ends in `.git` for git's, git asks `git-remote-esb`."""

ANSWERS = ".copier-answers.yml"
WHEELS = Path(".esb", "wheels")
OPTIONS = {
    "uri": "--uri",
    "consumer_group": "--consumer-group",
    "namespace": "--namespace",
    "events": "--event",
    "producer": "--no-producer",
    "consumer": "--no-consumer",
    "api": "--api",
    "store": "--store",
    "telemetry": "--telemetry",
    "ci": "--ci",
    "python": "--python",
    "license": "--license",
    "author": "--author",
    "runtime_requirement": "--runtime-requirement",
    "consumers": "NAME",
}
"""The questions of `copier.yml` and what answers them: options of `esb new`, the argument of `esb add consumer`."""
ESSENTIAL = frozenset({"uri", "consumer_group", "namespace", "events"})
"""What has to be given, or asked for; everything else has a default that is right for most."""
NO_GIT = "as you asked (--no-git)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """A new workspace, and what became of its repository: None when it has one, else why not."""

    folder: Path
    without_repository: str | None


def installed() -> str:
    """The template version that this esb carries, as a tag."""
    return template_history.tag_of(version("esb-cli"))


def create(tree: Path, folder: Path | None, answers: Mapping[str, Answer], *, git: bool) -> Created:
    """Make a workspace from the template in `tree`, with these answers and the defaults of the others.

    Without a folder it goes to one named like its namespace. Raises `Failure` (usage) for an answer that the template
    refuses and for a place that is taken or cannot be written. Whatever goes wrong, Ctrl-C too, nothing is left behind.
    """
    repository.forget_callers()
    with rendered(tree, answers) as workspace:
        target = folder if folder is not None else Path.cwd() / answer(workspace, "namespace")
        require_free(target)
        wheels.put_wheels(workspace / WHEELS)
        with _taken_back(target):
            _move(workspace, target)
            return Created(folder=target, without_repository=_begin_repository(target) if git else NO_GIT)


@contextmanager
def rendered(tree: Path, answers: Mapping[str, Answer], *, tag: str | None = None) -> Generator[Path]:
    """A folder with the workspace that these answers make, for as long as the block lasts.

    `tag` is the template version in `tree`, this esb's own unless given.
    """
    from copier import Settings, run_copy

    with tempfile.TemporaryDirectory(prefix="esb-new-", ignore_cleanup_errors=True) as aside:
        workspace = Path(aside, "workspace")
        with rendering.light(), _copier_errors():
            run_copy(
                str(tree),
                workspace,
                # the template writes these instead of the temporary folder that it was rendered from
                data={**answers, "esb_source": {"_commit": tag or installed(), "_src_path": SOURCE}},
                defaults=True,
                quiet=True,
                settings=Settings(),  # not the defaults that the user keeps for other templates
            )
        yield workspace


def answer(workspace: Path, name: str) -> str:
    """A recorded answer that is one plain word; `Failure` (usage) when there is none."""
    path = workspace / ANSWERS
    found = re.search(rf"^{name}: *['\"]?(.*?)['\"]? *$", path.read_text("utf-8"), re.MULTILINE)
    if not found:
        raise Failure(f"{path} does not say `{name}`: it was not written by esb", Exit.USAGE)
    return found[1]


@contextmanager
def _copier_errors() -> Generator[None]:
    """Turn what copier raises into a `Failure` in this command's own terms."""
    from copier.errors import CopierError

    try:
        yield
    except (CopierError, ValueError) as error:  # ValueError: a validator said no
        text = " ".join(str(error).split())
        refused = re.match(r"(?:Validation error for question|Invalid choice for) '(\w+)': (.*)", text)
        message = f"{OPTIONS.get(refused[1], refused[1])}: {refused[2]}" if refused else text
        raise Failure(message, Exit.USAGE) from error


def require_free(folder: Path) -> None:
    """A folder is free when it is missing or empty, and can be written; a fresh repository counts as empty.

    Raises `Failure` (usage) with the way out.
    """
    if folder.is_dir():
        if any(path.name != ".git" for path in folder.iterdir()):
            raise Failure(f"{folder} is not empty: name a new folder, as in `esb new my-workspace`", Exit.USAGE)
    elif folder.exists() or folder.is_symlink():
        raise Failure(f"{folder} is in the way: it is not a folder", Exit.USAGE)
    above = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not above.is_dir():
        raise Failure(f"cannot write to {folder}: {above} is not a folder", Exit.USAGE)
    if not os.access(above, os.W_OK | os.X_OK):
        raise Failure(f"cannot write to {folder}: you may not write in {above}", Exit.USAGE)


@contextmanager
def _taken_back(target: Path) -> Generator[None]:
    """Undo what the block made at `target` when it does not come to its end."""
    missing = [path for path in (target, *target.absolute().parents) if not path.exists()]
    before = set(target.iterdir()) if target.is_dir() else set[Path]()
    try:
        yield
    except BaseException as error:
        with undisturbed():
            made = missing[-1:] or [path for path in target.iterdir() if path not in before]
            for path in made:
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise Failure(f"cannot write to {target}: {error.strerror or error}", Exit.USAGE) from error
        raise


def _move(workspace: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(workspace.iterdir()):
        shutil.move(path, target / path.name)


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
