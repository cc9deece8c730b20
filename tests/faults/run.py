"""Starting, killing and replacing the processes of a fault test, and counting what came of it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import redis

from esb_runtime.testing import RedisServer

from .proxy import FaultProxy
from .story import GROUP, URI, checksum, lines, parcel

TESTS = Path(__file__).parents[1]
TAG = f"{{{URI}}}"


@dataclass(kw_only=True)
class Consumers:
    """Consumer processes, of which one can be killed and replaced."""

    server: RedisServer | FaultProxy
    arguments: list[str]
    count: int
    groups: Sequence[str] = (GROUP,)
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
        return start(self.server, "consume", *self.arguments)

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
        """Whether no group counts a consumer of a process that is gone (a consumer's name holds its process id)."""
        living = {str(process.pid) for process in self.processes}
        names = [found["name"].decode() for group in self.groups for found in look.xinfo_consumers(URI, group)]
        return all(name.split("-")[-2] in living for name in names)

    def stop(self) -> list[int]:
        """SIGTERM for all, as soon as they hear it; their exit codes."""
        logs = Path(self.arguments[1])
        ready = [logs / f"{process.pid}.ready" for process in self.processes]
        wait_until(lambda: all(file.exists() for file in ready), seconds=60, what="every process is up")
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        return [process.wait(60) for process in self.processes]


def start(server: RedisServer | FaultProxy, program: str, *arguments: str) -> subprocess.Popen[bytes]:
    """A Python process of this folder that finds the server through its environment."""
    environment = {**os.environ, **server.environment(), "PYTHONPATH": str(TESTS)}
    return subprocess.Popen([sys.executable, "-m", f"faults.{program}", *arguments], env=environment, cwd=TESTS)


@contextmanager
def four_producers(
    server: RedisServer | FaultProxy, kind: str, events: int
) -> Generator[list[subprocess.Popen[bytes]]]:
    """Processes that produce so many events together, under fifty keys each; none of them outlives the block."""
    processes = [start(server, "produce", kind, str(n * 1000), "50", str(events // 4)) for n in range(4)]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()


def client(server: RedisServer) -> redis.Redis:
    """A plain client, for looking at the server without esb."""
    where = server.endpoint
    if where.unix_socket:
        return redis.Redis(unix_socket_path=where.unix_socket, password=where.password, socket_timeout=60)
    return redis.Redis(
        host=where.host or "", port=where.port, password=where.password, db=where.database, socket_timeout=60
    )


def wait_until(
    condition: Callable[[], bool], *, seconds: float, what: str, meanwhile: Callable[[], object] = int
) -> None:
    """Wait for a condition; `meanwhile` happens at each look. Fails with `what` when it does not come true."""
    end = time.monotonic() + seconds
    while not condition():
        meanwhile()
        assert time.monotonic() < end, f"not within {seconds:g} s: {what}"
        time.sleep(0.02)


def delivered(look: redis.Redis, groups: Sequence[str] = (GROUP,)) -> bool:
    """Whether these groups were given everything in the stream."""
    if not look.exists(URI):
        return False
    last = look.xinfo_stream(URI)["last-generated-id"]
    there = {group["name"].decode(): group["last-delivered-id"] for group in look.xinfo_groups(URI)}
    return all(there.get(group) == last for group in groups)


def drained(look: redis.Redis, groups: Sequence[str] = (GROUP,)) -> bool:
    """Whether these groups have handled everything in the stream."""
    return delivered(look, groups) and not any(look.xpending(URI, group)["pending"] for group in groups)


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What the handlers' logs say, counted."""

    handled: int
    repeated: int
    changed: int
    out_of_order: int
    """Starts that came before the predecessor of the same key had finished."""
    again: int
    """Effects that were there already when they were to be written."""


def examine(logs: Path) -> Findings:
    """Count what every process wrote."""
    done: dict[str, set[int]] = defaultdict(set)
    finished = changed = out_of_order = again = 0
    for line in lines(logs):
        if line.what == "finished":
            finished += 1
            done[line.key].add(line.number)
            changed += line.proof != checksum(parcel(line.key, line.number))
        elif line.what == "again":
            again += 1
        elif line.number > 1 and line.number - 1 not in done[line.key]:
            out_of_order += 1
    handled = sum(map(len, done.values()))
    repeated = finished - handled
    return Findings(handled=handled, repeated=repeated, changed=changed, out_of_order=out_of_order, again=again)


def leftovers(look: redis.Redis, groups: Sequence[str] = (GROUP,)) -> Mapping[str, int]:
    """What must be nothing at the end: orphan payloads, dead letters, events stored twice, consumers left behind."""
    entries = [fields[b"i"] for _, fields in _pages(look)]
    payloads = set(look.scan_iter(f"{TAG}:p:*", count=5000))
    expected = {f"{TAG}:p:".encode() + id_ for id_ in entries}
    return {
        "orphan payloads": len(payloads - expected),
        "missing payloads": len(expected - payloads),
        "stored twice": len(entries) - len(expected),
        "dead letters": sum(look.xlen(f"{TAG}:dlq:{group}") for group in groups),
        "pending": sum(look.xpending(URI, group)["pending"] for group in groups),
        "consumers": sum(len(look.xinfo_consumers(URI, group)) for group in groups),
    }


def _pages(look: Any) -> Iterator[tuple[bytes, dict[bytes, bytes]]]:
    """The whole stream, without asking the server for all of it at once."""
    after = b"-"
    while page := look.xrange(URI, after, count=5000):
        yield from page
        after = b"(" + page[-1][0]
