"""A consumer's place in a group, in memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from itertools import islice

from .._envelope import Stored
from .._errors import GroupLost, OwnershipLost
from .._identifiers import entry_order
from .._ports import BuriedEvent, DeadLetter, Seat, SeatOptions, Settlements, Taken
from .._settings import Start
from ._log import ZERO, Group, Id, Log, Pending, as_text, next_id
from ._server import SETTLED, MemoryServer
from ._state import GroupRecords, State, alive
from ._stores import Stores

RELEASED = "~released"
"""Holder of what was handed back; it never has a lease, so anybody takes it over at once."""
LEFT = "~for:"
"""Begins the names of holders of what was left to those who implement a kind of event."""
Page = list[tuple[Id, Stored, int, int, bool]]


class MemorySeat(Seat):
    """See `Seat` for the promises; each method is one step of the server."""

    def __init__(self, options: SeatOptions, *, server: MemoryServer, stores: Stores) -> None:
        self._options = options
        self._server = server
        self._stores = stores
        self._lease = options.lease.total_seconds()
        self._remember = options.remember.total_seconds() if options.remember else 0.0
        self._mark = "-"  # nobody ever gets this one: without a mark every check of it fails

    @property
    def tenure(self) -> str:
        """The token and name under which this process takes part."""
        return self._mark

    async def open(self) -> None:
        """Make the group exist, and this process's lease with it."""
        await self._server.call(self._open)

    def _open(self, state: State) -> None:
        stream, group = self._options.stream, self._options.group
        records = state.of_group(stream, group)
        log = state.log(stream)
        if log is None:
            records.floor = None
            log = state.made(stream)
            log.groups[group] = Group(ZERO)
        elif group not in log.groups:
            log.groups[group] = Group(self._beginning(log, records))
        state.announce(stream)
        state.announce(SETTLED)

    def _beginning(self, log: Log, records: GroupRecords) -> Id:
        if records.floor is None:
            return ZERO if self._options.start is Start.BEGINNING else log.last
        # a floor above everything the stream ever held belongs to an earlier stream: all of this one is new
        return ZERO if log.last < records.floor else records.floor

    async def acquire(self) -> bool:
        """Become the owner, unless somebody is; without ownership, take the lease."""
        return await self._server.call(self._acquire)

    def _acquire(self, state: State) -> bool:
        records, now = self._records(state), state.clock.monotonic()
        owner = records.owner_at(now) if self._options.owned else ""
        if owner and owner != self._mark:
            return False
        if not self._holds(records, now):
            records.fence += 1
            self._mark = f"{records.fence}|{self._options.consumer}"
            records.fenced.discard(self._options.consumer)
        self._renew(records, now)
        return True

    def _holds(self, records: GroupRecords, now: float) -> bool:
        """Whether what this process took is still its own."""
        if self._options.owned:
            return records.owner_at(now) == self._mark
        return self._mark != "-" and self._options.consumer not in records.fenced

    def _renew(self, records: GroupRecords, now: float) -> None:
        if self._options.owned:
            records.owner, records.owner_until = self._mark, now + self._lease
        records.leases[self._options.consumer] = now + self._lease

    def beat(self) -> bool:
        """Renew the lease, and keep the group's floor."""
        return self._server.step(self._beat)

    def _beat(self, state: State) -> bool:
        records, now = self._records(state), state.clock.monotonic()
        if not self._holds(records, now):
            return False
        self._renew(records, now)
        log = state.log(self._options.stream)
        group = log.groups.get(self._options.group) if log else None
        if group is not None:
            records.floor = group.floor
        return True

    async def recover(self, after: str, count: int) -> tuple[list[Taken], str | None]:
        """Take over what nobody alive holds; with ownership, everything pending."""

        def recovered(state: State) -> tuple[Page, str | None, set[Id]]:
            group, records, now = self._group(state), self._records(state), state.clock.monotonic()
            orphans = (id_ for id_, pending in group.pending.items() if self._may_take(records, pending, now))
            page, further = self._page(state, group, orphans, after, count)
            unclaimed = {id_ for id_, *_ in page if not self._meant(group.pending[id_].holder)}
            for pending in [group.pending[id_] for id_, *_ in page]:
                records.fenced |= {pending.holder} - {self._options.consumer}
                pending.holder = self._options.consumer
                # handed back untouched: as new, so the delivery counts as its first start
                pending.starts = pending.starts or 1
                group.consumers.add(pending.holder)
            self._prune(group, records, now)
            return page, further, unclaimed

        return await self._taken(*await self._server.call(recovered))

    def _may_take(self, records: GroupRecords, pending: Pending, now: float) -> bool:
        if self._options.owned:
            return True
        if not self._meant(pending.holder):
            return now - pending.since >= self._lease
        return not alive(records.leases, pending.holder, now)

    def _meant(self, holder: str) -> bool:
        """Whether what was left to others (if it was) was left to this process."""
        mine = self._options.implements
        return not holder.startswith(LEFT) or mine is None or holder.removeprefix(LEFT) in mine

    def _prune(self, group: Group, records: GroupRecords, now: float) -> None:
        """Forget the names of consumers that are gone and left nothing."""
        holders = {pending.holder for pending in group.pending.values()}
        group.consumers = {name for name in group.consumers if name in holders or alive(records.leases, name, now)}

    async def read(self, count: int, wait: timedelta) -> list[Taken]:
        """New events, each counted as started once."""

        def delivered(state: State) -> Page:
            group = self._group(state, check=self._options.owned)
            group.consumers.add(self._options.consumer)
            log = state.made(self._options.stream)
            ids = log.after(group.delivered, count)
            group.delivered = ids[-1] if ids else group.delivered
            ids = [id_ for id_ in ids if log.entries[id_].only_for in ("", self._options.group)]
            group.pending |= {id_: Pending(self._options.consumer, 1) for id_ in ids}
            found = self._found(state, group, ids)
            return [(id_, stored, 0, failures, done) for id_, stored, _, failures, done in found]

        page = await self._server.until(delivered, wait, self._options.stream)
        return (await self._taken(page, None))[0]

    async def returned(self) -> list[Taken]:
        """What was given back to the group that this process owns."""
        if not self._options.owned:
            return []

        def back(state: State) -> Page:
            group = self._group(state)
            ids = [id_ for id_, each in group.pending.items() if each.holder == RELEASED]
            found = self._found(state, group, ids)
            for id_ in ids:
                group.pending[id_].holder, group.pending[id_].starts = self._options.consumer, 1
            return found

        return (await self._taken(await self._server.call(back), None))[0]

    async def mine(self, after: str, count: int) -> tuple[list[Taken], str | None]:
        """What the group counts as this process's own."""

        def own(state: State) -> tuple[Page, str | None]:
            group = self._group(state, check=False)
            ids = (id_ for id_, each in group.pending.items() if each.holder == self._options.consumer)
            return self._page(state, group, ids, after, count)

        return await self._taken(*await self._server.call(own))

    def _page(self, state: State, group: Group, ids: Iterable[Id], after: str, count: int) -> tuple[Page, str | None]:
        beyond = entry_order(after)
        part = list(islice((id_ for id_ in ids if id_ > beyond), count))
        return self._found(state, group, part), as_text(part[-1]) if len(part) == count else None

    def _found(self, state: State, group: Group, ids: Sequence[Id]) -> Page:
        records, now = self._records(state), state.clock.monotonic()
        page: Page = []
        for id_ in ids:
            stored = state.event(self._options.stream, id_)
            done = bool(self._remember) and alive(records.done, (records.epoch, stored.message_id), now)
            page.append((id_, stored, group.pending[id_].starts, records.failures.get(id_, 0), done))
        return page

    async def _taken(
        self, page: Page, further: str | None, unclaimed: Collection[Id] = ()
    ) -> tuple[list[Taken], str | None]:
        events = await self._stores.complete(self._options.stream, [stored for _, stored, *_ in page])
        taken = [
            Taken(stored=event, starts=starts, failures=failures, done=done, unclaimed=id_ in unclaimed)
            for event, (id_, _, starts, failures, done) in zip(events, page, strict=True)
        ]
        return taken, further

    async def load(self, ids: Sequence[str]) -> list[Stored]:
        """Events by id; a missing one comes back with its problem."""
        stream = self._options.stream
        events = await self._server.call(lambda state: [state.event(stream, entry_order(id_)) for id_ in ids])
        return await self._stores.complete(stream, events)

    async def starting(self, starts: Mapping[str, int]) -> None:
        """Count the next start of each entry, just before it happens."""
        await self._server.call(self._hold(self._options.consumer, starts))

    async def hand_back(self, entries: Mapping[str, int], *, to: str = "") -> None:
        """Give entries back, with the starts they really had."""
        await self._server.call(self._hold(f"{LEFT}{to}" if to else RELEASED, entries))

    def _hold(self, holder: str, entries: Mapping[str, int]) -> Callable[[State], None]:
        def hold(state: State) -> None:
            group = self._group(state)
            for id_, starts in entries.items():
                pending = group.pending.get(entry_order(id_))
                if pending is not None and self._options.consumer in (holder, pending.holder):
                    pending.holder, pending.starts, pending.since = holder, starts, state.clock.monotonic()
            state.announce(self._options.stream)

        return hold

    async def settle(self, settlements: Settlements) -> None:
        """Write outcomes, all in one step."""
        # a dead letter owns its payload: what lies in an external store is fetched before
        whole = {event.key.id: event for event in await self.load([letter.id for letter in settlements.dead])}

        def settled(state: State) -> None:
            group, records, now = self._group(state), self._records(state), state.clock.monotonic()
            for id_, message_id in settlements.handled:
                group.pending.pop(entry_order(id_), None)
                records.failures.pop(entry_order(id_), None)
                if self._remember and message_id:
                    records.done[records.epoch, message_id] = now + self._remember
            for failed in map(entry_order, settlements.failed):
                failures = records.failures.get(failed, 0)
                if failed in group.pending and failures < group.pending[failed].starts:
                    records.failures[failed] = failures + 1
            for letter in settlements.dead:
                self._bury(group, records, letter, whole[letter.id])
            state.announce(SETTLED)

        await self._server.call(settled)

    def _bury(self, group: Group, records: GroupRecords, letter: DeadLetter, stored: Stored) -> None:
        id_ = entry_order(letter.id)
        if group.pending.pop(id_, None) is None:
            return
        records.last_letter = next_id(records.last_letter, self._server.clock.now() // 1000)
        buried = BuriedEvent(
            id=as_text(records.last_letter), letter=letter, stored=stored, consumer=self._options.consumer
        )
        records.dead.append(buried)
        records.failures.pop(id_, None)

    async def handled(self, message_ids: Sequence[str]) -> set[str]:
        """Those of these message ids that the group has handled in its present epoch."""

        def known(state: State) -> set[str]:
            records, now = self._records(state), state.clock.monotonic()
            return {each for each in message_ids if alive(records.done, (records.epoch, each), now)}

        return await self._server.call(known)

    async def epoch(self) -> int:
        """How often the group was told to handle its events again."""
        return await self._server.call(lambda state: self._records(state).epoch)

    async def leave(self) -> None:
        """Give up ownership and lease; the name goes when nothing is pending under it."""

        def left(state: State) -> None:
            records = self._records(state)
            if self._options.owned and records.owner == self._mark:
                records.owner = ""
            records.leases.pop(self._options.consumer, None)
            log = state.log(self._options.stream)
            group = log.groups.get(self._options.group) if log else None
            if group is not None and not group.held_by(self._options.consumer):
                group.consumers.discard(self._options.consumer)
            state.announce(self._options.stream)

        await self._server.call(left)

    def _records(self, state: State) -> GroupRecords:
        return state.of_group(self._options.stream, self._options.group)

    def _group(self, state: State, *, check: bool = True) -> Group:
        """The group, if this process may change it."""
        stream, group = self._options.stream, self._options.group
        if check and not self._holds(self._records(state), state.clock.monotonic()):
            raise OwnershipLost(stream, group)
        log = state.log(stream)
        if log is None or group not in log.groups:
            raise GroupLost(stream, group)
        return log.groups[group]
