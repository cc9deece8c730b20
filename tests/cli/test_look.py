"""`esb get`, `esb ls`, `esb show` and `esb doctor`: what an operator looks at."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import redis
from command_kit import ORDER, Esb

from esb_runtime.testing import RedisServer


def test_get_shows_everything(workspace: Esb) -> None:
    """One event: key, times, metadata, arguments; personal ones masked, in every form."""
    key = workspace.ok("produce", "shop", "ordered", "--json", json.dumps(ORDER)).strip()
    (event,) = workspace.lines("get", key)
    assert event == workspace.lines("tail", "shop")[0]
    assert workspace.lines("get", key, "--show-personal")[0]["args"] == ORDER
    table = workspace.ok("get", key, "-o", "table")
    assert key in table
    assert "***" in table
    assert "ann@example.org" not in table
    assert workspace.ok("get", key, "-o", "raw").split("\t")[0] == key


def test_get_of_garbage_is_bad_data(esb: Esb, server: redis.Redis) -> None:
    """An entry that cannot be read is shown as far as it can be, with exit 5."""
    id_ = server.xadd("junk", {"hello": "world"})
    assert isinstance(id_, bytes)
    done = esb("get", f"junk/{id_.decode()}")
    assert done.returncode == 5
    assert json.loads(done.stdout)["meta"]["raw"] == {"hello": "world"}
    assert "not written by esb" in done.stderr


def test_ls_lists_streams_but_not_side_keys(esb: Esb, server: redis.Redis) -> None:
    """Streams by name with length, memory and ends; dead letters and payloads are esb's own."""
    esb.seed("b", ("e", 1, {"text": "x" * 5000}))
    esb.seed("a", ("e", 1, {}))
    esb.seed("prod:x", ("e", 1, {}))
    server.xadd("{a}:dlq:main", {"f": "1"})
    server.set("other", "text")
    listed = esb.lines("ls")
    assert [each["stream"] for each in listed] == ["a", "b", "prod:x"]
    assert listed[0]["events"] == 1
    assert listed[1]["memory"] > 5000
    assert listed[0]["first"] == listed[0]["last"]
    assert [each["stream"] for each in esb.lines("ls", "*", "--environment", "Production")] == ["prod:x"]
    assert [each["stream"] for each in esb.lines("ls", "[ab]")] == ["a", "b"]
    lines = esb.ok("ls", "-o", "table").splitlines()
    assert lines[0].split() == ["STREAM", "EVENTS", "MEMORY", "GROUPS", "FIRST", "LAST"]
    assert esb.ok("ls", "a", "-o", "raw").split("\t")[:2] == ["a", "1"]


def test_ls_of_an_empty_server(esb: Esb) -> None:
    """Nothing to list is no failure: stdout is empty, a note says how to begin."""
    done = esb("ls")
    assert (done.returncode, done.stdout) == (0, "")
    assert "no streams yet" in done.stderr


def test_show_groups_and_consumers(esb: Esb, server: redis.Redis) -> None:
    """Lag, pending, dead letters and consumers of each group; what nobody works on is pointed out."""
    esb.seed("s", *[("e", 1, {})] * 5)
    server.xgroup_create("s", "main", "0")
    server.xgroup_create("s", "idle", "$")
    server.xreadgroup("main", "worker-1", {"s": ">"}, count=2)
    server.xreadgroup("main", "worker-2", {"s": ">"}, count=1)
    server.set("{s}:live:main:worker-2", "1", px=60_000)
    server.xadd("{s}:dlq:main", {"f": "1"})
    (shown,) = esb.lines("show", "s")
    assert (shown["stream"], shown["events"]) == ("s", 5)
    idle, main = shown["groups"]
    assert (idle["group"], idle["lag"], idle["pending"], idle["consumers"]) == ("idle", 0, 0, [])
    assert (main["lag"], main["pending"], main["dead_letters"]) == (2, 3, 1)
    assert main["oldest_pending"] == shown["groups"][1]["oldest_pending"]
    assert {c["consumer"]: (c["pending"], c["alive"]) for c in main["consumers"]} == {
        "worker-1": (2, False),
        "worker-2": (1, True),
    }
    table = esb.ok("show", "s", "-o", "table")
    assert "waiting and no process alive" not in table
    assert "main: 1 dead letter; esb dlq list s main" in table
    server.delete("{s}:live:main:worker-2")
    assert "main: 5 events waiting and no process alive" in esb.ok("show", "s", "-o", "table")


