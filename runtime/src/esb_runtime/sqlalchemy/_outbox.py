"""The outbox: events that are committed with the data they tell about, and sent afterwards."""

from __future__ import annotations

from datetime import UTC, datetime
from weakref import WeakSet

import msgspec
from msgspec import structs
from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    func,
    insert,
    select,
)
from sqlalchemy import event as hooks
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from .._contract import stream_key
from .._events import Emission
from .._producer import record_of
from ._relay import Relay, RelayOptions, Send
from ._transactions import Transaction, dialect_of, explained


def outbox_table(metadata: MetaData, *, name: str = "esb_outbox", schema: str | None = None) -> Table:
    """Add the outbox to your own metadata, so that your migrations create it.

    One row per event, in the order of the inserts; `sent_at` is empty until the event is in its stream. A second, tiny
    table (`<name>_relay`) says which relay works. Under a name or schema of your own, give the table to `Outbox`.
    """
    Table(
        f"{name}_relay",
        metadata,
        Column("name", Text, primary_key=True),
        Column("holder", Text, nullable=False),
        Column("until", BigInteger, nullable=False, comment="milliseconds since 1970"),
        schema=schema,
    )
    table = Table(
        name,
        metadata,
        Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
        Column("message_id", Text, nullable=False, unique=True),
        Column("uri", Text, nullable=False),
        Column("environment", Text, comment="empty: the relay's"),
        Column("event", Text, nullable=False),
        Column("record", LargeBinary, nullable=False, comment="the encoded event"),
        Column("added_at", DateTime(timezone=True), nullable=False),
        Column("sent_at", DateTime(timezone=True)),
        schema=schema,
        sqlite_autoincrement=True,
    )
    waiting = table.c.sent_at.is_(None)
    Index(f"ix_{name}_waiting", table.c.id, postgresql_where=waiting, sqlite_where=waiting)
    Index(f"ix_{name}_sent_at", table.c.sent_at)
    return table


OUTBOX = outbox_table(MetaData())


class Outbox:
    """Puts events into the user's own transaction; a relay (`Backbone.relay`) sends what was committed.

        outbox = Outbox()
        async with sessions.begin() as session:
            session.add(Order(...))
            await outbox.add(session, ShipmentTracking.order_placed(user, product, now))

    Committed together, or neither is. `table` is another one than the default (`outbox_table` made it).
    """

    def __init__(self, table: Table = OUTBOX) -> None:
        self.table = table
        self._relays: WeakSet[Relay] = WeakSet()

    async def add(
        self, session: Transaction, event: Emission[...], /, *, uri: str | None = None, environment: str | None = None
    ) -> str:
        """Have an event sent once this transaction is committed; returns its message id.

        The message id is made here (or chosen by `with message_id(...)`), so that however often a relay sends the
        row, the stream stores the event once. Correlation and trace are those of this moment. `uri` overrides the
        contract's, `environment` the backbone's of the relay.

        Events are sent in the order of their inserts. Where two transactions tell about the same thing, take its lock
        (update its row) before `add`: then the inserts have the order of the commits. Raises `EncodeError` for a wrong
        value, `UsageError` for a session that commits each statement by itself and where the table is missing.
        """
        dialect_of(session, self.table)
        definition = event.definition
        name = definition.contract.uri() if uri is None else uri
        stream_key(name, environment or "")  # refused here rather than in the relay
        record = record_of(definition, event.arguments)
        row = {
            "message_id": record.message_id,
            "uri": name,
            "environment": environment,
            "event": record.event,
            "record": msgspec.msgpack.encode(structs.replace(record, fresh=False)),  # a relay may try it again
            "added_at": datetime.now(UTC),
        }
        try:
            await session.execute(insert(self.table).values(row))
        except DBAPIError as error:
            raise explained(error, self.table) from error
        self._wake_at_commit(session)
        return record.message_id

    async def waiting(self, session: Transaction, /) -> int:
        """How many committed events are not sent yet: a number to watch."""
        statement = select(func.count()).select_from(self.table).where(self.table.c.sent_at.is_(None))
        return int((await session.execute(statement)).scalar_one())

    def relay(self, engine: AsyncEngine, options: RelayOptions, *, send: Send, environment: str) -> Relay:
        """Use `Backbone.relay`."""
        relay = Relay(self.table, engine, options, send=send, environment=environment)
        self._relays.add(relay)
        return relay

    def _wake_at_commit(self, session: Transaction) -> None:
        """Spare the relays of this process their wait; those of other processes look once in a while."""
        if isinstance(session, AsyncConnection):
            return
        inner = session.sync_session
        if self in inner.info:
            return
        inner.info[self] = True

        def committed(_: object) -> None:
            inner.info.pop(self, None)
            for relay in self._relays:
                relay.wake()

        hooks.listen(inner, "after_commit", committed, once=True)
