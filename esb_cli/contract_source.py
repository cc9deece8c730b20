"""A contract as its team wrote it: where its class is, what it has, and how one event more is written into it.

Only the new method and the imports that it needs change; every other byte of the file stays.
"""

from __future__ import annotations

import ast
import builtins
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import libcst as cst

from .failures import Exit, Failure
from .imports import Import, Statement, with_import
from .new_event import Argument, NewEvent
from .workspace import Workspace

STANDARD: Mapping[str, str] = {
    **dict.fromkeys(("date", "datetime", "time", "timedelta"), "datetime"),
    **dict.fromkeys(("Annotated", "Any", "Literal"), "typing"),
    **dict.fromkeys(("Mapping", "Sequence"), "collections.abc"),
    "Decimal": "decimal",
    "UUID": "uuid",
}
"""Types that events carry, and the modules of the standard library that they come from."""

_RUNTIME = "esb_runtime"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractSource:
    """The file of a contract, parsed; `root` is the source folder that it is imported from."""

    name: str
    file: Path
    root: Path
    module: cst.Module
    width: int

    @classmethod
    def find(cls, workspace: Workspace, name: str) -> ContractSource:
        """The contract of this name in the workspace's sources.

        Raises `Failure`: not found (4) with the nearest name, bad data (5) for a file that does not parse, usage (2)
        when there are several.
        """
        found: list[tuple[Path, Path]] = []
        names: set[str] = set()
        for root in workspace.sources:
            for file in sorted(root.rglob("*.py")):
                contracts = set(_contracts(file, name))
                names |= contracts
                found += [(root, file)] if name in contracts else []
        if not found:
            near = get_close_matches(name, names, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(names)) or 'none'}"
            raise Failure(f"there is no contract {name!r} in this workspace; {hint}", Exit.NOT_FOUND)
        if len(found) > 1:
            places = ", ".join(str(file.relative_to(workspace.root)) for _, file in found)
            raise Failure(f"there are several contracts {name!r}: {places}", Exit.USAGE)
        root, file = found[0]
        module = cst.parse_module(file.read_bytes())
        return cls(name=name, file=file, root=root, module=module, width=_width(workspace.root))

    def with_event(self, event: NewEvent) -> cst.Module:
        """The module with the event at the end of its contract. Raises `Failure` for what cannot be written."""
        contract = self._class()
        method = self._method_name(contract, event)
        needed = list(self._imports(event))
        decorator, import_of_event = self._decorator()
        text = event.source(method, decorator, self.module.default_indent, self.width)
        try:
            statement = cst.parse_statement(text, config=self.module.config_for_parsing)
        except cst.ParserSyntaxError:
            raise Failure(f"that would not be Python:\n{text}", Exit.USAGE) from None
        module = self.module.deep_replace(contract, _appended(contract, statement))
        if not isinstance(module, cst.Module):
            raise TypeError(type(module))
        own = self.file.relative_to(self.root).parts[0]
        for wanted in [*needed, *import_of_event]:
            module = with_import(module, wanted, own=own, width=self.width)
        _require_code(module, self.file)
        return module

    def _class(self) -> cst.ClassDef:
        return next(
            node for node in self.module.body if isinstance(node, cst.ClassDef) and node.name.value == self.name
        )

    def _method_name(self, contract: cst.ClassDef, event: NewEvent) -> str:
        """What the method is called: like its event, or with its version where the event has others."""
        version = event.version or 1
        methods = dict(_methods(contract))
        for method, known in methods.items():
            if known == (event.name, version):
                raise Failure(
                    f"{self.name} has {event.name} already, as version {version} (method {method}): "
                    f"a changed event is a new version, as in --version {version + 1}",
                    Exit.USAGE,
                )
        name = event.name if event.name not in methods else f"{event.name}_v{version}"
        if name in methods:
            raise Failure(f"{self.name} has a method {name} already", Exit.USAGE)
        return name

    def _decorator(self) -> tuple[str, Sequence[Import]]:
        """What the decorator is called in this file, and the import that makes it so."""
        for node in ast.walk(ast.parse(self.module.bytes)):
            if isinstance(node, ast.ImportFrom) and node.module == _RUNTIME and not node.level:
                for alias in node.names:
                    if alias.name == "event":
                        return alias.asname or "event", ()
            if isinstance(node, ast.Import):
                for alias in node.names:
                    if alias.name == _RUNTIME:
                        return f"{alias.asname or _RUNTIME}.event", ()
        return "event", (Import(source=_RUNTIME, name="event"),)

    def _imports(self, event: NewEvent) -> Iterator[Import]:
        """The imports that the types need and the file does not have."""
        known = set(_bound(ast.parse(self.module.bytes))) | set(dir(builtins))
        siblings = _siblings(self.file)
        for argument in event.arguments:
            for word in _names(argument):
                if word in known:
                    continue
                if word in STANDARD:
                    yield Import(source=STANDARD[word], name=word)
                elif word in siblings:
                    yield Import(source=f".{siblings[word]}", name=word)
                elif word in sys.stdlib_module_names:
                    yield Import(source=word)
                else:
                    near = get_close_matches(word, {*known, *STANDARD, *siblings}, n=1)
                    hint = f"did you mean {near[0]}?" if near else f"import it in {self.file.name} first"
                    raise Failure(f"argument {argument.name}: there is no type {word!r} here; {hint}", Exit.USAGE)
                known.add(word)


