"""JMESPath over an event's document `{key, event, version, at, args, meta}`: `--where` and `--template`.

The library reads the expression; what conditions are mostly made of (paths, comparisons, and, or, not) is compiled to
functions, because its interpreter would be the slowest part of a long search. https://jmespath.org/specification.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from .failures import Exit, Failure
from .formats import is_object
from .terminal import Output, cells, clean, json_line, tabbed
from .terminal import put as put_line

if TYPE_CHECKING:
    from esb_runtime.operations import Condition

Node = Mapping[str, Any]
Evaluate = Callable[[Any], Any]

MEMBERS = ("key", "event", "version", "at", "args", "meta")
"""What a document has."""
_BELOW = {"subexpression", "index_expression", "pipe", "projection", "filter_projection", "value_projection", "flatten"}
"""Nodes whose first child alone looks at the document; the others look at what the one before them found."""


def conditions(text: str | None) -> list[Condition]:
    """What `--where` asks for, as conditions that hold all at once, none without a text.

    Raises `Failure` (usage) that marks the place where the text is no expression, or where it asks for what no event
    has.
    """
    if text is None:
        return []
    from esb_runtime.operations import Condition

    return [
        Condition(test=_test(part), members=members(part), arguments=_arguments(part))
        for part in _conjuncts(parsed(text, "--where", MEMBERS))
    ]


def parsed(text: str, option: str, known: Sequence[str] = ()) -> Node:
    """The expression as a tree; `known` are the members of what it looks at. Raises `Failure` (usage)."""
    import jmespath.parser  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]  # it ships no types
    from jmespath.exceptions import (  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]
        JMESPathError,
    )

    library: Any = jmespath.parser
    errors: Any = JMESPathError
    try:
        tree: Node = library.Parser().parse(text).parsed
    except errors as problem:
        raise _marked(option, text, *_place(problem, text)) from None
    looked_at = members(tree)
    anywhere = MEMBERS if looked_at.issuperset(MEMBERS) else ()  # the whole document is looked at, whatever it is
    if known and (unknown := sorted(looked_at.difference(known, anywhere))):
        name = unknown[0]
        nearest = f"did you mean args.{name}? " if "args" in known else ""
        raise _marked(option, text, text.find(name), f"there is no {name!r} ({nearest}there are {', '.join(known)})")
    for node in _nodes(tree):
        if node["type"] == "function_expression" and (words := _wrong_call(node)):
            raise _marked(option, text, text.find(f"{node['value']}("), words)
    return tree


def _wrong_call(node: Node) -> str:
    """What is wrong with the call of a function; the library finds it only when the call is made."""
    from jmespath.functions import (  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]
        Functions,
    )

    table: Mapping[str, Any] = getattr(Functions, "FUNCTION_TABLE", {})
    name, given = node["value"], len(node["children"])
    if name not in table:
        return f"there is no function {name}()"
    signature = table[name]["signature"]
    most = None if signature and signature[-1].get("variadic") else len(signature)
    fits = given >= len(signature) if most is None else given == most
    return (
        "" if fits else f"{name}() takes {'at least ' if most is None else ''}{len(signature)} arguments, not {given}"
    )


def _nodes(node: Node) -> Iterator[Node]:
    yield node
    for child in node["children"]:
        if is_object(child):
            yield from _nodes(child)


def _place(problem: Any, text: str) -> tuple[int, str]:
    """Where an expression is wrong, and why in a few words."""
    place = getattr(problem, "lex_position", None)
    at = len(text) if place is None else min(int(place), len(text))
    if type(problem).__name__ == "EmptyExpressionError":
        return 0, "it is empty"
    if type(problem).__name__ == "LexerError":
        return at, str(problem.message)
    if at >= len(text) or type(problem).__name__ == "IncompleteExpressionError":
        return len(text), "something is missing at the end"
    return at, f"{problem.token_value!r} does not belong here" if hasattr(problem, "token_value") else "a misfit"


def _marked(option: str, text: str, at: int, words: str) -> Failure:
    """The error, with the place below the expression marked."""
    return Failure(
        f"{option}: {words}\n  {clean(text)}\n  {' ' * cells(clean(text[: max(at, 0)]))}^\n"
        "JMESPath: event == 'packing' && args.user.id > `100`; texts in '...', numbers in `...`",
        Exit.USAGE,
    )


def members(node: Node) -> frozenset[str]:
    """The members of the document that an expression looks at; all of them where that cannot be told."""
    kind, children = node["type"], node["children"]
    if kind == "field":
        return frozenset({node["value"]})
    if kind == "literal":
        return frozenset()
    if kind in {"current", "identity", "expref"}:
        return frozenset(MEMBERS)
    looked_at = children[:1] if kind in _BELOW else children
    return frozenset[str]().union(*(members(child) for child in looked_at if is_object(child)))


def _arguments(node: Node) -> frozenset[str] | None:
    """The arguments that an expression looks at; None for all."""
    found: set[str] = set()
    for each in _roots(node):
        if "args" not in members(each):
            continue
        if each["type"] != "subexpression" or each["children"][1]["type"] != "field":
            return None
        found.add(each["children"][1]["value"])
    return frozenset(found)


def _roots(node: Node) -> Iterator[Node]:
    """The parts of an expression that look at the document itself: paths, and what cannot be told apart."""
    kind, children = node["type"], node["children"]
    if kind in {"comparator", "and_expression", "or_expression", "not_expression", "function_expression"}:
        for child in children:
            yield from _roots(child)
    elif kind in _BELOW and (kind != "subexpression" or children[0]["type"] != "field"):
        yield from _roots(children[0])
    else:
        yield node


def _conjuncts(node: Node) -> Iterator[Node]:
    """The parts that must hold all at once: each is decided as early as it can be."""
    if node["type"] == "and_expression":
        for child in node["children"]:
            yield from _conjuncts(child)
    else:
        yield node


def _test(node: Node) -> Callable[[Mapping[str, Any]], bool]:
    """Whether an expression is true of a document; one that a function cannot answer for this event is not."""
    evaluate = compiled(node)

    def test(document: Mapping[str, Any]) -> bool:
        try:
            return _is_true(evaluate(document))
        except (ValueError, TypeError):  # the library's errors are ValueErrors; `length(args.n)` of a number is one
            return False

    return test


def _is_true(value: Any) -> bool:
    """Truth in JMESPath: 0 is true."""
    return bool(value) or (value is not False and isinstance(value, int | float))


def compiled(node: Node) -> Evaluate:
    """An expression as a function; equal to the library's interpreter (a property test compares them)."""
    make = _COMPILERS.get(node["type"])
    return make(node) if make else lambda value: _interpreter().visit(node, value)


