"""The template and its history: as files to render, and as a git bundle to merge from.

The bundle holds one commit and one tag `v<version>` per release of esb. Its commits are a pure function of the
template's files and of the releases before, so every machine has the same ones and an upgrade needs no network.

A wheel carries both forms, made when it was built (`_build_hook.py`). An editable install has neither and makes them
when they are asked for, from the checkout: `released.bundle`, if there is one, plus the working tree as the newest
version. Who makes a release writes that file with `make release-template` and commits it. Only the
standard library is imported here: the build has nothing else.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from gzip import GzipFile
from io import BytesIO
from pathlib import Path

PACKAGE = Path(__file__).parent
CHECKOUT = PACKAGE.parent
BUNDLE = PACKAGE / "template.bundle"
TREE = PACKAGE / "template.tar.gz"
RELEASED = "released.bundle"
"""In the checkout's `esb_cli`: the history up to the last release, committed with each release."""

ROOTS = ("copier.yml", "template")
_BIRTH = "esb <esb@localhost> 1577836800 +0000"  # fixed: equal files give equal commits, whoever makes them


class NoTemplateError(Exception):
    """This installation of esb carries no template, or was built without its history."""


class AlreadyReleasedError(Exception):
    """A released template would change: workspaces were made from it, so it may not."""


def release(checkout: Path, version: str) -> None:
    """Take the working tree into `released.bundle` as `version`; commit that file with the release.

    Raises `AlreadyReleasedError` when that version has been released with other files.
    """
    target, tag = checkout / "esb_cli" / RELEASED, tag_of(version)
    with tempfile.TemporaryDirectory(prefix="esb-release-") as folder:
        new = Path(folder, RELEASED)
        write_bundle(checkout, version, new)
        if target.is_file() and tag in tags(target) and commit_of(target, tag) != commit_of(new, tag):
            raise AlreadyReleasedError(f"{tag} is released, and the template is another one now: raise the version")
        shutil.copy(new, target)


def commit_of(bundle: Path, tag: str) -> str:
    """The commit of a release."""
    return git("bundle", "list-heads", str(bundle), f"refs/tags/{tag}").split()[0]


def tag_of(version: str) -> str:
    """The tag of a release: `v1.2.0`."""
    return f"v{version.removeprefix('v')}"


