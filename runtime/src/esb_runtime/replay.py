"""Replays a part of a stream: `python -m esb_runtime.replay MODULE:NAME STREAM` (what `esb replay --into` starts).

`MODULE:NAME` is a projection or a consumer: a class that is made without arguments, or an instance. Every event of the
range goes to it, in stream order, without a group: nothing is acknowledged and nothing is retried. The first failure
ends the replay and says where to go on. A projection that stores its own checkpoint gets only what it does not hold.
With `--ids` only the events go to it whose ids stdin names: whoever starts this has chosen them, by whatever rule.

Redis and its password come from `REDIS_EVENT_SOURCE_ENDPOINT` and `REDIS_EVENT_SOURCE_PASS`. Exit codes: 0 done, 1 a
handler failed, 2 no such target, 3 Redis not reachable or login refused, 5 an event cannot be read or decoded.
"""

from __future__ import annotations

import argparse
import asyncio
import inspect
import signal
import sys
import time
import traceback
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import timedelta
from importlib import import_module
from typing import Any, cast

from ._conditions import Condition
from ._contract import Consume, EventContract
from ._envelope import Stored
from ._errors import ChannelError, ChannelUnavailable, ContractError, DecodeError, EndpointError, EsbError, LoginRefused
from ._fold import Fold, handle
from ._identifiers import entry_order
from ._pace import Pace
from ._projection import Position, Projection
from ._routes import routes_of
from ._running import run_to_end
from ._slices import Slice, pages
from ._traces import reason_of, traceback_of
from ._uncut import uncut

NOTICE = 5.0
"""Seconds between two notes about how far it has come."""


class Unloadable(Exception):
    """The target names no projection and no consumer."""


class Stopped(Exception):
    """An event could not be replayed: the reason, where it was, and whether its data is to blame."""

    def __init__(self, event: Stored, reason: str, *, bad_data: bool, where: str = "") -> None:
        super().__init__(reason)
        self.event = event
        self.reason = reason
        self.bad_data = bad_data
        self.where = where


class Named:
    """Whether an event is among those that are named by id; names and events both come in stream order.

    Holds one name at a time: there may be millions. What is named and not there any more is passed over.
    """

    def __init__(self, ids: Iterable[str]) -> None:
        self._rest = (entry_order(id_.strip()) for id_ in ids)
        self._next = next(self._rest, None)

    def __call__(self, document: Mapping[str, Any]) -> bool:
        """Test a document with its key, as a condition does."""
        here = entry_order(document["key"].rpartition("/")[2])
        while self._next is not None and self._next < here:
            self._next = next(self._rest, None)
        return self._next == here


class _Unsettled:
    """The settlement of replayed events: there is none to write; to refuse one is to fail."""

    cancelled = False

    async def ack(self) -> None:
        """Nothing to acknowledge."""

    async def nack(self, after: timedelta | None) -> None:
        """Fails: nobody will try again."""
        del after
        raise ChannelError("the handler asked for another try; a replay has none")

    async def reject(self, reason: str) -> None:
        """Fails: there is no dead letter."""
        raise ChannelError(f"the handler rejected it: {reason}")

    async def progress(self) -> None:
        """Nobody waits."""

    async def group_epoch(self) -> int | None:
        """None: a replay without a group handles everything again."""
        return None


class Replaying:
    """Gives events to a projection or to a consumer, each once, in order."""

    def __init__(self, target: EventContract[Consume], part: Slice, total: int) -> None:
        (self._route,) = routes_of([target], uri=part.stream, environment="")
        self._fold = Fold(target, {part.stream: self._route}) if isinstance(target, Projection) else None
        self.part = part
        self.name = type(target).__name__
        self._total = total
        self._step = max(target.events_per_transaction, 1) if isinstance(target, Projection) else 1
        self._current: Stored | None = None
        self._noted = self._began = time.monotonic()
        self.done = 0
        self.passed = 0
        """Events that the target does not handle, or that its checkpoint covers."""

    @property
    def goes_on(self) -> bool:
        """Whether the target knows what it holds, so that a second run gives it exactly the rest."""
        return self._fold is not None and self._fold.stored

    async def run(self, source: AsyncIterator[list[Stored]]) -> None:
        """Replay everything. Raises `Stopped` at the first event that fails."""
        if self._fold is not None:
            await self._fold.begin(None if self._fold.stored else Position())
        async for page in source:
            for at in range(0, len(page), self._step):
                await self._some(page[at : at + self._step])
        if self._fold is not None:
            await self._fold.finish()

    async def _some(self, events: Sequence[Stored]) -> None:
        """A few events: as many as the target takes in one transaction."""
        for event in events:
            if event.problem:
                raise Stopped(event, event.problem, bad_data=True)
        chosen = [event for event in events if self._concerns(event)]
        try:
            await uncut(self._given(chosen))
        except (ChannelUnavailable, LoginRefused):
            raise
        except Exception as error:  # noqa: BLE001 - a handler may raise anything; it becomes words
            blamed = (self._fold.failed if self._fold is not None else self._current) or events[0]
            bad = isinstance(error, DecodeError)
            reason = str(error) if bad else reason_of(error, blamed.arguments)
            raise Stopped(blamed, reason, bad_data=bad, where="" if bad else traceback_of(error)) from None
        self.passed += len(events) - len(chosen)
        self._note()

    async def _given(self, events: Sequence[Stored]) -> None:
        """In a task of its own, so that what handlers set in context variables stays with their events."""
        if self._fold is not None:
            await self._fold.apply(events)
            self.done += len(events)
            return
        for event in events:
            self._current = event
            await handle(event, self._route, _Unsettled())
            self.done += 1

    def _concerns(self, event: Stored) -> bool:
        known = (event.event, event.version) in self._route.handlers or bool(self._route.fallbacks)
        return known and not (self._fold is not None and self._fold.position.covers(event.key))

    def _note(self) -> None:
        """Say how far it has come, now and then."""
        present = time.monotonic()
        if present - self._noted >= NOTICE:
            self._noted = present
            seen = self.done + self.passed
            share = f" of {self._total:,} ({100 * seen // self._total} %)" if self._total else ""
            left = (self._total - seen) * (present - self._began) / seen if seen else 0.0
            _say(f"{seen:,}{share} events" + (f", about {left:,.0f} s left" if left > 0 else ""))


