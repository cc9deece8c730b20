"""The in-memory adapter: behaves like Redis behind the same ports, needs no server."""

from .._ports import BuriedEvent
from ._channel import MemoryChannel
from ._faults import Faults, FaultyChannel
from ._server import MemoryServer
from ._store import MemoryStore

__all__ = ["BuriedEvent", "Faults", "FaultyChannel", "MemoryChannel", "MemoryServer", "MemoryStore"]
