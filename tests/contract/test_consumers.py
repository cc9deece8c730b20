"""Consumers that are written wrongly say so at subscribe: what type checkers cannot see."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any, cast

import pytest

import esb_runtime
from esb_runtime import Consume, ConsumerContext, ContractError, Delivery, EventContract, Side, batch, event
from esb_runtime._consumers import fallback_of, function_handler, handlers_of

from .shop import AsyncSends, Billing, Desk, Item, Orders, Payments, User


def test_a_consumer_handles_what_it_implements() -> None:
    """Handlers are found by wire name and version, over all contracts; what is not implemented is left out."""
    billing = Billing()
    handlers = handlers_of(billing)
    assert list(handlers) == [("placed", 1), ("shipped", 2)]
    assert handlers["placed", 1].call == billing.placed
    assert handlers["placed", 1].definition.contract is Orders
    assert fallback_of(billing) is None
    desk = Desk()
    assert set(handlers_of(desk)) == {("placed", 1), ("shipped", 2), ("escalated", 1), ("paid", 1)}
    assert fallback_of(desk) == desk.fallback


def test_consumers_inherit() -> None:
    """A consumer may derive from another one and call it."""

    class Careful(Billing):
        async def placed(self, ctx: ConsumerContext, user: User, items: list[Item], note: str = "") -> None:
            await super().placed(ctx, user, items)

    assert set(handlers_of(Careful())) == set(handlers_of(Billing()))


def test_extra_parameters_with_defaults_are_fine() -> None:
    """A handler may take more than the event has, when it can do without."""

    class Extra(Payments[Consume]):
        async def paid(
            self, ctx: ConsumerContext, order_id: str, amount: Decimal, payer: User | None = None, *, dry: bool = False
        ) -> None: ...

    assert handlers_of(Extra())


class Renamed(Payments[Consume]):
    """The first name differs."""

    async def paid(self, ctx: ConsumerContext, oid: str, amount: Decimal, payer: User | None = None) -> None: ...


class Missing(Payments[Consume]):
    """The last one is missing."""

    async def paid(self, ctx: ConsumerContext, order_id: str, amount: Decimal) -> None: ...  # type: ignore[override]


class Extra(Payments[Consume]):
    """One too many."""

    async def paid(  # type: ignore[override]
        self, ctx: ConsumerContext, order_id: str, amount: Decimal, payer: User | None, more: int
    ) -> None: ...


class NoContext(Payments[Consume]):
    """The context is forgotten."""

    async def paid(self, order_id: str, amount: Decimal, payer: User | None = None) -> None: ...  # type: ignore[override]


class NotAsync(Payments[Consume]):
    """It blocks."""

    def paid(self, ctx: ConsumerContext, order_id: str, amount: Decimal, payer: User | None = None) -> None: ...  # type: ignore[override]


class Misspelt(Payments[Consume]):
    """Nobody would ever call it."""

    async def payed(self, ctx: ConsumerContext, order_id: str, amount: Decimal, payer: User | None = None) -> None: ...


class MisspeltBatch(Payments[Consume]):
    """Nobody would ever call it either."""

    @batch(size=2)
    async def payed(self, deliveries: Sequence[Delivery[...]]) -> None: ...


class BatchOfWhat(Payments[Consume]):
    """A batch handler with a context."""

    @batch(size=2)  # type: ignore[arg-type]
    async def paid(self, ctx: ConsumerContext, deliveries: Sequence[Delivery[...]]) -> None: ...


class Nothing(Payments[Consume]):
    """Implements nothing at all."""


class LostKeyword(Orders[Consume]):
    """The keyword-only argument is missing."""

    async def placed(self, ctx: ConsumerContext, user: User, items: list[Item], note: str = "") -> None: ...
    async def shipped(self, ctx: ConsumerContext, order_id: str) -> None: ...  # type: ignore[override]


class Forgot(Payments):
    """[Consume] is forgotten."""

    async def paid(  # type: ignore[override]
        self, ctx: ConsumerContext, order_id: str, amount: Decimal, payer: User | None = None
    ) -> None: ...


class SyncFallback(Payments[Consume]):
    """The fallback blocks."""

    def fallback(self, ctx: ConsumerContext, delivery: Delivery[...]) -> None: ...  # type: ignore[override]


@pytest.mark.parametrize(
    ("consumer", "message"),
    [
        (
            Renamed,
            r"Renamed\.paid: its parameters \(oid, amount, payer\) are not those of Payments\.paid: write async def",
        ),
        (Missing, r"its parameters \(order_id, amount\) are not those"),
        (Extra, r"Payments\.paid has no 'more'; an extra parameter needs a default"),
        (NoContext, r"lacks the context: write async def paid\(self, ctx, order_id, amount, payer\)"),
        (NotAsync, r"must be a coroutine function: write `async def paid`"),
        (Misspelt, r"Misspelt\.payed looks like a handler.*did you mean paid\?"),
        (MisspeltBatch, r"MisspeltBatch\.payed looks like a handler.*did you mean paid\?"),
        (BatchOfWhat, r"a batch handler takes one argument: deliveries"),
        (Nothing, r"Nothing implements no event and no fallback"),
        (LostKeyword, r"its parameters \(order_id\) are not those of Orders\.shipped"),
        (Forgot, r"Forgot is not a consumer: write class Forgot\(Payments\[Consume\]\)"),
        (SyncFallback, r"SyncFallback\.fallback must be a coroutine function"),
    ],
)
def test_a_wrong_consumer_is_refused(consumer: Callable[[], Any], message: str) -> None:
    """Each mistake has words of its own, and they say what to write."""
    with pytest.raises(ContractError, match=message):
        handlers_of(consumer())


@pytest.mark.parametrize(
    ("subject", "message"),
    [
        (Billing, "the class Billing itself: write Billing()"),
        ([Billing()], r"a list: write subscribe(*consumers"),
        (object(), "not object"),
        (Orders.producer(AsyncSends()), "OrdersProducer is a producer"),
    ],
)
def test_what_is_no_consumer_is_refused(subject: Any, message: str) -> None:
    """A producer, a class, a list: each is told apart."""
    with pytest.raises(ContractError) as caught:
        handlers_of(subject)
    assert message in str(caught.value)


def test_an_abstract_event_must_be_implemented() -> None:
    """A consumer without it cannot even be made; one that was made behind Python's back is refused."""

    class Partial(Orders[Consume]):
        async def placed(self, ctx: ConsumerContext, user: User, items: list[Item], note: str = "") -> None: ...

    with pytest.raises(TypeError, match="abstract"):
        Partial()  # type: ignore[abstract]
    Partial.__abstractmethods__ = frozenset()
    with pytest.raises(ContractError, match="does not implement the abstract event shipped"):
        handlers_of(Partial())  # type: ignore[abstract]


