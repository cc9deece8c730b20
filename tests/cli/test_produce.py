"""`esb produce`: checked against the contract before anything is sent; plain values without one."""

from __future__ import annotations

import asyncio
import json
import subprocess
from datetime import UTC, datetime
from typing import Any

import pytest
import redis
from command_kit import ORDER, Esb

from esb_runtime import Backbone, EventKey


def order(**changes: Any) -> str:
    """An order as JSON, changed."""
    return json.dumps(ORDER | changes)


def test_a_checked_event_is_read_by_its_consumers(workspace: Esb, server: redis.Redis) -> None:
    """What was typed in JSON arrives with the contract's types, its ordering key set; stdout is the key alone."""
    out = workspace.ok("produce", "shop", "ordered", "--json", order())
    key = EventKey.parse(out.strip())
    assert key.stream == "shop"
    code = (
        "import asyncio\nfrom esb_runtime import Backbone\nfrom shop_contracts import Shop\n"
        "async def main():\n    async with Backbone.connect() as backbone:\n"
        "        async for d in backbone.read(Shop.ordered):\n            print(d.arguments, d.metadata.ordering_key)\n"
        "asyncio.run(main())"
    )
    read = subprocess.run(
        [workspace.command()[0], "-c", code],
        cwd=workspace.folder, env=workspace.environment(), capture_output=True, text=True, check=True, timeout=60,
    ).stdout  # fmt: skip
    assert "User(id=1, email='ann@example.org', name='Ann')" in read
    assert "Decimal('12.50')" in read
    assert "tzinfo=datetime.timezone.utc" in read
    assert read.endswith("ann@example.org\n")
    del server


def test_arguments_on_the_command_line_follow_the_contract(workspace: Esb) -> None:
    """--arg is typed by the contract, reaches inside objects, and goes on top of --json."""
    workspace.ok(
        "produce", "shop", "ordered", "--json", order(), "--arg", "user.name=123", "--arg", "product.price=9.90"
    )
    (event,) = workspace.lines("tail", "shop", "--show-personal")
    assert event["args"]["user"]["name"] == "123"
    assert event["args"]["product"]["price"] == "9.90"
    workspace.ok("produce", "shop", "ordered", "--json", order(), "--arg", "user=null")
    assert workspace.lines("tail", "shop", "-n", "1")[0]["args"]["user"] is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["ordered", "--json", order(user={"id": "x", "email": "a", "name": "b"})], "user.id: expected an integer"),
        (["ordered", "--json", order(product={"name": "x"})], "missing argument product.price: expected a decimal"),
        (["ordered", "--json", order(time="yesterday")], "time: expected a time with a zone"),
        (["ordered", "--json", order(), "--arg", "user.nmae=x"], "unknown argument user.nmae: did you mean name?"),
        (["ordered", "--json", order(), "--arg", "prodct=1"], "unknown argument prodct: did you mean product?"),
        (["packed", "--arg", "email=a", "--arg", "count=many"], "count: expected an integer, found text"),
        (["packed"], "missing argument email: expected text"),
        (["pakced", "--arg", "email=a"], "no event 'pakced'; did you mean packed?"),
        (["packed", "--version", "7", "--arg", "email=a"], "no version 7"),
        (["packed", "--json", "{"], "--json is no JSON"),
        (["packed", "--json", '{"count": NaN}'], "--json is no JSON"),
        (["packed", "--json", "[]"], "takes an object"),
    ],
)
def test_what_does_not_fit_is_not_sent(workspace: Esb, server: redis.Redis, words: list[str], said: str) -> None:
    """A wrong type, a missing or unknown argument, an unknown event: exit 5, named with its type, nothing is stored."""
    assert said in workspace.fails(5, "produce", "shop", *words)
    assert server.dbsize() == 0


def test_versions(workspace: Esb) -> None:
    """The newest version is meant; an older one can be asked for, with a word when it is deprecated."""
    workspace.ok("produce", "shop", "packed", "--arg", "email=a")
    done = workspace("produce", "shop", "packed", "--version", "1", "--arg", "email=b")
    assert done.returncode == 0
    assert "deprecated since 2026-01-01 (use version 2)" in done.stderr
    assert [event["version"] for event in workspace.lines("tail", "shop")] == [2, 1]


