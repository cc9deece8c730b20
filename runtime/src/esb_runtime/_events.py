"""One event of a contract: its definition, its token (typed, on the class) and an event that is not sent yet.

`@event` replaces a method by an `EventDefinition`. Checkers see it as `Event[P]`, which changes its face with the side
of the contract: a token on the class, a coroutine function on a producer, a plain function on a synchronous producer,
a method with a `ConsumerContext` in front on a consumer.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Protocol, overload

from ._annotations import Unresolved, guarded_import, remedy, resolved, written_annotations
from ._binding import REQUIRED, bound, compiled_binder, mark_as_coroutine_function, unusable
from ._errors import ContractError, EncodeError, UsageError
from ._event_checks import check_erasable, check_options, check_signature
from ._key_path import KeyPath
from ._settings import Deprecated
from ._shapes import problem_of, text_of

if TYPE_CHECKING:
    # faces that checkers see; at run time nothing here reaches for a higher floor
    from ._context import ConsumerContext
    from ._contract import Consume, EventContract, Produce, Sync
    from ._identifiers import EventKey

P = ParamSpec("P")

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Sender(Protocol):
    """What stands behind a producer."""

    def sends(self, definition: EventDefinition, stream: str) -> Callable[[dict[str, Any]], Any]:
        """What takes the arguments of one of these events, stores it in the stream and returns (or awaits to) its
        `EventKey`; the asynchronous side returns a coroutine.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Emission(Generic[P]):
    """An event that was built but not sent: `ShipmentTracking.packing(email, 1, now)` on the class.

    For tests, `given/then` and batches. Equal when event, version and arguments are. Its `repr` shows no values.
    """

    definition: EventDefinition
    arguments: Mapping[str, Any]

    def __eq__(self, other: object) -> bool:
        """Whether both are the same event with equal arguments."""
        if not isinstance(other, Emission):
            return NotImplemented
        same = self.definition.function is other.definition.function  # an inherited event is the same event
        return same and self.arguments == other.arguments

    __hash__ = None  # type: ignore[assignment]  # arguments may be lists; mypy knows no other spelling

    def __repr__(self) -> str:
        return f"Emission({self.definition.label}: {', '.join(self.arguments)})"


class EventToken(Protocol[P]):
    """What `ShipmentTracking.packing` is on the class: a typed name of the event, and, called, an unsent one."""

    __name__: str

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Emission[P]:
        """Build the event without sending it."""
        ...


