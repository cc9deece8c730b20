"""A process that trims events whose payloads are files: `python -m backbone.trimming_outside FOLDER DELETES`.

It kills itself when it is about to delete one file more than DELETES, or to report that so many are deleted.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgpack

from esb_runtime import Backbone, Retention
from esb_runtime.operations import Operations

KEPT = 10


class Folder:
    """A file per payload; dies at the moment that it is told."""

    name = "folder"

    def __init__(self, path: Path, deletes: int | None = None) -> None:
        self._path = path
        self._deletes = deletes

    async def save(self, stream: str, payloads: Mapping[str, Mapping[str, bytes]], /) -> None:
        for message_id, arguments in payloads.items():
            (self._path / message_id).write_bytes(msgpack.packb(dict(arguments)))

    async def load(self, stream: str, message_ids: Sequence[str], /) -> list[Mapping[str, bytes] | None]:
        files = [self._path / message_id for message_id in message_ids]
        return [msgpack.unpackb(file.read_bytes()) if file.exists() else None for file in files]

    async def delete(self, stream: str, message_ids: Sequence[str], /) -> None:
        for message_id in message_ids:
            self._live_on()
            (self._path / message_id).unlink(missing_ok=True)
            if self._deletes is not None:
                self._deletes -= 1
        self._live_on()

    def _live_on(self) -> None:
        if self._deletes == 0:
            os.kill(os.getpid(), signal.SIGKILL)


async def main(folder: Path, deletes: int | None) -> None:
    """Trim all but the newest, once."""
    async with Backbone.connect(stores=[Folder(folder, deletes)]) as backbone:
        operations = Operations(backbone)
        async for _ in operations.trim("jobs", await operations.cut("jobs", Retention(maxlen=KEPT))):
            pass


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None))
