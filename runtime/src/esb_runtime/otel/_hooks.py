"""The outbox and the consumption that tell what they do."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from contextlib import ExitStack
from datetime import timedelta

from msgspec import structs

from .._consumer import Consumption, Route, SubscriptionOptions
from .._identifiers import EventKey
from .._ports import Channel
from .._producer import Outbox, Sending
from ..delivery._job import Attempt
from ._instruments import Instruments


class TracedOutbox(Outbox):
    """Sends, and tells of it; events carry the trace on."""

    def __init__(self, channel: Channel, *, deadline: timedelta, instruments: Instruments) -> None:
        super().__init__(channel, deadline=deadline)
        self._instruments = instruments

    def outcome(self, sending: Sending) -> Awaitable[EventKey]:
        """One event: a span of its own."""
        return self._told(sending)

    async def _told(self, sending: Sending) -> EventKey:
        with self._instruments.sending(sending.stream, [sending.record]) as carrier:
            _carry(sending, carrier)
            return await super().outcome(sending)

    async def batch(self, sendings: Sequence[Sending]) -> list[EventKey]:
        """Many events: a span per stream."""
        lines: dict[str, list[Sending]] = {}
        for sending in sendings:
            lines.setdefault(sending.stream, []).append(sending)
        with ExitStack() as spans:
            for stream, line in lines.items():
                records = [sending.record for sending in line]
                carrier = spans.enter_context(self._instruments.sending(stream, records))
                for sending in line:
                    _carry(sending, carrier)
            return await super().batch(sendings)


class TracedConsumption(Consumption):
    """Handles, and tells of it; what handlers do belongs to the trace of their event."""

    def __init__(self, route: Route, options: SubscriptionOptions, *, group: str, instruments: Instruments) -> None:
        super().__init__(route, options, group=group)
        self._instruments = instruments

    async def handle(self, attempt: Attempt) -> None:
        """One event."""
        with self._instruments.processing([attempt.stored], self._group, attempt.number):
            await super().handle(attempt)

    async def handle_batch(self, attempts: Sequence[Attempt]) -> None:
        """The events of one batch call."""
        with self._instruments.processing([attempt.stored for attempt in attempts], self._group, 1):
            await super().handle_batch(attempts)


def _carry(sending: Sending, carrier: Mapping[str, str]) -> None:
    if carrier:
        details = structs.replace(sending.record.details, trace=carrier)
        sending.record = structs.replace(sending.record, details=details)
