"""What a user can choose, with the defaults that are right for most."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from enum import Enum
from random import random
from typing import ClassVar

from ._errors import UsageError


class Ordering(Enum):
    """Which events of a group wait for each other.

    AUTO is KEY when any event of the contract declares a `key`, else NONE.
    KEY: one process at a time owns the stream for the group; events of one key run one at a time, in stream order.
    NONE: all processes of the group share the stream.
    """

    AUTO = "auto"
    KEY = "key"
    NONE = "none"


class Acknowledge(Enum):
    """When an event counts as handled.

    ON_SUCCESS: the handler returned. ON_FINISH: it returned or raised (no retry). MANUAL: the handler said so, with
    `ctx.ack()`, `ctx.nack()` or `ctx.reject()`; an event without a word stays pending until its process ends.
    """

    ON_SUCCESS = "on-success"
    ON_FINISH = "on-finish"
    MANUAL = "manual"


class Unhandled(Enum):
    """What happens to an event that has neither a handler nor a fallback.

    SKIP acknowledges and counts it; ERROR moves it to the dead letter at once; RELEASE hands it to a live consumer of
    the group that implements it, and acts as ERROR when none appears within a lease (needs `Ordering.NONE`).
    """

    SKIP = "skip"
    ERROR = "error"
    RELEASE = "release"


class Start(Enum):
    """Where a group that does not exist yet begins: with the first stored event, or with the next one."""

    BEGINNING = "beginning"
    END = "end"


class Origin(Enum):
    """Whether an event was produced here first, or copied from another stream (`Metadata.linked` says which)."""

    ORIGINAL = "original"
    COPY = "copy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Durability:
    """How surely an event is kept when its produce call returns; without one, as surely as the server is set up.

    `Durability.FSYNCED`: it is on the server's disk (its append-only file was flushed: WAITAOF, of every Valkey and of
    Redis from 7.2). `Durability.REPLICATED(n)`: `n` replicas have received it (WAIT). Concurrent calls wait together.
    """

    replicas: int = 0
    """How many replicas; 0 stands for the disk."""
    FSYNCED: ClassVar[Durability]

    @staticmethod
    def REPLICATED(replicas: int, /) -> Durability:  # noqa: N802 - a choice, like FSYNCED beside it
        """So many replicas have received it. Raises `UsageError` for fewer than 1."""
        if replicas < 1:
            raise UsageError("Durability.REPLICATED(n): at least 1 replica")
        return Durability(replicas=replicas)

    def __str__(self) -> str:
        return f"REPLICATED({self.replicas})" if self.replicas else "FSYNCED"


Durability.FSYNCED = Durability()


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How often, and how long apart, a failing event is tried.

    `attempts` handler failures move it to the dead letter; so do `crashes` starts that ended without any outcome
    (the process died). The wait doubles from `first_delay` up to `max_delay`, spread by up to `jitter` (a fraction).
    Raises `UsageError` for values that cannot work.
    """

    attempts: int = 5
    first_delay: timedelta = timedelta(seconds=1)
    max_delay: timedelta = timedelta(minutes=5)
    factor: float = 2.0
    jitter: float = 0.1
    crashes: int = 20

    def __post_init__(self) -> None:
        """Refuse what cannot work, where it was written."""
        if self.attempts < 1 or self.crashes < 1:
            raise UsageError("Retry: attempts and crashes are at least 1")
        if self.first_delay < timedelta(0) or self.max_delay < self.first_delay:
            raise UsageError("Retry: 0 <= first_delay <= max_delay")
        if self.factor < 1 or not 0 <= self.jitter <= 1:
            raise UsageError("Retry: factor is at least 1, jitter between 0 and 1")

    def delay(self, failures: int) -> timedelta:
        """The wait after this many failures (1 for the first)."""
        steps = min(max(failures - 1, 0), 64)
        seconds = min(self.first_delay.total_seconds() * self.factor**steps, self.max_delay.total_seconds())
        return timedelta(seconds=seconds * (1 + self.jitter * (2 * random() - 1)))  # noqa: S311 - spread, not secrecy


@dataclass(frozen=True, slots=True, kw_only=True)
class Deprecated:
    """Marks an event that new code should not produce: since when, and what to use instead."""

    since: date
    remark: str = ""
