"""Looking at a Redis server: the commands of tools. Nothing here changes anything, but for `discard`."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeGuard

from .._errors import EsbError, UsageError
from .._identifiers import entry_order
from .._inspection import ConsumerSummary, GroupSummary, Inspection, ServerFacts, StreamSummary
from . import _keys, _wire
from ._connection import Connection
from ._frames import Word
from ._refusals import refusal
from ._trimming import held_up

SETTINGS = ("appendonly", "appendfsync", "maxmemory-policy", "hash-max-listpack-value")
FEATURES = ("HEXPIRE", "HSETEX", "XACKDEL", "XNACK", "WAITAOF", "FUNCTION")
"""Commands of newer servers that are used where they exist."""
_KEY = "esb-doctor"
NEEDED: tuple[tuple[Word, ...], ...] = (
    ("COPY", _KEY, _KEY),
    ("DEL", _KEY),
    ("EVAL", "return 1", "1", _KEY),
    ("EVALSHA", "0" * 40, "1", _KEY),
    ("EXISTS", _KEY),
    ("GET", _KEY),
    ("HDEL", _KEY, "f"),
    ("HGET", _KEY, "f"),
    ("HGETALL", _KEY),
    ("HINCRBY", _KEY, "f", "1"),
    ("HLEN", _KEY),
    ("HMGET", _KEY, "f"),
    ("HSET", _KEY, "f", "v"),
    ("INCR", _KEY),
    ("PEXPIRE", _KEY, "1"),
    ("RENAME", _KEY, _KEY),
    ("SCAN", "0"),
    ("SET", _KEY, "v"),
    ("TIME",),
    ("TYPE", _KEY),
    ("UNLINK", _KEY),
    ("XACK", _KEY, "g", "0-0"),
    ("XADD", _KEY, "*", "f", "v"),
    ("XCLAIM", _KEY, "g", "c", "0", "0-0"),
    ("XDEL", _KEY, "0-0"),
    ("XGROUP", "CREATE", _KEY, "g", "0"),
    ("XGROUP", "DELCONSUMER", _KEY, "g", "c"),
    ("XGROUP", "SETID", _KEY, "g", "0"),
    ("XINFO", "STREAM", _KEY),
    ("XINFO", "GROUPS", _KEY),
    ("XINFO", "CONSUMERS", _KEY, "g"),
    ("XLEN", _KEY),
    ("XPENDING", _KEY, "g"),
    ("XRANGE", _KEY, "-", "+"),
    ("XREAD", "STREAMS", _KEY, "0"),
    ("XREADGROUP", "GROUP", "g", "c", "STREAMS", _KEY, ">"),
    ("XREVRANGE", _KEY, "+", "-"),
    ("XTRIM", _KEY, "MAXLEN", "0"),
    ("ZADD", _KEY, "0", "m"),
    ("ZRANGEBYSCORE", _KEY, "0", "1"),
    ("ZREM", _KEY, "m"),
)
"""A call of every command that producers, consumers and tools run, for ACL DRYRUN; none of them is ever run."""
OPTIONAL = frozenset(
    {"ACL|DRYRUN", "ACL|WHOAMI", "COMMAND|INFO", "CONFIG|GET", "INFO", "MEMORY|USAGE", "WAIT", "WAITAOF", "XSETID"}
)
"""What is done without where it is forbidden: facts about the server, and what only `durability` sends.

