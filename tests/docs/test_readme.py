"""The README is true: its files, its commands and its outputs are tried in order, as a newcomer would."""

from __future__ import annotations

import asyncio
import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from esb_runtime import Backbone
from esb_runtime.testing import RedisServer

README = Path(__file__).parents[2] / "README.md"
TEXT = README.read_text("utf-8")
BLOCK = re.compile(r"^```(python title=(\S+)|console)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
NOT_HERE = ("pip install", "esb redis start")
"""Commands whose work is done before: both distributions are installed, and the fixture's server runs."""


def commands(console: str) -> Iterator[tuple[str, str]]:
    """The commands of a console block, each with the output that it shows."""
    for part in re.split(r"^\$ ", console, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        yield command, output.strip()


def matches(shown: str, printed: str) -> bool:
    """Whether an output is the one that is shown; `...` stands for anything."""
    pattern = ".*".join(re.escape(part) for part in shown.split("..."))
    return re.fullmatch(pattern, printed.strip(), re.DOTALL) is not None


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with the README's Python files."""
    for match in BLOCK.finditer(TEXT):
        if match[2]:
            (tmp_path / match[2]).write_text(match[3], "utf-8")
    return tmp_path


def environment(server: RedisServer) -> dict[str, str]:
    """A newcomer's: the scripts on PATH, the endpoint set."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, **server.environment(), "PATH": path, "NO_COLOR": "1", "PYTHONWARNINGS": "error"}


@pytest.mark.timeout(180)
def test_every_command_prints_what_the_readme_shows(redis_server: RedisServer, place: Path) -> None:
    """The console blocks, in order, against a real server."""
    redis_server.clear()
    for match in BLOCK.finditer(TEXT):
        if match[2]:
            continue
        for command, shown in commands(match[3]):
            if command.startswith(NOT_HERE):
                continue
            done = subprocess.run(
                command, shell=True, cwd=place, env=environment(redis_server),
                capture_output=True, text=True, timeout=120,
            )  # fmt: skip
            refused = shown.startswith("esb:")
            printed = done.stderr if refused else done.stdout
            assert (done.returncode != 0) is refused, f"{command}\n{done.stdout}{done.stderr}"
            assert matches(shown, printed), f"{command}\n--- shown\n{shown}\n--- printed\n{done.stdout}{done.stderr}"


async def test_the_consumer_handles_the_order(
    redis_server: RedisServer, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`report.wire` prints the order that `order.py` placed."""
    redis_server.clear()
    subprocess.run([sys.executable, "order.py"], cwd=place, env=environment(redis_server), check=True, timeout=60)
    monkeypatch.syspath_prepend(str(place))
    report = importlib.import_module("report")
    printed = ""
    endpoint = redis_server.endpoint
    async with Backbone.connect(endpoint=endpoint.display, password=endpoint.password) as backbone:
        report.wire(backbone)
        running = asyncio.create_task(backbone.run())
        async with asyncio.timeout(20):
            while "Ann" not in printed:
                await asyncio.sleep(0.01)
                printed += capsys.readouterr().out
        await backbone.stop()
        await running
    assert printed == "Ann ordered chess for 19.90\n"


@pytest.mark.timeout(180)
def test_the_readmes_code_is_type_clean_and_tested(place: Path) -> None:
    """mypy --strict finds nothing in the README's files, and its test passes."""
    mypy = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", *sorted(file.name for file in place.glob("*.py"))],
        cwd=place, capture_output=True, text=True, timeout=170,
    )  # fmt: skip
    assert mypy.returncode == 0, mypy.stdout
    tests = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-o", "asyncio_mode=auto", "test_report.py"],
        cwd=place, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert tests.returncode == 0, tests.stdout


def test_the_readme_opens_with_two_commands() -> None:
    """The first block is exactly two shell lines, and both are targets of the Makefile."""
    first = re.search(r"^```sh\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
    assert first is not None
    lines = first[1].splitlines()
    assert [line.split("#")[0].strip() for line in lines] == ["make demo", "make test"]
    makefile = (README.parent / "Makefile").read_text("utf-8")
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in ("demo", "test"))
