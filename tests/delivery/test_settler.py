"""The settler: outcomes are written together, in order, and are never forgotten."""

from __future__ import annotations

import asyncio

import pytest

from esb_runtime import ChannelUnavailable
from esb_runtime._ports import DeadLetter
from esb_runtime.delivery import _settler
from esb_runtime.delivery._job import Job
from esb_runtime.delivery._settler import Settler

from .kit import Ledger, ids, job, until

DOWN = ChannelUnavailable("nowhere:1", "it is down")


class Book:
    """A settler, its seat, and what it said."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.settled: list[Job] = []
        self.troubles: list[BaseException] = []
        self.settler = Settler(self.ledger.seat, settled=self.settled.extend, broken=self.troubles.append)


def letter(one: Job) -> DeadLetter:
    """A dead letter for a job."""
    return DeadLetter(id=one.id, message_id=one.message_id, reason="no", attempts=1)


async def test_outcomes_share_a_write() -> None:
    """What ends at about the same time is written in one step, in the order in which it ended."""
    book = Book()
    for n in range(50):
        book.settler.handled(job(n))
    await until(lambda: len(book.settled) == 50)
    assert len(book.ledger.writes) == 1
    assert book.ledger.handled() == [f"{n}-0" for n in range(50)]


async def test_a_full_page_does_not_wait() -> None:
    """Many outcomes are written at once, without the usual few milliseconds."""
    book = Book()
    for n in range(_settler.FULL):
        book.settler.handled(job(n))
    assert book.settler._timer is None
    await book.settler.written()
    assert len(book.settled) == _settler.FULL


async def test_written_means_durable() -> None:
    """`written` returns after everything that was said before it is stored, and at once when nothing was."""
    book = Book()
    await book.settler.written()
    book.settler.handled(job(1))
    book.settler.failed(job(2))
    book.settler.dead(one := job(3), letter(one))
    await book.settler.written()
    assert book.ledger.handled() == ["1-0"]
    assert [id_ for write in book.ledger.writes for id_ in write.failed] == ["2-0"]
    assert [each.id for write in book.ledger.writes for each in write.dead] == ["3-0"]
    assert ids(book.settled) == ["1-0", "3-0"]


async def test_one_write_at_a_time() -> None:
    """What ends during a write waits for the next one, so outcomes keep their order."""
    book = Book()
    book.ledger.gate = asyncio.Event()
    book.settler.handled(job(1))
    await until(lambda: book.settler._writing and not book.settler._handled)
    book.settler.handled(job(2))
    waiting = asyncio.ensure_future(book.settler.written())
    await asyncio.sleep(0)
    assert book.ledger.writes == []
    book.ledger.gate.set()
    await waiting
    assert [len(write.handled) for write in book.ledger.writes] == [1, 1]
    assert book.ledger.handled() == ["1-0", "2-0"]


async def test_an_outage_forgets_nothing() -> None:
    """What could not be written is kept in order, reported once, and written by `retry`."""
    book = Book()
    book.ledger.refuse = [DOWN]
    for n in range(3):
        book.settler.handled(job(n))
    with pytest.raises(ChannelUnavailable):
        await book.settler.written()
    assert (book.troubles, book.settled) == ([DOWN], [])
    book.settler.handled(job(3))
    book.settler.retry()
    await until(lambda: len(book.settled) == 4)
    assert book.ledger.handled() == ["0-0", "1-0", "2-0", "3-0"]


async def test_a_flush_meets_the_end_of_a_write() -> None:
    """A flush that begins after a write ended and before its callback ran leaves the loop to that callback."""
    flushes: list[asyncio.Task[None]] = []

    def begin(_: object) -> None:
        flushes.append(asyncio.create_task(settler.flush()))

    settler = Settler(Ledger().seat, settled=begin, broken=lambda _: None)
    settler.handled(job(1))
    await settler.written()
    await asyncio.gather(*flushes)


async def test_flush() -> None:
    """`flush` writes everything now; when it cannot, it raises and keeps what is left."""
    book = Book()
    book.settler.handled(job(1))
    book.ledger.refuse = [DOWN]
    with pytest.raises(ChannelUnavailable):
        await book.settler.flush()
    await book.settler.flush()
    assert book.ledger.handled() == ["1-0"]


async def test_dead_letters_are_written_one_by_one() -> None:
    """Each dead letter is a step of its own: the second's trouble does not repeat the first."""
    book = Book()
    for n in (1, 2):
        book.settler.dead(one := job(n), letter(one))
    await book.settler.flush()
    assert [[each.id for each in write.dead] for write in book.ledger.writes] == [["1-0"], ["2-0"]]


async def test_clearing() -> None:
    """After `clear` nothing is written, and nobody waits for it any more."""
    book = Book()
    book.settler.handled(job(1))
    waiting = asyncio.ensure_future(book.settler.written())
    await asyncio.sleep(0)
    book.ledger.gate = asyncio.Event()
    book.settler.clear()
    book.ledger.gate.set()
    await asyncio.wait((waiting,), timeout=5)
    assert waiting.done()


@pytest.mark.parametrize("refused", [False, True])
async def test_a_write_that_was_under_way_when_everything_was_let_go_changes_nothing(refused: bool) -> None:
    """After `clear` neither its success nor its failure speaks of events that may be in hand again."""
    book = Book()
    book.ledger.gate = asyncio.Event()
    book.settler.handled(job(1))
    await until(lambda: book.settler._writing and not book.settler._handled)
    book.settler.clear()
    if refused:
        book.ledger.refuse.append(DOWN)
    book.ledger.gate.set()
    await until(lambda: book.settler._writing is None)
    book.settler.handled(job(2))
    await book.settler.flush()
    assert book.ledger.handled() == (["2-0"] if refused else ["1-0", "2-0"])
    assert ids(book.settled) == ["2-0"]


def test_the_end_of_the_loop_begins_no_further_write() -> None:
    """A write that is cancelled with the whole program is not followed by another one, which nobody would wait for."""

    async def stuck() -> Book:
        book = Book()
        book.ledger.gate = asyncio.Event()
        for n in range(_settler.FULL):
            book.settler.handled(job(n))
        await asyncio.sleep(0)
        assert book.settler._writing is not None
        return book

    book = asyncio.run(stuck())
    assert book.settler._writing is None
    assert ids(book.settler._handled) == [f"{n}-0" for n in range(_settler.FULL)], "and nothing is forgotten"
