"""The consumer's engine for one stream and group: take events, run them, write outcomes, survive everything between."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta

from .._errors import ChannelError, ChannelUnavailable, GroupLost, OwnershipLost
from .._ports import Seat, Taken
from ._backoff import Backoff
from ._heartbeat import Heartbeat
from ._job import jobs_of
from ._policy import Policy
from ._runner import Runner
from ._work import Work

logger = logging.getLogger("esb_runtime")

WAIT = timedelta(seconds=5)
"""Longest wait for new events in one call."""
STANDBY = 0.6
"""Seconds between two tries to become the owner."""
TICK = 0.9
"""Seconds between two looks for events whose process died."""
OWNERS_TICK = 2.0
"""Seconds between an owner's looks for events that somebody gave back to the group."""
PAGE = 100
LAST_WORDS = 10.0
"""Seconds for writing the last outcomes at the end."""
GOODBYES = (0.05, 0.2, 0.5, 0.0)
"""Seconds after each try to leave the group in good order: a cut connection must not cost it a whole lease."""


class Engine:
    """Runs one seat until it is stopped; every outage ends in another session, never in the end of the loop."""

    def __init__(self, seat: Seat, work: Work, policy: Policy, *, stream: str, group: str) -> None:
        self._seat = seat
        self._policy = policy
        self._stream, self._group = stream, group
        self._name = name = f"{stream} / {group}"
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._interrupted: BaseException | None = None
        self._session: asyncio.Task[None] | None = None
        self._tenure: str | None = None
        self._abandoned = False
        self.at_work = False
        """Whether it is reading, or stands by while another process owns the stream: the server answers either way."""
        self._backoff = Backoff(name)
        self._runner = Runner(seat, work, policy, name=name, group=group, broken=self._interrupt)
        self._heartbeat: Heartbeat | None = None

    def uses(self, seat: Seat) -> bool:
        """Whether this is the engine's seat."""
        return self._seat is seat

    async def run(self) -> None:
        """Run until `stop`; then drain, hand back what was not started, and leave the group."""
        stopper = asyncio.create_task(self._stopping.wait())
        drain = self._policy.drain
        try:
            while not self._stopping.is_set():
                self._session = asyncio.create_task(self._one_session())
                await asyncio.wait((self._session, stopper), return_when=asyncio.FIRST_COMPLETED)
                self.at_work = False
                await self._end_session()
                await self._after_session(self._session)
        except asyncio.CancelledError:
            if self._stopping.is_set():
                drain = timedelta()  # it was asked to end before and has not begun to drain: now it is in a hurry
            raise
        finally:
            stopper.cancel()
            self._stopping.set()
            try:
                await self._end_session()
                await self._depart(drain)
            finally:
                self._let_go()

    async def stop(self) -> None:
        """Ask for the end; `run` returns when everything in flight has ended or the drain time is over."""
        self._runner.close()
        self._stopping.set()

    def _let_go(self) -> None:
        """Where even the goodbye was cancelled: a lease that is kept for nobody would stop the whole group."""
        if self._heartbeat is not None:
            self._heartbeat.silence()
            self._runner.cancel_handlers()

    def abandon(self) -> None:
        """Let go of everything at once, as a process that is killed does; the next session begins with nothing."""
        self._abandoned = True
        self._runner.close()
        self._runner.cancel_handlers()

    async def _end_session(self) -> None:
        while self._session is not None and not self._session.done():
            self._session.cancel()
            await asyncio.wait((self._session,), timeout=0.1)  # see _go_on

    # --- one session: from a working connection to the next trouble

    async def _one_session(self) -> None:
        await self._quiet()
        await self._seat.open()
        while not await self._seat.acquire():
            self.at_work = True
            self._go_on()
            await asyncio.sleep(STANDBY)
        self._go_on()
        self._heartbeat = Heartbeat(
            self._seat,
            lease=self._policy.lease,
            lost=self._lost,
            alive=self._runner.limit.respected,
            name=self._name,
        )
        await self._take_up()
        self._backoff.well()
        self.at_work = True
        looking = asyncio.create_task(self._look())
        try:
            await self._read()
        finally:
            looking.cancel()

    async def _quiet(self) -> None:
        """End the last session's heartbeat; it goes on until here, so that what drains keeps its lease."""
        heartbeat, self._heartbeat = self._heartbeat, None
        if heartbeat is not None:
            await heartbeat.stop()

    async def _take_up(self) -> None:
        """Continue where the last session ended, or begin with what others left."""
        tenure = self._seat.tenure
        if self._abandoned or tenure != self._tenure:
            await self._runner.drop()
        self._runner.resume()  # first, or what the outage stopped might leave no room for anything else, for ever
        if tenure == self._tenure and self._policy.ordered:
            await self._reconcile()
            await self._recover()  # what was read away meanwhile: from there on it would be found out
        else:
            await self._recover()  # before anything new, for it is older
            await self._reconcile()
        self._abandoned, self._tenure = False, tenure

    async def _recover(self) -> None:
        """Admit what this process may take over, page by page, in id order."""
        after: str | None = "0-0"
        while after is not None:
            await self._room()
            taken, after = await self._seat.recover(after, PAGE)
            self._admit(taken)

    async def _reconcile(self) -> None:
        """Admit what the group counts as ours though no reply ever said so (the reply was lost)."""
        known = self._runner.in_hand()  # asked first: what is handled meanwhile may still stand in the server's answer
        after: str | None = "0-0"
        while after is not None:
            taken, after = await self._seat.mine(after, PAGE)
            for one in [each for each in taken if each.stored.key.id not in known]:
                await self._room()
                self._admit([_as_it_arrived(one)])

    async def _read(self) -> None:
        """Take new events as room allows."""
        while True:
            await self._room()
            self._admit(await self._seat.read(self._runner.appetite(), WAIT))
            if self._runner.busy:
                await asyncio.sleep(0)

    async def _look(self) -> None:
        """Look for what others left or gave back, beside a read that may wait for long."""
        try:
            while True:
                await asyncio.sleep(OWNERS_TICK if self._policy.ordered else TICK)
                if self._policy.ordered:
                    await self._take_back()
                else:
                    await self._recover()
        except Exception as error:  # noqa: BLE001 - it ends the session, as if the read had met it
            self._interrupt(error)

    async def _take_back(self) -> None:
        """Admit everything that was given back to the group, page after page: a replay may bring many dead letters."""
        while True:
            await self._room()
            taken = await self._seat.returned()
            if not taken:
                return
            self._admit(taken)

    async def _room(self) -> None:
        """Wait until more may be taken, unless the session is over: what it stopped makes no room before the next."""
        self._go_on()
        await self._runner.room()
        self._go_on()

    def _admit(self, taken: Sequence[Taken]) -> None:
        if taken and self._heartbeat is not None:
            self._heartbeat.hurry()
        self._runner.admit(jobs_of(taken, ordered=self._policy.ordered))

    def _go_on(self) -> None:
        """End here when the session's cancellation got lost: redis-py swallows one that meets a reply."""
        if self._interrupted is not None:
            raise self._interrupted
        if self._stopping.is_set():
            raise asyncio.CancelledError

    # --- between sessions

    def _interrupt(self, error: BaseException) -> None:
        """Something outside the session's own calls went wrong: end it, as if it had met the error itself."""
        if self._session is not None and not self._session.done():
            self._interrupted = error
            self._session.cancel()

    def _lost(self) -> None:
        if self._stopping.is_set():
            self._runner.cancel_handlers()
        else:
            self._interrupt(OwnershipLost(self._stream, self._group))

    async def _after_session(self, session: asyncio.Task[None]) -> None:
        own = None if session.cancelled() else session.exception()
        error = self._interrupted or own
        self._interrupted = None
        if self._stopping.is_set() or error is None:
            return
        if not isinstance(error, ChannelError):
            raise error
        if isinstance(error, OwnershipLost):
            await self._runner.drop()  # it is pending, not lost: whoever has it now handles it
            self._tenure = None
        await self._backoff.note(error, self._stopping, at_once=isinstance(error, OwnershipLost | GroupLost))

    async def _depart(self, drain: timedelta) -> None:
        await self._runner.drain(drain)
        trouble: Exception | None = None
        for pause in GOODBYES:
            try:
                await asyncio.wait_for(self._say_goodbye(), timeout=LAST_WORDS)
            except (ChannelError, TimeoutError) as error:
                trouble = error
            else:
                return
            if not isinstance(trouble, ChannelUnavailable):
                break
            await asyncio.sleep(pause)
        await self._quiet()
        logger.warning("%s: left without a word to the group, its lease will run out: %s", self._name, trouble)

    async def _say_goodbye(self) -> None:
        await self._runner.flush()
        await self._quiet()
        await self._give_back(self._runner.left())
        await self._seat.leave()

    async def _give_back(self, back: dict[str, int]) -> None:
        """Return what is in hand, and what the group counts as ours though it never arrived."""
        after: str | None = "0-0"
        while after is not None:
            taken, after = await self._seat.mine(after, PAGE)
            for one in taken:
                back.setdefault(one.stored.key.id, _as_it_arrived(one).starts)
        ids = list(back)
        for start in range(0, len(ids), PAGE):
            await self._seat.hand_back({id_: back[id_] for id_ in ids[start : start + PAGE]})


def _as_it_arrived(taken: Taken) -> Taken:
    """Of an event whose reply was lost, the server has counted a first delivery as a start: nobody started it."""
    if taken.starts > 1 or taken.failures:
        return taken
    return Taken(stored=taken.stored, starts=0, failures=0, done=taken.done)
