"""mypy --strict and pyright strict over good and bad programs: each reports the marked lines, and no other one.

A line that must be reported ends in `# E: pyright mypy`, or names the one that sees it.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parent / "programs"
MARKER = re.compile(r"# E: (?P<checkers>[a-z ]+)$")

Lines = set[tuple[str, int]]


def marked(checker: str) -> Lines:
    """The lines that a checker must report, as (file name, number)."""
    return {
        (program.name, number)
        for program in PROGRAMS.glob("*.py")
        for number, line in enumerate(program.read_text(encoding="utf-8").splitlines(), start=1)
        if (found := MARKER.search(line)) and checker in found["checkers"].split()
    }


def run(*command: str) -> str:
    """A checker's output; what it says on the other stream shows when its output makes no sense."""
    environment = {**os.environ, "PYTHONUTF8": "1"}
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=PROGRAMS, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def mypy_lines(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int], str]:
    """What mypy reports, by line."""
    config = tmp_path_factory.mktemp("mypy") / "mypy.ini"
    config.write_text("[mypy]\nstrict = True\n", encoding="utf-8")
    cache = str(config.parent / "cache")
    output = run("mypy", "--config-file", str(config), "--cache-dir", cache, "--no-pretty", ".")
    found = re.finditer(r"^(?P<file>[^:\n]+):(?P<line>\d+): error: (?P<text>.*)$", output, re.MULTILINE)
    return {(Path(each["file"]).name, int(each["line"])): each["text"] for each in found}


@pytest.fixture(scope="session")
def pyright_lines() -> dict[tuple[str, int], str]:
    """What pyright reports, by line; the folder's own configuration says strict."""
    output = run("pyright", "--outputjson", "--pythonpath", sys.executable)
    return {
        (Path(each["file"]).name, each["range"]["start"]["line"] + 1): each["message"]
        for each in json.loads(output)["generalDiagnostics"]
        if each["severity"] == "error"
    }


def compare(reported: Mapping[tuple[str, int], str], expected: Lines) -> None:
    """Exactly the expected lines, or a message that lists both kinds of difference."""
    missed = [f"not reported: {file}:{line}" for file, line in sorted(expected - reported.keys())]
    surplus = [f"reported: {file}:{line}: {reported[file, line]}" for file, line in sorted(reported.keys() - expected)]
    assert not missed + surplus, "\n".join(["", *missed, *surplus])


def test_mypy_reports_the_planted_mistakes(mypy_lines: dict[tuple[str, int], str]) -> None:
    """mypy --strict sees every mistake that is marked for it, and none elsewhere."""
    compare(mypy_lines, marked("mypy"))


def test_pyright_reports_the_planted_mistakes(pyright_lines: dict[tuple[str, int], str]) -> None:
    """pyright strict sees every mistake that is marked for it, and none elsewhere."""
    compare(pyright_lines, marked("pyright"))


def test_good_programs_hold_no_markers() -> None:
    """The good programs stay good: nobody makes the suite green by marking one of their lines."""
    assert not [
        file for file, _ in marked("mypy") | marked("pyright") if file.startswith("good_") or file == "shop_contract.py"
    ]
