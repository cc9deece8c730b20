"""`esb groups`, `pending`, `claim`, `reset`: where a group stands, and how an operator moves it."""

from __future__ import annotations

import json
import re
import time

import pytest
import redis
from command_kit import Esb
from group_kit import consume, failing, packed, take

from esb_runtime.redis._keys import failures_key, lease_key


@pytest.fixture
def stuck(esb: Esb, server: redis.Redis) -> list[str]:
    """A stream of five events; the group `packers` was given three, its consumer `web-1` is gone. Their ids."""
    keys = esb.seed("jobs", *[("packed", 2 if n else 1, {"n": n}) for n in range(5)])
    take(esb, "jobs", "packers", "web-1", 3)
    server.delete(lease_key("jobs", "packers", "web-1"))
    ids = [key.partition("/")[2] for key in keys]
    server.hset(failures_key("jobs", "packers"), ids[1], 1)
    return ids


def still(text: str) -> str:
    """Output without what differs between runs: ids and times."""
    text = re.sub(r"\d{13}-\d+", "<id>", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "<time>", text)
    text = re.sub(r"\b\d+(ms|s)( ago)?|just now", "<ago>", text)
    return re.sub(r" {2,}", "  ", text)


def test_groups(esb: Esb, stuck: list[str]) -> None:
    """The table says what is wrong in words; JSON has every number."""
    assert still(esb.ok("groups", "-o", "table")) == (
        "jobs  5 events\n"
        "GROUP  LAG  PENDING  OLDEST  DEAD  ALIVE  STATE\n"
        "packers  2  3  <ago>  0  0  5 waiting, nobody alive\n"
    )
    (group,) = esb.lines("groups", "jobs")
    assert (group["stream"], group["group"], group["lag"], group["pending"]) == ("jobs", "packers", 2, 3)
    assert group["oldest_pending"] == stuck[0]
    assert [each["consumer"] for each in group["consumers"]] == ["web-1"]
    assert esb.ok("groups", "-o", "raw").startswith("jobs\tpackers\t5 waiting, nobody alive\t2\t3\t")


def test_trimmed_events_are_an_alarm(esb: Esb, server: redis.Redis, stuck: list[str]) -> None:
    """What a stream lost before a group was given it is said first."""
    server.xtrim("jobs", maxlen=1, approximate=False)
    (group,) = esb.lines("groups", "jobs")
    assert (group["trimmed"], group["state"]) == (1, "1 event trimmed unseen")


def test_a_group_whose_events_all_fail(esb: Esb) -> None:
    """Events that fail and are tried again are no `ok`: their number is the state, before any dead letter."""
    esb.seed("shop", *map(packed, range(3)))
    with failing(esb, "main"):
        deadline = time.monotonic() + 30
        while (group := esb.lines("groups", "shop")[0])["failing"] != 3:
            assert time.monotonic() < deadline, group
        assert (group["state"], group["pending"], group["released"]) == ("failing: 3 being retried", 3, 0)
        assert "main: 3 events failed, being retried; esb pending shop main" in esb.ok("show", "shop", "-o", "table")
        consume(esb, group="other", broken=True)
        others = {each["group"]: each["state"] for each in esb.lines("groups", "shop")}
        assert others == {"main": "failing: 3 being retried", "other": "3 dead letters"}
    assert esb.lines("groups", "shop")[0]["state"] == "3 waiting, nobody alive"


def test_pending(esb: Esb, server: redis.Redis, stuck: list[str]) -> None:
    """Each pending event with its holder, what happened to it, and why it is not done."""
    server.xdel("jobs", stuck[2])
    assert still(esb.ok("pending", "jobs", "packers", "-o", "table")) == (
        "ID  EVENT  CONSUMER  IDLE  STARTS  FAILED  WHY\n"
        "<id>  packed  web-1  <ago>  1  0  its consumer is gone, another takes it over\n"
        "<id>  packed v2  web-1  <ago>  1  1  its consumer is gone, another takes it over; failed 1 time\n"
        "<id>  ?  web-1  <ago>  1  0  the entry was removed from the stream before it was handled\n"
    )
    take(esb, "jobs", "packers", "web-2", 1)
    assert [event["why"] for event in esb.lines("pending", "jobs", "packers", "--consumer", "web-2")] == ["in hand"]
    assert "oldest 2 of 4" in esb("pending", "jobs", "packers", "-n", "2").stderr
    assert esb.lines("pending", "jobs", "packers", "--idle", "1h") == []
    assert "no duration" in esb.fails(2, "pending", "jobs", "packers", "--idle", "soon")


