"""The relay: sends what the outbox holds, in order, each event once however often a relay dies."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import uuid4

import msgspec
from sqlalchemy import Table, delete, insert, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from .._contract import stream_key
from .._envelope import Record
from .._errors import ChannelError, ChannelUnavailable, EsbError, UsageError
from .._identifiers import EventKey
from ..delivery._backoff import Backoff
from ._transactions import explained

logger = logging.getLogger("esb_runtime")

Send = Callable[[str, Sequence[Record]], Coroutine[Any, Any, list[EventKey]]]
"""Stores records in a stream, in order, each message id once; all or none of each chunk."""

PAGE = 256
TIDY = 60.0
"""Seconds between two looks for rows that were kept long enough."""
HELD_UP = 5.0
"""Seconds for which a stream that refuses an event is left alone; the others go on."""

_decoder = msgspec.msgpack.Decoder(Record)


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayOptions:
    """The options of `Backbone.relay`, which documents them."""

    keep: timedelta = timedelta(days=1)
    poll: timedelta = timedelta(seconds=1)
    lease: timedelta = timedelta(seconds=10)

    def __post_init__(self) -> None:
        """Refuse what cannot work, where it was written."""
        if self.keep < timedelta(0) or self.poll <= timedelta(0) or self.lease < timedelta(seconds=1):
            raise UsageError("relay: keep is not negative, poll is positive, lease is at least a second")


class Waiting(NamedTuple):
    """A row of the outbox that is not sent yet."""

    id: int
    uri: str
    environment: str | None
    record: bytes


class Relay:
    """Sends committed events; made by `Backbone.relay`, run by `Backbone.run` or by itself.

    Several may run, in any processes: one holds the lease and works, the others stand by. Nothing depends on that but
    work: whoever sends a row has sent every row before it, and a row that is sent twice is stored once. So a relay may
    die, hang or be overtaken at any point.
    """

    def __init__(
        self, table: Table, engine: AsyncEngine, options: RelayOptions, *, send: Send, environment: str
    ) -> None:
        """Use `Backbone.relay`."""
        self._table = table
        self._leases = table.metadata.tables[f"{table.fullname}_relay"]
        self._engine = engine
        self._options = options
        self._send = send
        self._environment = environment
        self._name = uuid4().hex
        self._leads_until = 0.0
        self._tidied = 0.0
        self._held_up: dict[tuple[str, str | None], float] = {}
        self._backoff = Backoff(f"outbox {table.fullname}")
        self._stopping = asyncio.Event()
        self._news = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.sent = 0
        """Events that this relay sent and marked as sent."""

    @property
    def running(self) -> bool:
        """Whether `run` is in progress."""
        return self._loop is not None

    async def run(self) -> None:
        """Send what is committed, until `stop`. Outages of either side are waited out and logged once.

        Raises `UsageError` where the table is missing.
        """
        self._loop = asyncio.get_running_loop()
        try:
            while not self._stopping.is_set():
                self._news.clear()
                try:
                    more = await self._leads() and await self._page() == PAGE
                    self._backoff.well()
                except (SQLAlchemyError, OSError, ChannelError) as error:
                    await self._backoff.note(self._outage(error), self._stopping)
                    continue
                if not more:
                    await self._pause()
        finally:
            self._loop = None
            await self._resign()

    async def stop(self) -> None:
        """Ask `run` to end; it returns when the events at hand are sent and marked."""
        self._stopping.set()
        self._news.set()

    async def flush(self) -> int:
        """Send everything committed so far, now, whoever holds the lease; returns how many events it were.

        For tests, and for programs that run once. Raises `ChannelError` and the database's own errors; what was not
        sent stays.
        """
        self._held_up.clear()
        before = self.sent
        while await self._page(strict=True) == PAGE:
            pass
        return self.sent - before

    def wake(self) -> None:
        """There may be something to send; from any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._news.set)

    async def _pause(self) -> None:
        try:
            await asyncio.wait_for(self._news.wait(), timeout=self._options.poll.total_seconds())
        except TimeoutError:
            return

    # --- sending

    async def _page(self, *, strict: bool = False) -> int:
        """Send the next events, stream by stream; returns how many rows there were."""
        rows = await self._rows()
        lines: dict[tuple[str, str | None], list[Waiting]] = {}
        for row in rows:
            lines.setdefault((row.uri, row.environment), []).append(row)
        for line, mine in lines.items():
            try:
                await self._line(line, mine)
            except ChannelUnavailable:
                raise
            except EsbError as error:
                if strict:
                    raise
                self._hold_up(line, error)
        await self._tidy()
        return len(rows)

    async def _rows(self) -> list[Waiting]:
        now = time.monotonic()
        self._held_up = {line: until for line, until in self._held_up.items() if until > now}
        table = self._table
        statement = select(table.c.id, table.c.uri, table.c.environment, table.c.record)
        for uri, environment in self._held_up:
            statement = statement.where((table.c.uri != uri) | table.c.environment.is_distinct_from(environment))
        try:
            async with self._engine.connect() as connection:
                waiting = statement.where(table.c.sent_at.is_(None)).order_by(table.c.id).limit(PAGE)
                return [Waiting(*row) for row in await connection.execute(waiting)]
        except DBAPIError as error:
            raise explained(error, table) from error

    async def _line(self, line: tuple[str, str | None], rows: Sequence[Waiting]) -> None:
        uri, environment = line
        stream = stream_key(uri, self._environment if environment is None else environment)
        await self._send(stream, [self._record(row) for row in rows])
        await self._mark([row.id for row in rows])
        self.sent += len(rows)

    def _record(self, row: Waiting) -> Record:
        try:
            return _decoder.decode(row.record)
        except msgspec.MsgspecError:
            raise ChannelError(f"row {row.id} of {self._table.fullname} cannot be read: delete or repair it") from None

    async def _mark(self, ids: Sequence[int]) -> None:
        table = self._table
        chosen = table.c.id.in_(ids)
        done = update(table).where(chosen).values(sent_at=datetime.now(UTC))
        async with self._engine.begin() as connection:
            await connection.execute(done if self._options.keep else delete(table).where(chosen))

    def _hold_up(self, line: tuple[str, str | None], error: EsbError) -> None:
        """A stream that refuses an event waits, for its order's sake; it is said once a while, and others go on."""
        logger.error("outbox %s: events to %r wait: %s", self._table.fullname, line[0], error)
        self._held_up[line] = time.monotonic() + HELD_UP

    async def _tidy(self) -> None:
        """Delete what was sent long enough ago, a page at a time."""
        if time.monotonic() - self._tidied < TIDY:
            return
        table = self._table
        old = select(table.c.id).where(table.c.sent_at < datetime.now(UTC) - self._options.keep).limit(PAGE)
        async with self._engine.begin() as connection:
            deleted = await connection.execute(delete(table).where(table.c.id.in_(old)))
        if deleted.rowcount < PAGE:
            self._tidied = time.monotonic()

    # --- one relay at a time

    async def _leads(self) -> bool:
        """Whether this relay holds the lease; renewed when a third of it is gone."""
        lease = self._options.lease.total_seconds()
        if time.monotonic() < self._leads_until - lease * 2 / 3:
            return True
        leases, now = self._leases, time.time_ns() // 1_000_000
        mine = {"holder": self._name, "until": now + int(lease * 1000)}
        free = (leases.c.holder == self._name) | (leases.c.until < now)
        asked = time.monotonic()
        try:
            async with self._engine.begin() as connection:
                renewed = await connection.execute(update(leases).where(leases.c.name == "relay", free).values(mine))
                known = (await connection.execute(select(leases.c.name))).first()
                if known is None:
                    await connection.execute(insert(leases).values(name="relay", **mine))
        except IntegrityError:
            return False  # another one was faster with the very first row
        except DBAPIError as error:
            raise explained(error, leases) from error
        leads = renewed.rowcount == 1 or known is None
        self._leads_until = asked + lease if leads else 0.0
        return leads

    async def _resign(self) -> None:
        """Let another relay begin at once; when that cannot be said, the lease runs out."""
        if not self._leads_until:
            return
        self._leads_until = 0.0
        leases = self._leases
        try:
            async with self._engine.begin() as connection:
                await connection.execute(update(leases).where(leases.c.holder == self._name).values(until=0))
        except (SQLAlchemyError, OSError) as error:
            logger.info("%s", self._outage(error))

    def _outage(self, error: Exception) -> ChannelError:
        """A database's error without the statement and its parameters, which SQLAlchemy appends."""
        if isinstance(error, ChannelError):
            return error
        words = str(error.orig) if isinstance(error, DBAPIError) else type(error).__name__
        return ChannelError(f"the database of {self._table.fullname} failed: {words}")
