"""How a workspace grows: rendered as it was answered and as it is answered now, and the difference merged into it.

The template is the one that the workspace is at, so nothing but the answer changes it. What the team has edited is
merged three ways, what it has deleted stays deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

from . import questions, template_history
from .merge import Merge, files, merge
from .questions import Answer
from .scaffold import installed, rendered
from .upgrade import answers, bundle, require_known, standing

LOCK = "contract.lock"


def grow(start: Path, change: Callable[[Mapping[str, Answer]], Mapping[str, Answer]]) -> Merge:
    """What the workspace around `start` becomes when its answers change; nothing is written yet.

    Raises `Failure` (usage) for an answer that the template refuses, and whatever `standing` refuses.
    """
    found = standing(start)
    old = answers(found.workspace)
    new = {**old, **change(old)}
    with _template(found.current) as tree:
        questions.check(questions.load(tree), new, dict.fromkeys(new, "NAME"))
        with rendered(tree, old, tag=found.current) as before, rendered(tree, new, tag=found.current) as after:
            # the lock of a team that has events of its own is written from its contracts, by the caller
            return merge(found.workspace, files(before), files(after), whole={LOCK})


@contextmanager
def _template(tag: str) -> Generator[Path]:
    if tag == installed():
        with template_history.tree() as tree:
            yield tree
        return
    with bundle() as history:
        require_known(history, tag)
        with template_history.tree_of(history, tag) as tree:
            yield tree
