"""Every Redis key that esb touches is built here, and nowhere else.

Side keys carry the stream key's effective hash tag (the first non-empty `{...}`, else the whole key), so that a stream,
its payloads and its groups' records share one cluster slot and one script can touch them all. The rule of the tag is
Redis Cluster's: https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#hash-tags
"""

from __future__ import annotations

import re
from functools import lru_cache

from .._errors import UsageError

_DEAD_LETTERS = re.compile(r"\{[^}]+\}.*:dlq:[^:]*$")
RELEASED = "~released"
"""The consumer that holds what was handed back; it has no lease, so anybody takes it over at once."""


_SPECIAL = re.compile(r"[\\*?\[\]]")


def beginning_with(prefix: str) -> str:
    """The glob pattern of keys that begin with this."""
    return _SPECIAL.sub(r"\\\g<0>", prefix) + "*"


_LEFT = "~for:"


def left_to(kind: str) -> str:
    """The consumer that holds what was left to those who implement a kind of event."""
    return f"{_LEFT}{kind}"


def kind_left(consumer: str) -> str | None:
    """The kind of event that such a consumer stands for; None for any other one."""
    return consumer.removeprefix(_LEFT) if consumer.startswith(_LEFT) else None


def is_process(consumer: str) -> bool:
    """Whether a consumer is a process, not a place where events wait for one."""
    return consumer != RELEASED and kind_left(consumer) is None


def effective_tag(key: str) -> str | None:
    """The part of a key between its first `{` and the next `}`, or None when there is none or it is empty."""
    start = key.find("{")
    end = key.find("}", start + 1)
    return key[start + 1 : end] if start >= 0 and end > start + 1 else None


def has_sides(stream: str) -> bool:
    """Whether a stream of this key can have side keys: with a `}` but no tag, none could share its slot."""
    return effective_tag(stream) is not None or "}" not in stream


def side_prefix(stream: str) -> str:
    """What every side key of a stream begins with: the stream's key, tagged.

    Raises `UsageError` for a key that cannot have any.
    """
    if effective_tag(stream) is not None:
        return stream
    if not has_sides(stream):
        raise UsageError(
            f"stream {stream!r} contains '}}' but no hash tag; write {{...}} around a part of it, or leave braces out"
        )
    return f"{{{stream}}}"


@lru_cache(maxsize=1024)
def record_prefix(stream: str, *, beside: bool) -> str:
    """What the keys of a stream's records begin with, before the message id: payload hashes, or dedup records."""
    return (payload_key if beside else dedup_key)(stream, "")


def payload_key(stream: str, message_id: str) -> str:
    """The hash that holds an event's arguments; its `@` field is the record that the message id is stored."""
    return f"{side_prefix(stream)}:p:{message_id}"


def dedup_key(stream: str, message_id: str) -> str:
    """The record that a message id is stored, where no payload hash can be it."""
    return f"{side_prefix(stream)}:d:{message_id}"


def owner_key(stream: str, group: str) -> str:
    """Who owns the stream for a group: `token|consumer`, with the lease as its time to live."""
    return f"{side_prefix(stream)}:own:{_part(group)}"


def fence_key(stream: str, group: str) -> str:
    """The counter that fencing tokens come from."""
    return f"{side_prefix(stream)}:fence:{_part(group)}"


def lease_key(stream: str, group: str, consumer: str) -> str:
    """Says that a consumer is alive, for as long as its lease runs."""
    return f"{side_prefix(stream)}:live:{_part(group)}:{consumer}"


def floor_key(stream: str, group: str) -> str:
    """The id just below the group's lowest unhandled event: where a lost group begins again."""
    return f"{side_prefix(stream)}:floor:{_part(group)}"


def failures_key(stream: str, group: str) -> str:
    """How often the handlers of pending events failed: a hash of entry id to count."""
    return f"{side_prefix(stream)}:fail:{_part(group)}"


def done_key(stream: str, group: str, message_id: str) -> str:
    """The record that a group handled a message id (for groups that ask for it)."""
    return f"{side_prefix(stream)}:done:{_part(group)}:{message_id}"


def epoch_key(stream: str, group: str) -> str:
    """The group's epoch: what resets a group, or replays events to it, raises it by one in the same step."""
    return f"{side_prefix(stream)}:epoch:{_part(group)}"


def replay_key(stream: str, group: str) -> str:
    """Where a replay to the group is, until it has come to its end: a hash."""
    return f"{side_prefix(stream)}:replay:{_part(group)}"


def dead_letter_stream(stream: str, group: str) -> str:
    """The stream of a group's dead letters."""
    return f"{side_prefix(stream)}:dlq:{_part(group)}"


def dead_letter_payload_key(stream: str, group: str, id_: str) -> str:
    """The payload that a dead letter owns; `id_` is the source entry's."""
    return f"{side_prefix(stream)}:dlqp:{_part(group)}:{id_}"


def dead_letter_payloads(stream: str) -> str:
    """What the payload keys of all dead letters of a stream begin with."""
    return f"{side_prefix(stream)}:dlqp:"


def letters_of_payload(stream: str, key: str) -> str:
    """The stream of dead letters that a payload key belongs to."""
    group = key.removeprefix(dead_letter_payloads(stream)).rpartition(":")[0]
    return f"{side_prefix(stream)}:dlq:{group}"


def payload_of_letter(letters: str, id_: str) -> str:
    """The payload key of a letter in such a stream."""
    prefix, _, group = letters.rpartition(":dlq:")
    return f"{prefix}:dlqp:{group}:{id_}"


def drop_key(stream: str, store: str) -> str:
    """Message ids whose payloads are to be deleted from an external store: a sorted set, by when it was put there.

    0 stands for payloads of trimmed entries; a time for payloads on their way in, whose entry takes them out again.
    """
    return f"{side_prefix(stream)}:drop:{store}"


def trimmer_key(stream: str) -> str:
    """Who trims the stream for the moment."""
    return f"{side_prefix(stream)}:trimmer"


def retention_key(stream: str) -> str:
    """The retention policy that the stream's consumers apply, and the dead group that holds it up: a hash."""
    return f"{side_prefix(stream)}:retention"


def is_side_stream(key: str) -> bool:
    """Whether a stream's key is one that esb made for itself (a dead-letter stream)."""
    return _DEAD_LETTERS.search(key) is not None


def _part(group: str) -> str:
    """A group's name as one part of a key: `:` separates parts."""
    return group.replace("%", "%25").replace(":", "%3A")
