"""Which Redis a command talks to, and how it logs in.

The first that is set wins: `--endpoint`, `--profile` (or `ESB_PROFILE`), `REDIS_EVENT_SOURCE_ENDPOINT`, the profile of
`esb profile use`, the embedded server that runs for the workspace (`.esb/server.json`), `endpoint` in `[tool.esb]` of
the workspace. The password comes from `--pass-file`, `REDIS_EVENT_SOURCE_PASS`, the keyring when the profile says so,
or a prompt on a terminal when the server asks for one; never from an argument, which every user of the machine can see.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import profiles
from .failures import Exit, Failure
from .profiles import Profile
from .workspace import Workspace

if TYPE_CHECKING:
    import asyncio

    from esb_runtime.operations import Operations

ENDPOINT_VARIABLE = "REDIS_EVENT_SOURCE_ENDPOINT"
PASSWORD_VARIABLE = "REDIS_EVENT_SOURCE_PASS"  # noqa: S105 - the name of the variable, not a password


@dataclass(slots=True, kw_only=True, repr=False)
class Connection:
    """A server to talk to: the endpoint as it was written, who said so, and the password (perhaps typed later)."""

    endpoint: str
    source: str
    password: str | None = None
    password_source: str = ""

    def __repr__(self) -> str:
        return f"Connection(source={self.source!r})"

    def environment(self) -> dict[str, str]:
        """The variables that lead a child process to the same server."""
        variables = {ENDPOINT_VARIABLE: self.endpoint}
        return variables | ({PASSWORD_VARIABLE: self.password} if self.password else {})


def choose(endpoint: str | None, pass_file: Path | None) -> Connection:
    """Apply the order of this module. Raises `Failure` (3) when nothing names a server."""
    password, password_source = _password(pass_file)
    for candidate in candidates(endpoint):
        if password is None and candidate.profile is not None and candidate.profile.keyring:
            password = profiles.stored_password(candidate.profile)
            password_source = "the keyring" if password else ""
        return Connection(
            endpoint=candidate.endpoint, source=candidate.source, password=password, password_source=password_source
        )
    raise Failure(
        f"no Redis is known: run `esb dev` in a workspace, set {ENDPOINT_VARIABLE} to its address "
        "(host:port or redis://...), choose one with `esb profile use`, or pass --endpoint",
        Exit.UNREACHABLE,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A place that names a server, in words, and the profile that it is, if any."""

    endpoint: str
    source: str
    profile: Profile | None = None


def candidates(endpoint: str | None) -> Iterator[Candidate]:
    """Every place that names a server, best first; each is asked only when those before it were not enough."""
    if endpoint:
        yield Candidate(endpoint=without_password(endpoint), source="--endpoint")
    if chosen := profiles.named():
        yield Candidate(endpoint=chosen.endpoint, source=f"profile {chosen.name} (--profile)", profile=chosen)
    if named := os.environ.get(ENDPOINT_VARIABLE, "").strip():
        yield Candidate(endpoint=named, source=ENDPOINT_VARIABLE)
    if used := profiles.in_use():
        yield Candidate(endpoint=used.endpoint, source=f"profile {used.name} (in use)", profile=used)
    workspace = Workspace.find()
    if workspace is None:
        return
    if running := embedded(workspace):
        yield Candidate(endpoint=running, source=f"the embedded server of {workspace.root.name}")
    if workspace.endpoint:
        yield Candidate(endpoint=workspace.endpoint, source=f"[tool.esb] of {workspace.root.name}")


def embedded(workspace: Workspace) -> str | None:
    """The endpoint of the embedded server that runs for this workspace; None when none does."""
    if not (workspace.state / "server.json").exists():
        return None
    from esb_runtime.testing import RedisServer

    server = RedisServer.find(workspace.state)
    return server.endpoint.display if server else None


def without_password(endpoint: str) -> str:
    """Refuse a password among the arguments: `ps` shows them to everybody."""
    from esb_runtime.operations import Endpoint

    if "@" not in endpoint and "=" not in endpoint:
        return endpoint
    if Endpoint.parse(endpoint).password:
        raise Failure(
            f"a password in --endpoint can be read by every user of this machine; put it into {PASSWORD_VARIABLE} "
            "or a file for --pass-file",
            Exit.USAGE,
        )
    return endpoint


def _password(pass_file: Path | None) -> tuple[str | None, str]:
    """The password and who said so. An explicit file wins over the environment."""
    if pass_file is not None:
        try:
            text = sys.stdin.readline() if str(pass_file) == "-" else pass_file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as problem:
            reason = problem.strerror if isinstance(problem, OSError) else "it is no text"
            raise Failure(f"--pass-file {pass_file}: {reason}", Exit.USAGE) from None
        return text.rstrip("\r\n") or None, "--pass-file"
    password = os.environ.get(PASSWORD_VARIABLE) or None
    return password, PASSWORD_VARIABLE if password else ""


@asynccontextmanager
async def connected(connection: Connection) -> AsyncGenerator[Operations]:
    """Talk to the server; asks for the password on a terminal when the server wants one and none is set.

    The first command is sent here, so that a server that cannot be reached fails before anything is printed.
    """
    import asyncio

    from esb_runtime import LoginRefused
    from esb_runtime.operations import Operations

    asyncio.get_running_loop().set_exception_handler(_heard)
    try:
        operations = await Operations.connect(endpoint=connection.endpoint, password=connection.password)
    except LoginRefused:
        if connection.password or not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise
        connection.password, connection.password_source = _ask(connection), "the prompt"
        operations = await Operations.connect(endpoint=connection.endpoint, password=connection.password)
    try:
        yield operations
    finally:
        await operations.aclose()


def _heard(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What the loop says of a callback that failed; nothing of a connection that was made as Ctrl-C came.

    Before 3.12, asyncio gives the result of connecting to a future that was cancelled, and complains of it.
    """
    from asyncio import InvalidStateError

    if not isinstance(context.get("exception"), InvalidStateError):
        loop.default_exception_handler(context)


def _ask(connection: Connection) -> str:
    """The password, typed unseen."""
    from getpass import getpass

    return getpass(f"Password of Redis ({connection.source}): ", stream=sys.stderr)