def test_a_dead_group_that_holds_up_retention(esb: Esb, server: redis.Redis) -> None:
    """What consumers recorded about retention is seen by `show` and by `doctor`, with a remedy."""
    esb.seed("s", ("e", 1, {}))
    server.hset("{s}:retention", mapping={"keep": "604800000", "maxlen": "", "handled": "0", "pinned": "old"})
    (shown,) = esb.lines("show", "s")
    assert shown["retention"] == {"keep": 604800.0, "maxlen": None, "handled": False, "held_up_by": "old"}
    assert "old is dead and holds up retention" in esb.ok("show", "s", "-o", "table")
    assert checks(esb)["retention"]["remedy"].endswith("XGROUP DESTROY s old")


def test_show_of_a_foreign_stream(esb: Esb, server: redis.Redis) -> None:
    """A stream that esb did not write is shown as well as any."""
    server.xadd("foreign", {"a": "b"})
    (shown,) = esb.lines("show", "foreign")
    assert (shown["events"], shown["groups"]) == (1, [])
    assert "no consumer group yet" in esb.ok("show", "foreign", "-o", "table")


def checks(esb: Esb, *words: str, **variables: str) -> dict[str, dict[str, str]]:
    """The findings of `esb doctor` by name."""
    done = esb("doctor", *words, **variables)
    assert "Traceback" not in done.stderr
    return {line["check"]: line for line in map(json.loads, done.stdout.splitlines())}


def test_doctor_finds_all_well(esb: Esb, redis_server: RedisServer) -> None:
    """The embedded server has nothing to complain about: exit 0; it says which setting won."""
    found = checks(esb)
    assert {check["state"] for check in found.values()} == {"ok"}
    assert redis_server.endpoint.display in found["endpoint"]["found"]
    assert "from REDIS_EVENT_SOURCE_ENDPOINT" in found["endpoint"]["found"]
    assert "all well" in esb.ok("doctor", "-o", "table")


def test_doctor_has_a_remedy_for_each_finding(esb: Esb, server: redis.Redis) -> None:
    """A server set up badly: each finding names its remedy; a problem is exit 1."""
    before = {name: server.config_get(name)[name] for name in ("appendonly", "maxmemory-policy", "maxmemory")}
    small = server.config_get("hash-max-listpack-value")["hash-max-listpack-value"]
    try:
        for name, value in (("appendonly", "no"), ("maxmemory-policy", "allkeys-lru"), ("maxmemory", "1gb")):
            server.config_set(name, value)
        server.config_set("hash-max-listpack-value", "64")
        found = checks(esb)
        assert found["eviction"]["state"] == "problem"
        assert found["append-only"]["state"] == found["small hashes"]["state"] == "warning"
        assert all(found[name]["remedy"] for name in ("eviction", "append-only", "small hashes"))
        assert esb("doctor").returncode == 1
    finally:
        for name, value in (before | {"hash-max-listpack-value": small}).items():
            server.config_set(name, value)


def test_doctor_knows_what_a_user_may_not(esb: Esb, server: redis.Redis, redis_server: RedisServer) -> None:
    """Missing permissions are listed with the ACL rule that grants them."""
    server.acl_setuser(
        "narrow",
        enabled=True,
        passwords=["+Nn22-unseen"],
        keys=["*"],
        categories=["+@all"],
        commands=["-xclaim", "-copy"],
    )
    try:
        endpoint = redis_server.endpoint.display.replace("redis://", "redis://narrow@")
        found = checks(esb, "--endpoint", endpoint, REDIS_EVENT_SOURCE_PASS="Nn22-unseen")
        assert found["permissions"]["state"] == "problem"
        assert found["permissions"]["found"] == "user narrow may not run COPY, XCLAIM"
        assert found["permissions"]["remedy"] == "ACL SETUSER narrow +copy +xclaim"
    finally:
        server.acl_deluser("narrow")


