"""Arguments that pydantic describes; imported only when a contract mentions one of its types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, to_jsonable_python

from ._admission import Unfit
from ._moments import NAIVE, naive_anywhere
from ._shapes import text_of


def writer(annotation: Any) -> Callable[[Any], bytes]:
    """Dump values by pydantic's rules, then write and read them back; a value of another type is refused."""
    dump = TypeAdapter[Any](annotation).dump_python
    read = reader(annotation)
    encode = msgspec.msgpack.Encoder(enc_hook=_plain).encode

    def write(value: Any) -> bytes:
        try:
            dumped = dump(value, by_alias=True, round_trip=True, warnings="error")
        except PydanticSerializationError:
            raise Unfit(f"got {text_of(type(value))}, or something in it is of another type") from None
        if naive_anywhere(dumped):
            raise Unfit(NAIVE)
        raw = encode(dumped)
        read(raw)
        return raw

    return write


def reader(annotation: Any) -> Callable[[bytes], Any]:
    """Read plain values and let pydantic validate them."""
    validate = TypeAdapter[Any](annotation).validate_python
    decode = msgspec.msgpack.Decoder().decode

    def read(raw: bytes) -> Any:
        value = decode(raw)
        try:
            return validate(value, strict=False)  # text is how msgpack holds a UUID
        except ValidationError as error:
            kinds = {
                each["type"] for each in error.errors(include_url=False, include_context=False, include_input=False)
            }
        raise Unfit(f"pydantic refuses it: {', '.join(sorted(kinds))}")

    return read


def json_schema(annotation: Any) -> dict[str, Any]:
    """pydantic's own JSON Schema of an annotation."""
    return TypeAdapter[Any](annotation).json_schema(by_alias=True)


def _plain(value: Any) -> Any:
    """Addresses, paths and the like as pydantic writes them; a secret would be stored as stars, so it is refused."""
    if hasattr(value, "get_secret_value"):
        raise Unfit("a secret is not stored: declare what it protects as plain text, or leave it out")
    return to_jsonable_python(value)
