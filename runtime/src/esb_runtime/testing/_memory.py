"""A backbone without a server, for tests of what produces and consumes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import timedelta
from types import TracebackType
from typing import Any, ParamSpec, overload

from .._backbone import Backbone
from .._consumer import Subscription
from .._contract import EventContract, stream_key
from .._delivery import Delivery
from .._errors import UsageError
from .._events import EventDefinition, EventToken, definition_of
from .._follow import Following
from .._identifiers import EventKey
from .._ports import Seat
from .._read import delivery_of
from ..memory import BuriedEvent, Faults, FaultyChannel, MemoryChannel, MemoryServer

P = ParamSpec("P")

WITHIN = timedelta(seconds=10)
"""How long `settled` waits unless told otherwise."""
FAREWELL = 5.0
"""Seconds that consumers which `settled` started get to end."""


class MemoryBackbone(Backbone):
    """A backbone whose streams live in this process; made by `memory_backbone`.

    It behaves like Redis: groups, pending lists, leases, ownership, dead letters, retries. Everything that a
    `Backbone` does works; besides, it can be looked at, and it knows when everything is done.
    """

    def __init__(self, server: MemoryServer, *, environment: str = "", faults: Faults | None = None) -> None:
        """Use `memory_backbone`."""
        channel = MemoryChannel(server) if faults is None else FaultyChannel(server, faults, crashed=self._crashed)
        super().__init__(channel, environment=environment)
        self.server = server
        self._started: dict[asyncio.Task[None], Any] = {}

    def _crashed(self, seat: Seat) -> None:
        for runnable in self._runnables:
            if isinstance(runnable, Subscription):
                runnable.abandon(seat)

    @overload
    def events(self, token: EventToken[P], /, *, uri: str | None = None) -> list[Delivery[P]]: ...
    @overload
    def events(self, contract: type[EventContract[Any]], /, *, uri: str | None = None) -> list[Delivery[...]]: ...
    def events(self, subject: Any, /, *, uri: str | None = None) -> Any:
        """What was produced, in stream order: the events of a token (typed), or all of a contract's stream.

            [delivery] = backbone.events(ShipmentTracking.packing)
            assert delivery.arguments["email"] == "ann@example.com"

        `uri` overrides the contract's. Raises `ChannelError` at an event that cannot be read.
        """
        if isinstance(subject, EventDefinition):
            known = {subject.id: subject}
            contract: type[EventContract[Any]] = subject.contract
        else:
            contract = subject
            known = dict(contract.events())
        name = contract.uri() if uri is None else uri
        stored = self.server.events(stream_key(name, self.environment))
        return [
            delivery_of(
                event, uri=name, environment=self.environment, definition=known.get((event.event, event.version))
            )
            for event in stored
            if not isinstance(subject, EventDefinition) or (event.event, event.version) in known
        ]

    def dead_letters(
        self, subject: EventToken[...] | type[EventContract[Any]], /, *, group: str, uri: str | None = None
    ) -> list[BuriedEvent]:
        """What a group gave up on, oldest first: of one event, or of all of a contract's stream."""
        token = definition_of(subject) if isinstance(subject, EventDefinition) else None
        contract: Any = token.contract if token is not None else subject
        stream = stream_key(contract.uri() if uri is None else uri, self.environment)
        buried = self.server.dead_letters(stream, group)
        return [each for each in buried if token is None or (each.stored.event, each.stored.version) == token.id]

    async def settled(self, within: timedelta = WITHIN) -> None:
        """Run what is subscribed, and wait until every group has handled (or given up on) every event.

        What runs already (a `run` of yours) goes on; what does not is started, and ends with the backbone. Events
        that handlers produce count too, and so do retries: give tests a `Retry` with a short `first_delay`.
        Raises `TimeoutError`, which says what is left, and whatever a consumer's `run` raises.
        """
        for runnable in self._runnables:
            if not runnable.running and runnable not in self._started.values():
                self._started[asyncio.create_task(runnable.run())] = runnable
        done = asyncio.create_task(self._settled(within))
        await asyncio.wait((done, *self._started), return_when=asyncio.FIRST_COMPLETED)
        if not done.done():
            done.cancel()
            await _outcomes(task for task in self._started if task.done())
            raise UsageError("a subscription was stopped before it had handled everything")
        if not done.result():
            missing = "; ".join(self.server.unsettled()) or "a subscription that did not begin"
            raise TimeoutError(f"not settled within {within.total_seconds():g} s: {missing}")

    async def _settled(self, within: timedelta) -> bool:
        """Whether the groups, and the views that need no group, have everything; false when that took too long."""
        try:
            async with asyncio.timeout(within.total_seconds()):
                while await self.server.settled(within, self._all_present):
                    behind = [pair for pair in self._newest() if not pair[0].position.covers(pair[1])]
                    if not behind:
                        return True
                    for following, key in behind:
                        await following.reached(key)
                return False
        except TimeoutError:
            return False

    def _newest(self) -> list[tuple[Following, EventKey]]:
        """The views in memory, with the newest event of each of their streams."""
        alone = [each for each in self._runnables if isinstance(each, Following) and not each.in_group]
        pairs = [(each, self.server.events(stream)) for each in alone for stream in each.streams]
        return [(each, events[-1].key) for each, events in pairs if events]

    def _all_present(self) -> bool:
        """Whether every subscription has made its group: before that, nothing pending means nothing."""
        members = [each for each in self._runnables if not isinstance(each, Following) or each.in_group]
        return all(each.group in self.server.groups(stream) for each in members for stream in each.streams)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Stop what `settled` started, then close."""
        for runnable in self._started.values():
            await runnable.stop()
        if self._started:
            _, running = await asyncio.wait(self._started, timeout=FAREWELL)
            for task in running:
                task.cancel()
        outcomes = await asyncio.gather(*self._started, return_exceptions=True)
        self._started.clear()
        await super().__aexit__(kind, error, trace)
        failures = [each for each in outcomes if isinstance(each, Exception)]
        if failures and error is None:
            raise failures[0]


def memory_backbone(
    server: MemoryServer | None = None, *, environment: str = "", faults: Faults | None = None
) -> MemoryBackbone:
    """A backbone without a server, for tests.

        async with memory_backbone() as backbone:
            wire(backbone)
            await ShipmentTracking.producer(backbone).packing("ann@example.com", 1, now)
            await backbone.settled()
            assert backbone.events(ShipmentTracking.on_delivery)

    Several backbones that are given the same `server` see the same events, like processes with one Redis; a
    `MemoryServer(clock=ManualClock())` moves leases and entry ids by hand. `faults` happen on this backbone's way to
    the server; see `Faults`.
    """
    return MemoryBackbone(server or MemoryServer(), environment=environment, faults=faults)


async def _outcomes(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Raise what the first failed task raised."""
    for task in tasks:
        await task
