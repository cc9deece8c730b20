"""The contract lock: what the events of a workspace look like, as a file that tools read without importing it.

    python -m esb_runtime.lock MODULE[:CONTRACT]...                       print it
    python -m esb_runtime.lock MODULE[:CONTRACT]... --write contract.lock
    python -m esb_runtime.lock MODULE[:CONTRACT]... --check contract.lock

The file is JSON: `{"format": 1, "events": [...]}`, one JSON Schema per event. Commit it: a change in it is a change of
what others rely on. Exit codes: 0 done, 1 the checked file says something else, 2 usage, 4 no such module or contract,
5 a contract is written wrongly.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ._contract import EventContract, is_contract
from ._errors import ContractError
from ._schema import contract_lock

__all__ = ["contract_lock", "contracts_in", "lock_text", "main"]


class _NotFound(Exception):
    """No such module or contract; the message says which."""


def lock_text(contracts: Iterable[type[EventContract[Any]]]) -> str:
    """The lock file's text; equal contracts give equal text."""
    return json.dumps(contract_lock(contracts), indent=2, ensure_ascii=False) + "\n"


def contracts_in(module: object) -> list[type[EventContract[Any]]]:
    """The contracts that a module defines or passes on, those with events, each once, in the module's order."""
    found: dict[Any, None] = dict.fromkeys(member for member in vars(module).values() if isinstance(member, type))
    return [member for member in found if is_contract(member) and issubclass(member, EventContract) and member.events()]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print, write or check a lock; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        text = lock_text(dict.fromkeys(contract for name in options.modules for contract in _named(name)))
    except _NotFound as problem:
        return _failed(str(problem), 4)
    except ContractError as problem:
        return _failed(str(problem), 5)
    if options.write is not None:
        options.write.write_text(text, encoding="utf-8")
    elif options.check is not None:
        return _checked(options.check, text, options.modules)
    else:
        sys.stdout.write(text)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m esb_runtime.lock", description="Write down what the events of contracts look like."
    )
    parser.add_argument("modules", nargs="+", metavar="MODULE[:CONTRACT]", help="where the contracts are")
    target = parser.add_mutually_exclusive_group()
    target.add_argument(
        "--check", type=Path, metavar="FILE", help="exit 1, showing the difference, unless FILE says this"
    )
    target.add_argument("--write", type=Path, metavar="FILE", help="write FILE instead of printing")
    return parser


def _named(name: str) -> Iterator[type[EventContract[Any]]]:
    """The contracts behind `MODULE` or `MODULE:CONTRACT`."""
    module_name, _, contract_name = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as problem:
        raise _NotFound(f"there is no module {problem.name!r} (asked for {name!r})") from problem
    if not contract_name:
        found = contracts_in(module)
        if not found:
            raise _NotFound(f"module {module_name!r} has no contract with events")
        yield from found
        return
    contract: Any = getattr(module, contract_name, None)
    if not isinstance(contract, type) or not issubclass(contract, EventContract):
        known = ", ".join(found.__name__ for found in contracts_in(module)) or "none"
        raise _NotFound(f"module {module_name!r} has no contract {contract_name!r} (its contracts: {known})")
    yield contract


def _checked(file: Path, text: str, modules: Sequence[str]) -> int:
    known = file.read_text(encoding="utf-8") if file.exists() else ""
    if known == text:
        return 0
    changes = difflib.unified_diff(
        known.splitlines(keepends=True), text.splitlines(keepends=True), fromfile=str(file), tofile="the contracts"
    )
    sys.stderr.writelines(changes)
    again = f"python -m esb_runtime.lock {' '.join(modules)} --write {file}"
    return _failed(f"{file} does not say what the contracts say; if the change is meant: {again}", 1)


def _failed(message: str, code: int) -> int:
    sys.stderr.write(f"error: {message}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
