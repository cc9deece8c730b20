"""Answers that nobody has to type: a file of them, and what the user's git configuration remembers.

`git config --global esb.namespace mycompany.events` makes that the default of every later `esb new`; the other answers
go by their option's name (`esb.consumer-group`, `esb.ci`, ...). `esb new --remember` writes them.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast

from . import template_history
from .failures import Exit, Failure
from .questions import Answer, Question

SECTION = "esb."
ALIASES = {"event": "events"}
"""Names of options that answer a question of another name."""


def from_file(path: Path, questions: Sequence[Question]) -> dict[str, Answer]:
    """The answers in a YAML, TOML or JSON file. Raises `Failure` (usage) naming the file and what is wrong in it.

    Its keys are the names of the questions or options; the answers file of another workspace is one too.
    """
    by_name = {question.name: question for question in questions}
    found: dict[str, Answer] = {}
    for key, value in _document(path).items():
        if key.startswith("_"):  # what copier notes in an answers file
            continue
        name = _name(key)
        if name not in by_name:
            near = get_close_matches(name, by_name, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(by_name)}"
            raise Failure(f"{path}: there is no question {key!r}: {hint}", Exit.USAGE)
        try:
            found[name] = by_name[name].read(value)
        except ValueError as problem:
            raise Failure(f"{path}: {key}: {problem}", Exit.USAGE) from None
    return found


def remembered(questions: Sequence[Question]) -> dict[str, Answer]:
    """What the user's git configuration has as answers; nothing without git. Raises `Failure` (usage) for a bad one."""
    if not template_history.has_git():
        return {}
    listed = _git("config", "--null", "--get-regexp", rf"^{SECTION.replace('.', '[.]')}").stdout
    found = {key: value for key, _, value in (entry.partition("\n") for entry in listed.split("\0"))}
    answers: dict[str, Answer] = {}
    for question in questions:
        if (text := found.get(key_of(question.name))) is not None:
            try:
                answers[question.name] = question.read(text)
            except ValueError as problem:
                raise Failure(f"git config {key_of(question.name)}: {problem}", Exit.USAGE) from None
    return answers


def remember(answers: Mapping[str, Answer]) -> None:
    """Write answers into the user's git configuration. Raises `Failure` with git's own words."""
    for name, answer in answers.items():
        text = str(answer).lower() if isinstance(answer, bool) else answer
        done = _git("config", "--global", "--replace-all", key_of(name), text)
        if done.returncode:
            raise Failure(f"git config {key_of(name)} failed: {done.stderr.strip()}", Exit.FAILED)


def key_of(name: str) -> str:
    """The key of git's configuration for an answer: `esb.consumer-group`. git's keys have no underscore."""
    return SECTION + name.replace("_", "-")


def _name(key: str) -> str:
    name = key.replace("-", "_")
    return ALIASES.get(name, name)


def _document(path: Path) -> Mapping[str, Any]:
    """The table in a file, whatever it is written in; its name says what."""
    import tomllib

    import yaml

    readers: dict[str, Callable[[str], object]] = {
        ".json": json.loads,
        ".toml": tomllib.loads,
        ".yaml": yaml.safe_load,
        ".yml": yaml.safe_load,
    }
    if path.suffix.lower() not in readers:
        raise Failure(f"{path}: answers are read from .yaml, .yml, .toml and .json files", Exit.USAGE)
    try:
        document = readers[path.suffix.lower()](path.read_text("utf-8"))
    except OSError as problem:
        raise Failure(f"{path} cannot be read: {problem.strerror}", Exit.USAGE) from None
    except (ValueError, yaml.YAMLError) as problem:
        raise Failure(f"{path} is not valid: {' '.join(str(problem).split())}", Exit.USAGE) from None
    if not isinstance(document, dict):
        raise Failure(f"{path} holds no answers: write one `name: answer` on each line", Exit.USAGE)
    return {str(key): value for key, value in cast("dict[object, Any]", document).items()}


def _git(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["git", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False
    )
