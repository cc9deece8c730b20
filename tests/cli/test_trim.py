"""`esb trim`: what goes, what stays, counted from Redis itself."""

from __future__ import annotations

import pytest
import redis
from command_kit import Esb


def left(server: redis.Redis, stream: str = "s") -> tuple[int, int]:
    """Entries and payloads of a stream."""
    return server.xlen(stream), len(list(server.scan_iter(f"{{{stream}}}:p:*")))


def test_by_length(esb: Esb, server: redis.Redis) -> None:
    """The dry run says exactly what the real run then does; payloads go with their events."""
    esb.seed("s", *[("e", 1, {"n": n}) for n in range(230)])
    words = ("trim", "s", "--maxlen", "7")
    (expected,) = esb.lines(*words, "--dry-run")
    assert (expected["entries"], expected["payloads"], left(server)) == (223, 223, (230, 230))
    assert "Remove 223 events of s?" in esb.fails(2, *words)
    assert left(server) == (230, 230)
    (done,) = esb.lines(*words, "--yes")
    assert done == expected | {"dry_run": False}
    assert left(server) == (7, 7)
    assert [event["args"]["n"] for event in esb.lines("tail", "s", "-n", "99")] == list(range(223, 230))
    assert "0 events removed" in esb.ok(*words, "-o", "table")


def test_by_age(esb: Esb, server: redis.Redis) -> None:
    """Age is by the server's clock; entries of others go by their ids, too."""
    server.xadd("s", {"old": "1"}, id="1-1")
    server.xadd("s", {"f": "1", "i": "m"}, id="1000-0")
    esb.seed("s", ("e", 1, {}))
    (done,) = esb.lines("trim", "s", "--keep", "7d", "--yes")
    assert (done["entries"], done["payloads"], left(server)) == (2, 0, (1, 1))


def test_never_past_the_slowest_group(esb: Esb, server: redis.Redis) -> None:
    """What a group has yet to handle stays and the group is named; force takes it, and nothing stays pending."""
    esb.seed("s", *[("e", 1, {"n": n}) for n in range(6)])
    server.xgroup_create("s", "slow", "0")
    server.xgroup_create("s", "fast", "$")
    server.xgroup_create("s", "__NONE_CUNSUMER__", "0")
    server.xreadgroup("slow", "worker", {"s": ">"}, count=3)
    first = server.xrange("s", count=1)[0][0]
    server.xack("s", "slow", first)
    (done,) = esb.lines("trim", "s", "--maxlen", "0", "--yes")
    assert (done["entries"], done["held_up_by"], left(server)) == (1, ["slow"], (5, 5))
    assert "group slow has not handled what comes next" in esb.ok("trim", "s", "--maxlen", "0", "-o", "table", "--yes")
    (handled,) = esb.lines("trim", "s", "--handled", "--yes")
    assert handled["entries"] == 0
    (forced,) = esb.lines("trim", "s", "--maxlen", "1", "--force", "--yes")
    assert (forced["entries"], forced["held_up_by"], left(server)) == (4, [], (1, 1))
    assert server.xpending("s", "slow")["pending"] == 0


def test_handled_needs_a_group(esb: Esb, server: redis.Redis) -> None:
    """Where nobody handles, nothing is handled; then what everybody handled goes."""
    esb.seed("s", *[("e", 1, {})] * 3)
    assert esb.lines("trim", "s", "--handled", "--yes")[0]["entries"] == 0
    server.xgroup_create("s", "g", "$")
    assert esb.lines("trim", "s", "--handled", "--yes")[0]["entries"] == 3
    assert left(server) == (0, 0)
    assert esb.lines("show", "s")[0]["events"] == 0


def test_sweep(esb: Esb, server: redis.Redis) -> None:
    """Payloads that no event has go after the grace period; those of events and dead letters stay."""
    esb.seed("s", *[("e", 1, {})] * 5)
    server.xtrim("s", maxlen=2, approximate=False)
    server.hset("{s}:dlqp:g:1-1", "n", b"\x01")
    server.hset("{s}:dlqp:g:2-2", "n", b"\x01")
    server.xadd("{s}:dlq:g", {"id": "2-2"})
    server.hset("{s}:p:old", mapping={"@": "5-0", "n": b"\x01"})
    words = ("trim", "s", "--sweep")
    assert esb.lines(*words, "--dry-run")[0]["swept"] == 2
    assert "pass --yes" in esb.fails(2, *words)
    assert esb.lines(*words, "--yes")[0]["swept"] == 2
    assert left(server) == (2, 5)
    assert server.exists("{s}:dlqp:g:2-2") == 1
    assert server.exists("{s}:dlqp:g:1-1", "{s}:p:old") == 0


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("s",), 2),
        (("s", "--handled", "--maxlen", "3"), 2),
        (("s", "--handled", "--force"), 2),
        (("s", "--keep", "soon"), 2),
        (("s", "--keep", "0d"), 2),
        (("s", "--maxlen", "-1"), 2),
        (("nowhere", "--maxlen", "3"), 4),
        (("text", "--maxlen", "3"), 5),
    ],
)
def test_what_cannot_be(esb: Esb, server: redis.Redis, words: tuple[str, ...], code: int) -> None:
    """Rules that contradict, spans that are none, streams that are none: words and an exit code."""
    server.set("text", "x")
    esb.seed("s", ("e", 1, {}))
    esb.fails(code, "trim", *words, "--yes")
    assert left(server) == (1, 1)
