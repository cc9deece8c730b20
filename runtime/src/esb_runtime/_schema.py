"""JSON Schema of events: what tools know about a contract without importing it (`contract.lock`).

A schema describes what an argument looks like in JSON. Formats say what JSON text stands for: `date-time`, `date`,
`time`, `duration` (ISO 8601), `uuid`, `decimal`, and `contentEncoding: base64` for bytes.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from functools import singledispatch
from typing import Any

import msgspec
import msgspec.inspect as described

from ._contract import EventContract, uri_of
from ._events import EventDefinition, Parameter
from ._plain import jsonable
from ._shapes import mentions_pydantic

Schema = dict[str, Any]

FORMAT = 1
"""The lock file's format."""


def contract_lock(contracts: Iterable[type[EventContract[Any]]]) -> Schema:
    """The contracts' events with their schemas, in the order they are written; equal contracts give equal locks."""
    return {
        "format": FORMAT,
        "events": [_locked(contract, event) for contract in contracts for event in contract.events().values()],
    }


def parameters_schema(event: EventDefinition) -> Schema:
    """The arguments of an event as the schema of a JSON object. Raises `ContractError` for unresolved annotations."""
    shared = Definitions()
    schema: Schema = {"type": "object", "properties": {}, "required": []}
    for parameter in event.parameters:
        schema["properties"][parameter.name] = _with_default(shared.schema_of(parameter.annotation), parameter)
        if parameter.required:
            schema["required"].append(parameter.name)
    if shared.found:
        schema["$defs"] = dict(sorted(shared.found.items()))
    return schema


def _locked(contract: type[EventContract[Any]], event: EventDefinition) -> Schema:
    deprecated = event.deprecated
    return {
        "contract": contract.__name__,
        "uri": uri_of(contract),
        "event": event.name,
        "version": event.version,
        "parameters": parameters_schema(event),
        "key": event.key,
        "personal": list(event.personal),
        "deprecated": deprecated and {"since": deprecated.since.isoformat(), "remark": deprecated.remark},
    }


def _with_default(schema: Schema, parameter: Parameter) -> Schema:
    return schema if parameter.required else {**schema, **_default(parameter.default)}


def _default(value: object) -> Schema:
    """A default as JSON says it; nothing for one that JSON cannot say."""
    try:
        return {"default": jsonable(msgspec.to_builtins(value))}
    except TypeError:
        return {}


class Definitions:
    """Turns annotations into schemas; classes become shared definitions in `found`, referred to by name."""

    def __init__(self) -> None:
        self.found: dict[str, Schema] = {}
        self._names: dict[type[Any], str] = {}

    def schema_of(self, annotation: Any) -> Schema:
        """The schema of an annotation."""
        if mentions_pydantic(annotation):
            from ._pydantic import json_schema

            schema = json_schema(annotation)
            self.found.update(schema.pop("$defs", {}))
            return schema
        return self.of(described.type_info(annotation))

    def of(self, node: described.Type) -> Schema:
        """The schema of a described type."""
        return _schema(node, self)

    def shared(self, node: Any, build: Any) -> Schema:
        """A reference to the definition of a class, built at its first mention (it may refer to itself)."""
        cls = node.cls
        if getattr(cls, "__parameters__", ()):
            written_out: Schema = build()
            return written_out  # a generic class looks different for each argument, so each mention is written out
        if cls not in self._names:
            taken = self._names.values()
            name = cls.__name__ if cls.__name__ not in taken else f"{cls.__module__}.{cls.__qualname__}"
            self._names[cls] = name
            self.found[name] = {"title": cls.__name__, **_description(cls), **build()}
        return {"$ref": f"#/$defs/{self._names[cls]}"}


def _description(cls: type[Any]) -> Schema:
    text = inspect.cleandoc(cls.__doc__ or "")
    made_up = text.startswith(f"{cls.__name__}(") or cls.__doc__ == dict.__doc__ or "An enumeration" in text
    return {} if made_up or not text else {"description": text}


@singledispatch
def _schema(node: Any, shared: Definitions) -> Schema:  # noqa: ARG001 - the shape of the registered ones
    """Anything: `Any`, and what has no more to say."""
    return {}


_TEXT_FORMATS: Mapping[type[Any], str] = {
    described.DateTimeType: "date-time",
    described.DateType: "date",
    described.TimeType: "time",
    described.TimeDeltaType: "duration",
    described.UUIDType: "uuid",
    described.DecimalType: "decimal",
}


def _text(node: Any, shared: Definitions) -> Schema:  # noqa: ARG001
    return {"type": "string", "format": _TEXT_FORMATS[type(node)]}


for _kind in _TEXT_FORMATS:
    _schema.register(_kind, _text)


@_schema.register
def _(node: described.NoneType, shared: Definitions) -> Schema:  # noqa: ARG001
    return {"type": "null"}


