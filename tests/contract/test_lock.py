"""The contract lock: what events look like, for tools that do not import the code."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypedDict
from uuid import UUID

import msgspec
import pydantic
import pytest

from esb_runtime import EventContract, Side, event
from esb_runtime.lock import contract_lock, contracts_in, lock_text, main

from . import shop
from .shop import Orders, Payments, PriorityOrders


def locked(contract: type[EventContract[Any]], name: str, version: int = 1) -> dict[str, Any]:
    """One event of a contract's lock."""
    entries: list[dict[str, Any]] = contract_lock([contract])["events"]
    [found] = [entry for entry in entries if (entry["event"], entry["version"]) == (name, version)]
    return found


def test_the_lock_says_everything_a_tool_needs() -> None:
    """Name, version, stream, key, what is personal, what is deprecated, and the arguments' schema."""
    assert locked(Orders, "shipped", 1) == {
        "contract": "Orders",
        "uri": "orders",
        "event": "shipped",
        "version": 1,
        "parameters": {"type": "object", "properties": {"order_id": {"type": "string"}}, "required": ["order_id"]},
        "key": None,
        "personal": [],
        "deprecated": {"since": "2026-01-01", "remark": "use shipped"},
    }
    assert locked(Orders, "placed")["key"] == "user.email"
    assert locked(Payments, "paid")["personal"] == ["payer"]
    assert locked(PriorityOrders, "placed")["uri"] == "priority-orders"
    assert [entry["event"] for entry in contract_lock([Orders])["events"]] == ["placed", "shipped", "shipped"]


def test_defaults_make_arguments_optional() -> None:
    """A parameter with a default is not required, and the schema shows the default."""
    schema = locked(Orders, "shipped", 2)["parameters"]
    assert schema["required"] == ["order_id"]
    assert schema["properties"]["carrier"] == {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None}


class Color(Enum):
    """What it looks like."""

    RED = "red"


class Pair(NamedTuple):
    """A row."""

    left: str
    right: int = 0


class Shape(TypedDict, total=False):
    """A dict with names."""

    color: Color


class Card(msgspec.Struct, tag=True, forbid_unknown_fields=True):
    """One of two."""

    digits: Annotated[str, msgspec.Meta(min_length=4, pattern=r"^\d+$")]


class Cash(msgspec.Struct, tag=True):
    """The other."""

    amount: Decimal


class Address(pydantic.BaseModel):
    """A pydantic model."""

    street: str
    parent: Address | None = None


@dataclass
class Tree:
    """Refers to itself."""

    name: str
    children: list[Tree] = field(default_factory=list)
    at: datetime | None = None


class Kinds(EventContract[Side]):
    """Every kind of argument."""

    @event
    async def made(
        self,
        *,
        moment: datetime,
        day: date,
        clock: time,
        span: timedelta,
        number: UUID,
        price: Decimal,
        raw: bytes,
        anything: Any,
        color: Color,
        pair: Pair,
        shape: Shape,
        how: Card | Cash,
        where: Address,
        tree: Tree,
        few: tuple[int, str],
        many: tuple[int, ...],
        tags: set[str],
        named: Mapping[str, float],
        numbered: dict[int, bool],
        kind: Literal["a", "b"],
        limited: Annotated[int, msgspec.Meta(ge=1, lt=10)],
        nothing: None,
    ) -> None: ...


@pytest.mark.parametrize(
    ("name", "schema"),
    [
        ("moment", {"type": "string", "format": "date-time"}),
        ("day", {"type": "string", "format": "date"}),
        ("clock", {"type": "string", "format": "time"}),
        ("span", {"type": "string", "format": "duration"}),
        ("number", {"type": "string", "format": "uuid"}),
        ("price", {"type": "string", "format": "decimal"}),
        ("raw", {"type": "string", "contentEncoding": "base64"}),
        ("anything", {}),
        ("color", {"$ref": "#/$defs/Color"}),
        ("pair", {"$ref": "#/$defs/Pair"}),
        ("how", {"anyOf": [{"$ref": "#/$defs/Card"}, {"$ref": "#/$defs/Cash"}]}),
        ("where", {"$ref": "#/$defs/Address"}),
        ("tree", {"$ref": "#/$defs/Tree"}),
        (
            "few",
            {
                "type": "array",
                "prefixItems": [{"type": "integer"}, {"type": "string"}],
                "minItems": 2,
                "maxItems": 2,
                "items": False,
            },
        ),
        ("many", {"type": "array", "items": {"type": "integer"}}),
        ("tags", {"type": "array", "items": {"type": "string"}, "uniqueItems": True}),
        ("named", {"type": "object", "additionalProperties": {"type": "number"}}),
        (
            "numbered",
            {"type": "object", "additionalProperties": {"type": "boolean"}, "propertyNames": {"type": "integer"}},
        ),
        ("kind", {"enum": ["a", "b"]}),
        ("limited", {"type": "integer", "minimum": 1, "exclusiveMaximum": 10}),
        ("nothing", {"type": "null"}),
    ],
)
def test_schemas_of_arguments(name: str, schema: Mapping[str, Any]) -> None:
    """Each kind of argument has its schema."""
    assert locked(Kinds, "made")["parameters"]["properties"][name] == schema


