"""Two releases of esb with different templates: a workspace of the first, edited by its team, taken to the second.

Both releases are real wheels, unpacked instead of installed (test_install.py installs them); HOME is empty and there is
no network in any of it: what a release needs to merge it carries itself.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from template_kit import ARTICLE, Release, Run, build, checkout, edit, unpacked

pytestmark = pytest.mark.xdist_group("template-update")
NEWER = "0.2.0"
USERS_README = "# The events of our shop"
USERS_HANDLER = "import json\n"


@pytest.fixture(scope="session")
def releases(tmp_path_factory: pytest.TempPathFactory, run: Run) -> tuple[Release, Release]:
    """The first and the second release; the second's history begins with the first, as releasing does it."""
    folder = tmp_path_factory.mktemp("releases")
    first_checkout = checkout(folder / "checkout1", "0.1.0")
    first = unpacked(build(first_checkout, run), folder / "first", run)
    second_checkout = checkout(folder / "checkout2", NEWER)
    shutil.copy(first.folder / "esb_cli" / "template.bundle", second_checkout / "esb_cli" / "released.bundle")
    template = second_checkout / "template"
    edit(template / "README.md.jinja", "## What is here", "## What lies where")
    edit(template / "pyproject.toml.jinja", "line-length = 100", "line-length = 120")
    edit(template / "Makefile.jinja", "all tests:", "every test:")
    edit(template / "consumer/src/{{ path }}/consumer/reporter.py.jinja", "Prints every event", "Shows every event")
    edit(template / "consumer/src/{{ path }}/consumer/__main__.py.jinja", "Consume until", "Go on until")
    edit(template / "contracts/pyproject.toml.jinja", "hatchling>=1.27", "hatchling>=1.28")
    (template / "CONTRIBUTING.md.jinja").write_text("# Working on {{ namespace }}\n", "utf-8")
    edit(second_checkout / "copier.yml", "# Derived:", "retention:\n  type: str\n  default: 7d\n\n# Derived:")
    edit(second_checkout / "copier.yml", "esb-runtime~=0.1", "esb-runtime~=0.2")
    return first, unpacked(build(second_checkout, run), folder / "second", run)


