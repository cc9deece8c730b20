"""The template's history: a function of its files, that only ever grows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.version import Version
from template_kit import REPOSITORY

from esb_cli import git_remote, template_history, upgrade_notes
from esb_cli.scaffold import installed
from esb_cli.template_history import NoTemplateError, git, tags, write_bundle, write_tree
from esb_cli.upgrade_notes import NOTES


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A small checkout."""
    folder = tmp_path / "checkout"
    (folder / "template" / "{{ name }}").mkdir(parents=True)
    (folder / "esb_cli").mkdir()
    (folder / "copier.yml").write_text("name: x\n")
    (folder / "template" / "{{ name }}" / "{% if true %}a file{% endif %}.jinja").write_text("first\n")
    return folder


def heads(bundle: Path) -> dict[str, str]:
    """Every ref of a bundle with its commit."""
    lines = git("bundle", "list-heads", str(bundle)).splitlines()
    return {ref: commit for commit, ref in map(str.split, lines)}


def change(checkout: Path) -> None:
    (checkout / "copier.yml").write_text("name: y\n")


def test_equal_files_give_equal_commits(checkout: Path, tmp_path: Path) -> None:
    """The same files have the same commits on every machine, whatever the time, the mode or leftovers beside them."""
    write_bundle(checkout, "1.0.0", tmp_path / "a")
    (checkout / "copier.yml").chmod(0o755)
    (checkout / "template" / "x.pyc").write_bytes(b"\0")
    (checkout / "template" / ".DS_Store").write_bytes(b"\0")
    write_bundle(checkout, "1.0.0", tmp_path / "b")
    assert heads(tmp_path / "a") == heads(tmp_path / "b")


def test_equal_files_give_equal_archives(checkout: Path, tmp_path: Path) -> None:
    """So does the archive that a machine without git renders from."""
    write_tree(checkout, tmp_path / "a")
    (checkout / "copier.yml").touch()
    write_tree(checkout, tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_release_never_changes_afterwards(checkout: Path, tmp_path: Path) -> None:
    """A later version stands on the released ones, which keep their commits; so does a rebuild of the last one."""
    released = checkout / "esb_cli" / template_history.RELEASED
    write_bundle(checkout, "1.0.0", released)
    first = heads(released)["refs/tags/v1.0.0"]
    write_bundle(checkout, "1.0.0", tmp_path / "again")
    assert heads(tmp_path / "again")["refs/tags/v1.0.0"] == first
    change(checkout)
    write_bundle(checkout, "1.1.0", released)
    assert heads(released)["refs/tags/v1.0.0"] == first
    assert tags(released) == ["v1.0.0", "v1.1.0"]


def test_work_on_a_released_version_is_seen(checkout: Path, tmp_path: Path) -> None:
    """Before its number is raised, a changed template still renders as it is now: the tag follows the working tree."""
    released = checkout / "esb_cli" / template_history.RELEASED
    write_bundle(checkout, "1.0.0", released)
    change(checkout)
    write_bundle(checkout, "1.0.0", tmp_path / "now")
    assert heads(tmp_path / "now")["refs/tags/v1.0.0"] != heads(released)["refs/tags/v1.0.0"]


def test_a_released_template_is_not_edited(tmp_path: Path) -> None:
    """Whoever changes `template/` or `copier.yml` after a release raises the version of esb."""
    released = REPOSITORY / "esb_cli" / template_history.RELEASED
    write_bundle(REPOSITORY, installed(), tmp_path / "now")
    known = heads(released) if released.exists() else {}
    tag = f"refs/tags/{installed()}"
    assert known.get(tag) in {None, heads(tmp_path / "now")[tag]}


def test_no_release_is_forgotten() -> None:
    """Every version in the changelog below today's is in the history; today's template has its upgrade notes."""
    released = REPOSITORY / "esb_cli" / template_history.RELEASED
    versions = re.findall(r"^## (\d\S*)", (REPOSITORY / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    past = [version for version in versions if Version(version) < Version(installed())]
    known = tags(released) if released.is_file() else []
    assert [version for version in past if template_history.tag_of(version) not in known] == [], (
        "run `make release-template` in the release's commit"
    )
    assert set(versions) == set(re.findall(r"^## (\S+)$", NOTES.read_text("utf-8"), re.MULTILINE))


def test_the_notes_of_the_releases_in_between_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the one that a workspace has, up to the one that it gets, oldest first; a remark may have several lines."""
    page = tmp_path / "notes.md"
    page.write_text("# N\n\n## 1.10.0\n\n- ten\n\n## 1.9.0\n\n- nine,\n  still\n- two\n\n## 1.0.0\n\n- one\n")
    monkeypatch.setattr(upgrade_notes, "NOTES", page)
    assert upgrade_notes.notes("v1.0.0", "v1.10.0") == {"1.9.0": ["nine, still", "two"], "1.10.0": ["ten"]}
    assert upgrade_notes.notes("v1.10.0", "v1.10.0") == {}


def test_a_release_is_taken_once(checkout: Path) -> None:
    """Releasing twice changes nothing; another template under a released number is refused, the history stays."""
    template_history.release(checkout, "1.0.0")
    released = checkout / "esb_cli" / template_history.RELEASED
    first = heads(released)
    template_history.release(checkout, "1.0.0")
    change(checkout)
    with pytest.raises(template_history.AlreadyReleasedError, match="raise the version"):
        template_history.release(checkout, "1.0.0")
    assert heads(released) == first
    template_history.release(checkout, "1.1.0")
    assert heads(released)["refs/tags/v1.0.0"] == first["refs/tags/v1.0.0"]


def test_a_missing_template_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation without template, or one that was built without git, says so."""
    with pytest.raises(NoTemplateError, match="carries no template"):
        write_tree(tmp_path, tmp_path / "tree")
    archive = tmp_path / "template.tar.gz"
    archive.touch()
    monkeypatch.setattr(template_history, "BUNDLE", tmp_path / "none")
    monkeypatch.setattr(template_history, "TREE", archive)
    with pytest.raises(NoTemplateError, match="without git"), template_history.bundle():
        pass


def test_git_is_served_what_a_wheel_carries() -> None:
    """`git-remote-esb` looks where the build puts the history; it has no time to import who says so."""
    assert git_remote.BUNDLE == template_history.BUNDLE