@pytest.mark.parametrize(
    ("name", "schema"),
    [
        ("Color", {"title": "Color", "description": "What it looks like.", "enum": ["red"]}),
        (
            "Pair",
            {
                "title": "Pair",
                "description": "A row.",
                "type": "array",
                "prefixItems": [{"type": "string"}, {"type": "integer", "default": 0}],
                "minItems": 1,
                "maxItems": 2,
                "items": False,
            },
        ),
        (
            "Card",
            {
                "title": "Card",
                "description": "One of two.",
                "type": "object",
                "properties": {
                    "type": {"const": "Card"},
                    "digits": {"type": "string", "minLength": 4, "pattern": r"^\d+$"},
                },
                "required": ["type", "digits"],
                "additionalProperties": False,
            },
        ),
        (
            "Tree",
            {
                "title": "Tree",
                "description": "Refers to itself.",
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "children": {"type": "array", "items": {"$ref": "#/$defs/Tree"}, "default": []},
                    "at": {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}], "default": None},
                },
                "required": ["name"],
            },
        ),
    ],
)
def test_schemas_of_classes(name: str, schema: Mapping[str, Any]) -> None:
    """Classes are shared definitions."""
    assert locked(Kinds, "made")["parameters"]["$defs"][name] == schema


def test_pydantic_models_describe_themselves() -> None:
    """Their definitions stand beside the others."""
    assert locked(Kinds, "made")["parameters"]["$defs"]["Address"]["required"] == ["street"]


def test_a_lock_is_plain_json_and_stable() -> None:
    """Equal contracts give equal text."""
    text = lock_text([Kinds, Orders])
    assert json.loads(text)["format"] == 1
    assert text == lock_text([Kinds, Orders])


def test_contracts_of_a_module() -> None:
    """Those with events, each once; consumers and sides are none."""
    assert contracts_in(shop) == [Orders, PriorityOrders, Payments]


MODULE = shop.__name__


def test_the_command_prints_writes_and_checks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A written lock passes the check; a changed one fails it, with the difference and the way out."""
    file = tmp_path / "contract.lock"
    assert main([f"{MODULE}:Orders"]) == 0
    printed = capsys.readouterr().out
    assert main([f"{MODULE}:Orders", "--write", str(file)]) == 0
    assert file.read_text(encoding="utf-8") == printed
    assert main([f"{MODULE}:Orders", "--check", str(file)]) == 0
    assert main([f"{MODULE}:Orders", f"{MODULE}:Payments", "--check", str(file)]) == 1
    said = capsys.readouterr().err
    assert '+      "contract": "Payments",' in said
    assert f"python -m esb_runtime.lock {MODULE}:Orders {MODULE}:Payments --write {file}" in said


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no_such_module", "there is no module 'no_such_module'"),
        (f"{MODULE}:Nope", "has no contract 'Nope' (its contracts: Orders, PriorityOrders, Payments)"),
        ("json", "module 'json' has no contract with events"),
    ],
)
def test_what_is_not_found_exits_4(name: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The message says what there is."""
    assert main([name]) == 4
    assert said in capsys.readouterr().err


def test_it_runs_as_a_module(tmp_path: Path) -> None:
    """`python -m esb_runtime.lock` finds modules in the current folder; a wrong contract exits 5, without traceback."""
    (tmp_path / "good_contract.py").write_text(
        "from esb_runtime import EventContract, Side, event\n"
        "class Shop(EventContract[Side]):\n    @event\n    async def made(self, name: str) -> None: ...\n"
    )
    (tmp_path / "bad_contract.py").write_text(
        "from esb_runtime import EventContract, Side, event\n"
        "class Shop(EventContract[Side]):\n    @event\n    async def made(self, name) -> None: ...\n"
    )

    def run(name: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "esb_runtime.lock", name]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    good, bad = run("good_contract"), run("bad_contract")
    assert (good.returncode, json.loads(good.stdout)["events"][0]["event"]) == (0, "made")
    assert (bad.returncode, bad.stdout) == (5, "")
    assert bad.stderr == "error: Shop.made: parameter 'name': has no annotation: say what it holds\n"
