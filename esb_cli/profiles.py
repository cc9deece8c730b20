"""Named servers of a user: `profiles.json` in the user's configuration folder, readable by nobody else.

A profile is an endpoint without a password. The password comes from where it always comes from, or, when the profile
says so, from the system's keyring (the extra `esb-cli[keyring]`).
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from .failures import Exit, Failure

VARIABLE = "ESB_PROFILE"
"""Names a profile for one command or one shell; `--profile` sets it."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SERVICE = "esb"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A server: its endpoint, and whether the keyring holds its password."""

    name: str
    endpoint: str
    keyring: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Profiles:
    """A user's profiles, by name; `used` is the one that counts where nothing else names a server."""

    known: Mapping[str, Profile] = field(default_factory=dict[str, Profile])
    used: str = ""

    @classmethod
    def load(cls) -> Profiles:
        """Those of this user; none when there is no file. Raises `Failure` for one that cannot be read."""
        try:
            text = file().read_text(encoding="utf-8")
        except FileNotFoundError:
            return cls()
        except (OSError, UnicodeDecodeError) as problem:
            raise Failure(f"{file()}: {getattr(problem, 'strerror', None) or 'it is no text'}") from None
        try:
            table = cast("dict[str, Any]", json.loads(text))
            return cls(
                known={
                    name: Profile(name=name, endpoint=str(each["endpoint"]), keyring=bool(each.get("keyring")))
                    for name, each in table["profiles"].items()
                },
                used=str(table.get("used", "")),
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            raise Failure(f"{file()} is damaged: remove it, and add your profiles again") from None

    def get(self, name: str) -> Profile:
        """The profile of this name. Raises `Failure` (4) with the names that there are."""
        if name not in self.known:
            names = f"there are {', '.join(sorted(self.known))}" if self.known else "`esb profile add` makes the first"
            raise Failure(f"there is no profile {name!r}; {names}", Exit.NOT_FOUND)
        return self.known[name]

    def with_profile(self, profile: Profile) -> Profiles:
        """These and one more, or one that is changed."""
        return replace(self, known={**self.known, profile.name: profile})

    def without(self, name: str) -> Profiles:
        """These without one."""
        rest = {each: profile for each, profile in self.known.items() if each != name}
        return replace(self, known=rest, used="" if self.used == name else self.used)

    def save(self) -> None:
        """Write them: whole or not at all, for this user's eyes only."""
        table = {
            "used": self.used,
            "profiles": {
                name: {"endpoint": each.endpoint, **({"keyring": True} if each.keyring else {})}
                for name, each in sorted(self.known.items())
            },
        }
        folder = file().parent
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, name = tempfile.mkstemp(dir=folder, prefix=".profiles-")  # made with mode 0600
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as out:
                out.write(json.dumps(table, indent=2, ensure_ascii=False) + "\n")
            Path(name).replace(file())
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def file() -> Path:
    """Where they are kept."""
    import typer

    return Path(typer.get_app_dir("esb")) / "profiles.json"


def checked_name(name: str) -> str:
    """A name that a profile may have. Raises `Failure` (usage)."""
    if not _NAME.fullmatch(name):
        raise Failure(f"{name!r} is no name for a profile: letters, digits, '.', '_', '-', at most 64", Exit.USAGE)
    return name


def named() -> Profile | None:
    """The profile that `--profile` or its variable names."""
    name = os.environ.get(VARIABLE, "").strip()
    return Profiles.load().get(name) if name else None


def in_use() -> Profile | None:
    """The profile of `esb profile use`."""
    profiles = Profiles.load()
    return profiles.known.get(profiles.used)


def stored_password(profile: Profile) -> str | None:
    """The password that the keyring holds for a profile. Raises `Failure` when the keyring cannot be asked."""
    answer: object = _keyring("get_password", profile.name)
    return answer if isinstance(answer, str) and answer else None


def store_password(name: str, password: str) -> None:
    """Put a password into the keyring."""
    _keyring("set_password", name, password)


def forget_password(name: str) -> None:
    """Take a password out of the keyring; one that is not there is no error."""
    if stored_password(Profile(name=name, endpoint="", keyring=True)) is not None:
        _keyring("delete_password", name)


def _keyring(what: str, *words: str) -> object:
    """Ask the system's keyring; its own errors may hold anything, so only their kind is told."""
    try:
        ring: Any = import_module("keyring")
    except ImportError:
        raise Failure("the keyring needs the package keyring: pip install 'esb-cli[keyring]'") from None
    try:
        return cast("object", getattr(ring, what)(_SERVICE, *words))
    except Exception as problem:  # noqa: BLE001 - every backend has errors of its own
        raise Failure(
            f"the keyring did not answer ({type(problem).__name__}): unlock it, "
            "or give the password by REDIS_EVENT_SOURCE_PASS or --pass-file"
        ) from None
