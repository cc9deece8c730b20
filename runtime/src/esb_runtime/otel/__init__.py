"""Traces and metrics through OpenTelemetry; needs `esb-runtime[otel]`. docs/telemetry.md lists every name.

    backbone = Backbone.connect(telemetry=from_environment(service="mycompany.events"))

A trace that begins with a request runs through the stream to every handler: events carry its context.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import TYPE_CHECKING

from .._consumer import Consumption, Route, SubscriptionOptions
from .._ports import Channel
from .._producer import Outbox

try:
    from ._behind import watching
    from ._hooks import TracedConsumption, TracedOutbox
    from ._instruments import Instruments
except ModuleNotFoundError as missing:
    if missing.name is None or not missing.name.startswith("opentelemetry"):
        raise
    raise ModuleNotFoundError(
        "telemetry needs OpenTelemetry: install esb-runtime[otel]", name=missing.name
    ) from missing

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

__all__ = ["Telemetry", "from_environment"]

_ENDPOINTS = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
)


class Telemetry:
    """Spans and metrics of a backbone: what it sends, what its subscriptions handle, how far they are behind.

    Give it to `Backbone.connect(telemetry=...)`. `tracers` and `meters` default to the process's own providers;
    `every` is how often lag and age are measured. Argument values appear in neither spans nor metrics.
    """

    def __init__(
        self,
        *,
        tracers: TracerProvider | None = None,
        meters: MeterProvider | None = None,
        every: timedelta = timedelta(seconds=10),
    ) -> None:
        self._instruments = Instruments(tracers, meters)
        self._every = every.total_seconds()

    def outbox(self, channel: Channel, *, deadline: timedelta) -> Outbox:
        """What sends events, and tells of it; for the backbone."""
        return TracedOutbox(channel, deadline=deadline, instruments=self._instruments)

    def consumption(self, route: Route, options: SubscriptionOptions, *, group: str) -> Consumption:
        """What handles a route's events, and tells of it; for the backbone."""
        return TracedConsumption(route, options, group=group, instruments=self._instruments)

    def watching(self, channel: Channel, streams: Sequence[str], group: str) -> AbstractAsyncContextManager[None]:
        """Tells how far a group is behind while the block lasts; for the backbone."""
        return watching(channel, streams, group, every=self._every, instruments=self._instruments)


def from_environment(*, service: str) -> Telemetry | None:
    """Telemetry that is exported where the OTEL_ variables say, over OTLP (HTTP); None when they name no place.

    Sets up the SDK as the process's own, once; at the end of the process it sends what is left. `service` is the
    service's name unless OTEL_SERVICE_NAME gives another one. OTEL_SDK_DISABLED=true turns all of it off.
    """
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or not any(map(os.environ.get, _ENDPOINTS)):
        return None
    from ._export import export

    export(service)
    return Telemetry()
