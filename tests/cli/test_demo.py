"""`esb demo`: what a newcomer sees first works, and says so when it does not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from esb_runtime.testing import RedisServer


def demo(*arguments: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `esb demo` on a machine with an empty home and no Redis of its own."""
    (cwd / "home").mkdir(exist_ok=True)
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("REDIS_EVENT", "PYTEST"))}
    return subprocess.run(
        [sys.executable, "-m", "esb_cli", "demo", *arguments],
        cwd=cwd,
        env={**environ, "HOME": str(cwd / "home"), **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=150,
        check=False,
    )


def test_the_story_is_told_to_its_end(tmp_path: Path) -> None:
    """An order goes from placed to received; tail, produce, a refused mistake and a replay follow; nothing stays."""
    done = demo("play", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    ways = [done.stdout.index(f" {step} ") for step in ("placed", "packing", "on delivery", "received")]
    assert ways == sorted(ways)
    for typed in ("new --uri event-demo", "tail event-demo", "produce event-demo", "replay event-demo"):
        assert f"$ esb {typed}" in done.stdout
    assert "cd mycompany.events && esb dev" in done.stdout
    assert "argument product_id: expected an integer" in done.stdout
    assert "Traceback" not in done.stdout
    workspace = tmp_path / "play" / "mycompany.events"
    assert (workspace / ".git").is_dir()
    assert RedisServer.find(workspace / ".esb") is None


def test_it_touches_no_redis_but_its_own(tmp_path: Path) -> None:
    """A Redis that the user's environment names is neither used nor needed."""
    done = demo(cwd=tmp_path, REDIS_EVENT_SOURCE_ENDPOINT="127.0.0.1:1", REDIS_EVENT_SOURCE_PASS="Bb44-unseen")
    assert done.returncode == 0, done.stdout
    assert "Bb44-unseen" not in done.stdout


def test_it_says_what_did_not_happen(tmp_path: Path) -> None:
    """A folder in the way ends the story at its first step, with the step's own words and exit code 1."""
    (tmp_path / "play" / "mycompany.events" / "mine").mkdir(parents=True)
    done = demo("play", cwd=tmp_path)
    assert done.returncode == 1
    assert "is not empty" in done.stdout
    assert "`esb new --uri event-demo" in done.stdout


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_story_leaves_nothing(tmp_path: Path, how: signal.Signals) -> None:
    """Ctrl-C, and even kill -9, in the middle ends the programs and the server too."""
    with subprocess.Popen(
        [sys.executable, "-m", "esb_cli", "demo", "play"],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert any("packing" in line for line in process.stdout)
        process.send_signal(how)
        rest = process.stdout.read()
    assert process.returncode == (130 if how is signal.SIGINT else -signal.SIGKILL)
    assert "Traceback" not in rest
    deadline = time.monotonic() + 60
    while RedisServer.find(tmp_path / "play" / "mycompany.events" / ".esb") is not None:
        assert time.monotonic() < deadline, "the server goes on"
        time.sleep(0.05)
