"""The commands that the application has, read from itself."""

from __future__ import annotations

from typing import Any


def leaves(command: Any, name: str = "") -> dict[str, Any]:
    """Every command by its words, groups aside."""
    inner = getattr(command, "commands", None)
    if inner is None:
        return {name: command}
    return {path: leaf for word in inner for path, leaf in leaves(inner[word], f"{name} {word}".strip()).items()}