@cache
def _interpreter() -> Any:
    from jmespath.visitor import (  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]
        TreeInterpreter,
    )

    make: Any = TreeInterpreter
    return make()


def _field(node: Node) -> Evaluate:
    name = node["value"]

    def member(value: Any) -> Any:
        return value.get(name) if is_object(value) else None

    return member


def _path(node: Node) -> Evaluate:
    first, *others = map(compiled, node["children"])
    if len(others) == 1:
        (second,) = others
        return lambda value: second(first(value))

    def path(value: Any) -> Any:
        value = first(value)
        for each in others:
            value = each(value)
        return value

    return path


def _literal(node: Node) -> Evaluate:
    constant = node["value"]
    return lambda _: constant


def _comparator(node: Node) -> Evaluate:
    left, right = map(compiled, node["children"])
    return _COMPARISONS[node["value"]](left, right)


def _equal(left: Any, right: Any) -> bool:
    """Equality in JMESPath: 1 is not true, at the top of what is compared."""
    return bool(left == right) and isinstance(left, bool) == isinstance(right, bool)


def _and(node: Node) -> Evaluate:
    left, right = map(compiled, node["children"])

    def both(value: Any) -> Any:
        found = left(value)
        return right(value) if _is_true(found) else found

    return both


def _or(node: Node) -> Evaluate:
    left, right = map(compiled, node["children"])

    def either(value: Any) -> Any:
        found = left(value)
        return found if _is_true(found) else right(value)

    return either


