"""The guarantees name the tests that prove them: each of those exists."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_proof_exists() -> None:
    """Each test that `docs/guarantees.md` names is a test of this repository or of the conformance suite."""
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / "guarantees.md").read_text("utf-8")))
    places = [ROOT / "tests", ROOT / "runtime" / "src" / "esb_runtime" / "testing"]
    texts = [file.read_text("utf-8") for place in places for file in place.rglob("*.py")]
    known = {name for text in texts for name in re.findall(r"def (test_\w+)\(", text)}
    assert named
    assert named - known == set()
