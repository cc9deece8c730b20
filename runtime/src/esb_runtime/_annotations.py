"""Annotations of a contract's parameters: what they mean at run time, and why one of them cannot be known."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

if sys.version_info >= (3, 14):
    from annotationlib import Format, get_annotations


@dataclass(frozen=True, slots=True, kw_only=True)
class Unresolved:
    """A name in an annotation that has no value (yet): `name` as written, `module` where it was written."""

    name: str
    module: str


def written_annotations(function: Callable[..., Any]) -> Mapping[str, object]:
    """The annotations of a function as they stand in the source: values, strings or forward references."""
    if sys.version_info >= (3, 14):
        return get_annotations(function, format=Format.FORWARDREF)
    return function.__annotations__


def resolved(
    annotation: object, *, function: Callable[..., Any], local: Mapping[str, Any] | None = None
) -> object | Unresolved:
    """The type that an annotation of `function` means, with the names of its module and of `local`.

    An unknown name is an answer, not an error: it may be defined further down. Whatever else is wrong with the
    annotation (its syntax, an operator) is raised as it is.
    """
    scope = inspect.unwrap(function).__globals__

    def probe() -> None: ...

    probe.__annotations__ = {"it": annotation}
    try:
        found: object = get_type_hints(probe, scope, dict(local or {}), include_extras=True)["it"]
    except NameError as error:
        return Unresolved(name=error.name or str(error), module=str(scope.get("__name__", "")))
    except AttributeError as error:
        # `models.User` while `models` is still being imported: as unknown as a name, for now
        return Unresolved(name=error.name or str(error), module=str(scope.get("__name__", "")))
    return found


def guarded_import(missing: Unresolved) -> str | None:
    """Where the missing name is imported for type checkers only, as `line N: from x import Name`; None elsewhere."""
    module = sys.modules.get(missing.module)
    if module is None:
        return None
    try:
        tree = ast.parse(inspect.getsource(module))
    except (OSError, TypeError, SyntaxError):
        return None  # no source to look at: the plain message has to do
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and _for_checkers(node.test):
            for statement in node.body:
                if _imports(statement, missing.name):
                    return f"line {statement.lineno}: {ast.unparse(statement)}"
    return None


def _for_checkers(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else test.id if isinstance(test, ast.Name) else ""
    return name == "TYPE_CHECKING"


def _imports(statement: ast.stmt, name: str) -> bool:
    if not isinstance(statement, ast.Import | ast.ImportFrom):
        return False
    return any((alias.asname or alias.name.partition(".")[0]) == name for alias in statement.names)


def remedy(missing: Unresolved) -> str:
    """What to do about a name that cannot be resolved."""
    where = guarded_import(missing)
    if where is not None:
        return (
            f"{missing.name!r} is imported under `if TYPE_CHECKING:` in {missing.module} ({where}), "
            "but esb needs it at run time to store the event: move this import out of the block"
        )
    return f"{missing.name!r} is not defined in {missing.module}: import or define it there"
