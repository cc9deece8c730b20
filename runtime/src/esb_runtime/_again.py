"""A replay to a group: page after page, each step noting how far it has come."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

from ._envelope import Stored
from ._identifiers import new_message_id
from ._producer import Outbox
from ._redelivery import Place, Redelivered, Redelivery
from ._uncut import uncut

STEP = 100
"""Events that are given back in one step: the server is blocked for well under five milliseconds."""


async def give_again(
    port: Redelivery, outbox: Outbox, source: AsyncIterator[list[Stored]], *, last: str, place: Place | None
) -> AsyncIterator[Redelivered]:
    """See `Operations.redeliver`; outages are waited out, and a cancellation waits until a step is done."""
    run, begins, done = place.run if place else new_message_id(), place is None, Redelivered()
    async for page in source:
        events = [event for event in page if not event.problem]
        for at in range(0, len(events), STEP):
            give = partial(port.give, events[at : at + STEP], run=run, begins=begins, last=last)
            done = done.plus(await uncut(outbox.patiently(give)))
            begins = False
            yield done
    await port.finish(run)
