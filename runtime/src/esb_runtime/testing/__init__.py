"""The test kit: a real server for integration tests, and what tests in memory need."""

from .._clock import Clock, ManualClock, SystemClock
from ..memory import BuriedEvent, Faults, MemoryChannel, MemoryServer, MemoryStore
from ._embedded import RedisServer
from ._memory import MemoryBackbone, memory_backbone
from ._scenario import Given, When, given

__all__ = [
    "BuriedEvent",
    "Clock",
    "Faults",
    "Given",
    "ManualClock",
    "MemoryBackbone",
    "MemoryChannel",
    "MemoryServer",
    "MemoryStore",
    "RedisServer",
    "SystemClock",
    "When",
    "given",
    "memory_backbone",
]
