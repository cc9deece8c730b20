"""Runs the events in this process's hands: lanes decide who may start, handlers run, outcomes go to the settler."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from time import monotonic

from .._envelope import Stored
from .._errors import ChannelError, OwnershipLost
from .._ports import DeadLetter, Seat
from .._settings import Acknowledge
from ._batches import Batches
from ._buffer import Buffer
from ._job import Attempt, Job, Verdict
from ._lanes import Lanes
from ._limits import TimeLimit
from ._policy import Ack, Again, Bury, Failure, Hold, Policy, crashed_too_often, decide, letter_for
from ._repeats import Repeats
from ._schedule import Schedule
from ._settler import Settler
from ._work import Work

logger = logging.getLogger("esb_runtime")

LOOK_AHEAD = 50
"""Parked followers of a key that are loaded together when their turn comes."""
SLICE = 0.001
"""Seconds after which handlers that never wait let the loop's other work (acks, reads) happen."""
DEAF = 5.0
"""Seconds after which a handler that ignores its cancellation is no longer waited for."""


class Runner:
    """The events of one seat between being taken and being settled."""

    def __init__(
        self, seat: Seat, work: Work, policy: Policy, *, name: str, group: str, broken: Callable[[BaseException], None]
    ) -> None:
        self._seat = seat
        self._work = work
        self._policy = policy
        self._automatic = policy.acknowledge is not Acknowledge.MANUAL
        self._name = name
        self._group = group
        self._broken = broken
        self._loop = asyncio.get_running_loop()
        self._jobs: dict[str, Job] = {}
        self._lanes = Lanes()
        self._buffer = Buffer(policy, name=name)
        self._schedule = Schedule(concurrency=policy.concurrency, work=self._worker)
        self._batches = Batches(self)
        self._repeats = Repeats(seat)
        self.limit = TimeLimit(policy.handler_timeout)
        self._settler = Settler(seat, settled=self._settled, broken=self._unwritten)
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._burying: set[str] = set()
        self._postponed: list[Job] = []
        self._cancelled = False
        self._ending: asyncio.Future[None] | None = None
        self.epoch = 0

    # --- what the engine asks

    def in_hand(self) -> frozenset[str]:
        """The ids of the events that are in this process's hands now."""
        return frozenset(self._jobs)

    @property
    def busy(self) -> bool:
        """Whether anything waits or runs."""
        return self._buffer.busy

    def appetite(self) -> int:
        """How many more events may be taken now."""
        return self._buffer.appetite()

    async def room(self) -> None:
        """Wait until more events may be taken."""
        waiting = next(iter(self._timers), "")
        await self._buffer.room(f"the retry of event {waiting}" if waiting else "")

    def admit(self, jobs: Iterable[Job]) -> None:
        """Take events in hand; one that is there already stays as it is."""
        new = {job.id: job for job in jobs if job.id not in self._jobs}
        self._jobs.update(new)
        self._buffer.load(new.values())
        ready: list[Job] = []
        for job in new.values():
            if job.lane is not None and not self._lanes.enter(job):
                if self._lanes.head(job).id in self._timers:
                    self._buffer.park(job)
            elif job.starts and job.crashes > 1:  # it may have been chance once; then a crash loop slows down
                self._park(job, self._policy.retry.delay(job.crashes - 1))
            else:
                ready.append(job)
        self._schedule.add(ready)

    def resume(self) -> None:
        """The connection works again: go on with what an outage stopped."""
        postponed, self._postponed = self._postponed, []
        self._schedule.add(postponed)
        self._settler.retry()

    async def drop(self) -> None:
        """Let go of everything: other processes take these events over."""
        self.epoch += 1
        self._cancelled = True
        self._schedule.close()
        self._batches.take_open()
        await self._end(DEAF)
        for timer in self._timers.values():
            timer.cancel()
        self._settler.clear()
        for state in (self._timers, self._jobs, self._burying, self._postponed, self.limit):
            state.clear()
        self._lanes.clear()
        self._buffer.clear()
        self._repeats.clear()
        self._schedule.reopen()
        self._cancelled = False

    def close(self) -> None:
        """Start nothing more."""
        self._schedule.close()

    async def drain(self, limit: timedelta) -> None:
        """Start nothing more; let what runs end within the limit, then cancel it."""
        self.close()
        self._take_open_batches()
        for timer in self._timers.values():
            timer.cancel()
        idle = asyncio.ensure_future(self._idle())
        await asyncio.wait((idle,), timeout=limit.total_seconds())
        if not idle.done():
            idle.cancel()
            self._cancelled = True
            logger.warning("%s: %d handlers did not end in time and are cancelled", self._name, self._schedule.running)
            await self._end(DEAF)

    async def flush(self) -> None:
        """Write every outcome now."""
        await self._settler.flush()

    def left(self) -> dict[str, int]:
        """What is still in hand: id to starts, without those that this clean stop interrupts."""
        return {job.id: job.starts for job in self._jobs.values()}

    def cancel_handlers(self) -> None:
        """Another process took over while this one drains: what runs here is to end."""
        self.epoch += 1
        self._cancelled = True
        self._ending = asyncio.ensure_future(self._end(DEAF))

    async def _idle(self) -> None:
        await self._schedule.idle()
        self._take_open_batches()  # a start that was under way when the batches were closed opened a new one
        await self._batches.idle()

    def _take_open_batches(self) -> None:
        for attempt in self._batches.take_open():
            self._repeats.release(attempt.job)

    async def _end(self, limit: float) -> None:
        ended = asyncio.gather(self._schedule.cancel(), self._batches.cancel())
        await asyncio.wait((ended,), timeout=limit)

    # --- running

    async def _worker(self) -> None:
        """Start one event after another, as long as there is one that may start.

        All of it in one coroutine and few calls: what is done here is done for every event.
        """
        schedule, work, limit, began = self._schedule, self._work, self.limit, monotonic()
        idempotent, collects = self._policy.idempotent, work.collects
        while True:
            if monotonic() - began > SLICE:
                await asyncio.sleep(0)
                began = monotonic()
            job = schedule.take()
            if job is None:
                return
            try:
                stored = job.stored
                if stored is None or stored.problem or job.starts or job.done or idempotent:
                    stored = await self._cleared(job)
                    if stored is None:
                        continue
                attempt = Attempt(job, stored, job.starts + 1, self.epoch, self)
                if collects and (plan := work.plan_of(stored)) is not None:
                    self._batches.add(plan, attempt)
                    continue
                failure = None
                try:
                    handling = work.handle(attempt)
                    await (limit.kept(handling, (attempt,)) if limit.seconds else handling)
                except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - whatever a handler raises is its outcome
                    failure = self._failure((attempt,), error)
                if failure is not None and failure.implementers and not job.unclaimed:
                    await self._pass_on(job, failure.implementers)
                else:
                    self._finish(attempt, failure)
            except ChannelError as error:
                self._repeats.release(job)
                self._postponed.append(job)
                self._broken(error)
            finally:
                schedule.ended(job)

    async def _cleared(self, job: Job) -> Stored | None:
        """What an event that is not simply new needs before its handler starts; None where there is no start."""
        stored = job.stored if job.stored is not None else await self._load(job)
        problem = stored.problem
        letter = letter_for(job, problem) if problem else crashed_too_often(job, self._policy.retry)
        if letter is not None:
            self._bury(job, letter)
            return None
        if job.done or (self._policy.idempotent and await self._repeats.handled(job)):
            self._handled(job)
            return None
        if job.starts:
            await self._count(job)
        return stored

    async def _count(self, job: Job) -> None:
        """The server's counter says how often handlers started; a delivery has counted the first start already."""
        if job.suspect:
            # if this one kills the process, its neighbours' outcomes must stand: theirs would look like crashes too
            await self._settler.written()
        await self._seat.starting({job.id: job.starts + 1})

    async def _load(self, job: Job) -> Stored:
        """Bring a parked event's payload back, and those of its next followers with it."""
        turn = [job, *[j for j in self._lanes.followers(job)[:LOOK_AHEAD] if j.stored is None]]
        for one, stored in zip(turn, await self._seat.load([j.id for j in turn]), strict=True):
            if one.stored is None and one.id in self._jobs:
                one.give(stored)
                self._buffer.load((one,))
        return job.stored if job.stored is not None else (await self._seat.load([job.id]))[0]

    async def _pass_on(self, job: Job, implementers: str) -> None:
        """Leave an event to a process of the group that implements it; this start of it does not count."""
        await self._seat.hand_back({job.id: job.starts}, to=implementers)
        self._jobs.pop(job.id, None)
        self._repeats.release(job)
        self._buffer.forget((job,))
        self._next_of(job)

    async def run_batch(self, attempts: Sequence[Attempt]) -> None:
        """Handle a batch; its events share the handler's outcome unless one of them said otherwise."""
        failure = None
        try:
            handling = self._work.handle_batch(attempts)
            await (self.limit.kept(handling, attempts) if self.limit.seconds else handling)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - whatever a handler raises is its outcome
            failure = self._failure(attempts, error)
        for attempt in attempts:
            self._finish(attempt, failure)

    def _failure(self, attempts: Sequence[Attempt], error: Exception | asyncio.CancelledError) -> Failure:
        """The failure that a handler's error is; our own cancellation is raised again."""
        task = asyncio.current_task() if isinstance(error, asyncio.CancelledError) else None
        if task is not None and task.cancelling():
            raise error
        return self._work.failure(attempts, error)

    # --- outcomes

    def _finish(self, attempt: Attempt, failure: Failure | None) -> None:
        attempt.finished = True
        if attempt.epoch != self.epoch:
            return  # it belongs to another process now
        if failure is None and attempt.verdict is None and self._automatic:
            self._handled(attempt.job)  # what `decide` would say too: nearly every event comes along here
            return
        if failure is not None:
            logger.warning(
                "%s: %s %s, start %d: %s",
                self._name,
                attempt.stored.event,
                attempt.job.id,
                attempt.number,
                failure.reason,
            )
        self._apply(attempt, failure)

    def _apply(self, attempt: Attempt, failure: Failure | None) -> None:
        job = attempt.job
        job.starts = attempt.number
        attempt.reason = self._work.redacted(attempt, attempt.reason)
        decision = decide(attempt, failure, self._policy)
        match decision:
            case Ack() if attempt.verdict is Verdict.ACK:
                self._buffer.unload(job)  # it was written when the handler said so
                self._next_of(job)
            case Ack():
                self._handled(job)
            case Hold():
                job.starts -= 1  # it ends with the word that may still come
                self._repeats.release(job)
                self._buffer.unload(job)
                self._next_of(job)
            case Again(after=after):
                job.failures += 1
                self._repeats.release(job)
                self._settler.failed(job)
                self._park(job, after)
            case Bury(letter=letter):
                self._bury(job, letter)

    def _handled(self, job: Job) -> None:
        self._buffer.unload(job)
        self._settler.handled(job)
        if job.lane is not None:
            self._next_of(job)

    def _bury(self, job: Job, letter: DeadLetter) -> None:
        logger.error("%s: event %s goes to the dead letters: %s", self._name, job.id, letter.reason)
        self._buffer.unload(job)
        self._burying.add(job.id)  # its key goes on when the dead letter is written
        self._settler.dead(job, letter)

    def _park(self, job: Job, after: timedelta) -> None:
        """Wait for the next try; who waits behind it is kept by id only."""
        self._buffer.park(job)
        for follower in self._lanes.followers(job):
            self._buffer.park(follower)
        self._timers[job.id] = self._loop.call_later(after.total_seconds(), self._try_again, job)

    def _try_again(self, job: Job) -> None:
        self._timers.pop(job.id, None)
        self._schedule.add((job,))

    def _next_of(self, job: Job) -> None:
        follower = self._lanes.leave(job)
        if follower is not None:
            self._schedule.add((follower,))

    def _settled(self, jobs: Sequence[Job]) -> None:
        """Their outcomes are durable."""
        self._buffer.forget(jobs)
        for job in jobs:
            self._jobs.pop(job.id, None)
        if self._policy.idempotent:
            for job in jobs:
                self._repeats.release(job)
        for job in jobs if self._burying else ():
            if job.id in self._burying:
                self._burying.discard(job.id)
                self._next_of(job)

    def _unwritten(self, error: BaseException) -> None:
        if isinstance(error, ChannelError):
            self._broken(error)
        elif not isinstance(error, asyncio.CancelledError):
            self._loop.call_exception_handler({"message": "esb could not write outcomes", "exception": error})

    # --- what attempts say (see Desk)

    @property
    def cancelled(self) -> bool:
        """Whether handlers should give up."""
        return self._cancelled

    def now(self) -> float:
        """The loop's clock, in seconds."""
        return self._loop.time()

    async def group_epoch(self) -> int:
        """The group's epoch, as the server has it now."""
        return await self._seat.epoch()

    async def acknowledge(self, attempt: Attempt) -> None:
        """Write an acknowledgement that came from inside a handler, or after it. Raises `OwnershipLost`."""
        if attempt.epoch != self.epoch:
            raise OwnershipLost(attempt.stored.key.stream, self._group)
        self._settler.handled(attempt.job)
        await self._settler.written()

    async def settle_late(self, attempt: Attempt) -> None:
        """Apply a nack or reject that came after the handler had ended."""
        if attempt.epoch != self.epoch:
            raise OwnershipLost(attempt.stored.key.stream, self._group)
        attempt.job.lane = None  # its key has gone on long ago: the event runs again by itself, or is buried
        self._apply(attempt, None)
        await self._settler.written()
