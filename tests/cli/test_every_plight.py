"""Every command in every plight: no traceback, the exit code that the help promises, and nothing half-done.

The commands are read from the application: one that is not in the table fails the first test.
"""

from __future__ import annotations

import os
import re
import signal
import socket
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import pytest
import redis
import typer
import warm
from command_kit import Esb
from command_tree import leaves
from group_kit import consume, take
from plights import on_terminal

from esb_cli.app import build
from esb_runtime.redis._inspect import NEEDED, OPTIONAL
from esb_runtime.testing import RedisServer

READING = {
    "tail": ("shop",),
    "get": ("{key}",),
    "export": ("shop",),
    "ls": (),
    "show": ("shop",),
    "groups": ("shop",),
    "pending": ("shop", "main"),
    "dlq list": ("shop", "main"),
    "doctor": (),
}
"""Commands that look at a server."""
WRITING = {
    "produce": ("shop", "packed", "--arg", "email=a"),
    "replay": ("shop", "--to-uri", "copy"),
    "import": ("other", "--from", "{file}"),
    "claim": ("shop", "main", "--from", "web-1", "--yes"),
    "reset": ("shop", "main", "--to", "start", "--live", "--yes"),
    "dlq show": ("shop", "main", "{letter}"),
    "dlq replay": ("shop", "main", "--yes"),
    "dlq purge": ("shop", "main", "--yes"),
    "trim": ("shop", "--maxlen", "1", "--force", "--yes"),
    "bench": ("--events", "10"),
}
"""Commands that change something, or that want a dead letter."""
ELSEWHERE = {
    "new", "update", "add contract", "add consumer", "add event", "demo", "dev", "run", "redis start", "redis status",
    "redis stop", "profile add", "profile list", "profile use", "profile show", "profile remove",
}  # fmt: skip
"""Commands about this machine: `test_local_plights.py` has their plights."""
SERVED = READING | WRITING
STREAMED = [name for name in SERVED if name not in {"ls", "doctor", "import", "produce", "bench"}]
"""Those that name a stream which must be there."""


def test_every_command_is_here() -> None:
    """No command can be forgotten."""
    named = set(leaves(typer.main.get_command(build())))
    assert named - ELSEWHERE == set(SERVED)


@pytest.fixture
def place(workspace: Esb, server: redis.Redis) -> dict[str, str]:
    """A stream with events, garbage, a pending event and a dead letter; what the words of the table stand for."""
    keys = workspace.seed("shop", *[("packed", 2, {"email": f"ann{n}@example.org"}) for n in range(3)])
    server.xadd("shop", {"hello": "world"})
    server.xadd("shop", {b"f": b"1", b"e": b"\xff\x00", b"\x9b": b"\x1b[2J"})
    take(workspace, "shop", "main", "web-1", 1)
    letter: Any = server.xadd("{shop}:dlq:main", {"hello": "world"})
    file = workspace.folder / "events.jsonl"
    file.write_text("")
    return {"key": keys[0], "letter": letter.decode(), "file": str(file)}


def words(name: str, place: dict[str, str], **other: str) -> list[str]:
    """A command line of the table."""
    return [*name.split(), *(word.format(**place | other) for word in SERVED[name])]


def state(server: redis.Redis) -> dict[bytes, Any]:
    """Everything that a server holds; leases and locks that pass by themselves aside."""
    keys: Any = server.keys("*")
    return {key: server.dump(key) for key in keys if server.pttl(key) < 0}


