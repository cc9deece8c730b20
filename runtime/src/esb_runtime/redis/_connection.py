"""Connections to a server, and the one place where redis-py's errors become esb's."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine, Sequence
from importlib.util import find_spec
from typing import Any

import redis
from redis import exceptions as errors

from .._endpoint import Endpoint
from .._errors import (
    ChannelError,
    ChannelUnavailable,
    GroupBusy,
    GroupLost,
    LoginRefused,
    OwnershipLost,
    WrongKeyType,
)
from ._frames import Frames, Word, command, packed, repeated
from ._link import CONNECT_TIMEOUT, Link, opened
from ._replies import errors_among
from ._scripts import Script, script

_PASSING = re.compile(
    r"\b(LOADING|READONLY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|BUSY|MISCONF|OOM|NOREPLICAS|UNBLOCKED"
    r"|max number of clients)\b"
)
"""Answers of a server that may be well again soon: they count as unavailable. Before Redis 7 they stand inside the
error of a script, not at its beginning."""
_UNKNOWN = re.compile(r"unknown (redis )?command", re.IGNORECASE)
"""What servers say of a command that they do not have, inside scripts too."""
LOGIN = ("NOAUTH", "WRONGPASS", "NOPERM", "invalid username-password", "unauthenticated", "AUTH <password>")
"""Answers of a server that does not let this user in, or not this far."""
SOCKET_TIMEOUT = 10.0
"""Seconds that a command may take; a blocking read adds its own wait."""


def passing(text: str) -> bool:
    """Whether a server that answers this may be well again soon."""
    return _PASSING.search(text) is not None


class Connection:
    """Commands and scripts, replies raw. Safe to share between tasks, which share one link to the server.

    With `blocking` each command has a link of its own as long as it lasts: the server answers nothing else on it.
    """

    def __init__(self, endpoint: Endpoint, *, timeout: float = SOCKET_TIMEOUT, blocking: bool = False) -> None:
        self.endpoint = endpoint.display
        self._where = endpoint
        self._timeout = timeout
        self._blocking = blocking
        self._links: list[Link] = []
        """The shared link, or those that wait for their next blocking command."""
        self._busy: set[Link] = set()
        """Those that still wait for an answer, and take no other command."""
        self._opening = asyncio.Lock()

    async def call(self, *words: Word, stream: str = "", group: str = "") -> Any:
        """One command, about this stream and group. Raises esb's errors."""
        with Translated(self.endpoint, stream, group):
            return _good((await self._exchange(packed(words), 1))[0])

    def run(
        self, name: str, keys: Sequence[str], arguments: Sequence[Word], *, group: str = ""
    ) -> Coroutine[Any, Any, Any]:
        """One script, whose first key is what it is about; the server learns it when it does not know it."""
        lua, words = script(name), (len(keys), *keys, *arguments)
        known = packed(("EVALSHA", lua.digest, *words))
        return self._evaluated(known, lambda: packed(("EVAL", lua.source, *words)), keys[0], group)

    def run_framed(self, name: str, words: Frames, *, stream: str) -> Coroutine[Any, Any, Any]:
        """As `run`, with the number of keys, the keys and the arguments framed."""
        lua = script(name)
        return self._evaluated(command(lua.known, words), lambda: command(lua.whole, words), stream, "")

    async def _evaluated(self, known: bytes, whole: Callable[[], bytes], stream: str, group: str) -> Any:
        with Translated(self.endpoint, stream, group):
            reply = (await self._exchange(known, 1))[0]
            if isinstance(reply, errors.ResponseError) and str(reply).startswith("NOSCRIPT"):
                reply = (await self._exchange(whole(), 1))[0]
            return _good(reply)

    async def run_then(
        self, name: str, keys: Sequence[str], calls: Sequence[Sequence[Word]], words: Sequence[Word]
    ) -> list[Any]:
        """A script, once for each of these arguments, and then a command, all on one connection; every reply."""
        evals = [("EVAL", script(name).source, len(keys), *keys, *each) for each in calls]
        return await self.together(*evals, words, stream=keys[0])

    async def pipeline(self, commands: Sequence[Sequence[Word]]) -> list[Any]:
        """Several commands in one round trip; errors come back as values."""
        if not commands:
            return []
        with Translated(self.endpoint):
            return await self._exchange(b"".join([packed(tuple(words)) for words in commands]), len(commands))

    async def together(self, *commands: Sequence[Word], stream: str, group: str = "") -> list[Any]:
        """Several commands in one round trip, about this stream and group. Raises the first error among them."""
        replies = await self.pipeline(commands)
        with Translated(self.endpoint, stream, group):
            return [_good(reply) for reply in replies]

    async def each(self, command: str, prefix: str, names: Sequence[str], words: Sequence[str] = ()) -> list[Any]:
        """One command about each of these keys (a prefix and a name), in one round trip; errors come back as values."""
        if not names:
            return []
        with Translated(self.endpoint):
            return await self._exchange(repeated(command, prefix, names, words), len(names))

    async def _exchange(self, packet: bytes, count: int) -> list[Any]:
        """Send packed commands and await their replies."""
        if not self._blocking and self._links and self._links[0].fresh:
            link = self._links[0]
        else:
            link = await (self._own_link() if self._blocking else self._shared_link())
        heard = link.heard
        try:
            replies = await link.ask(packet, count)
        except asyncio.CancelledError:
            # nobody reads a blocking command's reply any more; a shared link that was silent all the while may be dead
            if self._blocking:
                link.drop()
            elif link.heard == heard:
                self._retire(link)
            raise
        if self._blocking and link.open:
            self._busy.discard(link)
            self._links.append(link)
        if any("READONLY" in str(error) for error in errors_among(replies)):
            self.forget_connections()
        return replies

    async def _shared_link(self) -> Link:
        """The link that everybody uses; one task opens it anew, the others wait for that."""
        if self._links and await self._links[0].usable():
            return self._links[0]
        try:
            async with asyncio.timeout(self._timeout), self._opening:
                if not self._links or not self._links[0].open:
                    self._links = [await self._opened()]
                return self._links[0]
        except TimeoutError:
            raise errors.TimeoutError(f"no connection within {self._timeout:g} s") from None

    async def _own_link(self) -> Link:
        while self._links:
            link = self._links.pop()
            self._busy.add(link)
            try:
                if await link.usable():
                    return link
            except asyncio.CancelledError:
                link.drop()
                raise
        link = await self._opened()
        self._busy.add(link)
        return link

    async def _opened(self) -> Link:
        self._busy = {link for link in self._busy if not link.closed}
        return await opened(self._where, self._timeout, awake=not self._blocking)

    def _retire(self, link: Link) -> None:
        link.retire()
        self._busy.add(link)

    def forget_connections(self) -> None:
        """This server is a replica now: the next connection may lead to the one that took over its name."""
        links, self._links = self._links, []
        for link in links:
            self._retire(link)

    async def aclose(self) -> None:
        """Close every connection."""
        links, self._links = [*self._links, *self._busy], []
        for link in links:
            link.drop()
            await link.ended()


