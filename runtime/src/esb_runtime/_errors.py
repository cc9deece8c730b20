"""Every error that esb raises on purpose.

    EsbError
    +-- ContractError              a contract or a consumer is written wrongly (also a TypeError)
    +-- EndpointError              an endpoint or a connection setting cannot be understood (also a ValueError)
    +-- CodecError                 a value does not fit its declared type (also a ValueError)
    |   +-- EncodeError            ... on the way in: nothing was sent
    |   +-- DecodeError            ... on the way out: the stored event is left as it is
    +-- UsageError                 the library was called in a way that cannot work
    |   +-- MessageIdReused        one `message_id` block governed two produce calls
    +-- ServerNotStarted           the embedded server could not be started, or not be stopped
    +-- ChannelError               the server answered, but not with what was asked for
        +-- ChannelUnavailable     it could not be reached before the deadline
        +-- NotConfirmed           the event is stored, but not yet as durably as was asked for
        +-- DurabilityUnavailable  this server cannot promise that durability: nothing was sent
        +-- LoginRefused           it refused the user, the password or a permission
        +-- WrongKeyType           a key holds something that esb did not write
        +-- StreamNotFound         no such stream
        +-- EventNotFound          no such event in the stream
        +-- PayloadMissing         the event's entry is there, its payload is not
        +-- StoreMissing           the event's payload lies in a store that this process was not given
        +-- GroupNotFound          no such consumer group
        +-- GroupBusy              a group cannot be moved now: nothing was changed
        +-- GroupLost              the consumer group is gone (the consumer re-creates it at its floor)
        +-- OwnershipLost          another process owns the stream's partition now

Each error carries its subject as attributes; its message says what happened and what to do next. Nothing here ever
holds a password or the value of an argument.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from ._identifiers import EventKey


class EsbError(Exception):
    """Base of all errors raised by esb."""


class ContractError(EsbError, TypeError):
    """A contract, or a consumer of one, is written wrongly; raised where the class is defined or subscribed."""


class EndpointError(EsbError, ValueError):
    """An endpoint, or a setting of a connection, cannot be understood. Never repeats a password."""


class CodecError(EsbError, ValueError):
    """A value does not fit the type that the contract declares for its argument.

    `event` is the event's wire name, `argument` the argument's name, `expected` the declared type as text.
    """

    def __init__(self, message: str, *, event: str, argument: str, expected: str) -> None:
        super().__init__(message)
        self.event = event
        self.argument = argument
        self.expected = expected


class EncodeError(CodecError):
    """A value that was given to a producer does not fit; nothing was sent."""


class DecodeError(CodecError):
    """A stored value does not fit; the stored event is left as it is."""


class UsageError(EsbError):
    """The library was called in a way that cannot work; the message names the right way."""


class MessageIdReused(UsageError):
    """One `with message_id(...)` block governed more than one produce call."""

    def __init__(self, message_id: str) -> None:
        super().__init__(
            f"message_id({message_id!r}) governs exactly one produce call, and it was used up; "
            "open one `with message_id(...)` block per call"
        )
        self.message_id = message_id


class ServerNotStarted(EsbError):
    """The embedded server of a folder could not be started or stopped; the message says why and what to do."""


class ChannelError(EsbError):
    """The server answered, but not with what was asked for.

    Raised by a produce call, it carries the call's message ids: a call whose reply was lost may have stored its events,
    and sending them again with `message_id(error.message_id)` stores them once and returns the first call's key.
    """

    message_ids: tuple[str, ...] = ()
    """Of the events that the failed call was to store, in the order of the call."""

    @property
    def message_id(self) -> str:
        """The first of them; empty when no produce call raised this."""
        return self.message_ids[0] if self.message_ids else ""

    def for_call(self, *message_ids: str) -> Self:
        """The same error for one of several calls that met it."""
        own = type(self).__new__(type(self))
        own.args = self.args
        own.__dict__.update(self.__dict__)
        own.message_ids = message_ids
        return own


class ChannelUnavailable(ChannelError):
    """The server could not be reached before the deadline; `endpoint` is its address without credentials."""

    def __init__(self, endpoint: str, reason: str) -> None:
        super().__init__(f"cannot reach Redis at {endpoint}: {reason}")
        self.endpoint = endpoint
        self.reason = reason


class NotConfirmed(ChannelError):
    """The events are stored, but whether they are as durable as was asked for was not learnt before the deadline.

    `keys` are where they stand, `key` is the first. Sending them again with their message ids waits for it anew.
    """

    def __init__(self, keys: Sequence[EventKey], durability: str, reason: str) -> None:
        more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
        super().__init__(
            f"event {keys[0]}{more} is stored, but not confirmed as {durability}: {reason}; "
            "send it again with its message id to wait for that anew"
        )
        self.keys = tuple(keys)
        self.durability = durability
        self.reason = reason

    @property
    def key(self) -> EventKey:
        """Where the (first) event stands."""
        return self.keys[0]


class DurabilityUnavailable(ChannelError):
    """The server cannot promise the durability that was asked for; nothing was sent."""

    def __init__(self, endpoint: str, durability: str, reason: str) -> None:
        super().__init__(f"Redis at {endpoint} cannot promise {durability}, so nothing was sent: {reason}")
        self.endpoint = endpoint
        self.durability = durability
        self.reason = reason


class LoginRefused(ChannelError):
    """The server refused the user, the password, or a permission that esb needs."""

    def __init__(self, endpoint: str, reason: str) -> None:
        super().__init__(
            f"Redis at {endpoint} refused: {reason}. Check REDIS_EVENT_SOURCE_PASS, the user and its ACL rules"
        )
        self.endpoint = endpoint
        self.reason = reason


class WrongKeyType(ChannelError):
    """A key that esb needs holds something else; it is left untouched."""

    def __init__(self, key: str, expected: str, reason: str = "") -> None:
        found = f" ({reason})" if reason else ""
        super().__init__(f"key {key!r} is not a {expected}{found}; esb leaves it untouched: use another uri")
        self.key = key
        self.expected = expected


class StreamNotFound(ChannelError):
    """No stream has this key; `nearest` are existing names that look alike."""

    def __init__(self, stream: str, nearest: tuple[str, ...] = ()) -> None:
        hint = f"; did you mean {', '.join(nearest)}?" if nearest else "; it appears with its first event"
        super().__init__(f"no stream {stream!r}{hint}")
        self.stream = stream
        self.nearest = nearest


class EventNotFound(ChannelError):
    """The stream holds no event with this id: it was never there, or it was trimmed."""

    def __init__(self, stream: str, id: str) -> None:  # noqa: A002 - the attribute is the entry's id
        super().__init__(f"stream {stream!r} holds no event {id}; it was trimmed, or the key belongs elsewhere")
        self.stream = stream
        self.id = id


class PayloadMissing(ChannelError):
    """The entry is in the stream, but its payload is neither stored, erased nor expired by policy."""

    def __init__(self, stream: str, id: str) -> None:  # noqa: A002 - the attribute is the entry's id
        super().__init__(f"the payload of event {id} in stream {stream!r} is gone without a trace of why")
        self.stream = stream
        self.id = id


class StoreMissing(ChannelError):
    """The event names a payload store that this process was not given."""

    def __init__(self, stream: str, id: str, store: str) -> None:  # noqa: A002 - the attribute is the entry's id
        super().__init__(
            f"the payload of event {id} in stream {stream!r} lies in the store {store!r}; "
            "give this store to Backbone.connect(stores=...)"
        )
        self.stream = stream
        self.id = id
        self.store = store


class GroupNotFound(ChannelError):
    """There is no consumer group of this name. `nearest` are names that look alike."""

    def __init__(self, stream: str, group: str, nearest: Sequence[str] = ()) -> None:
        hint = f"; did you mean {' or '.join(map(repr, nearest))}?" if nearest else ""
        super().__init__(f"stream {stream!r} has no group {group!r}{hint}")
        self.stream = stream
        self.group = group
        self.nearest = tuple(nearest)


class GroupBusy(ChannelError):
    """A consumer group cannot be moved now; nothing was changed."""

    def __init__(self, stream: str, group: str, reason: str) -> None:
        super().__init__(f"group {group!r} of stream {stream!r} was not moved: {reason}")
        self.stream = stream
        self.group = group
        self.reason = reason


class GroupLost(ChannelError):
    """The consumer group does not exist (any more)."""

    def __init__(self, stream: str, group: str) -> None:
        super().__init__(f"group {group!r} of stream {stream!r} does not exist; it is re-created at its floor")
        self.stream = stream
        self.group = group


class OwnershipLost(ChannelError):
    """Another process owns this partition for the group; what this process still does with it is refused."""

    def __init__(self, stream: str, group: str) -> None:
        super().__init__(
            f"the lease on stream {stream!r} for group {group!r} ended: other processes take over what it held"
        )
        self.stream = stream
        self.group = group
