"""Everything that can happen to clients and server, in an order that a seed decides, and what it did, counted."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import redis

from esb_runtime.testing import RedisServer

from .proxy import FaultProxy
from .run import Consumers, client
from .story import GROUP, URI

LEASE = 2.0


@dataclass(kw_only=True)
class Fate:
    """Does one harmful thing after the other, and counts them."""

    server: RedisServer
    folder: Path
    proxy: FaultProxy
    consumers: Consumers
    seed: int
    done: Counter[str] = field(default_factory=Counter[str])
    in_flight: int = 0
    """Events that were delivered and not settled at the moments when outcomes could be lost."""

    def __post_init__(self) -> None:
        self._chance = Random(self.seed)
        self._harms: Mapping[str, Callable[[], None]] = {
            "consumer killed (SIGKILL)": self._kill_consumer,
            "consumer stopped past its lease (SIGSTOP)": self._pause_consumer,
            "server killed and restarted": self._kill_server,
            "every connection cut by the server": self._cut_all,
            "server paused (CLIENT PAUSE)": self._pause_server,
            "replies lost": lambda: self._through_the_proxy("lost", 0.3),
            "requests cut": lambda: self._through_the_proxy("cut", 0.3),
            "replies late": lambda: self._through_the_proxy("slow", 0.3),
        }

    def strike(self) -> None:
        """One harmful thing, by chance."""
        name = self._chance.choice(list(self._harms))
        self._harms[name]()
        self.done[name] += 1

    def _kill_consumer(self) -> None:
        self._count_in_flight()
        self.consumers.kill_one(self._chance)

    def _pause_consumer(self) -> None:
        self._count_in_flight()
        self.consumers.pause_one(self._chance, LEASE + 0.5)

    def _kill_server(self) -> None:
        self._count_in_flight()
        self.server.kill()
        self.server = RedisServer.start(self.folder, ends_with_process=True)
        keep_everything(self.server)

    def _cut_all(self) -> None:
        with client(self.server) as look:
            look.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    def _pause_server(self) -> None:
        with client(self.server) as look:
            look.execute_command("CLIENT", "PAUSE", 300)
        time.sleep(0.3)  # what the server is told to do, not a wait for something

    def _through_the_proxy(self, fault: str, share: float) -> None:
        self.proxy.harm(fault, share)
        time.sleep(0.5)
        self.proxy.harm(fault, 0.0)

    def _count_in_flight(self) -> None:
        with client(self.server) as look, contextlib.suppress(redis.RedisError):
            self.in_flight += look.xpending(URI, GROUP)["pending"]


def keep_everything(server: RedisServer) -> None:
    """Have the server write to its disk before it answers."""
    with client(server) as look:
        look.config_set("appendfsync", "always")
