"""The git repository around a workspace: what `esb new` begins and `esb update` relies on."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from .failures import Exit, Failure

FIRST_COMMIT = "Create the workspace with esb"
NOBODY = {
    "GIT_AUTHOR_NAME": "esb",
    "GIT_AUTHOR_EMAIL": "esb@localhost",
    "GIT_COMMITTER_NAME": "esb",
    "GIT_COMMITTER_EMAIL": "esb@localhost",
}
_CALLERS = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY")


def forget_callers() -> None:
    """Let every git of this process, copier's too, find the repository of its own folder.

    A process that git started (a hook, an alias) names another one in its environment.
    """
    for name in _CALLERS:
        os.environ.pop(name, None)


def holds(folder: Path) -> bool:
    """Whether a repository tracks, or would track, the files of this folder."""
    inside = _git(folder, "rev-parse", "--is-inside-work-tree")
    return inside.stdout.strip() == "true" and _git(folder, "check-ignore", "--quiet", ".").returncode != 0


def begin(folder: Path) -> None:
    """Make the folder a repository with one commit of all it holds. Raises `Failure` with git's own words.

    Hooks and signing are for people's commits; where git does not know who commits, this one is by `esb`.
    """
    _must(folder, "init", "--quiet")
    _must(folder, "symbolic-ref", "HEAD", "refs/heads/main")
    _must(folder, "add", "--all")
    known = _git(folder, "var", "GIT_COMMITTER_IDENT").returncode == 0
    unsigned = ("-c", "commit.gpgsign=false")
    _must(folder, *unsigned, "commit", "--quiet", "--no-verify", "--message", FIRST_COMMIT, env={} if known else NOBODY)


def changes(folder: Path) -> list[str]:
    """Paths below the folder with changes that are not committed."""
    return [line[3:] for line in _must(folder, "status", "--porcelain", "--", ".").splitlines()]


def states(folder: Path) -> dict[str, str]:
    """Paths below the folder that differ from the last commit, each with its letter: M, A, D, U, or ? for new ones."""
    top = Path(_must(folder, "rev-parse", "--show-toplevel").strip())
    inside = folder.resolve().relative_to(top.resolve()).as_posix()
    lines = _must(folder, "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all", "--", ".").split("\0")
    prefix = "" if inside == "." else f"{inside}/"
    return {line[3:].removeprefix(prefix): "U" if "U" in line[:2] else line[:2].strip()[0] for line in lines if line}


def unmerged(folder: Path) -> set[str]:
    """Paths below the folder that hold a conflict, and the `.rej` files beside them."""
    marked = _must(folder, "diff", "--name-only", "--diff-filter=U", "--relative")
    rejected = _must(folder, "ls-files", "--others", "--ignored", "--exclude=*.rej")
    return {*marked.splitlines(), *(path for path in rejected.splitlines() if path.endswith(".rej"))}


def _must(folder: Path, *arguments: str, env: dict[str, str] | None = None) -> str:
    done = _git(folder, *arguments, env=env)
    if done.returncode:
        raise Failure(f"git {arguments[0]} failed: {(done.stderr or done.stdout).strip()}", Exit.FAILED)
    return done.stdout


def _git(folder: Path, *arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env={**os.environ, **(env or {}), "GIT_TERMINAL_PROMPT": "0"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="backslashreplace",
        check=False,
    )
