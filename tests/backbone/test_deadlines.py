"""What a call that got no answer leaves its caller with: a bound on the wait, and the message id."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import pytest

from esb_runtime import (
    Backbone,
    ChannelError,
    ChannelUnavailable,
    EventKey,
    LoginRefused,
    UsageError,
    deadline,
    message_id,
)
from esb_runtime._endpoint import Endpoint

from .kit import Jobs, Proxy, until

SHORT = timedelta(milliseconds=150)


async def test_a_deadline_bounds_a_call(silent_port: str) -> None:
    """A call inside `deadline` ends with it, however long the backbone would wait; outside it waits as before."""
    async with Backbone.connect(endpoint=silent_port, deadline=timedelta(seconds=1)) as backbone:
        jobs = Jobs.producer(backbone)
        with deadline(SHORT):
            began = time.monotonic()
            with pytest.raises(ChannelUnavailable, match=r"tried for 0\.15 s"):
                await jobs.job(1)
            with pytest.raises(ChannelUnavailable, match=r"tried for 0\.1"):
                await backbone.batch([Jobs.job(1), Jobs.job(2)])
            assert 0.3 <= time.monotonic() - began < 0.9
        with pytest.raises(ChannelUnavailable, match=r"tried for 1 s"):
            await jobs.job(1)


async def test_an_inner_deadline_counts(silent_port: str) -> None:
    """The innermost block decides; a call whose time is over hurts nobody who waits beside it."""
    async with Backbone.connect(endpoint=silent_port, deadline=timedelta(seconds=0.6)) as backbone:
        jobs = Jobs.producer(backbone)

        async def bounded() -> float:
            began = time.monotonic()
            with deadline(timedelta(minutes=1)), deadline(SHORT), pytest.raises(ChannelUnavailable):
                await jobs.job(1)
            return time.monotonic() - began

        patient = asyncio.create_task(jobs.job(2))
        assert await bounded() < 0.5
        assert not patient.done()
        with pytest.raises(ChannelUnavailable):
            await patient


def test_no_time_at_all() -> None:
    """A deadline of nothing is a mistake."""
    with pytest.raises(UsageError, match="more than no time"), deadline(timedelta(0)):
        pass


async def test_the_key_of_a_write_whose_reply_was_lost(redis_endpoint: Endpoint) -> None:
    """A call that failed although its event was stored carries the message id: sending it again returns its key."""
    async with (
        Proxy(redis_endpoint).open() as proxy,
        Backbone.connect(endpoint=proxy.endpoint) as behind,
        Backbone.connect() as direct,
    ):
        await Jobs.producer(behind).job(0)
        proxy.mute()
        with deadline(SHORT), pytest.raises(ChannelUnavailable, match="may be stored") as caught:
            await Jobs.producer(behind).job(1)
        first, stored = [delivery async for delivery in direct.read(Jobs.job)]
        assert caught.value.message_id == stored.metadata.message_id != first.metadata.message_id
        with message_id(caught.value.message_id):
            assert await Jobs.producer(direct).job(1) == stored.key


async def test_every_failed_call_has_its_own_message_id(silent_port: str) -> None:
    """Calls that fail together carry each its own id; a failed batch carries all, in order."""
    async with Backbone.connect(endpoint=silent_port, deadline=SHORT) as backbone:
        jobs = Jobs.producer(backbone)

        async def call(id_: str) -> EventKey:
            with message_id(id_):
                return await jobs.job(1)

        errors = await asyncio.gather(*(call(f"id-{n}") for n in range(5)), return_exceptions=True)
        assert [error.message_id for error in errors if isinstance(error, ChannelError)] == [
            f"id-{n}" for n in range(5)
        ]
        with message_id("one"):
            one = jobs.job(1)
        with message_id("two"):
            two = jobs.job(2)
        with pytest.raises(ChannelUnavailable) as caught:
            await backbone.batch([one, two])
        assert caught.value.message_ids == ("one", "two")


async def test_a_refusal_after_a_lost_reply(locked_endpoint: Endpoint) -> None:
    """A login that is refused when a call is tried again (the password was changed) carries the message id too."""
    async with Backbone.connect(endpoint=locked_endpoint.display, password="wrong") as backbone:
        with pytest.raises(LoginRefused) as caught, message_id("mine"):
            await Jobs.producer(backbone).job(1)
        assert caught.value.message_id == "mine"


async def test_a_connection_that_fell_silent(redis_endpoint: Endpoint) -> None:
    """A connection that is dead and does not know it costs a third of the deadline; then another one is tried."""
    async with (
        Proxy(redis_endpoint).open() as proxy,
        Backbone.connect(endpoint=proxy.endpoint, deadline=timedelta(seconds=3)) as backbone,
    ):
        jobs = Jobs.producer(backbone)
        await jobs.job(0)
        proxy.mute()
        call = asyncio.create_task(jobs.job(1))
        await until(lambda: proxy.lost)
        proxy.speak()
        assert isinstance(await call, EventKey)
        assert [delivery.arguments["n"] async for delivery in backbone.read(Jobs.job)] == [0, 1]


async def test_a_cancelled_call_is_not_sent_later(redis_endpoint: Endpoint) -> None:
    """A call whose caller is gone before its turn came is not sent any more."""
    async with (
        Proxy(redis_endpoint).open() as proxy,
        Backbone.connect(endpoint=proxy.endpoint, deadline=timedelta(seconds=3)) as backbone,
    ):
        jobs = Jobs.producer(backbone)
        await jobs.job(0)
        proxy.mute()
        first = asyncio.create_task(jobs.job(1))
        await until(lambda: proxy.lost)
        waiting = asyncio.create_task(jobs.job(2))
        await asyncio.sleep(0)  # it stands in line now
        waiting.cancel()
        proxy.speak()
        assert isinstance(await first, EventKey)
        await jobs.job(3)
        assert [delivery.arguments["n"] async for delivery in backbone.read(Jobs.job)] == [0, 1, 3]
