"""An event that is about to be written: what was typed, checked, and the method that it becomes."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import libcst as cst

from .failures import Exit, Failure

_ARGUMENT = re.compile(r"(?P<name>\w+)\s*:\s*(?P<type>[^=]+?)\s*(?:=\s*(?P<default>.+))?", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """`name:type` or `name:type=default`, as it was typed."""

    name: str
    type: str
    default: str | None = None

    @classmethod
    def parse(cls, text: str) -> Argument:
        """Read one. Raises `Failure` (usage) with the form that it must have."""
        found = _ARGUMENT.fullmatch(text.strip())
        if not found:
            raise Failure(
                f"{text!r} is no argument: write name:type, such as amount:Decimal or 'note:str | None'", Exit.USAGE
            )
        require_name(found["name"], "argument")
        for part in (found["type"], found["default"] or "None"):
            try:
                cst.parse_expression(part)
            except cst.ParserSyntaxError:
                raise Failure(f"{text!r}: {part!r} is no Python expression", Exit.USAGE) from None
        return cls(name=found["name"], type=found["type"], default=found["default"])

    @property
    def text(self) -> str:
        """The parameter."""
        return f"{self.name}: {self.type}" + (f" = {self.default}" if self.default else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEvent:
    """An event to write."""

    name: str
    arguments: Sequence[Argument]
    doc: str
    version: int | None = None
    key: str | None = None
    personal: Sequence[str] = ()

    def source(self, method: str, decorator: str, indent: str, width: int) -> str:
        """The method as a formatter would leave it, without the indentation of its class."""
        options = ", ".join(self._options(method))
        head = f"@{decorator}({options})" if options else f"@{decorator}"
        parameters = ["self", *(argument.text for argument in self.arguments)]
        begin, end = f"async def {method}(", ") -> None:"
        joined = ", ".join(parameters)
        lines = [begin + joined + end]
        if len(indent + lines[0]) > width:
            fits = len(indent * 2 + joined) <= width
            lines = [begin, *([indent + joined] if fits else [f"{indent}{one}," for one in parameters]), end]
        return "\n".join([head, *lines, f'{indent}"""{self.doc}"""', ""])

    def _options(self, method: str) -> Iterator[str]:
        if method != self.name:
            yield f'name="{self.name}"'
        if method != self.name or self.version not in {None, 1}:
            yield f"version={self.version}"
        if self.key:
            yield f'key="{self.key}"'
        if self.personal:
            listed = ", ".join(f'"{name}"' for name in self.personal)
            yield f"personal=({listed}{',' * (len(self.personal) == 1)})"


def require_name(name: str, what: str) -> None:
    """Refuse what cannot be the name of an event or an argument: `Failure` (usage)."""
    if name in {"self", "ctx", "cls"} or keyword.iskeyword(name):
        raise Failure(f"{name!r} cannot name an {what}: Python or esb needs the word", Exit.USAGE)
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name, re.ASCII):
        better = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[^A-Za-z0-9]+", "_", name).strip("_").lower()
        advice = f", such as {better}" if re.fullmatch(r"[a-z][a-z0-9_]*", better) and better != name else ""
        raise Failure(f"{name!r} cannot name an {what}: lower-case letters, digits and '_'{advice}", Exit.USAGE)
