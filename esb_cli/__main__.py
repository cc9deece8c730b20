"""Entry point of the `esb` command."""

from __future__ import annotations

from . import terminal
from .app import build


def main() -> None:
    """Run the command line; exits the process."""
    terminal.prepare()
    build()(prog_name="esb")


if __name__ == "__main__":
    main()
