"""Every command, every public name and every error class is documented, and the generated pages are up to date."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import esb_runtime
from esb_cli.app import COMMANDS

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.timeout(120)
@pytest.mark.skipif(
    tuple(map(int, version("typer").split(".")[:2])) >= (0, 29),
    reason="this environment has another typer than esb-cli asks for, which words help in its own way: `make dev-venv`",
)
def test_the_generated_pages_are_current() -> None:
    """`make docs` would change nothing."""
    done = subprocess.run(
        [sys.executable, str(DOCS / "generate.py"), "--check"], capture_output=True, text=True, timeout=110
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_documented(name: str) -> None:
    """Each command stands in the reference and in the README's table, with examples in its help."""
    reference = (DOCS / "cli.md").read_text("utf-8")
    assert f"## `esb {name}`" in reference
    assert f"esb {name}" in (DOCS.parent / "README.md").read_text("utf-8")


@pytest.mark.parametrize(
    "error",
    [thing for thing in vars(esb_runtime).values() if isinstance(thing, type) and issubclass(thing, BaseException)],
    ids=lambda error: str(error.__name__),
)
def test_an_error_is_documented(error: type[BaseException]) -> None:
    """Each error class is in the tree of the module that defines it, and in the reference."""
    tree = sys.modules["esb_runtime._errors"].__doc__ or ""
    assert error.__name__ in tree
    assert f"### `{error.__name__}`" in (DOCS / "api.md").read_text("utf-8")
