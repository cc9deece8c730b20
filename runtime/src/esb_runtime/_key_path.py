"""The ordering key of an event: a path from an argument to the value that says which events belong together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from operator import attrgetter, methodcaller
from typing import Any

from typing_extensions import is_typeddict

from ._errors import ContractError
from ._shapes import alternatives, can_be_key, fields_of, text_of


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPath:
    """A checked path, as in `user.email`."""

    argument: str
    steps: tuple[Callable[[Any], Any], ...]

    @classmethod
    def checked(cls, path: str, annotations: Mapping[str, Any], *, label: str) -> KeyPath:
        """Follow the path through the annotations. Raises `ContractError` where it leads nowhere."""
        argument, *fields = path.split(".")
        reached = annotations[argument]
        steps: list[Callable[[Any], Any]] = []
        for done, name in enumerate(fields):
            so_far = ".".join([argument, *fields[:done]])
            kind, reached = _step(reached, name, said=f"{label}: key={path!r}: {so_far}")
            steps.append(methodcaller("get", name) if is_typeddict(kind) else attrgetter(name))
        if not can_be_key(reached):
            raise ContractError(
                f"{label}: key={path!r} leads to {text_of(reached)}; a key is a str, int, UUID, date, Enum or Literal"
            )
        return cls(argument=argument, steps=tuple(steps))

    def read(self, arguments: Mapping[str, Any]) -> str | None:
        """The key's text; None where the path meets None. Raises `AttributeError` for values of another shape."""
        value: Any = arguments[self.argument]
        for step in self.steps:
            if value is None:
                return None
            value = step(value)
        return key_text(value)


def key_text(value: Any) -> str | None:
    """The text of a key: `str()` of the value, of an Enum its value's."""
    if value is None or type(value) is str:
        return value
    return str(value.value) if isinstance(value, Enum) else str(value)


def _step(annotation: Any, name: str, *, said: str) -> tuple[Any, Any]:
    """The class that has the field (in a union with None, the other member), and the field's annotation."""
    kinds = [kind for kind in alternatives(annotation) if kind is not type(None)]
    found = fields_of(kinds[0]) if len(kinds) == 1 else None
    if found is None:
        raise ContractError(f"{said} is {text_of(annotation)}, which has no fields to follow")
    if name not in found:
        known = ", ".join(found) or "none"
        raise ContractError(f"{said} has no field {name!r} (its fields: {known})")
    return kinds[0], found[name]
