"""Two distributions, one version, few requirements, and a pinned list of what users may import."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

import esb_runtime
import esb_runtime.adapters
import esb_runtime.operations
import esb_runtime.sqlalchemy
import esb_runtime.testing

ROOT = Path(__file__).parents[2]


def project(path: str) -> dict[str, Any]:
    """The [project] table of a pyproject.toml."""
    table: dict[str, Any] = tomllib.loads((ROOT / path).read_text("utf-8"))["project"]
    return table


def test_both_distributions_have_one_version() -> None:
    """esb-cli pins esb-runtime to its own version."""
    runtime, cli = project("runtime/pyproject.toml"), project("pyproject.toml")
    assert runtime["version"] == cli["version"]
    assert f"esb-runtime=={cli['version']}" in cli["dependencies"]
    assert f"esb-runtime[embedded]=={cli['version']}" in cli["optional-dependencies"]["embedded"]


def test_the_runtime_requires_little() -> None:
    """Services that use esb get redis, msgpack, msgspec and typing-extensions, nothing else."""
    names = sorted(requirement.split(">")[0] for requirement in project("runtime/pyproject.toml")["dependencies"])
    assert names == ["msgpack", "msgspec", "redis", "typing-extensions"]


def test_the_top_level_is_what_was_agreed() -> None:
    """Nothing else stands at the root of the repository."""
    agreed = {
        "pyproject.toml", "README.md", "template", "esb_cli", "runtime", "tests", "copier.yml", "docs", "benchmarks",
        "LICENSE", "CHANGELOG.md", "Makefile",
    }  # fmt: skip
    built = {"dist", "build"}
    assert {path.name for path in ROOT.iterdir() if not path.name.startswith(".")} - built == agreed


@pytest.mark.parametrize(
    "module",
    [esb_runtime, esb_runtime.adapters, esb_runtime.operations, esb_runtime.sqlalchemy, esb_runtime.testing],
    ids=lambda module: module.__name__,
)
def test_a_public_list_is_sorted_and_true(module: Any) -> None:
    """`__all__` is sorted, each of its names is there, and each has a docstring."""
    assert list(module.__all__) == sorted(module.__all__)
    for name in module.__all__:
        assert (getattr(module, name).__doc__ or "").strip() or name in {"Side", "Bound", "Transaction", "Appended"}, (
            name
        )


def test_no_file_names_a_registry() -> None:
    """A registry's host in a file would pin every user to it."""
    hosts = ("files.pythonhosted" + ".org", "pypi" + ".org/simple", "registry.npmjs" + ".org")
    skip = {".git", ".build", ".venv", "node_modules", ".hypothesis", ".mypy_cache", ".ruff_cache", "dist", ".esb"}
    naming = [
        str(file.relative_to(ROOT))
        for file in ROOT.rglob("*")
        if file.is_file() and not skip & set(file.relative_to(ROOT).parts) and file.suffix not in {".bundle", ".pyc"}
        if any(host in file.read_text("utf-8", "ignore") for host in hosts)
    ]
    assert naming == []
