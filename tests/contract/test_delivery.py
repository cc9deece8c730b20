"""Deliveries and contexts: what a handler holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, cast

import pytest

from esb_runtime import ConsumerContext, DecodeError, Delivery, EventKey, Metadata, UsageError
from esb_runtime._codecs import codec_of
from esb_runtime._events import EventToken, definition_of
from esb_runtime._flow import CURRENT

from .shop import ANN, NOON, Orders, Payments, User


@dataclass
class Words:
    """A settlement that keeps what it is told."""

    said: list[object] = field(default_factory=list)
    cancelled: bool = False

    async def ack(self) -> None:
        """Keep it."""
        self.said.append("ack")

    async def nack(self, after: timedelta | None) -> None:
        """Keep it."""
        self.said.append(("nack", after))

    async def reject(self, reason: str) -> None:
        """Keep it."""
        self.said.append(("reject", reason))

    async def progress(self) -> None:
        """Keep it."""
        self.said.append("progress")


def metadata(event: str, version: int = 1, erased: frozenset[str] = frozenset()) -> Metadata:
    """What is known about an event of this name."""
    key = EventKey(stream="orders", id="1-0")
    return Metadata(
        event=event, version=version, message_id="m", key=key, produced_at=NOON, uri="orders", erased=erased
    )


def delivered(
    token: EventToken[...], *args: object, settlement: Words | None = None, **kwargs: object
) -> Delivery[...]:
    """An event as if it had been stored."""
    definition = definition_of(token)
    raw = codec_of(definition).encode(definition.bind(args, kwargs))
    return Delivery(metadata(definition.name, definition.version), raw, settlement)


def test_arguments_are_plain_until_the_event_is_proved() -> None:
    """Without a type a dataclass is a dict and a Decimal text; `of` gives them their types."""
    delivery = delivered(Payments.paid, "o-1", Decimal("1.50"), ANN)
    ann = {"id": 1, "email": "ann@example.org", "name": "Ann"}
    assert delivery.arguments == {"order_id": "o-1", "amount": "1.50", "payer": ann}
    typed = delivery.of(Payments.paid)
    assert typed is not None
    assert typed.arguments == {"order_id": "o-1", "amount": Decimal("1.50"), "payer": ANN}
    assert typed.key == delivery.key == EventKey(stream="orders", id="1-0")


def test_of_tells_events_and_versions_apart() -> None:
    """A token stands for its version; another version has to be asked for."""
    delivery = delivered(Orders.shipped_v1, "o-1")
    assert delivery.of(Orders.placed) is None
    assert delivery.of(Orders.shipped) is None
    assert delivery.of(Orders.shipped_v1)
    assert delivery.matches(Orders.shipped, version=1)
    old = delivery.of(Orders.shipped, version=1)
    assert old is not None
    assert old.arguments == {"order_id": "o-1", "carrier": None}


@dataclass
class Row:
    """To be built from an event."""

    order_id: str
    amount: Decimal
    payer: User | None = None


def test_apply_calls_with_typed_arguments() -> None:
    """A function or a dataclass takes them in the contract's order."""
    delivery = delivered(Payments.paid, "o-1", Decimal("1.50"), ANN).of(Payments.paid)
    assert delivery is not None
    assert delivery.apply(Row) == Row("o-1", Decimal("1.50"), ANN)

    def total(order_id: str, amount: Decimal, payer: User | None = None) -> tuple[str, Decimal]:
        return order_id, amount

    assert delivery.apply(total) == ("o-1", Decimal("1.50"))
    shipped = delivered(Orders.shipped, "o-1", carrier="dhl").of(Orders.shipped)
    assert shipped is not None

    def carrier_of(order_id: str, *, carrier: str | None = None) -> str | None:
        return carrier

    assert shipped.apply(carrier_of) == "dhl"


def test_apply_without_proof_calls_by_name() -> None:
    """Before `of` the arguments are plain and have names only."""
    assert delivered(Orders.shipped_v1, "o-1").apply(cast("Any", lambda order_id: order_id)) == "o-1"


def test_one_argument_as_a_type() -> None:
    """For events that no contract declares."""
    delivery = delivered(Payments.paid, "o-1", Decimal("1.50"), ANN)
    assert delivery.argument("amount", Decimal) == Decimal("1.50")
    assert delivery.argument("payer", User) == ANN
    with pytest.raises(DecodeError, match=r"paid: argument 'payer' \(expected datetime with a time zone\)"):
        delivery.argument("payer", datetime)
    with pytest.raises(DecodeError, match="event 'paid' has no argument 'email': it has order_id, amount, payer"):
        delivery.argument("email", str)


def test_an_erased_argument_is_none_and_says_so() -> None:
    """Plain, typed and asked for alone."""
    raw = {"order_id": b"\xa1a", "amount": b"\xa11"}
    delivery = Delivery[...](metadata("paid", erased=frozenset({"payer"})), raw)
    assert delivery.arguments == {"order_id": "a", "amount": "1", "payer": None}
    typed = delivery.of(Payments.paid)
    assert typed is not None
    assert typed.arguments["payer"] is None
    with pytest.raises(DecodeError, match="it was erased"):
        delivery.argument("payer", User)


async def test_a_delivery_settles_through_its_engine() -> None:
    """The words reach whoever holds the event, also after `of`."""
    words = Words()
    delivery = delivered(Orders.shipped_v1, "o-1", settlement=words)
    await delivery.ack()
    await delivery.nack(after=timedelta(seconds=1))
    typed = delivery.of(Orders.shipped_v1)
    assert typed is not None
    await typed.reject("broken")
    assert words.said == ["ack", ("nack", timedelta(seconds=1)), ("reject", "broken")]


async def test_an_event_read_without_a_group_has_nothing_to_acknowledge() -> None:
    """`read` and `get` touch no group."""
    with pytest.raises(UsageError, match="without a group"):
        await delivered(Orders.shipped_v1, "o-1").ack()


async def test_a_context_passes_words_on() -> None:
    """Everything but the metadata is the engine's."""
    words = Words(cancelled=True)
    ctx = ConsumerContext(metadata("placed"), words)
    await ctx.ack()
    await ctx.nack()
    await ctx.nack(after=timedelta(seconds=1))
    await ctx.reject("broken")
    await ctx.progress()
    assert words.said == ["ack", ("nack", None), ("nack", timedelta(seconds=1)), ("reject", "broken"), "progress"]
    assert ctx.cancelled


def test_the_current_context_is_found_below_a_handler() -> None:
    """And only there."""
    with pytest.raises(UsageError, match="only while an event is being handled"):
        ConsumerContext.current()
    ctx = ConsumerContext(metadata("placed"), Words())
    token = CURRENT.set(ctx)
    try:
        assert ConsumerContext.current() is ctx
    finally:
        CURRENT.reset(token)


def test_shown_forms_hold_no_values() -> None:
    """`repr` goes to logs."""
    delivery = delivered(Payments.paid, "o-1", Decimal("1.50"), ANN)
    assert repr(delivery) == "Delivery(paid version 1, orders/1-0)"
    assert repr(ConsumerContext(metadata("paid"), Words())) == "ConsumerContext(paid version 1, orders/1-0)"
