"""Contracts that are written wrongly say so where they are defined."""

from __future__ import annotations

import types
from typing import Any, Generic, TypeVar, cast, overload

import pytest

from esb_runtime import Consume, ContractError, EventContract, Side, event

from .shop import Item, Orders, User, made_contract


def test_a_contract_knows_its_events_in_order() -> None:
    """Events are found by wire name and version, in the order they are written."""
    assert list(Orders.events()) == [("placed", 1), ("shipped", 2), ("shipped", 1)]
    placed = Orders.events()["placed", 1]
    assert (placed.method, placed.key, placed.doc) == ("placed", "user.email", "A customer placed an order.")
    assert [(found.name, found.annotation) for found in placed.parameters[:2]] == [
        ("user", User),
        ("items", list[Item]),
    ]


def test_the_same_event_and_version_twice_is_refused() -> None:
    """Two methods cannot be the same version of the same event."""
    with pytest.raises(ContractError, match=r"packing and packing_old are both event 'packing' version 1"):

        class _Twice(EventContract[Side]):
            @event
            async def packing(self) -> None: ...
            @event(name="packing")
            async def packing_old(self) -> None: ...


def test_an_inherited_event_cannot_be_redefined() -> None:
    """A subcontract that hides an event would change it for everybody."""
    with pytest.raises(ContractError, match=r"_Heir\.shipped_v1 hides Orders\.shipped_v1"):

        class _Heir(Orders[Side]):
            @event(version=3)
            async def shipped_v1(self, order_id: str) -> None: ...


@pytest.mark.parametrize("name", ["producer", "fallback", "events", "uri", "_private"])
def test_reserved_names_are_refused(name: str) -> None:
    """An event cannot be called like what a contract brings itself."""

    async def method(self: Any) -> None: ...

    with pytest.raises(ContractError, match="reserved"):
        made_contract("Reserved", {name: event(method)})


def test_an_event_is_a_coroutine_function() -> None:
    """A plain method cannot be an event."""
    with pytest.raises(ContractError, match="write `async def packing`"):

        class _Plain(EventContract[Side]):
            @event  # type: ignore[arg-type]
            def packing(self) -> None: ...


def test_var_arguments_are_refused() -> None:
    """An event names each of its arguments."""
    with pytest.raises(ContractError, match=r"parameter 'items'.*no \*args"):

        class _Star(EventContract[Side]):
            @event
            async def packing(self, *items: str) -> None: ...

    with pytest.raises(ContractError, match=r"parameter 'items'.*no \*\*kwargs"):

        class _DoubleStar(EventContract[Side]):
            @event  # type: ignore[arg-type]
            async def packing(self, **items: str) -> None: ...


def test_overloads_are_refused() -> None:
    """An event has one signature."""
    with pytest.raises(ContractError, match="one signature"):

        class _Overloaded(EventContract[Side]):
            @overload
            async def packing(self, a: int) -> None: ...
            @overload
            async def packing(self, a: str) -> None: ...
            @event  # type: ignore[misc]
            async def packing(self, a: Any) -> None: ...


def test_personal_arguments_must_admit_erasure() -> None:
    """What can be erased becomes None, so its type has to say so."""
    with pytest.raises(ContractError, match=r"parameter 'user' is personal|write `user: User \| None`"):

        class _Strict(EventContract[Side]):
            @event(personal=("user",))
            async def made(self, user: User) -> None: ...


def test_personal_is_a_sequence_of_names() -> None:
    """A lone text is a common slip."""
    with pytest.raises(ContractError, match=r"personal=\('user',\)"):

        class _Text(EventContract[Side]):
            @event(personal="user")
            async def made(self, user: User | None) -> None: ...

    with pytest.raises(ContractError, match="there is no parameter 'usr'"):

        class _Unknown(EventContract[Side]):
            @event(personal=("usr",))
            async def made(self, user: User | None) -> None: ...


@pytest.mark.parametrize("version", [-1, "1", 1.0, True])
def test_a_version_is_a_whole_number(version: Any) -> None:
    """Versions count from 0."""
    with pytest.raises(ContractError, match="version is a whole number"):

        class _Versioned(EventContract[Side]):
            @event(version=version)
            async def made(self) -> None: ...


@pytest.mark.parametrize("name", ["two words", "7up", "a:b", "x" * 129])
def test_a_wire_name_is_plain(name: str) -> None:
    """Names that tools could not type are refused."""
    with pytest.raises(ContractError, match="cannot be an event's name"):

        class _Named(EventContract[Side]):
            @event(name=name)
            async def made(self) -> None: ...


@pytest.mark.parametrize("uri", ["", " orders", "a}b", "new\nline", "x" * 513])
def test_an_unusable_uri_is_refused(uri: str) -> None:
    """A uri becomes a Redis key whose hash tag all side keys share."""
    with pytest.raises(ContractError, match="cannot be used"):
        made_contract("Bad", {}, uri=uri)


def test_a_contract_keeps_side_open() -> None:
    """A class with events but without [Side] could never be consumed."""
    with pytest.raises(ContractError, match=r"write class _Closed\(EventContract\[Side\]\)"):

        class _Closed(EventContract):
            @event
            async def made(self) -> None: ...

    with pytest.raises(ContractError, match=r"write class _ClosedHeir\(Orders\[Side\]\)"):

        class _ClosedHeir(Orders):
            @event
            async def made(self) -> None: ...


def test_a_consumer_adds_no_events_and_no_uri() -> None:
    """Events and streams belong to contracts."""
    with pytest.raises(ContractError, match="events belong to a contract"):

        class _Consumer(Orders[Consume]):
            @event
            async def made(self) -> None: ...

    with pytest.raises(ContractError, match="uri= belongs to a contract"):
        types.new_class("Consumer", (Orders[Consume],), {"uri": "elsewhere"})


def test_a_contract_has_one_type_parameter() -> None:
    """Side is the only one: an event's types are its own."""
    T = TypeVar("T")
    with pytest.raises(ContractError, match="one type parameter"):

        class _Generic(EventContract[Side], Generic[T, Side]):
            @event
            async def made(self) -> None: ...


def test_an_event_is_an_ordinary_method() -> None:
    """Static and class methods have no side."""
    for wrap in (staticmethod, classmethod):

        async def made(self: Any) -> None: ...

        with pytest.raises(ContractError, match="ordinary method"):
            event(cast("Any", wrap)(made))
