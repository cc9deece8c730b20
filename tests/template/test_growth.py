"""`esb add contract` and `esb add consumer`: the template again with one answer more, merged with the team's edits."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from template_kit import Run, copy, edit

CONSUMER = Path("consumer/src/mycompany/events/consumer")
CONTRACTS = Path("contracts/src/mycompany/events/contracts")


@pytest.fixture
def team(workspace: Path, tmp_path: Path) -> Path:
    """A workspace that its team has edited, where the template will change something too."""
    folder = copy(workspace, tmp_path / "ws")
    edit(folder / CONSUMER / "__main__.py", "import asyncio", "import asyncio\nimport logging")
    edit(folder / CONTRACTS / "my_event.py", "The customer has it.", "It arrived.")
    edit(folder / "README.md", "# mycompany.events", "# The events of our shop")
    return folder


def content(run: Run, folder: Path) -> None:
    """The workspace's own tools have nothing to say."""
    for tool in (
        ("ruff", "check", "--no-cache", "."),
        ("ruff", "format", "--no-cache", "--check", "."),
        ("mypy",),
        ("pytest", "-p", "no:cacheprovider", "tests/test_contract_lock.py"),
    ):
        run(sys.executable, "-m", *tool, cwd=folder)


def test_a_workspace_grows_around_its_teams_edits(esb: Run, run: Run, team: Path) -> None:
    """A contract and consumers more: declared, wired, locked, clean under every tool; what the team wrote stays."""
    done = esb("add", "contract", "HTTPRefund", cwd=team)
    assert f"added: {CONTRACTS}/http_refund.py\n" in done.stdout
    assert f"merged: {CONSUMER}/__main__.py\n" in done.stdout
    esb("add", "consumer", "order-audit", cwd=team)
    esb("add", "consumer", "billing", "--contract", "HTTPRefund", "--group", "billing-v2", cwd=team)
    main = (team / CONSUMER / "__main__.py").read_text()
    assert "import logging" in main
    assert "order_audit.wire(backbone)" in main
    assert 'GROUP = "billing-v2"' in (team / CONSUMER / "billing.py").read_text()
    assert 'GROUP = "order-audit"' in (team / CONSUMER / "order_audit.py").read_text()
    assert "It arrived." in (team / CONTRACTS / "my_event.py").read_text()
    assert (team / "README.md").read_text().startswith("# The events of our shop")
    edit(team / CONSUMER / "__main__.py", "import logging\n", "")
    content(run, team)


def test_a_lock_with_events_of_its_own_follows_the_contracts(esb: Run, run: Run, team: Path) -> None:
    """Where the team has changed contract.lock, it is written from the contracts, not merged."""
    esb("add", "event", "MyEvent.paid", "amount:Decimal", "--yes", cwd=team)
    done = esb("add", "contract", "Refund", cwd=team)
    assert "kept: contract.lock\n" in done.stdout
    lock = (team / "contract.lock").read_text()
    assert '"paid"' in lock
    assert '"Refund"' in lock


def test_what_was_deleted_stays_deleted(esb: Run, team: Path) -> None:
    """A file that the team does without does not come back; it is named."""
    (team / "README.md").unlink()
    assert "kept: README.md\n" in esb("add", "contract", "Refund", cwd=team).stdout
    assert not (team / "README.md").exists()


def test_a_line_that_both_change_is_a_conflict(esb: Run, team: Path) -> None:
    """Exit 1, the file is listed and holds both sides, everything else is done."""
    edit(team / CONSUMER / "__main__.py", "        transit.wire(backbone)\n", "        ours.wire(backbone)\n")
    done = esb("add", "consumer", "audit", cwd=team, code=1)
    assert f"conflict: {CONSUMER}/__main__.py\n" in done.stdout
    text = (team / CONSUMER / "__main__.py").read_text()
    assert "<<<<<<< yours" in text
    assert "ours.wire(backbone)" in text
    assert (team / CONSUMER / "audit.py").exists()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("contract", "MyEvent"), "given twice"),
        (("contract", "refund"), "not in PascalCase"),
        (("contract", "User"), "taken by the workspace"),
        (("consumer", "reporter"), "is taken"),
        (("consumer", "my_event"), "is taken"),
        (("consumer", "class"), "keyword"),
        (("consumer", "1st"), "no module name"),
        (("consumer", "audit", "--contract", "Nope"), "there is no contract 'Nope': there are MyEvent"),
        (("consumer", "logging"), "esb: NAME: 'logging' is taken"),
        (("consumer", ""), "NAME: '' is not one word"),
        (("consumer", "audit", "--group", "a group"), "--group: 'a group' is not one word"),
        (("consumer", "audit", "--group", "a,b"), "--group: 'a,b' is not one word"),
        (("consumer", "audit", "--contract", "My Event"), "--contract: 'My Event' is not one word"),
    ],
)
def test_a_name_that_cannot_be_is_refused(esb: Run, team: Path, arguments: tuple[str, ...], reason: str) -> None:
    """Exit 2, the reason, and not one changed byte."""
    before = {path: path.read_bytes() for path in team.rglob("*") if path.is_file()}
    assert reason in esb("add", *arguments, cwd=team, code=2).stderr
    assert {path: path.read_bytes() for path in team.rglob("*") if path.is_file()} == before


def test_a_workspace_without_consumers_gets_its_package(esb: Run, run: Run, tmp_path: Path) -> None:
    """After `--no-consumer` the first consumer brings the package with it."""
    esb("new", "ws", "--no-consumer", "--defaults", cwd=tmp_path)
    esb("add", "consumer", "audit", cwd=tmp_path / "ws")
    assert (tmp_path / "ws" / CONSUMER / "audit.py").exists()
    content(run, tmp_path / "ws")


def test_outside_of_a_workspace_it_says_so(esb: Run, tmp_path: Path) -> None:
    """Exit 2."""
    assert "there is no workspace here" in esb("add", "contract", "A", cwd=tmp_path, code=2).stderr
