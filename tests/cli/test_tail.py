"""`esb tail`: the last events, the whole of a range, and what comes next."""

from __future__ import annotations

import json
import os
import re
import subprocess
from datetime import UTC, datetime
from typing import IO, Any

import msgpack
import pytest
import redis
from command_kit import ORDER, Esb, next_millisecond

from esb_runtime.testing import RedisServer


def produced(esb: Esb, stream: str, count: int, event: str = "e") -> list[str]:
    """Keys of some plain events."""
    return esb.seed(stream, *[(event, 1, {"n": n}) for n in range(count)])


def read(stream: IO[str] | None) -> str:
    """The next line."""
    assert stream is not None
    return stream.readline()


def test_the_last_ten_and_any_number(esb: Esb) -> None:
    """Ten by default, -n for more or fewer, in stream order; -n 0 is none."""
    keys = produced(esb, "s", 15)
    assert [line["key"] for line in esb.lines("tail", "s")] == keys[-10:]
    assert [line["args"]["n"] for line in esb.lines("tail", "s", "-n", "3")] == [12, 13, 14]
    assert esb.lines("tail", "s", "-n", "0") == []
    assert len(esb.lines("tail", "s", "-n", "500")) == 15


def test_ranges_are_shown_whole(esb: Esb) -> None:
    """With --since or --until the whole range is shown, bounds included; -n keeps its last ones."""
    keys = produced(esb, "s", 30)
    ids = [key.partition("/")[2] for key in keys]
    assert [e["key"] for e in esb.lines("tail", "s", "--since", ids[2], "--until", ids[20])] == keys[2:21]
    assert [e["key"] for e in esb.lines("tail", "s", "--since", "-1h", "-n", "2")] == keys[-2:]
    assert len(esb.lines("tail", "s", "--since", "start")) == 30
    assert esb.lines("tail", "s", "--since", "end") == []
    assert esb.lines("tail", "s", "--until", "-1h") == []


def test_only_some_events(esb: Esb) -> None:
    """--event filters, several times for several names, also among many others."""
    produced(esb, "s", 3, "a")
    produced(esb, "s", 700, "b")
    produced(esb, "s", 2, "c")
    assert [e["event"] for e in esb.lines("tail", "s", "-e", "a")] == ["a"] * 3
    assert [e["args"]["n"] for e in esb.lines("tail", "s", "-e", "a", "-n", "1")] == [2]
    assert [e["event"] for e in esb.lines("tail", "s", "--event", "a", "--event", "c", "--since", "start")] == [
        "a", "a", "a", "c", "c",
    ]  # fmt: skip
    assert esb.lines("tail", "s", "-e", "zzz") == []


def test_several_streams_are_merged_in_time_order(esb: Esb, server: redis.Redis) -> None:
    """Streams are merged by the server's time; the same stream twice is once; -n counts all together."""
    first = produced(esb, "a", 2)
    next_millisecond(server)
    second = produced(esb, "b", 2)
    next_millisecond(server)
    third = produced(esb, "a", 1)
    expected = [*first, *second, *third]
    assert [e["key"] for e in esb.lines("tail", "a", "b", "a", "--since", "start")] == expected
    assert [e["key"] for e in esb.lines("tail", "b", "a", "-n", "3")] == expected[-3:]
    assert [e["key"] for e in esb.lines("tail", "[ab]", "--since", "start")] == expected
    assert "no stream matches" in esb.fails(4, "tail", "z*")


def test_every_line_is_one_json_object(esb: Esb, server: redis.Redis) -> None:
    """Whatever the stream holds, `-o json` is one valid object per line, in every locale."""
    fill_with_garbage(server)
    esb.ok("produce", "junk", "fine", "--arg", "text=Zoë\n\x1b[2J\u2028 😀")
    for locale in ("C.UTF-8", "C", "POSIX"):
        done = subprocess.run(
            esb.command("tail", "junk", "-o", "json", "--since", "start"),
            cwd=esb.folder, env=esb.environment(LANG=locale), capture_output=True, check=True, timeout=60,
        )  # fmt: skip
        documents = [json.loads(line) for line in done.stdout.splitlines()]
        assert len(documents) == server.xlen("junk")
        assert documents[-1]["args"]["text"] == "Zoë\n\x1b[2J\u2028 😀"
        assert b"\x1b" not in done.stdout
        if locale != "C.UTF-8":
            done.stdout.decode("ascii")


