"""`esb replay`: history again, to a stream, to a file, into a projection or consumer."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import redis
from command_kit import ORDER, Esb
from hypothesis import given
from hypothesis import strategies as st

from esb_runtime import EventKey
from esb_runtime._envelope import Stored
from esb_runtime.operations import Pace
from esb_runtime.replay import Named


@pytest.fixture
def filled(workspace: Esb) -> Esb:
    """A stream with an order and three packed events."""
    order = ORDER | {"time": datetime.fromisoformat(str(ORDER["time"]))}
    workspace.seed("shop", ("ordered", 1, order), *[("packed", 2, {"email": email}) for email in ("a@x", "b@x", "c@x")])
    return workspace


def test_a_copy_says_what_it_is_and_happens_once(filled: Esb, server: redis.Redis) -> None:
    """Copies carry origin and source, keep arguments, times and message ids; copying again stores nothing."""
    done = filled("replay", "shop", "--to-uri", "copy")
    assert done.returncode == 0
    assert "4 events copied to copy" in done.stderr
    source, copy = filled.lines("tail", "shop", "--show-personal"), filled.lines("tail", "copy", "--show-personal")
    for old, new in zip(source, copy, strict=True):
        assert new["meta"]["origin"] == "copy"
        assert new["meta"]["linked"] == old["key"]
        assert new["meta"]["message_id"] == old["meta"]["message_id"]
        assert {k: new[k] for k in ("event", "version", "at", "args")} == {
            k: old[k] for k in ("event", "version", "at", "args")
        }
    again = filled("replay", "shop", "--to-uri", "copy")
    assert "0 events copied to copy, 4 were there already" in again.stderr
    assert server.xlen("copy") == 4


def test_a_slice_is_copied(filled: Esb, server: redis.Redis) -> None:
    """--since, --until and --event choose; counts come first."""
    keys = [event["key"].partition("/")[2] for event in filled.lines("tail", "shop")]
    done = filled("replay", "shop", "--since", keys[1], "--until", keys[2], "--event", "packed", "--to-uri", "copy")
    assert done.stderr.startswith("shop: 2 events")
    assert "2  packed v2" in done.stderr
    assert server.xlen("copy") == 2


def test_a_dry_run_only_counts(filled: Esb, server: redis.Redis) -> None:
    """--dry-run writes nothing, with or without a target."""
    before = server.dbsize()
    for target in ([], ["--to-uri", "copy"], ["--to-file", "x.jsonl"], ["--into", "shop_contracts:Count"]):
        done = filled("replay", "shop", "--dry-run", *target)
        assert done.returncode == 0
        assert "shop: 4 events" in done.stderr
        assert done.stdout == ""
    assert server.dbsize() == before
    assert not (filled.folder / "x.jsonl").exists()


def test_a_file_is_complete_or_not_there(filled: Esb) -> None:
    """JSON lines like everywhere, personal arguments masked; an existing file is never overwritten."""
    filled.ok("replay", "shop", "--to-file", "x.jsonl")
    lines = [json.loads(line) for line in (filled.folder / "x.jsonl").read_text().splitlines()]
    assert lines == filled.lines("tail", "shop")
    assert lines == filled.lines("replay", "shop", "--to-file", "-")
    assert "there already" in filled.fails(2, "replay", "shop", "--to-file", "x.jsonl")
    filled.ok("replay", "shop", "--to-file", "open.jsonl", "--show-personal")
    assert "ann@example.org" in (filled.folder / "open.jsonl").read_text()
    assert sorted(path.name for path in Path(filled.folder).glob("*.jsonl*")) == ["open.jsonl", "x.jsonl"]


def test_into_a_projection(filled: Esb) -> None:
    """A projection of the workspace gets every event of the range, in order, in the workspace's interpreter."""
    done = filled("replay", "shop", "--into", "shop_contracts:Count")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "seen a@x b@x c@x"
    assert "3 events replayed into Count, 1 do not concern it" in done.stderr


def test_into_a_consumer(filled: Esb, server: redis.Redis) -> None:
    """A consumer's handlers run, also those that acknowledge; no group appears."""
    done = filled("replay", "shop", "--into", "shop_contracts:Packer", "--event", "packed")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["packing a@x", "packing b@x", "packing c@x"]
    assert server.xinfo_groups("shop") == []


