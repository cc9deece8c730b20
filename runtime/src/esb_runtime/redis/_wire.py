"""The native dialect: how an event stands in a stream entry. docs/wire-format.md describes it with golden vectors.

One-letter names, in a fixed order: Redis stores the names once per node of entries that share them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from .._envelope import NO_DETAILS, Details, Record, Stored, copy_details
from .._identifiers import EventKey
from .._ports import BuriedEvent, DeadLetter

FORMAT = b"f"
EVENT = b"e"
VERSION = b"v"
MESSAGE_ID = b"i"
PRODUCED_AT = b"t"
ORDERING_KEY = b"k"
DETAILS = b"d"
STORE = b"s"
INSIDE = b":"
"""The value of STORE where the arguments are fields of the entry, and what the names of these begin with."""
ONLY_FOR = b"@for"
"""Names the one group that an entry is for; long, because entries of other writers must not seem to have it."""

CURRENT_FORMAT = b"1"
STORED_AT = "@"
"""Field of a payload hash: the id of the entry, which makes the hash the record that the message id is stored."""
ERASED = b"@x"
"""Field of a payload hash: msgpack list of the arguments that were erased."""
INLINE = "inline"
PAYLOAD_GONE = "the payload is gone without a trace of why"
HASH = ""

_encode = msgspec.msgpack.encode
_details = msgspec.msgpack.Decoder(Details)
_names = msgspec.msgpack.Decoder(list[str])
_packed = msgspec.msgpack.Decoder(list[msgspec.Raw])
_GARBAGE = (ValueError, RecursionError, msgspec.MsgspecError)
"""What reading anybody's bytes may raise (numbers of thousands of digits and arrays in arrays in arrays among them)."""
_TEXT_HEADS = {0xD9: 2, 0xDA: 3, 0xDB: 5}
"""Bytes before a msgpack text, by its first one; a short text has a single byte."""


def entry_words(record: Record, store: str) -> list[bytes | str | int]:
    """The names and values of the entry that stands for a record whose payload lies in `store`."""
    words = [*entry_head(record), MESSAGE_ID, record.message_id, PRODUCED_AT, record.produced_at]
    if record.ordering_key is not None:
        words += (ORDERING_KEY, record.ordering_key)
    if record.details is not NO_DETAILS:
        words += (DETAILS, _encode(record.details))
    if store != HASH:
        words += inside(record.arguments) if store == INLINE else (STORE, store)
    return words


def inside(arguments: Mapping[str, bytes]) -> list[bytes | str | int]:
    """The arguments as names and values of an entry: names, which are the same in every event, cost the server nothing.

    (It keeps the names of a row of entries once, while those inside a packed payload would lie in every entry.)
    """
    return [STORE, INSIDE, *[word for name, value in arguments.items() for word in (f":{name}", value)]]


def store_named(value: bytes | None) -> str:
    """The store that an entry's STORE names. Raises `ValueError` for the one that no entry names by its name."""
    if value == INLINE.encode():
        raise ValueError(value)
    return HASH if value is None else INLINE if value == INSIDE else value.decode()


def entry_head(record: Record) -> tuple[bytes | str | int, ...]:
    """The entry's first names and values: the same for every event of a kind."""
    return (FORMAT, CURRENT_FORMAT, EVENT, record.event, VERSION, record.version)


HEAD = 6
"""Words of the head."""


def entry_shape(record: Record) -> tuple[object, ...]:
    """Records with equal shapes have the same head, and the same names after it and in their payloads."""
    has_key, has_details = record.ordering_key is not None, record.details is not NO_DETAILS
    return (record.event, record.version, has_key, has_details, bool(record.erased), *record.arguments)


def entry_values(record: Record, store: str) -> list[bytes | str | int]:
    """The values after the head; what they are called is the same for records of one shape."""
    if record.ordering_key is None and record.details is NO_DETAILS and store == HASH:  # as most of them
        return [record.message_id, record.produced_at]
    return entry_words(record, store)[HEAD + 1 :: 2]


def entry_names(record: Record, store: str) -> list[bytes | str | int]:
    """The names after the head, in the order of `entry_values`."""
    return entry_words(record, store)[HEAD::2]


def copy_values(stored: Stored) -> tuple[bytes | str | int, ...]:
    """The values of a copy's entry after the head, with its details."""
    if stored.ordering_key is None:
        return stored.message_id, stored.produced_at, _encode(copy_details(stored))
    return stored.message_id, stored.produced_at, stored.ordering_key, _encode(copy_details(stored))


def erased_names(names: Iterable[str]) -> bytes:
    """The tombstone of erased arguments, as it stands in a payload hash."""
    return _encode(sorted(names))


