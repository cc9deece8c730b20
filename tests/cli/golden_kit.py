"""What the golden tests share: what a command printed, without what differs between runs, compared with its file.

What differs is replaced: the n-th id by the n-th number, times, ages, ports, sizes, versions, paths.
Columns that hold such a value lose their width, so more than one blank counts as two.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from command_kit import Esb

GOLDEN = Path(__file__).parent / "golden"
ALONE = {"REDIS_EVENT_SOURCE_ENDPOINT": ""}
"""The variable of a command that shall start a server of its own, or find none."""


def compare(name: str, shown: str) -> None:
    """What was shown is what the file says; with ESB_GOLDEN=write the file is written first."""
    file = GOLDEN / f"{name.replace(' ', '-')}.txt"
    if os.environ.get("ESB_GOLDEN") == "write":
        file.write_text(shown, "utf-8")
    assert shown == file.read_text("utf-8"), "if this is meant: make golden"


def transcript(words: Sequence[str], done: subprocess.CompletedProcess[str]) -> str:
    """What somebody sees who runs a command in a pipe: what it prints, and behind `2>` what it says."""
    said = "".join(f"2> {line}\n" for line in done.stderr.splitlines())
    code = f"exit code {done.returncode}\n" if done.returncode else ""
    return f"$ esb {shlex.join(words)}\n{done.stdout}{said}{code}\n"


VARYING = (
    (re.compile(r"(message_id\W+)[\w-]{18}(?![\w-])"), r"\1<message>"),  # first: it may hold what looks like an age
    (re.compile(r"\d{4}-\d\d-\d\d[T ][\d:.]+(Z| ?[+-]\d{2}:?\d{2})?"), "<time>"),
    (re.compile(r"── \d{4}-\d\d-\d\d ──"), "── <day> ──"),
    (re.compile(r"-- \d{4}-\d\d-\d\d --"), "-- <day> --"),
    (re.compile(r"\b\d\d:\d\d:\d\d(\.\d{3}\b)?"), "<clock>"),
    (re.compile(r"\b\d+(\.\d+)?(ms|s|m|h)( ago)?\b|\bjust now\b"), "<ago>"),
    (re.compile(r'("(?:idle|memory|pid)": )[\d.]+'), r"\1<n>"),
    (re.compile(r"^((?:other|shop)\t\d\t)\d+(?=\t\d\t)", re.MULTILINE), r"\1<n>"),
    (re.compile(r"(?<=\t)0\.\d+(?=\t)"), "<n>"),
    (re.compile(r"group_kit\.py:\d+"), "group_kit.py:<n>"),
    (re.compile(r"((?:Valkey|Python|runtime|redis-py\W+(?:ok\W+)?(?:found\W+)?) )\d[\w.]+"), r"\1<version>"),
    (re.compile(r"; has [A-Z, ]+"), "; has <commands>"),
    (re.compile(r"\b\d+(\.\d+)? (B|KiB|MiB)\b"), "<size>"),
    (re.compile(r"(127\.0\.0\.1|localhost):\d{4,5}"), r"\1:<port>"),
    (re.compile(r"[\w.-]+-\d+-[0-9a-f]{8}\b"), "<consumer>"),
    (re.compile(r"\b(process|pid) +\d+"), r"\1 <n>"),
    (re.compile(r"(?<=<version>\t)\d+"), "<n>"),
    (re.compile(r"\d+\.\d ms away"), "<n> ms away"),
    (re.compile(r" {2,}"), "  "),
)


class Still(Protocol):
    """Text without what differs between runs; `figures`: all numbers do."""

    def __call__(self, text: str, *, figures: bool) -> str: ...


def normaliser(esb: Esb) -> Still:
    """What makes outputs of different runs equal; it counts ids from call to call."""
    numbers: dict[str, str] = {}

    def number(found: re.Match[str]) -> str:
        return numbers.setdefault(found[0], f"<id-{len(numbers) + 1}>")

    def still(text: str, *, figures: bool) -> str:
        text = text.replace(sys.executable, "<python>")
        text = text.replace(str(esb.folder.resolve()), "<here>").replace(str(esb.home.resolve()), "<home>")
        text = re.sub(r"\b\d{13}-\d+\b", number, text)
        for pattern, sign in VARYING:
            text = pattern.sub(sign, text)
        if figures:
            text = re.sub(r"(?<![\w-])\d[\d,.]*(?!\w)", "<n>", text)
            text = re.sub(r"this process|the server|the round trip", "<bound>", text)
        return "\n".join(line.rstrip() for line in text.split("\n"))

    return still
