"""Lanes: events of one key one at a time, in order; other keys go on."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from esb_runtime.delivery._job import Job
from esb_runtime.delivery._lanes import Lanes

from .kit import ids, job

keys = st.lists(st.sampled_from(["a", "b", "c", None]), max_size=40)


@given(keys, st.randoms(use_true_random=False))
def test_each_key_in_order_and_one_at_a_time(keys: list[str | None], random: Random) -> None:
    """However runs end, every event runs once, per key in order, never beside another one of its key."""
    lanes, running, order = Lanes(), list[Job](), list[Job]()
    waiting = [job(n, key=key) for n, key in enumerate(keys)]
    while waiting or running:
        if waiting and (not running or random.random() < 0.5):
            entered = waiting.pop(0)
            if lanes.enter(entered):
                running.append(entered)
        else:
            ended = running.pop(random.randrange(len(running)))
            order.append(ended)
            if (follower := lanes.leave(ended)) is not None:
                running.append(follower)
        busy = [one.lane for one in running if one.lane is not None]
        assert len(busy) == len(set(busy))
    for key in {key for key in keys if key is not None}:
        assert [one.id for one in order if one.lane == key] == [f"{n}-0" for n, k in enumerate(keys) if k == key]
    assert len(order) == len(keys)


@given(keys)
def test_nothing_is_kept(keys: list[str | None]) -> None:
    """Once every event has left, no key is remembered: a million keys leave nothing behind."""
    lanes = Lanes()
    ready = [one for n, key in enumerate(keys) if lanes.enter(one := job(n, key=key))]
    while ready:
        if (follower := lanes.leave(ready.pop())) is not None:
            ready.append(follower)
    assert lanes._lanes == {}


def test_who_waits_for_whom() -> None:
    """`head` names the event that holds up a key, `followers` those behind it, in order."""
    lanes = Lanes()
    first, second, third, free = job(1, key="a"), job(2, key="a"), job(3, key="a"), job(4)
    assert [lanes.enter(one) for one in (first, second, third, free)] == [True, False, False, True]
    assert lanes.head(third) is first
    assert ids(lanes.followers(first)) == ["2-0", "3-0"]
    assert (lanes.head(free), lanes.followers(free)) == (free, [])


def test_leaving_out_of_turn() -> None:
    """An event that is not the first of its key frees nobody."""
    lanes = Lanes()
    first, second = job(1, key="a"), job(2, key="a")
    lanes.enter(first)
    lanes.enter(second)
    assert lanes.leave(second) is None
    assert lanes.leave(first) is second
