"""What a run found, as tables, as a line of history, and as a plot of that history."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from measure import Runs
from rich.console import Console
from rich.table import Table
from stopwatch import Figures
from targets import TARGETS


def show(runs: Runs, console: Console) -> None:
    """Every measurement: medians, spread, processor time, memory; then the ratios and their targets."""
    for what in dict.fromkeys(what for found in runs.values() for what in found):
        console.print(_latencies(runs, what) if what.startswith("latency") else _rates(runs, what))
    console.print(_ratios(runs))


def _rates(runs: Runs, what: str) -> Table:
    table = Table("who", "events/s", "spread", "client us", "server us", "bytes", title=what, title_justify="left")
    for label, found in runs.items():
        if what in found:
            rates = [one["rate"] for one in found[what]]
            spread = f"{min(rates):,.0f} - {max(rates):,.0f}"
            costs = (_text(found[what], figure) for figure in ("client", "server", "bytes"))
            table.add_row(label, f"{statistics.median(rates):,.0f}", spread, *costs)
    return table


def _latencies(runs: Runs, what: str) -> Table:
    table = Table("who", "p50 us", "p99 us", "p99.9 us", title=what, title_justify="left")
    for label, found in runs.items():
        if what in found:
            table.add_row(label, *(_text(found[what], figure) for figure in ("p50", "p99", "p99.9")))
    return table


def _text(rounds: Sequence[Figures], figure: str) -> str:
    values = [one[figure] for one in rounds if figure in one]
    return f"{statistics.median(values):,.1f}" if values else ""


def _ratios(runs: Runs) -> Table:
    table = Table("ratio", "now", "rounds", "must", "aim", "", title="targets", title_justify="left")
    for target in TARGETS:
        value = target.median(runs)
        if value is not None:
            said = "aim" if target.reached(value, target.aim) else "must" if target.reached(value, target.must) else "-"
            rounds = " ".join(f"{one:.2f}" for one in target.values(runs))
            table.add_row(target.name, f"{value:.2f}", rounds, f"{target.must:g}", f"{target.aim:g}", said)
    return table


def remember(runs: Runs, about: Mapping[str, Any], history: Path) -> None:
    """Add a run's ratios to the history, one line of JSON, and draw it anew."""
    history.parent.mkdir(parents=True, exist_ok=True)
    ratios = {target.name: target.median(runs) for target in TARGETS}
    with history.open("a", encoding="utf-8") as file:
        file.write(json.dumps({**about, "ratios": {name: value for name, value in ratios.items() if value}}) + "\n")
    lines = [json.loads(line) for line in history.read_text("utf-8").splitlines()]
    history.with_suffix(".svg").write_text(plot(lines), "utf-8")


WIDTH, HEIGHT, LEFT = 560, 90, 230


def plot(lines: Sequence[Mapping[str, Any]]) -> str:
    """One small curve per target over the runs of the history, its `must` dashed."""
    rows = [
        _curve(n, target.name, target.must, [line["ratios"].get(target.name) for line in lines])
        for n, target in enumerate(TARGETS)
    ]
    size = f'width="{LEFT + WIDTH + 20}" height="{HEIGHT * len(rows)}"'
    style = 'font-family="sans-serif" font-size="12"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>{"".join(rows)}</svg>\n'


def _curve(row: int, name: str, must: float, values: Sequence[float | None]) -> str:
    top, most = row * HEIGHT, max([must, *(value for value in values if value)]) * 1.1

    def place(n: int, value: float) -> tuple[float, float]:
        return LEFT + WIDTH * n / max(len(values) - 1, 1), top + HEIGHT - 10 - (HEIGHT - 20) * value / most

    points = [place(n, value) for n, value in enumerate(values) if value]
    dots = "".join(f'<circle cx="{x:.0f}" cy="{y:.1f}" r="2"/>' for x, y in points)
    line = " ".join(f"{x:.0f},{y:.1f}" for x, y in points)
    limit = place(0, must)[1]
    latest = next((f"{value:.2f}" for value in reversed(values) if value), "")
    return (
        f'<text x="4" y="{top + HEIGHT / 2}">{escape(name)}: {latest}</text>'
        f'<line x1="{LEFT}" x2="{LEFT + WIDTH}" y1="{limit:.1f}" y2="{limit:.1f}" stroke="gray" stroke-dasharray="4"/>'
        f'<polyline points="{line}" fill="none" stroke="black"/>{dots}'
    )