def _good(reply: Any) -> Any:
    if isinstance(reply, Exception):
        raise reply
    return reply


class ThreadConnection:
    """One command at a time from a thread of its own (the heartbeat's)."""

    def __init__(self, endpoint: Endpoint, *, timeout: float) -> None:
        self.endpoint = endpoint.display
        self._redis: Any = redis.Redis(**options(endpoint, timeout=timeout))
        self._redis.response_callbacks.clear()

    def run(self, lua: Script, keys: Sequence[str], arguments: Sequence[Word]) -> Any:
        """One script; the server learns it when it does not know it."""
        with Translated(self.endpoint, keys[0]):
            try:
                return self._redis.execute_command("EVALSHA", lua.digest, len(keys), *keys, *arguments)
            except errors.NoScriptError:
                return self._redis.execute_command("EVAL", lua.source, len(keys), *keys, *arguments)

    def close(self) -> None:
        """Close the connection."""
        self._redis.close()


def options(endpoint: Endpoint, *, timeout: float | None) -> dict[str, Any]:
    """redis-py's settings for an endpoint: raw bytes, no retry of its own (whoever calls decides about that).

    `timeout` is for each read and write, in seconds; None where the caller bounds them.
    """
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    # it would read its own version out of the installed files for each client, and tell the server with two commands
    nameless = {"driver_info": None} if find_spec("redis.driver_info") else {"lib_name": None, "lib_version": None}
    chosen: dict[str, Any] = {
        "db": endpoint.database,
        "username": endpoint.username,
        "password": endpoint.password,
        "socket_timeout": timeout,
        "socket_connect_timeout": CONNECT_TIMEOUT if timeout is None else min(CONNECT_TIMEOUT, timeout),
        "protocol": 2,
        "retry": Retry(NoBackoff(), 0),
        "max_connections": 2**31,  # every subscription waits on one of its own; redis-py's own bound is an error at 100
        "decode_responses": False,
        **nameless,
    }
    if endpoint.unix_socket:
        chosen["unix_socket_path"] = endpoint.unix_socket
    else:
        chosen |= {"host": endpoint.host, "port": endpoint.port, "socket_keepalive": True}
    if endpoint.tls:
        chosen |= {
            "ssl": True,
            "ssl_ca_certs": endpoint.ca_certificates,
            "ssl_certfile": endpoint.certificate,
            "ssl_keyfile": endpoint.certificate_key,
        }
    return chosen


