"""`esb run`: consumers under a supervisor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from esb_cli.connection import choose
from esb_cli.failures import Exit
from esb_cli.workspace import Workspace


def command(
    target: Annotated[
        str,
        typer.Argument(metavar="MODULE:FUNCTION", help="A wire(backbone) function, or MODULE:CONSUMER with --group."),
    ],
    *,
    workers: Annotated[int, typer.Option("--workers", "-w", min=1, help="How many processes to run.")] = 1,
    group: Annotated[
        str | None, typer.Option("--group", "-g", help="Consumer group of a MODULE:CONSUMER.", show_default=False)
    ] = None,
    reload: Annotated[bool, typer.Option("--reload", help="Start again when source files change.")] = False,
    health: Annotated[
        int | None,
        typer.Option(
            "--health",
            metavar="PORT",
            min=1,
            max=65535,
            help="Answer HTTP: /live, and /ready while it consumes (else 503).",
            show_default=False,
        ),
    ] = None,
    drain: Annotated[
        float, typer.Option("--drain", min=0, help="Seconds that a stopping worker may take to finish.")
    ] = 35,
    endpoint: Annotated[
        str | None, typer.Option("--endpoint", help="Where Redis is; else the usual order.", show_default=False)
    ] = None,
    pass_file: Annotated[
        Path | None, typer.Option("--pass-file", help="File with the password; - is stdin.", show_default=False)
    ] = None,
) -> None:
    """Run consumers in worker processes, under a supervisor.

    Workers are restarted when they crash, and stop in order. SIGTERM and Ctrl-C let every worker finish what it has
    in hand; a second Ctrl-C does not wait. With --health the first worker answers on that port, the second on the next
    one, and so on.

    \b
    Examples:
      esb run mycompany.events.consumer.reporter:wire
      esb run mycompany.events.consumer.reporter:wire --workers 4
      esb run mycompany.events.consumer.reporter:wire --health 8080
      esb run mycompany.events.consumer.reporter:Reporter --group audit
    """
    import asyncio
    import signal
    from datetime import timedelta

    from esb_cli.programs import Program, Surroundings
    from esb_cli.sources import Sources
    from esb_cli.supervisor import Supervisor

    workspace = Workspace.find()
    surroundings = Surroundings.of(workspace, choose(endpoint, pass_file).environment())
    name = target.rpartition(".")[2].partition(":")[0]
    names = [name] if workers == 1 else [f"{name}-{number}" for number in range(1, workers + 1)]
    connect = workspace.connect if workspace else None
    programs = [
        Program(name=each, target=target, group=group, connect=connect, health=health and health + at)
        for at, each in enumerate(names)
    ]

    async def supervise() -> tuple[bool, bool]:
        sources = Sources(workspace.watched if workspace else [Path.cwd()]) if reload else None
        supervisor = Supervisor(programs, surroundings, sources=sources, drain=timedelta(seconds=drain))
        return await supervisor.run(), supervisor.stopped_by is signal.SIGINT

    done, interrupted = asyncio.run(supervise())
    if interrupted:
        raise typer.Exit(Exit.INTERRUPTED)
    if not done:
        raise typer.Exit(Exit.FAILED)
