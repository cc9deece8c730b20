"""`esb add event`: a method in the user's own file, its imports, the lock; or nothing when something is wrong."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from template_kit import Run, copy

from esb_cli.contract_source import ContractSource
from esb_cli.failures import Failure
from esb_cli.new_event import Argument, NewEvent
from esb_cli.workspace import Workspace

CONTRACT = Path("contracts/src/mycompany/events/contracts/my_event.py")


@pytest.fixture
def team(workspace: Path, tmp_path: Path) -> Path:
    """A workspace to change."""
    return copy(workspace, tmp_path / "ws")


def small(folder: Path, text: str) -> Workspace:
    """A workspace with one contract file of this text, and a module of types beside it."""
    (folder / "src" / "shop").mkdir(parents=True)
    (folder / "src" / "shop" / "contract.py").write_bytes(text.encode())
    (folder / "src" / "shop" / "things.py").write_text("class Crate: ...\n")
    (folder / "pyproject.toml").write_text('[tool.ruff]\nline-length = 79\n[tool.esb]\nsources = ["src"]\n')
    workspace = Workspace.find(folder)
    assert workspace
    return workspace


def written(folder: Path, text: str, *arguments: str, **options: object) -> str:
    """The contract file after an event `paid` was written into its class `Order`."""
    event = NewEvent(name="paid", arguments=[Argument.parse(one) for one in arguments], doc="Paid.", **options)
    return ContractSource.find(small(folder, text), "Order").with_event(event).bytes.decode()


HEAD = "from esb_runtime import EventContract, Side, event\n\n\n"
CLASS = 'class Order(EventContract[Side], uri="o"):\n    """What can happen."""\n'


def test_an_event_is_written_into_the_teams_file(esb: Run, run: Run, team: Path) -> None:
    """The method stands last, its imports where they belong; the workspace's tools are content; the lock follows."""
    arguments = ("email:str", "amount:Decimal", "by:UUID | None", "ship:User", "time:datetime")
    done = esb("add", "event", "MyEvent.paid", *arguments, "--key", "email", "--yes", cwd=team)
    assert done.stdout.splitlines() == [str(CONTRACT), "contract.lock"]
    assert "+    async def paid(" in done.stderr
    text = (team / CONTRACT).read_text()
    assert (
        "from datetime import datetime\nfrom decimal import Decimal\nfrom uuid import UUID\n\nfrom esb_runtime" in text
    )
    assert '    @event(key="email")\n    async def paid(\n        self, email: str, amount: Decimal, by' in text
    for tool in (
        ("ruff", "check", "--no-cache", "."),
        ("ruff", "format", "--no-cache", "--check", "."),
        ("mypy",),
        ("pytest", "-p", "no:cacheprovider", "tests/test_contract_lock.py"),
    ):
        run(sys.executable, "-m", *tool, cwd=team)


def test_only_the_event_and_its_imports_change(esb: Run, run: Run, team: Path) -> None:
    """Every line that was there stays, the team's comments and formatting included."""
    before = (team / CONTRACT).read_text().replace("    @event\n", "    @event   # ours\n", 1)
    (team / CONTRACT).write_text(before)
    esb("add", "event", "MyEvent.paid", "amount:Decimal", "--yes", cwd=team)
    after = (team / CONTRACT).read_text().splitlines()
    assert [line for line in before.splitlines() if line not in after] == []


