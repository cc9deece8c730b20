"""What a shell offers while a command is typed: streams and groups of the server, events of the workspace.

A completion never asks for a password, never says a word, and gives up within a second.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import typer

from .failures import Failure

if TYPE_CHECKING:
    from esb_runtime.operations import Operations

PATIENCE = 1.0
"""Seconds that a completion may take on the server."""


def streams(incomplete: str) -> list[str]:
    """The streams whose keys begin like this; none when the server does not answer at once."""

    async def ask(operations: Operations) -> list[str]:
        return await operations.names()

    return _fitting(_asked(ask), incomplete)


def groups(ctx: typer.Context, incomplete: str) -> list[str]:
    """The groups of the stream that was typed before."""

    async def ask(operations: Operations) -> list[str]:
        from esb_runtime.operations import stream_key

        description = await operations.describe(stream_key(ctx.params["uri"], ctx.params.get("environment") or ""))
        return [group.name for group in description.groups]

    return _fitting(_asked(ask), incomplete) if ctx.params.get("uri") else []


def _fitting(names: list[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete) and name.isprintable()]


def _asked(ask: Callable[[Operations], Awaitable[list[str]]]) -> list[str]:
    """What the server says to a question; nothing when it does not answer at once."""
    import asyncio

    from esb_runtime import EsbError

    from . import connection

    async def connected() -> list[str]:
        from esb_runtime.operations import Operations

        chosen = connection.choose(None, None)
        operations = await Operations.connect(endpoint=chosen.endpoint, password=chosen.password)
        try:
            return await ask(operations)
        finally:
            await operations.aclose()

    with suppress(Failure, EsbError, TimeoutError):
        return asyncio.run(asyncio.wait_for(connected(), PATIENCE))
    return []


def events(incomplete: str) -> list[str]:
    """The events of the workspace's contracts that begin like this."""
    from .lock import Lock

    with suppress(Failure):
        lock = Lock.of_workspace()
        names = {event.event for event in lock.events} if lock else set[str]()
        return sorted(name for name in names if name.startswith(incomplete))
    return []


def profile_names(incomplete: str) -> list[str]:
    """The profiles that begin like this."""
    from .profiles import Profiles

    with suppress(Failure):
        return sorted(name for name in Profiles.load().known if name.startswith(incomplete))
    return []
