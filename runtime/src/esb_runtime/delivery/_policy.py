"""What happens to an event after a start of its handler: a pure decision, so that it can be tested by itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from .._ports import DeadLetter
from .._settings import Acknowledge, Retry
from ._job import Attempt, Job, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The options of a subscription that concern delivery; see `Backbone.subscribe` for what each means."""

    concurrency: int = 1
    lease: timedelta = timedelta(seconds=60)
    drain: timedelta = timedelta(seconds=30)
    retry: Retry = field(default_factory=Retry)
    acknowledge: Acknowledge = Acknowledge.ON_SUCCESS
    ordered: bool = False
    handler_timeout: timedelta | None = None
    idempotent: bool = False
    """Whether the group remembers what it handled, so that it can handle each message id once."""
    max_parked: int = 100_000
    together: int = 0
    """Events that batch handlers collect before they handle any of them."""
    max_buffered: int = 1_000
    max_buffered_bytes: int = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack:
    """The event is handled."""


ACK = Ack()


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Nothing was said (manual acknowledgement): it stays pending until somebody says something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """Try again after a while."""

    after: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Bury:
    """Move it to the dead letters."""

    letter: DeadLetter


Decision = Ack | Hold | Again | Bury


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """How a handler failed: words and a traceback without argument values. `final`: trying again cannot help."""

    reason: str
    traceback: str = ""
    final: bool = False
    implementers: str = ""
    """Who should get the event instead: processes of the group that implement this (`SeatOptions.implements`)."""


def decide(attempt: Attempt, failure: Failure | None, policy: Policy) -> Decision:
    """What follows from how the handler ended (`failure` is None when it returned) and from what it said."""
    if attempt.verdict is Verdict.ACK:
        return ACK
    if attempt.verdict is Verdict.REJECT:
        return Bury(letter=letter_for(attempt.job, attempt.reason))
    if attempt.verdict is Verdict.NACK and failure is None:
        return _again(attempt.job, Failure(reason=attempt.reason), attempt.after, policy.retry)
    if failure is None:
        return Hold() if policy.acknowledge is Acknowledge.MANUAL else ACK
    if failure.final:
        return Bury(letter=letter_for(attempt.job, failure.reason, failure.traceback))
    if policy.acknowledge is Acknowledge.ON_FINISH:
        return ACK
    return _again(attempt.job, failure, attempt.after, policy.retry)


def _again(job: Job, failure: Failure, after: timedelta | None, retry: Retry) -> Decision:
    failures = job.failures + 1
    if failures >= retry.attempts:
        return Bury(letter=letter_for(job, failure.reason, failure.traceback))
    return Again(after=after if after is not None else retry.delay(failures))


def crashed_too_often(job: Job, retry: Retry) -> DeadLetter | None:
    """The dead letter of an event whose handler never got to an outcome, when that happened too often."""
    if job.crashes < retry.crashes:
        return None
    return letter_for(job, f"its handler was started {job.crashes} times and never came to an end: the process died")


def letter_for(job: Job, reason: str, traceback: str = "") -> DeadLetter:
    """A dead letter in these words."""
    return DeadLetter(
        id=job.id, message_id=job.message_id, reason=reason, attempts=max(job.starts, 1), traceback=traceback
    )
