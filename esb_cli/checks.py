"""What `esb doctor` looks at: each check says what it found, whether that is well, and what to do about it."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from . import terminal
from .connection import Connection, candidates
from .lock import Lock
from .workspace import Workspace

if TYPE_CHECKING:
    from esb_runtime.operations import ServerFacts

OLDEST = (6, 2)
"""The oldest Redis that esb works with."""
HARM = ": events with longer arguments take about 60 % more memory"
SKEW = timedelta(seconds=2)


class State(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One finding; `remedy` says what to do where something is not well."""

    name: str
    found: str
    state: State = State.OK
    remedy: str = ""


def versions() -> Iterator[Check]:
    """The programs on this machine."""
    cli, runtime = _installed("esb-cli"), _installed("esb-runtime")
    same = runtime == cli
    yield Check(
        name="esb",
        found=f"{cli} (runtime {runtime or 'missing'}, Python {platform.python_version()})",
        state=State.OK if same else State.PROBLEM,
        remedy="" if same else f"install esb-runtime=={cli} beside esb-cli",
    )
    parser = "with hiredis" if _installed("hiredis") else "without hiredis (esb-runtime[fast] is faster)"
    yield Check(name="redis-py", found=f"{_installed('redis')} {parser}")


def workspace(found: Workspace | None) -> Iterator[Check]:
    """The workspace around the current folder."""
    if found is None:
        yield Check(name="workspace", found="none around this folder")
        return
    yield Check(name="workspace", found=str(found.root))
    yield _template(found)
    yield _interpreter(found)
    lock = Lock.of_workspace()
    if lock is None:
        remedy = f"python -m esb_runtime.lock {' '.join(found.contracts)} --write contract.lock"
        yield Check(name="contract.lock", found="missing", state=State.WARNING, remedy=remedy)
    else:
        count = len({event.contract for event in lock.events})
        yield Check(
            name="contract.lock",
            found=f"{terminal.count(len(lock.events), 'event')} of {terminal.count(count, 'contract')}",
        )


def endpoint(chosen: Connection, asked: str | None) -> Iterator[Check]:
    """Which setting named the server, and which others lost to it."""
    from esb_runtime.operations import Endpoint

    shown = Endpoint.parse(chosen.endpoint).display
    weaker = [each.source for each in candidates(asked) if each.source != chosen.source]
    before = f" (stronger than {' and '.join(weaker)})" if weaker else ""
    yield Check(name="endpoint", found=f"{shown}, from {chosen.source}{before}")
    yield Check(name="password", found=f"from {chosen.password_source}" if chosen.password else "none given")


def server(facts: ServerFacts, local: datetime) -> Iterator[Check]:
    """The server: what it is, and whether its settings suit events."""
    yield _version(facts)
    yield _role(facts)
    yield from _durability(facts)
    yield from _memory(facts)
    yield _listpack(facts)
    yield _clock(facts, local)
    yield _permissions(facts)


def retention(held_up: Mapping[str, str]) -> Iterator[Check]:
    """Groups without a living process that keep a stream from letting go of old events."""
    for stream, group in held_up.items():
        yield Check(
            name="retention",
            found=f"{stream}: group {group} is dead and holds it up",
            state=State.WARNING,
            remedy=f"start a process of the group, or remove it: XGROUP DESTROY {stream} {group}",
        )


def _template(found: Workspace) -> Check:
    """The template's version against this esb's."""
    current, made = _installed("esb-cli"), (found.template or "").removeprefix("v")
    if not made:
        return Check(name="template", found="not recorded (made by hand)", state=State.UNKNOWN)
    older = _numbers(made) < _numbers(current)
    return Check(
        name="template",
        found=f"{made}; this esb has {current}" if made != current else made,
        state=State.WARNING if older else State.OK,
        remedy="esb update" if older else "",
    )


def _interpreter(found: Workspace) -> Check:
    """The workspace's Python and the runtime in it."""
    code = "import importlib.metadata as m; print(m.version('esb-runtime'))"
    try:
        done = subprocess.run(
            [str(found.interpreter), "-c", code], capture_output=True, text=True, timeout=20, check=False
        )
        runtime = done.stdout.strip() if done.returncode == 0 else ""
    except (OSError, subprocess.TimeoutExpired):
        runtime = ""
    if not runtime:
        remedy = "make setup (or install the workspace's packages into .venv)"
        return Check(
            name="interpreter", found=f"{found.interpreter} has no esb-runtime", state=State.PROBLEM, remedy=remedy
        )
    return Check(name="interpreter", found=f"{found.interpreter} (esb-runtime {runtime})")