def test_a_dry_run_sends_nothing(workspace: Esb, server: redis.Redis) -> None:
    """--dry-run checks, shows the event as it would be, and needs no server."""
    out = workspace.ok("produce", "shop", "ordered", "--json", order(), "--dry-run", REDIS_EVENT_SOURCE_ENDPOINT="")
    shown = json.loads(out)
    assert list(shown) == ["key", "event", "version", "at", "args", "meta"]
    assert shown["args"] == ORDER
    workspace.fails(5, "produce", "shop", "ordered", "--dry-run")
    assert server.dbsize() == 0


def test_a_contract_class_can_be_named(esb: Esb, workspace: Esb) -> None:
    """--contract asks the workspace's interpreter; a name that is not there is exit 5 in its words."""
    (workspace.folder / "contract.lock").unlink()
    named = ("--contract", "shop_contracts:Shop")
    assert "expected an integer" in workspace.fails(
        5, "produce", "other", "packed", *named, "--arg", "email=a", "--arg", "count=x"
    )
    assert "no event 'nothing'" in workspace.fails(5, "produce", "other", "nothing", *named)
    assert "Nope" in workspace.fails(4, "produce", "other", "packed", "--contract", "shop_contracts:Nope")
    assert workspace.ok("produce", "other", "packed", *named, "--arg", "email=a").startswith("other/")
    del esb


def test_without_a_contract_plain_values_are_sent(esb: Esb) -> None:
    """Outside a workspace anything goes: values are JSON where they are, else text."""
    esb.ok("produce", "s", "e", "-a", "n=1", "-a", "t=two words", "-a", "o.deep.er=[1, null]", "--json", '{"x": 1.5}')
    (event,) = esb.lines("tail", "s")
    assert event["args"] == {"x": 1.5, "n": 1, "t": "two words", "o": {"deep": {"er": [1, None]}}}
    assert event["version"] == 1
    assert "nothing can go inside" in esb.fails(2, "produce", "s", "e", "-a", "n=1", "-a", "n.m=2")


def test_a_foreign_stream_is_sent_unchecked_with_a_word(workspace: Esb) -> None:
    """In a workspace a stream and event that no contract knows are sent, and a note says that nobody checked."""
    done = workspace("produce", "elsewhere", "something", "--arg", "a=1")
    assert done.returncode == 0
    assert "unchecked" in done.stderr


def test_json_from_stdin(esb: Esb) -> None:
    """`--json -` reads the arguments from a pipe."""
    esb.ok("produce", "s", "e", "--json", "-", stdin='{"a": "ü"}')
    assert esb.lines("tail", "s")[0]["args"] == {"a": "ü"}


def test_a_broken_lock_is_bad_data(workspace: Esb) -> None:
    """A lock that cannot be read stops the check rather than skipping it."""
    (workspace.folder / "contract.lock").write_text("{")
    assert "esb_runtime.lock" in workspace.fails(5, "produce", "shop", "packed", "--arg", "email=a")


def test_no_secret_of_an_argument_in_an_error(workspace: Esb) -> None:
    """An error names the argument, never its value."""
    said = workspace.fails(5, "produce", "shop", "packed", "--arg", "email=a", "--arg", "count=Zz55-unseen")
    assert "Zz55-unseen" not in said


async def test_the_key_is_what_get_takes(esb: Esb, monkeypatch: pytest.MonkeyPatch) -> None:
    """The printed key leads back to the event, by `esb get` and by the library."""
    key = (await asyncio.to_thread(esb.ok, "produce", "s", "e", "--arg", "a=1")).strip()
    for name, value in esb.variables.items():
        monkeypatch.setenv(name, value)
    async with Backbone.connect() as backbone:
        assert (await backbone.get(EventKey.parse(key))).arguments == {"a": 1}
    assert (await asyncio.to_thread(esb.lines, "get", key))[0]["args"] == {"a": 1}


