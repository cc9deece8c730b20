"""The native dialect: how an event stands in a stream entry. docs/wire-format.md describes it with golden vectors.

One-letter names, in a fixed order: Redis stores the names once per node of entries that share them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache

import msgspec

from .._binding import compiled
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
PAYLOAD = b"p"
ONLY_FOR = b"@for"
"""Names the one group that an entry is for; long, because entries of other writers must not seem to have it."""

CURRENT_FORMAT = b"1"
STORED_AT = "@"
"""Field of a payload hash: the id of the entry, which makes the hash the record that the message id is stored."""
_STORED_AT = STORED_AT.encode()
ERASED = b"@x"
"""Field of a payload hash: msgpack list of the arguments that were erased."""
MANY = 64
"""Arguments of an event that is out of the ordinary."""
INLINE = "inline"
PAYLOAD_GONE = "the payload is gone without a trace of why"
HASH = ""

_encode = msgspec.msgpack.encode
_set = msgspec.structs.force_setattr
_details = msgspec.msgpack.Decoder(Details)
_inline = msgspec.msgpack.Decoder(dict[str, msgspec.Raw])
_names = msgspec.msgpack.Decoder(list[str])
_packed = msgspec.msgpack.Decoder(list[msgspec.Raw])
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
        words += (STORE, store)
    if store == INLINE:
        words += (PAYLOAD, inline_payload(record.arguments))
    return words


def entry_head(record: Record) -> tuple[bytes | str | int, ...]:
    """The entry's first names and values: the same for every event of a kind."""
    return (FORMAT, CURRENT_FORMAT, EVENT, record.event, VERSION, record.version)


HEAD = 6
"""Words of the head."""
_PLAIN = (
    [FORMAT, EVENT, VERSION, MESSAGE_ID, PRODUCED_AT],
    [FORMAT, EVENT, VERSION, MESSAGE_ID, PRODUCED_AT, ORDERING_KEY],
)
"""The names of most entries."""


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


def inline_payload(arguments: Mapping[str, bytes]) -> bytes:
    """A msgpack map of argument names to values, made from the encoded values as they are."""
    return _encode({name: msgspec.Raw(value) for name, value in arguments.items()})


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
            only_for=only_for,
        )
    except KeyError as missing:
        problem = f"the entry lacks its field {missing.args[0].decode()!r}"
    except (ValueError, msgspec.MsgspecError):
        problem = "the entry's fields cannot be read"
    return Stored(key=key, problem=problem, raw=fields, only_for=only_for)


def stored_events(stream: str, entries: Iterable[tuple[bytes, Sequence[bytes]]]) -> list[Stored]:
    """Read entries as `stored_event` does. Events of a kind come in rows: what they have in common is read once."""
    events: list[Stored] = []
    row: tuple[bytes, bytes] = b"", b""
    name, version = "", 0
    for id_, words in entries:
        if words[::2] in _PLAIN and words[1] == CURRENT_FORMAT:
            try:
                if words[3] != row[0] or words[5] != row[1]:
                    name, version = words[3].decode(), int(words[5])
                    row = words[3], words[5]
                found = Stored(
                    key=EventKey(stream=stream, id=id_.decode()),
                    event=name,
                    version=version,
                    message_id=words[7].decode(),
                    produced_at=int(words[9]),
                    ordering_key=words[11].decode() if len(words) > 10 else None,
                )
            except ValueError:
                found = stored_event(stream, id_.decode(), words)  # says what is wrong
        else:
            found = stored_event(stream, id_.decode(), words)
        events.append(found)
    return events


def with_payloads(events: Iterable[Stored], replies: Iterable[Sequence[bytes] | Exception]) -> list[Stored]:
    """Complete events as `with_payload` does. Names that come in rows are read once."""
    whole: list[Stored] = []
    row: Sequence[bytes] = ()
    pick = _picker(0)()
    for event, words in zip(events, replies, strict=True):
        if not isinstance(words, Exception) and words[::2] == row:
            # the event was just read and is nobody else's yet; a copy of it would cost as much as reading it did
            _set(event, "arguments", pick(words))
            whole.append(event)
            continue
        found = with_payload(event, words)
        whole.append(found)
        if not isinstance(words, Exception) and not found.problem:
            names = words[::2]
            if names[0] == _STORED_AT and ERASED not in names and len(names) <= MANY:
                row, pick = names, _picker(len(names) - 1)(*[name.decode() for name in names[1:]])
    return whole


@cache
def _picker(count: int) -> Callable[..., Callable[[Sequence[bytes]], dict[str, bytes]]]:
    """Given so many names, what picks their values out of the words of a hash, behind STORED_AT.

    A function for each number of names, because a display takes a third of the time of `dict(zip(...))`. The names
    themselves, which may be anybody's, do not become a part of its text.
    """
    names = ", ".join(f"name_{n}" for n in range(count))
    pairs = ", ".join(f"name_{n}: words[{2 * n + 3}]" for n in range(count))
    found: Callable[..., Callable[[Sequence[bytes]], dict[str, bytes]]] = compiled(
        f"def pick({names}): return lambda words: {{{pairs}}}", {}
    )
    return found


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
    source = _text(fields, b"id")
    letter = DeadLetter(
        id=source,
        message_id=_text(fields, b"message"),
        reason=_text(fields, b"reason"),
        attempts=int(_text(fields, b"attempts") or 0) if _text(fields, b"attempts").isdecimal() else 0,
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


def entry_for(group: str, entry: Sequence[bytes], stored: Stored) -> list[bytes | str]:
    """A dead letter's entry as one that its group alone gets, with the payload inside where it can be read."""
    own = {ONLY_FOR} if stored.arguments is None else {ONLY_FOR, STORE, PAYLOAD}
    words: list[bytes | str] = []
    for name, value in zip(entry[::2], entry[1::2], strict=False):
        if name not in own:
            words += (name, value)
    if stored.arguments is not None:
        words += (STORE, INLINE, PAYLOAD, inline_payload(stored.arguments))
    return [*words, ONLY_FOR, group]


def _unpacked(raw: bytes) -> list[bytes]:
    """The words that a script packed, whatever bytes they hold."""
    try:
        return [bytes(word)[_TEXT_HEADS.get(bytes(word)[0], 1) :] for word in _packed.decode(raw)]
    except msgspec.MsgspecError:
        return []


def _text(fields: Mapping[bytes, bytes], name: bytes) -> str:
    return fields.get(name, b"").decode("utf-8", "backslashreplace")
