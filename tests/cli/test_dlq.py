"""`esb dlq`: what a group gave up on, seen, replayed and purged from the shell; counted from Redis itself."""

from __future__ import annotations

import json
import os
import pty
from typing import Any

import pytest
import redis
from command_kit import Esb
from group_kit import consume, packed


def side_keys(server: redis.Redis) -> list[str]:
    """The keys of dead letters."""
    keys: Any = server.keys("{shop}:dlq*")
    return sorted(key.decode() for key in keys)


def test_list_and_show(workspace: Esb, server: redis.Redis) -> None:
    """Letters are found by event, time, reason and id; one is shown with everything, in every form."""
    keys = workspace.seed("shop", packed(1), ("other", 1, {}), packed(2))
    server.xadd("shop", {"hello": "world"})
    consume(workspace, broken=True)
    found = workspace.lines("dlq", "list", "shop", "main")
    assert [each["event"]["key"] for each in found[:3]] == keys
    assert [each["event"]["event"] for each in found] == ["packed", "other", "packed", ""]
    assert found[0]["reason"] == "ValueError: no parcel for ***"
    assert (found[0]["attempts"], found[0]["event"]["args"]) == (1, {"email": "ann1@example.org", "count": 1})
    assert "Traceback" in found[0]["traceback"] or "raise ValueError" in found[0]["traceback"]
    assert found[3]["event"]["meta"]["raw"] == {"hello": "world"}

    def ids(*words: str) -> list[str]:
        return [each["id"] for each in workspace.lines("dlq", "list", "shop", "main", *words)]

    assert ids("--event", "packed") == [found[0]["id"], found[2]["id"]]
    assert ids("--reason", "NOT written by esb") == [found[3]["id"]]
    assert ids("--since", found[1]["id"], "--until", found[2]["id"]) == [found[1]["id"], found[2]["id"]]
    assert ids("--limit", "1") == [found[0]["id"]]
    assert ids("--where", "args.count == `2`") == [found[2]["id"]]
    assert ids("--where", "event == 'packed' && args.email != 'ann2@example.org'") == [found[0]["id"]]
    assert ids("--where", "meta.raw.hello == 'world'") == [found[3]["id"]]
    assert "there is no 'count'" in workspace.fails(2, "dlq", "list", "shop", "main", "--where", "count == `2`")
    table = workspace.ok("dlq", "list", "shop", "main", "-o", "table").splitlines()
    assert table[0].split() == ["ID", "SINCE", "EVENT", "TRIES", "REASON"]
    assert len(table) == 5
    assert workspace.ok("dlq", "list", "shop", "main", "-o", "raw").split("\t")[0] == found[0]["id"]
    for name in (found[0]["id"], keys[0], keys[0].split("/")[1]):
        assert workspace.lines("dlq", "show", "shop", "main", name) == [found[0]]
    text = workspace.ok("dlq", "show", "shop", "main", found[0]["id"], "-o", "table")
    for word in ("no parcel for ***", "ann1@example.org", "raise ValueError", "arguments", keys[0]):
        assert word in text
    assert "hello" in workspace.ok("dlq", "show", "shop", "main", found[3]["id"], "-o", "table")


def test_personal_arguments_are_masked(workspace: Esb) -> None:
    """What the lock calls personal is hidden unless it is asked for."""
    workspace.seed("shop", ("ordered", 1, {"user": {"name": "Ann"}, "product": "jeans"}))
    consume(workspace, broken=True)
    (found,) = workspace.lines("dlq", "list", "shop", "main")
    assert found["event"]["args"] == {"user": "***", "product": "jeans"}
    assert "Ann" not in workspace.ok("dlq", "show", "shop", "main", found["id"], "-o", "table")
    (shown,) = workspace.lines("dlq", "show", "shop", "main", found["id"], "--show-personal")
    assert shown["event"]["args"]["user"] == {"name": "Ann"}


def test_replay(workspace: Esb, server: redis.Redis) -> None:
    """Dry run, replay, count: this group handles each once with fresh attempts, no other group sees any of it."""
    workspace.seed("shop", *[packed(n) for n in range(5)])
    consume(workspace, broken=True)
    other = consume(workspace, group="other")
    words = ("dlq", "replay", "shop", "main")
    (planned,) = workspace.lines(*words, "--dry-run")
    assert len(workspace.lines("dlq", "list", "shop", "main")) == 5
    assert "pass --yes" in workspace.fails(2, *words)
    (done,) = workspace.lines(*words, "--yes")
    assert done | planned | {"dry_run": False} == done, "what the dry run says is what happens"
    assert (done["letters"], done["returned"], done["copied"]) == (5, 5, 0)
    assert side_keys(server) == []
    handler = consume(workspace)
    assert handler.seen == [(f"ann{n}@example.org", 1) for n in range(5)]
    assert len(other.seen) == 5
    assert consume(workspace, group="other").seen == []
    assert server.xlen("shop") == len(list(server.scan_iter("{shop}:p:*"))) == 5


