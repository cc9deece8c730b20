"""One contract, three sides: tokens on the class, producers for both kinds of code, consumers."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Any, cast
from unittest.mock import AsyncMock

import pytest

from esb_runtime import (
    Consume,
    ContractError,
    Emission,
    EventContract,
    EventKey,
    Produce,
    Side,
    Sync,
    UsageError,
    event,
)
from esb_runtime._contract import contracts_of, is_contract, is_producer, side_of, stream_key
from esb_runtime._events import definition_of

from .shop import ANN, TEA, AsyncSends, Billing, Desk, Orders, Payments, PriorityOrders, SyncSends


async def test_a_producer_stores_what_it_is_called_with() -> None:
    """Positional, keyword and default arguments arrive by name, in the contract's stream."""
    backbone = AsyncSends()
    orders = Orders.producer(backbone)
    key = await orders.placed(ANN, items=[TEA])
    assert key == EventKey(stream="orders", id="1-0")
    [(definition, arguments, stream)] = backbone.log.sent
    assert definition is definition_of(Orders.placed)
    assert arguments == {"user": ANN, "items": [TEA], "note": ""}
    assert (stream, definition.ordering_key(arguments)) == ("orders", "ann@example.org")


def test_a_synchronous_producer_returns_the_key() -> None:
    """The synchronous side needs no await."""
    backbone = SyncSends()
    orders = Orders[Sync].producer(backbone)
    assert orders.shipped("o-1", carrier="dhl") == EventKey(stream="orders", id="1-0")


async def test_wrong_calls_fail_as_python_words_them() -> None:
    """A call that does not fit the signature is a TypeError at once, before anything is sent."""
    orders: Any = Orders.producer(AsyncSends())
    with pytest.raises(TypeError, match=r"placed\(\) missing 1 required positional argument: 'items'"):
        orders.placed(ANN)
    with pytest.raises(TypeError, match=r"shipped\(\) takes 1 positional argument but 2 were given"):
        orders.shipped("o-1", "dhl")
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'nte'"):
        orders.placed(ANN, [], nte="x")


def test_mixing_the_sides_is_a_type_error() -> None:
    """A backbone serves one side only."""
    with pytest.raises(TypeError, match=r"SyncSends serves the other side than Orders: write Orders\[Sync\]\.producer"):
        Orders.producer(cast("Any", SyncSends()))
    with pytest.raises(
        TypeError, match=r"AsyncSends serves the other side than Orders\[Sync\]: write Orders\.producer"
    ):
        Orders[Sync].producer(cast("Any", AsyncSends()))
    with pytest.raises(ContractError, match="is a consumer"):
        Billing.producer(cast("Any", AsyncSends()))
    with pytest.raises(ContractError, match="needs a Backbone"):
        Orders.producer(cast("Any", object()))


def test_sides_are_real_classes() -> None:
    """The side is known at run time: one class per contract and side, so containers and `isinstance` can use it."""
    assert Orders[Consume] is Orders[Consume]
    assert [side_of(Orders), side_of(Orders[Sync]), side_of(Billing)] == [Produce, Sync, Consume]
    assert isinstance(Billing(), Orders)
    assert issubclass(Orders[Sync], Orders)
    assert Orders[Consume].__name__ == "Orders[Consume]"
    assert is_contract(Orders)
    assert not is_contract(Orders[Consume])
    assert is_producer(Orders.producer(AsyncSends()))
    assert not is_producer(Billing())


def test_contracts_inherit() -> None:
    """A subcontract has its base's events, in its own stream; its producer passes for the base's."""
    backbone = AsyncSends()
    orders = PriorityOrders.producer(backbone)
    assert callable(orders.shipped_v1)
    assert isinstance(orders, Orders)
    assert list(PriorityOrders.events()) == [*Orders.events(), ("escalated", 1)]
    assert definition_of(PriorityOrders.placed).contract is PriorityOrders
    assert definition_of(Orders.placed).contract is Orders
    assert (PriorityOrders.uri(), Orders.uri()) == ("priority-orders", "orders")


def test_a_consumer_knows_its_contracts() -> None:
    """One consumer may implement several contracts; where their streams differ it has none of its own."""
    assert contracts_of(Desk) == (PriorityOrders, Payments)
    assert contracts_of(Orders) == (Orders,)
    assert Billing.uri() == "orders"
    with pytest.raises(ContractError, match="contracts with different uris"):
        Desk.uri()


def test_a_contract_without_uri_says_where_to_put_one() -> None:
    """A stream's name comes from the contract or from the call."""

    class Nameless(EventContract[Side]):
        @event
        async def made(self) -> None: ...

    with pytest.raises(ContractError, match=r"write class Nameless\(EventContract\[Side\], uri="):
        Nameless.producer(AsyncSends())
    backbone = AsyncSends()
    Nameless.producer(backbone, uri="named").made().close()
    assert backbone.log.sent[0][2] == "named"


