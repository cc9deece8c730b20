"""`esb --help`: fast, complete, with examples."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib import import_module
from inspect import cleandoc
from typing import Any

import pytest
import redis
from command_kit import Esb

from esb_cli.app import COMMANDS, MODULES

UNUSED = {"rich", "copier", "jinja2", "yaml", "questionary", "libcst", "pydantic", "jmespath"}
"""What no command needs that looks at a server: each would take longer than looking does."""
HEAVY = UNUSED | {"redis", "msgpack", "esb_runtime", "asyncio", "tomllib", "importlib.metadata", "esb_cli.commands"}
"""What only the work of a command needs: neither does its help."""
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


def imported(esb: Esb, *words: str) -> set[str]:
    """The modules that a command line imports, beside those that Python itself imports at its start."""
    line = [sys.executable, "-X", "importtime"]
    return _listed(esb, [*line, "-m", "esb_cli", *words]) - _listed(esb, [*line, "-c", "pass"])


def _listed(esb: Esb, line: list[str]) -> set[str]:
    done = subprocess.run(
        line, cwd=esb.folder, env=esb.environment(), capture_output=True, text=True, check=True, timeout=60
    )
    return {each.rpartition("|")[2].strip() for each in done.stderr.splitlines() if each.startswith("import time:")}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_what_the_command_says(name: str) -> None:
    """The line in `esb --help` is the first one of the command's own help."""
    module: Any = import_module(f"esb_cli.commands.{MODULES.get(name, name)}")
    own = module.app.info.help if hasattr(module, "app") else module.command.__doc__
    assert cleandoc(own).splitlines()[0] == COMMANDS[name]


@pytest.mark.parametrize(
    ("words", "allowed"),
    [
        ([], set[str]()),
        (["tail", "--help"], {"esb_cli.commands"}),
        (["--version"], {"importlib.metadata"}),
    ],
)
def test_help_imports_nothing_heavy(esb: Esb, words: list[str], allowed: set[str]) -> None:
    """What only the work of a command needs is imported by that work; the list of commands imports no command."""
    assert not imported(esb, *(words or ["--help"])) & HEAVY - allowed


@pytest.mark.parametrize("words", [["tail", "shop", "-n", "10"], ["ls"], ["show", "shop"], ["groups", "shop"]])
def test_looking_imports_only_what_it_uses(workspace: Esb, words: list[str]) -> None:
    """A look at a server starts without what other commands need, and reads the contract's lock, not the contract."""
    workspace.seed("shop", ("packed", 2, {"email": "ann@example.org"}))
    found = imported(workspace, *words)
    assert {"redis", "esb_runtime"} <= found
    assert not found & UNUSED
    assert not found & {"multiprocessing", "shop_contracts", "esb_cli.child", "esb_cli.commands.produce"}


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
