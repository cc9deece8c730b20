"""What an embedded server leaves in its folder: locks, state, variables. All private, all out of git."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from .._endpoint import ENDPOINT_VARIABLE, PASSWORD_VARIABLE
from .._errors import ServerNotStarted


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerState:
    """What `server.json` says about the running server. It never holds a password.

    `endpoint` is what `Endpoint.parse` reads, `locked` says that a password is needed, `data` is the folder of its
    files, `server` is what it is (`Valkey 9.1.2`).
    """

    endpoint: str
    pid: int
    locked: bool
    server: str
    binary: str
    data: str


class ServerFolder:
    """The files of an embedded server in one folder (a workspace's `.esb`)."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.redis = self.root / "redis"
        self.state = self.root / "server.json"
        self.variables = self.root / "dev.env"
        self.log = self.redis / "server.log"
        self.pid = self.redis / "server.pid"
        self.port = self.redis / "port"
        self.socket = self.redis / "server.sock"
        self._starting = self.redis / "starting.lock"
        self._alive = self.redis / "alive.lock"

    def make(self) -> None:
        """Make the folder: for this user only, and ignored by git whatever the `.gitignore` around it says."""
        self.root.mkdir(parents=True, exist_ok=True)
        self.redis.mkdir(mode=0o700, exist_ok=True)
        ignored = self.root / ".gitignore"
        if not ignored.exists():
            ignored.write_text("*\n", encoding="utf-8")

    @contextmanager
    def starting(self) -> Generator[None]:
        """Only one process at a time starts or stops the server of this folder; others wait here."""
        handle = _lock(self._starting)
        try:
            yield
        finally:
            os.close(handle)

    def claim(self) -> int:
        """The lock that the server inherits and holds while it lives, as a file descriptor.

        The kernel drops it with the process, however that ends: no stale file can make a dead server look alive,
        and no other process that got its number can be taken for it. Call it while `starting`, with no server alive.
        """
        return _lock(self._alive)

    def alive(self) -> bool:
        """Whether the server of this folder lives."""
        if not self._alive.exists():
            return False
        try:
            os.close(_lock(self._alive, probe=True))
        except BlockingIOError:
            return True
        return False

    def read(self) -> ServerState | None:
        """The state of the running server; None without one (the leftover of a killed one counts as none)."""
        if not self.alive():
            return None
        try:
            return ServerState(**json.loads(self.state.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, state: ServerState) -> None:
        """Write down the running server: `server.json` for programs, `dev.env` for shells and editors."""
        write_private(self.state, json.dumps(asdict(state), indent=2) + "\n")
        note = f"# it asks for a password: {PASSWORD_VARIABLE} is yours to set\n" if state.locked else ""
        write_private(self.variables, f"{note}{ENDPOINT_VARIABLE}={state.endpoint}\n")
        if state.endpoint.startswith("redis://"):
            write_private(self.port, state.endpoint.rpartition(":")[2])

    def forget(self) -> None:
        """Remove what speaks of a running server; its data stays."""
        for path in (self.state, self.variables, self.pid):
            path.unlink(missing_ok=True)

    def last_port(self) -> int | None:
        """The port of the server that ran here before."""
        try:
            return int(self.port.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def last_pid(self) -> int | None:
        """The process that the server itself wrote down."""
        try:
            return int(self.pid.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner reads, complete or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)


def _lock(path: Path, *, probe: bool = False) -> int:
    """Lock a file, waiting for it; closing the descriptor unlocks it.

    A `probe` does not wait (`BlockingIOError`) and does not disturb other probes.
    """
    if sys.platform == "win32":
        raise ServerNotStarted("the embedded server runs on Linux and macOS; on Windows use WSL or a container")
    import fcntl

    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB if probe else fcntl.LOCK_EX)
    except BaseException:  # Ctrl-C while waiting too: a descriptor that stays open would keep the lock once it got it
        os.close(handle)
        raise
    return handle
