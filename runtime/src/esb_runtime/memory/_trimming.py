"""Removing the oldest events of a stream in memory."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from itertools import islice

from .._identifiers import entry_order
from .._ports import PayloadStore
from .._retention import Cut, Kept, Trimmed, Trimming
from ._log import Group, Id, Log, as_text
from ._server import SETTLED, MemoryServer
from ._state import HASH, INLINE, State, alive

SLICE = 100
GRACE = timedelta(hours=1)


class MemoryTrimming(Trimming):
    """See `Trimming` for the promises."""

    def __init__(self, stream: str, *, server: MemoryServer, stores: Mapping[str, PayloadStore]) -> None:
        self._stream = stream
        self._server = server
        self._stores = stores

    async def slice(self, cut: Cut, *, after: str = "", counted: int = 0, dry_run: bool = False) -> Trimmed:
        """Remove the first entries that may go."""

        def trimmed(state: State) -> Trimmed:
            log = state.log(self._stream)
            if log is None:
                return Trimmed()
            heads = list(islice(log.between(f"({after}" if after else "-", "+", reverse=False), SLICE))
            goes, pinned = _going(log, heads, cut, counted)
            parts = [self._removed(state, log, id_, dry_run=dry_run) for id_ in goes]
            for group in log.groups.values() if cut.force and not dry_run else ():
                for id_ in goes:
                    group.pending.pop(id_, None)
            state.announce(SETTLED)
            return Trimmed(
                entries=len(goes),
                payloads=parts.count(HASH),
                outside=sum(part not in (HASH, INLINE) for part in parts),
                after=as_text(goes[-1]) if len(goes) == SLICE and not pinned else None,
                pinned=pinned,
            )

        return await self._server.call(trimmed)

    def _removed(self, state: State, log: Log, id_: Id, *, dry_run: bool) -> str:
        """Remove one entry; where its payload was (`INLINE` for one that has none apart)."""
        entry = log.entries[id_]
        payload = state.payloads.get((self._stream, entry.message_id))
        own = payload is not None and payload.id == as_text(id_)
        place = INLINE if not entry.message_id or (entry.store == HASH and not own) else entry.store
        if not dry_run:
            log.remove(id_)
            if place == HASH:
                del state.payloads[self._stream, entry.message_id]
            elif place != INLINE:
                state.drops.setdefault((self._stream, place), {})[entry.message_id] = 0
        return place

    async def drain(self) -> int:
        """Delete what is queued, and what a crash left without an entry."""
        return sum([await self._drain(store) for store in self._stores.values()])

    async def _drain(self, store: PayloadStore) -> int:
        def due(state: State) -> list[str]:
            old = state.clock.now() // 1000 - int(GRACE.total_seconds() * 1000)
            return [name for name, at in state.drops.get((self._stream, store.name), {}).items() if at <= old]

        found = await self._server.call(due)
        await store.delete(self._stream, found)
        await self._server.call(lambda state: state.undrop(self._stream, store.name, found))
        return len(found)

    async def sweep(self, grace: timedelta, *, dry_run: bool = False) -> int:
        """Delete payloads without an entry."""

        def swept(state: State) -> int:
            old = state.clock.now() // 1000 - int(grace.total_seconds() * 1000)
            log = state.log(self._stream)
            entries = log.entries if log else {}
            orphans = [
                key
                for key, payload in state.payloads.items()
                if key[0] == self._stream
                and entry_order(payload.id)[0] < old
                and entry_order(payload.id) not in entries
            ]
            for key in () if dry_run else orphans:
                del state.payloads[key]
            return len(orphans)

        return await self._server.call(swept)

    async def elected(self, holder: str, lease: timedelta) -> bool:
        """Whether this process trims for the time of a lease."""

        def elect(state: State) -> bool:
            now = state.clock.monotonic()
            if alive(state.trimmers, self._stream, now):
                return False
            state.trimmers[self._stream] = now + lease.total_seconds()
            return True

        del holder
        return await self._server.call(elect)

    async def living(self, group: str) -> bool:
        """Whether a process of the group is alive."""

        def living(state: State) -> bool:
            now = state.clock.monotonic()
            return any(until > now for until in state.of_group(self._stream, group).leases.values())

        return await self._server.call(living)

    async def note(self, kept: Kept) -> None:
        """Record what is applied to the stream."""
        await self._server.call(lambda state: state.kept.update({self._stream: kept}))

    async def noted(self) -> Kept | None:
        """What was recorded last."""
        return await self._server.call(lambda state: state.kept.get(self._stream))


def _going(log: Log, heads: list[Id], cut: Cut, counted: int) -> tuple[list[Id], tuple[str, ...]]:
    """Those of the first entries that go, and the groups that keep the next one."""
    excess = 0 if cut.maxlen is None else len(log.ids) - cut.maxlen - counted
    goes: list[Id] = []
    for n, id_ in enumerate(heads, 1):
        old = bool(cut.before) and id_ < entry_order(cut.before)
        if not (old or n <= excess or (cut.handled and log.groups)):
            break
        if cut.last != "+" and id_ > entry_order(cut.last):
            break
        keepers = [name for name, group in log.groups.items() if not cut.force and not _done(group, id_)]
        if keepers:
            return goes, tuple(sorted(keepers))
        goes.append(id_)
    return goes, ()


def _done(group: Group, id_: Id) -> bool:
    """Whether a group has handled everything up to here."""
    return id_ <= group.delivered and id_ <= group.floor
