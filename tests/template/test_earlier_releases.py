"""Workspaces of three earlier releases, each edited by its team, taken to today's template.

The releases are synthetic: today's template with older texts, in the history that a wheel of today carries.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from template_kit import Release, Run, build, checkout, copy, edit, unpacked

from esb_cli import template_history

pytestmark = pytest.mark.xdist_group("template-update")
EARLIER = ("0.0.1", "0.0.2", "0.0.3")
TODAY = "0.1.0"
CONSUMER = Path("consumer/src/mycompany/events/consumer")
CONTRACT = Path("contracts/src/mycompany/events/contracts/my_event.py")


@pytest.fixture(scope="session")
def today(tmp_path_factory: pytest.TempPathFactory, run: Run) -> Release:
    """The esb of today, whose history has the three releases."""
    folder = tmp_path_factory.mktemp("history")
    past = checkout(folder / "past", TODAY)
    template = past / "template"
    shutil.rmtree(past / "esb_cli" / template_history.RELEASED, ignore_errors=True)
    edit(template / "Makefile.jinja", "help: ## what there is", "help: ## this list")
    edit(template / "pyproject.toml.jinja", "line-length = 100", "line-length = 90")
    edit(template / "consumer/src/{{ path }}/consumer/__main__.py.jinja", "All consumers in one", "Consumers, one")
    (template / "NEWS.md.jinja").write_text("# {{ namespace }}\n", "utf-8")
    template_history.release(past, EARLIER[0])
    edit(template / "Makefile.jinja", "help: ## this list", "help: ## the targets")
    template_history.release(past, EARLIER[1])
    edit(template / "pyproject.toml.jinja", "line-length = 90", "line-length = 95")
    (template / "NEWS.md.jinja").unlink()
    template_history.release(past, EARLIER[2])
    now = checkout(folder / "now", TODAY)
    shutil.copy(past / "esb_cli" / template_history.RELEASED, now / "esb_cli" / template_history.RELEASED)
    return unpacked(build(now, run), folder / "today", run)


@pytest.fixture(scope="session")
def git(run: Run) -> Callable[..., str]:
    """git with a name; returns what it printed."""

    def start(*arguments: str, cwd: Path) -> str:
        return run("git", "-c", "user.name=t", "-c", "user.email=t@example.com", *arguments, cwd=cwd).stdout

    return start


@pytest.fixture(scope="session", params=EARLIER)
def worked_on(
    request: pytest.FixtureRequest, today: Release, git: Callable[..., str], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A workspace of an earlier release after its team has worked on it."""
    place = tmp_path_factory.mktemp("earlier")
    today.copier(
        "copy", "--defaults", "--quiet", "--vcs-ref", f"v{request.param}", "esb://template.git", "ws", cwd=place
    )
    folder = place / "ws"
    edit(folder / CONSUMER / "reporter.py", 'print(f"', 'print(f"shop ')
    (folder / CONTRACT).write_text(
        (folder / CONTRACT).read_text()
        + '\n    @event\n    async def paid(self, email: str) -> None:\n        """Paid."""\n'
    )
    edit(folder / "pyproject.toml", 'asyncio_mode = "auto"', 'asyncio_mode = "auto"\nlog_level = "INFO"')
    shutil.rmtree(folder / ".github")
    (folder / "producer").rename(folder / "orders")
    git("init", "--quiet", ".", cwd=folder)
    git("add", "--all", cwd=folder)
    git("commit", "--quiet", "--message", "our work", cwd=folder)
    return folder


@pytest.fixture
def team(worked_on: Path, tmp_path: Path) -> Path:
    """The same, to change."""
    return copy(worked_on, tmp_path / "ws")


def upgrade(how: str, release: Release, folder: Path, code: int = 0) -> str:
    """Take the workspace to today by `esb update` or by plain copier, which tells conflicts only in the files."""
    if how == "esb":
        return release.esb("update", cwd=folder, code=code)
    return release.copier("update", "--defaults", cwd=folder)


@pytest.mark.parametrize("how", ["esb", "copier"])
def test_an_earlier_workspace_comes_to_today(how: str, today: Release, team: Path, git: Callable[..., str]) -> None:
    """Edits are kept, what was deleted or renamed stays so, what changed upstream arrives, and nothing conflicts."""
    said = upgrade(how, today, team)
    assert f"_commit: v{TODAY}\n" in (team / ".copier-answers.yml").read_text()
    assert 'print(f"shop ' in (team / CONSUMER / "reporter.py").read_text()
    assert "async def paid" in (team / CONTRACT).read_text()
    settings = (team / "pyproject.toml").read_text()
    assert 'log_level = "INFO"' in settings
    assert "line-length = 100" in settings
    assert "help: ## what there is" in (team / "Makefile").read_text()
    assert "All consumers in one" in (team / CONSUMER / "__main__.py").read_text()
    assert not (team / ".github").exists()
    assert not (team / "producer").exists()
    assert not (team / "NEWS.md").exists()
    assert (team / "orders/pyproject.toml").exists()
    assert not git("diff", "--name-only", "--diff-filter=U", cwd=team)
    if how == "esb":
        assert "merged: pyproject.toml\n" in said
        assert "conflict" not in said.replace("no conflicts", "")
        assert f"{TODAY}: " in said


@pytest.mark.parametrize("how", ["esb", "copier"])
@pytest.mark.parametrize("worked_on", EARLIER[:1], indirect=True)
def test_only_what_both_changed_conflicts(how: str, today: Release, team: Path, git: Callable[..., str]) -> None:
    """One line that the team and a later release changed: that file alone is unmerged."""
    settings = team / "pyproject.toml"
    settings.write_text(re.sub(r"^line-length = \d+$", "line-length = 79", settings.read_text(), flags=re.MULTILINE))
    git("commit", "--quiet", "--all", "--message", "short lines", cwd=team)
    said = upgrade(how, today, team, code=1)
    assert git("diff", "--name-only", "--diff-filter=U", cwd=team).split() == ["pyproject.toml"]
    assert "line-length = 79\n=======\nline-length = 100\n" in settings.read_text()
    if how == "esb":
        assert "conflict: pyproject.toml\n" in said
