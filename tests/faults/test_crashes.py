"""Processes that die: nothing lost, nothing out of order, nobody harmed but who caused it."""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path

import pytest

from esb_runtime.testing import RedisServer

from .run import Consumers, client, drained, examine, four_producers, leftovers, start, wait_until
from .story import GROUP, URI, lines

SHORT = (12_000, 6.0)
LONG = (200_000, 60.0)
"""Events and seconds of killing."""


@pytest.mark.parametrize("kind", ["keyed", "unkeyed"])
@pytest.mark.parametrize(("events", "seconds"), [SHORT, pytest.param(*LONG, marks=pytest.mark.full)])
@pytest.mark.timeout(900)
def test_killed_consumers_lose_nothing(
    kind: str, events: int, seconds: float, redis_server: RedisServer, tmp_path: Path
) -> None:
    """Consumers killed once a second: all handled, payloads equal, keys in order, nothing left over."""
    redis_server.clear()
    look = client(redis_server)
    chance = random.Random(20261124)
    with (
        four_producers(redis_server, kind, events) as producers,
        Consumers(server=redis_server, arguments=[kind, str(tmp_path), "2"], count=3) as consumers,
    ):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(1)  # the schedule of the kills, not a wait for something
            consumers.kill_one(chance)
        assert [producer.wait(600) for producer in producers] == [0, 0, 0, 0]
        wait_until(lambda: drained(look), seconds=300, what="everything is handled")
        wait_until(lambda: consumers.only_living(look), seconds=10, what="the dead ones' names are gone")
        assert consumers.stop() == [0, 0, 0]
        kills = consumers.kills
    found = examine(tmp_path)
    print(f"{kind}: {events} events, {kills} kills, {found.repeated} handled more than once")
    assert (found.handled, found.changed) == (events, 0)
    assert kind == "unkeyed" or found.out_of_order == 0
    assert look.xlen(URI) == events
    assert leftovers(look) == dict.fromkeys(leftovers(look), 0)


@pytest.mark.parametrize("kind", ["keyed", "unkeyed"])
def test_failing_events_end_as_dead_letters(kind: str, redis_server: RedisServer, tmp_path: Path) -> None:
    """One event in a thousand always fails: those alone become dead letters; only events of their key wait for them."""
    redis_server.clear()
    look = client(redis_server)
    with Consumers(server=redis_server, arguments=[kind, str(tmp_path), "2", "raise:k3/100"], count=2) as consumers:
        assert start(redis_server, "produce", kind, "0", "10", "5000").wait(120) == 0
        wait_until(lambda: drained(look), seconds=120, what="everything is handled or buried")
        assert consumers.stop() == [0, 0]
    letters = look.xrange(f"{{{URI}}}:dlq:{GROUP}")
    assert len(letters) == 5
    for _, fields in letters:
        assert fields[b"attempts"] == b"3"
        assert fields[b"reason"] == b"Misfortune: cannot move ***"
        assert b"consume.py" in fields[b"traceback"]
    assert examine(tmp_path).handled == 4995
    written = list(lines(tmp_path))
    meanwhile: Counter[bool] = Counter()
    for number in range(100, 600, 100):
        tries = [n for n, line in enumerate(written) if (line.key, line.number) == ("k3", number)]
        assert len(tries) >= 3
        between = [line for n, line in enumerate(written[: tries[-1]]) if n > tries[0] and n not in tries]
        meanwhile.update(line.key == "k3" for line in between)
    assert meanwhile[False] > 0, "other keys went on"
    assert kind == "unkeyed" or meanwhile[True] == 0, "its own key waited"


@pytest.mark.parametrize("kind", ["keyed", "unkeyed"])
@pytest.mark.timeout(300)
def test_a_handler_that_kills_its_process_spends_only_its_own_attempts(
    kind: str, redis_server: RedisServer, tmp_path: Path
) -> None:
    """The killer event ends as the one dead letter; its neighbours are all handled."""
    redis_server.clear()
    look = client(redis_server)
    assert start(redis_server, "produce", kind, "0", "10", "500").wait(60) == 0
    died = 0

    def replace() -> None:
        nonlocal died
        died += consumers.replace_dead()

    with Consumers(server=redis_server, arguments=[kind, str(tmp_path), "0.5", "kill:k3/20"], count=2) as consumers:
        wait_until(lambda: drained(look), seconds=120, what="the killer is buried", meanwhile=replace)
        assert consumers.stop() == [0, 0]
    letters = look.xrange(f"{{{URI}}}:dlq:{GROUP}")
    assert [fields[b"attempts"] for _, fields in letters] == [b"5"]
    assert died == 5
    assert examine(tmp_path).handled == 499
