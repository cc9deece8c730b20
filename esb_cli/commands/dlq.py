"""`esb dlq`: what a group gave up on: look at it, have it handled again, delete it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from esb_cli import connection, consent, letters, positions, terminal
from esb_cli.events import Masks
from esb_cli.expressions import conditions
from esb_cli.failures import Exit, Failure
from esb_cli.options import (
    DryRunOption,
    EnvironmentOption,
    EventOption,
    GroupArgument,
    Printed,
    Server,
    ShowPersonalOption,
    SinceOption,
    StreamArgument,
    UntilOption,
    WhereOption,
    YesOption,
    spread,
)
from esb_cli.progress import Progress
from esb_cli.terminal import Output

if TYPE_CHECKING:
    from esb_runtime.operations import Condition, DeadEvent, Operations

app = typer.Typer(
    no_args_is_help=True,
    help="""Look at dead letters, replay or delete them.

    A dead letter is an event that a group gave up on: it failed too often, or cannot be read. It stays, with its
    payload, until it is replayed or purged. Times are when the group gave up.

    \b
    Examples:
      esb dlq list event-demo main-consumer
      esb dlq show event-demo main-consumer 1685268930300-0
      esb dlq replay event-demo main-consumer --event packing
    """,
)

IdArguments = Annotated[
    list[str] | None, typer.Argument(metavar="ID", help="Letters, or their events.", show_default=False)
]
ReasonOption = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Only with this in the reason.", show_default=False)
]
LimitOption = Annotated[
    int | None,
    typer.Option("--limit", "-n", min=0, help="At most so many; 0 for all [100 in a table].", show_default=False),
]
TABLE_LIMIT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Narrowed:
    """Which letters, besides their ids; where nothing is said, all of them."""

    event: EventOption = None
    reason: ReasonOption = ""
    since: SinceOption = None
    until: UntilOption = None
    where: WhereOption = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Letters of a group, as it was written."""

    uri: str
    group: str
    environment: str
    ids: Sequence[str]
    narrowed: Narrowed
    where: Sequence[Condition]

    @classmethod
    def of(cls, uri: str, group: str, environment: str, ids: Sequence[str] | None, narrowed: Narrowed) -> Choice:
        """Raises `Failure` (usage) for a condition that is none."""
        return cls(
            uri=uri,
            group=group,
            environment=environment,
            ids=ids or (),
            narrowed=narrowed,
            where=conditions(narrowed.where),
        )

    def stream(self) -> str:
        """The key of the stream."""
        from esb_runtime.operations import stream_key

        return stream_key(self.uri, self.environment)

    async def letters(self, operations: Operations, limit: int = 0) -> list[DeadEvent]:
        """The letters, oldest first; with a limit one more than that, so that the caller sees that there are more.

        Raises `Failure` (4) for an id that is no letter's, and where there is no such stream or group.
        """
        from esb_runtime.operations import LetterFilter

        now, given = await operations.now(), self.narrowed
        part = LetterFilter(
            first=positions.first_id(given.since, now=now) if given.since is not None else "-",
            last=positions.last_id(given.until, now=now) if given.until is not None else "+",
            only=frozenset(given.event or ()),
            reason=given.reason,
            ids=frozenset(self.ids),
            where=self.where,
        )
        found: list[DeadEvent] = []
        async for letter in operations.dead_letters(self.stream(), self.group, part):
            found.append(letter)
            if limit and len(found) > limit:
                break
        if not found:
            await self._require_group(operations)
        known = {name for each in found for name in (each.id, each.event.key.id, str(each.event.key))}
        if missing := [id_ for id_ in self.ids if id_ not in known]:
            raise Failure(f"{self.group} has no dead letter {', '.join(missing)}", Exit.NOT_FOUND)
        return found

    async def _require_group(self, operations: Operations) -> None:
        """Nothing was found: say so when stream or group is misspelt."""
        description = await operations.describe(self.stream())
        groups = [group.name for group in description.groups]
        if self.group in groups or [each async for each in operations.dead_letters(self.stream(), self.group)]:
            return
        known = f"it has {', '.join(groups)}" if groups else "it has none"
        raise Failure(f"stream {self.stream()!r} has no group {self.group!r}; {known}", Exit.NOT_FOUND)


@app.command("list")
@spread
def list_(
    uri: StreamArgument,
    group: GroupArgument,
    *,
    narrowed: Narrowed,
    limit: LimitOption = None,
    show_personal: ShowPersonalOption = False,
    printed: Printed,
    environment: EnvironmentOption = "",
    server: Server,
) -> None:
    """List a group's dead letters, oldest first.

    \b
    Examples:
      esb dlq list event-demo main-consumer
      esb dlq list event-demo main-consumer --since -1h --reason timeout
      esb dlq list event-demo main-consumer --where "args.product_id == `7`"
      esb dlq list event-demo main-consumer -o json | jq -r '.event.key + " " + .reason'
    """
    import asyncio

    choice = Choice.of(uri, group, environment, None, narrowed)
    how = printed.form(letters.MEMBERS)
    most = (TABLE_LIMIT if how[0] is Output.TABLE else 0) if limit is None else limit
    found, now = asyncio.run(_list(server.choose(), choice, most))
    shown = found[:most] if most else found
    letters.put_list(shown, how, Masks.of_workspace(show_personal=show_personal), now)
    if not found:
        terminal.note(f"{group} has no dead letters" + (" that match" if narrowed != Narrowed() else ""))
    elif len(found) > len(shown):
        terminal.note(f"there are more than {most:,}: --limit 0 shows all")