class Translated:
    """Turns redis-py's errors into esb's; the text of a command (which may hold arguments) is never repeated.

    (A class, because what `contextmanager` makes costs ten times as much, and every call comes along here.)
    """

    def __init__(self, endpoint: str, stream: str = "", group: str = "") -> None:
        self._about = endpoint, stream, group

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError | errors.RedisError):
            raise _translation(error, *self._about) from None


def _translation(error: OSError | errors.RedisError, endpoint: str, stream: str, group: str) -> ChannelError:
    """What `Translated` raises instead of an error."""
    if isinstance(
        error,
        errors.AuthenticationError
        | errors.AuthorizationError
        | errors.NoPermissionError
        | errors.AuthenticationWrongNumberOfArgsError,
    ):
        return LoginRefused(endpoint, words_of(error))
    if isinstance(error, errors.ConnectionError | errors.TimeoutError | OSError):
        # over a unix socket redis-py says in a connection error that the login failed
        refused = any(word in str(error) for word in LOGIN)
        return (LoginRefused if refused else ChannelUnavailable)(endpoint, words_of(error))
    if isinstance(error, errors.ResponseError):
        return _answered(endpoint, error, stream, group)
    return ChannelError(f"Redis at {endpoint}: {words_of(error)}")


def _answered(endpoint: str, error: errors.ResponseError, stream: str, group: str) -> ChannelError:
    text = str(error)
    if "ESBOWNER" in text:
        return OwnershipLost(stream, group)
    if "ESBGROUP" in text:
        return GroupBusy(stream, group, text.partition("ESBGROUP ")[2].partition(" script:")[0])
    if "ESBBEFORE" in text:
        return ChannelUnavailable(endpoint, "the write before this one was not answered yet")
    if "NOGROUP" in text:
        return GroupLost(stream, group)
    if "WRONGTYPE" in text:
        return WrongKeyType(stream, "stream")
    if any(word in text for word in LOGIN):
        return LoginRefused(endpoint, words_of(error))
    if isinstance(error, errors.AskError) or text.startswith(("MOVED ", "ASK ")):
        return ChannelError(
            f"Redis at {endpoint} is a node of a Redis Cluster, which this version of esb does not speak: "
            "name a server that stands alone"
        )
    if _UNKNOWN.search(text):
        return ChannelError(
            f"Redis at {endpoint} lacks a command: {words_of(error)}. esb needs Redis 6.2 or newer, or Valkey"
        )
    if isinstance(error, errors.OutOfMemoryError | errors.ReadOnlyError) or passing(text):
        return ChannelUnavailable(endpoint, words_of(error))
    return ChannelError(f"Redis at {endpoint}: {words_of(error)}")


def words_of(error: BaseException) -> str:
    """An error's own words in one short line, without the arguments that some servers repeat."""
    text = " ".join(str(error).split()) or type(error).__name__
    if "Connect call failed" in text or "Connection refused" in text:
        return "connection refused, nothing listens there"
    return text.removeprefix("ERR ").partition(", with args beginning with")[0].rstrip(".")[:200]
