"""The pytest plugin of esb: fixtures for tests against a real server and in memory.

It loads in every pytest run of a machine that has esb installed, so importing it costs next to nothing: what a fixture
needs is imported when a test asks for it.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .._clock import ManualClock
    from .._endpoint import Endpoint
    from ..memory import MemoryServer
    from ._embedded import RedisServer
    from ._memory import MemoryBackbone

pytest.register_assert_rewrite("esb_runtime.testing.conformance")
if TYPE_CHECKING or find_spec("pytest_asyncio"):
    from pytest_asyncio import fixture as async_fixture
else:
    async_fixture = pytest.fixture  # another plugin (anyio) takes care of asynchronous fixtures

TEST_ENDPOINT_VARIABLE = "REDIS_EVENT_SOURCE_TEST_ENDPOINT"
"""Names a Redis that tests may fill and empty. `REDIS_EVENT_SOURCE_ENDPOINT` is never touched by a test."""
TEST_PASSWORD_VARIABLE = "REDIS_EVENT_SOURCE_TEST_PASS"  # noqa: S105 - the name of the variable, not a password


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A real Redis for this test session, on a free port, gone with the session (one per xdist worker).

    With `REDIS_EVENT_SOURCE_TEST_ENDPOINT` set, that server is used instead: each worker takes one of its databases,
    counted from the endpoint's own, which must be empty. Skips nothing: without a server program the test fails, and
    the error names the ways to get one.
    """
    from ._embedded import RedisServer

    if os.environ.get(TEST_ENDPOINT_VARIABLE):
        yield RedisServer.at(_given_endpoint())
        return
    with RedisServer.start(tmp_path_factory.mktemp("redis"), ends_with_process=True) as server:
        yield server


@pytest.fixture
def redis_endpoint(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Endpoint:
    """The endpoint of `redis_server`, emptied for this test; `Backbone.connect()` without arguments finds it too."""
    redis_server.clear()
    monkeypatch.delenv("REDIS_EVENT_SOURCE_PASS", raising=False)
    for name, value in redis_server.environment().items():
        monkeypatch.setenv(name, value)
    return redis_server.endpoint


@pytest.fixture
def manual_clock() -> ManualClock:
    """Time that stands still until the test moves it; `MemoryServer(clock=manual_clock)` follows it."""
    from .._clock import ManualClock

    return ManualClock()


@pytest.fixture
def memory_server() -> MemoryServer:
    """The server behind `memory_backbone`; override this fixture to give it a clock."""
    from ..memory import MemoryServer

    return MemoryServer()


@async_fixture
async def memory_backbone(memory_server: MemoryServer) -> AsyncIterator[MemoryBackbone]:
    """A backbone whose streams live in this process: no server, no leftovers. See `esb_runtime.testing`."""
    from ._memory import memory_backbone as made

    async with made(memory_server) as backbone:
        yield backbone


def _given_endpoint() -> Endpoint:
    """The server that the tests may use, at the database of this worker; refused when something is in it."""
    from dataclasses import replace

    from .._endpoint import Endpoint
    from .._errors import UsageError
    from ._launch import call

    endpoint = Endpoint.parse(
        os.environ[TEST_ENDPOINT_VARIABLE], password=os.environ.get(TEST_PASSWORD_VARIABLE) or None
    )
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    endpoint = replace(endpoint, database=endpoint.database + worker)
    if call(endpoint, "DBSIZE"):
        raise UsageError(
            f"{TEST_ENDPOINT_VARIABLE}: database {endpoint.database} of {endpoint} is not empty, "
            "and tests empty what they use; name an empty one"
        )
    return endpoint
