"""Waiting out an outage, and saying so once."""

from __future__ import annotations

import asyncio
import logging
from random import random

from .._errors import ChannelError

logger = logging.getLogger("esb_runtime")

FIRST = 0.05
LONGEST = 1.0
"""Seconds, halved to one and a half times by chance: after an outage the first event is handled within two."""


class Backoff:
    """Grows the wait while trouble lasts; logs each change of state once."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._delay = FIRST
        self._trouble = ""

    def well(self) -> None:
        """The trouble is over."""
        if self._trouble:
            logger.info("%s: goes on", self._name)
        self._trouble = ""
        self._delay = FIRST

    async def note(self, error: ChannelError, stopping: asyncio.Event, *, at_once: bool = False) -> None:
        """Wait before the next try; less when `at_once` says that the next try may well succeed."""
        kind = type(error).__name__
        if self._trouble != kind:
            logger.warning("%s: %s", self._name, error)
            self._trouble = kind
        delay = FIRST if at_once else self._delay
        self._delay = min(self._delay * 2, LONGEST)
        try:
            await asyncio.wait_for(stopping.wait(), timeout=delay * (0.5 + random()))  # noqa: S311 - spread, not secrecy
        except TimeoutError:
            return
