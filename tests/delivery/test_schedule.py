"""Who runs now: bounded, in order of readiness, suspects alone."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esb_runtime.delivery import _schedule
from esb_runtime.delivery._job import Job
from esb_runtime.delivery._schedule import Schedule

from .kit import job, until


class Stage:
    """Runs jobs until they are told to end, and notes who ran beside whom."""

    def __init__(self, concurrency: int) -> None:
        self.schedule = Schedule(concurrency=concurrency, work=self.work)
        self.started: list[str] = []
        self.running: set[str] = set()
        self.beside: dict[str, set[str]] = {}
        self.gates: dict[str, asyncio.Event] = {}

    async def work(self) -> None:
        while (one := self.schedule.take()) is not None:
            try:
                await self.run(one)
            finally:
                self.schedule.ended(one)

    async def run(self, one: Job) -> None:
        self.started.append(one.id)
        for other in self.running:
            self.beside.setdefault(other, set()).add(one.id)
        self.beside[one.id] = set(self.running)
        self.running.add(one.id)
        await self.gates.setdefault(one.id, asyncio.Event()).wait()
        self.running.discard(one.id)

    def end(self, id_: str) -> None:
        self.gates.setdefault(id_, asyncio.Event()).set()


async def test_at_most_concurrency() -> None:
    """No more than `concurrency` run at a time; the next starts when one ends, in order."""
    stage = Stage(2)
    for n in range(5):
        stage.schedule.add((job(n),))
    await until(lambda: len(stage.running) == 2)
    assert stage.schedule.running == 2
    stage.end("1-0")
    await until(lambda: len(stage.started) == 3)
    for n in range(5):
        stage.end(f"{n}-0")
    await stage.schedule.idle()
    assert stage.started == [f"{n}-0" for n in range(5)]


@settings(max_examples=50)
@given(st.lists(st.booleans(), min_size=1, max_size=12), st.integers(1, 4), st.randoms(use_true_random=False))
def test_suspects_run_alone(suspects: list[bool], concurrency: int, random: object) -> None:
    """An event whose last start had no outcome never runs beside another one; everything runs once."""

    async def play() -> Stage:
        stage = Stage(concurrency)
        for n, suspect in enumerate(suspects):
            stage.schedule.add((job(n, starts=int(suspect)),))
            if random.random() < 0.5 and stage.running:  # type: ignore[attr-defined]
                stage.end(min(stage.running))
            await asyncio.sleep(0)
        while len(stage.started) < len(suspects) or stage.running:
            for id_ in sorted(stage.running):
                stage.end(id_)
            await asyncio.sleep(0)
        await stage.schedule.idle()
        return stage

    stage = asyncio.run(play())
    assert sorted(stage.started) == sorted(f"{n}-0" for n in range(len(suspects)))
    for n, suspect in enumerate(suspects):
        if suspect:
            assert stage.beside[f"{n}-0"] == set()


async def test_a_suspect_waits_until_it_is_alone() -> None:
    """A suspect holds up new starts, and runs when the last running handler has ended."""
    stage = Stage(3)
    stage.schedule.add((job(1),))
    await until(lambda: stage.running)
    stage.schedule.add((job(2, starts=1),))
    stage.schedule.add((job(3),))
    await asyncio.sleep(0)
    assert stage.started == ["1-0"]
    stage.end("1-0")
    await until(lambda: "2-0" in stage.running)
    assert stage.started == ["1-0", "2-0"]
    stage.end("2-0")
    await until(lambda: "3-0" in stage.running)
    stage.end("3-0")
    await stage.schedule.idle()


async def test_a_suspect_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler that takes its time cannot keep a suspect from running: patience ends."""
    monkeypatch.setattr(_schedule, "PATIENCE", 0.05)
    stage = Stage(2)
    stage.schedule.add((job(1),))
    await until(lambda: stage.running)
    stage.schedule.add((job(2, starts=1),))
    await until(lambda: "2-0" in stage.running)
    stage.end("2-0")
    stage.end("1-0")
    await stage.schedule.idle()


async def test_closing() -> None:
    """After `close` nothing starts, and what runs may end."""
    stage = Stage(1)
    for n in range(3):
        stage.schedule.add((job(n),))
    await until(lambda: stage.running)
    stage.schedule.close()
    stage.schedule.add((job(9),))
    stage.end("0-0")
    await stage.schedule.idle()
    assert stage.started == ["0-0"]


async def test_cancelling() -> None:
    """`cancel` ends what runs and returns when it has ended."""
    stage = Stage(2)
    stage.schedule.add((job(1),))
    stage.schedule.add((job(2),))
    await until(lambda: len(stage.running) == 2)
    stage.schedule.close()
    await stage.schedule.cancel()
    assert stage.schedule.running == 0
