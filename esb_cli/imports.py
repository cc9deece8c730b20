"""An import statement for a module that a person wrote: where an import sorter would put it, the rest untouched.

The order is isort's and ruff's default: standard library, other packages, the project's own, relative; in each
`import x` before `from x import y`, names with constants first, then classes, then the rest.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import libcst as cst

Statement = cst.SimpleStatementLine | cst.BaseCompoundStatement


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """`from source import name`, or `import source` without a name. A relative source begins with dots."""

    source: str
    name: str | None = None

    @property
    def text(self) -> str:
        """The statement."""
        return f"import {self.source}" if self.name is None else f"from {self.source} import {self.name}"


def with_import(module: cst.Module, wanted: Import, *, own: str, width: int) -> cst.Module:
    """The module with one import more. `own` is the project's top-level package, `width` the longest line."""
    body = list(module.body)
    heads = [at for at, statement in enumerate(body) if _imported(statement) is not None]
    for at in heads:
        statement = body[at]
        if wanted.name is not None and (merged := _merged(module, statement, wanted, width)) is not None:
            body[at] = merged
            return module.with_changes(body=body)
    statement = cst.parse_statement(wanted.text, config=module.config_for_parsing)
    key = _key(wanted.source, wanted.name is None, own)
    first_after = next((at for at in heads if _key_of(body[at], own) > key), None)
    place = first_after if first_after is not None else (heads[-1] + 1 if heads else _after_docstring(module))
    return module.with_changes(body=_inserted(body, place, statement, key[0], own))


def _inserted(body: list[Statement], place: int, new: Statement, section: int, own: str) -> list[Statement]:
    """The statement at its place, with a blank line where a section begins."""
    blank = cst.EmptyLine(indent=False)
    before = body[place - 1] if place else None
    after = body[place] if place < len(body) else None
    begins = before is not None and (_imported(before) is None or _key_of(before, own)[0] != section)
    leading: Sequence[cst.EmptyLine] = [blank] if begins else []
    if after is not None and _imported(after) is not None:
        if _key_of(after, own)[0] == section:
            leading = _leading(after)  # the blank line before the section stays before it
            body[place] = after.with_changes(leading_lines=[])
        elif not _leading(after):
            body[place] = after.with_changes(leading_lines=[blank])
    elif after is not None and not _leading(after):
        body[place] = after.with_changes(leading_lines=[blank, blank])
    return [*body[:place], new.with_changes(leading_lines=leading), *body[place:]]


def _leading(statement: Statement) -> Sequence[cst.EmptyLine]:
    lines: Sequence[cst.EmptyLine] = getattr(statement, "leading_lines", ())
    return lines


def _merged(module: cst.Module, statement: Statement, wanted: Import, width: int) -> Statement | None:
    """A `from` import of the same source with the name in it; None when it is another one, or has comments."""
    found = _imported(statement)
    if not isinstance(found, cst.ImportFrom) or isinstance(found.names, cst.ImportStar):
        return None
    text = module.code_for_node(statement)
    if _source(found) != wanted.source or "#" in text.strip().splitlines()[-1] or "#" in module.code_for_node(found):
        return None
    old = [module.code_for_node(alias.with_changes(comma=cst.MaybeSentinel.DEFAULT)).strip() for alias in found.names]
    names = sorted([*old, str(wanted.name)], key=_name_key)
    line = f"from {wanted.source} import {', '.join(names)}"
    if len(line) > width or "\n" in module.code_for_node(found):
        listed = "".join(f"{module.default_indent}{name},\n" for name in names)
        line = f"from {wanted.source} import (\n{listed})"
    new = cst.parse_statement(line, config=module.config_for_parsing)
    return new.with_changes(leading_lines=_leading(statement))


def _imported(statement: Statement) -> cst.Import | cst.ImportFrom | None:
    """The import of a line that is nothing else."""
    if isinstance(statement, cst.SimpleStatementLine) and len(statement.body) == 1:
        only = statement.body[0]
        return only if isinstance(only, cst.Import | cst.ImportFrom) else None
    return None


def _source(found: cst.Import | cst.ImportFrom) -> str:
    """`a.b`, or `.entities`, or the first of `import a, b`."""
    if isinstance(found, cst.Import):
        return _dotted(found.names[0].name)
    return "." * len(found.relative) + (_dotted(found.module) if found.module is not None else "")


def _dotted(node: cst.BaseExpression) -> str:
    return cst.Module(body=[]).code_for_node(node)


def _key_of(statement: Statement, own: str) -> tuple[int, bool, str]:
    found = _imported(statement)
    if found is None:
        return (9, False, "")
    return _key(_source(found), isinstance(found, cst.Import), own)


def _key(source: str, is_plain: bool, own: str) -> tuple[int, bool, str]:
    """How statements sort: by section, plain imports first, by name."""
    top = source.split(".", maxsplit=1)[0]
    if source.startswith("."):
        section = 4
    elif top == "__future__":
        section = 0
    else:
        section = 1 if top in sys.stdlib_module_names else 3 if top == own else 2
    return section, not is_plain, source.lower()


def _name_key(name: str) -> tuple[int, str, str]:
    word = name.split(" ", maxsplit=1)[0]
    kind = 0 if word.isupper() and len(word) > 1 else 1 if word[:1].isupper() else 2
    return kind, word.lower(), word


def _after_docstring(module: cst.Module) -> int:
    first = module.body[0] if module.body else None
    is_docstring = (
        isinstance(first, cst.SimpleStatementLine)
        and isinstance(first.body[0], cst.Expr)
        and isinstance(first.body[0].value, cst.SimpleString | cst.ConcatenatedString)
    )
    return int(is_docstring)
