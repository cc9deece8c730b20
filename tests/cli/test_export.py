"""`esb export` and `esb import`: a stream as a file, and the file as a stream."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import msgpack
import redis
from command_kit import Esb


def seeded(esb: Esb, stream: str, count: int) -> list[str]:
    """Keys of some events of two kinds."""
    return esb.seed(
        stream, *[(f"e{n % 2}", 1 + n % 3, {"n": n, "b": b"\xff", "f": float("inf")}) for n in range(count)]
    )


def whole(server: redis.Redis, stream: str) -> list[Any]:
    """Every entry of a stream without its id, and its payload without its place."""
    found: list[Any] = []
    for _, fields in server.xrange(stream):
        payload = server.hgetall(f"{{{stream}}}:p:{fields[b'i'].decode()}")
        payload.pop(b"@", None)
        found.append((fields, payload))
    return found


def test_a_stream_through_a_pipe_is_the_same_stream(esb: Esb, server: redis.Redis) -> None:
    """Entries and payloads are equal byte by byte, erased markers included; again stores nothing."""
    seeded(esb, "s", 1203)
    (_, fields) = server.xrange("s", count=1)[0]
    payload = f"{{s}}:p:{fields[b'i'].decode()}"
    server.hdel(payload, "n")
    server.hset(payload, "@x", msgpack.packb(["n"]))
    lines = esb.ok("export", "s")
    assert "1,203 events imported to copy" in esb("import", "copy", stdin=lines).stderr
    assert whole(server, "copy") == whole(server, "s")
    assert "0 events imported to copy, 1,203 were there already" in esb("import", "copy", stdin=lines).stderr
    assert server.xlen("copy") == 1203
    assert esb.lines("tail", "copy", "-n", "1203")[0]["meta"]["erased"] == ["n"]


def test_a_bad_line_stops_before_its_piece(esb: Esb, server: redis.Redis) -> None:
    """The line is named; nothing of its piece is stored; mended, the rest follows and nothing twice."""
    seeded(esb, "s", 700)
    lines = esb.ok("export", "s").splitlines()
    bad = [*lines[:650], '{"event": "secret"}', *lines[650:]]
    said = esb.fails(5, "import", "copy", stdin="\n".join(bad))
    assert "line 651:" in said
    assert "nothing is stored twice" in said
    assert server.xlen("copy") <= 650
    assert "700 events could be imported" in esb("import", "copy", "--dry-run", stdin="\n".join(lines)).stderr
    esb.ok("import", "copy", stdin="\n".join(lines))
    assert whole(server, "copy") == whole(server, "s")


def test_a_file_is_complete_or_goes_on(esb: Esb, server: redis.Redis) -> None:
    """An interrupted file lies beside, for its owner alone; --resume cuts a half line and misses nothing."""
    keys = seeded(esb, "s", 30)
    esb.ok("export", "s", "--to", "all.jsonl")
    text = (esb.folder / "all.jsonl").read_bytes()
    assert [json.loads(line)["key"] for line in text.splitlines()] == keys
    assert (esb.folder / "all.jsonl").stat().st_mode & 0o777 == 0o600
    assert "there already" in esb.fails(2, "export", "s", "--to", "all.jsonl", "--resume")
    half = esb.folder / ".half.jsonl.part"
    half.write_bytes(text[: len(text) // 2])
    esb.ok("export", "s", "--to", "half.jsonl", "--resume")
    assert (esb.folder / "half.jsonl").read_bytes() == text
    assert not half.exists()
    (esb.folder / ".other.jsonl.part").write_bytes(b'{"key": "other/1-0"}\n')
    assert "is not about s;" in esb.fails(5, "export", "s", "--to", "other.jsonl", "--resume")
    esb.ok("import", "copy", "--from", "half.jsonl")
    assert whole(server, "copy") == whole(server, "s")


def test_parts_are_exported_and_garbage_is_counted(esb: Esb, server: redis.Redis) -> None:
    """--since, --until, --event and --where choose; what cannot be read is named, and the exit code is 1."""
    keys = [key.partition("/")[2] for key in seeded(esb, "s", 10)]
    assert [line["args"]["n"] for line in esb.lines("export", "s", "--since", keys[7])] == [7, 8, 9]
    assert [line["args"]["n"] for line in esb.lines("export", "s", "--where", "args.n < `3`", "-e", "e0")] == [0, 2]
    server.xadd("s", {"hello": "world"})
    done = esb("export", "s")
    assert (done.returncode, len(done.stdout.splitlines())) == (1, 10)
    assert "1 event left out, as unreadable; the first: s/" in done.stderr
    hint = done.stderr.rpartition(": esb ")[2].split()
    assert [event["meta"]["raw"] for event in esb.lines(*hint)] == [{"hello": "world"}]


def test_a_reader_that_leaves_and_a_missing_stream(esb: Esb) -> None:
    """A closed pipe ends quietly; a missing stream or file is said."""
    seeded(esb, "s", 3000)
    command = " ".join(esb.command("export", "s"))
    done = subprocess.run(
        f"{command} | head -n 1", shell=True, cwd=esb.folder, env=esb.environment(), capture_output=True, text=True
    )
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == ""
    esb.fails(4, "export", "nothing")
    assert "No such file" in esb.fails(2, "import", "copy", "--from", "nothing.jsonl")


def test_an_interrupted_copy_goes_on_where_the_target_ends(esb: Esb, server: redis.Redis) -> None:
    """--resume: the target says how far the copy came; strangers' events in it do not matter."""
    keys = seeded(esb, "s", 20)
    esb.ok("replay", "s", "--to-uri", "copy", "--until", keys[11].partition("/")[2])
    seeded(esb, "copy", 3)
    done = esb("replay", "s", "--to-uri", "copy", "--resume")
    assert "8 events copied" in done.stderr
    linked = [line["meta"].get("linked") for line in esb.lines("tail", "copy", "-n", "100")]
    assert [key for key in linked if key] == keys
    assert "nothing to replay" in esb("replay", "s", "--to-uri", "copy", "--resume").stderr
    assert "can be gone on with" in esb.fails(2, "replay", "s", "--to-file", "-", "--resume")