def fill_with_garbage(server: redis.Redis) -> None:
    """Entries that esb did not write, or that somebody damaged."""
    whole = {"f": 1, "e": "x", "v": 1, "i": "gone", "t": 1_700_000_000_000_000}
    server.xadd("junk", {"hello": "\x1b[31mworld", b"\xff\xfe": b"\x00\x9b"})
    server.xadd("junk", {"f": 1})
    server.xadd("junk", {"f": 99, "e": "later"})
    server.xadd("junk", {"f": "one"})
    server.xadd("junk", whole)
    server.xadd("junk", {**whole, "v": "many"})
    server.xadd("junk", {**whole, "t": 10**25, "i": "far"})
    server.xadd("junk", {**whole, "d": b"\xc1\xc1"})
    server.xadd("junk", {**whole, "s": "s3"})
    server.xadd("junk", {**whole, "s": ":", ":a": b"\x81\xa1a"})
    server.xadd("junk", {**whole, "i": "text"})
    server.set("{junk}:p:text", "not a hash")
    server.xadd("junk", {**whole, "i": "raw"})
    server.hset("{junk}:p:raw", mapping={"@": "1-0", "a": b"\xc1", "b": msgpack.packb(msgpack.ExtType(5, b"x"))})
    server.hset("{junk}:p:far", mapping={"@": "1-0", "a": msgpack.packb(1)})
    server.xadd("junk", {b"e": b"\xff"})


def test_garbage_is_shown_as_such(esb: Esb, server: redis.Redis) -> None:
    """A stream not written by esb, damaged entries and lost payloads: words for each, exit 0, no control character."""
    fill_with_garbage(server)
    events = esb.lines("tail", "junk", "--since", "start")
    problems = [event["meta"].get("problem", "") for event in events]
    assert "not written by esb" in problems[0]
    assert "lacks its field" in problems[1]
    assert "version 99" in problems[2]
    assert "gone" in problems[4]
    assert "store 's3'" in problems[8]
    assert all(problems[:6])
    assert all(event["args"] is None for event, problem in zip(events, problems, strict=True) if problem)
    table = esb.ok("tail", "junk", "--since", "start", "-o", "table")
    assert "not written by esb" in table
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", table)


@pytest.mark.parametrize("where", ["args.a == `1`", "!(args.a)", "args.a || args.b", "event == 'e' && args.b"])
def test_where_judges_garbage_as_it_is_shown(esb: Esb, server: redis.Redis, where: str) -> None:
    """Only arguments that an expression looks at are fetched first: lost, damaged and foreign ones count as null."""
    fill_with_garbage(server)
    produced(esb, "junk", 2)
    esb.seed("junk", ("e", 1, {"a": 1, "b": None}), ("e", 1, {"a": 1, "b": "x"}))

    def holds(event: dict[str, Any]) -> bool:
        a, b = ((event["args"] or {}).get(name) for name in "ab")
        return {
            "args.a == `1`": a == 1,
            "!(args.a)": not (a or a == 0),
            "args.a || args.b": bool(a or b or a == 0),
            "event == 'e' && args.b": event["event"] == "e" and bool(b),
        }[where]

    everything = esb.lines("tail", "junk", "--since", "start")
    found = esb.lines("tail", "junk", "--since", "start", "--where", where)
    assert [event["key"] for event in found] == [event["key"] for event in everything if holds(event)]


def test_no_payload_leaves_arguments_out(esb: Esb, server: redis.Redis) -> None:
    """--no-payload reads entries only: lost payloads do not matter."""
    (key,) = produced(esb, "s", 1)
    for payload in server.keys("{s}:p:*"):
        server.delete(payload)
    (event,) = esb.lines("tail", "s", "--no-payload")
    assert (event["key"], event["args"]) == (key, None)
    assert "problem" not in event["meta"]
    assert "problem" in esb.lines("tail", "s")[0]["meta"]


def test_personal_arguments_are_masked(workspace: Esb) -> None:
    """In a workspace personal arguments are hidden unless they are asked for."""
    workspace.ok("produce", "shop", "ordered", "--json", json.dumps(ORDER))
    assert "ann@example.org" not in workspace.ok("tail", "shop") + workspace.ok("tail", "shop", "-o", "table")
    (event,) = workspace.lines("tail", "shop", "--show-personal")
    assert event["args"] == ORDER
    assert event["meta"]["ordering_key"] == "ann@example.org"


def test_environments_are_streams_of_their_own(esb: Esb) -> None:
    """--environment prefixes the uri as the library does."""
    produced(esb, "prod:s", 1)
    assert len(esb.lines("tail", "s", "--environment", "Production")) == 1
    esb.fails(4, "tail", "s")


