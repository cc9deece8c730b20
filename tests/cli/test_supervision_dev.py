"""`esb dev` and `esb redis`: a workspace and its server in one terminal."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest
from supervision_kit import PASSWORD, SHOP, Esb, declare, esb, gone, workspace

from esb_runtime.testing import RedisServer

__all__ = ["workspace"]


def test_redis_is_started_shown_and_stopped(workspace: Path) -> None:
    """`esb redis` prints the endpoint on stdout, words on stderr, and finds the workspace from a folder inside."""
    started = esb("redis", "start", cwd=workspace / "src")
    assert started.returncode == 0, started.stderr
    again = esb("redis", "start", cwd=workspace)
    assert again.stdout == started.stdout
    assert "running already" in again.stderr
    facts = json.loads(esb("redis", "status", cwd=workspace).stdout)
    assert facts["endpoint"] == started.stdout.strip()
    assert facts["password"] is False
    table = esb("redis", "status", "-o", "table", cwd=workspace).stdout
    assert f"endpoint  {facts['endpoint']}\n" in table
    assert esb("redis", "stop", cwd=workspace).returncode == 0
    assert gone(facts["pid"])
    for command in ("stop", "status"):
        done = esb("redis", command, cwd=workspace)
        assert (done.returncode, done.stdout) == (4, "")
        assert "esb redis start" in done.stderr


def test_redis_needs_a_folder(tmp_path: Path) -> None:
    """Outside of a workspace the folder is named, or the command says so."""
    assert esb("redis", "start", cwd=tmp_path).returncode == 2
    done = esb("redis", "start", "--dir", str(tmp_path / "play"), cwd=tmp_path)
    assert done.returncode == 0
    assert esb("redis", "stop", "--dir", str(tmp_path / "play"), cwd=tmp_path).returncode == 0


def test_dev_runs_everything_and_leaves_nothing(workspace: Path) -> None:
    """One terminal shows every program by name; Ctrl-C ends all of it quietly with 130, the server too."""
    declare(workspace, reporter="shop:forever", producer="shop:once")
    esb = Esb("dev", cwd=workspace)
    pid = int(esb.line("reporter | ready as").split()[-1])
    esb.line("producer | placed an order")
    esb.line("producer is done")
    server = RedisServer.find(workspace / ".esb")
    assert server is not None
    assert esb.ends(signal.SIGINT) == 130
    assert gone(pid)
    assert RedisServer.find(workspace / ".esb") is None
    assert "Traceback" not in esb.text
    assert esb.text.count("placed an order") == 1


def test_dev_keeps_a_server_that_it_did_not_start(workspace: Path) -> None:
    """A server started by `esb redis start` is used and left running."""
    declare(workspace, reporter="shop:forever")
    server = RedisServer.start(workspace / ".esb")
    esb = Esb("dev", cwd=workspace)
    esb.line("reporter | ready")
    assert esb.ends(signal.SIGINT) == 130
    found = RedisServer.find(workspace / ".esb")
    assert found is not None
    assert found.pid == server.pid


def test_dev_uses_the_redis_that_is_set(workspace: Path, redis_server: RedisServer) -> None:
    """With REDIS_EVENT_SOURCE_ENDPOINT no embedded server is started."""
    declare(workspace, reporter="shop:forever")
    esb = Esb("dev", cwd=workspace, **redis_server.environment())
    esb.line("reporter | ready")
    assert not (workspace / ".esb").exists()
    assert esb.ends(signal.SIGTERM) == 0


def test_dev_restarts_on_change_and_survives_a_mistake(workspace: Path) -> None:
    """A change restarts running programs only; a syntax error is shown and waited out; what is done stays done."""
    declare(workspace, reporter="shop:forever", producer="orders:once")
    orders = workspace / "src" / "orders.py"
    orders.write_text("async def once(backbone):\n    print('ordered')\n")
    shop = workspace / "src" / "shop.py"
    esb = Esb("dev", cwd=workspace)
    first = esb.line("reporter | ready as")
    esb.line("producer is done")
    shop.write_text(SHOP + "\ndef broken(:\n")
    esb.line("shop.py changed")
    esb.line("reporter |", "SyntaxError")
    esb.line("reporter ended with 2; waiting for a change")
    shop.write_text(SHOP.replace("ready as", "better as"))
    second = esb.line("reporter | better as")
    assert first.split()[-1] != second.split()[-1]
    assert esb.text.count("ordered") == 1
    orders.write_text("async def once(backbone):\n    print('ordered again')\n")
    esb.line("producer | ordered again")
    esb.line("reporter | better as", count=2)
    assert esb.ends(signal.SIGINT) == 130


def test_the_password_goes_through_the_environment_only(workspace: Path) -> None:
    """Programs get the password, and no process list, no output and no file of the workspace shows it."""
    declare(workspace, reporter="shop:shows")
    esb = Esb("dev", cwd=workspace, REDIS_EVENT_SOURCE_PASS=PASSWORD)
    esb.line("reporter | pass True")
    listed = subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True).stdout
    assert PASSWORD not in listed
    assert esb.ends(signal.SIGINT) == 130
    assert PASSWORD not in esb.text
    source = workspace / "src" / "shop.py"
    for path in workspace.rglob("*"):
        if path.is_file() and path != source and "__pycache__" not in path.parts:
            assert PASSWORD.encode() not in path.read_bytes()


def test_dev_needs_programs(workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Without a workspace, or without programs in it, `esb dev` says what is missing (usage, 2)."""
    assert esb("dev", cwd=tmp_path_factory.mktemp("elsewhere")).returncode == 2
    done = esb("dev", cwd=workspace)
    assert done.returncode == 2
    assert "[tool.esb.programs]" in done.stderr
    assert not (workspace / ".esb").exists()


def test_an_interpreter_without_esb_is_named(workspace: Path) -> None:
    """A workspace whose interpreter lacks esb-runtime says how to get it there."""
    declare(workspace, reporter="shop:forever")
    python = workspace / "python"
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    text = (workspace / "pyproject.toml").read_text()
    (workspace / "pyproject.toml").write_text(text.replace("[tool.esb]", '[tool.esb]\npython = "python"'))
    done = esb("dev", cwd=workspace)
    assert done.returncode == 1
    assert "has no esb-runtime" in done.stderr
    assert RedisServer.find(workspace / ".esb") is None
