"""Entry point of the `esb` command."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; exits the process."""
    try:
        from . import terminal
        from .app import build

        terminal.prepare()
        build()(prog_name="esb")
    except KeyboardInterrupt:  # while it is still being imported: afterwards `failures.handled` is there
        sys.exit(130)


if __name__ == "__main__":
    main()
