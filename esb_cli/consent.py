"""Asking before something is moved or deleted."""

from __future__ import annotations

import sys

from .failures import Exit, Failure
from .terminal import clean


def required(question: str, *, yes: bool) -> None:
    """Go on only when somebody agreed: by `--yes`, or by an answer on a terminal.

    Raises `Failure`: usage (2) where nobody can be asked, interrupted (130) for any answer but yes.
    """
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise Failure(f"{question} Nobody can be asked here: pass --yes (or --dry-run to only look)", Exit.USAGE)
    sys.stderr.write(f"{clean(question)} [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().casefold() not in {"y", "yes"}:
        raise Failure("nothing was done", Exit.INTERRUPTED)