def _version(facts: ServerFacts) -> Check:
    if not facts.version:
        return Check(name="server", found="it does not say what it is", state=State.UNKNOWN)
    trip = f"{facts.round_trip.total_seconds() * 1000:.1f} ms away"
    newer = f"; has {', '.join(sorted(facts.features))}" if facts.features else ""
    found = f"{facts.flavour} {facts.version}, {facts.mode or 'standalone'}, {trip}{newer}"
    if facts.flavour == "Redis" and _numbers(facts.version) < OLDEST:
        return Check(name="server", found=found, state=State.PROBLEM, remedy="esb needs Redis 6.2 or newer, or Valkey")
    if facts.mode == "cluster":
        return Check(
            name="server", found=found, state=State.PROBLEM, remedy="this version of esb does not speak Redis Cluster"
        )
    return Check(name="server", found=found)


def _role(facts: ServerFacts) -> Check:
    if facts.role in {"slave", "replica"}:
        return Check(
            name="role", found="a replica: it refuses writes", state=State.PROBLEM, remedy="name the primary's address"
        )
    replicas = f", {facts.replicas} replicas" if facts.replicas else ", no replica"
    return Check(name="role", found=f"primary{replicas}" if facts.role else "unknown")


def _durability(facts: ServerFacts) -> Iterator[Check]:
    """What a crash of this server can lose."""
    append, sync = facts.settings.get("appendonly"), facts.settings.get("appendfsync")
    if append is None:
        yield Check(name="append-only", found="it does not say", state=State.UNKNOWN)
    elif append != "yes":
        yield Check(
            name="append-only",
            found="off: a crash loses every event since the last snapshot",
            state=State.WARNING,
            remedy="CONFIG SET appendonly yes, and in redis.conf",
        )
    else:
        lost = {"always": "a crash loses nothing", "everysec": "a crash loses up to a second"}
        yield Check(name="append-only", found=f"on: {lost.get(sync or '', f'appendfsync is {sync}')}")


def _memory(facts: ServerFacts) -> Iterator[Check]:
    """Whether the server may throw events away when it is full."""
    limit = facts.memory_limit or 0
    policy = facts.settings.get("maxmemory-policy", "")
    used = terminal.size(facts.memory) if facts.memory is not None else "?"
    share = f" of {terminal.size(limit)}" if limit else ", no limit"
    full = bool(limit and facts.memory and facts.memory > 0.9 * limit)
    yield Check(
        name="memory",
        found=used + share,
        state=State.WARNING if full else State.OK,
        remedy="trim streams or raise maxmemory: a full server refuses events" if full else "",
    )
    if not policy:
        yield Check(name="eviction", found="it does not say", state=State.UNKNOWN)
    elif policy == "noeviction":
        yield Check(name="eviction", found="noeviction")
    else:
        harm = "it deletes events without a word when it is full"
        yield Check(
            name="eviction",
            found=f"{policy}: {harm}",
            state=State.PROBLEM if limit else State.WARNING,
            remedy="CONFIG SET maxmemory-policy noeviction",
        )


def _listpack(facts: ServerFacts) -> Check:
    """Payloads are small hashes; past this setting they take half as much again."""
    text = facts.settings.get("hash-max-listpack-value", "")
    if not text.isdigit():
        return Check(name="small hashes", found="it does not say", state=State.UNKNOWN)
    small = int(text) < 512
    return Check(
        name="small hashes",
        found=f"hash-max-listpack-value {text}{HARM if small else ''}",
        state=State.WARNING if small else State.OK,
        remedy="CONFIG SET hash-max-listpack-value 512" if small else "",
    )


def _clock(facts: ServerFacts, local: datetime) -> Check:
    """The server's clock against this machine's; ids and positions use the server's."""
    there = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=facts.clock)
    skew = there - local
    words = f"{abs(skew.total_seconds()):.1f} s {'ahead of' if skew > timedelta(0) else 'behind'} this machine"
    if abs(skew) > SKEW:
        return Check(
            name="clock", found=words, state=State.WARNING, remedy="let NTP set both clocks; -1h is the server's hour"
        )
    return Check(name="clock", found="agrees with this machine's")


def _permissions(facts: ServerFacts) -> Check:
    """Whether the user may run what esb needs."""
    user = f"user {facts.user}" if facts.user else "this user"
    if facts.denied is None:
        return Check(name="permissions", found=f"{user}: it does not say (ACL DRYRUN)", state=State.UNKNOWN)
    if facts.denied:
        names = " ".join(f"+{name.lower()}" for name in facts.denied)
        return Check(
            name="permissions",
            found=f"{user} may not run {', '.join(facts.denied)}",
            state=State.PROBLEM,
            remedy=f"ACL SETUSER {facts.user} {names}",
        )
    return Check(name="permissions", found=f"{user} may run all that esb needs")


def _installed(name: str) -> str:
    """The version of a distribution; "" without it."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _numbers(text: str) -> tuple[int, ...]:
    """The leading numbers of a version."""
    parts: list[int] = []
    for part in text.split(".")[:3]:
        digits = "".join(character for character in part if character.isdigit())
        if not digits:
            break
        parts.append(int(digits))
    return tuple(parts)
