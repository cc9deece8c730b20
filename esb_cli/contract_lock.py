"""Keeps `contract.lock` true while a workspace is being worked on."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .failures import Exit
from .programs import Surroundings
from .terminal import note
from .workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What the contracts say when they are imported: the lock's `text`; None with the `reason` when they cannot be.

    `is_contract_error` tells a contract that is written wrongly from an import that fails.
    """

    text: str | None
    reason: str = ""
    is_contract_error: bool = False


def said(workspace: Workspace, surroundings: Surroundings) -> Said:
    """Import the workspace's contracts in its own interpreter."""
    done = subprocess.run(
        [surroundings.interpreter, "-m", "esb_runtime.lock", *workspace.contracts],
        cwd=surroundings.folder,
        env=dict(surroundings.environment),
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="backslashreplace",
        check=False,
    )
    if done.returncode == 0 and done.stdout.strip():
        return Said(text=done.stdout)
    words = done.stderr.strip().splitlines()
    reason = words[-1].removeprefix("error: ") if words else "they say nothing"
    return Said(text=None, reason=reason, is_contract_error=done.returncode == Exit.BAD_DATA)


def said_with(workspace: Workspace, surroundings: Surroundings, *, root: Path, file: Path, content: bytes) -> Said:
    """The same, as if `file` (below the source folder `root`) had this content; the file itself is not touched."""
    with tempfile.TemporaryDirectory(prefix="esb-contracts-") as folder:
        overlay = Path(folder, "src")
        shutil.copytree(root, overlay, ignore=shutil.ignore_patterns("__pycache__"))
        (overlay / file.relative_to(root)).write_bytes(content)
        paths = [str(overlay), surroundings.environment.get("PYTHONPATH", "")]
        environment = {**surroundings.environment, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
        seen = Surroundings(interpreter=surroundings.interpreter, folder=surroundings.folder, environment=environment)
        return said(workspace, seen)


def refresh(workspace: Workspace, surroundings: Surroundings) -> None:
    """Write the workspace's contracts into its lock file, when they say something new.

    Contracts that cannot be imported just now change nothing: the programs that import them say why.
    """
    if not workspace.contracts:
        return
    if (text := said(workspace, surroundings).text) is not None and write(workspace, text):
        note(f"{workspace.lock.name} now says what the contracts say: review the change and commit it")


def write(workspace: Workspace, text: str) -> bool:
    """Make this the lock; whether it said something else before."""
    known = workspace.lock.read_text(encoding="utf-8") if workspace.lock.exists() else ""
    if text == known:
        return False
    workspace.lock.write_text(text, encoding="utf-8")
    return True
