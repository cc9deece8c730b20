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


def unpack(guide: str, place: Path) -> list[str]:
    """Write a guide's files into a folder; their names."""
    files = FILE.findall((DOCS / guide).read_text("utf-8"))
    for name, text in files:
        assert not (place / name).exists(), f"two guides call a file {name}"
        (place / name).write_text(text, "utf-8")
    return [name for name, _ in files]


def run(place: Path, *words: str) -> None:
    """A tool over these files; it must find nothing."""
    done = subprocess.run([sys.executable, "-m", *words], cwd=place, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.timeout(300)
def test_the_guides_code_is_type_clean(tmp_path: Path) -> None:
    """mypy --strict finds nothing in the guides' files (one run for all: most of it goes into what they import)."""
    run(tmp_path, "mypy", "--strict", *(name for guide in GUIDES for name in unpack(guide, tmp_path)))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("guide", GUIDES)
def test_a_guides_tests_pass(guide: str, tmp_path: Path) -> None:
    """The guide's own tests pass, warnings being errors."""
    unpack(guide, tmp_path)
    (tmp_path / "pytest.ini").write_text(SETTINGS, "utf-8")
    run(tmp_path, "pytest", "-q", "-p", "no:cacheprovider")


def test_every_guide_is_run() -> None:
    """A page of the docs with titled files runs here; the story of operating.md runs in a test of its own."""
    pages = {page.name for page in DOCS.glob("*.md") if FILE.search(page.read_text("utf-8"))}
    assert pages == {*GUIDES, "operating.md"}