def test_following_goes_on_where_history_ended(esb: Esb) -> None:
    """-f shows each new event once, of the events asked for, as it comes."""
    produced(esb, "s", 3)
    following = esb.start("tail", "s", "-f", "-n", "1", "-e", "e", "-e", "late")
    assert json.loads(read(following.stdout))["args"] == {"n": 2}
    produced(esb, "s", 600, "other")
    keys = produced(esb, "s", 2, "late")
    assert [json.loads(read(following.stdout))["key"] for _ in keys] == keys
    following.terminate()
    following.communicate(timeout=10)


def test_following_several_streams(esb: Esb) -> None:
    """-f on several streams shows the events of all."""
    produced(esb, "a", 1)
    produced(esb, "b", 1)
    following = esb.start("tail", "a", "b", "-f", "-n", "0")
    seen: list[str] = []
    while not seen:  # it may not have begun to follow when the first event comes
        produced(esb, "b", 1)
        seen += [json.loads(line)["key"] for line in ready(following)]
    keys = produced(esb, "a", 1) + produced(esb, "b", 1)
    while not {*keys} <= {*seen}:
        seen.append(json.loads(read(following.stdout))["key"])
    assert len(seen) == len(set(seen))
    following.terminate()
    following.communicate(timeout=10)


def ready(process: subprocess.Popen[str]) -> list[str]:
    """The next line, when there is one within a second."""
    import select

    assert process.stdout is not None
    return [process.stdout.readline()] if select.select([process.stdout], [], [], 1)[0] else []


def test_following_survives_cut_connections_and_a_restart(esb: Esb, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Killed connections and a restarted server: no event is missed, none repeated, two words on stderr."""
    folder = tmp_path_factory.mktemp("restarted")
    with RedisServer.start(folder, ends_with_process=True) as server:
        esb.variables |= server.environment()
        keys = produced(esb, "s", 1)
        following = esb.start("tail", "s", "-f")
        seen = [json.loads(read(following.stdout))["key"]]
        client = redis.Redis(host=server.endpoint.host or "", port=server.endpoint.port)
        for _ in range(3):
            client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            keys += produced(esb, "s", 2)
            seen += [json.loads(read(following.stdout))["key"] for _ in range(2)]
        client.close()
        server.stop()
        assert "waiting for it" in until(following, "waiting for it")
        with RedisServer.start(folder, ends_with_process=True):
            keys += produced(esb, "s", 2)
            seen += [json.loads(read(following.stdout))["key"] for _ in range(2)]
            assert seen == keys
            following.terminate()
            out, _ = following.communicate(timeout=10)
            assert out == ""


def test_following_waits_for_streams_that_appear_later(esb: Esb) -> None:
    """A named stream that is not there yet, and new matches of a pattern, are followed from their first event."""
    esb.fails(4, "tail", "later")
    following = esb.start("tail", "later", "shop.*", "-f")
    assert "waiting for it" in until(following, "waiting for it")
    keys = produced(esb, "later", 2)
    assert [json.loads(read(following.stdout))["key"] for _ in keys] == keys
    keys = produced(esb, "shop.a", 2)
    assert [json.loads(read(following.stdout))["key"] for _ in keys] == keys
    following.terminate()
    following.communicate(timeout=10)


def until(process: subprocess.Popen[str], words: str) -> str:
    """What it says on stderr, up to these words."""
    said = ""
    while words not in said:
        line = read(process.stderr)
        assert line, said
        said += line
    return said


def test_a_terminal_gets_a_table(esb: Esb) -> None:
    """On a terminal of 80 columns: colour, one table, nothing wider; the key's stream and the date once."""
    import fcntl
    import pty
    import struct
    import termios

    esb.ok("produce", "s", "ordered", "--arg", f"text={'word ' * 60}")
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environment = esb.environment(TERM="xterm")
    subprocess.run(
        esb.command("tail", "s"), cwd=esb.folder, env=environment, stdout=theirs, stdin=theirs, check=True, timeout=60
    )
    os.close(theirs)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert "\x1b[" in shown
    lines = re.sub(r"\x1b\[[\d;]*m", "", shown).splitlines()
    assert str(datetime.now(UTC).year) in lines[0]
    assert "ordered" in lines[1]
    assert max(map(len, lines)) <= 80


def test_no_color_and_narrow(esb: Esb) -> None:
    """NO_COLOR has no escape at all; COLUMNS=40 has no wider line."""
    esb.ok("produce", "s", "ordered", "--arg", f"text={'word ' * 60}")
    shown = esb.ok("tail", "s", "-o", "table", NO_COLOR="1", FORCE_COLOR="1", COLUMNS="40")
    assert "\x1b" not in shown
    assert max(map(len, shown.splitlines())) <= 40
    assert "\x1b[" in esb.ok("tail", "s", "-o", "table", FORCE_COLOR="1")
    assert "\x1b" not in esb.ok("tail", "s", "-o", "table")
