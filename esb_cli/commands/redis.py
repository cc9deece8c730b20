"""`esb redis`: the embedded server alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from esb_cli.connection import PASSWORD_VARIABLE
from esb_cli.expressions import form
from esb_cli.expressions import put as put_document
from esb_cli.failures import Exit, Failure
from esb_cli.options import OutputOption, TemplateOption
from esb_cli.tables import facts, put_all
from esb_cli.terminal import Output, note, put, stdout
from esb_cli.workspace import Workspace

if TYPE_CHECKING:
    from esb_runtime.testing import RedisServer

app = typer.Typer(
    no_args_is_help=True,
    help="""Start, stop and look at a workspace's embedded server.

    Its data stays when it stops.

    \b
    Examples:
      esb redis start
      esb redis status -o json
      esb redis stop --dir /tmp/playground
    """,
)

Folder = Annotated[
    Path | None,
    typer.Option("--dir", help="Folder of the server's state and data; default: .esb of the workspace."),
]


@app.command()
def start(*, folder: Folder = None) -> None:
    """Start the server, or find the one that runs; it goes on after this command.

    It asks for the password in REDIS_EVENT_SOURCE_PASS, when that is set. Prints its endpoint; `.esb/dev.env` holds it
    for shells and editors.
    """
    from esb_runtime.testing import RedisServer

    server = RedisServer.start(_folder(folder), password=_password())
    put(server.endpoint.display)
    note(f"{server.description} {'started' if server.started else 'was running already'}, process {server.pid}")


@app.command()
def stop(*, folder: Folder = None) -> None:
    """Stop the server; what it stored stays in the folder."""
    server = _running(folder)
    server.stop()
    note(f"{server.description} at {server.endpoint.display} stopped, its data is kept")


@app.command()
def status(
    *,
    folder: Folder = None,
    output: OutputOption = Output.AUTO,
    template: TemplateOption = None,
) -> None:
    """Say where the server runs; exit code 4 when it does not."""
    how = form(output, template)
    server = _running(folder)
    known: dict[str, object] = {
        "endpoint": server.endpoint.display,
        "server": server.description,
        "pid": server.pid,
        "password": server.locked,
        "data": str(server.data),
        "log": str(server.log),
    }
    if how[0] is not Output.TABLE:
        put_document(known, how)
        return
    words = known | {"password": "needed" if server.locked else "none"}
    put_all(facts(stdout(), {name: str(value) for name, value in words.items()}))


def _running(folder: Path | None) -> RedisServer:
    """The server that runs for the folder. Raises `Failure` (4) without one."""
    from esb_runtime.testing import RedisServer

    where = _folder(folder)
    server = RedisServer.find(where, password=_password())
    if server is None:
        raise Failure(f"no server runs for {where}; `esb redis start` starts one", Exit.NOT_FOUND)
    return server


def _folder(named: Path | None) -> Path:
    """The folder that was named, else the workspace's own."""
    return named if named is not None else Workspace.required().state


def _password() -> str | None:
    """The password of the server, from the environment alone: arguments are seen by every user."""
    return os.environ.get(PASSWORD_VARIABLE) or None
