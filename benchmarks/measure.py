"""One run: every contestant in every round, alternating, each in a process of its own on the same server."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stopwatch import Control, Figures
from surroundings import command, run_worker, variables

Runs = dict[str, dict[str, list[Figures]]]
"""Contestant, then measurement, then one set of figures per round."""

RATES = (500, 2000)


def throughput(
    contestants: Mapping[str, tuple[str, Path]], port: int, *, rounds: int, scale: float, found: Runs | None = None
) -> Runs:
    """`contestants` are labels with a contestant's name and the checkout that its esb comes from."""
    found = {} if found is None else found
    for turn in range(rounds):
        for label in _turned(list(contestants), turn):
            name, checkout = contestants[label]
            Control(port)("FLUSHALL")
            words, environment = command(name, port, "throughput"), variables(checkout, BENCH_SCALE=scale)
            try:
                figures: dict[str, Figures] = json.loads(run_worker(words, environment))
            except (RuntimeError, subprocess.TimeoutExpired, ValueError) as error:
                print(f"{label} failed: {error}", file=sys.stderr)
                continue
            for what, one in figures.items():
                found.setdefault(label, {}).setdefault(what, []).append(one)
    return found


def latency(
    contestants: Mapping[str, tuple[str, Path]], port: int, *, rounds: int, scale: float, rates: Sequence[int] = RATES
) -> Runs:
    """Microseconds from the produce call to the handler, producer and consumer apart: p50, p99, p99.9 per rate."""
    found: Runs = {}
    for turn in range(rounds):
        for rate in rates:
            for label in _turned(list(contestants), turn):
                name, checkout = contestants[label]
                try:
                    figures = _delays(name, checkout, port, rate=rate, seconds=max(4 * scale, 1))
                except (RuntimeError, subprocess.TimeoutExpired, ValueError) as error:
                    print(f"{label} failed: {error}", file=sys.stderr)
                    continue
                found.setdefault(label, {}).setdefault(f"latency at {rate}/s", []).append(figures)
    return found


def _delays(name: str, checkout: Path, port: int, *, rate: int, seconds: float) -> Figures:
    Control(port)("FLUSHALL")
    environment = variables(checkout, BENCH_RATE=rate, BENCH_SECONDS=seconds)
    words = command(name, port, "receive")
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True) as receiver:
        try:
            if receiver.stdout is None or receiver.stdout.readline().strip() != "ready":
                raise RuntimeError(f"{name} did not get ready to receive")
            _until_somebody_waits(port)
            run_worker(command(name, port, "send"), environment)
            said, _ = receiver.communicate(timeout=20)
        finally:
            receiver.kill()
    delays = sorted(json.loads(said.strip().splitlines()[-1]))
    return {f"p{at:g}": delays[min(int(len(delays) * at / 100), len(delays) - 1)] for at in (50, 99, 99.9)}


def _until_somebody_waits(port: int) -> None:
    """Until a client's blocking read is on its way: who sends before that measures how the receiver starts."""
    control, over = Control(port), time.monotonic() + 10
    while control.info("clients")["blocked_clients"] == "0":
        if time.monotonic() > over:
            raise RuntimeError("the receiver does not read")
        time.sleep(0.01)


def _turned(names: list[str], turn: int) -> list[str]:
    """Nobody is always the first."""
    at = turn % len(names)
    return names[at:] + names[:at]


def merged(*several: Runs) -> Runs:
    """Measurements of several kinds as one."""
    found: Runs = {}
    for runs in several:
        for label, measurements in runs.items():
            found.setdefault(label, {}).update(measurements)
    return found


def as_json(runs: Runs, about: Mapping[str, Any]) -> str:
    """Everything that was measured."""
    return json.dumps({"about": dict(about), "runs": runs}, indent=1)
