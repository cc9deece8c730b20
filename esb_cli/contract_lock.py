"""Keeps `contract.lock` true while a workspace is being worked on."""

from __future__ import annotations

import subprocess

from .programs import Surroundings
from .terminal import note
from .workspace import Workspace


def refresh(workspace: Workspace, surroundings: Surroundings) -> None:
    """Write the workspace's contracts into its lock file, when they say something new.

    Contracts that cannot be imported just now change nothing: the programs that import them say why.
    """
    if not workspace.contracts:
        return
    done = subprocess.run(
        [surroundings.interpreter, "-m", "esb_runtime.lock", *workspace.contracts],
        cwd=surroundings.folder,
        env=dict(surroundings.environment),
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    known = workspace.lock.read_text(encoding="utf-8") if workspace.lock.exists() else ""
    if done.returncode == 0 and done.stdout.strip() and done.stdout != known:
        workspace.lock.write_text(done.stdout, encoding="utf-8")
        note(f"{workspace.lock.name} now says what the contracts say: review the change and commit it")
