"""The operator's story is true: its commands are run in order on a terminal, and print what the page shows.

`PYTHONPATH=tests python tests/docs/test_operating.py` writes their outputs into the page.
"""

from __future__ import annotations

import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import warm

from esb_runtime.testing import RedisServer

PAGE = Path(__file__).parents[2] / "docs" / "operating.md"
BLOCK = re.compile(r"^```(?:python title=(\S+)|console)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
ID = re.compile(r"\b\d{13}-\d+\b")
LOOKS = ("esb ls", "esb groups", "esb show", "esb pending", "esb dlq list", "esb dlq show", "grep")
"""Commands that change nothing: what they look at may take a moment to come about."""
VARYING = (
    (re.compile(r"\d{4}-\d\d-\d\d[ T][\d:.]+( ?[+-]\d{4}|Z)?"), "<time>"),
    (re.compile(r"\b\d+(\.\d+)?(ms|s|m)\b( \d+s\b)?( ago)?|just now"), "<ago>"),
    (re.compile(r"\d+(\.\d+)? (B|KiB)"), "<size>"),
    (re.compile(r"\S+-[0-9a-f]{8}\b"), "<consumer>"),
    (re.compile(r"(message_id +)\S+"), r"\1<message>"),
    (re.compile(r"\S+/(?=warehouse\.py)"), "<folder>/"),
    (re.compile(r"[ \t]+"), " "),
)


class Terminal:
    """Runs the page's commands, one after another, in a folder and on a terminal of 120 columns."""

    def __init__(self, folder: Path, server: RedisServer) -> None:
        self._folder = folder
        self._ids: dict[str, str] = {}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("REDIS_EVENT", "PYTEST"))}
        self._environment = {
            **kept, **server.environment(), "PATH": path, "HOME": str(folder), "COLUMNS": "120", "NO_COLOR": "1",
            "TERM": "xterm", "TZ": "UTC", "LANG": "C.UTF-8",
        }  # fmt: skip

    def run(self, command: str) -> str:
        """What a command prints; a question is answered with yes."""
        ours, theirs = pty.openpty()
        waited = self._start(self.meant(command), theirs)
        os.close(theirs)
        seen = b""
        while piece := _read(ours):
            seen += piece
            if piece.endswith(b"[y/N] "):
                os.write(ours, b"y\n")
        os.close(ours)
        assert waited(60) == 0, seen.decode()
        return re.sub(r".*\r\x1b\[K", "", seen.decode().replace("\r\n", "\n"))

    def _start(self, command: str, terminal: int) -> Callable[[float], int]:
        """Start a command; what waits for its exit code. A plain `esb` needs neither a shell nor a fresh Python."""
        words = shlex.split(command)
        if words[0] == "esb":
            running = warm.start(words[1:], folder=self._folder, variables=self._environment, streams=[terminal] * 3)
            return running.wait
        return subprocess.Popen(
            ["bash", "-c", command],
            cwd=self._folder, env=self._environment, stdin=terminal, stdout=terminal, stderr=terminal,
        ).wait  # fmt: skip

    def meant(self, command: str) -> str:
        """The command with the ids that this server gave."""
        for shown, real in self._ids.items():
            command = command.replace(shown, real)
        return command

    def finds(self, command: str, shown: str) -> bool:
        """Run a command until it prints what is shown, up to a minute; only one that just looks is run again."""
        deadline = time.monotonic() + 60
        while True:
            printed = self.run(command)
            if normal(printed) == normal(shown):
                self._ids |= dict(zip(ID.findall(shown), ID.findall(printed), strict=True))
                return True
            if not command.startswith(LOOKS) or time.monotonic() > deadline:
                print(f"$ {command}\n--- shown\n{normal(shown)}\n--- printed\n{normal(printed)}")
                return False

    def settled(self, command: str) -> str:
        """What a command prints once that stays the same for a while."""
        printed = self.run(command)
        while command.startswith(LOOKS):
            time.sleep(2)
            before, printed = printed, self.run(command)
            if normal(before) == normal(printed):
                break
        return printed

    def learn(self, shown: str, printed: str) -> None:
        """Remember that an id of the page is another one now."""
        self._ids |= dict(zip(ID.findall(shown), ID.findall(printed), strict=False))


def _read(terminal: int) -> bytes:
    """What a terminal says next; nothing when its other side is closed."""
    try:
        return os.read(terminal, 10_000)
    except OSError:
        return b""


def normal(text: str) -> str:
    """An output without what is different each time."""
    text = ID.sub("<id>", text)
    for pattern, sign in VARYING:
        text = pattern.sub(sign, text)
    return "\n".join(line.strip() for line in text.strip().splitlines())


@contextmanager
def terminal(folder: Path, server: RedisServer) -> Iterator[Terminal]:
    """A terminal; what was started on it ends with it."""
    try:
        yield Terminal(folder, server)
    finally:
        if (noted := folder / "warehouse.pid").exists():
            try:
                os.kill(int(noted.read_text()), signal.SIGKILL)
            except ProcessLookupError:
                noted.unlink()


@pytest.mark.timeout(300)
def test_the_story_happens_as_it_is_told(redis_server: RedisServer, tmp_path: Path) -> None:
    """Each command, in order, prints what the page shows."""
    redis_server.clear()
    with terminal(tmp_path, redis_server) as at:
        for title, text in BLOCK.findall(PAGE.read_text("utf-8")):
            if title:
                (tmp_path / title).write_text(text, "utf-8")
                continue
            for command, shown in COMMAND.findall(text):
                assert at.finds(command, shown), command


def written(text: str, at: Terminal, folder: Path) -> str:
    """The page with the outputs that its commands have now."""
    parts: list[str] = []
    end = 0
    for block in BLOCK.finditer(text):
        parts.append(text[end : block.start()])
        end = block.end()
        if block[1]:
            (folder / block[1]).write_text(block[2], "utf-8")
            parts.append(block[0])
            continue
        lines: list[str] = []
        for command, shown in COMMAND.findall(block[2]):
            printed = at.settled(command)
            lines += [f"$ {at.meant(command)}\n", printed]
            at.learn(shown, printed)
        parts.append(f"```console\n{''.join(lines)}```")
    return "".join([*parts, text[end:]])


if __name__ == "__main__":
    with TemporaryDirectory() as place, RedisServer.start(Path(place) / "server") as started:
        work = Path(place) / "srv" / "shop"  # a traceback shows this much of a path, and nothing of the machine's own
        work.mkdir(parents=True)
        with terminal(work, started) as here:
            PAGE.write_text(written(PAGE.read_text("utf-8"), here, work), "utf-8")
