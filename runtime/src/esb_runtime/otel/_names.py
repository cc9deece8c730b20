"""Every name that telemetry uses. docs/telemetry.md has the same table; a test holds both against what is emitted.

`messaging.*` and `error.type` are OpenTelemetry's semantic conventions for messaging; `esb.*` is what those leave open.
"""

from __future__ import annotations

from typing import Final

SCOPE: Final = "esb_runtime"
"""The instrumentation scope of all spans and metrics."""

# spans are named `{operation} {stream}`
SEND: Final = "send"
PROCESS: Final = "process"

# attributes
SYSTEM: Final = "messaging.system"
REDIS: Final = "redis"
STREAM: Final = "messaging.destination.name"
GROUP: Final = "messaging.consumer.group.name"
OPERATION: Final = "messaging.operation.name"
OPERATION_TYPE: Final = "messaging.operation.type"
MESSAGE_ID: Final = "messaging.message.id"
BATCH: Final = "messaging.batch.message_count"
ERROR: Final = "error.type"
EVENT: Final = "esb.event"
VERSION: Final = "esb.event.version"
ENTRY: Final = "esb.entry.id"
ATTEMPT: Final = "esb.attempt"

# metrics
SENT: Final = "messaging.client.sent.messages"
SEND_DURATION: Final = "messaging.client.operation.duration"
CONSUMED: Final = "messaging.client.consumed.messages"
PROCESS_DURATION: Final = "messaging.process.duration"
DELAY: Final = "esb.consumer.delay"
LAG: Final = "esb.consumer.lag"
AGE: Final = "esb.consumer.age"
DEAD_LETTERS: Final = "esb.consumer.dead_letters"
