"""Plights that tests put commands into."""

from __future__ import annotations

import os
import pty
from tempfile import TemporaryFile

import warm
from command_kit import Esb


def on_terminal(esb: Esb, line: list[str], variables: dict[str, str]) -> tuple[int, str]:
    """Run a command with stdout and stderr on a terminal; its exit code, and what was shown."""
    ours, theirs = pty.openpty()
    with TemporaryFile() as nothing:
        running = warm.start(
            line, folder=esb.folder, variables=esb.environment(**variables), streams=(nothing, theirs, theirs)
        )
    os.close(theirs)
    seen = b""
    while piece := _read(ours):
        seen += piece
    os.close(ours)
    return running.wait(60), seen.decode().replace("\r\n", "\n")


def _read(terminal: int) -> bytes:
    """What a terminal says next; nothing when its other side is closed."""
    try:
        return os.read(terminal, 10_000)
    except OSError:
        return b""
