"""The inbox: which events' effects are in the database already."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast

from sqlalchemy import (
    BigInteger,
    Column,
    CursorResult,
    DateTime,
    Index,
    MetaData,
    Table,
    Text,
    delete,
    select,
    tuple_,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

from .._envelope import Metadata
from .._errors import UsageError
from ._transactions import Transaction, dialect_of, explained

_INSERTS: dict[str, Any] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}


def inbox_table(metadata: MetaData, *, name: str = "esb_inbox", schema: str | None = None) -> Table:
    """Add the inbox to your own metadata, so that your migrations create it.

    One row per event whose effects a group has written: the group, the stream, the message id (the same id in another
    stream is another event) and the group's epoch. Under a name or schema of your own, give the table to `ctx.once`.
    """
    return Table(
        name,
        metadata,
        Column("consumer_group", Text, primary_key=True),
        Column("stream", Text, primary_key=True),
        Column("message_id", Text, primary_key=True),
        Column("epoch", BigInteger, primary_key=True),
        Column("handled_at", DateTime(timezone=True), nullable=False),
        Index(f"ix_{name}_handled_at", "handled_at"),
        schema=schema,
    )


INBOX = inbox_table(MetaData())


async def recorded(session: Transaction, metadata: Metadata, *, epoch: int, table: Table | None = None) -> bool:
    """Write an event's row; false when it is there already. `ConsumerContext.once` says what it promises.

    The unique key decides between transactions that do it at the same time: PostgreSQL lets the second one wait for
    the first one's end, SQLite has one writer at a time.
    """
    inbox = INBOX if table is None else table
    dialect = dialect_of(session, inbox)
    if dialect.name not in _INSERTS:
        raise UsageError(f"ctx.once knows PostgreSQL and SQLite, not {dialect.name}")
    statement = (
        _INSERTS[dialect.name](inbox)
        .values(
            consumer_group=metadata.group,
            stream=metadata.key.stream,
            message_id=metadata.message_id,
            epoch=epoch,
            handled_at=datetime.now(UTC),
        )
        .on_conflict_do_nothing()
    )
    try:
        # counted, without RETURNING: a handler that is cancelled amid that leaves a half-read statement, which keeps an
        # SQLite file locked until the garbage collector comes
        result = await session.execute(statement)
    except DBAPIError as error:
        raise explained(error, inbox) from error
    return cast("CursorResult[Any]", result).rowcount == 1


async def purge_inbox(
    session: Transaction, /, *, older_than: timedelta, limit: int = 10_000, table: Table | None = None
) -> int:
    """Delete up to `limit` rows of events handled longer ago than this; returns how many. Commit is yours.

    An event of a deleted row counts as new: keep rows for as long as a duplicate or a late retry may still come (a few
    days are plenty), and longer than the longest time that a consumer may be down with events in its hands.
    """
    inbox = INBOX if table is None else table
    key = tuple_(inbox.c.consumer_group, inbox.c.stream, inbox.c.message_id, inbox.c.epoch)
    old = (
        select(inbox.c.consumer_group, inbox.c.stream, inbox.c.message_id, inbox.c.epoch)
        .where(inbox.c.handled_at < datetime.now(UTC) - older_than)
        .limit(limit)
    )
    try:
        result = await session.execute(delete(inbox).where(key.in_(old)))
    except DBAPIError as error:
        raise explained(error, inbox) from error
    return cast("CursorResult[Any]", result).rowcount
