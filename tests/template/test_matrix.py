"""Every pair of options, in workspaces as a team has them: tools, tests, wheels, programs, one event seen through.

`make test` takes the shortest row, contracts alone; `make test-full` every row. The packages come from their wheels;
what they require, from this environment (only one version of Python is here: others are declared, not run).
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from itertools import combinations, product
from pathlib import Path

import pytest
from template_kit import Run, Scaffold, copy, empty_environment, install

from esb_cli.questions import Answer

pytestmark = pytest.mark.xdist_group("template-install")

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
ENDS = {
    "everything": {
        "producer": True, "consumer": True, "api": True, "store": "inline", "telemetry": True, "events": "Order, HTTPSeen"
    },
    "nothing": {"producer": False, "consumer": False, "api": False, "ci": "none"},
}  # fmt: skip
ORDER = {
    "user": {"id": 1, "email": "ada@example.com", "name": "Ada"},
    "product": {"id": 11, "name": "a kettle", "price": "24.90"},
    "time": "2030-06-01T09:30:00Z",
}

Row = dict[str, Answer]


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


ROWS = [
    pytest.param(ENDS["nothing"], id="nothing"),
    pytest.param(ENDS["everything"], id="everything", marks=pytest.mark.full),
    *(
        pytest.param(row, id="-".join(map(str, row.values())).replace(" ", ""), marks=pytest.mark.full)
        for row in pairwise(OPTIONS)
    ),
]


@pytest.mark.parametrize("row", ROWS)
def test_a_workspace_of_these_options_is_whole(
    row: Row, scaffolded: Scaffold, run: Run, esb: Run, connected: Mapping[str, str], tmp_path: Path
) -> None:
    """Its lint, format, both type checkers and tests pass; its wheels install; its programs see an event through."""
    folder = copy(scaffolded(**row), tmp_path / "ws")
    for tool in (
        ("ruff", "check", "--no-cache", "."),
        ("ruff", "format", "--no-cache", "--check", "."),
        ("mypy", "--cache-dir", os.devnull),
        ("pyright", "--pythonpath", sys.executable),
        ("pytest", "-p", "no:cacheprovider"),
    ):
        run(sys.executable, "-m", *tool, cwd=folder)
    python = installed(folder, run, tmp_path)
    see_an_event_through(row, python, folder, esb, connected)


def installed(folder: Path, run: Run, place: Path) -> Path:
    """The interpreter of an environment that has the workspace's packages and the runtime, from wheels."""
    for package in sorted(path.parent.name for path in folder.glob("*/pyproject.toml")):
        build = (sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", place / "wheels")
        run(*build, folder / package, cwd=folder)
    python = empty_environment(place / "venv", run)
    wheels = [*(place / "wheels").glob("*.whl"), *(folder / ".esb/wheels").glob("esb_runtime-*.whl")]
    install(python, wheels, run)
    return python


def see_an_event_through(row: Row, python: Path, folder: Path, esb: Run, connected: Mapping[str, str]) -> None:
    """Start what runs on; place an order by what there is for it; see it told by the consumer, or in the stream."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {**connected, "API_PORT": str(port)}
    running = [name for name in ("consumer", "api") if (folder / name).is_dir()]
    programs = {
        name: subprocess.Popen(
            [python, "-m", f"mycompany.events.{name}"], cwd=folder.parent, env=env, stdout=subprocess.PIPE, text=True
        )
        for name in running
    }
    try:
        if "api" in programs:
            post_an_order(port, "my-event" if row.get("events", "MyEvent") == "MyEvent" else "order")
        elif (folder / "producer").is_dir():
            subprocess.run([python, "-m", "mycompany.events.producer"], cwd=folder.parent, env=env, check=True)
        else:
            esb("produce", "event-demo", "order_placed", "--json", json.dumps(ORDER), cwd=folder, env=connected)
        if "consumer" in programs:
            told = programs["consumer"].stdout
            assert told
            assert next(line for line in iter(told.readline, "") if " received " in line)
        else:
            stored = esb("tail", "event-demo", "-n", "1", "-o", "json", cwd=folder, env=connected).stdout
            assert json.loads(stored.splitlines()[0])["event"] == "order_placed"
        for program in programs.values():
            program.terminate()
        assert {name: program.wait(60) for name, program in programs.items()} == dict.fromkeys(running, 0)
    finally:
        for program in programs.values():
            program.kill()
            program.communicate()


def post_an_order(port: int, contract: str) -> None:
    """POST it once the service listens."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/{contract}/order-placed",
        json.dumps(ORDER).encode(),
        {"Content-Type": "application/json"},
    )
    until = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                assert answer.status == 201
                return
        except OSError:
            assert time.monotonic() < until, "the service does not answer"
            time.sleep(0.1)


def test_every_pair_is_in_a_row() -> None:
    """The rows hold every pair of values of two options, in far fewer rows than there are combinations."""
    rows = list(pairwise(OPTIONS))
    every = {pair for values in product(*OPTIONS.values()) for pair in pairs(dict(zip(OPTIONS, values, strict=True)))}
    assert {pair for row in rows for pair in pairs(row)} == every
    assert len(rows) < 25