def test_an_event_can_have_a_second_version(esb: Run, team: Path) -> None:
    """`--version 2` of an event that is there is a method of its own; both are in the lock."""
    said = esb("add", "event", "MyEvent.packing", "email:str", "-y", cwd=team, code=2).stderr
    assert "MyEvent has packing already, as version 1" in said
    assert "--version 2" in said
    esb("add", "event", "MyEvent.packing", "boxes:int", "--version", "2", "-y", cwd=team)
    assert (
        '@event(name="packing", version=2)\n    async def packing_v2(self, boxes: int)' in (team / CONTRACT).read_text()
    )
    events = json.loads((team / "contract.lock").read_text())["events"]
    assert {event["version"] for event in events if event["event"] == "packing"} == {1, 2}


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (("MyEvent.paid", "a:str", "--key", "b"), 5, "there is no parameter 'b'"),
        (("MyEvent.paid", "a:str", "--personal", "a"), 5, "must admit None"),
        (("MyEvent.paid", "a:Usr"), 2, "there is no type 'Usr' here; did you mean User?"),
        (("MyEvent.paid", "a:str["), 2, "no Python expression"),
        (("MyEvent.paid", "a"), 2, "write name:type"),
        (("MyEvent.paid", "a:str=1", "b:int"), 2, "would not be Python"),
        (("MyEvent.paid", "a:str", "a:int"), 2, "would not be Python"),
        (("MyEvent.paid", "class:str"), 2, "Python or esb needs the word"),
        (("MyEvent.paid", "ctx:str"), 2, "Python or esb needs the word"),
        (("MyEvent.OrderPaid",), 2, "such as order_paid"),
        (("MyEvent",), 2, "write CONTRACT.NAME"),
        (("MyEvnt.paid",), 4, "did you mean MyEvent?"),
        (("MyEvent.paid", "--doc", 'a """'), 2, "--doc"),
    ],
)
def test_what_cannot_be_an_event_changes_nothing(
    esb: Run, team: Path, arguments: tuple[str, ...], code: int, reason: str
) -> None:
    """A wrong name, type, key or argument: the reason, its exit code, and not one changed byte."""
    before = (team / CONTRACT).read_bytes(), (team / "contract.lock").read_bytes()
    done = esb("add", "event", *arguments, "--yes", cwd=team, code=code)
    assert reason in done.stderr
    assert "Traceback" not in done.stderr
    assert ((team / CONTRACT).read_bytes(), (team / "contract.lock").read_bytes()) == before


def test_without_a_terminal_it_wants_a_yes(esb: Run, team: Path) -> None:
    """In a pipe the difference is shown and nothing is written without `--yes`."""
    before = (team / CONTRACT).read_bytes()
    done = esb("add", "event", "MyEvent.paid", "a:str", cwd=team, code=2)
    assert "+    async def paid(self, a: str)" in done.stderr
    assert "--yes" in done.stderr
    assert (team / CONTRACT).read_bytes() == before


def test_a_file_that_does_not_parse_is_refused(esb: Run, team: Path) -> None:
    """Exit 5 and the place; the file stays."""
    (team / CONTRACT).write_text((team / CONTRACT).read_text() + "    def (:\n")
    done = esb("add", "event", "MyEvent.paid", "a:str", "-y", cwd=team, code=5)
    assert "my_event.py does not parse" in done.stderr


def test_contracts_that_cannot_be_imported_still_grow(esb: Run, team: Path) -> None:
    """A dependency that is not installed here keeps nobody from adding an event; the lock's turn comes later."""
    entities = team / CONTRACT.parent / "entities.py"
    entities.write_text("import nowhere_to_be_found\n" + entities.read_text())
    done = esb("add", "event", "MyEvent.paid", "a:str", "-y", cwd=team)
    assert done.stdout == f"{CONTRACT}\n"
    assert "contract.lock was not updated" in done.stderr
    assert "async def paid" in (team / CONTRACT).read_text()


def test_outside_of_a_workspace_it_says_so(esb: Run, tmp_path: Path) -> None:
    """Exit 2."""
    assert "esb new" in esb("add", "event", "A.b", cwd=tmp_path, code=2).stderr


def test_long_signatures_are_wrapped_as_the_formatter_does(tmp_path: Path) -> None:
    """At the workspace's own line length: first all parameters on a line, then each on its own."""
    two = written(tmp_path / "two", HEAD + CLASS, "recipient:str", "weight:float", "note:str | None")
    assert "    async def paid(\n        self, recipient: str, weight: float, note: str | None\n    ) -> None:\n" in two
    long = [f"argument_number_{number}:str" for number in range(4)]
    assert "    async def paid(\n        self,\n        argument_number_0: str,\n" in written(
        tmp_path / "x", HEAD + CLASS, *long
    )


