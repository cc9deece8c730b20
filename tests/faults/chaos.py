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

from .clocks import Clocks
from .proxy import FaultProxy
from .run import Consumers, client, wait_until
from .story import GROUPS, REMEMBERING, URI

LEASE = 2.0
FARTHEST = 180
"""Seconds that a clock is off at most, in either direction."""


@dataclass(kw_only=True)
class Fate:
    """Does one harmful thing after the other, and counts them."""

    server: RedisServer
    folder: Path
    program: Path
    proxy: FaultProxy
    consumers: Consumers
    clocks: Clocks
    seed: int
    done: Counter[str] = field(default_factory=Counter[str])
    in_flight: int = 0
    """Events that the group with `idempotent=True` had been given and had not settled, when outcomes could be lost."""

    def __post_init__(self) -> None:
        self._chance = Random(self.seed)
        harms: dict[str, Callable[[], None]] = {
            "consumer killed (SIGKILL)": self._kill_consumer,
            "consumer stopped past its lease (SIGSTOP)": self._pause_consumer,
            "server killed and restarted": self._kill_server,
            "every connection cut by the server": self._cut_all,
            "server paused (CLIENT PAUSE)": self._pause_server,
            "group destroyed (XGROUP DESTROY)": self._destroy_group,
            "clocks of the clients set": lambda: self.clocks.set_clients(self._off()),
            "replies lost": lambda: self._through_the_proxy("lost", 0.3),
            "requests cut": lambda: self._through_the_proxy("cut", 0.3),
            "replies late": lambda: self._through_the_proxy("slow", 0.3),
        }
        if self.clocks.server_can_jump:
            harms["clock of the server set"] = self._set_server_clock
        self._harms: Mapping[str, Callable[[], None]] = harms
        self._ahead: list[str] = []

    @property
    def round(self) -> int:
        """So many faults are one of each."""
        return len(self._harms)

    def strike(self) -> None:
        """One harmful thing: each of them in turn, in an order by chance that is another one every time."""
        if not self._ahead:
            self._ahead = self._chance.sample(list(self._harms), self.round)
        name = self._ahead.pop()
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
        self.server = self.proxy.server = start_server(self.folder, self.program)

    def _cut_all(self) -> None:
        with client(self.server) as look:
            look.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    def _pause_server(self) -> None:
        with client(self.server) as look:
            look.execute_command("CLIENT", "PAUSE", 300)
        time.sleep(0.3)  # what the server is told to do, not a wait for something

    def _destroy_group(self) -> None:
        self._count_in_flight()
        with client(self.server) as look:
            look.xgroup_destroy(URI, self._chance.choice(GROUPS))

    def _set_server_clock(self) -> None:
        time.sleep(LEASE)  # set back, it would keep the lease of a process that died a moment ago: a stated limit
        self._count_in_flight()  # set forward, it ends every lease
        off = self._off()
        self.clocks.set_server(off)
        with client(self.server) as look:
            wait_until(
                lambda: abs(look.time()[0] - time.time() - off) < 5, seconds=30, what="the server's clock is set"
            )

    def _off(self) -> int:
        return self._chance.randint(-FARTHEST, FARTHEST)

    def _through_the_proxy(self, fault: str, share: float) -> None:
        self.proxy.harm(fault, share)
        time.sleep(0.5)
        self.proxy.harm(fault, 0.0)

    def _count_in_flight(self) -> None:
        with client(self.server) as look, contextlib.suppress(redis.ResponseError):  # there is no such group now
            self.in_flight += look.xpending(URI, REMEMBERING)["pending"]


def start_server(folder: Path, program: Path) -> RedisServer:
    """A server that has loaded its data and writes to its disk before it answers."""
    server = RedisServer.start(folder, ends_with_process=True, binary=program)
    with client(server) as look:
        wait_until(lambda: not look.info("persistence")["loading"], seconds=120, what="the data is loaded")
        look.config_set("appendfsync", "always")
    return server
