"""How a command that writes meets the signals that would end it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

from .terminal import note

_ENDING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


@contextmanager
def accounted(reached: Callable[[], str]) -> Generator[None]:
    """When Ctrl-C ends the block, say how far it came and how to go on."""
    from asyncio import CancelledError

    try:
        yield
    except (CancelledError, KeyboardInterrupt):
        note(f"interrupted: {reached()}")
        raise


@contextmanager
def taken_back() -> Generator[None]:
    """Let SIGTERM and SIGHUP unwind the block as Ctrl-C does, so that it can undo what it began.

    The exit code is then 128 and the signal's number, as a shell has it.
    """
    asked = [number for number in _ENDING[1:] if signal.getsignal(number) is signal.SIG_DFL]
    with _handled(asked, _unwind):
        yield


@contextmanager
def undisturbed() -> Generator[None]:
    """Let no signal end the block: it is short, and half of what it writes would be worse than none."""
    with _handled(_ENDING, signal.SIG_IGN):
        yield


@contextmanager
def _handled(
    numbers: list[signal.Signals], how: Callable[[int, FrameType | None], Any] | signal.Handlers
) -> Generator[None]:
    before = {number: signal.signal(number, how) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _unwind(number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)
