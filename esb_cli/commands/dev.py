"""`esb dev`: the whole workspace in one terminal."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from esb_cli.connection import ENDPOINT_VARIABLE, PASSWORD_VARIABLE
from esb_cli.failures import Exit
from esb_cli.terminal import note
from esb_cli.workspace import Workspace

if TYPE_CHECKING:
    from esb_runtime.testing import RedisServer


def command(
    *,
    no_reload: Annotated[bool, typer.Option("--no-reload", help="Leave programs running when sources change.")] = False,
) -> None:
    """Run the workspace: an embedded Redis and every program.

    The logs of [tool.esb.programs] stand side by side. Programs start again when their sources change. Ctrl-C stops
    all of it; the data stays. With REDIS_EVENT_SOURCE_ENDPOINT set, that Redis is used instead of the embedded one.

    \b
    Examples:
      esb dev
      esb dev --no-reload
      REDIS_EVENT_SOURCE_ENDPOINT=localhost:6379 esb dev
    """
    import asyncio
    import signal

    from esb_cli.contract_lock import refresh
    from esb_cli.programs import Surroundings, programs
    from esb_cli.sources import Sources
    from esb_cli.supervisor import Supervisor
    from esb_runtime.run import hold_lifeline

    hold_lifeline()
    workspace = Workspace.required()
    chosen = programs(workspace)
    with _server(workspace) as server:
        surroundings = Surroundings.of(workspace, server.environment() if server is not None else {})
        refresh(workspace, surroundings)

        async def supervise() -> bool:
            supervisor = Supervisor(
                chosen,
                surroundings,
                sources=None if no_reload else Sources(workspace.watched),
                on_change=lambda _: refresh(workspace, surroundings),
            )
            await supervisor.run()
            return supervisor.stopped_by is signal.SIGINT

        interrupted = asyncio.run(supervise())
    if interrupted:
        raise typer.Exit(Exit.INTERRUPTED)


def _server(workspace: Workspace) -> AbstractContextManager[RedisServer | None]:
    """The embedded server, stopped at the end when it was started here; None when the environment names a Redis."""
    if os.environ.get(ENDPOINT_VARIABLE, "").strip():
        note(f"Redis: the one that {ENDPOINT_VARIABLE} names")
        return nullcontext()
    from esb_runtime.testing import RedisServer

    server = RedisServer.start(workspace.state, password=os.environ.get(PASSWORD_VARIABLE) or None)
    where = Path(os.path.relpath(workspace.state))
    note(f"Redis: {server.description} at {server.endpoint.display}, data in {where}; Ctrl-C stops")
    return server