async def _list(chosen: connection.Connection, choice: Choice, limit: int) -> tuple[list[DeadEvent], int]:
    async with connection.connected(chosen) as operations:
        return await choice.letters(operations, limit), await operations.now()


@app.command()
@spread
def show(
    uri: StreamArgument,
    group: GroupArgument,
    id_: Annotated[str, typer.Argument(metavar="ID", help="The letter, or its event.")],
    *,
    show_personal: ShowPersonalOption = False,
    printed: Printed,
    environment: EnvironmentOption = "",
    server: Server,
) -> None:
    """Show one dead letter: reason, attempts, traceback, event.

    \b
    Examples:
      esb dlq show event-demo main-consumer 1685268930300-0
      esb dlq show event-demo main-consumer event-demo/1685268930300-0 --show-personal
      esb dlq show event-demo main-consumer 1685268930300-0 -o json | jq -r .traceback
    """
    import asyncio

    choice = Choice.of(uri, group, environment, [id_], Narrowed())
    how = printed.form(letters.MEMBERS)
    found, _ = asyncio.run(_list(server.choose(), choice, 0))
    letters.put_one(found[-1], how, Masks.of_workspace(show_personal=show_personal))


class Work(Protocol):
    """Does something to letters, or says what it would do; counts what became of them."""

    async def __call__(
        self, operations: Operations, choice: Choice, found: list[DeadEvent], *, dry_run: bool
    ) -> dict[str, int]: ...


async def _replay(operations: Operations, choice: Choice, found: list[DeadEvent], *, dry_run: bool) -> dict[str, int]:
    from esb_runtime.operations import Replay

    with Progress("counting" if dry_run else f"replaying to {choice.group}", total=len(found)) as progress:
        ids = [letter.id for letter in found]
        done = await operations.replay_dead_letters(
            choice.stream(), choice.group, ids, dry_run=dry_run, progress=progress.to
        )
    return {outcome.value: done[outcome] for outcome in Replay}


async def _purge(operations: Operations, choice: Choice, found: list[DeadEvent], *, dry_run: bool) -> dict[str, int]:
    ids = [letter.id for letter in found]
    if dry_run:
        return {"purged": len(ids)}
    return {"purged": await operations.purge_dead_letters(choice.stream(), choice.group, ids)}


def _acting(verb: str, work: Work, help_: str) -> None:
    """Make the command that does something to letters, once somebody agreed."""

    async def act(
        chosen: connection.Connection, choice: Choice, *, dry_run: bool, yes: bool
    ) -> tuple[int, dict[str, int]]:
        async with connection.connected(chosen) as operations:
            found = await choice.letters(operations)
            if found and not dry_run:
                letters_of = f"{terminal.count(len(found), 'dead letter')} of {choice.group} of {choice.stream()}"
                consent.required(f"{verb} {letters_of}?".capitalize(), yes=yes)
            return len(found), await work(operations, choice, found, dry_run=dry_run)

    @spread
    def command(
        uri: StreamArgument,
        group: GroupArgument,
        ids: IdArguments = None,
        *,
        narrowed: Narrowed,
        dry_run: DryRunOption = False,
        yes: YesOption = False,
        printed: Printed,
        environment: EnvironmentOption = "",
        server: Server,
    ) -> None:
        import asyncio

        choice = Choice.of(uri, group, environment, ids, narrowed)
        how = printed.form()
        matched, counts = asyncio.run(act(server.choose(), choice, dry_run=dry_run, yes=yes))
        known: dict[str, Any] = {"stream": choice.stream(), "group": group, "action": verb}
        letters.put_outcome({**known, "dry_run": dry_run, "letters": matched, **counts}, how)
        if counts.get("empty"):
            raise Failure(f"{terminal.count(counts['empty'], 'dead letter')}: nothing is left of the event to replay")

    app.command(verb, help=help_)(command)


_acting(
    "replay",
    _replay,
    """Have this group handle dead letters again; no other group.

    Without ids or filters: all of them, once. Each comes with fresh attempts, in its old place; where its entry was
    trimmed, as a copy that only this group sees. What fails again is a dead letter again.

    \b
    Examples:
      esb dlq replay event-demo main-consumer
      esb dlq replay event-demo main-consumer 1685268930300-0 --yes
      esb dlq replay event-demo main-consumer --event packing --since -1d --dry-run
      esb dlq replay event-demo main-consumer --where "args.product_id == `7`"
    """,
)
_acting(
    "purge",
    _purge,
    """Delete dead letters with their payloads, for good.

    Without ids or filters: all of them.

    \b
    Examples:
      esb dlq purge event-demo main-consumer --until -30d --dry-run
      esb dlq purge event-demo main-consumer --reason 'not written by esb' --yes
      esb dlq purge event-demo main-consumer --where '!(args.email)'
    """,
)
