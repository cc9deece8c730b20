"""What events talk about."""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Who ordered."""

    id: int
    email: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """What was ordered."""

    id: int
    name: str
    price: Decimal
