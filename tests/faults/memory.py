"""How much memory processes hold, sampled while they run."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

PROC = Path("/proc")
"""Linux; elsewhere nothing is sampled."""
PAGE = os.sysconf("SC_PAGE_SIZE")


class Memory:
    """The most that any process of each kind was seen to hold, in MiB (resident set)."""

    def __init__(self) -> None:
        self.most: Counter[str] = Counter()

    def sample(self, kind: str, pids: Iterable[int]) -> None:
        """Look at processes now; those that ended hold nothing."""
        for pid in pids:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                pages = int((PROC / str(pid) / "statm").read_text("ascii").split()[1])
                self.most[kind] = max(self.most[kind], pages * PAGE >> 20)

    def check(self, events: int) -> None:
        """Nothing that a client holds grows with what it has done; the server holds the events and little else."""
        bounds = {"consumer": 150, "producer": 100, "server": 100 + events * 4 // 1024}
        assert {kind: most for kind, most in self.most.items() if most > bounds[kind]} == {}, bounds
