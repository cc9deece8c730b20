"""What cannot be handled goes to the dead letters, with words that help and without values that must not leak."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest
import pytest_asyncio

from esb_runtime import Backbone, Consume, ConsumerContext, Retry, Store, Unhandled
from esb_runtime._endpoint import Endpoint

from .kit import AT_ONCE, Jobs, Orders, eventually, pending, running, settled, until

LETTERS = "{jobs}:dlq:g"


class Picky(Jobs[Consume]):
    """Fails for negative numbers."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    async def job(self, ctx: ConsumerContext, n: int) -> None:
        self.seen.append(n)
        if n < 0:
            raise ValueError(f"no such job: {n}")


@pytest_asyncio.fixture(params=Store)
async def backbone(request: pytest.FixtureRequest, redis_endpoint: Endpoint) -> AsyncIterator[Backbone]:
    async with Backbone.connect(store=request.param) as connected:
        yield connected


async def letters(raw: Any, count: int) -> list[dict[bytes, bytes]]:
    """The fields of the dead letters, once there are so many."""
    entries = await eventually(lambda: _enough(raw, count))
    return [fields for _, fields in entries]


async def _enough(raw: Any, count: int) -> Any:
    entries = await raw.xrange(LETTERS)
    return entries if len(entries) >= count else None


async def handled_with(
    backbone: Backbone, raw: Any, count: int, *last: int, **options: Any
) -> list[dict[bytes, bytes]]:
    """Run a picky consumer until these were handled and so many buried."""
    picky = Picky()
    backbone.subscribe(picky, group="g", retry=AT_ONCE, **options)
    async with running(backbone):
        await until(lambda: set(last) <= set(picky.seen))
        found = await letters(raw, count)
        await eventually(lambda: settled(raw, "jobs", "g"))
    return found


async def test_after_the_attempts(backbone: Backbone, raw: Any) -> None:
    """An event that fails too often is buried with reason, attempts and traceback; others go on."""
    keys = await backbone.batch([Jobs.job(1), Jobs.job(-1234), Jobs.job(2)])
    (letter,) = await handled_with(backbone, raw, 1, 1, 2)
    assert letter[b"id"].decode() == keys[1].id
    assert (letter[b"attempts"], letter[b"reason"]) == (b"3", b"ValueError: no such job: ***")
    assert letter[b"message"].decode() == (await backbone.get(keys[1])).metadata.message_id
    assert letter[b"traceback"].splitlines()[-1].endswith(b'raise ValueError(f"no such job: {n}")')
    assert b"1234" not in letter[b"traceback"]
    assert b"esb_runtime/delivery" not in letter[b"traceback"]


async def test_one_that_cannot_be_written(backbone: Backbone, raw: Any) -> None:
    """Where dead letters cannot be written the event stays pending, and the others are handled all the same."""
    await raw.set(LETTERS, "somebody else's")
    picky = Picky()
    backbone.subscribe(picky, group="g", retry=AT_ONCE)
    await backbone.batch([Jobs.job(-1), *[Jobs.job(n) for n in range(20)]])
    async with running(backbone):
        await until(lambda: set(range(20)) <= set(picky.seen), seconds=60)
        await eventually(lambda: _only_one_pending(raw), seconds=60)
        assert await raw.get(LETTERS) == b"somebody else's"
        await raw.delete(LETTERS)
        (letter,) = await letters(raw, 1)
        await eventually(lambda: settled(raw, "jobs", "g"), seconds=60)
    assert letter[b"attempts"] == b"3"
    assert picky.seen.count(-1) == 3


async def _only_one_pending(raw: Any) -> bool:
    return await pending(raw, "jobs", "g") == 1


async def test_it_owns_its_payload(backbone: Backbone, raw: Any) -> None:
    """A dead letter keeps the event as it was, also after the stream and its payloads are gone."""
    (key,) = await backbone.batch([Jobs.job(-7)])
    (letter,) = await handled_with(backbone, raw, 1)
    raw_fields = msgpack.unpackb(letter[b"raw"], raw=True)
    entry = dict(zip(raw_fields[::2], raw_fields[1::2], strict=True))
    assert entry[b"e"] == b"job"
    async for name in raw.scan_iter("{jobs}:p:*"):
        await raw.delete(name)
    await raw.delete("jobs")
    payload = await raw.hgetall(f"{{jobs}}:dlqp:g:{key.id}")
    assert (payload[b"n"] if payload else entry[b":n"]) == msgpack.packb(-7)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"a": "b"}, "not written by esb"),
        ({"f": "1", "e": "job"}, "lacks its field 'v'"),
        ({"f": "2", "e": "job"}, "format version 2"),
        ({"f": "x"}, "no number"),
        ({"f": "9" * 5000}, "format version 9999"),
        (
            {"f": "1", "e": "job", "v": "1", "i": "m", "t": "0", "d": b"\x81\xa1x" + b"\x91" * 200_000 + b"\xc0"},
            "cannot be read",
        ),
        ({"f": "1", "e": "job", "v": "1", "i": "m", "t": "0", "s": "inline", "p": b"\x80"}, "cannot be read"),
        ({"f": "1", "e": b"\xff", "v": "1", "i": "m", "t": "0"}, "cannot be read"),
        ({"f": "1", "e": "job", "v": "one", "i": "m", "t": "0"}, "cannot be read"),
        ({"f": "1", "e": "job", "v": "1", "i": "m", "t": "0"}, "payload is gone"),
        ({"f": "1", "e": "job", "v": "1", "i": "m", "t": "0", "s": "s3"}, "store 's3'"),
        ({"f": "1", "e": "job", "v": "1", "i": "m", "t": "0", "s": ":", b":\xff": b"\x01"}, "cannot be read"),
        ({"f": "1", "e": "job", "v": "1", "i": "m", "t": "0", "s": ":", ":n": b"\xc1"}, "cannot be decoded"),
        ({"f": "1", "e": "job", "v": "1", "i": "m", "t": "9" * 30, "s": ":", ":n": b"\x01"}, "OverflowError"),
        ({b"\xff\x00": b"\xff" * 1000}, "not written by esb"),
    ],
)
async def test_garbage(raw: Any, redis_endpoint: Endpoint, fields: dict[Any, Any], reason: str) -> None:
    """An entry that cannot be read is buried with its reason and its raw fields; its neighbours are handled."""
    async with Backbone.connect() as backbone:
        await Jobs.producer(backbone).job(1)
        await raw.xadd("jobs", fields)
        await Jobs.producer(backbone).job(2)
        (letter,) = await handled_with(backbone, raw, 1, 1, 2)
    assert reason in letter[b"reason"].decode()
    assert set(msgpack.unpackb(letter[b"raw"], raw=True)[::2]) == {
        name.encode() if isinstance(name, str) else name for name in fields
    }


