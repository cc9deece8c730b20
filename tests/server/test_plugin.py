"""The pytest plugin: a real server for a user's tests, and never somebody's data."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from esb_runtime._endpoint import Endpoint
from esb_runtime.testing import RedisServer
from esb_runtime.testing._launch import call

USERS_TESTS = """
import os
from esb_runtime.testing._launch import call

def test_first(redis_endpoint):
    assert os.environ["REDIS_EVENT_SOURCE_ENDPOINT"] == redis_endpoint.display
    call(redis_endpoint, "SET", "left", "over")

def test_second(redis_endpoint, redis_server):
    assert redis_server.endpoint is redis_endpoint
    assert call(redis_endpoint, "DBSIZE") == 0
    call(redis_endpoint, "SET", "left", "over")
"""


def run(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a user's tests with exactly these variables of ours."""
    (folder / "test_users.py").write_text(USERS_TESTS)
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("REDIS_EVENT", "PYTEST"))}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)],
        cwd=folder,
        env=environ | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_each_test_gets_an_empty_server(tmp_path: Path) -> None:
    """`redis_endpoint` is a real server without anything of the test before."""
    done = run(tmp_path)
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout


def test_the_working_server_is_never_touched(tmp_path: Path, redis_endpoint: Endpoint) -> None:
    """REDIS_EVENT_SOURCE_ENDPOINT is somebody's data: the fixtures start their own server beside it."""
    call(redis_endpoint, "SET", "precious", "1")
    assert run(tmp_path, REDIS_EVENT_SOURCE_ENDPOINT=redis_endpoint.display).returncode == 0
    assert call(redis_endpoint, "KEYS", "*") == [b"precious"]


def test_a_server_given_for_tests_is_used(tmp_path: Path, redis_endpoint: Endpoint) -> None:
    """REDIS_EVENT_SOURCE_TEST_ENDPOINT says which server tests may fill; only its database is emptied."""
    call(redis_endpoint, "SET", "precious", "1")
    done = run(tmp_path, REDIS_EVENT_SOURCE_TEST_ENDPOINT=f"{redis_endpoint.display}/3")
    assert done.returncode == 0, done.stdout
    assert call(redis_endpoint, "KEYS", "*") == [b"precious"]
    assert call(Endpoint.parse(f"{redis_endpoint.display}/3"), "KEYS", "*") == [b"left"]


def test_a_full_server_is_refused(tmp_path: Path, redis_endpoint: Endpoint) -> None:
    """A server given for tests that already holds something is left alone, and the error says so."""
    call(redis_endpoint, "SET", "precious", "1")
    done = run(tmp_path, REDIS_EVENT_SOURCE_TEST_ENDPOINT=redis_endpoint.display)
    assert "is not empty" in done.stdout
    assert call(redis_endpoint, "KEYS", "*") == [b"precious"]


def test_a_foreign_server_is_never_stopped(redis_server: RedisServer) -> None:
    """A server that somebody else runs survives `stop` and `kill`."""
    foreign = RedisServer.at(redis_server.endpoint)
    foreign.stop()
    foreign.kill()
    assert foreign.pid is None
    assert call(redis_server.endpoint, "PING") is True
