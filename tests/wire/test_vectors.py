"""The wire format's page is what the runtime writes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import ResponseError

from esb_runtime import _envelope as envelope
from esb_runtime._ports import DeadLetter
from esb_runtime._retention import Kept
from esb_runtime.redis import _keys, _wire
from esb_runtime.redis._rows import Rows
from esb_runtime.redis._scripts import script

PAGE = Path(__file__).parents[2] / "docs" / "wire-format.md"
VECTORS: dict[str, Any] = json.loads(re.findall(r"```json\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)[-1])


def record_of(told: dict[str, Any]) -> envelope.Record:
    """The record that a vector describes."""
    arguments = {name: bytes.fromhex(value) for name, value in told["arguments"].items()}
    details = envelope.Details(**told["details"]) if "details" in told else envelope.NO_DETAILS
    return envelope.Record(**{**told, "arguments": arguments, "details": details})


def as_bytes(word: bytes | str | int) -> bytes:
    """What a client sends for a word."""
    return word if isinstance(word, bytes) else str(word).encode()


@pytest.mark.parametrize("name", VECTORS)
def test_an_entry_is_written_as_documented(name: str) -> None:
    """The words of an entry are the vector's, byte for byte."""
    vector = VECTORS[name]
    words = [as_bytes(word) for word in _wire.entry_words(record_of(vector["record"]), vector["store"])]
    assert words == [bytes.fromhex(word) for word in vector["entry"]]


@pytest.mark.parametrize("name", VECTORS)
def test_an_entry_is_read_as_documented(name: str) -> None:
    """Reading a vector's entry gives the event that was written."""
    vector = VECTORS[name]
    record = record_of(vector["record"])
    stored = _wire.stored_event("event-demo", "1-0", [bytes.fromhex(word) for word in vector["entry"]])
    assert not stored.problem
    assert (stored.event, stored.version, stored.message_id) == (record.event, record.version, record.message_id)
    assert (stored.produced_at, stored.ordering_key, stored.details) == (
        record.produced_at,
        record.ordering_key,
        record.details,
    )
    assert stored.arguments == (record.arguments if vector["store"] == "inline" else None)


@pytest.mark.parametrize("name", VECTORS)
def test_a_payload_lies_where_documented(name: str) -> None:
    """The payload's key is the vector's."""
    vector = VECTORS[name]
    if vector["payload_key"] is not None:
        assert _keys.payload_key("event-demo", vector["record"]["message_id"]) == vector["payload_key"]


def test_every_key_is_documented() -> None:
    """The page's tables name every side key and every consumer that is no process, and nothing that the code lacks."""
    source = Path(_keys.__file__).read_text("utf-8")
    built = set(re.findall(r"side_prefix\(stream\)\}:(\w+)", source))
    assert {"p", "own", "retention"} <= built
    assert set(re.findall(r"`<prefix>:(\w+)", PAGE.read_text("utf-8"))) == built
    for consumer in (_keys.RELEASED, _keys.left_to("<event>/<version>")):
        assert f"`{consumer}`" in PAGE.read_text("utf-8")


def test_every_field_is_documented() -> None:
    """The page names every field of entries, payloads, details, dead letters and policies that the code writes."""
    letter = DeadLetter(id="1-0", message_id="m", reason="r", attempts=1, passed=True)
    written = {
        *[str(word) for word in _wire.letter_words(letter, "c")[::2]],
        *re.findall(r"'(\w+)', ARGV\[3\], '(\w+)', raw", script("dead").source)[0],
        *[value.decode() for name, value in vars(_wire).items() if name.isupper() and isinstance(value, bytes)],
        *envelope.Details.__struct_fields__,
        *Kept.__struct_fields__,
    }
    assert {"id", "raw", "passed", "@for", "@x", "headers", "pinned"} <= written
    text = PAGE.read_text("utf-8")
    assert {name for name in written if f"`{name}`" not in text} == set()


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_garbage_is_reported_and_never_raises(words: list[bytes]) -> None:
    """An entry of any bytes is an event or has a problem in words that repeat none of its bytes."""
    stored = _wire.stored_event("s", "1-0", words)
    assert stored.problem or stored.event is not None


@given(
    st.dictionaries(
        st.sampled_from([b"f", b"e", b"v", b"i", b"t", b"k", b"d", b"s", b"p"]), st.binary(max_size=30), max_size=9
    )
)
def test_an_entry_that_only_looks_like_ours_never_raises(fields: dict[bytes, bytes]) -> None:
    """Our own field names with other values are reported as a problem, or read."""
    words = [word for field in {b"f": b"1", **fields}.items() for word in field]
    stored = _wire.stored_event("s", "1-0", words)
    assert isinstance(stored, envelope.Stored)


@given(st.text(min_size=1, max_size=30), st.text(min_size=1, max_size=10))
def test_side_keys_share_the_streams_slot(stream: str, group: str) -> None:
    """Every side key of a usable stream has the stream's own effective tag, or the whole stream as its tag."""
    tag = _keys.effective_tag(stream)
    if tag is None and "}" in stream:
        return
    for key in (
        _keys.payload_key(stream, "m"),
        _keys.owner_key(stream, group),
        _keys.dead_letter_stream(stream, group),
        _keys.floor_key(stream, group),
    ):
        assert _keys.effective_tag(key) == (stream if tag is None else tag)


