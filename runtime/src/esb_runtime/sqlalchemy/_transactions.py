"""What a user's transaction is, and what can be wrong with it."""

from __future__ import annotations

from sqlalchemy import Dialect, MetaData, Table
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

from .._errors import UsageError

Transaction = AsyncSession | AsyncConnection
"""A session or a connection whose transaction the user begins and commits."""


def dialect_of(session: Transaction, table: Table) -> Dialect:
    """The database that a table's statements go to. Raises `UsageError` where each statement commits itself."""
    bind = session.sync_connection if isinstance(session, AsyncConnection) else session.get_bind(clause=table)
    if bind is None:
        raise UsageError("the connection was not opened: write `async with engine.begin() as connection`")
    chosen = bind.get_execution_options().get("isolation_level")
    # what create_async_engine(isolation_level=...) was given stands nowhere else
    chosen = chosen or getattr(bind.dialect, "_on_connect_isolation_level", None)
    if chosen == "AUTOCOMMIT":
        raise UsageError(
            f"the session commits each statement by itself (AUTOCOMMIT), so a row of {table.name} would stand without "
            "its effects after a crash: use a session with transactions"
        )
    return bind.dialect


def explained(error: DBAPIError, table: Table) -> Exception:
    """The error to raise instead: in words that help where the table is missing, else the same one."""
    words = str(error.orig)
    if table.name in words and ("no such table" in words or "does not exist" in words):
        return UsageError(
            f"the database has no table {table.fullname}: create it by a migration (inbox_table and "
            "outbox_table add it to your MetaData), or once with `await create_tables(engine)`"
        )
    return error


async def create_tables(where: AsyncEngine | AsyncConnection, metadata: MetaData | None = None) -> None:
    """Create what is missing of the inbox and the outbox, or of the tables of a `metadata`; for tests and first steps.

    Where migrations rule, add the tables to the metadata they look at instead (`inbox_table`, `outbox_table`).
    """
    from ._inbox import INBOX
    from ._outbox import OUTBOX

    for wanted in (metadata,) if metadata is not None else (INBOX.metadata, OUTBOX.metadata):
        if isinstance(where, AsyncConnection):
            await where.run_sync(wanted.create_all)
        else:
            async with where.begin() as connection:
                await connection.run_sync(wanted.create_all)
