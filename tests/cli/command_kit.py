"""`esb` as a process of its own, against a real server, from an empty home."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis
import warm

from esb_runtime.operations import Operations

SHOP = """
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from esb_runtime import Consume, ConsumerContext, Deprecated, EventContract, Projection, Side, event

@dataclass(frozen=True, slots=True)
class User:
    id: int
    email: str
    name: str

@dataclass(frozen=True, slots=True)
class Product:
    name: str
    price: Decimal

class Shop(EventContract[Side], uri="shop"):
    @event(key="user.email", personal=("user",))
    async def ordered(self, user: User | None, product: Product, time: datetime) -> None: ...
    @event(version=1, name="packed", deprecated=Deprecated(since=date(2026, 1, 1), remark="use version 2"))
    async def packed_v1(self, email: str) -> None: ...
    @event(version=2)
    async def packed(self, email: str, count: int = 1) -> None: ...

class Count(Projection, Shop[Consume]):
    def __init__(self) -> None:
        self.emails: list[str] = []
    async def packed(self, ctx: ConsumerContext, email: str, count: int = 1) -> None:
        self.emails.append(email)
        print("seen", *self.emails)

class Packer(Shop[Consume]):
    async def packed(self, ctx: ConsumerContext, email: str, count: int = 1) -> None:
        await ctx.ack()
        print("packing", email)

class Broken(Shop[Consume]):
    async def packed(self, ctx: ConsumerContext, email: str, count: int = 1) -> None:
        raise ValueError(f"cannot pack for {email}")
"""

ORDER = {
    "user": {"id": 1, "email": "ann@example.org", "name": "Ann"},
    "product": {"name": "jeans", "price": "12.50"},
    "time": "2026-11-23T10:00:00Z",
}
READ_AT_START = {"LANG", "LC_ALL", "PYTHONPATH", "PYTHONIOENCODING", "PYTHONUTF8", "PYTHONTRACEMALLOC"}
"""Variables that Python reads at its own start."""


@dataclass(kw_only=True)
class Esb:
    """Runs the command line as its users do."""

    folder: Path
    home: Path
    variables: dict[str, str] = field(default_factory=dict)

    def environment(self, **variables: str) -> dict[str, str]:
        """A small environment: nothing of the machine's own settings leaks in."""
        kept = {name: os.environ[name] for name in ("PATH", "VIRTUAL_ENV") if name in os.environ}
        return {**kept, "HOME": str(self.home), "LANG": "C.UTF-8", "TZ": "UTC", **self.variables, **variables}

    def command(self, *words: str) -> list[str]:
        """The command as a list of words."""
        return [sys.executable, "-m", "esb_cli", *words]

    def __call__(self, *words: str, stdin: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end, output captured."""
        environment = self.environment(**variables)
        if {**self.variables, **variables}.keys() & READ_AT_START:
            return self.cold(*words, stdin=stdin, **variables)
        code, out, err = warm.run(words, folder=self.folder, variables=environment, stdin=stdin)
        return subprocess.CompletedProcess([*words], code, out, err)

    def shell(self, line: str) -> subprocess.CompletedProcess[str]:
        """A command line with redirections, by a shell."""
        return subprocess.run(
            f"{shlex.join(self.command())} {line}",
            shell=True, cwd=self.folder, env=self.environment(), stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=60, check=False,
        )  # fmt: skip

    def cold(self, *words: str, stdin: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        """The same, with a Python of its own."""
        return subprocess.run(
            self.command(*words),
            cwd=self.folder,
            env=self.environment(**variables),
            input=stdin,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )

    def seed(self, stream: str, *events: tuple[str, int, dict[str, Any]]) -> list[str]:
        """Store events (name, version, plain arguments) without starting a process; returns their keys."""

        async def produce() -> list[str]:
            operations = await Operations.connect(endpoint=self.variables["REDIS_EVENT_SOURCE_ENDPOINT"])
            try:
                return [
                    str(await operations.produce(stream, name, arguments, version=version))
                    for name, version, arguments in events
                ]
            finally:
                await operations.aclose()

        return asyncio.run(produce())

    def ok(self, *words: str, **options: Any) -> str:
        """Its stdout; it must succeed."""
        done = self(*words, **options)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def lines(self, *words: str, **options: Any) -> list[dict[str, Any]]:
        """Its JSON lines; it must succeed."""
        return [json.loads(line) for line in self.ok(*words, **options).splitlines()]

    def fails(self, code: int, *words: str, **options: Any) -> str:
        """Its words on stderr; it must fail in this way, without a traceback."""
        done = self(*words, **options)
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        assert "Traceback" not in done.stdout + done.stderr
        return done.stderr

    def start(self, *words: str, **variables: str) -> subprocess.Popen[str]:
        """Start it and go on."""
        return subprocess.Popen(
            self.command(*words),
            cwd=self.folder,
            env=self.environment(**variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )


def next_millisecond(server: redis.Redis) -> None:
    """Wait until ids of the server are later than all that it gave so far, in every stream."""
    now = server.time()
    while server.time() < (now[0], now[1] + 1000):
        pass
