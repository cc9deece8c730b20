"""Ctrl-C in the middle of writing: exit code 130, exactly how many were written, and how to go on with the rest."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import pytest
import redis
from command_kit import Esb

from esb_runtime.operations import Operations

MANY = 30_000
SOME = 1_000
"""Events after which Ctrl-C comes, at least."""


@pytest.fixture
def events(esb: Esb) -> Path:
    """A large file of events, each of its own."""
    file = esb.folder / "events.jsonl"
    file.write_text("".join(f'{{"n": {n}}}\n' for n in range(MANY)))
    return file


@pytest.fixture
async def stream(esb: Esb) -> None:
    """A stream `s` with as many events."""
    operations = await Operations.connect(endpoint=esb.variables["REDIS_EVENT_SOURCE_ENDPOINT"])
    try:
        for at in range(0, MANY, 1000):
            await operations.store("s", [Operations.record("e", {"n": n}) for n in range(at, at + 1000)])
    finally:
        await operations.aclose()


def interrupted(esb: Esb, *words: str, when: Callable[[], int]) -> tuple[int, str, str]:
    """Press Ctrl-C once `when` counts some; the number that it says, its stdout, what it said."""
    out = esb.folder / "stdout"
    with out.open("wb") as file:
        running = subprocess.Popen(
            esb.command(*words), cwd=esb.folder, env=esb.environment(),
            stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        deadline = time.monotonic() + 60
        while when() < SOME:
            assert running.poll() is None, "it ended before it could be interrupted"
            assert time.monotonic() < deadline, "it does not begin"
            time.sleep(0.001)
        running.send_signal(signal.SIGINT)
        said = running.communicate(timeout=60)[1]
    assert running.returncode == 130, said
    told = re.search(r"^interrupted: ([\d,]+) events? ", said, re.MULTILINE)
    assert told, said
    return int(told[1].replace(",", "")), out.read_text(), said


def numbers(server: redis.Redis, stream: str) -> list[int]:
    """The events that a stream holds, in order."""
    import msgpack

    entries: Any = server.xrange(stream)
    pipe = server.pipeline(transaction=False)
    for _, entry in entries:
        pipe.hget(f"{{{stream}}}:p:{entry[b'i'].decode()}", "n")
    return [msgpack.unpackb(each) for each in pipe.execute()]


def test_produce(esb: Esb, server: redis.Redis, events: Path) -> None:
    """What it counts is what the stream holds, its keys are printed, and the line that it names is the next one."""
    words = ("produce", "s", "e", "--file", str(events))
    count, out, said = interrupted(esb, *words, when=lambda: int(server.xlen("s")))
    assert count == server.xlen("s") == len(out.splitlines()) < MANY
    line = re.search(r"line ([\d,]+) is the next one \((tail -n \+\d+ .*)\)", said)
    assert line
    assert int(line[1].replace(",", "")) == count + 1
    rest = subprocess.run(line[2], shell=True, capture_output=True, text=True, check=True).stdout
    esb.ok("produce", "s", "e", "--file", "-", stdin=rest)
    assert numbers(server, "s") == list(range(MANY))


def test_produce_a_number(esb: Esb, server: redis.Redis) -> None:
    """The same for events that are counted."""
    words = ("produce", "s", "e", "--arg", "n={{n}}", "--count", str(MANY))
    count, _, said = interrupted(esb, *words, when=lambda: int(server.xlen("s")))
    assert count == server.xlen("s") < MANY
    assert f"{MANY:,} were asked for" in said


def test_import(esb: Esb, server: redis.Redis, stream: None) -> None:
    """The same import goes on; nothing is stored twice, nothing is left out."""
    esb.ok("export", "s", "--to", "all.jsonl")
    words = ("import", "copy", "--from", "all.jsonl")
    count, _, said = interrupted(esb, *words, when=lambda: int(server.xlen("copy")))
    assert count == server.xlen("copy") < MANY
    assert "import it again" in said
    assert f"{MANY - count:,} events imported to copy, {count:,} were there already" in esb(*words).stderr
    assert numbers(server, "copy") == list(range(MANY))


def test_replay_to_a_stream(esb: Esb, server: redis.Redis, stream: None) -> None:
    """--resume goes on behind what it counted."""
    words = ("replay", "s", "--to-uri", "copy")
    count, _, said = interrupted(esb, *words, when=lambda: int(server.xlen("copy")))
    assert count == server.xlen("copy") < MANY
    assert "--resume" in said
    assert f"{MANY - count:,} events copied to copy\n" in esb(*words, "--resume").stderr
    assert numbers(server, "copy") == list(range(MANY))


def test_replay_to_a_group(esb: Esb, server: redis.Redis, stream: None) -> None:
    """What it counted is pending in the group; --resume gives back the rest."""
    server.xgroup_create("s", "main", id="$")

    def pending() -> int:
        found: Any = server.xpending("s", "main")
        return int(found["pending"])

    words = ("replay", "s", "--group", "main", "--yes")
    count, _, said = interrupted(esb, *words, when=pending)
    assert count == pending() < MANY
    assert "--resume" in said
    assert f"{MANY - count:,} events given back to main" in esb(*words, "--resume").stderr
    assert pending() == MANY


@pytest.mark.parametrize("words", [("export", "s", "--to"), ("replay", "s", "--to-file")])
def test_a_file(esb: Esb, stream: None, words: tuple[str, ...]) -> None:
    """The file is not there yet; its part has the lines that were counted, and --resume completes it."""
    part = esb.folder / ".all.jsonl.part"

    def lines() -> int:
        return part.read_bytes().count(b"\n") if part.exists() else 0

    count, _, said = interrupted(esb, *words, "all.jsonl", when=lines)
    assert count == lines() < MANY
    assert "--resume" in said
    assert not (esb.folder / "all.jsonl").exists()
    assert f"{MANY:,} events written" in esb(*words, "all.jsonl", "--resume").stderr
    written = (esb.folder / "all.jsonl").read_text().splitlines()
    assert [json.loads(line)["args"]["n"] for line in written] == list(range(MANY))


@pytest.mark.parametrize("words", [("export", "s"), ("replay", "s", "--to-file", "-")])
def test_stdout(esb: Esb, stream: None, words: tuple[str, ...]) -> None:
    """Whole lines, as many as it says; an export names the last one."""
    out = esb.folder / "stdout"
    count, text, said = interrupted(esb, *words, when=lambda: out.read_bytes().count(b"\n"))
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["args"]["n"] for line in lines] == list(range(count))
    if words[0] == "export":
        last = lines[-1]["key"].rpartition("/")[2]
        assert f"the last with id {last}; --since takes it" in said
        assert json.loads(esb.ok("export", "s", "--since", last).splitlines()[0]) == lines[-1]


def test_replay_into_a_handler(esb: Esb, stream: None) -> None:
    """What a handler has begun ends first; as many events as it handled are counted."""
    (esb.folder / "slow.py").write_text(HANDLER)
    handled = esb.folder / "handled"
    running = subprocess.Popen(
        esb.command("replay", "s", "--into", "slow:Slow"), cwd=esb.folder, env=esb.environment(),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not handled.exists() or handled.stat().st_size < SOME:
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < deadline, "it does not begin"
        time.sleep(0.001)
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does: all of its processes hear it
    said = running.communicate(timeout=60)[1]
    assert running.returncode == 130, said
    assert f"interrupted: {handled.stat().st_size:,} events replayed into Slow\n" in said


HANDLER = """
import asyncio
from pathlib import Path
from esb_runtime import Consume, ConsumerContext, EventContract, Side, event

