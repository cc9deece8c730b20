"""What follows from how a handler ended: `decide`, and the waits of `Retry`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esb_runtime import Acknowledge, Retry, UsageError
from esb_runtime.delivery._job import Verdict
from esb_runtime.delivery._policy import Ack, Again, Bury, Failure, Hold, Policy, crashed_too_often, decide

from .kit import attempt, job

FAILED = Failure(reason="ValueError: no", traceback="orders.py:1")
FINAL = Failure(reason="cannot be decoded", final=True)


def decided(failure: Failure | None, *, failures: int = 0, said: Verdict | None = None, **options: Any) -> Any:
    """The decision for an event that failed so often before."""
    made = attempt(job(1, starts=failures + 1, failures=failures))
    made.verdict, made.reason = said, "said so" if said else ""
    return decide(made, failure, Policy(**options))


@pytest.mark.parametrize(
    ("acknowledge", "failure", "outcome"),
    [
        (Acknowledge.ON_SUCCESS, None, Ack),
        (Acknowledge.ON_SUCCESS, FAILED, Again),
        (Acknowledge.ON_FINISH, None, Ack),
        (Acknowledge.ON_FINISH, FAILED, Ack),
        (Acknowledge.MANUAL, None, Hold),
        (Acknowledge.MANUAL, FAILED, Again),
        (Acknowledge.ON_SUCCESS, FINAL, Bury),
        (Acknowledge.ON_FINISH, FINAL, Bury),
        (Acknowledge.MANUAL, FINAL, Bury),
    ],
)
def test_without_a_word(acknowledge: Acknowledge, failure: Failure | None, outcome: type[Any]) -> None:
    """The subscription's `acknowledge` decides where the handler said nothing; what is final is buried."""
    assert isinstance(decided(failure, acknowledge=acknowledge), outcome)


@pytest.mark.parametrize("acknowledge", Acknowledge)
@pytest.mark.parametrize("failure", [None, FAILED, FINAL])
def test_words_win(acknowledge: Acknowledge, failure: Failure | None) -> None:
    """`ack` and `reject` stand, however the handler ends after them."""
    assert isinstance(decided(failure, said=Verdict.ACK, acknowledge=acknowledge), Ack)
    buried = decided(failure, said=Verdict.REJECT, acknowledge=acknowledge)
    assert (buried.letter.reason, buried.letter.id, buried.letter.message_id) == ("said so", "1-0", "m1")


def test_nack_after() -> None:
    """`nack(after=)` sets the wait, and it costs an attempt like any failure."""
    made = attempt(job(1, starts=1))
    made.verdict, made.after = Verdict.NACK, timedelta(seconds=7)
    assert decide(made, None, Policy(acknowledge=Acknowledge.MANUAL)) == Again(after=timedelta(seconds=7))
    assert isinstance(decided(None, failures=4, said=Verdict.NACK), Bury)


@given(st.integers(1, 10), st.integers(0, 12))
def test_attempts(attempts: int, failures: int) -> None:
    """The failure that uses up the attempts buries the event, with its count, reason and traceback."""
    outcome = decided(FAILED, failures=failures, retry=Retry(attempts=attempts))
    assert isinstance(outcome, Bury if failures + 1 >= attempts else Again)
    if isinstance(outcome, Bury):
        letter = outcome.letter
        assert (letter.attempts, letter.reason, letter.traceback) == (failures + 1, FAILED.reason, FAILED.traceback)


@given(st.integers(0, 30), st.integers(0, 30))
def test_crashes(starts: int, failures: int) -> None:
    """Starts without an outcome are counted apart from failures: they bury at `crashes`."""
    failures = min(failures, starts)
    letter = crashed_too_often(job(1, starts=starts, failures=failures), Retry(crashes=3))
    assert (letter is not None) == (starts - failures >= 3)
    if letter is not None:
        assert letter.reason.startswith(f"its handler was started {starts - failures} times")


durations = st.timedeltas(min_value=timedelta(0), max_value=timedelta(hours=1))


@given(st.integers(1, 10_000), durations, durations, st.floats(1, 100), st.floats(0, 1))
def test_the_wait_stays_in_its_bounds(
    failures: int, one: timedelta, other: timedelta, factor: float, jitter: float
) -> None:
    """The wait grows from `first_delay` by `factor` up to `max_delay`, spread by at most `jitter`, never below zero."""
    first, most = sorted((one, other))
    retry = Retry(first_delay=first, max_delay=most, factor=factor, jitter=jitter)
    expected = min(first.total_seconds() * factor ** min(failures - 1, 64), most.total_seconds())
    slack = expected * jitter + 1e-5
    assert max(expected - slack, 0) - 1e-5 <= retry.delay(failures).total_seconds() <= expected + slack


@given(st.integers(1, 100))
def test_the_wait_never_shrinks(failures: int) -> None:
    """Without spread, a later failure waits at least as long."""
    retry = Retry(jitter=0)
    assert retry.delay(failures) <= retry.delay(failures + 1) <= retry.max_delay
    assert retry.delay(1) == retry.first_delay


@pytest.mark.parametrize(
    "wrong",
    [
        {"attempts": 0},
        {"crashes": 0},
        {"factor": 0.5},
        {"jitter": 2},
        {"first_delay": timedelta(seconds=-1)},
        {"first_delay": timedelta(hours=1)},
    ],
)
def test_what_cannot_work(wrong: dict[str, Any]) -> None:
    """A retry policy that cannot work is refused where it is written."""
    with pytest.raises(UsageError, match="Retry"):
        Retry(**wrong)


async def test_an_attempt_settles_once() -> None:
    """The first word counts; what is said after the handler's end reaches the desk."""
    made = attempt(job(1, starts=1))
    await made.nack(None)
    await made.reject("too late")
    assert (made.verdict, made.reason) == (Verdict.NACK, "the handler asked for another try")
    late = attempt(job(2, starts=1))
    late.finished = True
    await late.reject("afterwards")
    assert late.desk.said == ["late"]  # type: ignore[attr-defined]
