"""A group's dead letters, in memory."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import islice

import msgspec

from .._errors import GroupLost
from .._identifiers import entry_order
from .._ports import BuriedEvent, DeadLetters, Replay
from ._log import Group, Log, Payload, Pending
from ._seat import RELEASED
from ._server import SETTLED, MemoryServer
from ._state import HASH, INLINE, GroupRecords, State
from ._stores import Stores


class MemoryDeadLetters(DeadLetters):
    """See `DeadLetters` for the promises; each method is one step of the server per letter."""

    def __init__(self, stream: str, group: str, *, server: MemoryServer, stores: Stores) -> None:
        self._stream = stream
        self._group = group
        self._server = server
        self._stores = stores

    async def page(self, *, first: str = "-", last: str = "+", count: int) -> list[BuriedEvent]:
        """Letters between two of their ids."""

        def found(state: State) -> list[BuriedEvent]:
            dead = self._records(state).dead
            log = Log(self._stream, ids=[entry_order(letter.id) for letter in dead])
            within = set(islice(log.between(first, last, reverse=False), count))
            return [letter for letter in dead if entry_order(letter.id) in within]

        letters = await self._server.call(found)
        events = await self._stores.complete(self._stream, [letter.stored for letter in letters])
        return [msgspec.structs.replace(one, stored=e) for one, e in zip(letters, events, strict=True)]

    async def replay(self, ids: Sequence[str], *, dry_run: bool = False) -> list[Replay]:
        """Give events back to the group, one after another, in the order given."""
        return [await self._server.call(partial(self._replay, id_, dry_run)) for id_ in ids]

    def _replay(self, id_: str, dry_run: bool, state: State) -> Replay:
        records = self._records(state)
        buried = next((each for each in records.dead if each.id == id_), None)
        if buried is None:
            return Replay.ABSENT
        log = state.log(self._stream)
        group = log.groups.get(self._group) if log else None
        if log is None or group is None:
            raise GroupLost(self._stream, self._group)
        outcome = self._outcome(log, group, buried)
        if dry_run:
            return outcome
        self._give_back(state, group, buried, outcome)
        records.failures.pop(entry_order(buried.letter.id), None)
        records.done.pop((records.epoch, buried.letter.message_id), None)
        records.dead.remove(buried)
        state.announce(self._stream)
        state.announce(SETTLED)
        return outcome

    @staticmethod
    def _outcome(log: Log, group: Group, buried: BuriedEvent) -> Replay:
        id_ = entry_order(buried.letter.id)
        if buried.letter.passed or id_ not in log.entries:
            return Replay.COPIED
        return Replay.AHEAD if group.delivered < id_ else Replay.RETURNED

    def _give_back(self, state: State, group: Group, buried: BuriedEvent, outcome: Replay) -> None:
        stored = buried.stored
        if outcome is Replay.COPIED:
            store = stored.store if stored.arguments is None else INLINE
            state.put(self._stream, msgspec.structs.replace(stored, only_for=self._group, store=store))
            return
        if stored.store == HASH and stored.arguments is not None:
            state.payloads.setdefault((self._stream, stored.message_id), Payload(buried.letter.id, stored.arguments))
        if outcome is Replay.RETURNED:
            group.give_back(entry_order(buried.letter.id), Pending(RELEASED, 0))

    async def purge(self, ids: Sequence[str]) -> int:
        """Delete letters."""

        def purged(state: State) -> int:
            records = self._records(state)
            kept = [letter for letter in records.dead if letter.id not in ids]
            gone, records.dead = len(records.dead) - len(kept), kept
            return gone

        return await self._server.call(purged)

    def _records(self, state: State) -> GroupRecords:
        return state.of_group(self._stream, self._group)