def test_helpers_are_left_alone() -> None:
    """Methods with an underscore, without a context, or that are not coroutine functions, are no handlers."""

    class Helpful(Payments[Consume]):
        async def paid(
            self, ctx: ConsumerContext, order_id: str, amount: Decimal, payer: User | None = None
        ) -> None: ...
        async def _payed(self, ctx: ConsumerContext) -> None: ...
        async def load(self, order_id: str) -> None: ...
        def note(self, ctx: ConsumerContext) -> None: ...
        @staticmethod
        async def tell(ctx: ConsumerContext) -> None: ...

    assert set(handlers_of(Helpful())) == {("paid", 1)}


def test_the_context_is_recognised_however_it_is_written() -> None:
    """Text, qualified text or the class itself: a misspelt handler is found."""
    for annotation in (ConsumerContext, "ConsumerContext", "esb_runtime.ConsumerContext", "'ConsumerContext'"):

        async def payed(self: Any, ctx: Any) -> None: ...

        payed.__annotations__["ctx"] = annotation
        consumer = type("Consumer", (Nothing,), {"payed": payed})
        with pytest.raises(ContractError, match="payed looks like a handler"):
            handlers_of(consumer())


def test_decorated_handlers_are_looked_through() -> None:
    """`functools.wraps` shows the method below; a wrapper without it is taken at its word."""

    def wrapped(method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            return await method(*args, **kwargs)

        return wrapper

    def bare(method: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return method(*args, **kwargs)

        return wrapper

    class Decorated(Orders[Consume]):
        @wrapped
        async def placed(self, ctx: ConsumerContext, user: User, items: list[Item], note: str = "") -> None: ...
        @bare
        async def shipped(self, ctx: ConsumerContext, order_id: str, *, carrier: str | None = None) -> None: ...

    assert set(handlers_of(Decorated())) == {("placed", 1), ("shipped", 2)}

    class WrappedRenamed(Payments[Consume]):
        @wrapped
        async def paid(self, ctx: ConsumerContext, oid: str, amount: Decimal, payer: User | None = None) -> None: ...

    with pytest.raises(ContractError, match="are not those of Payments"):
        handlers_of(WrappedRenamed())


def test_two_contracts_with_the_same_event_need_two_consumers() -> None:
    """One method cannot mean two different events."""

    class Refunds(EventContract[Side], uri="refunds"):
        @event
        async def paid(self, order_id: str) -> None: ...

    class Both(Payments[Consume], Refunds[Consume]):
        async def paid(  # type: ignore[override]
            self, ctx: ConsumerContext, order_id: str, amount: Decimal, payer: User | None = None
        ) -> None: ...

    with pytest.raises(ContractError, match=r"Payments\.paid and Refunds\.paid are both event 'paid' version 1"):
        handlers_of(Both())


def test_a_batch_handler_carries_its_options() -> None:
    """`@batch` says how many events to wait for, and how long."""

    class Bulk(Payments[Consume]):
        @batch(size=500, wait=timedelta(milliseconds=5))
        async def paid(self, deliveries: Sequence[Delivery[...]]) -> None: ...

    handler = handlers_of(Bulk())["paid", 1]
    assert handler.batch is not None
    assert (handler.batch.size, handler.batch.wait) == (500, timedelta(milliseconds=5))


@pytest.mark.parametrize("options", [{"size": 0}, {"wait": timedelta(seconds=-1)}])
def test_a_batch_that_cannot_work_is_refused(options: dict[str, Any]) -> None:
    """A batch holds at least one event and never waits backwards."""
    with pytest.raises(ContractError, match="@batch"):
        batch(**options)


def test_a_function_is_checked_like_a_method() -> None:
    """`@backbone.on` takes functions; the same mistakes have the same words."""

    async def good(ctx: ConsumerContext, order_id: str, *, carrier: str | None = None) -> None: ...
    async def renamed(ctx: ConsumerContext, oid: str, *, carrier: str | None = None) -> None: ...
    def blocking(ctx: ConsumerContext, order_id: str, *, carrier: str | None = None) -> None: ...

    class Callable_:  # noqa: N801
        async def __call__(self, ctx: ConsumerContext, order_id: str, *, carrier: str | None = None) -> None: ...

    assert function_handler(Orders.shipped, good).definition.id == ("shipped", 2)
    assert function_handler(Orders.shipped, Callable_())
    with pytest.raises(ContractError, match="renamed: its parameters"):
        function_handler(Orders.shipped, renamed)
    with pytest.raises(ContractError, match="must be a coroutine function"):
        function_handler(Orders.shipped, cast("Any", blocking))


def test_everything_named_in_messages_is_exported() -> None:
    """A message that says what to write uses names that can be imported."""
    assert {"Consume", "Delivery", "ConsumerContext", "batch", "event"} <= set(esb_runtime.__all__)
