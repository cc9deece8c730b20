"""Projections: state that is folded from events, in stream order, each event once.

A projection knows its position. One that lives in memory keeps it on the object. One that lives in a database stores
it in the same transaction as its rows, which is what makes its effects happen once whatever crashes.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ._errors import ContractError
from ._identifiers import EventKey, entry_order


@dataclass(frozen=True, slots=True)
class Position:
    """How far a projection has come: for each stream, the id of the last event that it holds.

    As text it is a JSON object, which `parse` reads back: `{"hello.event-sourcing": "1685268930300-0"}`.
    """

    ids: Mapping[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def parse(cls, text: str, /) -> Position:
        """Read a position's text back. Raises `ValueError` when it is none."""
        try:
            ids = msgspec.json.decode(text, type=dict[str, str])
            keys = [EventKey.parse(f"{stream}{EventKey.separator}{id_}") for stream, id_ in ids.items()]
        except (msgspec.DecodeError, ValueError):
            raise ValueError(f'not a position; one looks like {{"hello": "1685268930300-0"}}: {text!r}') from None
        return cls({key.stream: key.id for key in keys})

    def id_of(self, stream: str) -> str:
        """The id of the last event from this stream; `0-0` before the first."""
        return self.ids.get(stream, "0-0")

    def covers(self, key: EventKey) -> bool:
        """Whether the event at this key is in already."""
        return entry_order(key.id) <= entry_order(self.id_of(key.stream))

    def moved(self, key: EventKey) -> Position:
        """The position once the event at this key is in too."""
        return Position({**self.ids, key.stream: key.id})

    def __str__(self) -> str:
        return msgspec.json.encode(self.ids).decode()


class Projection:
    """Base of a view: `class OrdersPerProduct(Projection, ShipmentTracking[Consume])`, with handlers like a consumer's.

    In memory there is nothing more to do. Over a database, override all three of `transaction`, `checkpoint`, `save`:

        @asynccontextmanager
        async def transaction(self):
            async with self.pool.acquire() as self.db, self.db.transaction():
                yield

        async def checkpoint(self) -> Position | None:
            text = await self.db.fetchval("select position from checkpoint where view = 'orders' for update")
            return Position.parse(text) if text else None

        async def save(self, position: Position) -> None:
            await self.db.execute("update checkpoint set position = $1 where view = 'orders'", str(position))

    `checkpoint`, the handlers and `save` are called inside of `transaction`, in this order; so two processes that
    both believe to be the one at work cannot both apply an event: the second one finds it in the checkpoint.
    """

    events_per_transaction: int = 1
    """How many events may share one transaction; more is faster and needs a `transaction` that rolls back."""
    _position: Position | None = None

    def transaction(self) -> AbstractAsyncContextManager[Any]:
        """What surrounds reading the checkpoint, handling events and saving the new position; rolls back on errors."""
        return nullcontext()

    async def checkpoint(self) -> Position | None:
        """How far the view has come; None before its first event."""
        return self._position

    async def save(self, position: Position) -> None:
        """Keep the position that the view has reached."""
        self._position = position


def keeps_itself(view: Projection) -> bool:
    """Whether a view stores its position itself. Raises `ContractError` for one that does so by halves."""
    own = [name for name in ("checkpoint", "save") if getattr(type(view), name) is not getattr(Projection, name)]
    if len(own) == 1:
        raise ContractError(
            f"{type(view).__name__} overrides {own[0]} only: "
            "a view that stores its position overrides checkpoint and save"
        )
    return bool(own)
