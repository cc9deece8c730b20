"""Annotations: what can be stored, and names that are not known (yet)."""

from __future__ import annotations

import sys
import textwrap
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Any, Literal, Self, TypeVar

import pytest

from esb_runtime import ConsumerContext, ContractError, EventContract, Side, event
from esb_runtime._codecs import codec_of
from esb_runtime._consumers import function_handler
from esb_runtime._events import definition_of

from .shop import Item, User, made_contract

T = TypeVar("T")


@pytest.fixture
def module() -> Iterator[Callable[[str], types.ModuleType]]:
    """Run source text as a module of its own, with source that `inspect` can find."""
    import linecache

    made: list[str] = []

    def run(source: str) -> types.ModuleType:
        name = f"made_module_{len(made)}"
        made.append(name)
        text = textwrap.dedent(source)
        found = types.ModuleType(name)
        found.__file__ = f"<{name}>"
        linecache.cache[found.__file__] = (len(text), None, text.splitlines(keepends=True), found.__file__)
        sys.modules[name] = found
        exec(compile(text, found.__file__, "exec"), vars(found))
        return found

    yield run
    for name in made:
        sys.modules.pop(name, None)


@pytest.mark.parametrize("annotation", [T, list[T], Self, dict[str, T]])  # type: ignore[valid-type]
def test_type_variables_are_refused(annotation: Any) -> None:
    """A stored event has concrete types."""

    async def packing(self: Any, item: Any) -> None: ...

    packing.__annotations__["item"] = annotation
    with pytest.raises(ContractError, match="parameter 'item'"):
        made_contract("Generic", {"packing": event(packing)})


class Odd:
    """A class that nobody taught esb."""


@dataclass
class HoldsOdd:
    """A dataclass with such a field."""

    odd: Odd


@pytest.mark.parametrize(
    ("annotation", "named"),
    [(complex, "complex"), (Odd, "Odd"), (list[Odd], "Odd"), (HoldsOdd, "Odd"), (Callable[[], int], "Callable")],
)
def test_an_unsupported_annotation_names_the_parameter(annotation: Any, named: str) -> None:
    """What cannot be stored is refused at class definition, however deep it stands."""

    async def packing(self: Any, fine: int, item: Any) -> None: ...

    packing.__annotations__["item"] = annotation
    with pytest.raises(ContractError, match=f"parameter 'item': {named} cannot be stored"):
        made_contract("Unsupported", {"packing": event(packing)})


def test_a_parameter_needs_an_annotation() -> None:
    """A parameter that says nothing cannot be stored with its type."""
    with pytest.raises(ContractError, match="parameter 'email': has no annotation"):

        class _Bare(EventContract[Side]):
            @event
            async def packing(self, email) -> None: ...  # type: ignore[no-untyped-def]


def test_a_type_checking_import_is_named(module: Callable[[str], types.ModuleType]) -> None:
    """An import for checkers only is the usual reason for an unknown name, so the message shows it."""
    with pytest.raises(ContractError, match=r"'Decimal' is imported under `if TYPE_CHECKING:`.*line 6: from decimal"):
        module("""
            from __future__ import annotations
            from typing import TYPE_CHECKING
            from esb_runtime import EventContract, Side, event
            if TYPE_CHECKING:
                from decimal import Decimal
            class Shop(EventContract[Side]):
                @event
                async def paid(self, amount: Decimal | None) -> None: ...
        """)


def test_a_type_checking_import_behind_a_dataclass_is_named(module: Callable[[str], types.ModuleType]) -> None:
    """The same holds for the fields of a dataclass."""
    with pytest.raises(ContractError, match=r"parameter 'bill'.*'Decimal' is imported under `if TYPE_CHECKING:`"):
        module("""
            from __future__ import annotations
            from dataclasses import dataclass
            from typing import TYPE_CHECKING
            from esb_runtime import EventContract, Side, event
            if TYPE_CHECKING:
                from decimal import Decimal
            @dataclass
            class Bill:
                amount: Decimal
            class Shop(EventContract[Side]):
                @event
                async def paid(self, bill: Bill) -> None: ...
        """)


def test_a_forward_reference_is_retried_at_first_use(module: Callable[[str], types.ModuleType]) -> None:
    """A class that is defined further down is known by the time the event is used."""
    shop = module("""
        from __future__ import annotations
        from dataclasses import dataclass
        from esb_runtime import EventContract, Side, event
        class Shop(EventContract[Side]):
            @event(key="bill.number")
            async def paid(self, bill: Bill) -> None: ...
        @dataclass
        class Bill:
            number: int
    """)
    definition = shop.Shop.events()["paid", 1]
    assert codec_of(definition).encode({"bill": shop.Bill(7)}) == {"bill": b"\x81\xa6number\x07"}
    assert definition.ordering_key({"bill": shop.Bill(7)}) == "7"


def test_a_name_that_never_appears_fails_at_first_use(module: Callable[[str], types.ModuleType]) -> None:
    """A forward reference to nothing is an error that names the parameter and the name."""
    shop = module("""
        from __future__ import annotations
        from esb_runtime import EventContract, Side, event
        class Shop(EventContract[Side]):
            @event
            async def paid(self, bill: Bill) -> None: ...
    """)
    with pytest.raises(ContractError, match=r"Shop\.paid: parameter 'bill'.*'Bill' is not defined in made_module_0"):
        codec_of(shop.Shop.events()["paid", 1])

    async def paid(ctx: ConsumerContext, bill: Any) -> None: ...

    with pytest.raises(ContractError, match="'Bill' is not defined"):
        function_handler(shop.Shop.paid, paid)


def test_local_types_are_found() -> None:
    """A contract inside a function may use the function's own types."""

    @dataclass
    class Local:
        number: int

    class Shop(EventContract[Side]):
        @event
        async def paid(self, bill: Local | None) -> None: ...

    assert Shop.events()["paid", 1].parameters[0].annotation == Local | None


def test_untagged_unions_of_classes_say_what_to_do() -> None:
    """Two dataclasses in a union cannot be told apart in stored bytes."""
    with pytest.raises(ContractError, match=r"parameter 'what'.*tagged msgspec\.Structs"):

        class _Union(EventContract[Side]):
            @event
            async def made(self, what: User | Item) -> None: ...


def test_literals_and_aliases_are_supported() -> None:
    """A Literal can even be a key."""

    class Kinds(EventContract[Side]):
        @event(key="kind")
        async def made(self, kind: Literal["card", "cash"], amount: Decimal | None = None) -> None: ...

    assert definition_of(Kinds.made).ordering_key({"kind": "card"}) == "card"


def test_types_of_the_contracts_own_body_are_found() -> None:
    """An Enum that belongs to a contract may stand inside of it, also where annotations are text."""

    class Kinds(EventContract[Side]):
        class Kind(Enum):
            CARD = "card"

        @event(key="kind")
        async def made(self, kind: Kind) -> None: ...

    assert definition_of(Kinds.made).ordering_key({"kind": Kinds.Kind.CARD}) == "card"
