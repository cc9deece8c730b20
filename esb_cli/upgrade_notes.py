"""What a workspace's team should know about the releases that an update passes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

NOTES = Path(__file__).with_name("upgrade_notes.md")
_HEADING = re.compile(r"^## (\S+)$", re.MULTILINE)


def notes(newer_than: str, up_to: str) -> Mapping[str, Sequence[str]]:
    """The remarks on the releases after one version and up to another, oldest first."""
    from packaging.version import Version

    text = NOTES.read_text("utf-8")
    parts = _HEADING.split(text)[1:]
    found = dict(zip(parts[::2], parts[1::2], strict=True))
    wanted = sorted((name for name in found if Version(newer_than) < Version(name) <= Version(up_to)), key=Version)
    return {name: [" ".join(item.split()) for item in found[name].split("\n- ")[1:]] for name in wanted}
