"""The native dialect: how an event stands in a stream entry. docs/wire-format.md describes it with golden vectors.

One-letter names, in a fixed order: Redis stores the names once per node of entries that share them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from .._envelope import NO_DETAILS, Details, Record, Stored
from .._identifiers import EventKey

FORMAT = b"f"
EVENT = b"e"
VERSION = b"v"
MESSAGE_ID = b"i"
PRODUCED_AT = b"t"
ORDERING_KEY = b"k"
DETAILS = b"d"
STORE = b"s"
PAYLOAD = b"p"

CURRENT_FORMAT = b"1"
STORED_AT = b"@"
"""Field of a payload hash: the id of the entry, which makes the hash the record that the message id is stored."""
ERASED = b"@x"
"""Field of a payload hash: msgpack list of the arguments that were erased."""
INLINE = "inline"
HASH = ""

_encode = msgspec.msgpack.encode
_details = msgspec.msgpack.Decoder(Details)
_inline = msgspec.msgpack.Decoder(dict[str, msgspec.Raw])
_names = msgspec.msgpack.Decoder(list[str])


def entry_words(record: Record, store: str) -> list[bytes | str | int]:
    """The names and values of the entry that stands for a record whose payload lies in `store`."""
    words: list[bytes | str | int] = [
        FORMAT, CURRENT_FORMAT, EVENT, record.event, VERSION, record.version,
        MESSAGE_ID, record.message_id, PRODUCED_AT, record.produced_at,
    ]  # fmt: skip
    if record.ordering_key is not None:
        words += (ORDERING_KEY, record.ordering_key)
    if record.details is not NO_DETAILS:
        words += (DETAILS, _encode(record.details))
    if store == INLINE:
        words += (STORE, INLINE, PAYLOAD, inline_payload(record.arguments))
    elif store != HASH:
        words += (STORE, store)
    return words


def inline_payload(arguments: Mapping[str, bytes]) -> bytes:
    """A msgpack map of argument names to values, made from the encoded values as they are."""
    return _encode({name: msgspec.Raw(value) for name, value in arguments.items()})


def stored_event(stream: str, id_: str, words: Sequence[bytes]) -> Stored:
    """Read an entry. Never raises: what cannot be read comes back with its `problem` and its raw fields."""
    key = EventKey(stream=stream, id=id_)
    fields = dict(zip(words[::2], words[1::2], strict=False))
    form = fields.get(FORMAT)
    if form != CURRENT_FORMAT:
        return Stored(key=key, problem=_foreign(form), raw=fields)
    try:
        details = fields.get(DETAILS)
        ordering_key = fields.get(ORDERING_KEY)
        store = fields.get(STORE)
        payload = fields.get(PAYLOAD)
        return Stored(
            key=key,
            event=fields[EVENT].decode(),
            version=int(fields[VERSION]),
            message_id=fields[MESSAGE_ID].decode(),
            produced_at=int(fields[PRODUCED_AT]),
            ordering_key=None if ordering_key is None else ordering_key.decode(),
            details=NO_DETAILS if details is None else _details.decode(details),
            store=HASH if store is None else store.decode(),
            arguments=None if payload is None else {k: bytes(v) for k, v in _inline.decode(payload).items()},
        )
    except KeyError as missing:
        return Stored(key=key, problem=f"the entry lacks its field {missing.args[0].decode()!r}", raw=fields)
    except (ValueError, msgspec.MsgspecError):
        return Stored(key=key, problem="the entry's fields cannot be read", raw=fields)


def with_payload(stored: Stored, words: Sequence[bytes] | bytes) -> Stored:
    """Complete an event with what its payload hash holds (an error's text where Redis gave one)."""
    if isinstance(words, bytes):
        return msgspec.structs.replace(stored, problem="the payload's key is not a hash")
    if not words:
        return msgspec.structs.replace(stored, problem="the payload is gone without a trace of why")
    try:
        arguments = {words[n].decode(): words[n + 1] for n in range(0, len(words), 2)}
        arguments.pop("@", None)
        erased = arguments.pop("@x", None)
        names = frozenset(_names.decode(erased)) if erased else stored.erased
    except (ValueError, msgspec.MsgspecError):
        return msgspec.structs.replace(stored, problem="the payload's fields cannot be read")
    return msgspec.structs.replace(stored, arguments=arguments, erased=names)


def _foreign(form: bytes | None) -> str:
    if form is None:
        return "the entry was not written by esb (it has no format version)"
    if form.isdigit():
        return f"the entry has format version {int(form)}; this esb reads version 1: upgrade esb"
    return "the entry was not written by esb (its format version is no number)"


def gone_event(stream: str, id_: str) -> Stored:
    """An entry that a group still counts as pending, but that the stream no longer holds."""
    return Stored(
        key=EventKey(stream=stream, id=id_),
        problem="the entry was removed from the stream before it was handled",
    )
