"""The Lua scripts, each a file of its own; loaded once, called by digest, one round trip each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from hashlib import sha1
from importlib.resources import files


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A script's source and the digest that Redis knows it by."""

    name: str
    source: str
    digest: str


@cache
def script(name: str) -> Script:
    """The script of this name in the folder `lua`."""
    source = files("esb_runtime.redis").joinpath("lua", f"{name}.lua").read_text("utf-8")
    return Script(name=name, source=source, digest=sha1(source.encode(), usedforsecurity=False).hexdigest())