@pytest.fixture(scope="session")
def original(releases: tuple[Release, Release], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workspace that the first release made."""
    folder = tmp_path_factory.mktemp("original")
    releases[0].esb("new", *ARTICLE, cwd=folder)
    return folder / "mycompany.events"


@pytest.fixture
def team(original: Path, tmp_path: Path, git: Callable[..., str]) -> Path:
    """The same after its team has worked: edits that fit the new template, and files of its own."""
    folder = Path(shutil.copytree(original, tmp_path / "ws", symlinks=True))
    edit(folder / "README.md", "# mycompany.events", USERS_README)
    handler = folder / "consumer/src/mycompany/events/consumer/reporter.py"
    handler.write_text(USERS_HANDLER + handler.read_text("utf-8"), "utf-8")
    edit(folder / "contracts/src/mycompany/events/contracts/my_event.py", "The customer has it.", "It arrived.")
    edit(folder / "consumer/src/mycompany/events/consumer/__main__.py", "import asyncio", "import asyncio\nimport json")
    (folder / "consumer/src/mycompany/events/consumer/own.py").write_text('"""Ours."""\n', "utf-8")
    (folder / "compose.yaml").unlink()
    (folder / "consumer/src/mycompany/events/consumer/transit.py").unlink()
    git("add", "--all", cwd=folder)
    git("commit", "--quiet", "--message", "our work", cwd=folder)
    return folder


@pytest.fixture
def git(run: Run) -> Callable[..., str]:
    """git with a name; returns what it printed."""

    def start(*arguments: str, cwd: Path) -> str:
        return run("git", "-c", "user.name=t", "-c", "user.email=t@example.com", *arguments, cwd=cwd).stdout

    return start


def upgrade(how: str, release: Release, folder: Path, code: int = 0) -> str:
    """Take the workspace to a release by `esb update` or by plain copier, which tells conflicts only in the files."""
    if how == "esb":
        return release.esb("update", cwd=folder, code=code)
    return release.copier("update", "--defaults", cwd=folder)


both_ways = pytest.mark.parametrize("how", ["esb", "copier"])


@both_ways
def test_an_upgrade_keeps_the_teams_edits(how: str, releases: tuple[Release, Release], team: Path) -> None:
    """What both sides changed in different places is merged; the team's own files and deletions stay."""
    upgrade(how, releases[1], team)
    readme = (team / "README.md").read_text("utf-8")
    assert readme.startswith("# The events of our shop")
    assert "## What lies where" in readme
    assert "every test:" in (team / "Makefile").read_text("utf-8")
    assert (team / "CONTRIBUTING.md").read_text("utf-8") == "# Working on mycompany.events\n"
    reporter = (team / "consumer/src/mycompany/events/consumer/reporter.py").read_text("utf-8")
    assert reporter.startswith(USERS_HANDLER + '"""Prints every event')
    contract = (team / "contracts/src/mycompany/events/contracts/my_event.py").read_text("utf-8")
    assert "It arrived." in contract
    assert (team / "consumer/src/mycompany/events/consumer/own.py").exists()
    main = (team / "consumer/src/mycompany/events/consumer/__main__.py").read_text("utf-8")
    assert "import json" in main
    assert "Go on until" in main
    assert not (team / "compose.yaml").exists()
    assert not (team / "consumer/src/mycompany/events/consumer/transit.py").exists()
    assert not list(team.rglob("*.rej"))


@both_ways
def test_an_upgrade_records_the_new_version(how: str, releases: tuple[Release, Release], team: Path) -> None:
    """The answers stay, a new question takes its default, the requirement of the runtime follows the template."""
    upgrade(how, releases[1], team)
    answers = (team / ".copier-answers.yml").read_text("utf-8")
    assert f"_commit: v{NEWER}\n_src_path: esb://template.git\n" in answers
    assert "retention: 7d\n" in answers
    assert "runtime_requirement" not in answers
    assert '"esb-runtime~=0.2"' in (team / "consumer/pyproject.toml").read_text("utf-8")


@both_ways
def test_a_real_conflict_is_shown_as_one(
    how: str, releases: tuple[Release, Release], team: Path, git: Callable[..., str]
) -> None:
    """Both sides changed the same line: the file holds both, git knows it is unmerged, and `esb update` exits 1."""
    edit(team / "pyproject.toml", "line-length = 100", "line-length = 88")
    git("commit", "--quiet", "--all", "--message", "short lines", cwd=team)
    said = upgrade(how, releases[1], team, code=1)
    text = (team / "pyproject.toml").read_text("utf-8")
    assert re.search(r"<{7} .*\nline-length = 88\n={7}\nline-length = 120\n>{7} ", text)
    assert git("diff", "--name-only", "--diff-filter=U", cwd=team).split() == ["pyproject.toml"]
    assert "every test:" in (team / "Makefile").read_text("utf-8")
    if how == "esb":
        assert "conflict: pyproject.toml\n" in said


def test_conflicts_can_go_to_files_beside(
    releases: tuple[Release, Release], team: Path, git: Callable[..., str]
) -> None:
    """With `--conflict rej` the team's change is in a `.rej` file, which is listed, and exit 1 says so."""
    edit(team / "pyproject.toml", "line-length = 100", "line-length = 88")
    git("commit", "--quiet", "--all", "--message", "short lines", cwd=team)
    said = releases[1].esb("update", "--conflict", "rej", cwd=team, code=1)
    assert "conflict: pyproject.toml.rej\n" in said
    assert "line-length = 88" in (team / "pyproject.toml.rej").read_text("utf-8")


def test_check_tells_without_touching(releases: tuple[Release, Release], team: Path, git: Callable[..., str]) -> None:
    """`--check` exits 1 when there is a newer template and 0 when there is none; the workspace stays as it is."""
    assert f"v0.1.0 -> v{NEWER}\n" in releases[1].esb("update", "--check", cwd=team, code=1)
    assert releases[0].esb("update", "--check", cwd=team) == "v0.1.0 is current\n"
    assert not git("status", "--porcelain", cwd=team)


def test_update_works_from_a_folder_inside(releases: tuple[Release, Release], team: Path) -> None:
    """The workspace is found from any folder in it."""
    releases[1].esb("update", cwd=team / "consumer" / "src")
    assert (team / "CONTRIBUTING.md").exists()


def test_update_works_inside_a_larger_repository(
    releases: tuple[Release, Release], original: Path, tmp_path: Path, git: Callable[..., str]
) -> None:
    """A workspace in a folder of a mono-repo is upgraded there, and nothing outside of it changes."""
    mono = tmp_path / "mono"
    shutil.copytree(original, mono / "services" / "shop", ignore=shutil.ignore_patterns(".git"))
    (mono / "README.md").write_text("ours\n", "utf-8")
    git("init", "--quiet", cwd=mono)
    git("add", "--all", cwd=mono)
    git("commit", "--quiet", "--message", "all", cwd=mono)
    releases[1].esb("update", cwd=mono / "services" / "shop")
    changed = git("status", "--porcelain", "--untracked-files=all", cwd=mono).splitlines()
    assert changed
    assert all(line[3:].startswith("services/shop/") for line in changed)


def test_a_chosen_version_is_merged(releases: tuple[Release, Release], team: Path) -> None:
    """`--to` names a version of the history; the one a workspace is at already changes nothing."""
    assert "v0.1.0 is current" in releases[1].esb("update", "--to", "0.1.0", cwd=team)
    releases[1].esb("update", "--to", f"v{NEWER}", cwd=team)
    assert f"_commit: v{NEWER}" in (team / ".copier-answers.yml").read_text("utf-8")


def test_a_current_workspace_gets_its_wheels_back(
    releases: tuple[Release, Release], team: Path, git: Callable[..., str]
) -> None:
    """A fresh clone has no wheels of esb; `esb update` puts them there and touches nothing else."""
    for wheel in (team / ".esb/wheels").glob("*.whl"):
        wheel.unlink()
    releases[0].esb("update", cwd=team)
    assert sorted(path.name for path in (team / ".esb/wheels").glob("*.whl")) == [
        "esb_cli-0.1.0-py3-none-any.whl",
        "esb_runtime-0.1.0-py3-none-any.whl",
    ]
    assert not git("status", "--porcelain", cwd=team)


def dirty(folder: Path) -> None:
    (folder / "Makefile").write_text("ours\n", "utf-8")


def ungit(folder: Path) -> None:
    shutil.rmtree(folder / ".git")


def foreign(folder: Path) -> None:
    edit(folder / ".copier-answers.yml", "esb://template.git", "https://example.org/other.git")


def nonsense(folder: Path) -> None:
    edit(folder / ".copier-answers.yml", "_commit: v0.1.0", "_commit: main")


def none_at_all(folder: Path) -> None:
    (folder / ".copier-answers.yml").unlink()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (dirty, "not committed (Makefile)"),
        (ungit, "in no git repository"),
        (foreign, "use `copier update`"),
        (nonsense, "main is no version"),
        (none_at_all, "there is no workspace here"),
    ],
)
def test_what_cannot_be_merged_is_refused_untouched(
    releases: tuple[Release, Release], team: Path, spoil: Callable[[Path], None], reason: str
) -> None:
    """A dirty tree, no repository, a foreign or unknown template: exit 2, the reason, and not one changed byte."""
    spoil(team)
    before = {path: path.read_bytes() for path in team.rglob("*") if path.is_file() and ".git" not in path.parts}
    assert reason in releases[1].esb("update", cwd=team, code=2)
    after = {path: path.read_bytes() for path in team.rglob("*") if path.is_file() and ".git" not in path.parts}
    assert before == after


