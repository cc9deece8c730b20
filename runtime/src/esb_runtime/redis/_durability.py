"""Waiting until events are as durable as a call asked for: WAIT and WAITAOF.

https://redis.io/docs/latest/commands/wait/ and https://redis.io/docs/latest/commands/waitaof/
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from .._errors import ChannelError, DurabilityUnavailable, LoginRefused
from .._ports import Confirmation
from .._settings import Durability
from ._connection import Connection
from ._frames import Word

SLICE = 500
"""Ids per call: a script of this size blocks the server for well under five milliseconds."""
PROBE = 1
"""Milliseconds: a connection that wrote nothing gets its answer at once."""


async def require(connection: Connection, durability: Durability) -> None:
    """Raise `DurabilityUnavailable` unless this server can promise it. Replicas may come later, a disk does not."""
    if durability.replicas:
        return
    try:
        await connection.call(*_waiting(durability, PROBE))
    except LoginRefused:
        raise
    except ChannelError as error:
        reason = _why_not(str(error))
        if reason is None:
            raise
        raise DurabilityUnavailable(connection.endpoint, str(durability), reason) from None


async def confirm(
    connection: Connection, stream: str, ids: Sequence[str], durability: Durability, timeout: timedelta
) -> Confirmation:
    """See `Channel.confirm`."""
    milliseconds = max(int(timeout.total_seconds() * 1000), 1)
    calls = [ids[start : start + SLICE] for start in range(0, len(ids), SLICE)]
    *gone, reached = await connection.run_then("confirm", (stream,), calls, _waiting(durability, milliseconds))
    enough = reached >= durability.replicas if durability.replicas else reached[0] >= 1
    return Confirmation(durable=enough, lost=frozenset(id_.decode() for part in gone for id_ in part))


def _waiting(durability: Durability, milliseconds: int) -> Sequence[Word]:
    if durability.replicas:
        return ("WAIT", durability.replicas, milliseconds)
    return ("WAITAOF", 1, 0, milliseconds)


def _why_not(text: str) -> str | None:
    if "unknown command" in text.lower():
        return "it has no WAITAOF, which Redis brought in 7.2; use a newer one, or Durability.REPLICATED(n)"
    if "appendonly is disabled" in text:
        return "its append-only file is off; set `appendonly yes`"
    return None
