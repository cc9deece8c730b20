"""The guard: ratios of a run beside those of `baseline.json`, which holds ratios and their noise, never times."""

from __future__ import annotations

import json
from pathlib import Path

from measure import Runs
from targets import TARGETS, Target

BASELINE = Path(__file__).with_name("baseline.json")
LEAST = 0.15
"""A ratio may be this much worse in any case: no machine measures more exactly than that."""
GUARDED = tuple(target for target in TARGETS if target.other or target.figure in {"bytes", "stream"})
"""What another machine would find as well: not the microseconds of this one."""


def write(runs: Runs) -> None:
    """Make this run the baseline: each ratio, and how far its rounds lay apart."""
    found = {target.name: _measured(target, runs) for target in GUARDED if target.median(runs) is not None}
    BASELINE.write_text(json.dumps(found, indent=2) + "\n", "utf-8")


def _measured(target: Target, runs: Runs) -> dict[str, float]:
    ratio = target.median(runs) or 0.0
    apart = max((abs(value - ratio) / ratio for value in target.values(runs)), default=0.0)
    return {"ratio": round(ratio, 3), "noise": round(min(max(apart, LEAST), 0.5), 3)}


def complaints(runs: Runs) -> list[str]:
    """What got worse than the noise; empty when nothing did."""
    if not BASELINE.exists():
        return [f"there is no {BASELINE.name} yet: make one on a quiet machine with benchmarks/run.py --baseline"]
    baseline: dict[str, dict[str, float]] = json.loads(BASELINE.read_text("utf-8"))
    found: list[str] = []
    for target in GUARDED:
        known, now = baseline.get(target.name), target.median(runs)
        if known is None:
            continue
        if now is None:
            found.append(f"{target.name}: it could not be measured")
            continue
        worst = known["ratio"] * (1 + known["noise"] if target.less_is_better else 1 - known["noise"])
        if not target.reached(now, worst):
            found.append(f"{target.name}: {now:.2f}, was {known['ratio']:.2f}; {worst:.2f} would still be noise")
    return found
