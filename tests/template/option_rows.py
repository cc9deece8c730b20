"""The options of the template, and rows of answers that together hold every pair of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations, product

from esb_cli.questions import Answer

Row = dict[str, Answer]
OPTIONS: dict[str, list[Answer]] = {
    "producer": [True, False],
    "consumer": [True, False],
    "api": [True, False],
    "store": ["redis", "inline"],
    "telemetry": [True, False],
    "ci": ["github", "gitlab", "none"],
    "python": ["3.11", "3.12", "3.13", "3.14"],
    "license": ["none", "Apache-2.0", "BSD-3-Clause", "MIT"],
    "events": ["MyEvent", "Order, HTTPSeen"],
}
NOTHING: dict[str, Answer] = {"producer": False, "consumer": False, "api": False, "ci": "none"}
EVERYTHING: dict[str, Answer] = {
    "producer": True,
    "consumer": True,
    "api": True,
    "store": "inline",
    "telemetry": True,
    "events": "Order, HTTPSeen",
}


def pairwise(options: Mapping[str, list[Answer]]) -> Iterator[Row]:
    """Rows that together hold every pair of values of two options; greedy, and the same on every run."""
    rows = [dict(zip(options, values, strict=True)) for values in product(*options.values())]
    open_pairs = {pair for row in rows for pair in pairs(row)}
    while open_pairs:
        best = max(rows, key=lambda row: len(pairs(row) & open_pairs))
        open_pairs -= pairs(best)
        yield best


def pairs(row: Row) -> set[tuple[tuple[str, Answer], tuple[str, Answer]]]:
    """Every two answers of a row."""
    return set(combinations(row.items(), 2))


ROWS = [EVERYTHING, *pairwise(OPTIONS)]
