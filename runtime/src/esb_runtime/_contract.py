"""Contracts: interfaces whose methods are events, seen from the producer's or the consumer's side."""

from __future__ import annotations

import sys
import types
from abc import ABC
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, cast

from typing_extensions import TypeVar, get_original_bases

from ._errors import ContractError, UsageError
from ._events import EventDefinition, Sender
from ._settings import Durability

if TYPE_CHECKING:
    # what `fallback` is given; at run time nothing here reaches for a higher floor
    from ._context import ConsumerContext
    from ._delivery import Delivery


class Produce:
    """The side of a contract that asynchronous code calls; a contract's bare name means this side."""


class Consume:
    """The side of a contract that consumers implement: every method takes a `ConsumerContext` first."""


class Sync:
    """The side of a contract that synchronous code calls."""


Side = TypeVar("Side", default=Produce, covariant=True)  # noqa: PLC0105 - a name that users type
"""The parameter of every contract: `class ShipmentTracking(EventContract[Side], uri=...)`."""

_SIDES: tuple[type[Any], ...] = (Produce, Consume, Sync)
_RESERVED = frozenset({"producer", "fallback", "events", "uri"})


class Sends(Generic[Side]):
    """Base of what a producer can be made from; its parameter names the side it serves."""

    side: ClassVar[type[Any]]
    environment: str = ""
    """The environment of streams unless `producer(environment=)` says otherwise."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for base in get_original_bases(cls):
            if getattr(base, "__origin__", None) is Sends and base.__args__[0] in _SIDES:
                cls.side = base.__args__[0]

    def _sender(self, durability: Durability | None = None) -> Sender:
        """What stores the events of producers made from this."""
        raise NotImplementedError


def sender_of(backbone: Sends[Any], durability: Durability | None) -> Sender:
    """The sender behind a backbone."""
    return backbone._sender(durability)  # noqa: SLF001 - the one place where the two halves of a producer meet  # pyright: ignore[reportPrivateUsage]


class EventContract(ABC, Generic[Side]):
    """An interface whose `@event` methods are events, shared by the code that produces and the code that consumes.

        class ShipmentTracking(EventContract[Side], uri="hello.event-sourcing"):
            @event(key="email")
            async def packing(self, email: str, product_id: int, time: datetime) -> None: ...

    `ShipmentTracking` is the producer's side (get one from `producer`), `ShipmentTracking[Consume]` what a consumer
    derives from, `ShipmentTracking[Sync]` a producer for synchronous code. `uri` names the stream. The names
    `producer`, `fallback`, `events` and `uri` are reserved. What is written wrongly raises `ContractError` where the
    class is defined.
    """

    _esb_side: ClassVar[type[Any]] = Produce
    _esb_uri: ClassVar[str | None] = None

    def __init_subclass__(cls, *, uri: str | None = None, **kwargs: Any) -> None:
        """Check the contract; `uri` is its stream, inherited unless given."""
        super().__init_subclass__(**kwargs)
        if "_esb_made" in vars(cls):
            return
        if uri is not None:
            cls._esb_uri = _checked_uri(cls, uri)
        if is_contract(cls):
            _check_contract(cls)
        else:
            _check_no_contract(cls, uri)

    if not TYPE_CHECKING:

        def __class_getitem__(cls, item: Any) -> Any:
            """`Contract[Consume]` and its like are real classes, so that the side is known at run time too."""
            if item not in _SIDES:
                return super().__class_getitem__(item)
            views = cls.__dict__.get("_esb_views")
            if views is None:
                cls._esb_views = views = {}
            if item not in views:
                views[item] = _view(cls, super().__class_getitem__(item), item)
            return views[item]

    @classmethod
    def producer(
        cls,
        backbone: Sends[Side],  # pyright: ignore[reportGeneralTypeIssues]  # covariant, and sound: it is only read
        /,
        *,
        uri: str | None = None,
        environment: str | None = None,
        durability: Durability | None = None,
    ) -> Self:
        """A producer: each event is a method that stores it in the stream.

        `uri`, `environment` and `durability` override the contract's and the backbone's. Raises `ContractError` (a
        `TypeError`) when the backbone serves the other side, `UsageError` for a uri that cannot be a stream.
        """
        _check_side(cls, backbone)
        stream = stream_key(
            cls.uri() if uri is None else uri, backbone.environment if environment is None else environment
        )
        instance = object.__new__(_producer_class(cls))
        instance.__dict__.update(_esb_sender=sender_of(backbone, durability), _esb_stream=stream)
        return cast("Self", instance)

    @classmethod
    def events(cls) -> Mapping[tuple[str, int], EventDefinition]:
        """The events by (wire name, version), inherited ones first, in the order they were written."""
        return MappingProxyType({found.id: found for found in _by_method(cls).values()})

    @classmethod
    def uri(cls) -> str:
        """The contract's stream. Raises `ContractError` when none was given, or a consumer's contracts differ."""
        found = {uri_of(contract) for contract in contracts_of(cls)}
        if len(found) > 1:
            raise ContractError(
                f"{cls.__name__} implements contracts with different uris: ask each contract for its own"
            )
        uri = found.pop() if found else None
        if uri is None:
            raise ContractError(
                f'{cls.__name__} has no uri: write class {cls.__name__}(EventContract[Side], uri="...") or pass uri='
            )
        return uri

    async def fallback(self, ctx: ConsumerContext, delivery: Delivery[...]) -> None:
        """Gets every event of the stream that this consumer has no method for; override it to make use of that."""
        del ctx, delivery
        raise UsageError(f"{type(self).__name__} does not implement fallback")


def is_contract(cls: object) -> bool:
    """Whether a class is a contract (still generic in `Side`), not a side of one, a consumer or a producer."""
    return Side in getattr(cls, "__parameters__", ())


def is_producer(instance: object) -> bool:
    """Whether an object was made by `Contract.producer`."""
    return isinstance(instance, EventContract) and "_esb_sender" in vars(instance)


def side_of(cls: type[EventContract[Any]]) -> type[Any]:
    """The side that a class stands on."""
    return cls._esb_side  # pyright: ignore[reportPrivateUsage]  # this module's own


def uri_of(cls: type[EventContract[Any]]) -> str | None:
    """The uri that a contract gives itself, or inherits; None without one."""
    return cls._esb_uri  # pyright: ignore[reportPrivateUsage]  # this module's own


def contracts_of(cls: type[EventContract[Any]]) -> tuple[type[EventContract[Any]], ...]:
    """The contracts that a class implements, in the order it names them; a contract is its own."""
    if is_contract(cls):
        return (cls,)
    named = [vars(base)["_esb_origin"] for base in cls.__mro__ if "_esb_origin" in vars(base)]
    if not named:
        named = [base for base in cls.__mro__ if is_contract(base) and base is not EventContract][:1]
    return tuple(dict.fromkeys(contract for contract in named if contract is not EventContract))


def stream_key(uri: str, environment: str = "") -> str:
    """The key of a stream: `uri`, or `environment:uri`.

    Production and Prod are `prod`, Development and Dev are `dev` (in any case), anything else is taken as it is.
    Raises `UsageError` for a key that cannot be used.
    """
    key = f"{_prefix(environment)}{uri}"
    problem = _uri_problem(uri) or _uri_problem(key)
    if problem is not None:
        raise UsageError(f"{key!r} cannot be the key of a stream: {problem}")
    return key


def uri_within(stream: str, environment: str = "") -> str:
    """The uri that makes this key in an environment (the whole key, where it belongs to another one)."""
    return stream.removeprefix(_prefix(environment))


def _prefix(environment: str) -> str:
    name = _ENVIRONMENTS.get(environment.lower(), environment)
    return f"{name}:" if name else ""


_ENVIRONMENTS = {"production": "prod", "prod": "prod", "development": "dev", "dev": "dev"}


def _uri_problem(uri: str) -> str | None:
    if not uri or uri != uri.strip():
        return "it is empty, or begins or ends with a blank"
    if not uri.isprintable() or len(uri.encode("utf-8", "replace")) > 512:
        return "it is 1 to 512 bytes of printable text"
    opened = uri.find("{")
    tagged = opened >= 0 and uri.find("}", opened) > opened + 1
    if "}" in uri and not tagged:
        # the side keys carry the stream's key as their own hash tag, which would end at this brace
        return "it has a } without a hash tag like {tenant} before it, so its keys could not share a cluster slot"
    return None


def _checked_uri(cls: type[Any], uri: str) -> str:
    problem = _uri_problem(uri)
    if problem is not None:
        raise ContractError(f"{cls.__name__}: uri={uri!r} cannot be used: {problem}")
    return uri


def _by_method(cls: type[Any]) -> dict[str, EventDefinition]:
    """The events of a class by method name; the nearest definition wins."""
    return {
        name: found
        for base in reversed(cls.__mro__)
        for name, found in vars(base).items()
        if isinstance(found, EventDefinition)
    }


def _check_contract(cls: type[Any]) -> None:
    if cls.__parameters__ != (Side,):
        raise ContractError(
            f"{cls.__name__}: a contract has one type parameter: class {cls.__name__}(EventContract[Side])"
        )
    own = {name: found for name, found in vars(cls).items() if isinstance(found, EventDefinition)}
    inherited = {name: found for base in cls.__bases__ for name, found in _by_method(base).items()}
    for name in vars(cls).keys() & inherited.keys():
        raise ContractError(
            f"{cls.__name__}.{name} hides {inherited[name].label}: a new event or version is a method of its own"
        )
    local = _names_around(cls)
    for name, found in own.items():
        if name in _RESERVED or name.startswith("_"):
            raise ContractError(f"{cls.__name__}.{name}: this name is reserved: give the method another one")
        found.check(local)
    for name, found in inherited.items():
        setattr(cls, name, found.of(cls))
    _check_unique(cls)


def _check_unique(cls: type[Any]) -> None:
    seen: dict[tuple[str, int], EventDefinition] = {}
    for found in _by_method(cls).values():
        other = seen.setdefault(found.id, found)
        if other is not found:
            raise ContractError(
                f"{cls.__name__}: {other.method} and {found.method} are both event {found.name!r} version "
                f"{found.version}: give one of them another version"
            )


def _check_no_contract(cls: type[Any], uri: str | None) -> None:
    own = [name for name, found in vars(cls).items() if isinstance(found, EventDefinition)]
    bases = ", ".join(f"{base.__name__}[Side]" for base in contracts_of(cls)) or "EventContract[Side]"
    if own:
        raise ContractError(
            f"{cls.__name__}.{own[0]}: events belong to a contract: write class {cls.__name__}({bases})"
        )
    if uri is not None:
        raise ContractError(f"{cls.__name__}: uri= belongs to a contract; a consumer takes its uri at subscribe")


def _names_around(cls: type[Any]) -> Mapping[str, Any] | None:
    """The local names where a class inside a function is being defined; None at a module's top level."""
    if "<locals>" not in cls.__qualname__:
        return None
    frame = sys._getframe(1)  # noqa: SLF001 - the only way to the names that annotations as text refer to  # pyright: ignore[reportPrivateUsage]
    while frame.f_globals.get("__name__") in {__name__, "abc"} and frame.f_back is not None:
        frame = frame.f_back
    return {**frame.f_locals, cls.__name__: cls}


