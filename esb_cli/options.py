"""The options that many commands share, worded once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .completion import events, groups, streams
from .terminal import Output

StreamArgument = Annotated[str, typer.Argument(metavar="URI", help="The stream.", autocompletion=streams)]
EndpointOption = Annotated[
    str | None,
    typer.Option(
        "--endpoint", metavar="ADDRESS", help="Redis: host:port, redis://, rediss:// or unix://.", show_default=False
    ),
]
GroupArgument = Annotated[str, typer.Argument(metavar="GROUP", help="The consumer group.", autocompletion=groups)]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only say what would happen.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; needed where there is no terminal.")]
PassFileOption = Annotated[
    Path | None,
    typer.Option("--pass-file", metavar="FILE", help="File that holds the password (- is stdin).", show_default=False),
]
EnvironmentOption = Annotated[
    str, typer.Option("--environment", metavar="ENV", help="Comes before the uri: prod, dev, ...", show_default=False)
]
OutputOption = Annotated[
    Output,
    typer.Option(
        "--output", "-o", help="auto: table on a terminal, JSON lines in a pipe; raw: tabs; template: by --template."
    ),
]
TemplateOption = Annotated[
    str | None,
    typer.Option(
        "--template",
        metavar="TEXT",
        help="A line for each, with JMESPath over what -o json shows: '{{key}} {{args.user.name}}'.",
        show_default=False,
    ),
]
WhereOption = Annotated[
    str | None,
    typer.Option(
        "--where",
        metavar="EXPR",
        help='Only events for which this JMESPath is true: "args.user.id == `7`"; "!(args.x)" is how to negate.',
        show_default=False,
    ),
]
SinceOption = Annotated[
    str | None,
    typer.Option("--since", metavar="TIME", help="Begin here: -1h, 10:30, a date, an entry id.", show_default=False),
]
UntilOption = Annotated[
    str | None, typer.Option("--until", metavar="TIME", help="End here (included).", show_default=False)
]
EventOption = Annotated[
    list[str] | None,
    typer.Option(
        "--event",
        "-e",
        metavar="NAME",
        help="Only these events; repeatable.",
        show_default=False,
        autocompletion=events,
    ),
]
ShowPersonalOption = Annotated[bool, typer.Option("--show-personal", help="Show personal arguments unmasked.")]
IdleOption = Annotated[
    str | None,
    typer.Option("--idle", metavar="DURATION", help="Only what was idle for so long: 10m, 1h.", show_default=False),
]
