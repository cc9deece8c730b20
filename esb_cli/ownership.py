"""Which files of a workspace are its team's from the first commit on: the part of `_exclude` in copier.yml for updates.

copier reads it itself; `esb update` asks here, so that both leave the same files alone.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any


def of_the_team(tree: Path) -> Callable[[str], bool]:
    """Whether an update with the template in `tree` leaves a file of this path alone."""
    import yaml
    from jinja2 import Environment
    from pathspec import GitIgnoreSpec

    document: dict[str, Any] = yaml.safe_load((tree / "copier.yml").read_text("utf-8"))
    templates = Environment(autoescape=False)  # noqa: S701 - no page
    patterns = [
        templates.from_string(pattern).render(_copier_operation="update")
        for pattern in document["_exclude"]
        if "_copier_operation" in pattern or pattern.startswith("!")
    ]
    return GitIgnoreSpec.from_lines(patterns).match_file