@pytest.mark.parametrize("body", ["    pass\n", "    ...\n"])
def test_a_body_that_was_only_there_to_be_one_goes(tmp_path: Path, body: str) -> None:
    """The first event of an empty contract."""
    text = written(tmp_path, HEAD + 'class Order(EventContract[Side], uri="o"):\n' + body, "a:int")
    assert text.endswith('uri="o"):\n    @event\n    async def paid(self, a: int) -> None:\n        """Paid."""\n')


def test_line_ends_and_tabs_are_kept(tmp_path: Path) -> None:
    """A file with CRLF and tabs stays one."""
    text = (HEAD + CLASS).replace("    ", "\t").replace("\n", "\r\n")
    after = written(tmp_path, text, "a:Decimal")
    assert after.startswith("from decimal import Decimal\r\n\r\nfrom esb_runtime")
    assert '\r\n\r\n\t@event\r\n\tasync def paid(self, a: Decimal) -> None:\r\n\t\t"""Paid."""\r\n' in after
    assert "\n" not in after.replace("\r\n", "")


@pytest.mark.parametrize(
    ("head", "decorator", "imported"),
    [
        ("import esb_runtime\nfrom esb_runtime import EventContract, Side\n", "@esb_runtime.event", ""),
        ("from esb_runtime import EventContract, Side, event as happens\n", "@happens", ""),
        (
            "from esb_runtime import EventContract, Side\n",
            "@event",
            "from esb_runtime import EventContract, Side, event",
        ),
    ],
)
def test_the_decorator_is_called_as_the_file_calls_it(tmp_path: Path, head: str, decorator: str, imported: str) -> None:
    """An alias, the module, or an import that is added."""
    text = written(tmp_path, f"{head}\n\n{CLASS}", "a:int")
    assert f"    {decorator}\n    async def paid" in text
    assert imported in text


@pytest.mark.parametrize(
    ("imports", "argument", "expected"),
    [
        ("from datetime import date\n", "a:datetime", "from datetime import date, datetime\n"),
        (
            "from datetime import (\n    date,\n)\n",
            "a:datetime",
            "from datetime import (\n    date,\n    datetime,\n)\n",
        ),
        ("import datetime\n", "a:datetime.date", "import datetime\n"),
        (
            "from datetime import date  # ours\n",
            "a:datetime",
            "from datetime import date  # ours\nfrom datetime import datetime\n",
        ),
        ("from zoneinfo import ZoneInfo\n", "a:UUID", "from uuid import UUID\nfrom zoneinfo import ZoneInfo\n"),
        ("import zoneinfo\n", "a:UUID", "import zoneinfo\nfrom uuid import UUID\n"),
        ("import zoneinfo\n", "a:decimal.Decimal", "import decimal\nimport zoneinfo\n"),
        ("from uuid import UUID\n", "a:Literal['x', 'y']", "from typing import Literal\nfrom uuid import UUID\n"),
    ],
)
def test_imports_come_where_a_sorter_puts_them(
    tmp_path: Path, run: Run, imports: str, argument: str, expected: str
) -> None:
    """Merged where the source is there, else in its section and order; ruff's sorter has nothing to do."""
    after = written(tmp_path, f"{imports}\n{HEAD}{CLASS}", argument)
    assert after.startswith(f"{expected}\nfrom esb_runtime")
    (tmp_path / "after.py").write_text(after)
    if "# ours" not in imports:
        run(
            sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "--select", "I", "after.py", cwd=tmp_path
        )


def test_types_of_the_modules_beside_it_are_found(tmp_path: Path) -> None:
    """A class of the package needs only its name; the import is relative and comes last."""
    after = written(tmp_path, HEAD + CLASS, "a:list[Crate]")
    assert after.startswith(
        "from esb_runtime import EventContract, Side, event\n\nfrom .things import Crate\n\n\nclass"
    )


def test_two_contracts_of_one_name_are_told_apart_by_a_person(tmp_path: Path) -> None:
    """Which one is meant cannot be known: usage, with both files."""
    workspace = small(tmp_path, HEAD + CLASS)
    (tmp_path / "src" / "shop" / "other.py").write_text(HEAD + CLASS)
    with pytest.raises(Failure, match="several contracts 'Order'"):
        ContractSource.find(workspace, "Order")
