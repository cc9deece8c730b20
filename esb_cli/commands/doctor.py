"""`esb doctor`: is everything here as it should be, and if not, what to do."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer

from esb_cli import checks, connection, terminal
from esb_cli.checks import Check, State
from esb_cli.expressions import Form, put
from esb_cli.failures import Exit, Failure, exit_code, words
from esb_cli.options import Printed, Server, spread
from esb_cli.terminal import Output, Terminal
from esb_cli.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterable

    from esb_runtime.operations import ServerFacts

MEMBERS = ("check", "state", "found", "remedy")
_NAME = 14
_SIGNS = {
    State.OK: ("✓", "ok", "green"),
    State.WARNING: ("!", "!", "yellow"),
    State.PROBLEM: ("✗", "x", "red"),
    State.UNKNOWN: ("?", "?", "dim"),
}


@spread
def command(
    *,
    printed: Printed,
    server: Server,
) -> None:
    """Check everything; a remedy for each finding.

    Versions, workspace, connection, server settings, permissions. Says which setting named
    the server and why. Exits 1 when there is a problem, 3 when the server cannot be reached.

    \b
    Examples:
      esb doctor
      esb doctor --endpoint rediss://redis.internal:6380
      esb doctor -o json | jq 'select(.state != "ok")'
    """
    from esb_runtime import EsbError

    report = _Report(printed.form(MEMBERS), terminal.stdout())
    found = Workspace.find()
    report.add(checks.versions())
    report.add(checks.workspace(found))
    try:
        chosen = server.choose()
        report.add(checks.endpoint(chosen, server.endpoint))
        facts, held_up = _ask(chosen)
        report.add(checks.server(facts, datetime.now(UTC)))
        report.add(checks.retention(held_up))
    except (Failure, EsbError) as problem:
        report.add([Check(name="connection", found=words(problem), state=State.PROBLEM)])
        report.end()
        raise typer.Exit(int(exit_code(problem))) from None
    report.end()
    if report.problems:
        raise typer.Exit(int(Exit.FAILED))


def _ask(chosen: connection.Connection) -> tuple[ServerFacts, dict[str, str]]:
    """What the server says about itself, and the streams whose retention a dead group holds up."""
    import asyncio

    async def ask() -> tuple[ServerFacts, dict[str, str]]:
        async with connection.connected(chosen) as operations:
            return await operations.server(), await operations.held_up()

    return asyncio.run(ask())


class _Report:
    """Prints each finding as it comes."""

    def __init__(self, how: Form, screen: Terminal) -> None:
        self._how = how
        self._screen = screen
        self.problems = 0
        self.warnings = 0

    def add(self, found: Iterable[Check]) -> None:
        """Print findings and count what is not well."""
        for check in found:
            self.problems += check.state is State.PROBLEM
            self.warnings += check.state is State.WARNING
            if self._how[0] is Output.TABLE:
                self._put(check)
            else:
                found_so = (check.name, str(check.state), check.found, check.remedy)
                put(dict(zip(MEMBERS, found_so, strict=True)), self._how)

    def end(self) -> None:
        """How it went, for a person."""
        if self._how[0] is Output.TABLE:
            sums = [
                terminal.count(n, word) for n, word in ((self.problems, "problem"), (self.warnings, "warning")) if n
            ]
            terminal.put("")
            terminal.put(", ".join(sums) or "all well")

    def _put(self, check: Check) -> None:
        fancy, plain, colour = _SIGNS[check.state]
        screen = self._screen
        sign = screen.style(screen.sign(fancy, plain.ljust(2)), colour)
        name = check.name if screen.narrow else check.name.ljust(_NAME)
        margin = terminal.cells(screen.sign(fancy, plain.ljust(2))) + 1 + (2 if screen.narrow else _NAME + 1)
        lines = list(screen.wrapped(terminal.clean(check.found), margin))
        if screen.narrow:
            terminal.put(f"{sign} {screen.style(name, 'bold')}")
        else:
            terminal.put(f"{sign} {screen.style(name, 'bold')} {lines.pop(0)}")
        for line in lines:
            terminal.put(" " * margin + line)
        if check.remedy:
            arrow = screen.sign("→", "->")
            first, *rest = screen.wrapped(terminal.clean(check.remedy), margin + terminal.cells(arrow) + 1)
            terminal.put(" " * margin + f"{screen.style(arrow, colour)} {first}")
            for line in rest:
                terminal.put(" " * (margin + terminal.cells(arrow) + 1) + line)
