"""One open connection: commands go out at once, their replies come back in the same order.

redis-py's asynchronous connections read through a stream, so that each reply wakes a chain of tasks; here it completes
the future of its command, and whoever awaits that goes on in the next round of the event loop.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from time import monotonic
from typing import Any, cast

from msgspec import Struct
from redis import exceptions as errors

from .._endpoint import Endpoint
from ._frames import Word, packed
from ._replies import new_reader

CONNECT_TIMEOUT = 5.0
"""Seconds for opening a connection and logging in."""
NEAR = 0.0002
"""Seconds within which an answer is worth staying awake for: falling asleep and being woken up costs both sides about
as much processor time, and the clock more."""
IDLE = 0.1
"""Seconds without a word after which a connection may have ended without the event loop having seen it yet."""

PIECE = 16 * 1024
"""Bytes that are parsed in one go: after every few replies the parser moves what it has not read yet to the front."""


class _Asked(Struct, eq=False):
    """Commands on their way, and what came back so far."""

    answer: asyncio.Future[list[Any]]
    count: int
    since: float
    replies: list[Any]


class Link(asyncio.Protocol):
    """A connection to a server. Commands of several tasks may be on their way; a closed one fails them all.

    `timeout` is how long it may stay silent while something was asked, in seconds. With `awake` the event loop looks
    for the answers of a server that is near, for a moment, instead of falling asleep.
    """

    def __init__(self, timeout: float, *, awake: bool = False) -> None:
        self._loop = asyncio.get_running_loop()
        self._timeout = timeout
        self._reader = new_reader()
        self._asked: deque[_Asked] = deque()
        self._heard_at = monotonic()
        self._awake = awake
        self._near = False
        """Whether the last answer came so soon."""
        self._looking = False
        self._watch: asyncio.TimerHandle | None = None
        self._ended = self._loop.create_future()
        self.open = False
        """Whether it takes commands."""
        self.heard = 0
        """How often anything came; who gives up a command learns from it whether the connection lives."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there."""
        self._transport = cast("asyncio.Transport", transport)
        self.open = True

    def ask(self, packet: bytes, count: int) -> asyncio.Future[list[Any]]:
        """Send so many packed commands; the future gets their replies, an error of the server as a value.

        Who cancels it loses its replies alone.
        """
        asked = _Asked(self._loop.create_future(), count, monotonic(), [])
        self._asked.append(asked)
        if self._watch is None:
            self._watch = self._loop.call_later(self._timeout, self._look)
        if not self._transport.is_closing():  # a write that failed ends the connection in the next round of the loop
            self._transport.write(packet)
        if self._near and not self._looking:
            self._looking = True
            self._loop.call_soon(self._look_again)
        return asked.answer

    def _look_again(self) -> None:
        """Keep the loop awake, as long as the answer may come any moment: while something is ready it only looks."""
        if self._asked and monotonic() - self._asked[0].since < NEAR:
            self._loop.call_soon(self._look_again)
        else:
            self._looking = False

    def data_received(self, data: bytes) -> None:
        """Replies, whole or in part."""
        self.heard += 1
        self._heard_at = monotonic()
        try:
            for start in range(0, len(data), PIECE):
                self._reader.feed(data[start : start + PIECE])
                self._take()
        except errors.InvalidResponse as error:
            self._end(errors.ConnectionError(str(error)))
        if not self.open and not self._asked:
            self._transport.abort()

    def _take(self) -> None:
        """Give what came to those who asked, in their order."""
        next_reply = self._reader.gets
        while self._asked:
            asked = self._asked[0]
            replies, count = asked.replies, asked.count
            while len(replies) < count:
                reply = next_reply()
                if reply is False:
                    return
                replies.append(reply)
            self._asked.popleft()
            self._near = self._awake and self._heard_at - asked.since < NEAR
            if not asked.answer.done():
                asked.answer.set_result(replies)
        if (reply := next_reply()) is not False:
            # said without having been asked: why the server is about to close the connection
            self._end(errors.ConnectionError(str(reply)))

    def eof_received(self) -> None:
        """The server has closed it."""
        self._end(errors.ConnectionError("the server closed the connection"))

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self._end(errors.ConnectionError(str(exc or "the connection was closed")))
        if not self._ended.done():
            self._ended.set_result(None)

    def _look(self) -> None:
        """One timer for everything that is asked: it ends a connection that stays silent."""
        self._watch = None
        if not self._asked:
            return
        left = max(self._asked[0].since, self._heard_at) + self._timeout - monotonic()
        if left > 0:
            self._watch = self._loop.call_later(left, self._look)
        else:
            self._end(errors.TimeoutError(f"no answer within {self._timeout:g} s"))

    def _end(self, error: errors.RedisError) -> None:
        self.open = False
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        asked, self._asked = self._asked, deque()
        for one in asked:
            if not one.answer.done():
                one.answer.set_exception(error)
        self._transport.abort()

    @property
    def fresh(self) -> bool:
        """Whether it takes commands, and said something so lately that it needs no closer look (see `usable`)."""
        return self.open and monotonic() - self._heard_at <= IDLE

    async def usable(self) -> bool:
        """Whether it takes commands; after a silence the event loop first gets the chance to notice that it ended."""
        if self.open and not self.fresh:
            for _ in range(2):  # one round finds out, the next one says so
                await asyncio.sleep(0)
        return self.open

    def retire(self) -> None:
        """Take no more commands; close when what is asked is answered."""
        self.open = False
        if not self._asked:
            self._transport.abort()

    def drop(self) -> None:
        """Close it now; what is asked fails."""
        self._end(errors.ConnectionError("the connection was closed"))

    @property
    def closed(self) -> bool:
        """Whether nothing of it is left."""
        return self._ended.done()

    async def ended(self) -> None:
        """Wait until it is closed."""
        await self._ended


async def opened(endpoint: Endpoint, timeout: float, *, awake: bool = False) -> Link:
    """A connection that is logged in; see `Link`. Raises redis-py's errors and `OSError`."""
    loop = asyncio.get_running_loop()
    link: Link | None = None
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            if endpoint.unix_socket:
                _, link = await loop.create_unix_connection(lambda: Link(timeout, awake=awake), endpoint.unix_socket)
            else:
                secure = _secure(endpoint) if endpoint.tls else None
                transport, link = await loop.create_connection(
                    lambda: Link(timeout, awake=awake), endpoint.host or "", endpoint.port, ssl=secure
                )
                transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            await _greet(link, endpoint)
    except BaseException as error:
        if link is not None:
            link.drop()
        if isinstance(error, TimeoutError):
            raise errors.TimeoutError(f"no connection within {CONNECT_TIMEOUT:g} s") from None
        raise
    return link


async def _greet(link: Link, endpoint: Endpoint) -> None:
    words: list[tuple[Word, ...]] = []
    if endpoint.password is not None:
        user = () if endpoint.username is None else (endpoint.username,)
        words.append(("AUTH", *user, endpoint.password))
    if endpoint.database:
        words.append(("SELECT", endpoint.database))
    if not words:
        return
    for reply in await link.ask(b"".join(map(packed, words)), len(words)):
        if isinstance(reply, errors.ResponseError):
            raise reply


def _secure(endpoint: Endpoint) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if endpoint.ca_certificates:
        context.load_verify_locations(endpoint.ca_certificates)
    if endpoint.certificate:
        context.load_cert_chain(endpoint.certificate, endpoint.certificate_key)
    return context
