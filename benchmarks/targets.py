"""The ratios that count: esb beside another contestant of the same run, with what must and what should be reached."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from measure import Runs
from workload import BATCHES, CONCURRENT, CONSUME, CONSUME_BATCH, SEQUENTIAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """`figure` of `what`, divided by another contestant's (by nothing where there is no `other`)."""

    name: str
    what: str
    must: float
    aim: float
    figure: str = "rate"
    ours: str = "esb"
    other: str = ""
    against: str = ""
    """The other contestant's measurement, where it has another name."""

    @property
    def less_is_better(self) -> bool:
        """Whether a small value is a good one."""
        return self.figure != "rate"

    def values(self, runs: Runs) -> list[float]:
        """The value in each round; empty where somebody did not take part."""
        mine = runs.get(self.ours, {}).get(self.what, [])
        if not self.other:
            return [one[self.figure] for one in mine]
        theirs = runs.get(self.other, {}).get(self.against or self.what, [])
        return [one[self.figure] / two[self.figure] for one, two in zip(mine, theirs, strict=False)]

    def median(self, runs: Runs) -> float | None:
        """The value of medians, which one disturbed round does not move."""
        mine = _median(runs, self.ours, self.what, self.figure)
        if not self.other or mine is None:
            return mine
        theirs = _median(runs, self.other, self.against or self.what, self.figure)
        return None if theirs is None else mine / theirs

    def reached(self, value: float, bound: float) -> bool:
        """Whether a value is at least as good as a bound."""
        return value <= bound if self.less_is_better else value >= bound


def _median(runs: Runs, label: str, what: str, figure: str) -> float | None:
    measured = [one[figure] for one in runs.get(label, {}).get(what, []) if figure in one]
    return statistics.median(measured) if measured else None


FASTSTREAM, BATCHED = "faststream", "faststream:batch"
TARGETS: Sequence[Target] = (
    Target(name="produce, 100 tasks / FastStream", what=CONCURRENT, other=FASTSTREAM, must=8, aim=12),
    Target(name="produce, batches / ceiling", what=BATCHES, other="ceiling", must=0.35, aim=0.8),
    Target(name="produce, one by one / FastStream", what=SEQUENTIAL, other=FASTSTREAM, must=1.25, aim=1.5),
    Target(name="consume / FastStream's batch", what=CONSUME, other=BATCHED, against=CONSUME_BATCH, must=2.6, aim=4),
    Target(name="latency p50 / FastStream", what="latency at 500/s", figure="p50", other=FASTSTREAM, must=1, aim=0.6),
    Target(name="latency p99 / FastStream", what="latency at 500/s", figure="p99", other=FASTSTREAM, must=1, aim=0.6),
    Target(name="client CPU, produce (us)", what=BATCHES, figure="client", must=7, aim=3.3),
    Target(name="client CPU, consume (us)", what=CONSUME, figure="client", must=6, aim=2.7),
    Target(name="memory, hash (bytes)", what=BATCHES, figure="bytes", must=320, aim=280),
    Target(name="memory, inline (bytes)", what=BATCHES, figure="stream", ours="esb:inline", must=170, aim=120),
)
