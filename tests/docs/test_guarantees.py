"""The guarantees name the tests that prove them: each of those exists."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from esb_runtime import Acknowledge, Backbone, Durability, EventContract, Ordering, Retention, Retry, Unhandled

PAGE = (Path(__file__).parents[2] / "docs" / "guarantees.md").read_text("utf-8")
ROOT = Path(__file__).parents[2]


def test_every_proof_exists() -> None:
    """Each test that `docs/guarantees.md` names is a test of this repository or of the conformance suite."""
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    places = [ROOT / "tests", ROOT / "runtime" / "src" / "esb_runtime" / "testing"]
    texts = [file.read_text("utf-8") for place in places for file in place.rglob("*.py")]
    known = {name for text in texts for name in re.findall(r"def (test_\w+)\(", text)}
    assert named
    assert named - known == set()


def test_every_option_has_its_row() -> None:
    """Each option and each choice of the API stands in the first column of a row."""
    callables = (
        Backbone.connect, Backbone.subscribe, Backbone.project, Backbone.follow, Backbone.relay, EventContract.producer,
        Retry, Retention,
    )  # fmt: skip
    options = {
        name
        for each in callables
        for name, parameter in inspect.signature(each).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    choices = {each.name for kind in (Ordering, Acknowledge, Unhandled) for each in kind}
    assert {"idempotent", "max_parked", "crashes", "MANUAL"} <= options | choices
    first = " ".join(re.findall(r"^\| (.*?) \|", PAGE, re.MULTILINE))
    said = {word for code in re.findall(r"`([^`]+)`", first) for word in re.findall(r"\w+", code)}
    assert (options | choices) - said == set()
    assert str(Durability.FSYNCED) in said