@pytest.mark.parametrize("where", ["args.count > `3`", "event == 'packed' && !(contains(args.email, '5'))", "args.x"])
def test_where_chooses_what_a_handler_gets(workspace: Esb, where: str) -> None:
    """Exactly the events that are counted reach the handler, over many pages, in order, with --event and a range."""
    events = [("packed", 2, {"email": f"{n}@x", "count": n % 7}) for n in range(1200)]
    keys = workspace.seed("shop", ("ordered", 1, ORDER | {"time": datetime.now(UTC)}), *events)
    words = ["shop", "--where", where, "--event", "packed", "--since", keys[3].partition("/")[2]]
    expected = [event["args"]["email"] for event in workspace.lines("replay", *words, "--to-file", "-")]
    done = workspace("replay", *words, "--into", "shop_contracts:Packer")
    assert done.returncode == 0, done.stderr
    assert [line.removeprefix("packing ") for line in done.stdout.splitlines()] == expected
    assert f"shop: {len(expected):,} event" in done.stderr
    assert f"{len(expected):,} events replayed into Packer" in done.stderr or not expected


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 3)), unique=True), st.data())
def test_named_events_are_found(entries: list[tuple[int, int]], data: st.DataObject) -> None:
    """Of the events that are there those are taken that are named, whatever was removed since they were named."""
    named = [entry for entry in sorted(entries) if data.draw(st.booleans())]
    there = [entry for entry in sorted(entries) if data.draw(st.booleans())]
    test = Named(f"{time}-{number}\n" for time, number in named)
    found = [entry for entry in there if test({"key": f"a/b/{entry[0]}-{entry[1]}"})]
    assert found == [entry for entry in there if entry in named]


def test_a_failing_handler_stops_the_replay(filled: Esb) -> None:
    """The first failure ends it with exit 1: where, why without argument values, and how to go on."""
    done = filled("replay", "shop", "--into", "shop_contracts:Broken")
    assert done.returncode == 1
    first = filled.lines("tail", "shop", "-e", "packed")[0]["key"]
    assert f"stopped at {first} (packed)" in done.stderr
    assert f"go on with --since {first.partition('/')[2]}" in done.stderr
    assert "a@x" not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopping_stops_the_handlers_too(filled: Esb, number: signal.Signals, code: int) -> None:
    """Ctrl-C (to the whole group) and SIGTERM (to `esb` alone) leave no process behind, and end quietly."""
    contracts = filled.folder / "shop_contracts.py"
    contracts.write_text(
        contracts.read_text()
        + """
class Slow(Shop[Consume]):
    async def packed(self, ctx: ConsumerContext, email: str, count: int = 1) -> None:
        import asyncio, os
        print(os.getpid(), flush=True)
        await asyncio.sleep(600)
"""
    )
    running = filled.start("replay", "shop", "--into", "shop_contracts:Slow")
    assert running.stdout is not None
    handler = int(running.stdout.readline())
    if number is signal.SIGINT:
        os.kill(handler, number)
    running.send_signal(number)
    _, said = running.communicate(timeout=30)
    assert running.returncode == code
    assert "Traceback" not in said
    with pytest.raises(ProcessLookupError):
        os.kill(handler, 0)


@pytest.mark.parametrize("target", ["nowhere:X", "shop_contracts:Nothing", "shop_contracts:Shop", "nonsense"])
def test_what_is_no_target_is_usage(filled: Esb, target: str) -> None:
    """A module, name or class that cannot take events is exit 2 in words."""
    assert "esb:" in filled.fails(2, "replay", "shop", "--into", target)


def test_a_stream_is_not_copied_to_itself(filled: Esb) -> None:
    """Source and target are two streams."""
    assert "to itself" in filled.fails(2, "replay", "shop", "--to-uri", "shop")


def test_what_cannot_be_read_is_not_copied_silently(filled: Esb, server: redis.Redis) -> None:
    """Unreadable entries are counted and named; the rest is copied; exit 1."""
    server.xadd("shop", {"junk": "x"})
    done = filled("replay", "shop", "--to-uri", "copy")
    assert done.returncode == 1
    assert "1  unreadable" in done.stderr
    assert "1 could not be copied; the first: shop/" in done.stderr
    assert server.xlen("copy") == 4
    assert filled("replay", "shop", "--into", "shop_contracts:Count").returncode == 5


def test_nothing_in_the_range_is_no_failure(filled: Esb) -> None:
    """An empty range is said, and is done."""
    done = filled("replay", "shop", "--until", "-1h", "--to-uri", "copy")
    assert done.returncode == 0
    assert "nothing to replay" in done.stderr


