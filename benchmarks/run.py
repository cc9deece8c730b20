"""Speed of esb beside its peers and the server's own ceiling, on the same work, alternating within one run.

Absolute figures do not travel to other machines; the ratios of one run do. The whole engine of esb is on:
deduplication, returned keys, retries, claims, ordering, acknowledgements, dead letters. Each contestant runs in its own
process, on one core, the server on another one, where the machine allows.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import guard
import report
from measure import Runs, as_json, latency, merged, throughput
from rich.console import Console
from surroundings import HOME, ROOT, interpreter, pinned, server

EVERYBODY = ("esb", "esb:inline", "esb:keyed", "redis_py", "faststream", "faststream:batch", "taskiq", "arq", "ceiling")
NEEDED = ("esb", "esb:inline", "faststream", "faststream:batch", "ceiling")
"""Whom the targets are about."""
DELAYED = ("esb", "esb:inline", "redis_py", "faststream")
"""Whose latency is measured."""


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="how much work per measurement")
    parser.add_argument("--only", nargs="+", choices=EVERYBODY, help="some contestants instead of all")
    parser.add_argument("--no-latency", action="store_true", help="throughput alone")
    parser.add_argument("--compare", type=Path, metavar="CHECKOUT", help="this checkout's esb beside another one's")
    parser.add_argument(
        "--check", action="store_true", help="fail when a ratio is worse than the baseline and its noise"
    )
    parser.add_argument("--baseline", action="store_true", help="make this run the baseline of --check")
    parser.add_argument("--json", type=Path, default=HOME / "latest.json", help="where every figure goes")
    return parser.parse_args()


def main() -> int:
    """Measure, show, remember; with --check also judge."""
    chosen = options()
    if chosen.compare is not None:
        places = {"here": ROOT, str(chosen.compare): chosen.compare.resolve()}
        names = chosen.only or ("esb", "esb:inline")
        who = {f"{name} {place}": (name, folder) for name in names for place, folder in places.items()}
    else:
        names = chosen.only or (NEEDED if chosen.check or chosen.baseline else EVERYBODY)
        who = {name: (name, ROOT) for name in names}
    for name, _ in who.values():
        interpreter(name)
    with server() as (port, version):
        about = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"), "commit": _commit(), "server": version,
            "python": platform.python_version(), "pinned": bool(pinned(0)),
        }  # fmt: skip
        print(", ".join(f"{name}: {value}" for name, value in about.items()), file=sys.stderr)
        runs = throughput(who, port, rounds=chosen.rounds, scale=chosen.scale)
        if not chosen.no_latency:
            delayed = {label: one for label, one in who.items() if one[0] in DELAYED}
            runs = merged(runs, latency(delayed, port, rounds=chosen.rounds, scale=chosen.scale))
    report.show(runs, Console())
    chosen.json.parent.mkdir(parents=True, exist_ok=True)
    chosen.json.write_text(as_json(runs, about), "utf-8")
    if chosen.compare is None and not chosen.only:
        report.remember(runs, about, HOME / "history.jsonl")
    if chosen.baseline:
        guard.write(runs)
    return _judged(runs) if chosen.check else 0


def _judged(runs: Runs) -> int:
    worse: Sequence[str] = guard.complaints(runs)
    for one in worse:
        print(f"worse than the baseline: {one}")
    if not worse:
        print("no ratio is worse than the baseline's noise allows")
    return 1 if worse else 0


def _commit() -> str:
    done = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


if __name__ == "__main__":
    sys.exit(main())
