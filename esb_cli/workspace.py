"""The workspace around the current folder: the nearest `pyproject.toml` above it with a `[tool.esb]` table.

| setting | means |
|---|---|
| `endpoint` | where its Redis is, when nothing else says so |
| `python` | the interpreter that its programs run in (default: `.venv`, else the one that runs `esb`) |
| `contracts` | the modules that declare its events |
| `programs` | what `esb dev` runs: `name = "module:function"` |
| `connect` | how its programs get their backbone: `module:function` (default: `Backbone.connect`) |
| `sources` | folders that its programs import from, beside what is installed |
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from .failures import Exit, Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """A workspace; `settings` is its `[tool.esb]` table."""

    root: Path
    settings: Mapping[str, Any]

    @classmethod
    def find(cls, start: Path | None = None) -> Workspace | None:
        """The workspace that `start` (default: the current folder) lies in; None outside of one."""
        folder = (start or Path.cwd()).absolute()
        for root in (folder, *folder.parents):
            settings = _settings(root / "pyproject.toml")
            if settings is not None:
                return cls(root=root, settings=settings)
        return None

    @classmethod
    def required(cls) -> Workspace:
        """The workspace of the current folder. Raises `Failure` (usage) outside of one."""
        found = cls.find()
        if found is None:
            raise Failure(
                "this folder is in no workspace (no pyproject.toml with [tool.esb] above it); "
                "run it inside of one, or make one with `esb new`",
                Exit.USAGE,
            )
        return found

    @property
    def state(self) -> Path:
        """The folder of what runs here: the embedded server's state and data. Not in git."""
        return self.root / ".esb"

    @property
    def lock(self) -> Path:
        """The file that describes the contracts."""
        return self.root / "contract.lock"

    @property
    def endpoint(self) -> str | None:
        """The Redis that the workspace names for itself."""
        value = self.settings.get("endpoint")
        return value if isinstance(value, str) and value else None

    @property
    def connect(self) -> str | None:
        """The function that makes the backbone of its programs, as `module:function`."""
        value = self.settings.get("connect")
        return value if isinstance(value, str) and value else None

    @property
    def interpreter(self) -> Path:
        """The Python that has the workspace's packages."""
        named = self.settings.get("python")
        if isinstance(named, str) and named:
            chosen = self.root / named
            if not chosen.exists():
                raise Failure(f"{chosen}: [tool.esb] python names an interpreter that is not there", Exit.USAGE)
            return chosen
        folder, name = ("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")
        own = self.root / ".venv" / folder / name
        return own if own.exists() else Path(sys.executable)

    @property
    def sources(self) -> Sequence[Path]:
        """The folders that its programs import from."""
        return [self.root / folder for folder in _texts(self.settings.get("sources"))]

    @property
    def watched(self) -> Sequence[Path]:
        """The folders whose changes restart its programs: its sources, or all of it when it names none."""
        return self.sources or [self.root]

    @property
    def contracts(self) -> Sequence[str]:
        """The modules that declare its contracts."""
        return _texts(self.settings.get("contracts"))

    @property
    def programs(self) -> Mapping[str, str]:
        """What `esb dev` runs: a name and `module:function` each."""
        named = self.settings.get("programs")
        table = cast("dict[str, object]", named) if isinstance(named, dict) else {}
        return {name: str(target) for name, target in table.items()}

    def environment(self) -> dict[str, str]:
        """The environment of a program of the workspace: this one's, with its sources importable."""
        paths = [*map(str, self.sources), *filter(None, [os.environ.get("PYTHONPATH")])]
        return {**os.environ, **({"PYTHONPATH": os.pathsep.join(paths)} if paths else {})}

    @property
    def template(self) -> str | None:
        """The version of the template that it was made from or last updated to; None when it does not say."""
        try:
            answers = (self.root / ".copier-answers.yml").read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return None
        found = re.search(r"^_commit:\s*['\"]?([^'\"\s]+)", answers, re.MULTILINE)
        return found[1] if found else None


def _texts(value: object) -> list[str]:
    """The words of a TOML array; none when it is something else."""
    return [str(one) for one in cast("list[object]", value)] if isinstance(value, list) else []


def _settings(file: Path) -> Mapping[str, Any] | None:
    """The `[tool.esb]` table of a file; None without one. Raises `Failure` when it cannot be read."""
    import tomllib

    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    if "tool.esb" not in text:
        return None
    try:
        table = tomllib.loads(text).get("tool", {}).get("esb")
    except tomllib.TOMLDecodeError as problem:
        raise Failure(f"{file} is no valid TOML: {problem}", Exit.USAGE) from None
    return cast("dict[str, Any]", table) if isinstance(table, dict) else None