Connections themselves send AUTH, and SELECT for another database than 0.
"""
SAMPLE = 8
"""Payloads that are weighed at each end of a stream to estimate all of them."""


class RedisInspection(Inspection):
    """Looks at a Redis server; see `Inspection`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def server(self) -> ServerFacts:
        """What the server is and how it is set; what it does not tell stays empty."""
        began = time.perf_counter()
        seconds, microseconds = await self._connection.call("TIME")
        round_trip = timedelta(seconds=time.perf_counter() - began)
        info, user, commands, *settings = await self._connection.pipeline(
            [
                ("INFO",),
                ("ACL", "WHOAMI"),
                ("COMMAND", "INFO", *FEATURES),
                *[("CONFIG", "GET", name) for name in SETTINGS],
            ]
        )
        told = _info(info)
        name = _text(user)
        return ServerFacts(
            **_identity(told),
            uptime=_seconds(told.get("uptime_in_seconds")),
            processor=_processor(told),
            replicas=_number(told.get("connected_slaves")),
            memory=_number(told.get("used_memory")),
            memory_limit=_number(told.get("maxmemory")),
            settings=_known_settings(told, settings),
            features=frozenset(feature for feature, found in zip(FEATURES, _list(commands), strict=False) if found),
            user=name,
            denied=await self._denied(name),
            clock=int(seconds) * 1000 + int(microseconds) // 1000,
            round_trip=round_trip,
        )

    async def _denied(self, user: str) -> tuple[str, ...] | None:
        """What esb needs and this user may not run; None when the server does not let us ask (before Redis 7)."""
        if not user:
            return None
        replies = await self._connection.pipeline([("ACL", "DRYRUN", user, *call) for call in NEEDED])
        if all(isinstance(reply, Exception) for reply in replies):
            return None
        answers = zip(NEEDED, map(_text, replies), strict=True)
        denied = (str(call[0]) for call, answer in answers if "no permissions to run" in answer)
        return tuple(dict.fromkeys(denied))

    async def summaries(self, streams: Sequence[str]) -> list[StreamSummary]:
        """Each stream in one line, in one round trip for all and one for the weights of payloads."""
        commands: list[Sequence[Word]] = []
        for stream in streams:
            commands += [
                ("XINFO", "STREAM", stream),
                ("MEMORY", "USAGE", stream),
                ("XRANGE", stream, "-", "+", "COUNT", SAMPLE),
                ("XREVRANGE", stream, "+", "-", "COUNT", SAMPLE),
            ]
        replies = await self._connection.pipeline(commands)
        found: list[tuple[str, dict[str, Any], int | None, list[str]]] = []
        for stream, (info, memory, *ends) in zip(streams, _by(4, replies), strict=True):
            if not isinstance(info, Exception):
                found.append((stream, _pairs(info), _number(memory), _payload_keys(stream, ends)))
        weights = await self._weights([key for *_, keys in found for key in keys])
        return [_summary(stream, info, memory, [weights[key] for key in keys]) for stream, info, memory, keys in found]

    async def _weights(self, keys: Sequence[str]) -> dict[str, int | None]:
        """Bytes of each payload."""
        replies = await self._connection.pipeline([("MEMORY", "USAGE", key) for key in keys]) if keys else []
        return dict(zip(keys, map(_number, replies), strict=True))

    async def groups(self, stream: str) -> list[GroupSummary]:
        """The groups of a stream, by name."""
        listed = [_pairs(group) for group in await self._connection.call("XINFO", "GROUPS", stream, stream=stream)]
        about = _pairs(await self._connection.call("XINFO", "STREAM", stream, stream=stream))
        names = sorted(_text(group["name"]) for group in listed)
        by_name = {_text(group["name"]): group for group in listed}
        commands: list[Sequence[Word]] = []
        for name in names:
            commands += [
                ("XINFO", "CONSUMERS", stream, name),
                ("XPENDING", stream, name),
                ("XLEN", _keys.dead_letter_stream(stream, name)),
                ("GET", _keys.owner_key(stream, name)),
                ("HLEN", _keys.failures_key(stream, name)),
            ]
        replies = _by(5, await self._connection.pipeline(commands) if commands else [])
        trimmed = {name: _trimmed(about, group) for name, group in by_name.items()}
        return [
            await self._group(stream, {**by_name[name], "trimmed": trimmed[name]}, answers)
            for name, answers in zip(names, replies, strict=True)
        ]

    async def _group(self, stream: str, group: Mapping[str, Any], answers: Sequence[Any]) -> GroupSummary:
        consumers, pending, dead, owner, failed = answers
        name = _text(group["name"])
        refused = next((reply for reply in (consumers, pending) if isinstance(reply, Exception)), None)
        if refused is not None:
            raise refusal(self._connection.endpoint, stream, str(refused))
        told = [_pairs(consumer) for consumer in consumers]
        released = sum(int(each["pending"]) for each in told if not _keys.is_process(_text(each["name"])))
        return GroupSummary(
            name=name,
            pending=int(group["pending"]),
            oldest_pending=_text(pending[1]) if pending and pending[1] else "",
            lag=_number(group.get("lag")),
            released=released,
            failing=min(_number(failed) or 0, int(group["pending"])),
            trimmed=group["trimmed"],
            last_delivered=_text(group["last-delivered-id"]),
            dead_letters=_number(dead) or 0,
            dead_letter_stream=_keys.dead_letter_stream(stream, name),
            owner=_text(owner).partition("|")[2],
            consumers=await self._consumers(stream, name, told),
        )

    async def _consumers(
        self, stream: str, group: str, told: Sequence[Mapping[str, Any]]
    ) -> tuple[ConsumerSummary, ...]:
        """The processes of a group; the one that stands for handed-back events is none."""
        real = [each for each in told if _keys.is_process(_text(each["name"]))]
        names = [_text(each["name"]) for each in real]
        commands = [("EXISTS", _keys.lease_key(stream, group, name)) for name in names]
        alive = await self._connection.pipeline(commands) if commands else []
        return tuple(
            ConsumerSummary(
                name=name,
                pending=int(each["pending"]),
                idle=timedelta(milliseconds=int(each["idle"])),
                alive=living == 1,
            )
            for name, each, living in zip(names, real, alive, strict=True)
        )

    async def held_up(self, streams: Sequence[str]) -> dict[str, str]:
        """Those of these streams whose retention a dead group holds up, with that group."""
        return await held_up(self._connection, streams)

    async def discard(self, stream: str) -> None:
        """Delete a stream and all keys that carry its tag, in slices."""
        if _keys.effective_tag(stream) is not None:
            raise UsageError(f"stream {stream!r} has a hash tag of its own: trim it instead")
        await self._connection.call("UNLINK", stream)
        pattern, cursor = _keys.beginning_with(f"{_keys.side_prefix(stream)}:"), b"0"
        while True:
            cursor, keys = await self._connection.call("SCAN", cursor, "MATCH", pattern, "COUNT", 1000)
            if keys:
                await self._connection.call("UNLINK", *keys)
            if cursor == b"0":
                return

    async def kind(self, key: str) -> str:
        """What a key holds, in the server's words."""
        return _text(await self._connection.call("TYPE", key))


