"""The options that many commands share, worded once."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from . import expressions
from .completion import events, groups, streams
from .connection import Connection, choose
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
RateOption = Annotated[
    float | None,
    typer.Option("--rate", min=0.001, metavar="N", help="At most so many events a second.", show_default=False),
]
ShowPersonalOption = Annotated[bool, typer.Option("--show-personal", help="Show personal arguments unmasked.")]
IdleOption = Annotated[
    str | None,
    typer.Option("--idle", metavar="DURATION", help="Only what was idle for so long: 10m, 1h.", show_default=False),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Which Redis."""

    endpoint: EndpointOption = None
    pass_file: PassFileOption = None

    def choose(self) -> Connection:
        """The server that is meant; see `esb_cli.connection`."""
        return choose(self.endpoint, self.pass_file)


@dataclass(frozen=True, slots=True, kw_only=True)
class Printed:
    """How to print."""

    output: OutputOption = Output.AUTO
    template: TemplateOption = None

    def form(self, known: Sequence[str] = ()) -> expressions.Form:
        """The form that is meant; see `esb_cli.expressions.form`."""
        return expressions.form(self.output, self.template, known)


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command take options that belong together as one argument: a dataclass, whose fields are the options."""
    hints = get_type_hints(command, include_extras=True)
    parameters: list[inspect.Parameter] = []
    together: dict[str, tuple[type, list[str]]] = {}
    for name, parameter in inspect.signature(command).parameters.items():
        kind = hints[name]
        if not (isinstance(kind, type) and is_dataclass(kind)):
            parameters.append(parameter.replace(annotation=kind))
            continue
        types = get_type_hints(kind, include_extras=True)
        members = [
            inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=f.default, annotation=types[f.name])
            for f in fields(kind)
        ]
        together[name] = (kind, [member.name for member in members])
        parameters += members

    @wraps(command)
    def call(**given: Any) -> None:
        for name, (kind, members) in together.items():
            given[name] = kind(**{member: given.pop(member) for member in members})
        command(**given)

    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return call