class Event(Protocol[P]):
    """How checkers see a contract's method.

    pyright compares an override with `__call__`; mypy compares it with the `__get__` that the base's side selects.
    """

    def __call__(
        self, this: Any, ctx: ConsumerContext, /, *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, None]:
        """The shape of a handler."""
        ...

    @overload
    def __get__(self, instance: None, owner: type[Any], /) -> EventToken[P]: ...
    @overload
    def __get__(
        self, instance: EventContract[Produce], owner: type[Any], /
    ) -> Callable[P, Coroutine[Any, Any, EventKey]]: ...
    @overload
    def __get__(self, instance: EventContract[Sync], owner: type[Any], /) -> Callable[P, EventKey]: ...
    @overload
    def __get__(
        self, instance: EventContract[Consume], owner: type[Any], /
    ) -> Callable[Concatenate[ConsumerContext, P], Coroutine[Any, Any, None]]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One argument of an event, with its annotation resolved; `default` is `REQUIRED` when there is none."""

    name: str
    annotation: Any
    default: Any
    keyword_only: bool

    @property
    def required(self) -> bool:
        """Whether an event without this argument cannot be read."""
        return self.default is REQUIRED


class EventDefinition:
    """An event: wire name, version, parameters, and what the contract says about them.

    `id` is (wire name, version), which is unique in a contract; `method` the attribute's name; `contract` the class
    that it belongs to (a contract that inherits an event has a definition of its own). `bind` and `ordering_key` are
    on the hot path and compiled once.
    """

    contract: type[Any]
    codec: Any = None
    """The compiled codec, kept here by the floor above so that finding it costs nothing per event."""

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        version: int = 1,
        name: str | None = None,
        key: str | None = None,
        personal: Sequence[str] = (),
        deprecated: Deprecated | None = None,
    ) -> None:
        if not callable(function) or isinstance(function, staticmethod):
            raise ContractError("@event marks an ordinary method: write `async def name(self, ...)` below it")
        self.function = function
        self.method: str = getattr(function, "__name__", "")
        self.name = name or self.method
        self.version = version
        self.key = key
        self.personal = personal if isinstance(personal, str) else tuple(personal)
        self.deprecated = deprecated
        self.doc: str = inspect.getdoc(function) or ""
        self.__name__ = self.method
        self.__doc__ = function.__doc__
        self.__isabstractmethod__: bool = getattr(function, "__isabstractmethod__", False)
        self._local: Mapping[str, Any] | None = None
        mark_as_coroutine_function(self)

    def __set_name__(self, owner: type[Any], name: str) -> None:
        self.contract = owner
        if name != self.method:
            self.name = name if self.name == self.method else self.name
            self.method = self.__name__ = name

    @property
    def id(self) -> tuple[str, int]:
        """Wire name and version."""
        return self.name, self.version

    @property
    def label(self) -> str:
        """How messages name this event."""
        owner = getattr(self, "contract", None)
        return f"{owner.__name__}.{self.method}" if owner is not None else self.method

    def of(self, contract: type[Any]) -> EventDefinition:
        """The same event as a part of a contract that inherits it."""
        twin = copy.copy(self)
        twin.contract = contract
        return twin

    # -- shape ---------------------------------------------------------------------------------------------------

    @cached_property
    def signature(self) -> inspect.Signature:
        """The parameters as written, without `self`; annotations may still be text."""
        written = list(inspect.signature(self.function).parameters.values())[1:]
        return inspect.Signature(written)

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """The arguments in order. Raises `ContractError` while an annotation cannot be resolved."""
        found = tuple(self._resolved())
        for parameter in found:
            check_erasable(self, parameter)
        return found

    @cached_property
    def key_path(self) -> KeyPath | None:
        """How the ordering key is read from the arguments; None without a key."""
        if self.key is None:
            return None
        annotations = {parameter.name: parameter.annotation for parameter in self.parameters}
        return KeyPath.checked(self.key, annotations, label=self.label)

    def _resolved(self) -> Iterator[Parameter]:
        annotations = written_annotations(self.function)
        for name, parameter in self.signature.parameters.items():
            annotation = self._annotation(name, annotations[name])
            if isinstance(annotation, Unresolved):
                raise ContractError(self.says(name, f"{text_of(annotations[name])!r}: {remedy(annotation)}"))
            yield Parameter(
                name=name,
                annotation=annotation,
                default=parameter.default,
                keyword_only=parameter.kind not in _POSITIONAL,
            )

    def _annotation(self, name: str, written: object) -> Any:
        """The type of a parameter, or the name that keeps it from being known; checked to be storable."""
        try:
            annotation = resolved(written, function=self.function, local=self._names())
            problem = None if isinstance(annotation, Unresolved) else problem_of(annotation)
        except NameError as error:  # a field of a dataclass refers to a name that does not exist (yet)
            return Unresolved(name=error.name or str(error), module=self._module_of(written))
        except (TypeError, SyntaxError) as error:
            raise ContractError(self.says(name, f"cannot read its annotation: {error}")) from error
        if problem is not None:
            raise ContractError(self.says(name, problem))
        return annotation

    def _names(self) -> Mapping[str, Any]:
        """Names that annotations may use beside their module's: types of the contract's body, and of its function."""
        body = vars(self.contract).items() if hasattr(self, "contract") else ()
        return {**{name: found for name, found in body if isinstance(found, type)}, **(self._local or {})}

    def _module_of(self, written: object) -> str:
        annotation = resolved(written, function=self.function, local=self._names())
        return str(getattr(annotation, "__module__", self.function.__module__))

    def says(self, parameter: str, problem: str) -> str:
        """A message about one of the parameters."""
        return f"{self.label}: parameter {parameter!r}: {problem}"

    # -- checks at class definition ------------------------------------------------------------------------------

    def check(self, local: Mapping[str, Any] | None) -> None:
        """Refuse what is written wrongly; leave a forward reference for the first use.

        `local` are the names around a contract that is defined inside a function.
        """
        check_options(self)
        check_signature(self)
        self._local = local
        annotations = written_annotations(self.function)
        for name in self.signature.parameters:
            missing = self._annotation(name, annotations[name])
            if not isinstance(missing, Unresolved):
                continue
            if guarded_import(missing) is not None:
                raise ContractError(self.says(name, remedy(missing)))
            return  # a forward reference: tried again at first use
        _ = self.parameters, self.key_path
        self._local = None

    # -- use -----------------------------------------------------------------------------------------------------

    @cached_property
    def binder(self) -> Callable[..., dict[str, Any]]:
        """A function with this event's very signature that returns its arguments by name, defaults included."""
        return compiled_binder(self.method, self.signature)

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments by name, defaults included. Raises `TypeError` as Python words it."""
        return self.binder(*args, **kwargs)

    def ordering_key(self, arguments: Mapping[str, Any]) -> str | None:
        """The text of the contract's key in these arguments; None without a key, or where the path meets None.

        Raises `EncodeError` where the values are not of the declared shape.
        """
        path = self.key_path
        if path is None:
            return None
        try:
            return path.read(arguments)
        except AttributeError:
            message = f"{self.label}: key={self.key!r} cannot be read from what was given; nothing was sent"
        raise EncodeError(message, event=self.name, argument=path.argument, expected=self.key or "")

    def __call__(self, *args: Any, **kwargs: Any) -> Emission[...]:
        """Build the event without sending it."""
        return Emission(definition=self, arguments=self.binder(*args, **kwargs))

    def __get__(self, instance: Any, owner: type[Any] | None = None) -> Any:
        if instance is None:
            return self
        held: dict[str, Any] = instance.__dict__
        sender: Sender | None = held.get("_esb_sender")
        if sender is None:
            return unusable(self, owner)
        # kept on the instance, so that the next access does not come here
        held[self.method] = found = bound(self, sender, str(held["_esb_stream"]))
        return found

    def __repr__(self) -> str:
        return f"<event {self.label} version {self.version}>"


def definition_of(token: EventToken[...]) -> EventDefinition:
    """The definition behind a token. Raises `UsageError` for anything else."""
    if isinstance(token, EventDefinition):
        return token
    raise UsageError(f"expected an event of a contract, as in ShipmentTracking.packing, not {type(token).__name__}")


class EventDecorator(Protocol):
    """`@event(...)` with options."""

    def __call__(self, fn: Callable[Concatenate[Any, P], Coroutine[Any, Any, None]], /) -> Event[P]:
        """Make the method an event."""
        ...


@overload
def event(fn: Callable[Concatenate[Any, P], Coroutine[Any, Any, None]], /) -> Event[P]: ...
@overload
def event(
    *,
    version: int = 1,
    name: str | None = None,
    key: str | None = None,
    personal: Sequence[str] = (),
    deprecated: Deprecated | None = None,
) -> EventDecorator: ...
def event(fn: Any = None, /, **options: Any) -> Any:
    """Make a contract's method an event.

    `version` (from 0) tells apart what the same `name` (default: the method's) meant over time; each version is a
    method of its own. `key` is an argument or a path into one (`"user.email"`): events with an equal key are handled
    in order. `personal` names arguments that `esb forget` erases and the CLI masks; they must admit None.
    `deprecated` warns who still produces it. Raises `ContractError` where the contract is defined.
    """
    if fn is not None:
        return EventDefinition(fn)

    def decorate(function: Callable[..., Any], /) -> EventDefinition:
        return EventDefinition(function, **options)

    return decorate
