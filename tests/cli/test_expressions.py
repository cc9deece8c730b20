"""JMESPath in `--where` and `--template`: equal to the library, decided early, wrong ones marked."""

from __future__ import annotations

import json
from typing import Any

import jmespath
import pytest
from command_kit import Esb
from hypothesis import given
from hypothesis import strategies as st

from esb_cli.expressions import MEMBERS, Template, compiled, conditions, members, parsed
from esb_cli.failures import Failure

values = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.floats(-2, 2) | st.sampled_from(["", "a", "b"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "args"]), inner, max_size=3),
    max_leaves=8,
)
documents = st.fixed_dictionaries({"args": values, "event": st.sampled_from(["a", "b"]), "version": st.integers(0, 2)})
paths = st.sampled_from(["args", "args.a", "args.a.b", "event", "version", "args.a[0]", "args.*.a", "args[].b", "@"])
literals = values.map(lambda value: f"`{json.dumps(value)}`") | st.sampled_from(["'a'", "''"])
operands = paths | literals
signs = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
texts = st.recursive(
    st.builds("{} {} {}".format, operands, signs, operands) | operands,
    lambda inner: (
        st.builds("({}) && ({})".format, inner, inner)
        | st.builds("({}) || ({})".format, inner, inner)
        | inner.map("!({})".format)
        | inner.map("not_null(args.a, {})".format)
    ),
    max_leaves=6,
)


@given(texts, documents)
def test_compiled_expressions_are_the_librarys(text: str, document: dict[str, Any]) -> None:
    """A compiled expression finds what the library finds (a number is not compared with a text: null)."""
    try:
        expected = jmespath.search(text, document)
    except (TypeError, ValueError):
        return
    assert json.dumps(compiled(parsed(text, "--where"))(document)) == json.dumps(expected)


@given(texts, documents)
def test_conditions_hold_together_where_the_expression_is_true(text: str, document: dict[str, Any]) -> None:
    """Split into conditions, each shown only the members that it says it looks at, nothing changes."""
    try:
        expected = jmespath.search(text, document)
    except (TypeError, ValueError):
        return
    document = {**dict.fromkeys(MEMBERS), **document}
    found = True
    for condition in conditions(text):
        seen = {name: value for name, value in document.items() if name in condition.members}
        if condition.arguments is not None and isinstance(seen.get("args"), dict):
            seen["args"] = {name: value for name, value in seen["args"].items() if name in condition.arguments}
        found = found and condition.test(seen)
    if "@" not in text:  # the whole document has more members than the library was shown
        assert found is (expected not in ("", [], {}, None) and expected is not False)


@pytest.mark.parametrize(
    ("text", "looked_at"),
    [
        ("event == 'a'", {"event"}),
        ("args.event == 'a'", {"args"}),
        ("args[?event == 'x'] && version > `1`", {"args", "version"}),
        ("contains(keys(@), 'a')", set(MEMBERS)),
        ("args.list[0].version", {"args"}),
        ("`1`", set()),
    ],
)
def test_what_an_expression_looks_at(text: str, looked_at: set[str]) -> None:
    """Only members that the expression names at its roots are made for it."""
    assert members(parsed(text, "--where", MEMBERS)) == looked_at


@pytest.mark.parametrize(
    ("text", "words", "column"),
    [
        ("args.a ==", "missing at the end", 9),
        ("args.a = `1`", "", 7),
        ("args.a == 'x' && || b", "", 17),
        ("args.", "missing at the end", 5),
        ("", "empty", 0),
        ("user.id == `1`", "did you mean args.user?", 0),
        ("event == 'a' && lenght(args.a)", "no function lenght()", 16),
        ("length(args.a, `1`)", "takes 1 arguments, not 2", 0),
    ],
)
def test_wrong_expressions_are_marked(text: str, words: str, column: int) -> None:
    """What is no expression says why, and marks the place."""
    with pytest.raises(Failure) as caught:
        conditions(text)
    _, shown, mark, _ = str(caught.value).split("\n")
    assert words in str(caught.value)
    assert shown == f"  {text}"
    assert mark == f"  {' ' * column}^"
    assert caught.value.code == 2


def test_templates() -> None:
    """Text as it is, other values as JSON, null as nothing; control characters cannot come through."""
    template = Template.parse(r"{{event}}:\t{{args.n}} {{args}} {{args.none}}{{ version }}\\", MEMBERS)
    document = {"event": "e\x1b[2J", "version": 2, "args": {"n": 1.5}}
    assert template.line(document) == 'e\\x1b[2J:\t1.5 {"n": 1.5} 2\\'
    with pytest.raises(Failure, match="there is no 'name'"):
        Template.parse("{{name}}", MEMBERS)


def test_where_in_tail(esb: Esb) -> None:
    """--where chooses by arguments, event and metadata, for the last events, for ranges and while following."""
    esb.seed("s", *[("even" if n % 2 == 0 else "odd", 1, {"n": n, "user": {"id": n % 5}}) for n in range(40)])

    def found(expression: str, *words: str) -> list[int]:
        return [line["args"]["n"] for line in esb.lines("tail", "s", "--where", expression, *words)]

    assert found("args.user.id == `3`", "--since", "start") == [3, 8, 13, 18, 23, 28, 33, 38]
    assert found("args.user.id == `3` && event == 'odd'", "-n", "2") == [23, 33]
    assert found("args.n >= `38` || args.n == `0`", "-n", "5", "--event", "even") == [0, 38]
    assert found("meta.message_id && !(args.nothing)", "-n", "1") == [39]
    assert found("length(args.n) > `1`") == []
    assert esb.lines("tail", "s", "--where", "args.n == `7`", "--no-payload")[0]["args"] is None
    following = esb.start("tail", "s", "-f", "-n", "1", "--where", "args.n > `100` || args.n == `39`")
    assert following.stdout is not None
    assert json.loads(following.stdout.readline())["args"]["n"] == 39
    esb.seed("s", *[("e", 1, {"n": n}) for n in (99, 101)])
    assert json.loads(following.stdout.readline())["args"]["n"] == 101
    following.terminate()
    following.communicate(timeout=10)


def test_where_in_replay(esb: Esb) -> None:
    """--where chooses what is counted and copied; a wrong one ends with 2 before anything else."""
    esb.seed("s", *[("e", 1, {"n": n}) for n in range(10)])
    esb.ok("replay", "s", "--where", "args.n < `3`", "--to-uri", "copy")
    assert [line["args"]["n"] for line in esb.lines("tail", "copy")] == [0, 1, 2]
    assert "^" in esb.fails(2, "replay", "s", "--where", "args.n <", "--to-uri", "copy", "--endpoint", "127.0.0.1:1")


def test_templates_in_tail(esb: Esb) -> None:
    """--template prints a line per event; it excludes other forms, and -o template alone says what is missing."""
    esb.seed("s", ("e", 1, {"n": 1, "text": "a b"}))
    assert esb.ok("tail", "s", "--template", "{{event}} {{args.text}} {{args.n}}") == "e a b 1\n"
    assert esb.ok("tail", "s", "-o", "template", "--template", "{{event}}") == "e\n"
    assert "--template TEXT" in esb.fails(2, "tail", "s", "-o", "template")
    assert "two forms" in esb.fails(2, "tail", "s", "-o", "json", "--template", "x")
