"""`esb bench`: measures that add up, and nothing left behind."""

from __future__ import annotations

import json
import signal

import redis
from command_kit import Esb

MEASURES = ["round trip", "produce, single", "produce, batched", "consume", "end to end"]
BOUNDS = {"this process", "the server", "the round trip"}


def test_every_measure_in_every_form(esb: Esb, server: redis.Redis) -> None:
    """Each measure once, with its counts and delays; the scratch stream is gone afterwards with all its keys."""
    found = esb.lines("bench", "--events", "300", "--size", "10", "--consumers", "2")
    assert [each["measure"] for each in found] == MEASURES
    assert [each["count"] for each in found] == [300, 300, 300, 600, 300]
    for each in found:
        assert each["rate"] > 0
        assert each["bound"] in BOUNDS
        if each["p50_ms"] is not None:
            assert 0 < each["p50_ms"] <= each["p99_ms"] <= each["p999_ms"]
    assert server.dbsize() == 0
    table = esb.ok("bench", "--events", "10", "-o", "table", COLUMNS="80").splitlines()
    assert table[0].split()[:4] == ["MEASURE", "COUNT", "PER", "S"]
    assert [line.partition("  ")[0] for line in table[1:]] == MEASURES
    assert max(map(len, table)) <= 80
    names = esb.ok("bench", "--events", "10", "--template", "{{measure}}").splitlines()
    assert names == MEASURES


def test_ctrl_c_leaves_nothing_behind(esb: Esb, server: redis.Redis) -> None:
    """Interrupted in the middle of producing, it ends quietly with 130, and the stream is removed."""
    running = esb.start("bench", "--events", "1000000", "-o", "json")
    assert running.stdout is not None
    assert json.loads(running.stdout.readline())["measure"] == "round trip"
    assert json.loads(running.stdout.readline())["measure"] == "produce, single"
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130, said
    assert "Traceback" not in said
    assert server.dbsize() == 0