def test_copies_under_other_names(filled: Esb) -> None:
    """--map renames events, and arguments of events; --event and --where still speak of the old names."""
    done = filled("replay", "shop", "-e", "packed", "--map", "packed=boxed", "--to-uri", "copy")
    assert done.returncode == 0, done.stderr
    assert [(event["event"], event["args"]["email"]) for event in filled.lines("tail", "copy")] == [
        ("boxed", "a@x"), ("boxed", "b@x"), ("boxed", "c@x"),
    ]  # fmt: skip
    maps = ("--map", "packed=boxed", "--map", "packed.email=mail")
    filled.ok("replay", "shop", "--where", "args.email == 'b@x'", *maps, "--to-uri", "other")
    (event,) = filled.lines("tail", "other")
    assert (event["event"], event["args"]) == ("boxed", {"mail": "b@x"})
    clash = filled("replay", "shop", "-e", "ordered", "--map", "ordered.time=product", "--to-uri", "third")
    assert clash.returncode == 1
    assert "has an argument 'product' already" in clash.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["--map", "packed", "--to-uri", "copy"],
        ["--map", "packed.a.b=c", "--to-uri", "copy", "--map", "packed.=c"],
        ["--map", "a=b", "--map", "a=c", "--to-uri", "copy"],
        ["--map", "a=b", "--to-file", "x.jsonl"],
        ["--speed", "fast", "--to-uri", "copy"],
        ["--rate", "0", "--to-uri", "copy"],
        ["--resume", "--dry-run"],
        ["--resume", "--to-file", "-"],
    ],
)
def test_what_makes_no_sense_is_usage(filled: Esb, words: list[str], server: redis.Redis) -> None:
    """Options that contradict each other, or say nothing, are refused before anything is written."""
    filled.fails(2, "replay", "shop", *words)
    assert not server.exists("copy")


def test_a_file_goes_on_after_a_kill(esb: Esb, server: redis.Redis) -> None:
    """Killed in the middle and resumed, a file holds every line once, in order."""
    esb.seed("s", *[("e", 1, {"n": n}) for n in range(900)])
    running = esb.start("replay", "s", "--to-file", "x.jsonl", "--rate", "1000")
    part, deadline = esb.folder / ".x.jsonl.part", time.monotonic() + 60
    while not part.exists() or part.stat().st_size == 0:
        assert time.monotonic() < deadline, "it writes nothing"
        assert running.poll() is None, "it ended before it could be killed"
        time.sleep(0.01)
    running.kill()
    running.communicate()
    part.write_bytes(part.read_bytes()[:-3])  # as a full disk, or a machine that went down, may leave it
    done = esb("replay", "s", "--to-file", "x.jsonl", "--resume")
    assert done.returncode == 0, done.stderr
    assert "going on behind" in done.stderr
    assert "900 events written to x.jsonl" in done.stderr
    assert [json.loads(line)["args"]["n"] for line in (esb.folder / "x.jsonl").read_text().splitlines()] == [
        *range(900)
    ]
    del server


def test_only_a_target_that_knows_what_it_holds_goes_on(filled: Esb) -> None:
    """--resume --into: a projection with a stored checkpoint gets exactly the rest; any other target is refused."""
    contracts = filled.folder / "shop_contracts.py"
    contracts.write_text(
        contracts.read_text()
        + """
from esb_runtime import Position
from pathlib import Path

class Kept(Projection, Shop[Consume]):
    async def checkpoint(self) -> Position | None:
        return Position.parse(Path("kept").read_text()) if Path("kept").exists() else None
    async def save(self, position: Position) -> None:
        Path("kept").write_text(str(position))
    async def packed(self, ctx: ConsumerContext, email: str, count: int = 1) -> None:
        print("kept", email)
"""
    )
    last = filled.lines("tail", "shop", "-n", "2")[0]["key"].partition("/")[2]
    into = ("replay", "shop", "--into", "shop_contracts:Kept")
    assert filled.ok(*into, "--until", last).splitlines() == ["kept a@x", "kept b@x"]
    assert filled.ok(*into, "--resume", "--rate", "100").splitlines() == ["kept c@x"]
    assert "stores no checkpoint" in filled.fails(2, "replay", "shop", "--into", "shop_contracts:Packer", "--resume")


async def test_a_pace_bounds_events_by_number_and_by_time() -> None:
    """No event comes before it is due: n / rate seconds, or its distance to the first one divided by the speed."""
    times = [0, 0, 100, 300]
    events = [Stored(key=EventKey(stream="s", id=f"{5000 + at}-{n}")) for n, at in enumerate(times)]

    async def pages() -> AsyncIterator[list[Stored]]:
        yield events[:1]
        yield []
        yield events[1:]

    for pace, due in ((Pace(rate=20), [0.0, 0.05, 0.1, 0.15]), (Pace(speed=2), [0.0, 0.0, 0.05, 0.15])):
        began, seen = time.monotonic(), list[tuple[str, float]]()
        async for page in pace(pages()):
            seen += [(event.key.id, time.monotonic() - began) for event in page]
        assert [id_ for id_, _ in seen] == [event.key.id for event in events]
        assert all(at >= least for (_, at), least in zip(seen, due, strict=True))
