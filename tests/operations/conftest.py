"""What the tests of operations share: a server that is empty at first."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from esb_runtime.operations import Operations
from esb_runtime.redis._connection import Connection
from esb_runtime.testing import RedisServer


@pytest.fixture
async def raw(redis_server: RedisServer) -> AsyncIterator[Connection]:
    """Plain commands on the same server."""
    connection = Connection(redis_server.endpoint)
    yield connection
    await connection.aclose()


@pytest.fixture
async def operations(redis_server: RedisServer) -> AsyncIterator[Operations]:
    """Operations on an empty server."""
    redis_server.clear()
    endpoint = redis_server.endpoint
    made = await Operations.connect(endpoint=endpoint.display, password=endpoint.password)
    yield made
    await made.aclose()
