"""Completing events with payloads that lie in external stores."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from .._envelope import Stored
from .._ports import PayloadStore
from ._state import HASH


class Stores:
    """The stores that this process was given, by the names that entries carry."""

    def __init__(self, stores: Sequence[PayloadStore]) -> None:
        self.by_name = {store.name: store for store in stores}

    async def complete(self, stream: str, events: list[Stored]) -> list[Stored]:
        """The same events with their arguments, or with the problem that kept them away; one call per store."""
        elsewhere: dict[str, list[int]] = {}
        for n, event in enumerate(events):
            if event.arguments is None and not event.problem and event.store != HASH:
                elsewhere.setdefault(event.store, []).append(n)
        for name, places in elsewhere.items():
            found = await self._load(name, stream, [events[n] for n in places])
            for n, event in zip(places, found, strict=True):
                events[n] = event
        return events

    async def _load(self, name: str, stream: str, events: list[Stored]) -> list[Stored]:
        store = self.by_name.get(name)
        if store is None:
            missing = f"the payload lies in the store {name!r}, which this process was not given"
            return [msgspec.structs.replace(event, problem=missing) for event in events]
        found = await store.load(stream, [event.message_id for event in events])
        gone = f"the payload is gone from the store {name!r}"
        return [
            msgspec.structs.replace(event, arguments=arguments, problem="" if arguments is not None else gone)
            for event, arguments in zip(events, found, strict=True)
        ]
