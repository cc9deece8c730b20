"""`esb bench`: how fast this Redis is from this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from esb_cli import connection, terminal
from esb_cli.expressions import Form, put
from esb_cli.options import Printed, Server, spread
from esb_cli.progress import Progress
from esb_cli.tables import Column, put_all, table
from esb_cli.terminal import Output

if TYPE_CHECKING:
    from esb_cli.measuring import Measure

MEMBERS = ("measure", "count", "rate", "p50_ms", "p99_ms", "p999_ms", "bound")
COLUMNS = (
    Column(title="MEASURE", styles=("bold",)),
    Column(title="COUNT", number=True),
    Column(title="PER S", number=True),
    Column(title="P50 MS", number=True),
    Column(title="P99 MS", number=True),
    Column(title="P99.9 MS", number=True),
    Column(title="BOUND BY"),
)


@spread
def command(
    *,
    events: Annotated[int, typer.Option("--events", min=10, metavar="N", help="So many events.")] = 10_000,
    size: Annotated[int, typer.Option("--size", min=0, metavar="BYTES", help="Bytes in each event.")] = 100,
    consumers: Annotated[int, typer.Option("--consumers", min=1, metavar="N", help="Consumers of one group.")] = 1,
    printed: Printed,
    server: Server,
) -> None:
    """Measure throughput and delays of this Redis from here.

    Produces and consumes real events in a stream of its own, which is removed at the end, also on Ctrl-C. Delays are
    taken one after the other: the middle one, and those that 1 in 100 and 1 in 1,000 exceed; "end to end" is from the
    produce call to the handler. BOUND BY says where most of the time went: this process (several do more than one),
    the server, or the round trip.

    \b
    Examples:
      esb bench
      esb bench --events 100000 --size 1000 --consumers 4
      esb bench -o json | jq 'select(.measure == "end to end") | .p99_ms'
    """
    import asyncio

    how = printed.form(MEMBERS)
    found = asyncio.run(_measured(server.choose(), how, events, size, consumers))
    if how[0] is Output.TABLE:
        put_all(table(terminal.stdout(), COLUMNS, [_row(measure) for measure in found]))


async def _measured(chosen: connection.Connection, how: Form, events: int, size: int, consumers: int) -> list[Measure]:
    """Every measure; programs get each as soon as it is there."""
    from contextlib import aclosing
    from uuid import uuid4

    from esb_cli.measuring import Bench

    bars: dict[str, Progress] = {}

    def heard(name: str, done: int, total: int) -> None:
        bar = bars.setdefault(name, Progress(name, total=total))
        bar.to(done)
        if done == total:
            bar.close()

    found: list[Measure] = []
    async with connection.connected(chosen) as operations:
        bench = Bench(
            operations=operations,
            endpoint=chosen.endpoint,
            password=chosen.password,
            stream=f"esb-bench-{uuid4().hex[:12]}",
            events=events,
            size=size,
            consumers=consumers,
            heard=heard,
        )
        async with aclosing(bench.run()) as measures:
            async for measure in measures:
                found.append(measure)
                if how[0] is not Output.TABLE:
                    put(document(measure), how)
    return found


def document(measure: Measure) -> dict[str, Any]:
    """A measure as JSON; delays are in milliseconds, null where none were taken."""
    return {
        "measure": measure.name,
        "count": measure.count,
        "rate": round(measure.rate, 1),
        "p50_ms": _milliseconds(measure, 0.5),
        "p99_ms": _milliseconds(measure, 0.99),
        "p999_ms": _milliseconds(measure, 0.999),
        "bound": measure.bound,
    }


def _milliseconds(measure: Measure, share: float) -> float | None:
    delay = measure.percentile(share)
    return None if delay is None else round(delay * 1000, 3)


def _row(measure: Measure) -> list[str]:
    delays = [_milliseconds(measure, share) for share in (0.5, 0.99, 0.999)]
    shown = ["" if delay is None else f"{delay:,.2f}" for delay in delays]
    return [measure.name, f"{measure.count:,}", f"{measure.rate:,.0f}", *shown, measure.bound]
