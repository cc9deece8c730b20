"""From JSON to what an event carries, by the JSON Schema of its parameters.

Checking and converting are one walk: the schema says which text is a time, a decimal number or base64, and those have
their own form in a stored event. Problems name the argument by its path and the expected type, never the value.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .formats import Schema, broken_limits, is_kind, is_object, kind_of, named, plain, text_of

MISSING = "it is missing"
UNKNOWN = "it is unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that does not fit: where (`user.name`, `items[2]`), what was expected, what is there."""

    path: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.path}: expected {self.expected}, {self.found}"


class Misfit(Exception):
    """A value does not fit its schema."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitter:
    """Fits values to schemas whose references lie in `definitions`."""

    definitions: Mapping[str, Schema]

    def fit(self, value: object, schema: Schema, path: str) -> object:
        """The value as an event carries it. Raises `Misfit` with everything that is wrong below `path`."""
        schema = self.resolved(schema)
        if branches := _branches(schema):
            return self._any(value, branches, schema, path)
        if _is_choice(schema):
            return self._chosen(value, schema, path)
        kinds = _kinds(schema)
        if not kinds:
            return plain(value)
        kind = next((kind for kind in kinds if is_kind(value, kind, schema)), None)
        if kind is None:
            raise self._misfit(value, schema, path)
        if broken := list(broken_limits(value, schema)):
            raise Misfit([Problem(path=path, expected=text, found="it is not") for text in broken])
        return self._converted(kind, value, schema, path)

    def fits(self, value: object, schema: Schema) -> bool:
        """Whether a value fits."""
        try:
            self.fit(value, schema, "")
        except Misfit:
            return False
        return True

    def read(self, text: str, schema: Schema, parse: Callable[[str], object]) -> object:
        """What a person meant by plain text: itself where only text fits, else JSON, else text. Not checked yet."""
        if self.only_text(schema):
            return text
        try:
            value = parse(text)
        except ValueError:
            return text
        return text if not self.fits(value, schema) and self.fits(text, schema) else value

    def inside(self, schema: Schema, name: str) -> Schema | None:
        """The schema of a member of an object, through references and alternatives; None when it has none."""
        schema = self.resolved(schema)
        for branch in (schema, *map(self.resolved, _branches(schema))):
            member = branch.get("properties", {}).get(name, branch.get("additionalProperties"))
            if is_object(member):
                return member
        return None

    def expected(self, schema: Schema) -> str:
        """The type that a schema asks for, as a person reads it."""
        reference = str(schema.get("$ref", "")).rpartition("/")[2]
        schema = self.resolved(schema)
        if branches := _branches(schema):
            return " or ".join(dict.fromkeys(map(self.expected, branches)))
        if _is_choice(schema):
            return "one of " + ", ".join(map(repr, _choices(schema)))
        kinds = _kinds(schema)
        if "object" in kinds and "properties" in schema:
            return f"{reference or schema.get('title', 'an object')} {{{', '.join(schema['properties'])}}}"
        if "array" in kinds and is_object(schema.get("items")):
            return f"a list of {self.expected(schema['items'])}"
        return " or ".join(named(kind, schema) for kind in kinds) or "any value"

    def only_text(self, schema: Schema) -> bool:
        """Whether nothing but text fits."""
        schema = self.resolved(schema)
        if branches := _branches(schema):
            return all(map(self.only_text, branches))
        if _is_choice(schema):
            return all(isinstance(choice, str) for choice in _choices(schema))
        return list(_kinds(schema)) == ["string"]

    def resolved(self, schema: Schema) -> Schema:
        """The schema behind its reference; a reference to nothing admits anything."""
        for _ in range(64):
            reference = schema.get("$ref")
            if not isinstance(reference, str):
                return schema
            schema = self.definitions.get(reference.rpartition("/")[2], {})
        return {}

    def _any(self, value: object, branches: Sequence[Schema], schema: Schema, path: str) -> object:
        """The first branch that fits; the words of the branch that came nearest."""
        nearest: Misfit | None = None
        for branch in branches:
            try:
                return self.fit(value, branch, path)
            except Misfit as problem:
                if any(found.path != path for found in problem.problems):
                    nearest = nearest or problem
        raise nearest or self._misfit(value, schema, path)

    def _chosen(self, value: object, schema: Schema, path: str) -> object:
        """One of the listed values; True is not 1."""
        given = plain(value)
        if any(given == choice and isinstance(given, bool) == isinstance(choice, bool) for choice in _choices(schema)):
            return given
        raise self._misfit(value, schema, path)

    def _converted(self, kind: str, value: Any, schema: Schema, path: str) -> object:
        if kind == "object":
            return self._object(value, schema, path)
        if kind == "array":
            return self._array(value, schema, path)
        if kind == "number":
            return float(value)
        if kind != "string":
            return int(value) if kind == "integer" else value
        try:
            return text_of(value, schema)
        except ValueError:
            raise Misfit([Problem(path=path, expected=self.expected(schema), found="found other text")]) from None

    def _object(self, value: Mapping[str, object], schema: Schema, path: str) -> dict[Any, object]:
        """Every member by its own schema; all problems at once.

        What a schema does not list is a mistake unless it says otherwise: a reader would drop it without a word.
        """
        properties: Mapping[str, Schema] = schema.get("properties", {})
        others: Schema | bool = schema.get("additionalProperties", not properties)
        problems = [
            Problem(path=_join(path, name), expected=self.expected(properties[name]), found=MISSING)
            for name in schema.get("required", ())
            if name not in value and name in properties
        ]
        result: dict[Any, object] = {}
        for name, member in value.items():
            known = properties.get(name, others)
            if known is False:
                problems.append(Problem(path=_join(path, name), expected=", ".join(properties), found=UNKNOWN))
                continue
            try:
                inner = self.fit(member, known if is_object(known) else {}, _join(path, name))
                result[self._name(name, schema, path)] = inner
            except Misfit as problem:
                problems += problem.problems
        if problems:
            raise Misfit(problems)
        return result

    def _name(self, name: str, schema: Schema, path: str) -> object:
        """A member's name: JSON has only text there, an event may have numbers."""
        wanted = schema.get("propertyNames")
        if name in schema.get("properties", {}) or not is_object(wanted) or self.only_text(wanted):
            return name
        try:
            return self.fit(json.loads(name), wanted, _join(path, name))
        except ValueError:
            raise self._misfit(name, wanted, _join(path, name)) from None

    def _array(self, value: Sequence[object], schema: Schema, path: str) -> list[object]:
        """Every item by its own schema; all problems at once."""
        leading: Sequence[object] = schema.get("prefixItems", ())
        rest: object = schema.get("items", {})
        problems: list[Problem] = []
        result: list[object] = []
        for at, item in enumerate(value):
            known = leading[at] if at < len(leading) else rest
            try:
                result.append(self.fit(item, known if is_object(known) else {}, f"{path}[{at}]"))
            except Misfit as problem:
                problems += problem.problems
        if problems:
            raise Misfit(problems)
        return result

    def _misfit(self, value: object, schema: Schema, path: str) -> Misfit:
        return Misfit([Problem(path=path, expected=self.expected(schema), found=f"found {kind_of(value)}")])


def _branches(schema: Schema) -> Sequence[Schema]:
    return schema.get("anyOf") or schema.get("oneOf") or ()


def _is_choice(schema: Schema) -> bool:
    return "const" in schema or "enum" in schema


def _choices(schema: Schema) -> Sequence[object]:
    return [schema["const"]] if "const" in schema else schema["enum"]


def _kinds(schema: Schema) -> Sequence[str]:
    kinds = schema.get("type", ())
    return [kinds] if isinstance(kinds, str) else kinds


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
