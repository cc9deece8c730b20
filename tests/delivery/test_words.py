"""Errors in words: causes are named, values are not."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from esb_runtime._plain import encode_plain
from esb_runtime._traces import LONGEST_REASON, reason_of, redacted, traceback_of


def failed(*errors: Exception) -> Exception:
    """The last of some errors, each raised because of the one before."""
    cause: Exception | None = None
    for error in errors:
        try:
            _raise(error, cause)
        except Exception as caught:
            cause = caught
    assert cause is not None
    return cause


def _raise(error: Exception, cause: Exception | None) -> None:
    raise error from cause


def arguments(**values: Any) -> dict[str, bytes]:
    return {name: encode_plain(value) for name, value in values.items()}


def test_causes_come_first() -> None:
    """A traceback begins with the first cause and names each type, without any message."""
    lines = traceback_of(failed(KeyError("secret"), ValueError("secret"), RuntimeError("secret"))).splitlines()
    assert [line for line in lines if line.endswith(":")] == [
        "KeyError led to ValueError:",
        "ValueError led to RuntimeError:",
    ]
    assert "secret" not in "".join(line for line in lines if "test_words.py" not in line)


def test_an_error_that_causes_itself() -> None:
    """A circle of causes has an end."""
    error = failed(ValueError("x"))
    error.__cause__ = error
    assert "test_words.py" in traceback_of(error)


def test_a_hidden_context() -> None:
    """What `raise ... from None` hides stays hidden."""
    error = failed(KeyError("x"), ValueError("y"))
    error.__cause__, error.__suppress_context__ = None, True
    assert "KeyError" not in traceback_of(error)


@pytest.mark.parametrize(
    "value",
    [
        "ann@example.com",
        123456,
        12.75,
        b"bytes",
        ["a-list", {"of": "things"}],
        {"a": {"nested": "mapping"}},
        "two  blanks\n",
    ],
)
def test_values_are_blotted_out(value: Any) -> None:
    """Whatever an argument holds, however deep, and as `str` or as `repr`, is not repeated."""
    held = arguments(value=value)
    for text in (f"no {value}", f"no {value!r}"):
        words = reason_of(ValueError(text), held)
        assert words.startswith("ValueError: no ")
        for part in ("ann@", "123456", "12.75", "bytes", "a-list", "things", "mapping", "blanks"):
            assert part not in words


def test_times_are_blotted_out() -> None:
    """A time is recognised in the forms that Python writes it in."""
    moment = datetime(1990, 5, 17, 3, 4, 5, tzinfo=UTC)
    for text in (str(moment), repr(moment), moment.isoformat()):
        assert "1990" not in redacted(f"born {text}", arguments(born=moment))


def test_reasons_are_short() -> None:
    """A reason is one line of bounded length; an error without words is its type."""
    assert len(reason_of(ValueError("x\n" * 10_000))) <= LONGEST_REASON
    assert reason_of(ValueError()) == "ValueError"
    assert redacted("a\n  b", None) == "a b"
