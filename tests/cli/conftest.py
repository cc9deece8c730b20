"""Fixtures of the command line's tests."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import redis
from command_kit import SHOP, Esb

from esb_runtime.testing import RedisServer


@pytest.fixture
def server(redis_server: RedisServer) -> Iterator[redis.Redis]:
    """An empty server."""
    redis_server.clear()
    endpoint = redis_server.endpoint
    client = redis.Redis(host=endpoint.host or "", port=endpoint.port, db=endpoint.database, password=endpoint.password)
    yield client
    client.close()


@pytest.fixture
def esb(redis_server: RedisServer, server: redis.Redis, tmp_path: Path) -> Esb:
    """`esb` in an empty folder, with an empty server in the environment."""
    del server
    (tmp_path / "home").mkdir()
    (tmp_path / "here").mkdir()
    return Esb(folder=tmp_path / "here", home=tmp_path / "home", variables=redis_server.environment())


@pytest.fixture(scope="session")
def shop_lock(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The contract lock of `SHOP`."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "shop_contracts.py").write_text(SHOP)
    words: Sequence[str] = [sys.executable, "-m", "esb_runtime.lock", "shop_contracts"]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.fixture
def workspace(esb: Esb, shop_lock: str) -> Esb:
    """`esb` inside a workspace with a contract."""
    (esb.folder / "pyproject.toml").write_text('[tool.esb]\ncontracts = ["shop_contracts"]\nsources = ["."]\n')
    (esb.folder / "shop_contracts.py").write_text(SHOP)
    (esb.folder / "contract.lock").write_text(shop_lock)
    return esb
