"""Lanes: events of one key run one at a time, in the order in which they came."""

from __future__ import annotations

from collections import deque

from ._job import Job


class Lanes:
    """Decides which events may run now. The first of a lane runs; its followers wait behind it."""

    def __init__(self) -> None:
        self._lanes: dict[str, deque[Job]] = {}

    def enter(self, job: Job) -> bool:
        """Take an event in; true when it may run at once."""
        if job.lane is None:
            return True
        waiting = self._lanes.get(job.lane)
        if waiting is None:
            self._lanes[job.lane] = deque((job,))
            return True
        waiting.append(job)
        return False

    def leave(self, job: Job) -> Job | None:
        """The first of its lane is settled; returns the follower that may run now."""
        waiting = self._lanes.get(job.lane) if job.lane is not None else None
        if job.lane is None or not waiting or waiting[0] is not job:
            return None
        waiting.popleft()
        if waiting:
            return waiting[0]
        del self._lanes[job.lane]
        return None

    def head(self, job: Job) -> Job:
        """The event that `job` waits for (itself when it waits for nobody)."""
        return job if job.lane is None else self._lanes[job.lane][0]

    def followers(self, job: Job) -> list[Job]:
        """Who waits behind the first of a lane, in order."""
        return [] if job.lane is None else list(self._lanes[job.lane])[1:]

    def clear(self) -> None:
        """Forget everything (the events are pending in the group, not lost)."""
        self._lanes.clear()
