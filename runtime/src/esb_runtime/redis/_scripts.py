"""The Lua scripts, each a file of its own; loaded once, called by digest, one round trip each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from hashlib import sha1
from importlib.resources import files

from ._frames import Frames, framed

_INCLUDE = re.compile(r"^-- include: (\w+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A script's source and the digest that Redis knows it by; `known` and `whole` are the words that call it."""

    name: str
    source: str
    digest: str
    known: Frames
    whole: Frames


@cache
def script(name: str) -> Script:
    """The script of this name in the folder `lua`; a line `-- include: other` stands for that file."""
    source = _INCLUDE.sub(lambda line: _source(line[1]), _source(name))
    digest = sha1(source.encode(), usedforsecurity=False).hexdigest()
    known, whole = framed(("EVALSHA", digest)), framed(("EVAL", source))
    return Script(name=name, source=source, digest=digest, known=known, whole=whole)


def _source(name: str) -> str:
    return files("esb_runtime.redis").joinpath("lua", f"{name}.lua").read_text("utf-8")
