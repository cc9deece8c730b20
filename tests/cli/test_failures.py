"""How a command fails: one sentence on stderr, an exit code, no traceback."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from command_kit import Esb

import esb_runtime._errors as errors
from esb_cli.failures import EXITS, Exit, Failure, exit_code, words
from esb_runtime import EsbError, EventNotFound, LoginRefused, StreamNotFound
from esb_runtime.testing import RedisServer

PASSWORD = "Qx71-unseen"


def test_every_error_has_its_exit_code() -> None:
    """The table names real classes, every error of the runtime finds one, the nearest class decides."""
    tree = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, EsbError)]
    assert set(EXITS) <= {each.__name__ for each in tree}
    assert exit_code(StreamNotFound("x")) is Exit.NOT_FOUND
    assert exit_code(EventNotFound("x", "1-0")) is Exit.NOT_FOUND
    assert exit_code(LoginRefused("x", "y")) is Exit.UNREACHABLE
    assert exit_code(EsbError("x")) is Exit.FAILED
    assert exit_code(RuntimeError("x")) is Exit.FAILED


def test_foreign_errors_do_not_repeat_themselves() -> None:
    """The text of an unexpected error could hold anything: only its kind and place are shown."""
    with pytest.raises(ValueError, match=PASSWORD) as caught:
        int(PASSWORD)
    assert PASSWORD not in words(caught.value)
    assert "ValueError at test_failures.py" in words(caught.value)
    assert words(FileNotFoundError(2, "No such file or directory", "a.txt")) == "No such file or directory: a.txt"
    assert words(Failure("as it is")) == "as it is"


def test_nothing_is_set(esb: Esb) -> None:
    """Without any setting it is exit 3 and names `esb dev` and the variable."""
    said = esb.fails(3, "ls", REDIS_EVENT_SOURCE_ENDPOINT="")
    assert "esb dev" in said
    assert "REDIS_EVENT_SOURCE_ENDPOINT" in said


@pytest.mark.parametrize("text", ["host:port:x", "redis://h:99999", "ftp://x", "a,b"])
def test_a_mistyped_endpoint_is_usage(esb: Esb, text: str) -> None:
    """An endpoint that cannot be read is exit 2, and is not repeated."""
    said = esb.fails(2, "ls", "--endpoint", text)
    assert "redis://" in said or "not supported" in said


def test_a_password_is_no_argument(esb: Esb) -> None:
    """A password in --endpoint is refused: everybody could read it."""
    said = esb.fails(2, "ls", "--endpoint", f"redis://user:{PASSWORD}@127.0.0.1:1")
    assert "REDIS_EVENT_SOURCE_PASS" in said
    assert PASSWORD not in said


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[RedisServer]:
    """A server that asks for a password."""
    with RedisServer.start(tmp_path / "locked", password=PASSWORD, ends_with_process=True) as server:
        yield server


def test_passwords(esb: Esb, locked: RedisServer, tmp_path: Path) -> None:
    """A wrong or missing password is exit 3; the right one is read from variable, file or stdin, never shown."""
    where = {"REDIS_EVENT_SOURCE_ENDPOINT": locked.endpoint.display}
    secret = tmp_path / "secret"
    secret.write_text(PASSWORD + "\n")
    said = esb.fails(3, "ls", **where, REDIS_EVENT_SOURCE_PASS=f"{PASSWORD}x")
    assert PASSWORD not in said
    assert "refused" in said
    assert "refused" in esb.fails(3, "ls", **where)
    esb.ok("ls", **where, REDIS_EVENT_SOURCE_PASS=PASSWORD)
    esb.ok("ls", "--pass-file", str(secret), **where)
    esb.ok("ls", "--pass-file", "-", stdin=PASSWORD, **where)
    assert "No such file" in esb.fails(2, "ls", "--pass-file", "nowhere", **where)
    doctor = esb("doctor", **where, REDIS_EVENT_SOURCE_PASS=PASSWORD)
    assert doctor.returncode == 0
    assert PASSWORD not in doctor.stdout + doctor.stderr


def test_the_password_is_asked_for_on_a_terminal(esb: Esb, locked: RedisServer) -> None:
    """On a terminal a missing password is prompted for, and is not echoed."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        esb.command("ls"),
        cwd=esb.folder,
        env=esb.environment(REDIS_EVENT_SOURCE_ENDPOINT=locked.endpoint.display, TERM="xterm"),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    seen = b""
    while b"Password" not in seen:
        seen += os.read(ours, 1000)
    os.write(ours, PASSWORD.encode() + b"\n")
    while piece := read_or_end(ours):
        seen += piece
    assert process.wait(timeout=30) == 0, seen
    assert b"no streams yet" in seen
    assert PASSWORD.encode() not in seen
    os.close(ours)


def read_or_end(terminal: int) -> bytes:
    """What a terminal says next; nothing when its other side is closed."""
    try:
        return os.read(terminal, 1000)
    except OSError:
        return b""


