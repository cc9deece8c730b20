"""The guides are true: their files are type-clean, and their tests pass, as a reader would run them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
FILE = re.compile(r"^```python title=(\S+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SETTINGS = """[pytest]
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
filterwarnings = error
"""
GUIDES = ("adapters.md", "effects.md", "testing.md")


@pytest.fixture(params=GUIDES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder with a guide's files."""
    for name, text in FILE.findall((DOCS / request.param).read_text("utf-8")):
        (tmp_path / name).write_text(text, "utf-8")
    return tmp_path


def run(place: Path, *words: str) -> None:
    """A tool over these files; it must find nothing."""
    done = subprocess.run([sys.executable, "-m", *words], cwd=place, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.timeout(300)
def test_a_guides_code_is_type_clean(place: Path) -> None:
    """mypy --strict finds nothing in the guide's files."""
    run(place, "mypy", "--strict", *sorted(file.name for file in place.glob("*.py")))


@pytest.mark.timeout(300)
def test_a_guides_tests_pass(place: Path) -> None:
    """The guide's own tests pass, warnings being errors."""
    (place / "pytest.ini").write_text(SETTINGS, "utf-8")
    run(place, "pytest", "-q", "-p", "no:cacheprovider")


def test_every_guide_is_run() -> None:
    """A page of the docs with titled files is one of those that run here."""
    assert {page.name for page in DOCS.glob("*.md") if FILE.search(page.read_text("utf-8"))} == set(GUIDES)
