"""`esb dlq`: what a group gave up on: look at it, have it handled again, delete it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from esb_cli import connection, consent, letters, positions, terminal
from esb_cli.events import Masks
from esb_cli.expressions import form
from esb_cli.failures import Exit, Failure
from esb_cli.options import (
    DryRunOption,
    EndpointOption,
    EnvironmentOption,
    EventOption,
    GroupArgument,
    OutputOption,
    PassFileOption,
    ShowPersonalOption,
    SinceOption,
    StreamArgument,
    TemplateOption,
    UntilOption,
    YesOption,
)
from esb_cli.progress import Progress
from esb_cli.terminal import Output

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Sequence

    from esb_runtime.operations import DeadEvent, Operations, Replay

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
    list[str] | None, typer.Argument(metavar="[ID]...", help="Letters, or their events.", show_default=False)
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
class Choice:
    """Which letters, as it was written."""

    uri: str
    group: str
    environment: str
    ids: Sequence[str] = ()
    events: Sequence[str] = ()
    reason: str = ""
    since: str | None = None
    until: str | None = None

    def stream(self) -> str:
        """The key of the stream."""
        from esb_runtime.operations import stream_key

        return stream_key(self.uri, self.environment)

    async def letters(self, operations: Operations, limit: int = 0) -> list[DeadEvent]:
        """The letters, oldest first; with a limit one more than that, so that the caller sees that there are more.

        Raises `Failure` (4) for an id that is no letter's, and where there is no such stream or group.
        """
        from esb_runtime.operations import LetterFilter

        now = await operations.now()
        part = LetterFilter(
            first=positions.first_id(self.since, now=now) if self.since is not None else "-",
            last=positions.last_id(self.until, now=now) if self.until is not None else "+",
            only=frozenset(self.events),
            reason=self.reason,
            ids=frozenset(self.ids),
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
def list_(
    uri: StreamArgument,
    group: GroupArgument,
    *,
    event: EventOption = None,
    reason: ReasonOption = "",
    since: SinceOption = None,
    until: UntilOption = None,
    limit: LimitOption = None,
    show_personal: ShowPersonalOption = False,
    output: OutputOption = Output.AUTO,
    template: TemplateOption = None,
    environment: EnvironmentOption = "",
    endpoint: EndpointOption = None,
    pass_file: PassFileOption = None,
) -> None:
    """List a group's dead letters, oldest first.

    \b
    Examples:
      esb dlq list event-demo main-consumer
      esb dlq list event-demo main-consumer --since -1h --reason timeout
      esb dlq list event-demo main-consumer -o json | jq -r '.event.key + " " + .reason'
    """
    import asyncio

    choice = Choice(
        uri=uri, group=group, environment=environment, events=event or (), reason=reason, since=since, until=until
    )
    how = form(output, template, letters.MEMBERS)
    most = (TABLE_LIMIT if how[0] is Output.TABLE else 0) if limit is None else limit
    chosen = connection.choose(endpoint, pass_file)
    found, now = asyncio.run(_list(chosen, choice, most))
    shown = found[:most] if most else found
    letters.put_list(shown, how, Masks.of_workspace(show_personal=show_personal), now)
    if not found:
        terminal.note(f"{group} has no dead letters" + (" that match" if event or reason or since or until else ""))
    elif len(found) > len(shown):
        terminal.note(f"there are more than {most:,}: --limit 0 shows all")


async def _list(chosen: connection.Connection, choice: Choice, limit: int) -> tuple[list[DeadEvent], int]:
    async with connection.connected(chosen) as operations:
        return await choice.letters(operations, limit), await operations.now()


@app.command()
def show(
    uri: StreamArgument,
    group: GroupArgument,
    id_: Annotated[str, typer.Argument(metavar="ID", help="The letter, or its event.")],
    *,
    show_personal: ShowPersonalOption = False,
    output: OutputOption = Output.AUTO,
    template: TemplateOption = None,
    environment: EnvironmentOption = "",
    endpoint: EndpointOption = None,
    pass_file: PassFileOption = None,
) -> None:
    """Show one dead letter: reason, attempts, traceback, event.

    \b
    Examples:
      esb dlq show event-demo main-consumer 1685268930300-0
      esb dlq show event-demo main-consumer event-demo/1685268930300-0 --show-personal
      esb dlq show event-demo main-consumer 1685268930300-0 -o json | jq -r .traceback
    """
    import asyncio

    choice = Choice(uri=uri, group=group, environment=environment, ids=[id_])
    how = form(output, template, letters.MEMBERS)
    found, _ = asyncio.run(_list(connection.choose(endpoint, pass_file), choice, 0))
    letters.put_one(found[-1], how, Masks.of_workspace(show_personal=show_personal))


@app.command()
def replay(
    uri: StreamArgument,
    group: GroupArgument,
    ids: IdArguments = None,
    *,
    event: EventOption = None,
    reason: ReasonOption = "",
    since: SinceOption = None,
    until: UntilOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    output: OutputOption = Output.AUTO,
    template: TemplateOption = None,
    environment: EnvironmentOption = "",
    endpoint: EndpointOption = None,
    pass_file: PassFileOption = None,
) -> None:
    """Have this group handle dead letters again; no other group.

    Without ids or filters: all of them, once. Each comes with fresh attempts, in its old place; where its entry was
    trimmed, as a copy that only this group sees. What fails again is a dead letter again.

    \b
    Examples:
      esb dlq replay event-demo main-consumer
      esb dlq replay event-demo main-consumer 1685268930300-0 --yes
      esb dlq replay event-demo main-consumer --event packing --since -1d --dry-run
    """
    import asyncio

    choice = Choice(
        uri=uri, group=group, environment=environment, ids=ids or (), events=event or (), reason=reason, since=since,
        until=until,
    )  # fmt: skip
    how = form(output, template)
    act = _Act(choice=choice, verb="replay", dry_run=dry_run, yes=yes)
    counts, matched = asyncio.run(_replay(connection.choose(endpoint, pass_file), act))
    letters.put_outcome(act.document(matched, counts), how)
    if counts.get("empty"):
        raise Failure(f"{terminal.count(counts['empty'], 'dead letter')}: nothing is left of the event to replay")


@app.command()
def purge(
    uri: StreamArgument,
    group: GroupArgument,
    ids: IdArguments = None,
    *,
    event: EventOption = None,
    reason: ReasonOption = "",
    since: SinceOption = None,
    until: UntilOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    output: OutputOption = Output.AUTO,
    template: TemplateOption = None,
    environment: EnvironmentOption = "",
    endpoint: EndpointOption = None,
    pass_file: PassFileOption = None,
) -> None:
    """Delete dead letters with their payloads, for good.

    Without ids or filters: all of them.

    \b
    Examples:
      esb dlq purge event-demo main-consumer --until -30d --dry-run
      esb dlq purge event-demo main-consumer --reason 'not written by esb' --yes
    """
    import asyncio

    choice = Choice(
        uri=uri, group=group, environment=environment, ids=ids or (), events=event or (), reason=reason, since=since,
        until=until,
    )  # fmt: skip
    how = form(output, template)
    act = _Act(choice=choice, verb="purge", dry_run=dry_run, yes=yes)
    purged, matched = asyncio.run(_purge(connection.choose(endpoint, pass_file), act))
    letters.put_outcome(act.document(matched, {"purged": purged}), how)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Act:
    """Something that is done to letters, once somebody agreed."""

    choice: Choice
    verb: str
    dry_run: bool
    yes: bool

    async def agreed(self, operations: Operations) -> list[DeadEvent]:
        """The letters that there are now, when it is to go on."""
        found = await self.choice.letters(operations)
        if found and not self.dry_run:
            where = f"{self.choice.group} of {self.choice.stream()}"
            consent.required(
                f"{self.verb} {terminal.count(len(found), 'dead letter')} of {where}?".capitalize(), yes=self.yes
            )
        return found

    def document(self, matched: int, counts: dict[str, int]) -> dict[str, Any]:
        """What was done, as JSON."""
        stream, group = self.choice.stream(), self.choice.group
        known = {"stream": stream, "group": group, "action": self.verb, "dry_run": self.dry_run, "letters": matched}
        return known | counts


async def _replay(chosen: connection.Connection, act: _Act) -> tuple[dict[str, int], int]:
    from esb_runtime.operations import Replay

    async with connection.connected(chosen) as operations:
        found = await act.agreed(operations)
        stream, group = act.choice.stream(), act.choice.group
        if act.dry_run:
            return {Replay.EMPTY.value: sum(letter.empty for letter in found)}, len(found)
        done: Counter[Replay]
        with Progress(f"replaying to {group}", total=len(found)) as progress:
            ids = [letter.id for letter in found]
            done = await operations.replay_dead_letters(stream, group, ids, progress=progress.to)
        return {outcome.value: done[outcome] for outcome in Replay}, len(found)


async def _purge(chosen: connection.Connection, act: _Act) -> tuple[int, int]:
    async with connection.connected(chosen) as operations:
        found = await act.agreed(operations)
        if act.dry_run:
            return 0, len(found)
        ids = [letter.id for letter in found]
        return await operations.purge_dead_letters(act.choice.stream(), act.choice.group, ids), len(found)
