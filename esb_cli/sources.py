"""Sees that source files changed, by asking the file system again and again: works on every disk, needs nothing."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import timedelta
from pathlib import Path

POLL = timedelta(milliseconds=400)
_SKIPPED = {"__pycache__", "node_modules", "build", "dist", "site-packages"}

Signature = dict[Path, tuple[int, int]]
"""Each file with its time of change and its size."""


class Sources:
    """The Python files under some folders, hidden folders and caches aside."""

    def __init__(self, folders: Sequence[Path], *, poll: timedelta = POLL) -> None:
        self._folders = folders
        self._poll = poll.total_seconds()

    async def changes(self) -> AsyncIterator[frozenset[Path]]:
        """The files that were changed, added or removed; a burst (a checkout, an editor's save) comes as one."""
        known = await asyncio.to_thread(self.signature)
        while True:
            await asyncio.sleep(self._poll)
            seen = await asyncio.to_thread(self.signature)
            if seen == known:
                continue
            while (settled := await self._later()) != seen:
                seen = settled
            changed = {path for path in known.keys() | seen.keys() if known.get(path) != seen.get(path)}
            known = seen
            if changed:
                yield frozenset(changed)

    async def _later(self) -> Signature:
        await asyncio.sleep(self._poll / 4)
        return await asyncio.to_thread(self.signature)

    def signature(self) -> Signature:
        """What the files look like now."""
        return dict(entry for folder in self._folders for entry in _files(folder))


def _files(folder: Path) -> Iterator[tuple[Path, tuple[int, int]]]:
    """Every Python file below a folder; what vanishes meanwhile is no file."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if not entry.name.startswith(".") and entry.name not in _SKIPPED:
                        yield from _files(Path(entry.path))
                elif entry.name.endswith(".py"):
                    stat = entry.stat()
                    yield Path(entry.path), (stat.st_mtime_ns, stat.st_size)
    except OSError:
        return