def _identity(told: Mapping[str, str]) -> dict[str, Any]:
    """Flavour and version: Valkey calls itself a Redis 7.2.4 first."""
    valkey = told.get("valkey_version")
    return {
        "flavour": "Valkey" if valkey else "Redis" if "redis_version" in told else "",
        "version": valkey or told.get("redis_version", ""),
        "mode": told.get("server_mode") or told.get("redis_mode", ""),
        "role": told.get("role", ""),
    }


def _known_settings(told: Mapping[str, str], replies: Sequence[Any]) -> dict[str, str]:
    """The settings by CONFIG GET; where that is forbidden (managed servers), what INFO says."""
    settings = {name: _text(words[1]) for name, reply in zip(SETTINGS, replies, strict=True) if (words := _list(reply))}
    if "maxmemory_policy" in told:
        settings.setdefault("maxmemory-policy", told["maxmemory_policy"])
    if "aof_enabled" in told:
        settings.setdefault("appendonly", "yes" if told["aof_enabled"] == "1" else "no")
    return settings


def _payload_keys(stream: str, ends: Sequence[Any]) -> list[str]:
    """The payload hashes of a sample of entries, each once."""
    entries = {_text(id_): words for end in ends for id_, words in _list(end)}
    events = [_wire.stored_event(stream, id_, words) for id_, words in entries.items()]
    try:
        return [_keys.payload_key(stream, e.message_id) for e in events if not e.problem and e.store == _wire.HASH]
    except EsbError:
        return []  # a foreign key with stray braces has no payloads of ours


def _summary(stream: str, info: Mapping[str, Any], memory: int | None, payloads: Sequence[int | None]) -> StreamSummary:
    length = int(info["length"])
    weights = [weight for weight in payloads if weight]
    estimate = length * sum(weights) // len(weights) if weights else 0
    return StreamSummary(
        stream=stream,
        length=length,
        first=_end(info.get("first-entry")),
        last=_end(info.get("last-entry")),
        groups=int(info["groups"]),
        memory=None if memory is None else memory + estimate,
    )


def _trimmed(stream: Mapping[str, Any], group: Mapping[str, Any]) -> int:
    """Events that were trimmed before the group was given them; 0 where the server (before Redis 7) cannot tell."""
    added, read = _number(stream.get("entries-added")), _number(group.get("entries-read"))
    first, delivered = _end(stream.get("first-entry")), _text(group["last-delivered-id"])
    if added is None or read is None or (first and entry_order(delivered) >= entry_order(first)):
        return 0
    return max(added - int(stream["length"]) - read, 0)


def _end(entry: Any) -> str:
    return _text(entry[0]) if entry else ""


def _info(reply: Any) -> dict[str, str]:
    """`INFO` as a dictionary."""
    lines = _text(reply).splitlines() if isinstance(reply, bytes) else []
    return dict(line.split(":", 1) for line in lines if ":" in line and not line.startswith("#"))


def _pairs(reply: Sequence[Any]) -> dict[str, Any]:
    """A flat reply of names and values as a dictionary."""
    return {_text(name): value for name, value in zip(reply[::2], reply[1::2], strict=True)}


def _by(size: int, replies: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return [replies[at : at + size] for at in range(0, len(replies), size)]


def _list(reply: Any) -> list[Any]:
    """A reply of several words; none for an error or nothing."""
    return reply if _is_list(reply) else []


def _is_list(reply: Any) -> TypeGuard[list[Any]]:
    return isinstance(reply, list)


def _text(reply: Any) -> str:
    """A reply as text; "" for an error or nothing."""
    return reply.decode("utf-8", "backslashreplace") if isinstance(reply, bytes) else ""


def _number(reply: Any) -> int | None:
    """A reply as a number; None for an error, nothing, or words."""
    if isinstance(reply, bytes | str) and reply.isdigit():
        return int(reply)
    return reply if isinstance(reply, int) and not isinstance(reply, bool) else None


def _seconds(reply: str | None) -> timedelta | None:
    return timedelta(seconds=int(reply)) if reply and reply.isdigit() else None


def _processor(told: Mapping[str, str]) -> timedelta | None:
    """User and system time together."""
    try:
        return timedelta(seconds=float(told["used_cpu_user"]) + float(told["used_cpu_sys"]))
    except (KeyError, ValueError):
        return None
