"""How a command fails: one exception, one exit code, one sentence, and the one place that says them.

| code | meaning |
|---|---|
| 0 | done |
| 1 | the work failed |
| 2 | usage |
| 3 | Redis not reachable, or it refused the login |
| 4 | not found |
| 5 | bad data (contract or codec) |
| 130 | interrupted |
| 141 | the reader of a pipe went away (`| head`) |
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import NoReturn, cast

import typer

from .terminal import clean


class Exit(IntEnum):
    """Exit codes of every command."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    NOT_FOUND = 4
    BAD_DATA = 5
    INTERRUPTED = 130
    PIPE_CLOSED = 141


class Failure(Exception):
    """Ends a command: the message goes to stderr as it is, the code to the shell."""

    def __init__(self, message: str, code: Exit = Exit.FAILED) -> None:
        super().__init__(message)
        self.code = code


EXITS: dict[str, Exit] = {
    "ContractError": Exit.BAD_DATA,
    "EndpointError": Exit.USAGE,
    "CodecError": Exit.BAD_DATA,
    "UsageError": Exit.USAGE,
    "ChannelUnavailable": Exit.UNREACHABLE,
    "LoginRefused": Exit.UNREACHABLE,
    "WrongKeyType": Exit.BAD_DATA,
    "StreamNotFound": Exit.NOT_FOUND,
    "EventNotFound": Exit.NOT_FOUND,
    "GroupLost": Exit.NOT_FOUND,
    "GroupNotFound": Exit.NOT_FOUND,
    "PayloadMissing": Exit.BAD_DATA,
    "StoreMissing": Exit.BAD_DATA,
    "EsbError": Exit.FAILED,
}
"""Errors of the runtime, by class name: naming them must not import the runtime (`esb --help` stays fast).

The nearest class of an error's ancestry decides.
"""


@contextmanager
def handled(*, debug: bool) -> Generator[None]:
    """Run a command: whatever goes wrong becomes words on stderr and an exit code; `debug` adds the traceback.

    Usage errors and `typer.Exit` pass through: typer words them itself (2).
    """
    try:
        yield
    except (KeyboardInterrupt, typer.Abort, EOFError):
        _leave(Exit.INTERRUPTED)
    except BrokenPipeError:
        _leave(Exit.PIPE_CLOSED)
    except Exception as error:
        if _is_typers(error):
            raise
        if debug:
            traceback.print_exc()
        cause = _first(error)
        say(f"esb: {words(cause)}")
        _leave(exit_code(cause))


def exit_code(error: BaseException) -> Exit:
    """The exit code of an error, by its nearest known class."""
    if isinstance(error, Failure):
        return error.code
    return next((EXITS[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in EXITS), Exit.FAILED)


def words(error: BaseException) -> str:
    """What a person is told about an error.

    Only errors that were written for people speak for themselves. The text of any other could hold an argument's
    value, so it names the kind and the place.
    """
    if isinstance(error, Failure) or any(kind.__name__ == "EsbError" for kind in type(error).__mro__):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    place = ""
    if frames := traceback.extract_tb(error.__traceback__):
        place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}"
    return f"internal error: {type(error).__name__}{place}; `--debug` shows the traceback"


def say(message: str) -> None:
    """Words for a person, on stderr; silent when nobody can read them any more.

    They may repeat names from the server, so they are cleaned like data.
    """
    try:
        print("\n".join(map(clean, message.split("\n"))), file=sys.stderr, flush=True)  # noqa: T201 - the one place that words a failure
    except OSError:
        _silence()


def _leave(code: Exit) -> NoReturn:
    """End the process with what was printed so far delivered, or dropped when nobody can take it."""
    try:
        sys.stdout.flush()
    except OSError:
        _silence()
    raise SystemExit(int(code))


def _silence() -> None:
    """Point broken standard streams away, so that the interpreter's last flush cannot complain."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _is_typers(error: Exception) -> bool:
    """Whether typer words this error itself; its classes have moved between releases, their names have not."""
    return any(kind.__name__ in {"ClickException", "TyperException", "Exit"} for kind in type(error).__mro__)


def _first(error: BaseException) -> BaseException:
    """The first failure of a group: tasks that run together fail together, one sentence is enough."""
    while isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        error = group.exceptions[0]
    return error
