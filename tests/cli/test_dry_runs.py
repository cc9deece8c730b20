"""A dry run changes nothing, and says exactly what the real run then does."""

from __future__ import annotations

import json
from typing import Any

import pytest
import redis
from command_kit import Esb
from group_kit import consume, packed, take

from esb_runtime.redis._keys import failures_key, lease_key

RUNS = [
    "dlq replay shop poor",
    "dlq replay shop poor --event packed --limited",
    "dlq purge shop poor",
    "dlq purge shop poor --reason parcel",
    "claim shop main",
    "claim shop main --from web-1 --to eve",
    "claim shop main --from web-2",
    "reset shop main --to start --live",
    "reset shop main --to {middle} --live",
    "reset shop main --to end --live",
    "reset shop main --to end --drop-pending --live",
    "reset shop idle --to {middle}",
    "trim shop --maxlen 2",
    "trim shop --maxlen 0 --force",
    "trim shop --keep 7d",
    "trim shop --keep 7d --force",
    "trim shop --keep 7d --maxlen 3 --force",
    "trim shop --handled",
    "trim loose --maxlen 2",
    "trim loose --keep 7d",
    "trim read --handled",
    "trim loose --sweep",
    "trim loose --maxlen 1 --sweep",
]
"""Every command that has `--dry-run` and says what it did in figures, with each option that decides them."""


@pytest.fixture
def middle(workspace: Esb, server: redis.Redis) -> str:
    """Streams and groups in every state that makes a figure; the id of an event in the middle."""
    server.xadd("shop", {"old": "1"}, id="1-1")
    ids = [key.partition("/")[2] for key in workspace.seed("shop", *map(packed, range(6)))]
    consume(workspace, broken=True, group="poor")
    server.xadd("{shop}:dlq:poor", {"hello": "world"})  # nothing is left of it
    server.xgroup_create("shop", "idle", id=ids[0])
    take(workspace, "shop", "main", "web-1", 4)
    take(workspace, "shop", "main", "web-2", 1)
    server.delete(lease_key("shop", "main", "web-1"))
    server.hset(failures_key("shop", "main"), ids[1], 1)
    server.xack("shop", "main", "1-1")
    server.xdel("shop", ids[1])  # a letter that comes as a copy, and a pending event that is gone
    server.xgroup_setid("shop", "poor", ids[3])  # the last letters come to it anyway
    for stream in ("loose", "read"):
        server.xadd(stream, {"old": "1"}, id="1-1")
        workspace.seed(stream, *map(packed, range(5)))
    entries: Any = server.xrange("loose")
    server.xdel("loose", entries[1][0], entries[3][0])
    server.hset("{loose}:p:old", mapping={"@": "5-0", "n": b"\x01"})
    server.xgroup_create("read", "reader", id="0")
    server.xreadgroup("reader", "worker", {"read": ">"}, count=3, noack=True)
    return ids[2]


@pytest.mark.parametrize("line", RUNS)
def test_a_dry_run_says_what_will_happen(workspace: Esb, server: redis.Redis, middle: str, line: str) -> None:
    """The same figures, whatever the options; something happens only in the real run."""
    words = line.format(middle=middle).replace(" --limited", f" --until {last_letter(server)}").split()
    before = held(server)
    planned = said(workspace, *words, "--dry-run")
    assert held(server) == before
    done = said(workspace, *words, "--yes")
    assert planned == [{**each, "dry_run": True} for each in done]
    assert held(server) != before
    assert any(value for each in done for value in each.values() if type(value) is int)


def test_a_replay_foretells_every_outcome(workspace: Esb, server: redis.Redis, middle: str) -> None:
    """The scene of these tests has a letter for each outcome; words say it as figures do."""
    (planned,) = said(workspace, "dlq", "replay", "shop", "poor", "--dry-run")
    figures = {name: planned[name] for name in ("letters", "returned", "copied", "ahead", "absent", "empty")}
    assert figures == {"letters": 8, "returned": 4, "copied": 1, "ahead": 2, "absent": 0, "empty": 1}
    text = workspace("dlq", "replay", "shop", "poor", "--dry-run", "-o", "table").stdout
    assert text == (
        "poor of shop: 8 dead letters would be replayed: 4 back in the group, 1 back as copies, their entries were "
        "trimmed, 2 still to come, the group was moved back before them, 1 kept, nothing is left to replay\n"
    )


def said(esb: Esb, *words: str) -> list[dict[str, Any]]:
    """What a command says in JSON; letters of which nothing is left make it fail, in both runs."""
    done = esb(*words)
    assert done.returncode in {0, 1}, done
    assert done.returncode == 0 or "nothing is left" in done.stderr, done
    return [json.loads(line) for line in done.stdout.splitlines()]


def last_letter(server: redis.Redis) -> str:
    """The id of the newest letter but one."""
    letters: Any = server.xrevrange("{shop}:dlq:poor", count=2)
    return str(letters[-1][0].decode())


def held(server: redis.Redis) -> dict[bytes, Any]:
    """Everything that the server holds; leases and locks that pass by themselves aside."""
    keys: Any = server.keys("*")
    return {key: server.dump(key) for key in keys if int(server.pttl(key)) < 0}  # type: ignore[arg-type]