@_schema.register
def _(node: described.BoolType, shared: Definitions) -> Schema:  # noqa: ARG001
    return {"type": "boolean"}


@_schema.register
def _(node: described.StrType, shared: Definitions) -> Schema:  # noqa: ARG001
    return {"type": "string", **_limits(node, minLength="min_length", maxLength="max_length", pattern="pattern")}


@_schema.register(described.BytesType)
@_schema.register(described.ByteArrayType)
@_schema.register(described.MemoryViewType)
def _(node: Any, shared: Definitions) -> Schema:  # noqa: ARG001
    return {"type": "string", "contentEncoding": "base64"}


@_schema.register(described.IntType)
@_schema.register(described.FloatType)
def _(node: Any, shared: Definitions) -> Schema:  # noqa: ARG001
    kind = "integer" if isinstance(node, described.IntType) else "number"
    return {
        "type": kind,
        **_limits(node, minimum="ge", maximum="le", exclusiveMinimum="gt", exclusiveMaximum="lt"),
        **_limits(node, multipleOf="multiple_of"),
    }


@_schema.register
def _(node: described.EnumType, shared: Definitions) -> Schema:
    return shared.shared(node, lambda: {"enum": [jsonable(member.value) for member in node.cls]})


@_schema.register
def _(node: described.LiteralType, shared: Definitions) -> Schema:  # noqa: ARG001
    return {"enum": sorted(node.values, key=lambda value: (str(type(value)), str(value)))}


@_schema.register
def _(node: described.UnionType, shared: Definitions) -> Schema:
    nullable = [member for member in node.types if isinstance(member, described.NoneType)]
    others = [member for member in node.types if not isinstance(member, described.NoneType)]
    return {"anyOf": [shared.of(member) for member in [*others, *nullable]]}


@_schema.register(described.ListType)
@_schema.register(described.VarTupleType)
@_schema.register(described.SetType)
@_schema.register(described.FrozenSetType)
@_schema.register(described.CollectionType)
def _(node: Any, shared: Definitions) -> Schema:
    unique = {"uniqueItems": True} if isinstance(node, described.SetType | described.FrozenSetType) else {}
    limits = _limits(node, minItems="min_length", maxItems="max_length")
    return {"type": "array", "items": shared.of(node.item_type), **unique, **limits}


@_schema.register
def _(node: described.TupleType, shared: Definitions) -> Schema:
    return _fixed([shared.of(item) for item in node.item_types], required=len(node.item_types))


@_schema.register
def _(node: described.DictType, shared: Definitions) -> Schema:
    keys = shared.of(node.key_type)
    named = {} if keys == {"type": "string"} or not keys else {"propertyNames": keys}
    limits = _limits(node, minProperties="min_length", maxProperties="max_length")
    return {"type": "object", "additionalProperties": shared.of(node.value_type), **named, **limits}


@_schema.register(described.DataclassType)
@_schema.register(described.TypedDictType)
def _(node: Any, shared: Definitions) -> Schema:
    return shared.shared(node, lambda: _fields(node, shared))


@_schema.register
def _(node: described.NamedTupleType, shared: Definitions) -> Schema:
    return shared.shared(node, lambda: _row(node, shared))


@_schema.register
def _(node: described.StructType, shared: Definitions) -> Schema:
    return shared.shared(node, lambda: _row(node, shared) if node.array_like else _fields(node, shared))


def _fields(node: Any, shared: Definitions) -> Schema:
    tag: Schema = {}
    if getattr(node, "tag_field", None) is not None:
        tag = {node.tag_field: {"const": node.tag}}
    properties = {field.encode_name: _field(field, shared) for field in node.fields}
    required = [*tag, *(field.encode_name for field in node.fields if field.required)]
    closed = {"additionalProperties": False} if getattr(node, "forbid_unknown_fields", False) else {}
    return {"type": "object", "properties": {**tag, **properties}, "required": required, **closed}


def _row(node: Any, shared: Definitions) -> Schema:
    tag: list[Schema] = [{"const": node.tag}] if getattr(node, "tag", None) is not None else []
    items = [*tag, *(_field(field, shared) for field in node.fields)]
    return _fixed(items, required=len(tag) + sum(1 for field in node.fields if field.required))


def _fixed(items: list[Schema], *, required: int) -> Schema:
    return {"type": "array", "prefixItems": items, "minItems": required, "maxItems": len(items), "items": False}


def _field(field: described.Field, shared: Definitions) -> Schema:
    schema = shared.of(field.type)
    if field.required:
        return schema
    if field.default is not msgspec.NODEFAULT:
        return {**schema, **_default(field.default)}
    made = field.default_factory
    return {**schema, **_default([])} if made in {list, set, tuple, frozenset} else schema


def _limits(node: Any, **names: str) -> Schema:
    found = {word: getattr(node, attribute) for word, attribute in names.items()}
    return {word: limit for word, limit in found.items() if limit is not None}
