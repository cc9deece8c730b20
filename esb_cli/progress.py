"""How far a long command has come: one line on stderr that redraws itself, on terminals only."""

from __future__ import annotations

import sys
import time
from datetime import timedelta
from types import TracebackType
from typing import Self

from . import terminal
from .moments import short

INTERVAL = 0.1
"""Seconds between two drawings."""
PATIENCE = 0.3
"""Seconds before the first: what is done by then needs no bar."""


class Progress:
    """`copying to b  [#####-----]  52 %  12,000/s  3s left`; without a total only the count."""

    def __init__(self, title: str, *, total: int | None) -> None:
        self._title = terminal.clean(title)
        self._total = total
        self._screen = terminal.stderr()
        self._began = time.monotonic()
        self._next = self._began + PATIENCE
        self._drawn = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()

    def close(self) -> None:
        """Take the line away."""
        if self._drawn:
            self._drawn = False
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def to(self, done: int) -> None:
        """It has come so far."""
        present = time.monotonic()
        if not self._screen.interactive or present < self._next:
            return
        self._next = present + INTERVAL
        self._drawn = True
        line = self._screen.fit(self._line(done, max(present - self._began, 0.001)), (self._screen.width or 80) - 1)
        sys.stderr.write(f"\r\x1b[K{line}")
        sys.stderr.flush()

    def _line(self, done: int, passed: float) -> str:
        rate = done / passed
        if not self._total:
            return f"{self._title}  {done:,}  {rate:,.0f}/s"
        share = min(done / self._total, 1.0)
        left = short(timedelta(seconds=(self._total - done) / rate)) if rate else "?"
        full, empty = self._screen.sign("█", "#"), self._screen.sign("░", "-")
        bar = full * round(share * 20) + empty * (20 - round(share * 20))
        return f"{self._title}  {bar}  {100 * share:.0f} %  {rate:,.0f}/s  {left} left"
