"""Everything at once, against real processes and a real server: what is promised is counted afterwards.

`ESB_CHAOS_SEED` repeats a run, `ESB_CHAOS_EVENTS` sets its length, `ESB_CHAOS_REPORT` names a file that gets a line of
JSON per run. What only chance decides (the order of processes) differs between two runs of one seed; the faults do not.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from esb_runtime.testing import RedisServer

from .chaos import LEASE, Fate, keep_everything
from .proxy import FaultProxy
from .run import Consumers, client, drained, examine, leftovers, start, wait_until

SHORT = int(os.environ.get("ESB_CHAOS_EVENTS", "4000"))
LONG = int(os.environ.get("ESB_CHAOS_EVENTS", "1000000"))
LEAST_FAULTS = 8
"""A run goes on until this many happened, also when everything has been produced before."""


@pytest.mark.parametrize("kind", ["keyed", "once"])
@pytest.mark.parametrize("events", [SHORT, pytest.param(LONG, marks=pytest.mark.full)], ids=["short", "long"])
@pytest.mark.timeout(7200)
def test_chaos(kind: str, events: int, tmp_path: Path) -> None:
    """Nothing lost, stored twice, out of order or left behind; repeats only of what was in flight at the kills."""
    seed = int(os.environ.get("ESB_CHAOS_SEED") or random.randrange(1 << 31))
    print(f"chaos: {kind}, {events} events, ESB_CHAOS_SEED={seed}")
    logs = tmp_path / "logs"
    logs.mkdir()
    server = RedisServer.start(tmp_path / "server", ends_with_process=True)
    keep_everything(server)
    began = time.monotonic()
    with FaultProxy(server, seed) as proxy:
        producers = [start(proxy, "produce.py", kind, str(n * 1000), "50", str(events // 4)) for n in range(4)]
        with Consumers(server=proxy, arguments=[kind, str(logs), str(LEASE)], count=3) as consumers:
            wait_until(lambda: len(list(logs.glob("*.ready"))) >= 3, seconds=60, what="the consumers are up")
            fate = Fate(server=server, folder=tmp_path / "server", proxy=proxy, consumers=consumers, seed=seed)
            while fate.done.total() < LEAST_FAULTS or any(producer.poll() is None for producer in producers):
                fate.strike()
                time.sleep(0.5)  # the rhythm of the faults, not a wait for something
            assert [producer.wait(60) for producer in producers] == [0, 0, 0, 0]
            with client(fate.server) as look:
                wait_until(lambda: drained(look), seconds=600, what="everything is handled")
                wait_until(lambda: consumers.only_living(look), seconds=30, what="the dead ones' names are gone")
                assert consumers.stop() == [0, 0, 0]
                found = examine(logs, ordered=kind == "keyed")
                left = leftovers(look)
        fate.server.stop()
    report: Mapping[str, object] = {
        "kind": kind, "events": events, "seed": seed, "seconds": round(time.monotonic() - began),
        "faults": dict(fate.done), "through the proxy": dict(proxy.faults), "in flight at kills": fate.in_flight,
        "lost": events - found.handled, "changed": found.changed, "out of order": found.out_of_order,
        "repeated": found.repeated, **left,
    }  # fmt: skip
    line = json.dumps(report)
    print(line)
    if file := os.environ.get("ESB_CHAOS_REPORT"):
        with Path(file).open("a", encoding="utf-8") as reports:
            reports.write(line + "\n")
    assert (found.handled, found.changed, found.out_of_order) == (events, 0, 0)
    assert left == dict.fromkeys(left, 0)
    if kind == "once":
        assert found.repeated <= fate.in_flight
