"""Errors in words that hold no argument values: for logs, dead letters and the screen of an operator."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import pairwise
from pathlib import PurePath

from ._narrow import is_items, is_mapping
from ._plain import plain

SHORTEST = 3
"""Values of fewer characters are left: replacing every "1" would make the message useless and hide nothing."""
LONGEST_REASON = 500
OWN = ("esb_runtime", "delivery")
"""Folders of esb: its frames above the handler's say nothing about the handler."""
LONGEST_TRACEBACK = 8_000


def reason_of(error: BaseException, *arguments: Mapping[str, bytes] | None) -> str:
    """`ValueError: card *** declined`: an error's type and message, the argument values of its events blotted out."""
    name = type(error).__name__
    text = str(error)
    return f"{name}: {redacted(text, *arguments)}"[:LONGEST_REASON] if text.strip() else name


def redacted(text: str, *arguments: Mapping[str, bytes] | None) -> str:
    """The text in one line, with every value that the events' arguments hold replaced by `***`."""
    values = {value for each in arguments for raw in (each or {}).values() for value in _scalars(_plain(raw))}
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, "***")
    return " ".join(text.split())[:LONGEST_REASON]


def traceback_of(error: BaseException) -> str:
    """Where an error came from: files, lines and functions, without messages and without values."""
    chain = [error]
    while (cause := _cause(chain[0])) is not None and cause not in chain:
        chain.insert(0, cause)
    lines = _frames(chain[0])
    for cause, outcome in pairwise(chain):
        lines += [f"{type(cause).__name__} led to {type(outcome).__name__}:", *_frames(outcome)]
    return "\n".join(lines)[-LONGEST_TRACEBACK:]


def _cause(error: BaseException) -> BaseException | None:
    return error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _frames(error: BaseException) -> list[str]:
    frames = traceback.extract_tb(error.__traceback__)
    while len(frames) > 1 and PurePath(frames[0].filename).parent.name in OWN:
        del frames[0]
    return [f"{_short(frame.filename)}:{frame.lineno} in {frame.name}: {frame.line}" for frame in frames]


def _short(path: str) -> str:
    """The last parts of a path: enough to find the file, without telling the machine's layout."""
    parts = PurePath(path).parts
    return "/".join(parts[-3:])


def _plain(raw: bytes) -> object:
    try:
        return plain(raw)
    except ValueError:
        return None


def _scalars(value: object) -> Iterable[str]:
    if is_mapping(value):
        for name, inner in value.items():
            yield from _scalars(name)
            yield from _scalars(inner)
    elif is_items(value):
        for inner in value:
            yield from _scalars(inner)
    elif value is not None and not isinstance(value, bool):
        texts = {str(value), repr(value)}
        if isinstance(value, datetime):
            texts.add(value.isoformat())
        for text in texts:
            if len(text) >= SHORTEST:
                yield text