def _appended(contract: cst.ClassDef, method: Statement) -> cst.ClassDef:
    """The class with the method as its last; a body that was only there to be one goes."""
    blank = cst.EmptyLine(indent=False)
    old = list(contract.body.body) if isinstance(contract.body, cst.IndentedBlock) else []
    kept = [statement for statement in old if not _is_filler(statement)]
    method = method.with_changes(leading_lines=[blank] if kept else [])
    if isinstance(contract.body, cst.IndentedBlock):
        return contract.with_changes(body=contract.body.with_changes(body=[*kept, method]))
    return contract.with_changes(body=cst.IndentedBlock(body=[method]))


def _is_filler(statement: cst.BaseStatement) -> bool:
    """`pass` or `...`."""
    if not isinstance(statement, cst.SimpleStatementLine) or len(statement.body) != 1:
        return False
    only = statement.body[0]
    return isinstance(only, cst.Pass) or (isinstance(only, cst.Expr) and isinstance(only.value, cst.Ellipsis))


def _methods(contract: cst.ClassDef) -> Iterator[tuple[str, tuple[str, int]]]:
    """The methods of a class with the name and version of their event."""
    for node in ast.parse(cst.Module(body=[contract]).code).body[0].body:  # type: ignore[attr-defined]
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            name, version = node.name, 1
            for decorator in node.decorator_list:
                for option in decorator.keywords if isinstance(decorator, ast.Call) else ():
                    if isinstance(option.value, ast.Constant):
                        name = str(option.value.value) if option.arg == "name" else name
                        version = int(str(option.value.value)) if option.arg == "version" else version
            yield node.name, (name, version)


def _contracts(file: Path, wanted: str) -> Iterator[str]:
    """The classes of a file that look like contracts: what they derive from says so."""
    try:
        text = file.read_bytes()
    except OSError as problem:
        raise Failure(f"{file} cannot be read: {problem.strerror}", Exit.BAD_DATA) from None
    if b"class " not in text:
        return
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError) as problem:
        if f"class {wanted}".encode() in text:
            raise Failure(f"{file} does not parse: {problem}", Exit.BAD_DATA) from None
        return
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and any("[Side]" in ast.unparse(base) for base in node.bases):
            yield node.name


def _names(argument: Argument) -> Iterator[str]:
    """The names that an argument's type and default begin with: `decimal` of `decimal.Decimal`."""
    for text in (argument.type, argument.default or "None"):
        literal = re.sub(r"Literal\[[^\]]*\]", "Literal", text)
        for node in ast.walk(ast.parse(literal, mode="eval")):
            if isinstance(node, ast.Name):
                yield node.id


def _bound(tree: ast.Module) -> Iterator[str]:
    """What a module's top level binds."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from ((alias.asname or alias.name).split(".")[0] for alias in node.names)
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            yield node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (target.id for target in targets if isinstance(target, ast.Name))


def _siblings(file: Path) -> dict[str, str]:
    """The types that the modules beside a file define, with their modules."""
    found: dict[str, str] = {}
    for other in sorted(file.parent.glob("*.py")):
        if other != file and other.stem != "__init__":
            try:
                tree = ast.parse(other.read_bytes())
            except (SyntaxError, ValueError, OSError):
                continue
            found |= {node.name: other.stem for node in tree.body if isinstance(node, ast.ClassDef)}
    return found


def _width(root: Path) -> int:
    """The longest line, as the workspace's formatter is told; its own default without that."""
    import tomllib

    try:
        settings = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
        return int(settings["tool"]["ruff"]["line-length"])
    except (OSError, ValueError, KeyError, TypeError):
        return 88


def _require_code(module: cst.Module, file: Path) -> None:
    try:
        compile(module.bytes, str(file), "exec", dont_inherit=True)
    except SyntaxError as problem:
        raise Failure(f"that would not be Python: {problem.msg}", Exit.USAGE) from None