def stored_event(stream: str, id_: str, words: Sequence[bytes]) -> Stored:
    """Read an entry. Never raises: what cannot be read comes back with its `problem` and its raw fields."""
    key = EventKey(stream=stream, id=id_)
    fields = dict(zip(words[::2], words[1::2], strict=False))
    form = fields.get(FORMAT)
    only_for = fields.get(ONLY_FOR, b"").decode("utf-8", "replace")
    if form != CURRENT_FORMAT:
        return Stored(key=key, problem=_foreign(form), raw=fields, only_for=only_for)
    try:
        details = fields.get(DETAILS)
        ordering_key = fields.get(ORDERING_KEY)
        store = store_named(fields.get(STORE))
        within = {name[1:].decode(): value for name, value in fields.items() if name[:1] == INSIDE}
        for own in ("@", "@x"):  # what hashes keep beside the arguments
            within.pop(own, None)
        return Stored(
            key=key,
            event=fields[EVENT].decode(),
            version=int(fields[VERSION]),
            message_id=fields[MESSAGE_ID].decode(),
            produced_at=int(fields[PRODUCED_AT]),
            ordering_key=None if ordering_key is None else ordering_key.decode(),
            details=NO_DETAILS if details is None else _details.decode(details),
            store=store,
            arguments=within if store == INLINE else None,
            only_for=only_for,
        )
    except KeyError as missing:
        problem = f"the entry lacks its field {missing.args[0].decode()!r}"
    except _GARBAGE:
        problem = "the entry's fields cannot be read"
    return Stored(key=key, problem=problem, raw=fields, only_for=only_for)


def with_payload(stored: Stored, words: Sequence[bytes] | Exception) -> Stored:
    """Complete an event with what its payload hash holds (an error where the key is none)."""
    if isinstance(words, Exception):
        return msgspec.structs.replace(stored, problem="the payload's key is not a hash")
    if not words:
        return msgspec.structs.replace(stored, problem=PAYLOAD_GONE)
    try:
        arguments = dict(zip(map(bytes.decode, words[::2]), words[1::2], strict=True))
        arguments.pop("@", None)
        erased = arguments.pop("@x", None)
        names = frozenset(_names.decode(erased)) if erased else stored.erased
    except _GARBAGE:
        return msgspec.structs.replace(stored, problem="the payload's fields cannot be read")
    return msgspec.structs.replace(stored, arguments=arguments, erased=names)


def _foreign(form: bytes | None) -> str:
    if form is None:
        return "the entry was not written by esb (it has no format version)"
    if form.isdigit():
        return f"the entry has format version {form[:20].decode()}; this esb reads version 1: upgrade esb"
    return "the entry was not written by esb (its format version is no number)"


def gone_event(stream: str, id_: str) -> Stored:
    """An entry that a group still counts as pending, but that the stream no longer holds."""
    return Stored(
        key=EventKey(stream=stream, id=id_),
        problem="the entry was removed from the stream before it was handled",
    )


def letter_words(letter: DeadLetter, consumer: str) -> list[str | int]:
    """The names and values of a dead letter; the script that writes it puts `id` and `raw` before them."""
    words: list[str | int] = [
        "reason", letter.reason, "attempts", letter.attempts, "traceback", letter.traceback,
        "consumer", consumer, "message", letter.message_id,
    ]  # fmt: skip
    return [*words, "passed", 1] if letter.passed else words


def buried_event(stream: str, id_: str, words: Sequence[bytes]) -> tuple[BuriedEvent, list[bytes]]:
    """Read a dead letter, without its payload, and the names and values of its entry. Never raises."""
    fields = dict(zip(words[::2], words[1::2], strict=False))
    entry = _unpacked(fields.get(b"raw", b""))
    source, attempts = _text(fields, b"id"), _text(fields, b"attempts")
    letter = DeadLetter(
        id=source,
        message_id=_text(fields, b"message"),
        reason=_text(fields, b"reason"),
        attempts=int(attempts) if attempts.isdecimal() and len(attempts) < 20 else 0,
        traceback=_text(fields, b"traceback"),
        passed=b"passed" in fields,
    )
    if entry:
        stored = stored_event(stream, source, entry)
    elif source:
        stored = gone_event(stream, source)
    else:
        stored = Stored(
            key=EventKey(stream=stream, id=id_), problem="the dead letter was not written by esb", raw=fields
        )
    consumer = _text(fields, b"consumer")
    return BuriedEvent(id=id_, letter=letter, stored=stored, consumer=consumer, empty=not entry), entry


def entry_for(group: str, entry: Sequence[bytes], stored: Stored) -> list[bytes | str | int]:
    """A dead letter's entry as one that its group alone gets, with the payload inside where it can be read."""
    known = stored.arguments is not None
    words: list[bytes | str | int] = []
    for name, value in zip(entry[::2], entry[1::2], strict=False):
        if name != ONLY_FOR and not (known and (name == STORE or name[:1] == INSIDE)):
            words += (name, value)
    return [*words, *inside(stored.arguments or {}), ONLY_FOR, group] if known else [*words, ONLY_FOR, group]


def _unpacked(raw: bytes) -> list[bytes]:
    """The words that a script packed, whatever bytes they hold."""
    try:
        return [bytes(word)[_TEXT_HEADS.get(bytes(word)[0], 1) :] for word in _packed.decode(raw)]
    except _GARBAGE:
        return []


def _text(fields: Mapping[bytes, bytes], name: bytes) -> str:
    return fields.get(name, b"").decode("utf-8", "backslashreplace")
