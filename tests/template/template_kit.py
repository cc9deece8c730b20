"""What the tests of the template share beside fixtures: the article's command line, and releases of esb."""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from zipfile import ZipFile

from esb_cli import scaffold, template_history
from esb_cli.questions import Answer

REPOSITORY = Path(__file__).parents[2]
ARTICLE = ("--uri", "event-demo", "--consumer-group", "main-consumer", "-n", "mycompany.events", "-e", "MyEvent")
"""The article's command line."""

Run = Callable[..., subprocess.CompletedProcess[str]]
Scaffold = Callable[..., Path]
"""Makes a workspace from answers, or finds the one that it made from them."""


def scaffolded_at(folder: Path, answers: Mapping[str, Answer]) -> Path:
    """A workspace from these answers and the defaults for the others; made in this process, without git and wheels."""
    with template_history.tree() as tree, scaffold.rendered(tree, answers) as workspace:
        return Path(shutil.move(workspace, folder))


class Release:
    """An esb of some version on this machine: its folder is what `site-packages` would be."""

    def __init__(self, folder: Path, run: Run) -> None:
        self.folder = folder
        self._run = run
        script = folder / "bin" / "git-remote-esb"
        script.parent.mkdir()
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m esb_cli.git_remote "$@"\n')
        script.chmod(0o755)

    def esb(self, *arguments: str | Path, cwd: Path, code: int | None = 0, env: Mapping[str, str] | None = None) -> str:
        """Run its `esb`; returns what it said, on both streams."""
        return self._said(sys.executable, "-m", "esb_cli", *arguments, cwd=cwd, code=code, env=env)

    def copier(self, *arguments: str, cwd: Path, code: int | None = 0) -> str:
        """Run plain copier where this esb is on PATH."""
        return self._said(sys.executable, "-m", "copier", *arguments, cwd=cwd, code=code)

    def _said(self, *command: str | Path, cwd: Path, code: int | None = 0, env: Mapping[str, str] | None = None) -> str:
        path = os.pathsep.join([str(self.folder / "bin"), os.environ["PATH"]])
        environment = {"PYTHONPATH": str(self.folder), "PATH": path, **(env or {})}
        done = self._run(*command, cwd=cwd, code=code, env=environment)
        return done.stdout + done.stderr


class Terminal:
    """A terminal with `esb` on it: what it shows, and keys to press."""

    def __init__(self, screen: int, process: subprocess.Popen[bytes]) -> None:
        self.screen = screen
        self.process = process
        self.shown = ""

    def wait_for(self, text: str) -> None:
        """Read the screen until it shows this text."""
        before = len(self.shown)
        while text not in self.shown[before:]:
            ready, _, _ = select.select([self.screen], [], [], 30)
            assert ready, f"no {text!r} in {self.shown!r}"
            try:
                chunk = os.read(self.screen, 4096)
            except OSError:  # Linux tells the end of a terminal this way
                chunk = b""
            assert chunk, f"esb ended without {text!r}: {self.shown!r}"
            self.shown += chunk.decode(errors="replace")

    def wait_for_file(self, path: Path) -> None:
        """Wait until the file is there, or the process has ended without it."""
        while not path.exists():
            assert self.process.poll() is None, self.shown
            select.select([self.screen], [], [], 0.05)

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self.screen, keys.encode())

    def end(self) -> int:
        """Read to the end; the exit code."""
        while select.select([self.screen], [], [], 30)[0]:
            try:
                self.shown += os.read(self.screen, 4096).decode(errors="replace")
            except OSError:
                break
        return self.process.wait(30)


OnTerminal = Callable[..., AbstractContextManager[Terminal]]


def checkout(target: Path, version: str) -> Path:
    """The files of this repository that a release is built from, as another version."""
    target.mkdir()
    for name in ("esb_cli", "template", "runtime"):
        shutil.copytree(REPOSITORY / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "copier.yml", "README.md", "CHANGELOG.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, target / name)
    for project in (target / "pyproject.toml", target / "runtime" / "pyproject.toml"):
        text = project.read_text("utf-8")
        current = re.search(r'^version = "(.*)"$', text, re.MULTILINE)
        assert current
        text = text.replace(f'version = "{current[1]}"', f'version = "{version}"')
        project.write_text(text.replace(f"=={current[1]}", f"=={version}"), "utf-8")
    return target


def build(folder: Path, run: Run) -> Path:
    """Build the esb-cli wheel of a checkout."""
    command = (sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder / "dist", folder)
    run(*command, cwd=folder)
    (wheel,) = (folder / "dist").glob("esb_cli-*.whl")
    return wheel


def edit(path: Path, old: str, new: str) -> None:
    """Replace one passage, which must be there."""
    text = path.read_text("utf-8")
    assert old in text, f"{path} does not hold {old!r}"
    path.write_text(text.replace(old, new, 1), "utf-8")


def unpacked(wheel: Path, target: Path, run: Run) -> Release:
    """A release from its wheel."""
    with ZipFile(wheel) as archive:
        archive.extractall(target)
    return Release(target, run)


def empty_environment(folder: Path, run: Run, requirements: Path | None = None) -> Path:
    """A virtual environment in which only the requirements of the packages under test are there; its interpreter.

    They are installed in the folder `requirements`, in this environment unless given.
    """
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
    python = folder / "bin" / "python"
    script = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(run(python, "-c", script, cwd=folder).stdout.strip())
    # after its own folder: what is installed here hides what this environment has under the same name
    (site / "requirements.pth").write_text(f"{requirements or sysconfig.get_path('purelib')}\n")
    return python


def install(python: Path, files: list[Path], run: Run) -> None:
    """Install wheels as they are, without an index; for whatever Python they say they are."""
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-index", "--no-deps")
    pip = (*pip, "--ignore-requires-python", "--no-compile")
    run(*pip, *files, cwd=python.parent)


def copy(workspace: Path, target: Path) -> Path:
    """A workspace to change."""
    return Path(shutil.copytree(workspace, target, symlinks=True))


def tell_the_story(env: Mapping[str, str], python: str | Path) -> None:
    """Run the consumer and the producer as processes until both orders are received, then stop the consumer."""
    program = [str(python), "-m", "mycompany.events.consumer"]
    with subprocess.Popen(program, env=dict(env), stdout=subprocess.PIPE, text=True) as consumer:
        try:
            assert consumer.stdout
            produced = subprocess.run(
                [str(python), "-m", "mycompany.events.producer"],
                env=dict(env),
                capture_output=True,
                text=True,
                check=False,
            )
            assert produced.returncode == 0, produced.stderr
            lines = iter(consumer.stdout.readline, "")
            received = [next(line for line in lines if " received " in line) for _ in range(2)]
            assert "ada@example.com" in received[0]
            consumer.send_signal(signal.SIGTERM)
            assert consumer.wait(30) == 0
        finally:
            consumer.kill()


def in_prometheus(name: str, kind: str, unit: str) -> list[str]:
    """How the collector's exporter calls a metric."""
    base = name.replace(".", "_") + ("_seconds" if unit == "s" else "")
    if kind == "histogram":
        return [f"{base}_bucket", f"{base}_sum", f"{base}_count"]
    return [f"{base}_total" if kind == "counter" else base]
