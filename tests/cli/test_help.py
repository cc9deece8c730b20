"""`esb --help`: fast, complete, with examples."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
import redis
from command_kit import Esb

from esb_cli.app import COMMANDS

HEAVY = ("redis", "rich", "copier", "msgpack", "msgspec", "esb_runtime", "asyncio", "jinja2", "yaml")
"""Pydantic is not here: typer 0.29 itself checks a command's options with it."""
MINE = (
    "produce",
    "tail",
    "get",
    "replay",
    "ls",
    "show",
    "groups",
    "pending",
    "claim",
    "reset",
    "profile",
    "doctor",
    "bench",
    "export",
)


def imported(*words: str) -> set[str]:
    """The modules that a command line imports."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "esb_cli", *words], capture_output=True, text=True, check=True
    )
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}


@pytest.mark.parametrize("words", [["--help"], ["tail", "--help"], ["--version"]])
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    """What only the work of a command needs is imported by that work."""
    before = {name.partition(".")[0] for name in imported_by_python()}
    loaded = {name.partition(".")[0] for name in imported(*words)} - before
    assert not loaded & set(HEAVY)


def imported_by_python() -> set[str]:
    """What Python itself imports at start on this machine."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "pass"], capture_output=True, text=True, check=True
    )
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}


def test_help_is_fast(esb: Esb) -> None:
    """`esb --help` needs at most 150 ms of processor time more than Python itself."""

    def spent(words: list[str]) -> float:
        began = os.times()
        subprocess.run(words, env=esb.environment(), capture_output=True, check=True)
        ended = os.times()  # of the children that have ended
        return ended.children_user + ended.children_system - began.children_user - began.children_system

    plain = min(spent([sys.executable, "-c", "pass"]) for _ in range(5))
    fast = any(spent(esb.command("--help")) - plain < 0.150 for _ in range(20))
    if not fast and os.getloadavg()[0] > (os.cpu_count() or 1) / 2:
        pytest.skip("the machine is too busy to say")
    assert fast


def test_the_commands_are_listed_in_their_order(esb: Esb) -> None:
    """The help lists every command, in the order of the documentation, each with a whole sentence."""
    listed = re.findall(r"^  (\w+) {2,}\S", esb.ok("--help").partition("Commands:")[2], re.MULTILINE)
    assert listed == list(COMMANDS)


@pytest.mark.parametrize("command", MINE)
def test_every_command_has_examples(esb: Esb, command: str) -> None:
    """The help of a command fits 80 columns, shows three examples, and describes every option."""
    text = esb.ok(command, "--help")
    assert text.count(f"    esb {command}") >= 3
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in esb.ok("--help").partition(f"  {command} ")[2].splitlines()[0]
    for option in re.findall(r"^  (--[\w-]+)[^ ]*(?: [A-Z<]\S*)? *$", text, re.MULTILINE):
        assert re.search(rf"{option}[^\n]*\n {{20,}}\S", text), option


@pytest.mark.parametrize(
    "command", ["produce", "tail", "get", "replay", "ls", "show", "groups", "pending", "claim", "reset"]
)
def test_every_command_that_names_a_stream_takes_an_environment(esb: Esb, command: str) -> None:
    """--environment, --endpoint and --pass-file are everywhere."""
    text = esb.ok(command, "--help")
    assert all(option in text for option in ("--environment", "--endpoint", "--pass-file"))
    assert "--password" not in text


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_offered(esb: Esb, shell: str) -> None:
    """Each shell gets a script; commands, options and values are completed."""
    assert "_ESB_COMPLETE" in esb.ok("--show-completion", shell, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")


def completed(esb: Esb, line: str, **variables: str) -> list[str]:
    """What bash would offer at the end of this line."""
    asked = {"_ESB_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)}
    return esb.ok(**asked, **variables).split()


def test_names_are_completed(workspace: Esb, server: redis.Redis) -> None:
    """Streams and groups come from the server, events from the lock; without a server nothing is offered or said."""
    workspace.ok("produce", "shop", "packed", "--arg", "email=a")
    assert completed(workspace, "esb ta") == ["tail"]
    assert completed(workspace, "esb tail sh") == ["shop"]
    assert completed(workspace, "esb produce shop ") == ["ordered", "packed"]
    assert completed(workspace, "esb pending shop ") == []
    server.xgroup_create("shop", "packers", id="0")
    assert completed(workspace, "esb pending shop pa") == ["packers"]
    workspace.ok("profile", "add", "prod", "--endpoint", "localhost")
    assert completed(workspace, "esb profile use pr") == ["prod"]
    assert completed(workspace, "esb tail shop -e pa") == ["packed"]
    assert completed(workspace, "esb tail sh", REDIS_EVENT_SOURCE_ENDPOINT="127.0.0.1:1") == []
    assert completed(workspace, "esb tail sh", REDIS_EVENT_SOURCE_ENDPOINT="nonsense:x") == []


def test_the_version_names_its_environment(esb: Esb) -> None:
    """One line that a bug report needs: esb, runtime, redis-py, Python, system."""
    assert re.fullmatch(r"esb \S+ \(runtime \S+, redis-py \S+, CPython 3\.\d+\.\S+, \S+ \S+\)\n", esb.ok("--version"))
