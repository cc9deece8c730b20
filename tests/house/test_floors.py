"""The runtime is a house of floors: a module imports from its own floor or from lower ones, never from above."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "runtime" / "src" / "esb_runtime"

FLOORS: tuple[tuple[str, ...], ...] = (
    ("_errors", "_identifiers", "_clock", "_narrow", "_uncut"),
    (
        "_settings", "_envelope", "_endpoint", "_annotations", "_shapes", "_key_path", "_events", "_contract", "_flow",
        "_binding", "_event_checks", "_moments", "_admission", "_certainty", "_pydantic", "_retention",
    ),
    (
        "_ports", "_codecs", "_plain", "_schema", "_inspection", "_group_moves", "_plain_event", "_conditions",
        "_export", "_redelivery",
    ),
    ("redis", "memory"),
    ("delivery",),
    (
        "_context", "_delivery", "_batching", "_consumers", "_consumer", "_routes", "_line", "_patience", "_producer",
        "_read", "_traces", "_trim", "_retainer",
        "_projection", "_fold", "_follow", "_membership", "_telemetry", "_confirmations", "_running", "_probe",
        "sqlalchemy",
    ),
    ("_backbone", "_sync", "_slices", "_copying", "_pace", "_tail", "_again", "_dead_events",
     "_group_operations", "operations", "lock", "otel"),
    ("testing", "adapters", "run", "replay", "health", "__init__"),
)  # fmt: skip
"""Rooms by floor: modules and packages of `esb_runtime`."""

APART = {"redis": {"memory"}, "memory": {"redis"}}
"""Rooms of one floor that know nothing of each other."""


def room_of(module: Path) -> str:
    """The room that a file belongs to."""
    return module.relative_to(ROOT).parts[0].removesuffix(".py")


def floor_of(room: str) -> int:
    """The floor of a room."""
    for floor, rooms in enumerate(FLOORS):
        if room in rooms:
            return floor
    raise AssertionError(f"{room} has no floor: give it one in {Path(__file__).name}")


def imported_rooms(module: Path) -> Iterator[str]:
    """The rooms that a file imports at run time (what only checkers see does not count)."""
    depth = len(module.relative_to(ROOT).parts)
    tree = ast.parse(module.read_text("utf-8"))
    unseen = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in unseen or not isinstance(node, ast.ImportFrom):
            continue
        if node.level == depth:
            yield from [node.module.split(".")[0]] if node.module else [alias.name for alias in node.names]
        elif node.level == 0 and (node.module or "").startswith("esb_runtime."):
            yield (node.module or "").split(".")[1]


MODULES = sorted(ROOT.rglob("*.py"))


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(ROOT)))
def test_a_module_imports_nothing_from_above(module: Path) -> None:
    """No arrow points upwards, and the adapters do not know each other."""
    room = room_of(module)
    for imported in imported_rooms(module):
        assert floor_of(imported) <= floor_of(room), f"{room} reaches up to {imported}"
        assert imported not in APART.get(room, ()), f"{room} knows {imported}"


def test_every_room_exists() -> None:
    """The plan of the house names no room that is not there."""
    rooms = {room_of(module) for module in MODULES}
    assert {room for floor in FLOORS for room in floor} - rooms == set()


def test_only_the_redis_room_knows_redis() -> None:
    """redis-py is imported by its adapter, and by the test kit that starts a server; by nothing else."""
    knowing = {
        room_of(module)
        for module in MODULES
        for node in ast.walk(ast.parse(module.read_text("utf-8")))
        if (isinstance(node, ast.Import) and any(alias.name.split(".")[0] == "redis" for alias in node.names))
        or (isinstance(node, ast.ImportFrom) and node.level == 0 and (node.module or "").split(".")[0] == "redis")
    }
    assert knowing == {"redis", "testing"}


def test_the_command_line_uses_public_names_only() -> None:
    """`esb_cli` imports nothing of the runtime that begins with an underscore."""
    cli = Path(__file__).parents[2] / "esb_cli"
    private = [
        f"{file.name}: {node.module}"
        for file in cli.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").startswith("esb_runtime")
        and ("._" in (node.module or "") or any(alias.name.startswith("_") for alias in node.names))
    ]
    assert private == []


def test_files_stay_short() -> None:
    """Past 400 lines a file has two ideas and wants a wall."""
    places = (ROOT, Path(__file__).parents[2] / "esb_cli", Path(__file__).parents[1])
    long = {
        str(file.name): count
        for place in places
        for file in place.rglob("*.py")
        if (count := len(file.read_text("utf-8").splitlines())) > 400
    }
    assert long == {}
