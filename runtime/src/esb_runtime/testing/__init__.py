"""The test kit: a real server for integration tests, and what tests in memory need."""

from .._clock import Clock, ManualClock, SystemClock
from ..memory import BuriedEvent, MemoryChannel, MemoryServer, MemoryStore
from ._embedded import RedisServer
from ._memory import MemoryBackbone, memory_backbone

__all__ = [
    "BuriedEvent",
    "Clock",
    "ManualClock",
    "MemoryBackbone",
    "MemoryChannel",
    "MemoryServer",
    "MemoryStore",
    "RedisServer",
    "SystemClock",
    "memory_backbone",
]