def test_a_file_of_events(workspace: Esb) -> None:
    """A line per event, checked; the first bad line ends it with its number, or is counted with --keep-going."""
    good = [json.dumps({"email": f"{n}@x"}) for n in range(600)]
    assert len(workspace.ok("produce", "shop", "packed", "--file", "-", stdin="\n".join(good)).splitlines()) == 600
    bad = "\n".join([*good[:3], '{"email": 7}', good[3]])
    said = workspace.fails(5, "produce", "shop", "packed", "--file", "-", "--arg", "count=2", stdin=bad)
    assert "line 4: " in said
    assert "3 events before it stored" in said
    assert [e["args"] for e in workspace.lines("tail", "shop", "-n", "3")] == [
        {"email": f"{n}@x", "count": 2} for n in range(3)
    ]
    said = workspace.fails(5, "produce", "shop", "packed", "--file", "-", "--keep-going", stdin=bad + "\n{")
    assert "4 events stored, 2 bad left out" in said
    assert len(workspace.lines("tail", "shop", "-n", "9999")) == 607
    assert "no UTF-8" not in workspace("produce", "shop", "packed", "--file", "-", "--dry-run", stdin=good[0]).stderr
    assert len(workspace.lines("tail", "shop", "-n", "9999")) == 607


def test_an_idempotency_key_is_the_message_id(esb: Esb) -> None:
    """The same key is stored once and answers with the first event's key; a bad one is refused."""
    first = esb.ok("produce", "s", "e", "--idempotency-key", "order-1")
    assert esb.ok("produce", "s", "e", "--idempotency-key", "order-1") == first
    assert esb.lines("tail", "s")[0]["meta"]["message_id"] == "order-1"
    esb.fails(2, "produce", "s", "e", "--idempotency-key", "")


def test_many_events_from_one_command(esb: Esb) -> None:
    """--count numbers events from 1; placeholders are filled in anew for each, in --arg and --json alike."""
    text = '{"n": {{n}}, "at": "{{now}}", "word": "{{ n }}nd"}'
    keys = esb.ok("produce", "s", "e", "--json", text, "-a", "id={{uuid}}", "--count", "1203").splitlines()
    found = esb.lines("tail", "s", "--since", "start")
    assert [event["key"] for event in found] == keys
    assert [event["args"]["n"] for event in found] == list(range(1, 1204))
    assert len({event["args"]["id"] for event in found}) == 1203
    assert found[1]["args"]["word"] == "2nd"
    assert {datetime.fromisoformat(event["args"]["at"]).tzinfo for event in found} == {UTC}


def test_a_rate_bounds_many_events(esb: Esb) -> None:
    """--rate is a bound by the clock: event n is not sent before n / rate seconds have passed."""
    keys = esb.ok("produce", "s", "e", "--count", "6", "--rate", "20").splitlines()
    times = [int(key.partition("/")[2].partition("-")[0]) for key in keys]
    assert times[-1] - times[0] >= 240


def test_placeholders_in_files_and_message_ids(esb: Esb, server: redis.Redis) -> None:
    """In a file {{n}} is the line's number; in an idempotency key it makes a repeated command store nothing twice."""
    esb.ok("produce", "s", "e", "--file", "-", stdin='{"n": {{n}}}\n\n{"n": {{n}}}\n')
    assert [event["args"]["n"] for event in esb.lines("tail", "s")] == [1, 3]
    for _ in range(2):
        esb.ok("produce", "ids", "e", "--count", "3", "--idempotency-key", "load-{{n}}")
    assert server.xlen("ids") == 3


def test_a_bad_event_of_many_stops_at_its_number(workspace: Esb, server: redis.Redis) -> None:
    """What comes before it is stored, nothing of it; a dry run shows every event and needs no server."""
    bad = ("shop", "packed", "-a", "email=a", "--json", '{"count": 1{{n}}}', "--count", "3")
    shown = workspace.lines("produce", *bad, "--dry-run", REDIS_EVENT_SOURCE_ENDPOINT="")
    assert [event["args"]["count"] for event in shown] == [11, 12, 13]
    lines = '{"email": "a"}\n{"email": "b", "count": {{n}}}\n{"email": "c", "count": "x{{n}}"}\n{"email": "d"}\n'
    said = workspace.fails(5, "produce", "shop", "packed", "--file", "-", stdin=lines)
    assert "line 3:" in said
    assert "2 events before it stored" in said
    assert server.xlen("shop") == 2


@pytest.mark.parametrize(
    "words",
    [
        ["--count", "2", "--file", "x"],
        ["--count", "2", "--idempotency-key", "one"],
        ["--count", "0"],
        ["--rate", "0"],
        ["--keep-going"],
    ],
)
def test_what_does_not_go_together_is_usage(esb: Esb, words: list[str]) -> None:
    """Options that contradict each other are refused before anything is read or sent."""
    esb.fails(2, "produce", "s", "e", *words)
