"""Removing the oldest events of a stream in Redis, with everything that belongs to them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from .._identifiers import entry_order
from .._ports import PayloadStore
from .._retention import Cut, Kept, Trimmed, Trimming
from . import _keys, _wire
from ._connection import Connection
from ._frames import Word

SLICE = 50
"""Entries per step: the server is blocked for well under five milliseconds, also when each takes a hash with it
(benchmarks/trimming.py measures it). Large hashes end a step before, in `trim.lua`."""
ROOM = 256 * 1024
"""Bytes after which a step looks at no further entry: payloads inside entries are read with them."""
OUTSIDE = 100
"""Payloads per call of an external store."""
GRACE = timedelta(hours=1)
"""After which a payload in an external store that no entry followed is left over from a crash."""


class RedisTrimming(Trimming):
    """See `Trimming` for the promises."""

    def __init__(self, stream: str, *, commands: Connection, stores: Mapping[str, PayloadStore]) -> None:
        self._stream = stream
        self._commands = commands
        self._stores = stores

    async def slice(self, cut: Cut, *, after: str = "", counted: int = 0, dry_run: bool = False) -> Trimmed:
        """Look at the first entries, then remove those of them that may go, in one step that decides by itself."""
        rule: tuple[Word, ...] = (
            cut.before, -1 if cut.maxlen is None else cut.maxlen, "handled" if cut.handled else "", counted
        )  # fmt: skip
        further, *told = await self._commands.run("heads", (self._stream,), (after, SLICE, ROOM, *rule))
        heads = [tuple(word.decode("utf-8", "replace") for word in told[n : n + 3]) for n in range(0, len(told), 3)]
        if not heads:
            return Trimmed()
        keys = [self._stream]
        words: list[Word] = [
            "dry" if dry_run else "trim", "force" if cut.force else "", cut.before, cut.last,
            *rule[1:], _above(heads[-1][0]), len(heads),
        ]  # fmt: skip
        for id_, message_id, store in heads:
            key, place = self._place(message_id, store)
            keys.append(key)
            words += (id_, message_id, place)
        if cut.force:
            names = await self._groups()
            keys += [_keys.failures_key(self._stream, name) for name in names]
            words += names
        gone, payloads, outside, pinned, stopped_at = await self._commands.run("trim", keys, words)
        last = stopped_at.decode() or heads[-1][0]
        more = stopped_at or (further == b"1" and not pinned and gone == len(heads))
        return Trimmed(
            entries=gone,
            payloads=payloads,
            outside=outside,
            after=last if more else None,
            pinned=tuple(sorted(name.decode("utf-8", "backslashreplace") for name in pinned)),
        )

    def _place(self, message_id: str, store: str) -> tuple[str, str]:
        """The key that an entry's removal touches besides the stream, and what it is."""
        if not message_id or store == _wire.INSIDE.decode():
            return self._stream, ""
        if store == _wire.HASH:
            return _keys.payload_key(self._stream, message_id), "hash"
        return _keys.drop_key(self._stream, store), "outside"

    async def _groups(self) -> list[str]:
        infos: list[Any] = await self._commands.call("XINFO", "GROUPS", self._stream, stream=self._stream)
        return [dict(zip(info[::2], info[1::2], strict=True))[b"name"].decode() for info in infos]

    async def drain(self) -> int:
        """Delete what is queued, and what a crash left without an entry; a failure leaves it queued."""
        if not self._stores:
            return 0
        now = await self._now()
        return sum([await self._drain(store, now) for store in self._stores.values()])

    async def _drain(self, store: PayloadStore, now: int) -> int:
        queue, done = _keys.drop_key(self._stream, store.name), 0
        left_over = now - int(GRACE.total_seconds() * 1000)
        while True:
            found: list[bytes] = await self._commands.call(
                "ZRANGEBYSCORE", queue, "-inf", left_over, "LIMIT", 0, OUTSIDE, stream=queue
            )
            if not found:
                return done
            await store.delete(self._stream, [name.decode() for name in found])
            await self._commands.call("ZREM", queue, *found, stream=queue)
            done += len(found)

    async def sweep(self, grace: timedelta, *, dry_run: bool = False) -> int:
        """Payload hashes without an entry, and dead letters' payloads without a letter."""
        old = f"{await self._now() - int(grace.total_seconds() * 1000)}-0"
        done = 0
        async for keys in self._scan(_keys.payload_key(self._stream, "")):
            done += int(await self._commands.run("sweep", (self._stream, *keys), ("dry" if dry_run else "sweep", old)))
        return done + await self._sweep_letters(dry_run=dry_run)

    async def _sweep_letters(self, *, dry_run: bool) -> int:
        found: dict[str, set[str]] = {}
        async for keys in self._scan(_keys.dead_letter_payloads(self._stream)):
            for key in keys:
                found.setdefault(_keys.letters_of_payload(self._stream, key), set()).add(key)
        done = 0
        for letters, payloads in found.items():
            # a payload and its letter are written together, so one whose letter is not there now belongs to none
            orphans = sorted(payloads - await self._payloads_of(letters))
            done += len(orphans)
            for start in range(0, 0 if dry_run else len(orphans), SLICE):
                await self._commands.call("UNLINK", *orphans[start : start + SLICE], stream=letters)
        return done

    async def _payloads_of(self, letters: str) -> set[str]:
        known: set[str] = set()
        first = "-"
        while True:
            page: list[Any] = await self._commands.call("XRANGE", letters, first, "+", "COUNT", 500, stream=letters)
            for _, words in page:
                source = dict(zip(words[::2], words[1::2], strict=False)).get(b"id", b"").decode("utf-8", "replace")
                known.add(_keys.payload_of_letter(letters, source))
            if len(page) < 500:
                return known
            first = f"({page[-1][0].decode()}"

    async def _scan(self, prefix: str) -> AsyncIterator[list[str]]:
        pattern, cursor = _keys.beginning_with(prefix), b"0"
        while True:
            cursor, keys = await self._commands.call("SCAN", cursor, "MATCH", pattern, "COUNT", 500)
            for start in range(0, len(keys), SLICE):
                yield [key.decode("utf-8", "backslashreplace") for key in keys[start : start + SLICE]]
            if cursor == b"0":
                return

    async def elected(self, holder: str, lease: timedelta) -> bool:
        """Nobody renews it: who gets it trims until it has run out."""
        milliseconds = max(int(lease.total_seconds() * 1000), 1)
        key = _keys.trimmer_key(self._stream)
        return bool(await self._commands.call("SET", key, holder, "NX", "PX", milliseconds, stream=key))

    async def living(self, group: str) -> bool:
        """Whether one of the group's consumers has a lease that runs."""
        infos: list[Any] = await self._commands.call(
            "XINFO", "CONSUMERS", self._stream, group, stream=self._stream, group=group
        )
        names = [dict(zip(info[::2], info[1::2], strict=True))[b"name"].decode() for info in infos]
        leases = [("EXISTS", _keys.lease_key(self._stream, group, name)) for name in names]
        owner = ("EXISTS", _keys.owner_key(self._stream, group))
        return 1 in await self._commands.pipeline([owner, *leases])

    async def note(self, kept: Kept) -> None:
        """Record the policy beside the stream."""
        keep = "" if kept.keep is None else int(kept.keep.total_seconds() * 1000)
        maxlen = "" if kept.maxlen is None else kept.maxlen
        fields = ("keep", keep, "maxlen", maxlen, "handled", int(kept.handled), "pinned", kept.pinned)
        key = _keys.retention_key(self._stream)
        await self._commands.call("HSET", key, *fields, stream=key)

    async def noted(self) -> Kept | None:
        """The policy that is recorded beside the stream."""
        key = _keys.retention_key(self._stream)
        return _kept(await self._commands.call("HGETALL", key, stream=key))

    async def _now(self) -> int:
        seconds, _ = await self._commands.call("TIME")
        return int(seconds) * 1000


