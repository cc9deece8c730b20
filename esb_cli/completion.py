"""What a shell offers while a command is typed: streams of the server, events of the workspace.

A completion never asks for a password, never says a word, and gives up within a second.
"""

from __future__ import annotations

from contextlib import suppress

from .failures import Failure

PATIENCE = 1.0
"""Seconds that a completion may take on the server."""


def streams(incomplete: str) -> list[str]:
    """The streams whose keys begin like this; none when the server does not answer at once."""
    import asyncio

    from esb_runtime import EsbError

    from . import connection

    async def ask() -> list[str]:
        from esb_runtime.operations import Operations

        chosen = connection.choose(None, None)
        operations = await Operations.connect(endpoint=chosen.endpoint, password=chosen.password)
        try:
            return [name for name in await operations.names() if name.startswith(incomplete) and name.isprintable()]
        finally:
            await operations.aclose()

    with suppress(Failure, EsbError, TimeoutError):
        return asyncio.run(asyncio.wait_for(ask(), PATIENCE))
    return []


def events(incomplete: str) -> list[str]:
    """The events of the workspace's contracts that begin like this."""
    from .lock import Lock

    with suppress(Failure):
        lock = Lock.of_workspace()
        names = {event.event for event in lock.events} if lock else set[str]()
        return sorted(name for name in names if name.startswith(incomplete))
    return []
