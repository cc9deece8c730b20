"""Trimming a whole stream: slice after slice, until nothing more is to go."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

from ._ports import Channel
from ._retention import Cut, Retention, Trimmed, total


async def cut_of(channel: Channel, stream: str, policy: Retention, *, force: bool = False) -> Cut:
    """What may go now: by the server's clock, and nothing that is written from now on."""
    before = ""
    if policy.keep is not None:
        oldest = await channel.now() - policy.keep // timedelta(milliseconds=1)
        before = f"{max(oldest, 0)}-0"
    last = await channel.last_id(stream)
    return Cut(before=before, maxlen=policy.maxlen, handled=policy.handled, last=last, force=force)


async def trim(channel: Channel, stream: str, cut: Cut, *, dry_run: bool = False) -> AsyncIterator[Trimmed]:
    """Remove (or count) what may go; yields how much that is so far, after every slice.

    Safe to break off and to repeat: every slice is whole, and the next run begins where this one ended.
    """
    trimming = channel.trimming(stream)
    so_far, after = Trimmed(), ""
    while True:
        part = await trimming.slice(cut, after=after, counted=so_far.entries if dry_run else 0, dry_run=dry_run)
        so_far = total([so_far, part])
        yield so_far
        if part.after is None:
            return
        after = part.after if dry_run else ""
