"""What a measurement notes: events per second, processor time per event on both sides, bytes that the server keeps."""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

Figures = dict[str, float]
"""`rate` (events/s); `client`, `server` (microseconds of processor time per event); sometimes `bytes` and
`stream` (bytes per event, and those of them that the stream takes by itself)."""


class Control:
    """A blocking connection for the measurement's own few questions: no client library, so every interpreter has it."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._file = self._socket.makefile("rb")

    def __call__(self, *words: str | int) -> Any:
        parts = [str(word).encode() for word in words]
        frame = b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)
        self._socket.sendall(frame)
        return self._reply()

    def _reply(self) -> Any:
        line = self._file.readline()[:-2]
        kind, rest = line[:1], line[1:]
        if kind == b"-":
            raise RuntimeError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self._file.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return None if rest == b"-1" else [self._reply() for _ in range(int(rest))]
        return rest

    def info(self, section: str) -> dict[str, str]:
        """One section of INFO."""
        lines = self("INFO", section).decode().splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    @property
    def processor(self) -> float:
        """Seconds of processor time that the server has used."""
        cpu = self.info("cpu")
        return float(cpu["used_cpu_user"]) + float(cpu["used_cpu_sys"])

    @property
    def memory(self) -> int:
        """Bytes that the server's data takes."""
        return int(self.info("memory")["used_memory"])


@dataclass
class Stopwatch:
    """`with stopwatch("produce", 1000): ...` notes one measurement in `found`."""

    control: Control
    found: dict[str, Figures] = field(default_factory=dict)
    _what: str = ""
    _count: int = 0
    _began: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def __call__(self, what: str, count: int) -> Self:
        self._what, self._count = what, count
        return self

    def __enter__(self) -> Self:
        self._began = (self.control.processor, time.process_time(), time.perf_counter())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        ended, client = time.perf_counter(), time.process_time()
        server, before, began = self._began
        self.found[self._what] = {
            "rate": self._count / (ended - began),
            "client": (client - before) / self._count * 1e6,
            "server": (self.control.processor - server) / self._count * 1e6,
        }

    def memory(self, what: str, count: int, before: int) -> None:
        """Note the bytes per event since `before`."""
        self.found[what]["bytes"] = (self.control.memory - before) / count

    def freed(self, what: str, count: int, stream: str) -> None:
        """Delete a stream and note the bytes per event that it took by itself, without what lay beside it."""
        before = self.control.memory
        self.control("DEL", stream)
        self.found[what]["stream"] = (before - self.control.memory) / count


def peak_memory() -> int:
    """Bytes of main memory that this process takes now."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
