"""`esb new`: create a workspace."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from esb_cli.failures import Exit, Failure
from esb_cli.terminal import branches, clean, note, put

if TYPE_CHECKING:
    from esb_cli.questions import Answer
    from esb_cli.scaffold import Created


def command(
    dest: Annotated[
        Path | None,
        typer.Argument(help="Folder to create; named like the namespace when left out.", show_default=False),
    ] = None,
    *,
    uri: Annotated[str | None, typer.Option("--uri", help="Name of the stream.", show_default=False)] = None,
    consumer_group: Annotated[
        str | None, typer.Option("--consumer-group", "-g", help="Consumer group of the reporter.", show_default=False)
    ] = None,
    namespace: Annotated[
        str | None, typer.Option("--namespace", "-n", help="Import path of the packages.", show_default=False)
    ] = None,
    event: Annotated[
        list[str] | None,
        typer.Option(
            "--event", "-e", help="Event contract, in PascalCase; several with several -e.", show_default=False
        ),
    ] = None,
    no_producer: Annotated[bool, typer.Option("--no-producer", help="No producer package.")] = False,
    no_consumer: Annotated[bool, typer.Option("--no-consumer", help="No consumer package.")] = False,
    api: Annotated[
        bool, typer.Option("--api", help="An HTTP service: POST per event, GET by key, OpenAPI, health.")
    ] = False,
    store: Annotated[
        Literal["redis", "inline"] | None,
        typer.Option(
            "--store", help="Where arguments are kept: in a hash beside the entry, or inside it.", show_default="redis"
        ),
    ] = None,
    telemetry: Annotated[
        bool | None,
        typer.Option(
            "--telemetry/--no-telemetry",
            help="Traces and metrics over OTLP, with a dashboard.",
            show_default="no-telemetry",
        ),
    ] = None,
    ci: Annotated[
        Literal["github", "gitlab", "none"] | None,
        typer.Option("--ci", help="Continuous integration.", show_default="github"),
    ] = None,
    python: Annotated[
        Literal["3.11", "3.12", "3.13", "3.14"] | None,
        typer.Option("--python", help="Oldest Python to support.", show_default="3.11"),
    ] = None,
    license_: Annotated[
        Literal["none", "Apache-2.0", "BSD-3-Clause", "MIT"] | None,
        typer.Option("--license", help="Licence of the code.", show_default="none"),
    ] = None,
    author: Annotated[
        str | None, typer.Option("--author", help="Who holds the copyright, for the licence.", show_default=False)
    ] = None,
    defaults: Annotated[
        bool, typer.Option("--defaults", help="Never ask: take the default of what is missing.")
    ] = False,
    data_file: Annotated[
        Path | None,
        typer.Option(
            "--data-file", metavar="FILE", help="Answers in a .yaml, .toml or .json file.", show_default=False
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the files; write nothing.")] = False,
    remember: Annotated[
        bool, typer.Option("--remember", help="Keep the answers as your defaults (git config esb.*).")
    ] = False,
    no_git: Annotated[bool, typer.Option("--no-git", help="No git repository, no first commit.")] = False,
    runtime_requirement: Annotated[str | None, typer.Option("--runtime-requirement", hidden=True)] = None,
) -> None:
    """Create a workspace: contracts, programs, tests.

    It runs as it is. On a terminal, `esb new` asks for what is missing, and
    shows everything before it writes. Your own defaults: `git config --global
    esb.namespace mycompany.events`, likewise esb.ci, esb.license and so on.

    \b
    Examples:
      esb new
      esb new --uri event-demo --consumer-group main-consumer -n mycompany.events -e MyEvent
      esb new --data-file answers.toml --dry-run
      esb new shop -n mycompany.shop -e Order -e Refund --defaults
      esb new --api --telemetry --no-producer --store inline --ci gitlab --python 3.13 --license MIT
    """
    from esb_cli import scaffold, template_history
    from esb_cli.answers import from_file, key_of, remembered
    from esb_cli.interrupts import taken_back
    from esb_cli.questions import check, load

    given: dict[str, Answer | None] = {
        "uri": uri,
        "consumer_group": consumer_group,
        "namespace": namespace,
        "events": ", ".join(event) if event else None,
        "producer": False if no_producer else None,
        "consumer": False if no_consumer else None,
        "api": True if api else None,
        "store": store,
        "telemetry": telemetry,
        "ci": ci,
        "python": python,
        "license": license_,
        "author": author,
        "runtime_requirement": runtime_requirement,
    }
    typed = {name: value for name, value in given.items() if value is not None}
    with taken_back(), template_history.tree() as tree:
        questions = load(tree)
        filed = from_file(data_file, questions) if data_file else {}
        own = remembered(questions)
        certain = _lowered({**filed, **typed})
        sources = {name: f"git config {key_of(name)}" for name in own}
        sources |= {name: f"{data_file}: {name}" for name in filed} | {name: scaffold.OPTIONS[name] for name in typed}
        check(questions, {**own, **certain}, sources)
        if dest is not None:
            scaffold.require_free(dest)
        if not defaults and sys.stdin.isatty() and sys.stdout.isatty():
            from esb_cli.wizard import Wizard

            answers, dest = Wizard(questions, own, scaffold.require_free).converse(certain, dest)
        else:
            missing = [scaffold.OPTIONS[name] for name in scaffold.OPTIONS if name in scaffold.ESSENTIAL - {*certain}]
            if missing and not defaults:
                raise Failure(f"missing {', '.join(missing)}; `--defaults` takes the defaults", Exit.USAGE)
            answers = {**own, **certain}
        if dry_run:
            _preview(tree, dest, answers)
            return
        created = scaffold.create(tree, dest, answers, git=not no_git)
    put(str(created.folder))
    _tell(created)
    if remember:
        _remember(answers)


def _lowered(answers: dict[str, Answer]) -> dict[str, Answer]:
    """Package names are lower-case; what was typed otherwise is said."""
    namespace = str(answers.get("namespace", ""))
    if namespace == namespace.lower():
        return answers
    note(f"package names are lower-case: {namespace.lower()} instead of {namespace}")
    return {**answers, "namespace": namespace.lower()}


def _preview(tree: Path, dest: Path | None, answers: dict[str, Answer]) -> None:
    """What would be there: every file below the folder."""
    from esb_cli import scaffold

    with scaffold.rendered(tree, answers) as workspace:
        put(clean(str(dest or scaffold.answer(workspace, "namespace"))) + "/")
        for line in branches(workspace):
            put(line)
    note("a dry run: nothing was written")


def _remember(answers: dict[str, Answer]) -> None:
    """Keep the answers that do not belong to this workspace alone."""
    from esb_cli.answers import key_of, remember

    kept = {name: value for name, value in answers.items() if name not in {"uri", "events", "runtime_requirement"}}
    remember(kept)
    note(f"remembered in your git configuration: {', '.join(map(key_of, kept))}")


def _tell(created: Created) -> None:
    """What there is now, and what comes next."""
    if created.without_repository:
        note(f"no first commit was made: {created.without_repository}. `esb update` needs one.")
    programs = any((created.folder / name).is_dir() for name in ("producer", "consumer", "api"))
    if programs:
        note("next, in this folder: `make run` (or `esb dev`) starts it, `make test` tests it")
    else:
        note("next, in this folder: `make test` tests the contracts; `esb add consumer NAME` adds a program")