def test_replay_of_trimmed_events(workspace: Esb, server: redis.Redis) -> None:
    """Events whose entries are gone come as copies that nobody else sees, and nothing is left behind."""
    workspace.seed("shop", *[packed(n) for n in range(3)])
    consume(workspace, broken=True)
    server.xtrim("shop", maxlen=0, approximate=False)
    for key in server.scan_iter("{shop}:p:*"):
        server.delete(key)
    assert "copies" in workspace.ok("dlq", "replay", "shop", "main", "--yes", "-o", "table")
    assert side_keys(server) == []
    assert workspace.ok("tail", "shop") == ""
    assert consume(workspace, group="later").seen == []
    assert [email for email, _ in consume(workspace).seen] == [f"ann{n}@example.org" for n in range(3)]


def test_what_cannot_be_handled_lands_there_again(workspace: Esb, server: redis.Redis) -> None:
    """Poison of every kind is replayed once, and is a dead letter again with its fields: no loop, nothing orphaned."""
    keys = workspace.seed("shop", packed(1), packed(2), ("unknown", 9, {}))
    payloads = [f"{{shop}}:p:{workspace.lines('get', key)[0]['meta']['message_id']}" for key in keys[:2]]
    server.xadd("shop", {"hello": "world"})
    server.xadd("shop", {"f": "1", "e": b"\xff", "v": "x"})
    server.delete(*payloads)
    server.set(payloads[1], "no hash")
    consume(workspace, broken=True)
    before = workspace.lines("dlq", "list", "shop", "main")
    assert len(before) == 5
    assert {each["event"]["meta"].get("raw", {}).get("e") for each in before[:2]} == {"packed"}
    (done,) = workspace.lines("dlq", "replay", "shop", "main", "--yes")
    assert done["returned"] == 5
    consume(workspace)
    after = workspace.lines("dlq", "list", "shop", "main")
    assert [each["reason"] for each in after] == [each["reason"] for each in before]
    assert [each["event"]["key"] for each in after] == [each["event"]["key"] for each in before]
    assert workspace.lines("dlq", "purge", "shop", "main", "--yes")[0]["purged"] == 5
    assert side_keys(server) == []


def test_purge(workspace: Esb, server: redis.Redis) -> None:
    """The dry run counts what the real run deletes; the payloads go too, the stream stays as it is."""
    keys = workspace.seed("shop", *[packed(n) for n in range(4)])
    consume(workspace, broken=True)
    words = ("dlq", "purge", "shop", "main", keys[0], keys[2], "--where", "args.count < `3`")
    (planned,) = workspace.lines(*words, "--dry-run")
    assert "pass --yes" in workspace.fails(2, *words)
    (done,) = workspace.lines(*words, "--yes")
    assert planned == done | {"dry_run": True}
    assert done["purged"] == 2
    assert [each["event"]["key"] for each in workspace.lines("dlq", "list", "shop", "main")] == [keys[1], keys[3]]
    assert len(side_keys(server)) == 3
    assert server.xlen("shop") == 4
    assert "no dead letter" in workspace.fails(4, *words, "--yes")


def test_what_is_not_there(workspace: Esb) -> None:
    """A missing stream, group or letter is exit 4 with what there is; an empty list is none."""
    workspace.seed("shop", packed(1))
    consume(workspace)
    assert workspace.lines("dlq", "list", "shop", "main") == []
    assert "main" in workspace.fails(4, "dlq", "list", "shop", "mian")
    assert "shop" in workspace.fails(4, "dlq", "list", "shpo", "main")
    workspace.fails(4, "dlq", "show", "shop", "main", "1-0")
    assert workspace.lines("dlq", "replay", "shop", "main", "--yes")[0]["letters"] == 0


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 130), ("\n", 130)])
def test_asking_on_a_terminal(workspace: Esb, answer: str, code: int) -> None:
    """On a terminal the question names how many of what; only a yes goes on."""
    workspace.seed("shop", packed(1))
    consume(workspace, broken=True)
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(workspace.folder)
        command = workspace.command("dlq", "purge", "shop", "main")
        os.execve(command[0], command, workspace.environment())
    shown = b""
    while b"[y/N]" not in shown:
        shown += os.read(terminal, 4096)
    assert b"Purge 1 dead letter of main of shop?" in shown
    os.write(terminal, answer.encode())
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == code
    assert len(workspace.lines("dlq", "list", "shop", "main")) == (0 if code == 0 else 1)


def test_json_is_one_object_per_line(workspace: Esb) -> None:
    """Each line stands for itself."""
    workspace.seed("shop", packed(1), packed(2))
    consume(workspace, broken=True)
    lines = workspace.ok("dlq", "list", "shop", "main").splitlines()
    assert [json.loads(line)["attempts"] for line in lines] == [1, 1]