def test_no_server(esb: Esb, place: dict[str, str]) -> None:
    """Exit 3, the address in one sentence."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        where = f"127.0.0.1:{probe.getsockname()[1]}"
        for name in SERVED:
            done = esb(*words(name, place), REDIS_EVENT_SOURCE_ENDPOINT=where)
            assert done.returncode == 3, (name, done)
            assert where in done.stdout + done.stderr, name
            assert "Traceback" not in done.stderr


def test_a_wrong_password(esb: Esb, place: dict[str, str], tmp_path: Path) -> None:
    """Exit 3; neither password is shown."""
    with RedisServer.start(tmp_path / "locked", password="Kt40-right", ends_with_process=True) as locked:
        where = {"REDIS_EVENT_SOURCE_ENDPOINT": locked.endpoint.display, "REDIS_EVENT_SOURCE_PASS": "Kt40-wrong"}
        for name in SERVED:
            done = esb(*words(name, place), **where)
            assert done.returncode == 3, (name, done)
            assert "refused" in done.stdout + done.stderr, name
            assert "Kt40" not in done.stdout + done.stderr, name


def test_too_few_rights(esb: Esb, place: dict[str, str], server: redis.Redis, redis_server: RedisServer) -> None:
    """A user who may only look: writing is refused in one sentence that names the right, and changes nothing."""
    server.acl_setuser(
        "reader", enabled=True, nopass=True, keys=["*"], channels=["*"],
        categories=["+@read", "+@connection"], commands=["+info", "+time", "+config|get", "-eval", "-evalsha"],
    )  # fmt: skip
    try:
        endpoint = redis_server.endpoint.display.replace("redis://", "redis://reader@")
        before = state(server)
        for name in SERVED:
            done = esb(*words(name, place), "--endpoint", endpoint, REDIS_EVENT_SOURCE_PASS="any")
            assert done.returncode in {0, 1, 3}, (name, done)
            assert "Traceback" not in done.stderr, name
            assert "internal error" not in done.stderr, (name, done.stderr)
            assert state(server) == before, name
            if done.returncode:
                said = done.stdout + done.stderr
                assert re.search(r"permission|may not|NOPERM|nothing is left|left out", said), (name, done.stderr)
    finally:
        server.acl_deluser("reader")


def test_just_the_rights(esb: Esb, place: dict[str, str], server: redis.Redis, redis_server: RedisServer) -> None:
    """A user with exactly what `esb doctor` asks for: every command, and a consumer, do what they do for anybody."""
    rules = {"|".join(map(str, call[: 2 if call[0] in {"XGROUP", "XINFO"} else 1])).lower() for call in NEEDED}
    server.acl_setuser("just", enabled=True, nopass=True, keys=["*"], commands=[f"+{rule}" for rule in sorted(rules)])
    server.acl_log_reset()
    try:
        endpoint = redis_server.endpoint.display.replace("redis://", "redis://just@")
        just = replace(esb, variables={"REDIS_EVENT_SOURCE_ENDPOINT": endpoint, "REDIS_EVENT_SOURCE_PASS": "any"})
        consume(just, group="workers")
        for name in SERVED:
            done = just(*words(name, place))
            assert done.returncode == LEAVING_OUT.get(name, 0), (name, done)
        denied = {str(entry["object"]) for entry in server.acl_log()}
        told = {each for each in denied if each.startswith(("client|", "hello"))}  # redis-py's own, about connections
        assert denied - told <= {name.lower() for name in OPTIONAL}
    finally:
        server.acl_deluser("just")


def test_a_key_of_another_type(esb: Esb, place: dict[str, str], server: redis.Redis) -> None:
    """Exit 5, and the key stays as it is."""
    server.set("shop", "text")
    server.delete("{shop}:dlq:main")
    before = state(server)
    for name in SERVED:
        if name in {"ls", "doctor", "import", "bench"}:
            continue
        done = esb(*words(name, place))
        assert done.returncode == 5, (name, done)
        assert "Traceback" not in done.stderr
        assert state(server) == before, name


def test_a_missing_stream(esb: Esb, place: dict[str, str], server: redis.Redis) -> None:
    """Exit 4, the nearest name is offered, nothing is made."""
    server.rename("shop", "shopp")
    server.delete("{shop}:dlq:main")
    before = state(server)
    for name in STREAMED:
        done = esb(*words(name, place))
        assert done.returncode == 4, (name, done)
        assert "shopp" in done.stderr, (name, done.stderr)
        assert state(server) == before, name


LEAVING_OUT = {"export": 1, "replay": 1, "dlq replay": 1}
"""Commands that cannot do all of their work where there is garbage: they say what is left out, and end so."""


def test_garbage(esb: Esb, place: dict[str, str]) -> None:
    """Entries that esb did not write stop nobody, and no control character of theirs reaches a terminal.

    Looking at them is well; what promises whole events says what it left out, and ends with 1.
    """
    for name in SERVED:
        done = esb(*words(name, place))
        assert done.returncode == LEAVING_OUT.get(name, 0), (name, done)
        assert not {"\x1b", "\x9b"} & set(done.stdout + done.stderr), name
        assert "Traceback" not in done.stderr
        if name in LEAVING_OUT:
            assert re.search(r"left out|could not be|cannot be|nothing is left", done.stderr), (name, done.stderr)


@pytest.mark.parametrize("how", ["40 columns", "no colour", "dumb"])
def test_on_a_terminal(esb: Esb, place: dict[str, str], how: str) -> None:
    """Tables fit 40 columns; NO_COLOR and TERM=dumb have no escapes."""
    variables = {
        "40 columns": {"COLUMNS": "40", "TERM": "xterm"},
        "no colour": {"COLUMNS": "80", "TERM": "xterm", "NO_COLOR": "1"},
        "dumb": {"COLUMNS": "80", "TERM": "dumb"},
    }[how]
    for name in READING:
        code, text = on_terminal(esb, words(name, place), variables)
        assert code == LEAVING_OUT.get(name, 0), (name, text)
        plain = re.sub(r"\x1b\[[\d;]*m", "", text)
        assert "\x1b" not in plain, (name, plain)
        assert how == "40 columns" or plain == text, name
        if name not in {"export", "tail", "get"}:  # a line of JSON, and long values, wrap by themselves
            assert max(map(len, plain.splitlines())) <= int(variables["COLUMNS"]), (name, plain)


def test_a_reader_that_is_gone(esb: Esb, place: dict[str, str]) -> None:
    """A closed pipe on stdout: quiet, with 0 or 141."""
    for name in READING:
        reader, writer = os.pipe()
        os.close(reader)
        with TemporaryFile() as nothing, TemporaryFile() as said:
            running = warm.start(
                words(name, place), folder=esb.folder, variables=esb.environment(), streams=(nothing, writer, said)
            )
            os.close(writer)
            assert running.wait(60) == 141, name
            said.seek(0)
            assert b"Traceback" not in said.read(), name


@pytest.mark.parametrize("name", ["dlq purge", "dlq replay", "reset", "claim", "trim"])
def test_nobody_can_be_asked(esb: Esb, place: dict[str, str], server: redis.Redis, name: str) -> None:
    """Without a terminal and without --yes: exit 2, nothing is changed; a dry run changes nothing either."""
    before = state(server)
    line = [word for word in words(name, place) if word != "--yes"]
    assert "--yes" in esb.fails(2, *line)
    assert state(server) == before
    assert esb(*line, "--dry-run").returncode in {0, 1}
    assert state(server) == before


def test_ctrl_c_while_the_server_is_silent(esb: Esb, place: dict[str, str]) -> None:
    """Ctrl-C in the middle of a call ends every command with 130, without a word."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        where = {"REDIS_EVENT_SOURCE_ENDPOINT": f"127.0.0.1:{silent.getsockname()[1]}"}
        for name in SERVED:
            with TemporaryFile() as nothing, TemporaryFile() as out, TemporaryFile() as said:
                running = warm.start(
                    words(name, place), folder=esb.folder, variables=esb.environment(**where),
                    streams=(nothing, out, said),
                )  # fmt: skip
                with silent.accept()[0]:
                    os.kill(running.pid, signal.SIGINT)
                    assert running.wait(60) == 130, name
                said.seek(0)
                assert said.read() == b"", name
