"""Databases: SQLite always, PostgreSQL where it is installed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from . import postgres
from .kit import engine_of, make_tables


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A server for this session; skips where none can run, and says why."""
    reason = postgres.why_not()
    if reason:
        pytest.skip(reason)
    with postgres.cluster() as url:
        yield url


@pytest_asyncio.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path / 'shop.db'}"
    server: str = request.getfixturevalue("postgres_url")
    name = f"t{uuid4().hex}"
    engine = create_async_engine(server, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(text(f"CREATE DATABASE {name}"))
    await engine.dispose()
    return server.replace("/postgres?", f"/{name}?")


@pytest_asyncio.fixture
async def engine(database: str) -> AsyncIterator[AsyncEngine]:
    """Connected, with all tables made."""
    engine = engine_of(database)
    await make_tables(engine)
    yield engine
    await engine.dispose()