@contextmanager
def tree() -> Generator[Path]:
    """A folder with `copier.yml` and `template/` as they are in this version. Needs no git."""
    with tempfile.TemporaryDirectory(prefix="esb-template-") as folder:
        for path, content in _packed(TREE) if TREE.is_file() else _files(CHECKOUT):
            target = Path(folder, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        yield Path(folder)


@contextmanager
def bundle() -> Generator[Path]:
    """The git bundle with every release up to this esb's. Needs git when esb is an editable install."""
    if BUNDLE.is_file():
        yield BUNDLE
    elif TREE.is_file():
        raise NoTemplateError("this esb was built on a machine without git and carries no template history")
    else:
        from importlib.metadata import version

        with tempfile.TemporaryDirectory(prefix="esb-template-") as folder:
            target = Path(folder, BUNDLE.name)
            write_bundle(CHECKOUT, version("esb-cli"), target)
            yield target


@contextmanager
def tree_of(history: Path, tag: str) -> Generator[Path]:
    """The same for a release that a bundle holds; no repository, of which copier would render the newest release."""
    with tempfile.TemporaryDirectory(prefix="esb-template-", ignore_cleanup_errors=True) as folder:
        git("-c", "advice.detachedHead=false", "clone", "--quiet", "--branch", tag, str(history), folder)
        shutil.rmtree(Path(folder, ".git"))
        yield Path(folder)


def tags(bundle: Path) -> list[str]:
    """The releases that a bundle holds, as tags."""
    heads = [line.split()[1] for line in git("bundle", "list-heads", str(bundle)).splitlines()]
    return [ref.removeprefix("refs/tags/") for ref in heads if ref.startswith("refs/tags/")]


def write_tree(checkout: Path, target: Path) -> None:
    """Write the template's files as a `tar.gz`; equal files give equal bytes."""
    with (
        target.open("wb") as raw,
        GzipFile("", "wb", fileobj=raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as archive,
    ):
        for path, content in _files(checkout):
            member = tarfile.TarInfo(path)
            member.size = len(content)
            archive.addfile(member, BytesIO(content))


def write_bundle(checkout: Path, version: str, target: Path) -> None:
    """Write the history up to `version`: the releases, then the working tree unless it is a release already."""
    tag = tag_of(version)
    released = checkout / "esb_cli" / RELEASED
    with tempfile.TemporaryDirectory(prefix="esb-history-") as folder:
        repository = Path(folder)
        git("init", "--quiet", "--bare", ".", cwd=repository)
        if released.is_file():
            git("fetch", "--quiet", str(released.resolve()), "+refs/*:refs/*", cwd=repository)
        git("fast-import", "--quiet", "--force", cwd=repository, stdin=_commit(checkout, tag, released.is_file()))
        if _tree_of("refs/heads/next", repository) != _tree_of(f"refs/tags/{tag}", repository):
            git("update-ref", f"refs/tags/{tag}", "refs/heads/next", cwd=repository)
        git("update-ref", "refs/heads/main", f"refs/tags/{tag}", cwd=repository)
        git("symbolic-ref", "HEAD", "refs/heads/main", cwd=repository)
        git("bundle", "create", "--quiet", str(target.resolve()), "HEAD", "main", "--tags", cwd=repository)


def git(*arguments: str, cwd: Path | None = None, stdin: bytes | None = None) -> str:
    """Run git apart from every configuration and repository around it; returns what it printed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
    done = subprocess.run(["git", *arguments], cwd=cwd, env=environment, input=stdin, capture_output=True, check=True)
    return done.stdout.decode()


def has_git() -> bool:
    """Whether there is a git on this machine."""
    return shutil.which("git") is not None


def _files(checkout: Path) -> Iterator[tuple[str, bytes]]:
    """Every file of the template with its path, in order; what a system or an interpreter left there is none."""
    if not (checkout / ROOTS[0]).is_file():
        raise NoTemplateError(f"this installation of esb carries no template (looked in {checkout})")
    for root in ROOTS:
        top = checkout / root
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if path.is_file() and path.suffix != ".pyc" and path.name != ".DS_Store":
                yield path.relative_to(checkout).as_posix(), path.read_bytes()


def _packed(archive: Path) -> Iterator[tuple[str, bytes]]:
    """The same from the archive of a wheel. Its members are files only; their paths were made by `_files`."""
    with tarfile.open(archive) as members:
        for member in members:
            if content := members.extractfile(member):
                yield member.name, content.read()


def _commit(checkout: Path, tag: str, has_parent: bool) -> bytes:
    """The stream for `git fast-import`: one commit on `refs/heads/next` with exactly the template's files."""
    lines = [b"commit refs/heads/next\n", f"committer {_BIRTH}\n".encode(), _data(f"template {tag}\n".encode())]
    lines += [b"from refs/heads/main^0\n"] if has_parent else []
    lines += [b"deleteall\n"]
    for path, content in _files(checkout):
        lines += [f"M 100644 inline {path}\n".encode(), _data(content)]
    return b"".join([*lines, b"done\n"])


def _data(content: bytes) -> bytes:
    return b"data %d\n%b\n" % (len(content), content)


def _tree_of(ref: str, repository: Path) -> str | None:
    """The tree that a ref points to, or None without such a ref."""
    try:
        return git("rev-parse", "--verify", "--quiet", f"{ref}^{{tree}}", cwd=repository)
    except subprocess.CalledProcessError:
        return None


if __name__ == "__main__":
    from importlib.metadata import version as installed_version

    try:
        release(CHECKOUT, installed_version("esb-cli"))
    except AlreadyReleasedError as refused:
        raise SystemExit(f"error: {refused}") from None