def test_an_unknown_template_is_refused(releases: tuple[Release, Release], team: Path, git: Callable[..., str]) -> None:
    """A version that this esb never had, recorded or asked for: exit 2 and the versions that it knows."""
    said = releases[1].esb("update", "--to", "0.1.9", cwd=team, code=2)
    assert "knows no template v0.1.9; it knows v0.1.0, v0.2.0" in said
    edit(team / ".copier-answers.yml", "_commit: v0.1.0", "_commit: v0.1.3")
    git("commit", "--quiet", "--all", "--message", "from a private build", cwd=team)
    assert "knows no template v0.1.3" in releases[1].esb("update", cwd=team, code=2)
    assert not git("status", "--porcelain", cwd=team)


def test_an_older_esb_refuses_a_newer_workspace(
    releases: tuple[Release, Release], team: Path, git: Callable[..., str]
) -> None:
    """A workspace that is ahead of this esb is left alone, and none goes back to an older template."""
    releases[1].esb("update", cwd=team)
    git("add", "--all", cwd=team)
    git("commit", "--quiet", "--message", "upgraded", cwd=team)
    assert "upgrade esb" in releases[0].esb("update", cwd=team, code=2)
    assert "cannot go back" in releases[1].esb("update", "--to", "0.1.0", cwd=team, code=2)
    assert not git("status", "--porcelain", cwd=team)


def test_update_says_that_it_needs_git(releases: tuple[Release, Release], team: Path, tmp_path: Path) -> None:
    """Without git on the machine there is no merge: exit 2 and the reason."""
    said = releases[1].esb("update", cwd=team, code=2, env={"PATH": str(tmp_path)})
    assert "there is no git on this machine" in said