@pytest.mark.parametrize("harm", ["delete", "set", "garble", "mistype"])
async def test_harmed_payloads(raw: Any, redis_endpoint: Endpoint, harm: str) -> None:
    """A payload that is gone, of the wrong type, garbled or of another shape buries its event alone, untried."""
    async with Backbone.connect() as backbone:
        keys = [await Jobs.producer(backbone).job(n) for n in range(3)]
        payload = f"{{jobs}}:p:{(await backbone.get(keys[1])).metadata.message_id}"
        if harm in ("delete", "set"):
            await raw.delete(payload)
        if harm == "set":
            await raw.set(payload, "no hash")
        if harm == "garble":
            await raw.hset(payload, "n", b"\xc1")
        if harm == "mistype":
            await raw.hset(payload, "n", msgpack.packb("a number"))
        (letter,) = await handled_with(backbone, raw, 1, 0, 2)
    reasons = {"delete": "gone", "set": "not a hash", "garble": "cannot be decoded", "mistype": "cannot be decoded"}
    assert reasons[harm] in letter[b"reason"].decode()
    assert (letter[b"attempts"], letter[b"id"].decode()) == (b"1", keys[1].id)
    assert b"a number" not in letter[b"reason"]


async def test_a_removed_entry(raw: Any, redis_endpoint: Endpoint) -> None:
    """An entry that was removed while it waited for its retry stops nobody."""
    async with Backbone.connect() as backbone:
        keys = [await Jobs.producer(backbone).job(n) for n in (-1, 1)]
        picky = Picky()
        backbone.subscribe(picky, group="g", retry=Retry(attempts=2, first_delay=AT_ONCE.max_delay))
        await raw.xgroup_create("jobs", "g", "0")
        await raw.xreadgroup("g", "somebody", {"jobs": ">"})
        await raw.xdel("jobs", keys[0].id)
        async with running(backbone):
            await until(lambda: picky.seen == [1])
            await eventually(lambda: settled(raw, "jobs", "g"))


async def test_unhandled_as_an_error(backbone: Backbone, raw: Any) -> None:
    """`Unhandled.ERROR` buries what nobody implements at once, by name."""
    await backbone.batch([Jobs.note("a"), Jobs.job(1)])
    (letter,) = await handled_with(backbone, raw, 1, 1, unhandled=Unhandled.ERROR)
    assert (letter[b"reason"], letter[b"attempts"]) == (b"nobody implements event 'note' version 1", b"1")


async def test_no_value_is_written_down(backbone: Backbone, raw: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Argument values appear neither in logs nor in dead letters, whatever a handler's error says."""

    class Careless(Orders[Consume]):
        async def placed(self, ctx: ConsumerContext, customer: str, n: int) -> None:
            try:
                _ = {}[customer]  # type: ignore[var-annotated]
            except KeyError as error:
                raise RuntimeError(f"{customer!r} / {customer.upper()[:3]} / {n} / {ctx!r}") from error

        async def paid(self, ctx: ConsumerContext, customer: str, *, amount: int = 0) -> None:
            await ctx.reject(f"{customer}\n  owes   {amount}")

    backbone.subscribe(Careless(), group="g", retry=AT_ONCE)
    await backbone.batch(
        [
            Orders.placed("jo  smith@example.com", 424_242_424_242_424),
            Orders.paid("jo  smith@example.com", amount=777_777_777_777_777),
        ]
    )
    with caplog.at_level("DEBUG"):
        async with running(backbone):
            await eventually(lambda: _both(raw))
    found = str([(f[b"reason"], f[b"traceback"]) for _, f in await raw.xrange("{orders}:dlq:g")]) + caplog.text
    assert "RuntimeError" in found
    assert "KeyError" in found
    for value in ("smith@example.com", "424242424242424", "777777777777777"):
        assert value not in found


async def _both(raw: Any) -> bool:
    return await raw.xlen("{orders}:dlq:g") == 2