def _view(cls: type[Any], alias: Any, side: type[Any]) -> type[Any]:
    name = f"{cls.__name__}[{side.__name__}]"
    return _made(name, cls, (alias,), {"_esb_side": side, "_esb_origin": cls})


def _producer_class(cls: type[Any]) -> type[Any]:
    """A class that can be instantiated although its events are abstract; one per contract and side."""
    found = vars(cls).get("_esb_producer")
    if found is None:
        found = _made(f"{cls.__name__}Producer", cls, (cls,), {})
        found.__abstractmethods__ = frozenset()
        cls._esb_producer = found
    return cast("type[Any]", found)


def _made(name: str, cls: type[Any], bases: tuple[Any, ...], extra: Mapping[str, Any]) -> type[Any]:
    """A class that esb makes from a contract, not one that a user wrote."""
    body = {"__module__": cls.__module__, "__doc__": cls.__doc__, "__qualname__": name, "_esb_made": True, **extra}
    return types.new_class(name, bases, exec_body=lambda namespace: namespace.update(body))


def _check_side(cls: type[EventContract[Any]], backbone: Sends[Any]) -> None:
    side = side_of(cls)
    if side is Consume:
        raise ContractError(
            f"{cls.__name__} is a consumer; a producer comes from the contract: Contract.producer(backbone)"
        )
    if not isinstance(backbone, Sends):  # pyright: ignore[reportUnnecessaryIsInstance]  # untyped callers
        raise ContractError(
            f"{cls.__name__}.producer needs a Backbone or a SyncBackbone, not {type(backbone).__name__}"
        )
    if backbone.side is not side:
        contract = next(iter(contracts_of(cls)), cls).__name__
        right = f"{contract}[Sync].producer(...)" if side is Produce else f"{contract}.producer(...)"
        raise ContractError(
            f"{type(backbone).__name__} serves the other side than {cls.__name__}: write {right} with it"
        )
