"""What the tests of the template share: an isolated machine, `esb` as a user starts it, one workspace for all."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from template_kit import ARTICLE, OnTerminal, Run, Scaffold, Terminal, scaffolded_at

from esb_runtime.testing import RedisServer


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a machine that knows nobody: an empty HOME, no settings of git, copier or esb."""
    home = tmp_path_factory.mktemp("home")
    how_to_reach_an_index = ("PIP_", "UV_", "SSL_", "HTTP", "http", "NO_PROXY", "no_proxy")
    kept = {
        name: value for name, value in os.environ.items() if name.startswith((*how_to_reach_an_index, "LANG", "LC_"))
    }
    return {
        **kept,
        "HOME": str(home),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "COPIER_CACHE_DIR": str(home / "copier"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "MYPY_CACHE_DIR": str(home / "mypy"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


@pytest.fixture(scope="session")
def run(machine: Mapping[str, str]) -> Run:
    """Start a program on that machine; `code` is the exit code it must have, None for any."""

    def start(
        *command: str | Path, cwd: Path, code: int | None = 0, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        words = [str(word) for word in command]
        done = subprocess.run(
            words,
            cwd=cwd,
            env={**machine, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if code is not None:
            assert done.returncode == code, f"{words}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    return start


@pytest.fixture(scope="session")
def esb(run: Run) -> Run:
    """`esb` of this checkout."""

    def start(*arguments: str | Path, cwd: Path, **options: object) -> subprocess.CompletedProcess[str]:
        return run(sys.executable, "-m", "esb_cli", *arguments, cwd=cwd, **options)

    return start


@pytest.fixture(scope="session")
def workspace(esb: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the article's command line makes. Shared: tests that change it take a copy."""
    folder = tmp_path_factory.mktemp("workspace")
    esb("new", *ARTICLE, cwd=folder)
    return folder / "mycompany.events"


@pytest.fixture(scope="session")
def scaffolded(tmp_path_factory: pytest.TempPathFactory) -> Scaffold:
    """Workspaces by their answers, the defaults for the others; equal answers share one, so nobody changes it."""
    made: dict[tuple[tuple[str, str | bool], ...], Path] = {}

    def workspace(**answers: str | bool) -> Path:
        key = tuple(sorted(answers.items()))
        if key not in made:
            folder = tmp_path_factory.mktemp("scaffolded") / "workspace"
            made[key] = scaffolded_at(folder, answers)
        return made[key]

    return workspace


@pytest.fixture
def connected(machine: Mapping[str, str], redis_server: RedisServer) -> dict[str, str]:
    """The environment of that machine with an empty Redis."""
    redis_server.clear()
    return {**machine, **redis_server.environment()}


@pytest.fixture
def on_terminal(machine: Mapping[str, str], tmp_path: Path) -> OnTerminal:
    """Start `esb` on a terminal."""

    @contextmanager
    def started(*arguments: str, env: Mapping[str, str] | None = None) -> Iterator[Terminal]:
        screen, own = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "esb_cli", *arguments],
            cwd=tmp_path,
            env={**machine, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1", **(env or {})},
            stdin=own,
            stdout=own,
            stderr=own,
            start_new_session=True,
        )
        os.close(own)
        try:
            yield Terminal(screen, process)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            os.close(screen)

    return started
