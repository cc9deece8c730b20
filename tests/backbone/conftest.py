"""Backbones on every kind of channel."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio

from esb_runtime import Backbone, Store
from esb_runtime._endpoint import Endpoint
from esb_runtime.testing import MemoryServer, RedisServer, memory_backbone

from .kit import client

Connect = Callable[[], Backbone]


@pytest_asyncio.fixture
async def raw(redis_endpoint: Endpoint) -> AsyncIterator[Any]:
    """A plain client of the real server."""
    async with client(redis_endpoint) as plain:
        yield plain


@pytest_asyncio.fixture(params=["redis", "inline", "memory"])
async def connect(request: pytest.FixtureRequest) -> AsyncIterator[Connect]:
    """Makes backbones that share one server, like processes: in Redis with either store, or in memory."""
    if request.param == "memory":
        server = MemoryServer()
        yield lambda: memory_backbone(server)
        return
    request.getfixturevalue("redis_endpoint")
    async with AsyncExitStack() as stack:

        def made() -> Backbone:
            backbone = Backbone.connect(store=Store(request.param))
            stack.push_async_callback(backbone.aclose)
            return backbone

        yield made


@pytest.fixture
def backbone(connect: Connect) -> Backbone:
    """One of them."""
    return connect()


@pytest.fixture(scope="session")
def locked_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """A server of its own that asks for the password `s3cret-word`."""
    folder = tmp_path_factory.mktemp("locked")
    with RedisServer.start(folder, password="s3cret-word", ends_with_process=True) as server:
        yield server.endpoint


@pytest.fixture
def dead_port() -> Iterator[str]:
    """A port where nobody answers."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def silent_port() -> Iterator[str]:
    """A port that takes connections and never says a word."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"127.0.0.1:{listening.getsockname()[1]}"
