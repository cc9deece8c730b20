"""Starting, killing and replacing the processes of a fault test, and counting what came of it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import redis

from esb_runtime.testing import RedisServer

from .proxy import FaultProxy
from .story import GROUP, URI, Line, checksum, lines, parcel

HERE = Path(__file__).parent
TAG = f"{{{URI}}}"


@dataclass(kw_only=True)
class Consumers:
    """Consumer processes, of which one can be killed and replaced."""

    server: RedisServer | FaultProxy
    arguments: list[str]
    count: int
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    kills: int = 0

    def __enter__(self) -> Self:
        self.processes = [self._start() for _ in range(self.count)]
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        return start(self.server, "consume.py", *self.arguments)

    def kill_one(self, chance: random.Random) -> None:
        """kill -9 for one of them, and a new one in its place."""
        n = chance.randrange(self.count)
        self.processes[n].kill()
        self.processes[n].wait()
        self.kills += 1
        self.processes[n] = self._start()

    def pause_one(self, chance: random.Random, seconds: float) -> None:
        """SIGSTOP for one of them, and SIGCONT after this time."""
        process = self.processes[chance.randrange(self.count)]
        process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)  # the length of the fault
        process.send_signal(signal.SIGCONT)

    def replace_dead(self) -> int:
        """Start a new process for each that died; returns how many."""
        dead = [n for n, process in enumerate(self.processes) if process.poll() is not None]
        for n in dead:
            self.processes[n] = self._start()
        return len(dead)

    def only_living(self, look: redis.Redis) -> bool:
        """Whether the group counts no consumer of a process that is gone (a consumer's name holds its process id)."""
        living = {str(process.pid) for process in self.processes}
        names = [consumer["name"].decode() for consumer in look.xinfo_consumers(URI, GROUP)]
        return all(name.split("-")[-2] in living for name in names)

    def stop(self) -> list[int]:
        """SIGTERM for all, as soon as they hear it; their exit codes."""
        logs = Path(self.arguments[1])
        ready = [logs / f"{process.pid}.ready" for process in self.processes]
        wait_until(lambda: all(file.exists() for file in ready), seconds=60, what="every process is up")
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        return [process.wait(60) for process in self.processes]


def start(server: RedisServer | FaultProxy, script: str, *arguments: str) -> subprocess.Popen[bytes]:
    """A Python process of this folder that finds the server through its environment."""
    environment = {**os.environ, **server.environment(), "PYTHONPATH": str(HERE)}
    return subprocess.Popen([sys.executable, str(HERE / script), *arguments], env=environment)


def client(server: RedisServer) -> redis.Redis:
    """A plain client, for looking at the server without esb."""
    where = server.endpoint
    if where.unix_socket:
        return redis.Redis(unix_socket_path=where.unix_socket, password=where.password)
    return redis.Redis(host=where.host or "", port=where.port, password=where.password, db=where.database)


def wait_until(
    condition: Callable[[], bool], *, seconds: float, what: str, meanwhile: Callable[[], object] = int
) -> None:
    """Wait for a condition; `meanwhile` happens at each look. Fails with `what` when it does not come true."""
    end = time.monotonic() + seconds
    while not condition():
        meanwhile()
        assert time.monotonic() < end, f"not within {seconds:g} s: {what}"
        time.sleep(0.02)


def drained(look: redis.Redis) -> bool:
    """Whether the group has handled everything in the stream."""
    if not look.exists(URI):
        return False
    groups = [group for group in look.xinfo_groups(URI) if group["name"] == GROUP.encode()]
    last = look.xinfo_stream(URI)["last-generated-id"]
    return bool(groups) and groups[0]["pending"] == 0 and groups[0]["last-delivered-id"] == last


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What the handlers' logs say, counted."""

    handled: int
    repeated: int
    changed: int
    out_of_order: int


def examine(logs: Path, *, ordered: bool) -> Findings:
    """Count what every process wrote."""
    written = lines(logs)
    finished: Counter[tuple[str, int]] = Counter()
    changed = 0
    for line in written:
        if line.what == "finished":
            finished[(line.key, line.number)] += 1
            changed += line.proof != checksum(parcel(line.key, line.number))
    return Findings(
        handled=len(finished),
        repeated=sum(finished.values()) - len(finished),
        changed=changed,
        out_of_order=_out_of_order(written) if ordered else 0,
    )


def _out_of_order(written: list[Line]) -> int:
    """Starts that came before the predecessor of the same key had finished."""
    done: dict[str, set[int]] = defaultdict(set)
    wrong = 0
    for line in written:
        if line.what == "finished":
            done[line.key].add(line.number)
        elif line.number > 1 and line.number - 1 not in done[line.key]:
            wrong += 1
    return wrong


def leftovers(look: redis.Redis) -> Mapping[str, int]:
    """What must be nothing at the end: orphan payloads, dead letters, events stored twice, consumers left behind."""
    entries = look.xrange(URI)
    ids = Counter(fields[b"i"] for _, fields in entries)
    payloads = set(look.scan_iter(f"{TAG}:p:*", count=5000))
    expected = {f"{TAG}:p:".encode() + id_ for id_ in ids}
    return {
        "orphan payloads": len(payloads - expected),
        "missing payloads": len(expected - payloads),
        "stored twice": sum(ids.values()) - len(ids),
        "dead letters": look.xlen(f"{TAG}:dlq:{GROUP}"),
        "pending": look.xpending(URI, GROUP)["pending"],
        "consumers": len(look.xinfo_consumers(URI, GROUP)),
    }
