"""What a workspace runs, and the command that runs one of them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .failures import Exit, Failure
from .workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program: `target` is `MODULE:FUNCTION`, or `MODULE:CONSUMER` together with a `group`.

    `connect` names the function that makes its backbone; without one it is `Backbone.connect`. `health` is the port on
    which it says whether it is alive and consuming.
    """

    name: str
    target: str
    group: str | None = None
    connect: str | None = None
    health: int | None = None

    def command(self, interpreter: Path) -> list[str]:
        """The command line that runs it."""
        group = ["--group", self.group] if self.group is not None else []
        connect = ["--connect", self.connect] if self.connect is not None else []
        health = ["--health", str(self.health)] if self.health is not None else []
        return [str(interpreter), "-m", "esb_runtime.run", self.target, *group, *connect, *health]

    def owns(self, file: Path) -> bool:
        """Whether a source file belongs to the program: it is its module or lies beside it in its package."""
        package = self.target.partition(":")[0].split(".")
        folder = package[:-1] or package
        path = file.with_suffix("").parts
        return any(path[at : at + len(folder)] == tuple(folder) for at in range(len(path)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Where programs run: their interpreter, their folder, their variables."""

    interpreter: Path
    folder: Path
    environment: Mapping[str, str]

    @classmethod
    def of(cls, workspace: Workspace | None, extra: Mapping[str, str]) -> Surroundings:
        """Those of a workspace; outside of one this interpreter and the current folder.

        Raises `Failure` when the interpreter has no esb-runtime.
        """
        import sys

        interpreter = Path(sys.executable) if workspace is None else workspace.interpreter
        inherited = dict(os.environ) if workspace is None else workspace.environment()
        found = cls(
            interpreter=interpreter,
            folder=Path.cwd() if workspace is None else workspace.root,
            environment={**inherited, **extra, "PYTHONUNBUFFERED": "1"},
        )
        found.check()
        return found

    def check(self) -> None:
        """Refuse an interpreter that cannot run any program."""
        import subprocess

        code = "import importlib.util, sys; sys.exit(importlib.util.find_spec('esb_runtime') is None)"
        done = subprocess.run(
            [self.interpreter, "-c", code],
            cwd=self.folder,
            env=dict(self.environment),
            capture_output=True,
            check=False,
        )
        if done.returncode != 0:
            raise Failure(
                f"{self.interpreter} has no esb-runtime: install the workspace's packages into it "
                "(`make run` does), or name another one as python in [tool.esb]",
                Exit.FAILED,
            )


def programs(workspace: Workspace) -> list[Program]:
    """The programs of `[tool.esb.programs]`, in the order they are written. Raises `Failure` (usage) without any."""
    table = workspace.programs
    if not table:
        raise Failure(
            f"{workspace.root / 'pyproject.toml'} names no programs: write them into [tool.esb.programs], "
            'as in reporter = "shop.consumer.reporter:wire"',
            Exit.USAGE,
        )
    return [Program(name=name, target=target, connect=workspace.connect) for name, target in table.items()]
