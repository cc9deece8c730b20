"""Entry point of the `esb` command."""

from __future__ import annotations

import gc
import sys

UNSEEN = 50_000
"""Objects that may gather before the garbage collector looks at them: a page of events is thousands, and no cycle leads
through them, so that looking more often would be a fifth of what reading a long stream costs."""


def main() -> None:
    """Run the command line; exits the process."""
    gc.set_threshold(UNSEEN, 20, 20)
    try:
        from . import terminal
        from .app import build

        terminal.prepare()
        build()(prog_name="esb")
    except KeyboardInterrupt:  # while it is still being imported: afterwards `failures.handled` is there
        sys.exit(130)


if __name__ == "__main__":
    main()
