"""Connections to a server, and the one place where redis-py's errors become esb's."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any

import redis
import redis.asyncio
from redis import exceptions as errors

from .._endpoint import Endpoint
from .._errors import (
    ChannelError,
    ChannelUnavailable,
    EsbError,
    GroupBusy,
    GroupLost,
    LoginRefused,
    OwnershipLost,
    WrongKeyType,
)
from ._frames import Word, packed
from ._scripts import Script, script

_PASSING = re.compile(
    r"\b(LOADING|READONLY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|BUSY|MISCONF|OOM|NOREPLICAS|UNBLOCKED"
    r"|max number of clients)\b"
)
"""Answers of a server that may be well again soon: they count as unavailable. Before Redis 7 they stand inside the
error of a script, not at its beginning."""
_UNKNOWN = re.compile(r"unknown (redis )?command", re.IGNORECASE)
"""What servers say of a command that they do not have, inside scripts too."""
LOGIN = ("NOAUTH", "WRONGPASS", "NOPERM", "invalid username-password", "unauthenticated")
"""Answers of a server that does not let this user in, or not this far."""
SOCKET_TIMEOUT = 10.0
"""Seconds that a command may take; a blocking read adds its own wait."""
CONNECT_TIMEOUT = 5.0


def passing(text: str) -> bool:
    """Whether a server that answers this may be well again soon."""
    return _PASSING.search(text) is not None


class Connection:
    """Commands and scripts over one pool, replies raw. Safe to share between tasks.

    redis-py keeps the connections: it opens, authenticates and closes them and reads their replies. What its clients do
    around a command (packing word by word, a task to bound the write, counters at every loan from the pool) costs more
    than everything else on an event's way, so commands go packed through a connection's own public methods, bounded by
    one timer, and a connection stays on loan while it is well.
    """

    def __init__(self, endpoint: Endpoint, *, timeout: float = SOCKET_TIMEOUT) -> None:
        self.endpoint = endpoint.display
        self._timeout = timeout
        self._redis: Any = redis.asyncio.Redis(**options(endpoint, timeout=None, library=redis.asyncio))
        self._pool: Any = self._redis.connection_pool
        self._idle: list[Any] = []

    async def call(self, *words: Word, stream: str = "", group: str = "") -> Any:
        """One command, about this stream and group. Raises esb's errors."""
        with translated(self.endpoint, stream, group):
            return _good((await self._exchange(packed(words), 1))[0])

    async def run(self, name: str, keys: Sequence[str], arguments: Sequence[Word], *, group: str = "") -> Any:
        """One script, whose first key is what it is about; the server learns it when it does not know it."""
        lua = script(name)
        with translated(self.endpoint, keys[0], group):
            words = (len(keys), *keys, *arguments)
            reply = (await self._exchange(packed(("EVALSHA", lua.digest, *words)), 1))[0]
            if isinstance(reply, errors.NoScriptError):
                reply = (await self._exchange(packed(("EVAL", lua.source, *words)), 1))[0]
            return _good(reply)

    async def run_then(
        self, name: str, keys: Sequence[str], calls: Sequence[Sequence[Word]], words: Sequence[Word]
    ) -> list[Any]:
        """A script, once for each of these arguments, and then a command, all on one connection; every reply."""
        source = script(name).source
        replies = await self.pipeline([*(("EVAL", source, len(keys), *keys, *each) for each in calls), words])
        with translated(self.endpoint, keys[0]):
            return [_good(reply) for reply in replies]

    async def pipeline(self, commands: Sequence[Sequence[Word]]) -> list[Any]:
        """Several commands in one round trip; errors come back as values."""
        if not commands:
            return []
        with translated(self.endpoint):
            return await self._exchange(b"".join([packed(tuple(words)) for words in commands]), len(commands))

    async def _exchange(self, packet: bytes, count: int) -> list[Any]:
        """Send packed commands and read their replies; redis-py closes a connection on which that was interrupted."""
        replies: list[Any] = []
        try:
            async with asyncio.timeout(self._timeout):
                connection = await self._ready()
                try:
                    await connection.send_packed_command(packet)
                    while len(replies) < count:
                        try:
                            replies.append(await connection.read_response())
                        except errors.ResponseError as error:
                            replies.append(error)
                finally:
                    self._idle.append(connection)
        except TimeoutError:
            raise errors.TimeoutError(f"no answer within {self._timeout:g} s") from None
        if any(isinstance(reply, errors.ReadOnlyError) for reply in replies):
            await self.forget_connections()
        return replies

    async def _ready(self) -> Any:
        """A connection that can be written to; a closed one, or one with a reply that nobody read, is made anew."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_connected and not await _unread(connection):
                return connection
            await self._pool.release(connection)
        return await self._pool.get_connection()

    async def forget_connections(self) -> None:
        """This server is a replica now: the next connection may lead to the one that took over its name."""
        idle, self._idle = self._idle, []
        for connection in idle:
            await connection.disconnect()
            await self._pool.release(connection)

    async def aclose(self) -> None:
        """Close every connection of the pool."""
        await self._redis.aclose()


def _good(reply: Any) -> Any:
    if isinstance(reply, Exception):
        raise reply
    return reply


def _unread(connection: Any) -> Awaitable[bool]:
    """Whether there is something to read, the end of the stream included (`can_read` has another name before 8.0)."""
    look: Callable[[], Awaitable[bool]] = getattr(connection, "can_read", None) or connection.can_read_destructive
    return look()


class ThreadConnection:
    """One command at a time from a thread of its own (the heartbeat's)."""

    def __init__(self, endpoint: Endpoint, *, timeout: float) -> None:
        self.endpoint = endpoint.display
        self._redis: Any = redis.Redis(**options(endpoint, timeout=timeout, library=redis))
        self._redis.response_callbacks.clear()

    def run(self, lua: Script, keys: Sequence[str], arguments: Sequence[Word]) -> Any:
        """One script; the server learns it when it does not know it."""
        with translated(self.endpoint, keys[0]):
            try:
                return self._redis.execute_command("EVALSHA", lua.digest, len(keys), *keys, *arguments)
            except errors.NoScriptError:
                return self._redis.execute_command("EVAL", lua.source, len(keys), *keys, *arguments)

    def close(self) -> None:
        """Close the connection."""
        self._redis.close()


def options(endpoint: Endpoint, *, timeout: float | None, library: Any) -> dict[str, Any]:
    """redis-py's settings for an endpoint: raw bytes, no retry of its own (whoever calls decides about that).

    `timeout` is for each read and write, in seconds; None where the caller bounds them.
    """
    from redis.backoff import NoBackoff

    retry_type: Any = __import__(f"{library.__name__}.retry", fromlist=["Retry"]).Retry
    chosen: dict[str, Any] = {
        "db": endpoint.database,
        "username": endpoint.username,
        "password": endpoint.password,
        "socket_timeout": timeout,
        "socket_connect_timeout": CONNECT_TIMEOUT if timeout is None else min(CONNECT_TIMEOUT, timeout),
        "protocol": 2,
        "retry": retry_type(NoBackoff(), 0),
        "max_connections": 2**31,  # every subscription waits on one of its own; redis-py's own bound is an error at 100
        "decode_responses": False,
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


@contextmanager
def translated(endpoint: str, stream: str = "", group: str = "") -> Generator[None]:
    """Turn redis-py's errors into esb's; the text of a command (which may hold arguments) is never repeated."""
    try:
        yield
    except EsbError:
        raise
    except (errors.AuthenticationError, errors.AuthorizationError, errors.NoPermissionError) as error:
        raise LoginRefused(endpoint, words_of(error)) from None
    except errors.AuthenticationWrongNumberOfArgsError as error:
        raise LoginRefused(endpoint, words_of(error)) from None
    except (errors.ConnectionError, errors.TimeoutError, OSError) as error:
        # over a unix socket redis-py says in a connection error that the login failed
        refused = any(word in str(error) for word in LOGIN)
        raise (LoginRefused if refused else ChannelUnavailable)(endpoint, words_of(error)) from None
    except errors.ResponseError as error:
        raise _answered(endpoint, error, stream, group) from None
    except errors.RedisError as error:
        raise ChannelError(f"Redis at {endpoint}: {words_of(error)}") from None


def _answered(endpoint: str, error: errors.ResponseError, stream: str, group: str) -> ChannelError:
    text = str(error)
    if "ESBOWNER" in text:
        return OwnershipLost(stream, group)
    if "ESBGROUP" in text:
        return GroupBusy(stream, group, text.partition("ESBGROUP ")[2].partition(" script:")[0])
    if "NOGROUP" in text:
        return GroupLost(stream, group)
    if "WRONGTYPE" in text:
        return WrongKeyType(stream, "stream")
    if any(word in text for word in LOGIN):
        return LoginRefused(endpoint, words_of(error))
    if isinstance(error, errors.AskError):  # MOVED too
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
    return text.partition(", with args beginning with")[0].rstrip(".")[:200]
