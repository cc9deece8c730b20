"""`esb profile`: named servers, so that nobody types an address at three in the morning."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import typer

from esb_cli import profiles, terminal
from esb_cli.completion import profile_names
from esb_cli.connection import without_password
from esb_cli.expressions import form, put
from esb_cli.failures import Exit, Failure
from esb_cli.options import OutputOption, TemplateOption
from esb_cli.profiles import Profile, Profiles
from esb_cli.tables import Column, facts, put_all, table
from esb_cli.terminal import Output, note

app = typer.Typer(
    no_args_is_help=True,
    help="""Name servers; choose one with --profile or `use`.

    Kept in your configuration folder, readable by you alone, without passwords. The password comes from
    REDIS_EVENT_SOURCE_PASS, --pass-file, a prompt, or, with --keyring, from the system's keyring.

    \b
    Examples:
      esb profile add prod --endpoint rediss://ops@redis.internal:6380 --keyring
      esb profile use prod
      esb profile add dev --endpoint localhost:6379
      esb ls --profile dev
    """,
)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The profile's name.", autocompletion=profile_names)]
MEMBERS = ("profile", "endpoint", "keyring", "used")
COLUMNS = (Column(title="PROFILE", styles=("bold",)), Column(title="ENDPOINT"), Column(title="PASSWORD"))


@app.command()
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The profile's name.")],
    *,
    endpoint: Annotated[
        str, typer.Option("--endpoint", metavar="ADDRESS", help="host:port, redis://user@host, rediss:// or unix://.")
    ],
    keyring: Annotated[
        bool, typer.Option("--keyring", help="Ask for the password now and keep it in the system's keyring.")
    ] = False,
) -> None:
    """Add a profile, or change one."""
    from esb_runtime.operations import Endpoint

    Endpoint.parse(without_password(endpoint))
    profile = Profile(name=profiles.checked_name(name), endpoint=endpoint, keyring=keyring)
    known = Profiles.load()
    if keyring:
        profiles.store_password(name, _typed(name))
    known.with_profile(profile).save()
    note(f"{name} {'changed' if name in known.known else 'added'}; --profile {name} or `esb profile use {name}`")


@app.command("list")
def list_(*, output: OutputOption = Output.AUTO, template: TemplateOption = None) -> None:
    """List the profiles; the one in use has a star."""
    how = form(output, template, MEMBERS)
    known = Profiles.load()
    shown = [known.known[name] for name in sorted(known.known)]
    if how[0] is Output.TABLE:
        rows = [[_starred(each, known), each.endpoint, "keyring" if each.keyring else "-"] for each in shown]
        put_all(table(terminal.stdout(), COLUMNS, rows) if rows else iter(()))
    for each in shown if how[0] is not Output.TABLE else ():
        put(_document(each, known), how)
    if not shown:
        note("no profile yet: `esb profile add NAME --endpoint ADDRESS`")


@app.command()
def use(name: NameArgument) -> None:
    """Use a profile wherever nothing else names a server."""
    known = Profiles.load()
    replace(known, used=known.get(name).name).save()
    note(f"{name} is used now, unless --endpoint, --profile or REDIS_EVENT_SOURCE_ENDPOINT names another server")


@app.command()
def show(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="The one in use without a name.", autocompletion=profile_names),
    ] = None,
    *,
    output: OutputOption = Output.AUTO,
    template: TemplateOption = None,
) -> None:
    """Show a profile."""
    how = form(output, template, MEMBERS)
    known = Profiles.load()
    if name is None and not known.used:
        raise Failure("no profile is in use; `esb profile use NAME` chooses one", Exit.NOT_FOUND)
    shown = _document(known.get(name or known.used), known)
    if how[0] is Output.TABLE:
        put_all(facts(terminal.stdout(), {key: _word(value) for key, value in shown.items()}))
    else:
        put(shown, how)


@app.command()
def remove(name: NameArgument) -> None:
    """Remove a profile, and its password from the keyring."""
    known = Profiles.load()
    if known.get(name).keyring:
        profiles.forget_password(name)
    known.without(name).save()
    note(f"{name} removed")


def _typed(name: str) -> str:
    """A password, typed unseen or piped in."""
    import sys
    from getpass import getpass

    if sys.stdin.isatty():
        typed = getpass(f"Password of {name}: ", stream=sys.stderr)
    else:
        typed = sys.stdin.readline().rstrip("\r\n")
    if not typed:
        raise Failure("no password was given: nothing was added", Exit.USAGE)
    return typed


def _document(profile: Profile, known: Profiles) -> dict[str, Any]:
    values = (profile.name, profile.endpoint, profile.keyring, profile.name == known.used)
    return dict(zip(MEMBERS, values, strict=True))


def _starred(profile: Profile, known: Profiles) -> str:
    return f"{profile.name} *" if profile.name == known.used else profile.name


def _word(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
