"""The merge behind `esb update` and `esb add`: what becomes of a file, by what the template and the team did to it."""

from __future__ import annotations

from pathlib import Path

import pytest
from template_kit import REPOSITORY, Run

from esb_cli.merge import Step, files, merge
from esb_cli.ownership import of_the_team

BASE, TEAMS, NEWER = b"1\n2\n3\n4\n5\n", b"1 ours\n2\n3\n4\n5\n", b"1\n2\n3\n4\n5 newer\n"
BOTH = b"1 ours\n2\n3\n4\n5 newer\n"
Case = tuple[bytes | None, bytes | None, bytes | None, Step | None, bytes | None]
"""The template's old and new file, the team's; what becomes of it, and what it holds then."""
CASES: dict[str, Case] = {
    "only the template changed it": (BASE, NEWER, BASE, Step.MERGED, NEWER),
    "only the team changed it": (BASE, BASE, TEAMS, None, TEAMS),
    "both, in different places": (BASE, NEWER, TEAMS, Step.MERGED, BOTH),
    "both, likewise": (BASE, NEWER, NEWER, None, NEWER),
    "new in the template": (None, NEWER, None, Step.ADDED, NEWER),
    "new on both sides": (None, NEWER, TEAMS, Step.KEPT, TEAMS),
    "gone from the template": (BASE, None, BASE, Step.REMOVED, None),
    "gone from the template, but edited": (BASE, None, TEAMS, Step.KEPT, TEAMS),
    "gone from both": (BASE, None, None, None, None),
    "deleted by the team": (BASE, NEWER, None, Step.KEPT, None),
}


def rendered(content: bytes | None) -> dict[str, bytes]:
    """A rendering with this one file, or without it."""
    return {} if content is None else {"a folder/file": content}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_file_becomes(tmp_path: Path, case: Case) -> None:
    """Edits, deletions and files of the team stay; everything else follows the template; no empty folder is left."""
    old, new, mine, step, result = case
    if mine is not None:
        (tmp_path / "a folder").mkdir()
        (tmp_path / "a folder" / "file").write_bytes(mine)
    (tmp_path / "other").touch()
    merged = merge(tmp_path, rendered(old), rendered(new))
    assert files(tmp_path) == {**rendered(mine), "other": b""}, "nothing is written yet"
    merged.write()
    assert merged.steps == ({} if step is None else {"a folder/file": step})
    assert files(tmp_path) == {**rendered(result), "other": b""}
    assert (tmp_path / "a folder").exists() == (result is not None)


def test_a_conflict_is_one_for_git_too(tmp_path: Path, run: Run) -> None:
    """Both lines stand in the file; git has base, ours and theirs, below the folder of a mono-repo."""
    run("git", "init", "--quiet", ".", cwd=tmp_path)
    shop = tmp_path / "shop"
    shop.mkdir()
    (shop / "file").write_text("ours\n")
    run("git", "add", "--all", cwd=tmp_path)
    merged = merge(shop, {"file": b"base\n"}, {"file": b"theirs\n"})
    merged.write()
    assert merged.lines() == ["conflict: file"]
    assert (shop / "file").read_text() == "<<<<<<< yours\nours\n=======\ntheirs\n>>>>>>> the template's\n"
    stages = [run("git", "show", f":{stage}:shop/file", cwd=tmp_path).stdout for stage in (1, 2, 3)]
    assert stages == ["base\n", "ours\n", "theirs\n"]


def test_a_rejected_edit_is_a_patch(tmp_path: Path, run: Run) -> None:
    """With `rej` the file has the template's line where both changed it, the team's elsewhere; the patch swaps it."""
    ours, theirs = b"1 ours\n2\n3\n4\n5\n6\n7 ours\n", b"1 theirs\n2\n3\n4\n5\n6\n7\n"
    (tmp_path / "file").write_bytes(ours)
    merged = merge(tmp_path, {"file": b"1\n2\n3\n4\n5\n6\n7\n"}, {"file": theirs}, conflict="rej")
    merged.write()
    assert merged.conflicts == ["file.rej"]
    assert (tmp_path / "file").read_bytes() == b"1 theirs\n2\n3\n4\n5\n6\n7 ours\n"
    run("git", "apply", "-p0", "file.rej", cwd=tmp_path)
    assert (tmp_path / "file").read_bytes() == ours


@pytest.mark.parametrize("taken", ["folder", "link", "file above"])
def test_a_place_that_is_taken_is_kept(tmp_path: Path, taken: str) -> None:
    """A folder, a dangling link, or a file where the template's folder would be: theirs, and no error."""
    if taken == "folder":
        (tmp_path / "new" / "file").mkdir(parents=True)
    elif taken == "link":
        (tmp_path / "new").mkdir()
        (tmp_path / "new" / "file").symlink_to("nowhere")
    else:
        (tmp_path / "new").touch()
    merged = merge(tmp_path, {}, {"new/file": NEWER})
    merged.write()
    assert merged.steps == {"new/file": Step.KEPT}


@pytest.mark.parametrize(
    ("path", "theirs"),
    [
        ("contract.lock", True),
        ("tests/test_story.py", True),
        ("contracts/src/my/shop/contracts/order.py", True),
        ("contracts/src/my/shop/contracts/__init__.py", False),
        ("contracts/src/my/shop/contracts/backbone.py", False),
        ("consumer/src/my/shop/consumer/reporter.py", True),
        ("consumer/src/my/shop/consumer/__main__.py", False),
        ("api/src/my/shop/api/routes/order.py", True),
        ("api/src/my/shop/api/routes/__init__.py", False),
        ("api/src/my/shop/api/app.py", False),
        ("pyproject.toml", False),
    ],
)
def test_an_update_leaves_the_teams_files_alone(path: str, theirs: bool) -> None:
    """As copier.yml has it: contracts, handlers, routes, tests and the lock are theirs, what wires them is merged."""
    assert of_the_team(REPOSITORY)(path) is theirs