class Numbers(EventContract[Side], uri="s"):
    @event
    async def e(self, n: int) -> None: ...

class Slow(Numbers[Consume]):
    async def e(self, ctx: ConsumerContext, n: int) -> None:
        await asyncio.sleep(0)
        with Path("handled").open("a") as file:
            file.write(".")
        await asyncio.sleep(0)
"""


def test_a_server_that_falls_silent(esb: Esb, server: redis.Redis, events: Path) -> None:
    """What was sent and not answered is neither counted nor passed over: it says that it does not know."""
    where = re.search(r"127\.0\.0\.1:(\d+)", esb.variables["REDIS_EVENT_SOURCE_ENDPOINT"])
    assert where
    with Valve(int(where[1])) as valve:
        running = subprocess.Popen(
            esb.command("produce", "s", "e", "--file", str(events)), cwd=esb.folder,
            env=esb.environment(REDIS_EVENT_SOURCE_ENDPOINT=f"127.0.0.1:{valve.port}"),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert running.stdout is not None
        printed = [running.stdout.readline() for _ in range(SOME)]
        valve.close()
        drained = threading.Thread(target=lambda: printed.extend(running.stdout or ()))
        drained.start()
        assert valve.held.wait(60), "nothing was on its way"
        running.send_signal(signal.SIGINT)
        drained.join(60)
        assert running.wait(60) == 130
        said = running.communicate()[1]
    told = re.search(r"interrupted: ([\d,]+) events stored; ([\d,]+) more were on their way", said)
    assert told, said
    stored, unsure = (int(each.replace(",", "")) for each in told.groups())
    assert stored == len(printed)
    assert stored <= int(server.xlen("s")) <= stored + unsure


class Valve:
    """A way to the server that lets everything through until it is closed; then it swallows the server's answers."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._closed = threading.Event()
        self.held = threading.Event()
        """Set when an answer was swallowed."""
        self._sockets: list[socket.socket] = []

    def close(self) -> None:
        """Let no answer through any more."""
        self._closed.set()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for each in (self._listener, *self._sockets):
            each.close()

    def _accept(self) -> None:
        try:
            while True:
                client = self._listener.accept()[0]
                server = socket.create_connection(("127.0.0.1", self._to))
                self._sockets += [client, server]
                threading.Thread(target=self._pump, args=(client, server), daemon=True).start()
                threading.Thread(target=self._pump, args=(server, client, True), daemon=True).start()
        except OSError:
            return

    def _pump(self, source: socket.socket, to: socket.socket, answers: bool = False) -> None:
        try:
            while piece := source.recv(1 << 16):
                if answers and self._closed.is_set():
                    self.held.set()
                else:
                    to.sendall(piece)
        except OSError:
            return
