"""Faults that a test asks for, on the path between a process and the in-memory server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from uuid import uuid4

from .._envelope import Record
from .._errors import ChannelUnavailable, UsageError
from .._identifiers import EventKey, entry_order
from .._ports import Appended, Seat, SeatOptions, Settlements
from ._channel import MemoryChannel
from ._seat import MemorySeat
from ._server import ENDPOINT, MemoryServer
from ._state import State
from ._stores import Stores


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """What goes wrong between a backbone in memory and its server, as it would with Redis.

    `lose_replies`: the first so many writes of events are done, but their replies are lost; the producer sends again,
    and the message id keeps the event single. `lose_acks`: the same for acknowledgements; nothing is handled twice,
    because the consumer writes its outcome again. `crash_after`: when so many events have been handled, the consumer's
    process dies (once) before it can acknowledge the last of them; its successor begins at once, as if the lease were
    over, and gets what was not acknowledged. `duplicate`: this share of events (0 to 1) is stored twice, as by
    producers that send again when the message id is forgotten; `idempotent=True` and `ctx.once` are for that.
    `lose_payloads`: this share of events loses its payload, and ends in the dead letters. `seed` repeats a run.
    """

    lose_replies: int = 0
    lose_acks: int = 0
    crash_after: int | None = None
    duplicate: float = 0.0
    lose_payloads: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be, where it was written."""
        if min(self.lose_replies, self.lose_acks) < 0 or (self.crash_after is not None and self.crash_after < 1):
            raise UsageError("Faults: lose_replies and lose_acks are not negative, crash_after is at least 1")
        if not (0 <= self.duplicate <= 1 and 0 <= self.lose_payloads <= 1):
            raise UsageError("Faults: duplicate and lose_payloads are shares, between 0 and 1")


class FaultyChannel(MemoryChannel):
    """A channel in memory on which faults happen; `crashed` hears of a seat whose process died."""

    def __init__(self, server: MemoryServer, faults: Faults, *, crashed: Callable[[Seat], None]) -> None:
        super().__init__(server)
        self.faults = faults
        self.crashed = crashed
        self.replies_to_lose = faults.lose_replies
        self.acks_to_lose = faults.lose_acks
        self.until_crash = faults.crash_after
        self._chance = Random(faults.seed)  # noqa: S311 - repeatable, not secret
        self._treated: set[EventKey] = set()

    async def append(self, stream: str, records: Sequence[Record], *, together: bool = False) -> list[Appended]:
        """As ever; then what the faults say happens to the new events and to the reply."""
        outcomes = await super().append(stream, records, together=together)
        new = [each for each in outcomes if isinstance(each, EventKey) and each not in self._treated]
        self._treated.update(new)
        await self.server.call(lambda state: self._harm(state, new))
        if self.replies_to_lose > 0:
            self.replies_to_lose -= 1
            raise lost("the reply to a write")
        return outcomes

    def _harm(self, state: State, keys: Sequence[EventKey]) -> None:
        for key in keys:
            again = self._chance.random() < self.faults.duplicate
            lose = self._chance.random() < self.faults.lose_payloads
            entry = state.made(key.stream).entries[entry_order(key.id)]
            if again:
                state.put(key.stream, entry)
            if lose:
                state.payloads.pop((key.stream, entry.message_id), None)

    def seat(self, options: SeatOptions) -> Seat:
        """A place in a group on which faults happen."""
        return _FaultySeat(options, self, self._stores)


class _FaultySeat(MemorySeat):
    """A seat whose outcomes may not be written, or not be heard of."""

    def __init__(self, options: SeatOptions, channel: FaultyChannel, stores: Stores) -> None:
        super().__init__(options, server=channel.server, stores=stores)
        self._channel = channel

    async def settle(self, settlements: Settlements) -> None:
        """Write outcomes, unless the process dies before; lose the reply, where that is asked for."""
        number = len(settlements.handled)
        if number and self._channel.until_crash is not None:
            self._channel.until_crash -= number
            if self._channel.until_crash <= 0:
                self._channel.until_crash = None
                await self._die()
                raise lost("a consumer's process")
        await super().settle(settlements)
        if number and self._channel.acks_to_lose > 0:
            self._channel.acks_to_lose -= 1
            raise lost("the reply to an acknowledgement")

    async def _die(self) -> None:
        """What this process held is a dead consumer's now; whoever goes on with this seat is another process."""
        consumer, mark = self._options.consumer, self._mark

        def ended(state: State) -> None:
            records = self._records(state)
            records.leases.pop(consumer, None)
            if self._options.owned and records.owner == mark:
                records.owner = ""

        await self._server.call(ended)
        self._options = replace(self._options, consumer=f"{consumer.rpartition('-')[0]}-{uuid4().hex[:8]}")
        self._mark = "-" if self._options.owned else ""
        self._channel.crashed(self)


def lost(what: str) -> ChannelUnavailable:
    """The error of who waits for something that a fault took away."""
    return ChannelUnavailable(ENDPOINT, f"{what} was lost, as the test asked for")