def test_a_newer_format_is_named_as_such() -> None:
    """An entry of a later format version asks for an upgrade instead of being guessed at."""
    stored = _wire.stored_event("s", "1-0", [b"f", b"2", b"e", b"x"])
    assert stored.problem == "the entry has format version 2; this esb reads version 1: upgrade esb"


def test_details_leave_out_what_is_empty() -> None:
    """Details hold only what was said, so most events store none."""
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(envelope.NO_DETAILS)) == {}


def test_entries_read_together_are_what_each_is_alone() -> None:
    """Kinds that take turns, keys, details, unusual orders, doubled fields and garbage among them."""
    plain = [b"f", b"1", b"e", b"paid", b"v", b"2", b"i", b"m", b"t", b"5"]
    entries = [
        plain,
        [*plain, b"k", b"ann"],
        [*plain[:3], b"sent", *plain[4:]],
        [*plain[:9], b"later"],
        [*plain[:7], b"\xff", *plain[8:]],
        [*plain, b"e", b"other"],
        [*plain, b"k", b"\xff"],
        [*plain[2:], *plain[:2]],
        [*plain, b"d", msgspec.msgpack.encode(envelope.Details(correlation_id="c"))],
        [b"f", b"9", *plain[2:]],
        [*plain, b"@for", b"one"],
        [*plain, b"s", b":", b":a", b"\x01", b":b", b"\x02"],
        [*plain, b"k", b"ann", b"s", b":", b":a", b"\x01", b":b", b"\x02"],
        [*plain, b"s", b"s3", b":a", b"\x01", b":b", b"\x02"],
        [*plain, b"s", b":", b":a", b"\x01", b":a", b"\x02"],
        [*plain, b"s", b":", b":a", b"\x01", b"b", b"\x02"],
        [*plain, b"s", b":", b":a", b"\x01", b":\xff", b"\x02"],
        [*plain, b"s", b":", b"d", b"\x80", b":a", b"\x01"],
        [*plain, b"s", b":"],
        [*plain, b"s", b"inline", b"p", b"\x80"],
        [*plain, b"s", b":", b":a", b"\x01", b":@", b"9-9", b":@x", b"\x90"],
        [b"f", b"9" * 5000],
        [*plain[:5], b"9" * 5000, *plain[6:]],
        [*plain, b"d", b"\x81\xa1x" + b"\x91" * 200_000 + b"\xc0"],
        [b"x", b"y"],
        [],
    ]
    named = [
        (b"%d-0" % n, words)
        for n, words in enumerate(
            [*entries, *reversed(entries), *(each for entry in entries for each in (entry, entry))]
        )
    ]
    alone = [_wire.stored_event("s", id_.decode(), words) for id_, words in named]
    rows = Rows()
    assert rows.events("s", named) == alone
    assert [event for one in named for event in rows.events("s", [one])] == alone
    assert {event.event for event in alone} >= {"paid", "sent", "other"}
    assert {event.ordering_key for event in alone} == {None, "ann"}


def test_what_hashes_keep_beside_arguments_is_none() -> None:
    """An entry's own fields of these names would become the record of the message id, in a copy."""
    words = [b"f", b"1", b"e", b"paid", b"v", b"2", b"i", b"m", b"t", b"5", b"s", b":", b":a", b"\x01", b":@", b"9-9"]
    assert _wire.stored_event("s", "1-0", words).arguments == {"a": b"\x01"}


def test_a_dead_letter_of_garbage_is_read() -> None:
    """Numbers of thousands of digits, arrays in arrays in arrays."""
    raw = b"\x91" * 200_000 + b"\xc0"
    letter, entry = _wire.buried_event("s", "1-0", [b"attempts", b"9" * 5000, b"raw", raw, b"id", b"1-0"])
    assert (letter.letter.attempts, entry) == (0, [])


def test_payloads_read_together_are_what_each_is_alone() -> None:
    """Names that take turns, erased ones, hashes that esb did not write, and what is no hash at all."""
    payloads: list[list[bytes] | Exception] = [
        [b"@", b"1-0", b"a", b"\x01", b"b", b"\x02"],
        [b"@", b"1-0", b"b", b"\x03", b"a", b"\x04"],
        [b"b", b"\x05", b"@", b"1-0", b"a", b"\x06"],
        [b"@", b"1-0", b"a", b"\x07", b"@x", b"\x91\xa1b"],
        [b"@", b"1-0", b"a", b"\x07", b"@x", b"\x91\xa1c"],
        [b"a", b"\x08"],
        [b"\xff", b"\x09"],
        [b"@", b"1-0"],
        [],
        [b"@", b"1-0", b"a", b"\x0a", b"@x", b"\x90"],
        ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"),
    ]
    payloads += [each for payload in payloads[::-1] for each in (payload, payload)]
    ids = [(b"%d-0" % n, [b"f", b"1", b"e", b"paid", b"v", b"2", b"i", b"m", b"t", b"5"]) for n in range(len(payloads))]
    rows = Rows()
    alone = [_wire.with_payload(e, p) for e, p in zip(rows.events("s", ids), payloads, strict=True)]
    assert rows.complete(rows.events("s", ids), payloads) == alone
    assert [rows.complete([e], [p])[0] for e, p in zip(rows.events("s", ids), payloads, strict=True)] == alone
    assert alone[0].arguments == {"a": b"\x01", "b": b"\x02"}