def test_both_releases_agree_on_the_past(releases: tuple[Release, Release]) -> None:
    """The commit of a released version is the same in every later release: that is what makes merges exact."""

    def heads(release: Release) -> dict[str, str]:
        bundle = str(release.folder / "esb_cli" / "template.bundle")
        lines = subprocess.run(["git", "bundle", "list-heads", bundle], capture_output=True, text=True, check=True)
        return {ref: commit for commit, ref in map(str.split, lines.stdout.splitlines())}

    first, second = map(heads, releases)
    assert second["refs/tags/v0.1.0"] == first["refs/tags/v0.1.0"]
    assert second[f"refs/tags/v{NEWER}"] == second["refs/heads/main"]


def test_git_clones_and_follows_the_history(
    releases: tuple[Release, Release], tmp_path: Path, git: Callable[..., str], run: Run
) -> None:
    """`esb://template.git` is a repository like others: cloned with one release, fetched with the next, not pushed."""

    def with_release(release: Release, *words: str, code: int = 0) -> str:
        path = os.pathsep.join([str(release.folder / "bin"), os.environ["PATH"]])
        done = run("git", *words, cwd=tmp_path, code=code, env={"PYTHONPATH": str(release.folder), "PATH": path})
        return done.stdout

    with_release(releases[0], "clone", "--quiet", "esb://template.git", "clone")
    clone = tmp_path / "clone"
    first = git("rev-parse", "HEAD", "v0.1.0^{commit}", "origin/HEAD", cwd=clone).split()
    assert git("branch", "--show-current", cwd=clone) == "main\n"
    assert len(set(first)) == 1
    with_release(releases[0], "-C", "clone", "fetch")
    with_release(releases[1], "-C", "clone", "pull", "--quiet")
    assert git("tag", "--merged", "HEAD", cwd=clone).split() == ["v0.1.0", f"v{NEWER}"]
    assert git("rev-parse", "HEAD~", cwd=clone).split() == first[:1]
    git("fsck", "--strict", cwd=clone)
    with_release(releases[1], "-C", "clone", "push", "origin", "HEAD:other", code=1)
    shown = with_release(releases[1], "ls-remote", "--heads", "--tags", "esb://template.git")
    assert [line.split("\t")[1] for line in shown.splitlines()] == [
        "refs/heads/main",
        "refs/tags/v0.1.0",
        f"refs/tags/v{NEWER}",
    ]


def test_listing_the_history_starts_no_program(releases: tuple[Release, Release], tmp_path: Path) -> None:
    """One update of copier's asks eight times: git-remote-esb answers from the bundle, also where there is no git."""
    environment = {"PYTHONPATH": str(releases[1].folder), "PATH": str(tmp_path)}
    words = (sys.executable, "-m", "esb_cli.git_remote", "origin", "esb://template.git")
    said = "capabilities\nlist\n\n"
    done = subprocess.run(words, input=said, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("fetch\n\n")
    assert re.findall(r"^[0-9a-f]{40} refs/tags/(.*)$", done.stdout, re.MULTILINE) == ["v0.1.0", f"v{NEWER}"]
    assert done.stdout.endswith("@refs/heads/main HEAD\n\n")
    done = subprocess.run(
        words, input="push a:b\n", cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (1, "esb: git asked for 'push', which is not offered\n")


def test_rendering_and_cloning_give_the_same_files(
    releases: tuple[Release, Release], original: Path, tmp_path: Path
) -> None:
    """`esb new` renders from files, copier from a clone of `esb://template.git`: byte for byte the same workspace."""
    arguments = ("copy", "--defaults", "--vcs-ref", "v0.1.0", "--quiet", "esb://template.git", "ws")
    releases[0].copier(*arguments, cwd=tmp_path)
    for path in sorted(path for path in (tmp_path / "ws").rglob("*") if path.is_file()):
        relative = path.relative_to(tmp_path / "ws")
        assert (original / relative).read_bytes() == path.read_bytes(), relative


def test_without_esb_copier_changes_nothing(original: Path, tmp_path: Path, run: Run) -> None:
    """Where `git-remote-esb` is not on PATH, plain `copier update` fails before it writes."""
    folder = Path(shutil.copytree(original, tmp_path / "ws"))
    (tmp_path / "bin").mkdir()
    git = shutil.which("git")
    assert git
    (tmp_path / "bin" / "git").symlink_to(git)
    command = (sys.executable, "-m", "copier", "update", "--defaults")
    done = run(*command, cwd=folder, code=None, env={"PATH": str(tmp_path / "bin")})
    assert done.returncode != 0
    assert not run("git", "status", "--porcelain", cwd=folder).stdout