def test_a_missing_stream_names_the_nearest(esb: Esb, server: redis.Redis) -> None:
    """A stream that is not there is exit 4, with names that look alike."""
    server.xadd("event-demo", {"a": "b"})
    for command in (["tail", "event-dmo"], ["show", "event-dmo"],
                    ["replay", "event-dmo", "--dry-run"], ["get", "event-dmo/1-0"]):  # fmt: skip
        assert "did you mean event-demo?" in esb.fails(4, *command)
    assert "no stream 'zzz'" in esb.fails(4, "tail", "zzz")
    server.xadd("evil\x1b[2J\x9b", {"a": "b"})
    said = esb.fails(4, "tail", "evil")
    assert "did you mean evil\\x1b[2J" in said
    assert not {"\x1b", "\x9b"} & set(said)
    assert "no stream matches" in esb.fails(4, "ls", "zzz*")
    assert "holds no event" in esb.fails(4, "get", "event-demo/1-0")


@pytest.mark.parametrize(
    "command",
    [
        ["nonsense"],
        ["tail"],
        ["tail", "x", "--nonsense"],
        ["tail", "x", "-n", "many"],
        ["tail", "x", "-o", "xml"],
        ["tail", "x", "-f", "--until", "1h"],
        ["get", "no-key"],
        ["produce", "x"],
        ["produce", "x", "y", "--arg", "novalue"],
        ["replay", "x"],
        ["replay", "x", "--to-uri", "a", "--to-file", "b"],
        ["ls", "--environment", "a b\n"],
    ],
)
def test_usage_errors_are_two(esb: Esb, command: list[str]) -> None:
    """What was typed wrongly is exit 2, before anything is done."""
    assert esb.fails(2, *command)


def test_debug_shows_the_traceback_and_only_then(esb: Esb) -> None:
    """`--debug`, anywhere on the line, adds the traceback of a failure."""
    for command in (["--debug", "tail", "x"], ["tail", "x", "--debug"]):
        done = esb(*command)
        assert done.returncode == 4
        assert "Traceback" in done.stderr
        assert "esb: no stream 'x'" in done.stderr


def test_a_closed_pipe_is_quiet(esb: Esb, server: redis.Redis) -> None:
    """`esb tail -f | head` ends at the next event, and nobody complains."""
    for number in range(2000):
        server.xadd("many", {"n": number})
    following = esb.start("tail", "many", "-n", "2000", "-f", "-o", "json")
    assert following.stdout is not None
    assert following.stderr is not None
    assert [following.stdout.readline() for _ in range(5)]
    following.stdout.close()
    server.xadd("many", {"n": "next"})
    assert following.wait(timeout=30) in {0, 141}
    assert following.stderr.read() == ""
    following.stderr.close()


def test_the_pipe_of_a_shell_ends(esb: Esb, server: redis.Redis) -> None:
    """`esb tail event-demo -f | head -5` ends, as does `esb --help | true`."""
    for number in range(20):
        server.xadd("many", {"n": number})
    tail = " ".join(esb.command("tail", "many", "-n", "20", "-f"))
    done = subprocess.Popen(
        ["/bin/bash", "-o", "pipefail", "-c", f"{tail} | head -5; echo ended >&2"],
        cwd=esb.folder, env=esb.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    for _ in range(600):
        try:
            done.wait(0.05)
            break
        except subprocess.TimeoutExpired:
            server.xadd("many", {"n": "more"})
    out, err = done.communicate(timeout=5)
    assert len(out.splitlines()) == 5
    assert err == "ended\n"


def test_ctrl_c_is_130_and_quiet(esb: Esb, server: redis.Redis) -> None:
    """Ctrl-C ends a waiting command at once, without a word, with 130."""
    server.xadd("one", {"a": "b"})
    following = esb.start("tail", "one", "-f")
    assert following.stdout is not None
    assert following.stdout.readline()
    following.send_signal(signal.SIGINT)
    out, err = following.communicate(timeout=10)
    assert following.returncode == 130
    assert (out, err) == ("", "")


def test_streams_that_take_nothing(esb: Esb, server: redis.Redis) -> None:
    """A full disk is one sentence; closed or full streams never end in a traceback, and the exit code stands."""
    server.xadd("one", {"a": "b"})
    ls, missing = " ".join(esb.command("ls")), " ".join(esb.command("tail", "none"))
    script = f"{ls} >/dev/full; echo $?; {ls} >&-; echo $?; {missing} 2>/dev/full; echo $?; {missing} 2>&-; echo $?"
    done = subprocess.run(
        ["/bin/sh", "-c", script], env=esb.environment(), capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["1", "0", "4", "4"]
    assert done.stderr == "esb: No space left on device\n"


def test_a_file_that_cannot_be_written_is_one_sentence(esb: Esb, server: redis.Redis) -> None:
    """It fails with the system's own words."""
    server.xadd("one", {"a": "b"})
    assert "No such file or directory" in esb.fails(1, "replay", "one", "--to-file", "no/such/folder/x.jsonl")
