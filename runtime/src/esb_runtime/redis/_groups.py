"""Acting on groups in Redis: what they have in hand, who has it, and where they stand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from .._envelope import Stored
from .._errors import GroupLost
from .._group_moves import Claimed, GroupControl, GroupMove, PendingEvent, before
from .._identifiers import entry_order
from . import _keys, _wire
from ._connection import Connection
from ._frames import Word
from ._refusals import refusal

SLICE = 2000
"""Entries that one script counts."""
PER_CALL = 1000


class RedisGroupControl(GroupControl):
    """Acts on groups; see `GroupControl`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    # --- looking

    async def pending(
        self, stream: str, group: str, *, after: str, count: int, consumer: str | None = None, idle: timedelta
    ) -> list[PendingEvent]:
        """A page of pending events with their names, their holders' state and their failures, in two round trips."""
        words: list[Word] = ["XPENDING", stream, group]
        if idle:
            words += ("IDLE", _milliseconds(idle))
        words += (f"({after}", "+", count, *([consumer] if consumer is not None else []))
        found: list[Any] = await self._connection.call(*words, stream=stream, group=group)
        if not found:
            return []
        ids = [entry[0].decode() for entry in found]
        holders = sorted({entry[1].decode() for entry in found})
        failures, *living = await self._pipeline(
            stream,
            [
                ("HMGET", _keys.failures_key(stream, group), *ids),
                *[("EXISTS", _keys.lease_key(stream, group, holder)) for holder in holders],
            ],
        )
        alive = {holder for holder, lives in zip(holders, living, strict=True) if lives}
        events = await self._entries(stream, ids)
        return [
            _pending(event, entry, int(failed or 0), alive)
            for event, entry, failed in zip(events, found, failures, strict=True)
        ]

    async def _entries(self, stream: str, ids: Sequence[str]) -> list[Stored]:
        replies: list[Any] = await self._connection.run("entries", (stream,), ids)
        return [
            _wire.stored_event(stream, id_, words) if words else _wire.gone_event(stream, id_)
            for id_, words in zip(ids, replies, strict=True)
        ]

    async def _pipeline(self, stream: str, commands: Sequence[Sequence[Word]]) -> list[Any]:
        replies = await self._connection.pipeline(commands)
        for reply in replies:
            if isinstance(reply, Exception):
                raise refusal(self._connection.endpoint, stream, str(reply))
        return replies

    async def _count(self, stream: str, after: str, last: str, heard: Callable[[int], None]) -> int:
        """Entries behind `after`, up to `last`."""
        total = 0
        if entry_order(after) >= entry_order(last):
            return 0
        while True:
            reply: list[Any] = await self._connection.run("count", (stream,), (f"({after}", last, SLICE))
            total += int(reply[0])
            heard(reply[0])
            if reply[0] < SLICE:
                return total
            after = reply[1].decode()

    async def _count_pending(self, stream: str, group: str, first: str, last: str) -> int:
        total = 0
        while True:
            found: list[Any] = await self._connection.call(
                "XPENDING", stream, group, first, last, PER_CALL, stream=stream, group=group
            )
            total += len(found)
            if len(found) < PER_CALL:
                return total
            first = f"({found[-1][0].decode()}"

    # --- moving

    async def plan(
        self,
        stream: str,
        group: str,
        first: str,
        *,
        drop: bool,
        progress: Callable[[int], None] | None = None,
    ) -> GroupMove:
        """Count what a move would do."""
        info, delivered = await self._standing(stream, group)
        last = info[b"last-generated-id"].decode()
        position = _position(first, last)
        low, high = sorted((position, delivered), key=entry_order)
        counted = 0

        def heard(count: int) -> None:
            nonlocal counted
            counted += count
            if progress is not None:
                progress(counted)

        between = await self._count(stream, low, high, heard)
        beyond = await self._count(stream, high, last, heard)
        back = entry_order(position) < entry_order(delivered)
        waiting = await self._count_pending(stream, group, "-", position)
        return GroupMove(
            stream=stream,
            group=group,
            delivered=delivered,
            position=position,
            again=between if back else 0,
            restarted=await self._count_pending(stream, group, f"({position}", "+"),
            skipped=0 if back else between,
            kept=0 if drop else waiting,
            dropped=waiting if drop else 0,
            ahead=between + beyond if back else beyond,
            alive=await self._alive(stream, group),
            drop=drop,
        )

    async def _standing(self, stream: str, group: str) -> tuple[dict[bytes, Any], str]:
        """The stream's own numbers, and the last id that the group was given."""
        about, groups = await self._pipeline(stream, [("XINFO", "STREAM", stream), ("XINFO", "GROUPS", stream)])
        for each in map(_pairs, groups):
            if each[b"name"] == group.encode():
                return _pairs(about), each[b"last-delivered-id"].decode()
        raise GroupLost(stream, group)

    async def _consumers(self, stream: str, group: str) -> list[str]:
        listed = await self._connection.call("XINFO", "CONSUMERS", stream, group, stream=stream, group=group)
        names = [_pairs(each)[b"name"].decode() for each in listed]
        return [name for name in names if _keys.is_process(name)]

    async def _alive(self, stream: str, group: str) -> tuple[str, ...]:
        names = await self._consumers(stream, group)
        leases = await self._pipeline(stream, [("EXISTS", _keys.lease_key(stream, group, name)) for name in names])
        return tuple(name for name, lives in zip(names, leases, strict=True) if lives)

    async def move(self, plan: GroupMove, *, live: bool) -> GroupMove:
        """Do what was planned; with living consumers, say what it came to."""
        stream, group = plan.stream, plan.group
        info, _ = await self._standing(stream, group)
        last = info[b"last-generated-id"].decode()
        ahead = await self._count(stream, plan.position, last, lambda _: None)
        added = info.get(b"entries-added")
        keys = [
            stream, _keys.owner_key(stream, group), _keys.failures_key(stream, group), _keys.floor_key(stream, group),
            _keys.epoch_key(stream, group),
            *[_keys.lease_key(stream, group, name) for name in await self._consumers(stream, group)],
        ]  # fmt: skip
        words = (
            group, plan.position, "" if added is None else max(added - ahead, 0), plan.delivered,
            "drop" if plan.drop else "keep", "live" if live else "",
        )  # fmt: skip
        reply: list[Any] = await self._connection.run("move", keys, words, group=group)
        return await self._moved(plan, reply, ahead)

    async def _moved(self, plan: GroupMove, reply: list[Any], ahead: int) -> GroupMove:
        delivered = reply[0].decode()
        back = entry_order(plan.position) < entry_order(delivered)
        low, high = sorted((plan.position, delivered), key=entry_order)
        between = await self._count(plan.stream, low, high, lambda _: None)
        return replace(
            plan,
            delivered=delivered,
            again=between if back else 0,
            restarted=reply[1],
            skipped=0 if back else between,
            kept=reply[3],
            dropped=reply[2],
            ahead=ahead,
        )

    # --- handing over

    async def claim(
        self, stream: str, group: str, holder: str, *, ids: Sequence[str], idle: timedelta, to: str
    ) -> Claimed:
        """Page by page; each page is one step, and the named ids are one page."""
        page: list[str] = list(ids)
        more, after = not ids, "0-0"
        moved = gone = 0
        while True:
            if more:
                found: list[Any] = await self._connection.call(
                    "XPENDING", stream, group, "IDLE", _milliseconds(idle), f"({after}", "+", PER_CALL, holder,
                    stream=stream, group=group,
                )  # fmt: skip
                page = [str(entry[0].decode()) for entry in found]
                more = len(found) == PER_CALL
            if page:
                keys = (stream, _keys.owner_key(stream, group))
                words = (group, holder, to or _keys.RELEASED, *page)
                reply: list[int] = await self._connection.run("claim", keys, words, group=group)
                moved, gone, after = moved + reply[0], gone + reply[1], page[-1]
            if not more:
                return Claimed(moved=moved, gone=gone)


def _position(first: str, last: str) -> str:
    """The id to stand at so that `first` comes next; never past the newest, or later events would be skipped too."""
    if first == "-":
        return "0-0"
    if first == "+":
        return last
    return min(before(first), last, key=entry_order)


def _pending(event: Stored, entry: Sequence[Any], failures: int, alive: set[str]) -> PendingEvent:
    holder = entry[1].decode()
    return PendingEvent(
        id=event.key.id,
        event=event.event,
        version=event.version if event.event else 0,
        consumer=holder if _keys.is_process(holder) else "",
        waits_for=_keys.kind_left(holder) or "",
        alive=holder in alive,
        idle=timedelta(milliseconds=int(entry[2])),
        starts=int(entry[3]),
        failures=failures,
        problem=event.problem,
        removed=bool(event.problem) and not event.raw,
    )


def _pairs(reply: Sequence[Any]) -> dict[bytes, Any]:
    return dict(zip(reply[::2], reply[1::2], strict=True))


def _milliseconds(duration: timedelta) -> int:
    return max(duration // timedelta(milliseconds=1), 0)
