"""Which source files concern which program, when files changed, how long to wait before another start."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from esb_cli.programs import Program
from esb_cli.sources import Signature, Sources
from esb_cli.supervisor import Backoff


@pytest.mark.parametrize(
    ("target", "file", "owned"),
    [
        ("shop.producer.orders:main", "/w/producer/src/shop/producer/orders.py", True),
        ("shop.producer.orders:main", "/w/producer/src/shop/producer/prices.py", True),
        ("shop.producer.orders:main", "/w/producer/src/shop/producer/data/prices.py", True),
        ("shop.producer.orders:main", "/w/consumer/src/shop/consumer/orders.py", False),
        ("shop.producer.orders:main", "/w/contracts/src/shop/contracts/events.py", False),
        ("orders:main", "/w/src/orders.py", True),
        ("orders:main", "/w/src/other.py", False),
    ],
)
def test_a_program_owns_its_package(target: str, file: str, owned: bool) -> None:
    """A finished program runs again only for its own module and what lies beside or below it."""
    assert Program(name="p", target=target).owns(Path(file)) is owned


def test_waits_grow_to_a_limit() -> None:
    """A program that keeps failing is started less and less often, but always again."""
    backoff = Backoff(first=timedelta(seconds=1), longest=timedelta(seconds=30))
    assert [backoff.delay(failures) for failures in (1, 2, 3, 6, 5000)] == [1, 2, 4, 30, 30]


class LookedAt(Sources):
    """Says when the folders were looked at."""

    def __init__(self, folders: Sequence[Path]) -> None:
        super().__init__(folders)
        self.looked = threading.Event()

    def signature(self) -> Signature:
        try:
            return super().signature()
        finally:
            self.looked.set()


async def test_changes_come_as_one_burst(tmp_path: Path) -> None:
    """Files that are changed, added and removed together are one change."""
    (tmp_path / "changed.py").write_text("a = 1\n")
    (tmp_path / "removed.py").write_text("b = 1\n")
    sources = LookedAt([tmp_path])
    change = asyncio.ensure_future(anext(sources.changes()))
    assert await asyncio.to_thread(sources.looked.wait, 20)
    (tmp_path / "changed.py").write_text("a = 22\n")
    (tmp_path / "removed.py").unlink()
    (tmp_path / "added.py").write_text("c = 1\n")
    assert {path.name for path in await change} == {"changed.py", "removed.py", "added.py"}


def test_a_missing_folder_has_no_files(tmp_path: Path) -> None:
    """A source folder that does not exist (yet) is empty, not an error."""
    assert Sources([tmp_path / "nowhere"]).signature() == {}


def test_what_a_look_sees(tmp_path: Path) -> None:
    """Python files count, at any depth; caches, hidden folders and other files do not."""
    for name in ("a.py", "pkg/sub/b.py", "pkg/c.txt", ".venv/d.py", "__pycache__/e.py", "build/f.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    seen = Sources([tmp_path]).signature()
    assert {path.relative_to(tmp_path).as_posix() for path in seen} == {"a.py", "pkg/sub/b.py"}
