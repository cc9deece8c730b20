"""Ctrl-C pressed on a terminal while a progress bar is there: the same counts, and a terminal as it was before."""

from __future__ import annotations

import os
import pty
import re
import select
import socket
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import redis
from command_kit import Esb
from test_interrupted import MANY, Valve, numbers, stream

__all__ = ["stream"]

ON_A_TERMINAL = "import os, sys; os.login_tty(os.dup(0)); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
"""Has the terminal on stdin as the one that sends it signals."""
BAR = re.compile(r"\r\x1b\[K[^\r\n]* % [^\r\n]* left")
TWO_BARS = re.compile(f"{BAR.pattern}.*{BAR.pattern}", re.DOTALL)
ERASED = "\r\x1b[K"


class SlowLine(Valve):
    """A way to the server that takes two megabytes a second at most, however fast the machine is."""

    def _pump(self, source: socket.socket, to: socket.socket, answers: bool = False) -> None:
        del answers
        pause = threading.Event()
        try:
            while piece := source.recv(4096):
                to.sendall(piece)
                pause.wait(0.002)
        except OSError:
            return


@pytest.fixture
def slow(esb: Esb) -> Iterator[Esb]:
    """`esb` far away from its server."""
    where = re.search(r"127\.0\.0\.1:(\d+)", esb.variables["REDIS_EVENT_SOURCE_ENDPOINT"])
    assert where
    with SlowLine(int(where[1])) as line:
        variables = {**esb.variables, "REDIS_EVENT_SOURCE_ENDPOINT": f"127.0.0.1:{line.port}", "TERM": "xterm"}
        yield Esb(folder=esb.folder, home=esb.home, variables=variables)


@dataclass(frozen=True, kw_only=True)
class Interrupted:
    """What it said that it had done, and all that the terminal got."""

    count: int
    shown: str


def interrupted(esb: Esb, *words: str) -> Interrupted:
    """Press Ctrl-C as soon as a bar was drawn twice, and look at what every command owes to its terminal."""
    screen, own = pty.openpty()
    termios.tcsetwinsize(own, (24, 80))
    before = termios.tcgetattr(own)
    command = [sys.executable, "-c", ON_A_TERMINAL, *esb.command(*words)[1:]]
    with subprocess.Popen(command, cwd=esb.folder, env=esb.environment(), stdin=own, stdout=own, stderr=own) as running:
        try:
            shown = read(screen, until=TWO_BARS)
            os.write(screen, b"\x03")
            shown += read(screen, until=re.compile(r"interrupted: [^\n]*\n"))
            assert running.wait(60) == 130, shown
        finally:
            running.kill()
    assert termios.tcgetattr(own) == before
    os.close(own)
    shown += read(screen, until=None)
    os.close(screen)
    assert "Traceback" not in shown
    bar = [*BAR.finditer(shown)][-1]
    told = re.search(r"interrupted: ([\d,]+) events? ", shown)
    assert told, shown
    assert ERASED in shown[bar.end() : told.start()], "the bar is still there"
    assert shown.rfind("\x1b[?25l") <= shown.rfind("\x1b[?25h"), "the cursor is hidden"
    return Interrupted(count=int(told[1].replace(",", "")), shown=shown)


def read(screen: int, *, until: re.Pattern[str] | None) -> str:
    """What comes to the screen until this has come, or everything to its end."""
    got = b""
    while until is None or not until.search(got.decode(errors="ignore")):
        assert select.select([screen], [], [], 30)[0], got
        try:
            piece = os.read(screen, 1 << 16)
        except OSError:  # Linux tells the end of a terminal this way
            piece = b""
        if not piece:
            assert until is None, got
            break
        got += piece
    return got.decode()


def test_produce(slow: Esb, server: redis.Redis) -> None:
    """As many keys on the screen, and events in the stream, as it says."""
    done = interrupted(slow, "produce", "s", "e", "--arg", "n={{n}}", "--count", str(MANY))
    assert done.count == server.xlen("s") < MANY
    ids: Any = server.xrange("s")
    at_the_start_of_a_line = r"(?:^|(?<=[\nKC]))s/(\d{13}-\d+)"  # also behind a bar that was erased, and behind ^C
    assert re.findall(at_the_start_of_a_line, done.shown) == [each.decode() for each, _ in ids]
    assert f"{MANY:,} were asked for" in done.shown


def test_replay_to_a_stream(esb: Esb, slow: Esb, server: redis.Redis, stream: None) -> None:
    """--resume goes on behind what it counted."""
    words = ("replay", "s", "--to-uri", "copy")
    done = interrupted(slow, *words, "--rate", "10000")
    assert done.count == server.xlen("copy") < MANY
    assert "--resume" in done.shown
    assert f"{MANY - done.count:,} events copied to copy\n" in esb(*words, "--resume").stderr
    assert numbers(server, "copy") == list(range(MANY))


def test_export(esb: Esb, slow: Esb, stream: None) -> None:
    """The part has as many lines as it counted; --resume completes it."""
    words = ("export", "s", "--to", "all.jsonl")
    done = interrupted(slow, *words)
    assert done.count == (slow.folder / ".all.jsonl.part").read_bytes().count(b"\n") < MANY
    assert "--resume" in done.shown
    assert not (slow.folder / "all.jsonl").exists()
    assert f"{MANY:,} events written" in esb(*words, "--resume").stderr
    assert (slow.folder / "all.jsonl").read_bytes().count(b"\n") == MANY
