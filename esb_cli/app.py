"""The `esb` command: a list of commands, nothing else. Heavy imports stay inside the commands."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from .completion import profile_names
from .failures import handled
from .profiles import VARIABLE

COMMANDS: Mapping[str, str] = {
    "new": "Create a workspace: contracts, programs, tests.",
    "update": "Merge a newer template, keep the team's edits.",
    "add": "Grow a workspace: an event, a contract, a consumer.",
    "dev": "Run the workspace: an embedded Redis and every program.",
    "run": "Run consumers in worker processes, under a supervisor.",
    "demo": "See what esb does: the whole story in one terminal.",
    "redis": "Start, stop and look at a workspace's embedded server.",
    "produce": "Store an event and print its key.",
    "tail": "Show the last events of streams, and follow them with -f.",
    "get": "Show one event and everything known about it.",
    "replay": "Replay history to a stream, a file, a group or a view.",
    "export": "Write events as lines of JSON that lose nothing.",
    "import": "Store events that `esb export` wrote, exactly as they were.",
    "ls": "List the streams: length, memory, age.",
    "show": "Show a stream, its groups and their consumers.",
    "groups": "Show consumer groups and what is wrong with them.",
    "pending": "Show what a group was given and has not settled.",
    "claim": "Take pending events from a consumer and hand them to others.",
    "reset": "Move a group: its next event is the first one at or after --to.",
    "dlq": "Look at dead letters, replay or delete them.",
    "trim": "Remove old events with their payloads.",
    "bench": "Measure throughput and delays of this Redis from here.",
    "profile": "Name servers; choose one with --profile or `use`.",
    "doctor": "Check everything; a remedy for each finding.",
}
"""The commands in the order of `esb --help`, each with the first line of its own help: listing imports none of them.

Each is a module of `esb_cli.commands` that has `command` (a function) or `app` (a group).
"""
MODULES = {"import": "import_"}
"""Modules of commands that are named by a word of Python's."""

EPILOG = """\b
Exit codes: 0 done, 1 the work failed, 2 usage, 3 Redis not reachable or login
refused, 4 not found, 5 bad data (contract or codec), 130 interrupted.
"""


class Commands(Mapping[str, Any]):
    """The commands by name; each is imported and made when it is asked for, because most are not."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)

    @staticmethod
    def _make(name: str) -> Any:
        if name not in COMMANDS:
            raise KeyError(name)
        module = import_module(f"esb_cli.commands.{MODULES.get(name, name)}")
        alone = typer.Typer(rich_markup_mode=None, add_completion=False)
        if hasattr(module, "app"):
            alone.add_typer(module.app, name=name)
        else:
            alone.command(name)(module.command)
        return typer.main.get_group(alone).commands[name]


class Application(TyperGroup):
    """The group of all commands: every failure below it is worded once, here."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands: Any = Commands()

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Read the options; `--debug` and `--profile` are understood anywhere before `--`: people add them last."""
        with handled(debug=False):
            return super().make_context(info_name, _forward(args), parent, **extra)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands without importing them: that would take longer than all the rest."""
        whole, self.commands = (
            self.commands,
            {name: TyperCommand(name=name, help=text) for name, text in COMMANDS.items()},
        )
        super().format_commands(ctx, formatter)
        self.commands = whole

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        with handled(debug=bool(ctx.params.get("debug"))):
            return super().invoke(ctx)


def _forward(args: list[str]) -> list[str]:
    """The options of `esb` itself in front of the command that they were written behind."""
    end = args.index("--") if "--" in args else len(args)
    mine: list[str] = []
    rest: list[str] = []
    words = iter(args[:end])
    for word in words:
        if word == "--profile":
            mine += [word, *[value for value in [next(words, None)] if value is not None]]
        elif word == "--debug" or word.startswith("--profile="):
            mine.append(word)
        else:
            rest.append(word)
    return [*mine, *rest, *args[end:]]


def build() -> typer.Typer:
    """The application."""
    app = typer.Typer(
        name="esb",
        cls=Application,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
        help="Event sourcing on the Redis you already run.",
        epilog=EPILOG,
    )
    app.callback()(_options)
    return app


def _version(on: bool) -> None:
    """Answer `--version`."""
    if on:
        import platform
        from importlib.metadata import version

        system = f"{platform.system()} {platform.machine()}"
        runtime, redis = version("esb-runtime"), version("redis")
        typer.echo(
            f"esb {version('esb-cli')} (runtime {runtime}, redis-py {redis}, "
            f"{platform.python_implementation()} {platform.python_version()}, {system})"
        )
        raise typer.Exit


def _options(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version and its environment, and exit.", callback=_version, is_eager=True
        ),
    ] = False,
    profile: Annotated[
        str | None,
        typer.Option(
            "--profile",
            metavar="NAME",
            help="Talk to the server of this profile (also ESB_PROFILE); `esb profile` makes them.",
            autocompletion=profile_names,
            show_default=False,
        ),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of a failure.")] = False,
) -> None:
    """Event sourcing on the Redis you already run."""
    del version, debug  # answered by its callback, and by `Application.invoke`
    if profile is not None:
        os.environ[VARIABLE] = profile
