"""Where telemetry takes hold: chosen when a backbone is made and when a subscription begins, never asked per event.

Without telemetry the plain outbox and the plain consumption do the work. `esb_runtime.otel` fills it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import timedelta
from typing import Protocol

from ._consumer import Consumption, Route, SubscriptionOptions
from ._ports import Channel
from ._producer import Outbox


class Telemetry(Protocol):
    """Watches a backbone."""

    def outbox(self, channel: Channel, *, deadline: timedelta) -> Outbox:
        """What sends events, and tells of it."""
        ...

    def consumption(self, route: Route, options: SubscriptionOptions, *, group: str) -> Consumption:
        """What handles a route's events, and tells of it."""
        ...

    def watching(self, channel: Channel, streams: Sequence[str], group: str) -> AbstractAsyncContextManager[None]:
        """Tells how far a group is behind, for as long as the block lasts."""
        ...


class Silence:
    """No telemetry."""

    def outbox(self, channel: Channel, *, deadline: timedelta) -> Outbox:
        """The plain outbox."""
        return Outbox(channel, deadline=deadline)

    def consumption(self, route: Route, options: SubscriptionOptions, *, group: str) -> Consumption:
        """The plain consumption."""
        return Consumption(route, options, group=group)

    def watching(self, channel: Channel, streams: Sequence[str], group: str) -> AbstractAsyncContextManager[None]:  # noqa: ARG002
        """Nothing."""
        return nullcontext()


SILENCE = Silence()
