"""From consumers to routes: which stream, which events, which handlers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ._consumer import Route
from ._consumers import fallback_of, function_handler, handlers_of
from ._contract import Consume, EventContract, contracts_of, stream_key
from ._errors import UsageError
from ._events import EventDefinition


def routes_of(consumers: Sequence[EventContract[Consume]], *, uri: str | None, environment: str) -> list[Route]:
    """One route per stream that these consumers' contracts name. Raises `ContractError` for what does not fit."""
    if not consumers:
        raise UsageError("subscribe needs at least one consumer")
    routes: dict[str, Route] = {}
    for consumer in consumers:
        handlers = handlers_of(consumer)
        fallback = fallback_of(consumer)
        for contract in contracts_of(type(consumer)):
            name = contract.uri() if uri is None else uri
            route = _route(routes, name, environment)
            events = contract.events()
            route.keyed = route.keyed or any(event.key is not None for event in events.values())
            for key in events.keys() & handlers.keys():
                known = route.handlers.setdefault(key, [])
                if handlers[key] not in known:  # two contracts of one consumer may share an inherited event
                    known.append(handlers[key])
            if fallback is not None and fallback not in route.fallbacks:
                route.fallbacks.append(fallback)
    return list(routes.values())


def function_route(
    definition: EventDefinition, function: Callable[..., Any], *, uri: str | None, environment: str
) -> Route:
    """The route of one function handler. Raises `ContractError` for one that does not fit its event."""
    name = definition.contract.uri() if uri is None else uri
    route = _route({}, name, environment)
    route.handlers[definition.id] = [function_handler(definition, function)]
    route.keyed = any(event.key is not None for event in definition.contract.events().values())
    return route


def _route(routes: dict[str, Route], uri: str, environment: str) -> Route:
    stream = stream_key(uri, environment)
    found = routes.get(stream)
    if found is None:
        found = routes[stream] = Route(
            stream=stream, uri=uri, environment=environment, handlers={}, fallbacks=[], keyed=False
        )
    return found
