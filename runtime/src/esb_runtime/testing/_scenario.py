"""A test in three sentences: what was, what happens, what follows."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import timedelta
from typing import Any

from .._backbone import Backbone
from .._contract import EventContract, stream_key
from .._envelope import Stored
from .._events import Emission, EventDefinition
from .._read import delivery_of
from ..memory import Faults
from ._memory import WITHIN, MemoryBackbone, memory_backbone

Wire = Callable[[Backbone], None]
"""What `esb run` calls: it subscribes."""
Act = Callable[[Backbone], Coroutine[Any, Any, object]]
"""Something that produces, or makes others produce."""


def given(
    *history: Emission[...], wire: Wire | None = None, faults: Faults | None = None, within: timedelta = WITHIN
) -> Given:
    """A history to test against, in memory: these events were produced and handled.

        await (
            given(ShipmentTracking.order_placed(ann, chess, now), wire=wire)
            .when(ShipmentTracking.packing("ann@example.com", 42, now))
            .then(ShipmentTracking.on_delivery("ann@example.com", 42, now))
        )

    `wire` subscribes what is tested, as in production; `faults` happen to all of it. Whatever has not come to an end
    `within` this time raises `TimeoutError`: give what is tested a `Retry` with a short `first_delay`.
    """
    return Given(history, wire, faults, within)


class Given:
    """What was; made by `given`."""

    def __init__(
        self, history: Sequence[Emission[...]], wire: Wire | None, faults: Faults | None, within: timedelta
    ) -> None:
        """Use `given`."""
        self._history = history
        self._wire = wire
        self._faults = faults
        self._within = within

    def when(self, *steps: Emission[...] | Act) -> When:
        """What happens, in this order: events that are produced, and coroutine functions that get the backbone."""
        return When(self, steps)

    async def outcome(
        self, steps: Sequence[Emission[...] | Act], contracts: Sequence[type[EventContract[Any]]]
    ) -> Seen:
        """Play it; returns what followed."""
        async with memory_backbone(faults=self._faults) as backbone:
            if self._wire is not None:
                self._wire(backbone)
            for emission in self._history:
                await backbone.batch([emission])
                await backbone.settled(self._within)
            before, produced = _counts(backbone), list[Emission[...]]()
            for step in steps:
                if isinstance(step, Emission):
                    await backbone.batch([step])
                    produced.append(step)
                else:
                    await step(backbone)
                await backbone.settled(self._within)
            told = [each.definition.contract for each in (*self._history, *produced)]
            return Seen(backbone, before, produced, [*contracts, *told])


class When:
    """What happens; made by `Given.when`."""

    def __init__(self, given: Given, steps: Sequence[Emission[...] | Act]) -> None:
        """Use `Given.when`."""
        self._given = given
        self._steps = steps

    async def then(self, *expected: Emission[...]) -> None:
        """Play it all, and see that exactly these events followed, those of each stream in this order.

        The events of `when` do not count, nor does what the history caused. With nothing given, nothing may follow.
        Raises `AssertionError`, which shows both sides, and names what went to the dead letters.
        """
        seen = await self._given.outcome(self._steps, [each.definition.contract for each in expected])
        problems = [*seen.differences(expected), *seen.given_up]
        if problems:
            raise AssertionError("\n".join(["what followed is not what was expected", *problems]))


class Seen:
    """What followed, by stream."""

    def __init__(
        self,
        backbone: MemoryBackbone,
        before: dict[str, int],
        produced: list[Emission[...]],
        contracts: Sequence[type[EventContract[Any]]],
    ) -> None:
        self._known = {
            (_stream(backbone, contract), *id_): definition
            for contract in contracts
            for id_, definition in contract.events().items()
        }
        self._environment = backbone.environment
        self._streams = {each: _stream(backbone, each) for each in contracts}
        self._followed = {
            stream: [self._emission(one) for one in backbone.server.events(stream)[before.get(stream, 0) :]]
            for stream in backbone.server.streams()
        }
        for emission in produced:
            self._followed[self._streams[emission.definition.contract]].remove(emission)
        self.given_up = [
            f"group {group} gave up {letter.stored.event}: {letter.letter.reason}"
            for stream in backbone.server.streams()
            for group in backbone.server.groups(stream)
            for letter in backbone.server.dead_letters(stream, group)
        ]

    def differences(self, expected: Sequence[Emission[...]]) -> list[str]:
        """In words, each stream that holds something else than expected."""
        wanted: dict[str, list[object]] = {}
        for emission in expected:
            wanted.setdefault(self._streams[emission.definition.contract], []).append(emission)
        sides = {stream: (wanted.get(stream, []), self._followed.get(stream, [])) for stream in self._all(wanted)}
        return [
            f"  {stream}:\n    expected: {_shown(expects)}\n    followed: {_shown(followed)}"
            for stream, (expects, followed) in sides.items()
            if expects != followed
        ]

    def _all(self, wanted: Mapping[str, object]) -> list[str]:
        return sorted({*wanted, *self._followed})

    def _emission(self, stored: Stored) -> object:
        """The event as it was before it was sent; as text where no contract of the scenario knows it."""
        definition: EventDefinition | None = self._known.get((stored.key.stream, stored.event, stored.version))
        if definition is None:
            return f"{stored.event} version {stored.version}"
        delivery = delivery_of(stored, uri=stored.key.stream, environment=self._environment, definition=definition)
        found: Emission[...] = Emission(definition=definition, arguments=dict(delivery.arguments))
        return found


def _stream(backbone: MemoryBackbone, contract: type[EventContract[Any]]) -> str:
    return stream_key(contract.uri(), backbone.environment)


def _counts(backbone: MemoryBackbone) -> dict[str, int]:
    return {stream: len(backbone.server.events(stream)) for stream in backbone.server.streams()}


def _shown(events: Sequence[object]) -> str:
    """A test's own values, in full: this goes to the developer who wrote them."""
    words = [
        f"{each.definition.label}({', '.join(f'{name}={value!r}' for name, value in each.arguments.items())})"
        if isinstance(each, Emission)
        else str(each)
        for each in events
    ]
    return ", ".join(words) or "nothing"