def test_claim_gives_back_what_the_dead_hold(esb: Esb, stuck: list[str]) -> None:
    """The dry run counts what the real run moves; what was given back says so."""
    (planned,) = esb.lines("claim", "jobs", "packers", "--dry-run")
    (done,) = esb.lines("claim", "jobs", "packers")
    assert planned == done | {"dry_run": True} == {
        "from": "web-1", "to": None, "moved": 3, "gone": 0, "dry_run": True
    }  # fmt: skip
    whys = [event["why"] for event in esb.lines("pending", "jobs", "packers")]
    assert whys[0] == "handed back, the next consumer takes it"
    assert "nothing to claim" in esb("claim", "jobs", "packers").stderr


def test_claim_asks_about_the_living(esb: Esb, stuck: list[str]) -> None:
    """A living holder keeps its events without --yes; --id and --to take single events to one consumer."""
    take(esb, "jobs", "packers", "web-2", 1)
    assert "alive" in esb.fails(2, "claim", "jobs", "packers", "--from", "web-2")
    assert esb.ok("claim", "jobs", "packers", "--from", "web-2", "--yes", "-o", "table") == (
        "1 event of web-2 went back to the group\n"
    )
    words = ("claim", "jobs", "packers", "--from", "web-1", "--id", stuck[1], "--to", "eve", "-o", "table")
    assert esb.ok(*words, "--dry-run") == "1 event of web-1 would go to eve\n"
    assert esb.ok(*words) == "1 event of web-1 went to eve\n"
    (event,) = esb.lines("pending", "jobs", "packers", "--consumer", "eve")
    assert (event["id"], event["failures"]) == (stuck[1], 1)
    assert "no consumer 'nobody'" in esb.fails(4, "claim", "jobs", "packers", "--from", "nobody")


def test_reset_does_what_its_dry_run_says(esb: Esb, stuck: list[str]) -> None:
    """Counts are those of the real run; where nobody can be asked it refuses without --yes."""
    planned = esb.lines("reset", "jobs", "packers", "--to", stuck[1], "--dry-run")[0]
    assert "pass --yes" in esb.fails(2, "reset", "jobs", "packers", "--to", stuck[1])
    done = esb.lines("reset", "jobs", "packers", "--to", stuck[1], "--yes")[0]
    assert planned == done | {"dry_run": True}
    assert (done["again"], done["restarted"], done["kept"], done["ahead"]) == (2, 2, 1, 4)
    assert esb.lines("groups", "jobs")[0]["lag"] == 4


def test_reset_in_words(esb: Esb, stuck: list[str]) -> None:
    """A person reads what happens to handled, pending and coming events."""
    assert still(esb.ok("reset", "jobs", "packers", "--to", "end", "--dry-run", "-o", "table")) == (
        "would move  packers of jobs\n"
        "from  behind <id> (<time>)\n"
        "to  behind <id> (<time>)\n"
        "skipped  2 events never delivered\n"
        "stay  3 pending events before that place (--drop-pending lets go of them)\n"
        "ahead  0 events to come\n"
    )
    assert still(esb.ok("reset", "jobs", "packers", "--to", "start", "--yes", "-o", "table")) == (
        "moved  packers of jobs\n"
        "from  behind <id> (<time>)\n"
        "to  before the first event\n"
        "again  3 events delivered before, 3 of them pending now\n"
        "ahead  5 events to come\n"
    )


def test_reset_refuses_beside_the_living(esb: Esb, stuck: list[str]) -> None:
    """A living consumer is named; nothing moves."""
    take(esb, "jobs", "packers", "web-2", 1)
    before = esb.lines("groups", "jobs")[0]["last_delivered"]
    said = esb.fails(1, "reset", "jobs", "packers", "--to", "start", "--yes")
    assert "1 consumer alive (web-2)" in said
    assert esb.lines("groups", "jobs")[0]["last_delivered"] == before
    assert esb.lines("reset", "jobs", "packers", "--to", "start", "--live", "--yes")[0]["again"] == 4


@pytest.mark.parametrize(
    "words",
    [
        ("pending", "jobs", "packer"),
        ("claim", "jobs", "packer"),
        ("reset", "jobs", "packer", "--to", "start", "--yes"),
    ],
)
def test_a_mistyped_group(esb: Esb, stuck: list[str], words: tuple[str, ...]) -> None:
    """It is not found, the nearest name is offered, and no group is made."""
    assert "did you mean 'packers'" in esb.fails(4, *words)
    assert len(json.loads(esb.ok("show", "jobs"))["groups"]) == 1
