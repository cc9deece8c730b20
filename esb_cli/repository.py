"""The git repository around a workspace: what `esb new` begins and `esb update` relies on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
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
    return inside.stdout.strip() == b"true" and _git(folder, "check-ignore", "--quiet", ".").returncode != 0


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


def mark_unmerged(folder: Path, stages: Mapping[str, tuple[bytes, bytes, bytes]]) -> None:
    """Tell git that files hold a conflict, as its own merge does: base, ours and theirs of each path below the folder.

    Raises `Failure` with git's own words.
    """
    prefix = _must(folder, "rev-parse", "--show-prefix").strip("\n")
    entries: list[str] = []
    for path, sides in stages.items():
        mode = "100755" if os.access(folder / path, os.X_OK) else "100644"
        entries.append(f"0 {'0' * 40}\t{prefix}{path}")
        for stage, content in enumerate(sides, start=1):
            stored = _must(folder, "hash-object", "-w", "--stdin", f"--path={path}", stdin=content).strip()
            entries.append(f"{mode} {stored} {stage}\t{prefix}{path}")
    _must(folder, "update-index", "-z", "--index-info", stdin="".join(f"{entry}\0" for entry in entries).encode())


def _must(folder: Path, *arguments: str, env: dict[str, str] | None = None, stdin: bytes = b"") -> str:
    done = _git(folder, *arguments, env=env, stdin=stdin)
    if done.returncode:
        raise Failure(f"git {arguments[0]} failed: {_text(done.stderr or done.stdout).strip()}", Exit.FAILED)
    return _text(done.stdout)


def _git(
    folder: Path, *arguments: str, env: dict[str, str] | None = None, stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env={**os.environ, **(env or {}), "GIT_TERMINAL_PROMPT": "0"},
        input=stdin,
        capture_output=True,
        check=False,
    )


def _text(said: bytes) -> str:
    return said.decode("utf-8", "backslashreplace")