def test_doctor_looks_at_the_workspace(workspace: Esb) -> None:
    """Workspace, interpreter, lock and template are checked; a missing lock has its command as remedy."""
    found = checks(workspace)
    assert found["workspace"]["found"] == str(workspace.folder)
    assert found["contract.lock"]["found"] == "3 events of 1 contract"
    (workspace.folder / "contract.lock").unlink()
    (workspace.folder / ".copier-answers.yml").write_text("_commit: v0.0.1\n_src_path: esb://template.git\n")
    found = checks(workspace)
    assert "python -m esb_runtime.lock shop_contracts --write contract.lock" in found["contract.lock"]["remedy"]
    assert found["template"]["remedy"] == "esb update"


def test_the_order_of_settings(workspace: Esb, redis_server: RedisServer) -> None:
    """--endpoint, the variable, the running embedded server, [tool.esb]: the first wins, and doctor says so."""
    here = redis_server.endpoint.display
    settings = workspace.folder / "pyproject.toml"
    settings.write_text(settings.read_text() + f'endpoint = "{here}"\n')
    nobody = {"REDIS_EVENT_SOURCE_ENDPOINT": ""}
    assert f"{here}, from [tool.esb] of here" in checks(workspace, **nobody)["endpoint"]["found"]
    with RedisServer.start(workspace.folder / ".esb", ends_with_process=True) as embedded:
        own = embedded.endpoint.display
        found = checks(workspace, **nobody)["endpoint"]["found"]
        assert found == f"{own}, from the embedded server of here (stronger than [tool.esb] of here)"
        found = checks(workspace)["endpoint"]["found"]
        weaker = "the embedded server of here and [tool.esb] of here"
        assert found == f"{here}, from REDIS_EVENT_SOURCE_ENDPOINT (stronger than {weaker})"
        assert f"{own}, from --endpoint" in checks(workspace, "--endpoint", own)["endpoint"]["found"]
        below = workspace.folder / "deep" / "down"
        below.mkdir(parents=True)
        inner = Esb(folder=below, home=workspace.home, variables=nobody)
        assert own in checks(inner)["endpoint"]["found"]
    assert here in checks(workspace, **nobody)["endpoint"]["found"]


def test_a_stale_state_file_is_no_server(workspace: Esb) -> None:
    """What a killed embedded server left behind does not count as running."""
    (workspace.folder / ".esb").mkdir()
    (workspace.folder / ".esb" / "server.json").write_text('{"endpoint": "redis://127.0.0.1:1"}')
    assert "esb dev" in workspace.fails(3, "ls", REDIS_EVENT_SOURCE_ENDPOINT="")


@pytest.mark.parametrize("text", ["[tool.esb\n", "\xff"])
def test_a_broken_pyproject(esb: Esb, text: str) -> None:
    """A pyproject.toml that is no TOML is exit 2 where it matters, and no workspace where it is no text."""
    (esb.folder / "pyproject.toml").write_bytes(text.encode("latin-1"))
    done = esb("ls", REDIS_EVENT_SOURCE_ENDPOINT="")
    assert done.returncode in {2, 3}
    assert "Traceback" not in done.stderr


def test_unix_sockets(esb: Esb, tmp_path: Path) -> None:
    """A unix socket is an endpoint like any other."""
    with RedisServer.start(tmp_path / "u", unix_socket=True, ends_with_process=True) as server:
        where = {"REDIS_EVENT_SOURCE_ENDPOINT": server.endpoint.display}
        key = esb.ok("produce", "s", "e", **where).strip()
        assert esb.lines("tail", "s", **where)[0]["key"] == key