def test_uri_and_environment_can_be_overridden() -> None:
    """The stream of a producer: call over backbone over contract."""
    backbone = AsyncSends()
    backbone.environment = "Production"
    for orders in (
        Orders.producer(backbone),
        Orders.producer(backbone, environment="Staging"),
        Orders.producer(backbone, uri="other", environment=""),
    ):
        orders.shipped("o-1").close()
    assert [stream for _, _, stream in backbone.log.sent] == ["prod:orders", "Staging:orders", "other"]


@pytest.mark.parametrize(
    ("environment", "key"),
    [
        ("", "o"),
        ("Production", "prod:o"),
        ("PROD", "prod:o"),
        ("dev", "dev:o"),
        ("Development", "dev:o"),
        ("Qa", "Qa:o"),
    ],
)
def test_environments_prefix_streams(environment: str, key: str) -> None:
    """The two known environments have short names in any case; others are taken as they are."""
    assert stream_key("o", environment) == key


@pytest.mark.parametrize("uri", ["{tenant}:orders", "orders{7}", "{}", "{a}}b", "Kids:Happy Socks", "é"])
def test_usable_uris(uri: str) -> None:
    """Braces are fine when they form a hash tag, or when there is no closing one to end a side key's tag early."""
    if "}" in uri and uri == "{}":
        with pytest.raises(UsageError, match="hash tag"):
            stream_key(uri)
    else:
        assert stream_key(uri) == uri


def test_a_token_builds_an_unsent_event() -> None:
    """Called on the class, an event is a value: compared by event and arguments, shown without values."""
    emission = Orders.placed(ANN, [TEA])
    assert isinstance(emission, Emission)
    assert emission == Orders.placed(ANN, items=[TEA], note="")
    assert emission != Orders.placed(replace(ANN, id=2), [TEA])
    assert emission != Orders.shipped("o-1")
    assert emission == PriorityOrders.placed(ANN, [TEA])
    assert emission != Orders.placed
    assert "ann@example.org" not in repr(emission)
    assert repr(emission) == "Emission(Orders.placed: user, items, note)"
    with pytest.raises(TypeError, match="missing 1 required"):
        cast("Any", Orders.placed)(ANN)


def test_what_is_no_token_is_refused() -> None:
    """Passing a bound method or a text for an event says what is expected."""
    with pytest.raises(UsageError, match=r"as in ShipmentTracking\.packing, not str"):
        definition_of(cast("Any", "placed"))


def test_a_deprecated_event_warns_who_produces_it() -> None:
    """The warning names the day and the remark; building the event for a test does not warn."""
    orders = Orders.producer(AsyncSends())
    with pytest.warns(DeprecationWarning, match=r"Orders\.shipped_v1 is deprecated since 2026-01-01: use shipped"):
        orders.shipped_v1("o-1").close()
    assert Orders.shipped_v1("o-1")


def test_a_producer_is_documented() -> None:
    """`help(producer.placed)` shows the contract's text and signature, without self."""
    placed = Orders.producer(AsyncSends()).placed
    assert placed.__doc__ == "A customer placed an order."
    assert list(inspect.signature(placed).parameters) == ["user", "items", "note"]


def test_ordinary_methods_stay_ordinary() -> None:
    """Only events change with the side."""
    assert Orders.producer(AsyncSends()).plain_method() == 1


def test_a_hand_written_fake_is_a_producer() -> None:
    """For tests of a service: a subclass of the producer's side overrides the events."""

    class Fake(Orders[Produce]):
        async def placed(self, user: Any, items: Any, note: str = "") -> EventKey:
            return EventKey(stream="fake", id="1-0")

        async def shipped(self, order_id: str, *, carrier: str | None = None) -> EventKey:
            return EventKey(stream="fake", id="2-0")

    fake: Orders = Fake()
    with pytest.raises(UsageError, match="neither produces nor implements shipped_v1"):
        fake.shipped_v1("o-1").close()


async def test_a_mock_of_a_contract_is_awaitable() -> None:
    """`AsyncMock(spec=Contract)` sees events as coroutine functions."""
    orders: Orders = AsyncMock(spec=Orders)
    await orders.placed(ANN, [])
    cast("AsyncMock", orders.placed).assert_awaited_once_with(ANN, [])


def test_a_contract_itself_neither_produces_nor_implements() -> None:
    """Instantiating a contract is no way to get a producer."""
    with pytest.raises(UsageError, match=r"a producer comes from Payments\.producer\(backbone\)"):
        cast("Any", Payments()).paid("o-1", 1)
