"""What a server's refusal of one key means."""

from __future__ import annotations

from .._errors import ChannelError, ChannelUnavailable, LoginRefused, WrongKeyType
from ._connection import passing


def refusal(endpoint: str, key: str, text: str) -> ChannelError:
    """The error for a refusal that came back as text, about one key."""
    if "WRONGTYPE" in text:
        return WrongKeyType(key, "key of esb")
    if any(word in text for word in ("NOPERM", "NOAUTH", "WRONGPASS")):
        return LoginRefused(endpoint, text[:200])
    if passing(text):
        return ChannelUnavailable(endpoint, text[:200])
    return ChannelError(f"Redis at {endpoint}: {text[:200]}")
