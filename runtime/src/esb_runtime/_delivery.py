"""A stored event in the hands of a user: untyped until `of` has proved which event it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast

from ._codecs import codec_of, decode_argument
from ._context import Settlement, first_time
from ._envelope import Metadata
from ._errors import DecodeError, UsageError
from ._events import EventDefinition, EventToken, definition_of
from ._identifiers import EventKey
from ._plain import plain
from ._shapes import text_of

if TYPE_CHECKING:
    from sqlalchemy import Table

    from .sqlalchemy import Transaction

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
T = TypeVar("T")


class Delivery(Generic[P]):
    """A stored event; `P` is `...` until `of(token)` proved which one it is.

    `metadata` is everything known about it besides its arguments. The arguments are decoded when they are first asked
    for; what does not fit raises `DecodeError`, which names the argument and the expected type.
    """

    __slots__ = ("_arguments", "_definition", "_raw", "_settlement", "metadata")

    def __init__(
        self,
        metadata: Metadata,
        raw: Mapping[str, bytes],
        settlement: Settlement | None = None,
        definition: EventDefinition | None = None,
    ) -> None:
        self.metadata = metadata
        self._raw = raw
        self._settlement = settlement
        self._definition = definition
        self._arguments: Mapping[str, Any] | None = None

    @property
    def key(self) -> EventKey:
        """Where the event stands."""
        return self.metadata.key

    @property
    def arguments(self) -> Mapping[str, Any]:
        """The arguments by name: typed once the event is proved, plain values (dicts, lists, scalars) before."""
        if self._arguments is None:
            self._arguments = self._typed() if self._definition else self._plain()
        return self._arguments

    def matches(self, token: EventToken[...], /, *, version: int | None = None) -> bool:
        """Whether this is the token's event; in the token's version, or in the one given."""
        definition = definition_of(token)
        wanted = definition.version if version is None else version
        return (self.metadata.event, self.metadata.version) == (definition.name, wanted)

    def of(self, token: EventToken[Q], /, *, version: int | None = None) -> Delivery[Q] | None:
        """The same delivery with typed arguments, when it is the token's event (see `matches`); None otherwise."""
        if not self.matches(token, version=version):
            return None
        return cast("Delivery[Q]", Delivery(self.metadata, self._raw, self._settlement, definition_of(token)))

    def apply(self, fn: Callable[P, R], /) -> R:
        """Call a function, or build a dataclass, with the arguments: in order once typed, by name before.

        Checkers want the function's parameters to be the event's, names and defaults included.
        """
        if self._definition is None:
            return cast("Callable[..., R]", fn)(**self.arguments)
        args, kwargs = codec_of(self._definition).decode(self._raw, self.metadata.erased)
        return cast("Callable[..., R]", fn)(*args, **kwargs)

    def argument(self, name: str, type: type[T], /) -> T:  # noqa: A002 - reads as it is called: argument("email", str)
        """One argument as a type, for events that no contract declares.

        Raises `DecodeError` when it does not fit, is not there, or was erased (`metadata.erased` names it).
        """
        raw = self._raw.get(name)
        if raw is None:
            erased = name in self.metadata.erased
            raise DecodeError(
                f"event {self.metadata.event!r} has no argument {name!r}: "
                + ("it was erased" if erased else f"it has {', '.join(self._raw) or 'none'}"),
                event=self.metadata.event,
                argument=name,
                expected=text_of(type),
            )
        return decode_argument(raw, type, event=self.metadata.event, argument=name)

    async def ack(self) -> None:
        """Mark the event as handled, now. Raises `UsageError` on a delivery that was read without a group."""
        await self._held().ack()

    async def nack(self, *, after: timedelta | None = None) -> None:
        """Have the event tried again, after this time or as the retry policy says."""
        await self._held().nack(after)

    async def reject(self, reason: str) -> None:
        """Move the event to the group's dead letter at once, for this reason."""
        await self._held().reject(reason)

    async def once(self, session: Transaction, /, *, table: Table | None = None) -> bool:
        """As `ConsumerContext.once`, for batch handlers and middleware."""
        return await first_time(self.metadata, self._held(), session, table)

    def _held(self) -> Settlement:
        if self._settlement is None:
            raise UsageError("this event was read without a group: there is nothing to acknowledge")
        return self._settlement

    def _typed(self) -> Mapping[str, Any]:
        definition = cast("EventDefinition", self._definition)
        args, kwargs = codec_of(definition).decode(self._raw, self.metadata.erased)
        named = dict(zip((parameter.name for parameter in definition.parameters), args, strict=False))
        return {**named, **kwargs}

    def _plain(self) -> Mapping[str, Any]:
        values: dict[str, Any] = dict.fromkeys(self.metadata.erased)
        values.update((name, plain(raw, argument=name)) for name, raw in self._raw.items())
        return values

    def __repr__(self) -> str:
        return f"Delivery({self.metadata.event} version {self.metadata.version}, {self.metadata.key})"
