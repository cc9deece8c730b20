"""Typed event sourcing over Redis Streams: contracts, producers, consumers, replay."""

from ._backbone import Backbone, Store
from ._batching import batch
from ._consumer import Middleware, Subscription
from ._context import ConsumerContext
from ._contract import Consume, EventContract, Produce, Side, Sync
from ._delivery import Delivery
from ._envelope import Metadata
from ._errors import (
    ChannelError,
    ChannelUnavailable,
    CodecError,
    ContractError,
    DecodeError,
    DurabilityUnavailable,
    EncodeError,
    EndpointError,
    EsbError,
    EventNotFound,
    GroupBusy,
    GroupLost,
    GroupNotFound,
    LoginRefused,
    MessageIdReused,
    NotConfirmed,
    OwnershipLost,
    PayloadMissing,
    StoreMissing,
    StreamNotFound,
    UsageError,
    WrongKeyType,
)
from ._events import Emission, EventToken, event
from ._flow import deadline, headers, message_id
from ._follow import Following
from ._identifiers import EventKey
from ._projection import Position, Projection
from ._retention import Retention
from ._settings import Acknowledge, Deprecated, Durability, Ordering, Origin, Retry, Start, Unhandled
from ._sync import SyncBackbone

__all__ = [
    "Acknowledge",
    "Backbone",
    "ChannelError",
    "ChannelUnavailable",
    "CodecError",
    "Consume",
    "ConsumerContext",
    "ContractError",
    "DecodeError",
    "Delivery",
    "Deprecated",
    "Durability",
    "DurabilityUnavailable",
    "Emission",
    "EncodeError",
    "EndpointError",
    "EsbError",
    "EventContract",
    "EventKey",
    "EventNotFound",
    "EventToken",
    "Following",
    "GroupBusy",
    "GroupLost",
    "GroupNotFound",
    "LoginRefused",
    "MessageIdReused",
    "Metadata",
    "Middleware",
    "NotConfirmed",
    "Ordering",
    "Origin",
    "OwnershipLost",
    "PayloadMissing",
    "Position",
    "Produce",
    "Projection",
    "Retention",
    "Retry",
    "Side",
    "Start",
    "Store",
    "StoreMissing",
    "StreamNotFound",
    "Subscription",
    "Sync",
    "SyncBackbone",
    "Unhandled",
    "UsageError",
    "WrongKeyType",
    "batch",
    "deadline",
    "event",
    "headers",
    "message_id",
]
