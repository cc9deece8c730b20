"""Narrowing that both type checkers follow: `isinstance` leaves a container's contents unknown to one of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from typing_extensions import TypeIs


def is_mapping(value: object) -> TypeIs[Mapping[Any, Any]]:
    """Whether this is a mapping, of anything."""
    return isinstance(value, Mapping)


def is_items(value: object) -> TypeIs[Collection[Any]]:
    """Whether this is a list, a tuple, a deque or a set, of anything."""
    return isinstance(value, list | tuple | deque | AbstractSet)
