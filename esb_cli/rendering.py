"""What makes copier render in half the time: it compiles every text once, and looks for no repository.

copier makes a template of its own of each question and of each part of each path: of 800 texts 170 are different. And
it asks git about each file that it has written, although what is rendered aside is in no repository.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, cast

_compiled: dict[tuple[object, ...], object] = {}


@contextmanager
def light() -> Generator[None]:
    """Render so in this block. Equal settings of jinja and equal texts give equal code, whichever template asks."""
    from jinja2 import Environment
    from plumbum import local

    compile_: Any = Environment.compile

    def once(
        self: Environment, source: Any, name: str | None = None, filename: str | None = None, *raw: bool, **also: bool
    ) -> object:
        key = (type(self), self.lexer, source, name, raw, *also.items())
        if key in _compiled:
            self.preprocess(source, name, filename)  # where extensions begin anew with each text
        else:
            _compiled[key] = compile_(self, source, name, filename, *raw, **also)
        return _compiled[key]

    Environment.compile = cast("Any", once)  # type: ignore[method-assign]
    try:
        with local.env(PATH=""):
            yield
    finally:
        Environment.compile = compile_  # type: ignore[method-assign]
