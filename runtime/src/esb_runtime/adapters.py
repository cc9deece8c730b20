"""What adapters fulfil, for those who write their own: a channel, a seat in a group, a payload store.

Each promise stands in the docstring of the method that makes it; `esb_runtime.testing.conformance` tests them all.
"""

from ._envelope import Details, Record, Stored
from ._ports import (
    Appended,
    BuriedEvent,
    Channel,
    DeadLetter,
    DeadLetters,
    PayloadStore,
    Placement,
    Replay,
    Seat,
    SeatOptions,
    Settlements,
    Taken,
)

__all__ = [
    "Appended",
    "BuriedEvent",
    "Channel",
    "DeadLetter",
    "DeadLetters",
    "Details",
    "PayloadStore",
    "Placement",
    "Record",
    "Replay",
    "Seat",
    "SeatOptions",
    "Settlements",
    "Stored",
    "Taken",
]
