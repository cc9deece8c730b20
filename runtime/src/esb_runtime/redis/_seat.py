"""A consumer process's place in a group on one stream, in Redis."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import msgspec

from .._endpoint import Endpoint
from .._envelope import Stored
from .._errors import OwnershipLost
from .._identifiers import entry_order
from .._ports import DeadLetter, Seat, SeatOptions, Settlements, Taken
from .._settings import Start
from . import _keys, _wire
from ._connection import Connection, ThreadConnection
from ._frames import Word
from ._payloads import Payloads
from ._scripts import script

ACKS_PER_CALL = 1000
RETURNED_PER_CALL = 100


class RedisSeat(Seat):
    """See `Seat` for the promises; each method is one script, so that check and change are one step."""

    def __init__(
        self,
        options: SeatOptions,
        *,
        endpoint: Endpoint,
        commands: Connection,
        blocking: Connection,
        payloads: Payloads,
    ) -> None:
        stream, group, consumer = options.stream, options.group, options.consumer
        self._options = options
        self._commands = commands
        self._blocking = blocking
        self._payloads = payloads
        self._lease = _keys.lease_key(stream, group, consumer)
        self._held = _keys.owner_key(stream, group) if options.owned else self._lease
        self._floor = _keys.floor_key(stream, group)
        self._failures = _keys.failures_key(stream, group)
        self._epoch = _keys.epoch_key(stream, group)
        self._lease_ms = max(int(options.lease.total_seconds() * 1000), 1)
        self._remember_ms = int(options.remember.total_seconds() * 1000) if options.remember else 0
        self._mark: str = "-"  # nobody ever gets this one: without a mark every check of it fails
        self._opened = False
        self._pruned_at = 0.0
        self._read_up_to = "0-0"
        self._nothing_new = False
        self._standing_by = False
        timeout = max(options.lease.total_seconds() / 3, 0.05)
        self._heart = ThreadConnection(endpoint, timeout=min(timeout, 5.0))

    async def open(self) -> None:
        """Make the group exist, and this process's lease with it."""
        await self._group()
        self._opened = True
        self._nothing_new = False

    async def _group(self) -> str:
        """Make the group exist; returns how far it was given events."""
        # where not even the floor was left of a group that this process knew, everything there is new
        start = "0" if self._options.start is Start.BEGINNING or self._opened else "$"
        keys = (self._options.stream, self._floor)
        delivered: bytes = await self._run("open", keys, (self._options.group, start))
        return delivered.decode()

    async def acquire(self) -> bool:
        """Become the owner, unless somebody is; without ownership, take the lease."""
        if self._standing_by and await self._commands.call("EXISTS", self._held):
            return False  # who stands by asks often, so that is one command
        keys = (self._held, _keys.fence_key(self._options.stream, self._options.group))
        mark: bytes | None = await self._run(
            "acquire", keys, (self._options.consumer, self._lease_ms, self._mark, int(self._options.owned))
        )
        self._standing_by = not mark
        if not mark:
            return False
        before, self._mark = self._mark, str(mark.decode())
        if self._mark != before and self._options.owned:
            await self._run("beat", self._beat_keys(), self._beat_words())  # the owner has a lease beside
            self._read_up_to = await self._group()  # not before: the former owner may have read on until a moment ago
        return True

    @property
    def tenure(self) -> str:
        """The token and name under which this process takes part."""
        return self._mark

    def beat(self) -> bool:
        """Renew the lease from the heartbeat's thread."""
        return bool(self._heart.run(script("beat"), self._beat_keys(), self._beat_words()))

    def _beat_keys(self) -> tuple[str, ...]:
        return (self._options.stream, self._held, self._lease, self._floor)

    def _beat_words(self) -> tuple[Word, ...]:
        return (self._options.group, self._mark, self._lease_ms)

    async def recover(self, after: str, count: int) -> tuple[list[Taken], str | None]:
        """Take over what nobody alive holds; with ownership, everything pending."""
        if self._options.owned:
            reply = await self._recover(after, count, "")
            taken, further = await self._taken(reply)
            if further is None:
                await self._prune()
            return taken, further
        holders = await self._dead_holders()
        for holder in holders:
            taken = await self._inherit(holder, after, count)
            if taken:
                return taken, "0-0"
        if holders or time.monotonic() - self._pruned_at > self._options.lease.total_seconds():
            await self._prune()
        return [], None

    async def _holders(self) -> list[str]:
        """Who else holds something in the group."""
        stream, group = self._options.stream, self._options.group
        summary: list[Any] = await self._commands.call("XPENDING", stream, group, stream=stream, group=group)
        names = sorted(found[0].decode() for found in summary[3] or ())
        return [name for name in names if name != self._options.consumer]

    async def _dead_holders(self) -> list[str]:
        """Those of them who have no lease (any more)."""
        stream, group = self._options.stream, self._options.group
        others = await self._holders()
        if not others:
            return []
        living = await self._commands.pipeline([("EXISTS", _keys.lease_key(stream, group, name)) for name in others])
        return [name for name, alive in zip(others, living, strict=True) if alive == 0]

    async def _inherit(self, holder: str, after: str, count: int) -> list[Taken]:
        kind, mine = _keys.kind_left(holder), self._options.implements
        if kind is None or mine is None or kind in mine:
            return (await self._taken(await self._recover(after, count, holder)))[0]
        taken, _ = await self._taken(await self._recover(after, count, holder, idle=self._lease_ms))
        return [msgspec.structs.replace(each, unclaimed=True) for each in taken]

    async def _recover(self, after: str, count: int, holder: str, *, idle: int = 0) -> list[Any]:
        stream, group = self._options.stream, self._options.group
        keys = (stream, self._held, self._failures, _keys.lease_key(stream, group, holder))
        words = (group, self._options.consumer, self._mark, after if not holder else "0-0", count, holder, idle)
        further, delivered, *found = await self._run("recover", keys, words)
        if delivered:  # so far, whatever is pending is this process's now
            self._read_up_to = delivered.decode()
        return [further, *found]

    async def _prune(self) -> None:
        """Remove the names of consumers that are gone and left nothing."""
        self._pruned_at = time.monotonic()
        stream, group = self._options.stream, self._options.group
        consumers: list[Any] = await self._commands.call(
            "XINFO", "CONSUMERS", stream, group, stream=stream, group=group
        )
        for info in consumers:
            known = dict(zip(info[::2], info[1::2], strict=True))
            name = known[b"name"].decode()
            if not known[b"pending"] and name != self._options.consumer:
                await self._run("prune", (stream, _keys.lease_key(stream, group, name)), (group, name))

    async def read(self, count: int, wait: timedelta) -> list[Taken]:
        """New events; to the owner alone, of a stream that has one."""
        block = max(int(wait.total_seconds() * 1000), 0)
        entries = await (self._read_owned(count, block) if self._options.owned else self._read_shared(count, block))
        if not entries:
            return []
        self._read_up_to = entries[-1][0].decode()
        stream = self._options.stream
        events = await self._payloads.complete(stream, self._payloads.rows.events(stream, entries))
        return await self._with_done(await self._meant([Taken(stored=event) for event in events]))

    async def _read_shared(self, count: int, block: int) -> list[Any]:
        stream, group = self._options.stream, self._options.group
        words: list[Word] = ["XREADGROUP", "GROUP", group, self._options.consumer, "COUNT", count]
        if block:
            words += ("BLOCK", block)
        reply = await self._blocking.call(*words, "STREAMS", stream, ">", stream=stream, group=group)
        return reply[0][1] if reply else []

    async def _read_owned(self, count: int, block: int) -> list[Any]:
        """What is there, or what comes meanwhile. A wait that was in vain is followed by a wait, not by a look."""
        stream = self._options.stream
        entries = [] if block and self._nothing_new else await self._read_as_owner(count)
        if not entries and block:
            news = await self._blocking.call(
                "XREAD", "COUNT", 1, "BLOCK", block, "STREAMS", stream, self._read_up_to, stream=stream
            )
            self._nothing_new = not news
            entries = await self._read_as_owner(count) if news else []
            if news and not entries:  # another member has handled it, or does: not to be waited for again
                self._read_up_to = news[0][1][0][0].decode()
        return entries

    async def _read_as_owner(self, count: int) -> list[Any]:
        """What is new. A script that looks at the mark first would pass every entry through Lua, at twice the cost.

        So it is looked at behind the read: a mark is never given twice, and who has it now had it then. A process that
        lost it without knowing may have read all the same. It gives that back, and is found out in any case, by the
        owner: behind what that has read, the group's first pending entry is older than the first one that it is given.
        """
        stream, group, consumer = self._options.stream, self._options.group, self._options.consumer
        reply, mark, pending = await self._commands.together(
            ("XREADGROUP", "GROUP", group, consumer, "COUNT", count, "STREAMS", stream, ">"),
            ("GET", self._held),
            ("XPENDING", stream, group, f"({self._read_up_to}", "+", 1),
            stream=stream,
            group=group,
        )
        entries: list[Any] = reply[0][1] if reply else []
        if mark is None or mark.decode() != self._mark:
            if entries:
                ids = [id_.decode() for id_, _ in entries]
                await self._run("untake", (stream,), (group, consumer, _keys.RELEASED, *ids))
            raise OwnershipLost(stream, group)
        if pending:
            await self._none_older(pending[0], entries)
        return entries

    async def _none_older(self, pending: Sequence[Any], entries: Sequence[Any]) -> None:
        """Raise `OwnershipLost` where events were read away that come before these: they are to be recovered first.

        A living member that reads without an order is no former owner; nobody promises an order beside it.
        """
        stream, group = self._options.stream, self._options.group
        id_, name = pending[0].decode(), pending[1].decode()
        own = name == self._options.consumer
        older = entry_order(id_) < entry_order(entries[0][0].decode()) if entries else not own
        if older and (own or not await self._commands.call("EXISTS", _keys.lease_key(stream, group, name))):
            raise OwnershipLost(stream, group)

    async def returned(self) -> list[Taken]:
        """What was given back to the group that this process owns."""
        if not self._options.owned or _keys.RELEASED not in await self._holders():
            return []
        return await self._inherit(_keys.RELEASED, "0-0", RETURNED_PER_CALL)

    async def mine(self, after: str, count: int) -> tuple[list[Taken], str | None]:
        """What the group counts as this process's own."""
        words = (self._options.group, self._options.consumer, after, count)
        return await self._taken(await self._run("mine", (self._options.stream, self._failures), words))

    async def _taken(self, reply: list[Any]) -> tuple[list[Taken], str | None]:
        """Entries named as id, starts, failures, ... with their contents."""
        further = reply[0].decode() or None
        ids = [id_.decode() for id_ in reply[1::3]]
        counts = list(zip(reply[2::3], reply[3::3], strict=True))
        events = await self.load(ids)
        taken = [
            Taken(stored=event, starts=int(starts), failures=int(failures))
            for event, (starts, failures) in zip(events, counts, strict=True)
        ]
        return await self._with_done(await self._meant(taken)), further

    async def _meant(self, taken: list[Taken]) -> list[Taken]:
        """Without what is for another group alone: to this one it is as good as handled."""
        group = self._options.group
        strange = [each for each in taken if each.stored.only_for and each.stored.only_for != group]
        if not strange:
            return taken
        ids = [(each.stored.key.id, "") for each in strange]
        await self.settle(Settlements(handled=ids, failed=[], dead=[]))
        return [each for each in taken if each not in strange]

    async def load(self, ids: Sequence[str]) -> list[Stored]:
        """Events by id; a missing one comes back with its problem."""
        if not ids:
            return []
        stream = self._options.stream
        replies: list[Any] = await self._run("entries", (stream,), ids)
        events = [
            _wire.stored_event(stream, id_, words) if words else _wire.gone_event(stream, id_)
            for id_, words in zip(ids, replies, strict=True)
        ]
        return await self._payloads.complete(stream, events)

    async def _with_done(self, taken: list[Taken]) -> list[Taken]:
        if not self._remember_ms or not taken:
            return taken
        done = await self.handled([each.stored.message_id for each in taken])
        return [msgspec.structs.replace(each, done=True) if each.stored.message_id in done else each for each in taken]

    async def handled(self, message_ids: Sequence[str]) -> set[str]:
        """Those of these message ids that the group has handled in its present epoch."""
        stream, group = self._options.stream, self._options.group
        keys = [_keys.done_key(stream, group, message_id) for message_id in message_ids]
        replies: list[int] = await self._run("handled", (self._epoch, *keys), ())
        return {message_id for message_id, reply in zip(message_ids, replies, strict=True) if reply}

    async def epoch(self) -> int:
        """How often the group was told to handle its events again."""
        return int(await self._commands.call("GET", self._epoch, stream=self._options.stream) or 0)

    async def starting(self, starts: Mapping[str, int]) -> None:
        """Count the next start of each entry, just before it happens."""
        words: list[Word] = [self._options.group, self._options.consumer, self._mark]
        for id_, count in starts.items():
            words += (id_, count)
        await self._run("starting", (self._options.stream, self._held), words)

    async def settle(self, settlements: Settlements) -> None:
        """Write outcomes: what was handled and what failed in one step, then each dead letter in its own."""
        stream, group = self._options.stream, self._options.group
        handled, failed = settlements.handled, settlements.failed
        while handled or failed:
            part, handled = handled[:ACKS_PER_CALL], handled[ACKS_PER_CALL:]
            keys = [stream, self._held, self._failures, self._epoch]
            if self._remember_ms:
                keys += [_keys.done_key(stream, group, message_id) for _, message_id in part if message_id]
            words: list[Word] = [
                group,
                self._mark,
                self._remember_ms,
                len(part),
                *[id_ for id_, _ in part],
                *failed[:ACKS_PER_CALL],
            ]
            await self._run("settle", keys, words)
            failed = failed[ACKS_PER_CALL:]
        for letter in settlements.dead:
            await self._bury(letter)

    async def _bury(self, letter: DeadLetter) -> None:
        stream, group = self._options.stream, self._options.group
        keys = (
            stream, self._held, self._failures, _keys.payload_key(stream, letter.message_id),
            _keys.dead_letter_stream(stream, group), _keys.dead_letter_payload_key(stream, group, letter.id),
        )  # fmt: skip
        outside = [word for pair in (await self._payloads.elsewhere(stream, letter.id)).items() for word in pair]
        own = _wire.letter_words(letter, self._options.consumer)
        await self._run("dead", keys, (group, self._mark, letter.id, len(outside), *outside, *own))

    async def hand_back(self, entries: Mapping[str, int], *, to: str = "") -> None:
        """Give entries back, with the starts they really had."""
        holder = _keys.left_to(to) if to else _keys.RELEASED
        words: list[Word] = [self._options.group, self._mark, self._options.consumer, holder]
        for id_, starts in entries.items():
            words += (id_, starts)
        await self._run("hand_back", (self._options.stream, self._held), words)

    async def leave(self) -> None:
        """Give up ownership and lease; the name goes when nothing is pending under it."""
        try:
            words = (self._options.group, self._mark, self._options.consumer)
            await self._run("leave", (self._options.stream, self._held, self._lease), words)
        finally:
            await asyncio.to_thread(self._heart.close)

    async def _run(self, name: str, keys: Sequence[str], words: Sequence[Word]) -> Any:
        return await self._commands.run(name, keys, words, group=self._options.group)