def main(arguments: Sequence[str] | None = None) -> int:
    """Replay as the arguments say; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        target = load(options.target)
    except (Unloadable, ContractError) as problem:
        _say(f"esb: {problem}")
        return 2
    except Exception:  # noqa: BLE001 - whatever the user's module raises while it is imported
        traceback.print_exc()
        return 2
    part = Slice(
        stream=options.stream,
        first=options.first,
        last=options.last,
        only=frozenset(options.event or ()),
        where=[Condition(test=Named(sys.stdin), members=frozenset({"key"}))] if options.ids else [],
    )
    try:
        replaying = Replaying(target, part, options.total)
        if options.resume and not replaying.goes_on:
            _say(f"esb: {options.target} stores no checkpoint of its own, so nothing says where an interrupted replay")
            _say("ended; leave out --resume and name the place with --since")
            return 2
        return run_to_end(_replay(replaying, Pace(rate=options.rate, speed=options.speed)))
    except (ChannelUnavailable, LoginRefused, EndpointError) as problem:
        _say(f"esb: {problem}")
        return 3
    except EsbError as problem:
        _say(f"esb: {problem}")
        return 2 if isinstance(problem, ContractError) else 5
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


async def _replay(replaying: Replaying, pace: Pace) -> int:
    from ._backbone import Backbone

    async with Backbone.connect() as backbone:
        channel = backbone._channel  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - as `Operations` does
        try:
            await replaying.run(pace(pages(channel, replaying.part)))
        except Stopped as stop:
            _say(f"esb: stopped at {stop.event.key} ({stop.event.event or 'unreadable'}): {stop.reason}")
            if stop.where:
                _say(stop.where)
            _say(f"{_events(replaying.done)} replayed before it; go on with --since {stop.event.key.id}")
            return 5 if stop.bad_data else 1
        except asyncio.CancelledError:
            _say(f"interrupted: {_events(replaying.done)} replayed into {replaying.name}")
            raise
    passed = f", {replaying.passed:,} do not concern it" if replaying.passed else ""
    _say(f"{_events(replaying.done)} replayed into {replaying.name}{passed}")
    return 0


def load(text: str) -> EventContract[Consume]:
    """The projection or consumer that `MODULE:NAME` names. Raises `Unloadable`, or what the module itself raises."""
    module_name, colon, name = text.partition(":")
    if not module_name or not colon or not name:
        raise Unloadable(f"{text!r}: write MODULE:CLASS, as in shop.views:OrdersPerProduct")
    try:
        found: Any = import_module(module_name)
    except ModuleNotFoundError as problem:
        if problem.name is None or not f"{module_name}.".startswith(f"{problem.name}."):
            raise
        raise Unloadable(f"there is no module {problem.name!r} for {sys.executable}") from None
    for step in name.split("."):
        found = getattr(found, step, None)
    target = found() if inspect.isclass(found) else found
    if not isinstance(target, EventContract):
        raise Unloadable(f"{text} is no projection and no consumer: name a class derived from Contract[Consume]")
    return cast("EventContract[Consume]", target)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m esb_runtime.replay", description="Replay a part of a stream.")
    parser.add_argument("target", metavar="MODULE:NAME", help="a projection or a consumer")
    parser.add_argument("stream", help="the stream's full key")
    parser.add_argument("--first", default="-", metavar="ID", help="begin at this entry id")
    parser.add_argument("--last", default="+", metavar="ID", help="end at this entry id")
    parser.add_argument("--event", action="append", metavar="NAME", help="only these events; repeatable")
    parser.add_argument("--ids", action="store_true", help="only events whose ids stdin names, one a line, in order")
    parser.add_argument("--rate", type=float, default=0.0, metavar="N", help="at most so many events a second")
    parser.add_argument("--speed", type=float, default=0.0, metavar="X", help="so many times as fast as they came")
    parser.add_argument("--resume", action="store_true", help="only a projection that stores its own checkpoint")
    parser.add_argument("--total", type=int, default=0, help="how many events there are, for notes")
    return parser


def _events(number: int) -> str:
    return f"{number:,} event{'' if number == 1 else 's'}"


def _say(message: str) -> None:
    """Words for whoever started this program; names from the stream cannot steer the terminal."""
    shown = "".join(each if each.isprintable() or each == "\n" else ascii(each)[1:-1] for each in message)
    print(shown, file=sys.stderr, flush=True)  # noqa: T201 - a program's own words


if __name__ == "__main__":
    sys.exit(main())
