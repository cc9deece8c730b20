"""Every pair of options, in workspaces as a team has them: tools, tests, wheels, programs, one event seen through.

`make test` takes the shortest row, contracts alone; `make test-full` every row. Each has a virtual environment with the
wheels of its packages. What those require is installed by pip, once for each set of requirements (the short row takes
it from here). The type checkers are those of this environment: they look at the row's. There is only one version of
Python here: the others are declared, not run.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import sysconfig
import time
import tomllib
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.parser import Parser
from itertools import product
from pathlib import Path
from zipfile import ZipFile

import pytest
from hatchling.builders.wheel import WheelBuilder
from option_rows import NOTHING, OPTIONS, ROWS, Row, pairs
from template_kit import Run, Scaffold, copy, empty_environment, install

from esb_cli import wheels

pytestmark = pytest.mark.xdist_group("template-install")

ORDER = {
    "user": {"id": 1, "email": "ada@example.com", "name": "Ada"},
    "product": {"id": 11, "name": "a kettle", "price": "24.90"},
    "time": "2030-06-01T09:30:00Z",
}
TOOLS = ("mypy", "pyright", "ruff")
"""The tools of a workspace that need not be in its environment."""

Sites = Callable[[frozenset[str]], Path]
"""Where the distributions of a set of requirements are installed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What a row runs with."""

    run: Run
    esb: Run
    connected: Mapping[str, str]
    place: Path


@pytest.fixture
def with_redis(run: Run, esb: Run, connected: Mapping[str, str], tmp_path: Path) -> Machine:
    """A folder, and an empty Redis."""
    return Machine(run=run, esb=esb, connected=connected, place=tmp_path)


@pytest.fixture(scope="session")
def esb_wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheels of esb, as `esb new` leaves them."""
    folder = tmp_path_factory.mktemp("esb-wheels")
    wheels.put_wheels(folder)
    return folder


@pytest.fixture(scope="session")
def sites(run: Run, esb_wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Sites:
    """Install requirements with pip, as a user does; each set of them once."""
    made: dict[frozenset[str], Path] = {}
    folder = tmp_path_factory.mktemp("environments")

    def site(requirements: frozenset[str]) -> Path:
        if requirements not in made:
            place = folder / str(len(made))
            run(sys.executable, "-m", "venv", "--without-pip", place, cwd=folder)
            pip = (sys.executable, "-m", "pip", "--python", place / "bin/python", "install", "--quiet")
            run(*pip, "--find-links", esb_wheels, *sorted(requirements), cwd=folder)
            made[requirements] = purelib(place / "bin/python", run)
        return made[requirements]

    return site


def purelib(python: Path, run: Run) -> Path:
    """Where an environment has its distributions."""
    script = "import sysconfig; print(sysconfig.get_path('purelib'))"
    return Path(run(python, "-c", script, cwd=python.parent).stdout.strip())


@pytest.mark.parametrize("row", [NOTHING], ids=["nothing"])
def test_a_workspace_is_whole(row: Row, scaffolded: Scaffold, esb_wheels: Path, with_redis: Machine) -> None:
    """The shortest row, without an index: what its packages require is taken from this environment."""
    see(row, scaffolded(**row), lambda _: Path(sysconfig.get_path("purelib")), esb_wheels, with_redis)


@pytest.mark.full
@pytest.mark.timeout(900)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: "-".join(map(str, row.values())).replace(" ", ""))
def test_a_workspace_of_these_options_is_whole(
    row: Row, scaffolded: Scaffold, sites: Sites, esb_wheels: Path, with_redis: Machine
) -> None:
    """Its wheels install beside what they require, nothing else; tools and tests pass; an event runs through."""
    see(row, scaffolded(**row), sites, esb_wheels, with_redis)


def see(row: Row, rendered: Path, sites: Sites, esb_wheels: Path, machine: Machine) -> None:
    """Build, install, lint, check, test, run."""
    run, place = machine.run, machine.place
    folder = copy(rendered, place / "ws")
    built = [build(package.parent, place / "wheels") for package in sorted(folder.glob("*/pyproject.toml"))]
    python = empty_environment(place / "venv", run, sites(requirements(folder, built)))
    install(python, [*built, *esb_wheels.glob("esb_runtime-*.whl")], run)
    for tool in (
        ("ruff", "check", "--no-cache", "."),
        ("ruff", "format", "--no-cache", "--check", "."),
        ("mypy", "--python-executable", python),
        ("pyright", "--pythonpath", python),
    ):
        run(sys.executable, "-m", *tool, cwd=folder)
    run(python, "-m", "pytest", "-p", "no:cacheprovider", cwd=folder)
    see_an_event_through(row, python, folder, machine)


def build(package: Path, place: Path) -> Path:
    """The wheel of one package of a workspace."""
    (wheel,) = WheelBuilder(str(package)).build(directory=str(place), versions=["standard"])
    return Path(wheel)


def requirements(folder: Path, built: list[Path]) -> frozenset[str]:
    """What the wheels of a workspace and its tests require, beside each other."""
    settings = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))
    wanted = {one for one in settings["dependency-groups"]["dev"] if not one.startswith(TOOLS)}
    for wheel in built:
        with ZipFile(wheel) as archive:
            (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
            wanted.update(Parser().parsestr(archive.read(name).decode()).get_all("Requires-Dist", []))
    return frozenset(one for one in wanted if not one.startswith("mycompany-events"))


def see_an_event_through(row: Row, python: Path, folder: Path, machine: Machine) -> None:
    """Start what runs on; place an order by what there is for it; see it told by the consumer, or in the stream."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {**machine.connected, "API_PORT": str(port)}
    running = [name for name in ("consumer", "api") if (folder / name).is_dir()]
    programs = {
        name: subprocess.Popen(
            [python, "-m", f"mycompany.events.{name}"], cwd=machine.place, env=env, stdout=subprocess.PIPE, text=True
        )
        for name in running
    }
    try:
        if "api" in programs:
            post_an_order(port, "my-event" if row.get("events", "MyEvent") == "MyEvent" else "order")
        elif (folder / "producer").is_dir():
            subprocess.run([python, "-m", "mycompany.events.producer"], cwd=machine.place, env=env, check=True)
        else:
            words = ("produce", "event-demo", "order_placed", "--json", json.dumps(ORDER))
            machine.esb(*words, cwd=folder, env=machine.connected)
        if "consumer" in programs:
            told = programs["consumer"].stdout
            assert told
            assert next(line for line in iter(told.readline, "") if " received " in line)
        else:
            words = ("tail", "event-demo", "-n", "1", "-o", "json")
            stored = machine.esb(*words, cwd=folder, env=machine.connected).stdout
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
    rows = ROWS[1:]
    every = {pair for values in product(*OPTIONS.values()) for pair in pairs(dict(zip(OPTIONS, values, strict=True)))}
    assert {pair for row in rows for pair in pairs(row)} == every
    assert len(rows) < 25