def _not(node: Node) -> Evaluate:
    inner = compiled(node["children"][0])
    return lambda value: not _is_true(inner(value))


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Evaluate, Evaluate], Evaluate]:
    """A comparison of numbers, or of texts; null between other things."""

    def made(left: Evaluate, right: Evaluate) -> Evaluate:
        def compared(value: Any) -> bool | None:
            one, other = left(value), right(value)
            return compare(one, other) if (type(one), type(other)) in _COMPARABLE else None

        return compared

    return made


_COMPARABLE = {(int, int), (int, float), (float, int), (float, float), (str, str)}
_COMPARISONS: Mapping[str, Callable[[Evaluate, Evaluate], Evaluate]] = {
    "eq": lambda left, right: lambda value: _equal(left(value), right(value)),
    "ne": lambda left, right: lambda value: not _equal(left(value), right(value)),
    "lt": _ordered(lambda one, other: one < other),
    "lte": _ordered(lambda one, other: one <= other),
    "gt": _ordered(lambda one, other: one > other),
    "gte": _ordered(lambda one, other: one >= other),
}
_COMPILERS: Mapping[str, Callable[[Node], Evaluate]] = {
    "field": _field,
    "subexpression": _path,
    "literal": _literal,
    "comparator": _comparator,
    "and_expression": _and,
    "or_expression": _or,
    "not_expression": _not,
}

_PLACE = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_ESCAPES = {r"\n": "\n", r"\t": "\t", r"\\": "\\"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A line of text with `{{expression}}` in it, filled in from a document."""

    parts: Sequence[str | Evaluate]

    @classmethod
    def parse(cls, text: str, known: Sequence[str] = ()) -> Template:
        r"""Read `{{args.user.name}} {{event}}`; `\n` and `\t` are understood. Raises `Failure` (usage).

        `known` are the members of what it will be filled in from, where they are always the same.
        """
        parts: list[str | Evaluate] = []
        for at, piece in enumerate(_PLACE.split(text)):
            if at % 2:
                parts.append(compiled(parsed(piece.strip(), "--template", known)))
            else:
                parts.append(re.sub(r"\\[nt\\]", lambda found: _ESCAPES[found[0]], piece))
        return cls(parts=parts)

    def line(self, document: Mapping[str, Any]) -> str:
        """The text for one document: texts as they are, but clean; null is nothing; everything else is JSON."""
        return "".join(part if isinstance(part, str) else _shown(part, document) for part in self.parts)


Form = tuple[Output, Template | None]
"""How to print: the template is there exactly for `Output.TEMPLATE`."""


def form(output: Output, template: str | None, known: Sequence[str] = ()) -> Form:
    """The form that `-o` and `--template` ask for together. Raises `Failure` (usage)."""
    if template is None:
        if output is Output.TEMPLATE:
            raise Failure("-o template wants --template TEXT: --template '{{key}} {{event}}'", Exit.USAGE)
        return output.chosen(), None
    if output not in {Output.AUTO, Output.TEMPLATE}:
        raise Failure(f"--template and -o {output} are two forms: leave one out", Exit.USAGE)
    return Output.TEMPLATE, Template.parse(template, known)


def put(shown: Mapping[str, Any], how: Form, raw: str | None = None) -> None:
    """One document in a form for programs: by the template, as JSON, or `raw` (else its values between tabs)."""
    output, template = how
    if template is not None:
        put_line(template.line(shown))
    elif output is Output.RAW:
        put_line(tabbed(shown.values()) if raw is None else raw)
    else:
        put_line(json_line(shown))


def _shown(evaluate: Evaluate, document: Mapping[str, Any]) -> str:
    try:
        value = evaluate(document)
    except (ValueError, TypeError):
        return ""
    return "" if value is None else clean(value) if isinstance(value, str) else json_line(value)
