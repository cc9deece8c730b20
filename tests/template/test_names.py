"""Which names contracts and consumers may have: none that a generated file needs for something else."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from template_kit import REPOSITORY, Run, Scaffold

from esb_cli.questions import Answer, load

pytestmark = pytest.mark.xdist_group("template-rendering")
QUESTIONS = {question.name: question for question in load(REPOSITORY)}
KINDS: dict[str, dict[str, Answer]] = {
    "everything": {"api": True, "telemetry": True, "store": "inline"},
    "the default": {},
    "a producer alone": {"consumer": False},
    "contracts alone": {"consumer": False, "producer": False},
}


def bound(file: Path) -> Iterator[str]:
    """Every name that the code of a file binds: what it imports, defines or assigns."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        match node:
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                yield from ((name.asname or name.name).partition(".")[0] for name in names)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
                yield name
            case _:
                pass


def beside(folder: Path, *names: str) -> set[str]:
    """What the files that bind one of these names bind as well."""
    found = [set(bound(file)) for file in folder.rglob("*.py")]
    return set[str]().union(*(all_ for all_ in found if all_ & {*names})) - {*names}


def refused(name: str) -> bool:
    """Whether a contract may not have this name."""
    return bool(QUESTIONS["events"].fault(name, {}))


@pytest.mark.parametrize("answers", KINDS.values(), ids=KINDS.keys())
def test_no_contract_hides_what_stands_beside_it(scaffolded: Scaffold, answers: dict[str, Answer]) -> None:
    """A class or module that some generated file has already is refused as the name of a contract."""
    folder = scaffolded(**answers, events="Zork, Quux")
    classes, modules = beside(folder, "Zork", "Quux"), beside(folder, "zork", "quux")
    assert {"Backbone", "Side"} <= classes
    assert [name for name in classes if name[0].isupper() and not refused(name)] == []
    assert [name for name in modules if name.islower() and not refused(name.title())] == []


def test_no_program_has_two_names(scaffolded: Scaffold) -> None:
    """Every contract is a program too, so none is named as a program that is there without it."""
    assert [name for name in ("Reporter", "Transit", "Producer", "Api") if not refused(name)] == []


def test_a_contract_may_be_called_delivery(scaffolded: Scaffold, run: Run) -> None:
    """The runtime's class of that name makes way: lint and types of every file are content, an added consumer's too."""
    folder = scaffolded(api=True, events="Order, Delivery, Event", consumers="audit Delivery audit")
    run(sys.executable, "-m", "ruff", "check", "--no-cache", ".", cwd=folder)
    run(sys.executable, "-m", "ruff", "format", "--no-cache", "--check", ".", cwd=folder)
    run(sys.executable, "-m", "mypy", cwd=folder)