async def held_up(commands: Connection, streams: Sequence[str]) -> dict[str, str]:
    """Those of these streams whose retention a dead group holds up, with that group; one round trip for all."""
    ours = [stream for stream in streams if _keys.has_sides(stream)]
    replies = await commands.pipeline([("HGETALL", _keys.retention_key(stream)) for stream in ours]) if ours else []
    kept = {
        stream: _kept(words) for stream, words in zip(ours, replies, strict=True) if not isinstance(words, Exception)
    }
    return {stream: policy.pinned for stream, policy in kept.items() if policy is not None and policy.pinned}


def _kept(words: Sequence[bytes]) -> Kept | None:
    """A policy as `note` wrote it; None where nobody did."""
    told = {words[n].decode(): words[n + 1].decode() for n in range(0, len(words), 2)}
    if not told:
        return None
    return Kept(
        keep=timedelta(milliseconds=int(told["keep"])) if told.get("keep") else None,
        maxlen=int(told["maxlen"]) if told.get("maxlen") else None,
        handled=told.get("handled") == "1",
        pinned=told.get("pinned", ""),
    )


def _above(id_: str) -> str:
    """The lowest id above this one."""
    milliseconds, sequence = entry_order(id_)
    return f"{milliseconds}-{sequence + 1}" if sequence < 2**64 - 1 else f"{milliseconds + 1}-0"
