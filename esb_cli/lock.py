"""The workspace's `contract.lock`: what its events are, known without importing the user's code.

The file holds a JSON Schema per event; `python -m esb_runtime.lock` writes it. Arguments are checked against it before
anything is sent.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast

from .failures import Exit, Failure
from .formats import Schema, is_object
from .schema import MISSING, UNKNOWN, Fitter, Misfit, Problem
from .workspace import Workspace

FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedEvent:
    """An event as a contract declares it; `parameters` is a JSON Schema of an object."""

    contract: str
    uri: str | None
    event: str
    version: int
    parameters: Schema
    key: str | None = None
    personal: frozenset[str] = frozenset()
    deprecated: Mapping[str, Any] | None = None

    @property
    def title(self) -> str:
        """`order_placed` or, from version 2 on, `order_placed v2`."""
        return self.event if self.version == 1 else f"{self.event} v{self.version}"

    @property
    def fitter(self) -> Fitter:
        """What fits values to this event's parameters."""
        return Fitter(definitions=self.parameters.get("$defs", {}))

    @property
    def properties(self) -> Mapping[str, Schema]:
        """The schema of each argument."""
        properties: Mapping[str, Schema] = self.parameters.get("properties", {})
        return properties

    def schema_of(self, path: Sequence[str]) -> Schema | None:
        """The schema of an argument, or of a part of one; None for what the contract does not know."""
        schema: Schema | None = self.parameters
        for name in path:
            schema = self.fitter.inside(schema, name) if schema is not None else None
        return schema

    def checked(self, arguments: Mapping[str, object]) -> dict[str, object]:
        """The arguments as the event carries them. Raises `Failure` (5) naming each argument and its type."""
        closed = {**self.parameters, "type": "object", "additionalProperties": False}
        try:
            fitted = self.fitter.fit(arguments, closed, "")
        except Misfit as problem:
            raise Failure(self._wrong(problem.problems), Exit.BAD_DATA) from None
        values = cast("dict[str, object]", fitted)
        return {name: values[name] for name in self.properties if name in values}

    def ordering_key(self, arguments: Mapping[str, object]) -> str | None:
        """The value of the event's `key`, a path into its arguments; None without one."""
        if self.key is None:
            return None
        value: Any = arguments
        for name in self.key.split("."):
            value = value.get(name) if is_object(value) else None
        return None if value is None else str(value)

    def _wrong(self, problems: Sequence[Problem]) -> str:
        lines = [self._line(problem) for problem in problems]
        head = f"{self.title} does not fit its contract {self.contract}; nothing was sent"
        return head + "".join(f"\n  {line}" for line in lines)

    def _line(self, problem: Problem) -> str:
        if problem.found == UNKNOWN:
            names = problem.expected.split(", ")
            near = get_close_matches(problem.path.rpartition(".")[2], names, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {problem.expected or 'none'}"
            return f"unknown argument {problem.path}: {hint}"
        if problem.found == MISSING:
            return f"missing argument {problem.path}: expected {problem.expected}"
        return f"argument {problem}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """All events that are known, and where that is from."""

    events: Sequence[LockedEvent]
    source: str

    @classmethod
    def of_workspace(cls) -> Lock | None:
        """The lock of the workspace around the current folder; None without workspace or file."""
        workspace = Workspace.find()
        if workspace is None or not workspace.lock.exists():
            return None
        try:
            text = workspace.lock.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as problem:
            raise Failure(f"{workspace.lock} cannot be read: {problem}", Exit.BAD_DATA) from None
        return cls.parse(text, source="contract.lock")

    @classmethod
    def of_contract(cls, name: str) -> Lock:
        """The lock of a contract class (`module:Class`), as the workspace's own interpreter sees it."""
        workspace = Workspace.find()
        python = workspace.interpreter if workspace else Path(_own_python())
        done = subprocess.run(
            [str(python), "-m", "esb_runtime.lock", name],
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
            env=workspace.environment() if workspace else None,
        )
        if done.returncode:
            words = done.stderr.strip().splitlines()
            reason = words[-1].removeprefix("error: ") if words else "the contract could not be loaded"
            raise Failure(f"{name}: {reason}", Exit.NOT_FOUND if done.returncode == 4 else Exit.BAD_DATA)
        return cls.parse(done.stdout, source=name)

    @classmethod
    def parse(cls, text: str, *, source: str) -> Lock:
        """Read a lock. Raises `Failure` (5) when it is none, or of a newer format."""
        try:
            document = json.loads(text)
            if document["format"] > FORMAT:
                raise Failure(f"{source} has format {document['format']}; upgrade esb to read it", Exit.BAD_DATA)
            events = [_event(entry) for entry in document["events"]]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise Failure(
                f"{source} is no contract lock; write it again with `python -m esb_runtime.lock --write`", Exit.BAD_DATA
            ) from None
        return cls(events=events, source=source)

    def find(self, uri: str, name: str, version: int | None = None, *, strict: bool = False) -> LockedEvent | None:
        """The event of this name, of the contract of this uri first; the newest version unless one is asked for.

        None when the lock knows neither the uri nor the name: then there is no contract to check against. Raises
        `Failure` (5) when the uri's contracts are known (with `strict`: in any case) and have no such event, naming
        the nearest.
        """
        named = [event for event in self.events if event.event == name]
        of_uri = [event for event in self.events if event.uri == uri]
        candidates = [event for event in named if event.uri == uri] or named
        if not candidates:
            if of_uri or strict:
                raise Failure(self._unknown(name, of_uri or self.events), Exit.BAD_DATA)
            return None
        if version is None:
            return max(candidates, key=lambda event: (event.deprecated is None, event.version))
        chosen = next((event for event in candidates if event.version == version), None)
        if chosen is None:
            have = ", ".join(str(event.version) for event in sorted(candidates, key=lambda event: event.version))
            raise Failure(f"{name} has no version {version} in {self.source}; it has {have}", Exit.BAD_DATA)
        return chosen

    def personal(self, name: str) -> frozenset[str]:
        """The arguments of an event that are personal in any of its versions."""
        return frozenset[str]().union(*(event.personal for event in self.events if event.event == name))

    def personal_key(self, name: str) -> bool:
        """Whether the ordering key of an event, in any of its versions, is (a part of) a personal argument."""
        return any(
            event.key is not None and event.key.partition(".")[0] in event.personal
            for event in self.events
            if event.event == name
        )

    def _unknown(self, name: str, events: Sequence[LockedEvent]) -> str:
        names = sorted({event.event for event in events})
        near = get_close_matches(name, names, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names) or 'none'}"
        where = ", ".join(sorted({event.contract for event in events})) or self.source
        return f"{where} has no event {name!r}; {hint}"


def _event(entry: Mapping[str, Any]) -> LockedEvent:
    return LockedEvent(
        contract=str(entry["contract"]),
        uri=entry.get("uri"),
        event=str(entry["event"]),
        version=int(entry["version"]),
        parameters=dict(entry["parameters"]),
        key=entry.get("key"),
        personal=frozenset(entry.get("personal") or ()),
        deprecated=entry.get("deprecated"),
    )


def _own_python() -> str:
    import sys

    return sys.executable
