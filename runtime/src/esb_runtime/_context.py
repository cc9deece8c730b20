"""What a handler is given beside the event's arguments, and what it can say about the event's fate."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

from ._envelope import Metadata
from ._errors import UsageError
from ._flow import CURRENT

if TYPE_CHECKING:
    from sqlalchemy import Table

    from .sqlalchemy import Transaction


class Settlement(Protocol):
    """Decides what becomes of one event that is being handled; a delivery engine provides it.

    The first word counts; a later one, or one after the event was taken away, raises `UsageError` or a `ChannelError`.
    """

    @property
    def cancelled(self) -> bool:
        """Whether the work should stop: the process is draining, or it lost the event to another one."""
        ...

    async def ack(self) -> None:
        """The event is handled."""
        ...

    async def nack(self, after: timedelta | None) -> None:
        """Try again after this time; None leaves it to the retry policy."""
        ...

    async def reject(self, reason: str) -> None:
        """Move the event to the dead letter at once."""
        ...

    async def progress(self) -> None:
        """The handler is alive: its time limit starts anew."""
        ...

    async def group_epoch(self) -> int | None:
        """How often the group was told to handle its events again; None where nothing counts as handled (a replay)."""
        ...


class ConsumerContext(Struct, eq=False):
    """One event in the hands of one handler.

    `metadata` is everything known about the event besides its arguments. Engines make one per event, so it holds
    little else, and `metadata` may be what makes it of the settlement when somebody asks.
    """

    _metadata: Metadata | Callable[[Any], Metadata]
    _settlement: Settlement
    single: bool = True

    @property
    def metadata(self) -> Metadata:
        """Everything known about the event besides its arguments; built when somebody asks."""
        found = self._metadata
        if not isinstance(found, Metadata):
            found = self._metadata = found(self._settlement)
        return found

    @classmethod
    def current(cls) -> ConsumerContext:
        """The context of the event being handled, anywhere below its handler. Raises `UsageError` outside of one."""
        found = CURRENT.get(None)
        if not isinstance(found, ConsumerContext):
            raise UsageError("ConsumerContext.current() works only while an event is being handled")
        return found

    @property
    def cancelled(self) -> bool:
        """Whether the work should stop: the process is draining, or it lost the event to another one."""
        return self._settlement.cancelled

    async def ack(self) -> None:
        """Mark the event as handled, now; with `Acknowledge.MANUAL` the only way to do so."""
        await self._settlement.ack()

    async def nack(self, *, after: timedelta | None = None) -> None:
        """Have the event tried again, after this time or as the retry policy says; it counts as a failed attempt."""
        await self._settlement.nack(after)

    async def reject(self, reason: str) -> None:
        """Move the event to the group's dead letter at once, for this reason."""
        await self._settlement.reject(reason)

    async def once(self, session: Transaction, /, *, table: Table | None = None) -> bool:
        """Whether this is the first time that the group's effects of this event are written; ask before writing them.

            async with sessions.begin() as session:
                if await ctx.once(session):
                    session.add(Shipment(...))

        It writes a row into the inbox table (`esb_runtime.sqlalchemy.inbox_table`; `table` is another one than the
        default) in the session's own transaction: effects and row are committed together, or neither is. After False
        the effects are there already: write nothing and return, so that the event is acknowledged. A transaction that
        does the same at this moment is waited for. A reset of the group, or a replay to it, begins anew.

        Raises `UsageError` for a session that commits each statement by itself, for a database other than PostgreSQL
        and SQLite, and where the table is missing.
        """
        return await first_time(self.metadata, self._settlement, session, table)

    async def progress(self) -> None:
        """Say that the handler is alive: its time limit starts anew."""
        await self._settlement.progress()

    def __repr__(self) -> str:
        return f"ConsumerContext({self.metadata.event} version {self.metadata.version}, {self.metadata.key})"


async def first_time(metadata: Metadata, settlement: Settlement, session: Transaction, table: Table | None) -> bool:
    """See `ConsumerContext.once`. In a replay without a group nothing counts as handled, and nothing is recorded."""
    from .sqlalchemy._inbox import recorded  # an optional room: only who has a session needs it

    epoch = await settlement.group_epoch()
    return epoch is None or await recorded(session, metadata, epoch=epoch, table=table)
