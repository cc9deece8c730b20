"""Every form of an endpoint reaches a real server: TLS, unix sockets, ACL users, databases."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
import trustme

from esb_runtime import Backbone, ChannelError, ChannelUnavailable, EventContract, LoginRefused, Side, event
from esb_runtime._endpoint import Endpoint
from esb_runtime.operations import Operations
from esb_runtime.redis._connection import Connection
from esb_runtime.redis._frames import packed
from esb_runtime.redis._link import opened
from esb_runtime.testing import RedisServer
from esb_runtime.testing import _launch as launching
from esb_runtime.testing._binary import find_binary


def client(server: RedisServer) -> Any:
    """A plain client."""
    return redis.asyncio.Redis(host=server.endpoint.host or "", port=server.endpoint.port)


class Door(EventContract[Side], uri="door"):
    """The smallest contract."""

    @event
    async def opened(self, by: str) -> None: ...


async def opens(backbone: Backbone) -> bool:
    """Whether an event goes in and comes out again."""
    key = await Door.producer(backbone).opened("ann")
    return (await backbone.get(key)).arguments == {"by": "ann"}


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry bytes one way until the end."""
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass  # the other way has ended
    finally:
        writer.close()


@asynccontextmanager
async def tls_in_front_of(server: RedisServer, folder: Path) -> AsyncIterator[tuple[int, Path]]:
    """A TLS proxy on loopback: its port, and the file of the authority that signed its certificate."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection(server.endpoint.host, server.endpoint.port)
        await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer))

    proxy = await asyncio.start_server(carry, "localhost", 0, ssl=context)
    try:
        yield proxy.sockets[0].getsockname()[1], folder / "ca.pem"
    finally:
        proxy.close()


async def test_tls_with_a_certificate_of_our_own_authority(redis_server: RedisServer, tmp_path: Path) -> None:
    """`rediss://` encrypts, and trusts the authority that the endpoint names."""
    async with (
        tls_in_front_of(redis_server, tmp_path) as (port, authority),
        Backbone.connect(endpoint=f"rediss://localhost:{port}?ssl_ca_certs={authority}") as backbone,
    ):
        assert await opens(backbone)


async def test_tls_refuses_a_stranger(redis_server: RedisServer, tmp_path: Path) -> None:
    """A certificate that nobody known has signed is no server of ours."""
    async with (
        tls_in_front_of(redis_server, tmp_path) as (port, _),
        Backbone.connect(endpoint=f"rediss://localhost:{port}") as backbone,
    ):
        with pytest.raises(ChannelUnavailable, match="certificate"):
            await Operations(backbone).now()


async def test_a_unix_socket_with_a_user_and_a_password(tmp_path: Path) -> None:
    """`unix://user:password@/path` logs in as that ACL user."""
    with RedisServer.start(tmp_path / "server", password="root-Pw-1", unix_socket=True) as server:
        path = server.endpoint.unix_socket
        async with Backbone.connect(endpoint=f"unix://{path}", password="root-Pw-1") as admin:
            await admin._channel._commands.call("ACL", "SETUSER", "ann", "on", ">ann-Pw-2", "~*", "+@all")  # type: ignore[attr-defined]
        async with Backbone.connect(endpoint=f"unix://ann:ann-Pw-2@{path}") as backbone:
            assert await opens(backbone)
        async with Backbone.connect(endpoint=f"unix://ann:wrong-Pw-3@{path}") as backbone:
            with pytest.raises(LoginRefused) as refused:
                await opens(backbone)
        assert "wrong-Pw-3" not in str(refused.value)


async def test_a_database_of_its_own(redis_server: RedisServer) -> None:
    """`/3` is another database: what is stored there is not in the first."""
    redis_server.clear()
    async with Backbone.connect(endpoint=f"{redis_server.endpoint.display}/3") as backbone:
        assert await opens(backbone)
    async with Backbone.connect(endpoint=redis_server.endpoint.display) as backbone:
        assert await backbone._channel.last_id("door") == "0-0"


async def test_a_cluster_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node of a cluster that refers to another node: the call fails at once, in words."""
    if find_binary().major < 7:
        pytest.skip("the port of a cluster's bus can be chosen from Redis 7 on")
    configuration = launching.configuration
    settings = "cluster-enabled yes\ncluster-port {}\n"
    monkeypatch.setattr(
        launching, "configuration", lambda *given: configuration(*given) + settings.format(launching.free_port())
    )
    async with (
        await RedisServer.start_async(tmp_path / "one", ends_with_process=True) as one,
        await RedisServer.start_async(tmp_path / "other", ends_with_process=True) as other,
        client(one) as first,
        client(other) as second,
    ):
        await first.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        bus = (await first.config_get("cluster-port"))["cluster-port"]
        await second.execute_command("CLUSTER", "MEET", "127.0.0.1", one.endpoint.port, bus)
        async with asyncio.timeout(60):
            while b"cluster_state:ok" not in await second.execute_command("CLUSTER", "INFO"):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        async with Backbone.connect(endpoint=other.endpoint.display) as backbone:
            with pytest.raises(ChannelError, match=r"node of a Redis Cluster.*name a server that stands alone"):
                await Door.producer(backbone).opened("ann")


async def test_a_command_that_is_not_there(redis_server: RedisServer) -> None:
    """A server that lacks a command is too old: the error says which one esb needs, without repeating arguments."""
    connection = Connection(redis_server.endpoint)
    try:
        with pytest.raises(ChannelError, match=r"esb needs Redis 6\.2 or newer, or Valkey$") as refused:
            await connection.call("XFUTURE", "secret")
    finally:
        await connection.aclose()
    assert "secret" not in str(refused.value)


async def test_a_connection_that_failed_is_not_written_to_again(caplog: pytest.LogCaptureFixture) -> None:
    """Commands that meet a cut connection in one round of the event loop all fail, and no log is filled with it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        link = await opened(Endpoint.parse(f"redis://127.0.0.1:{listener.getsockname()[1]}"), 5)
        connection, _ = listener.accept()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()  # a reset, which the event loop has not seen yet
        asked = [link.ask(packed(("PING",)), 1) for _ in range(20)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
    assert {type(answer) for answer in answers} == {redis.ConnectionError}
    assert not caplog.records


async def test_the_loop_stays_awake_for_an_answer_that_is_near(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looks for the answer instead of falling asleep, but not longer than a near server takes to answer."""
    waits: list[float | None] = []
    selector: Any = vars(asyncio.get_running_loop())["_selector"]
    select = selector.select

    def counted(timeout: float | None = None) -> Any:
        waits.append(timeout)
        return select(timeout)

    link = await opened(redis_server.endpoint, 5, awake=True)
    monkeypatch.setattr(selector, "select", counted)
    try:
        async with asyncio.timeout(30):
            while True:  # until two answers came soon: the second one was looked for
                waits.clear()
                await link.ask(packed(("PING",)), 1)
                if all(wait == 0 for wait in waits):
                    break
        waits.clear()
        assert await link.ask(packed(("BLPOP", "nothing", "0.3")), 1) == [None]
        assert 0 < len(waits) < 3000
        waits.clear()
        await link.ask(packed(("PING",)), 1)
        assert len(waits) < 10, "the last answer took long: this one is awaited asleep"
    finally:
        link.drop()
        await link.ended()


async def test_a_cancelled_command_loses_its_own_reply_alone(redis_server: RedisServer) -> None:
    """Commands of several tasks share a connection: who gives up takes nobody else's answer along."""
    connection = Connection(redis_server.endpoint)
    await connection.call("CLIENT", "PAUSE", 200)
    first, second = (asyncio.create_task(connection.call("ECHO", word)) for word in ("first", "second"))
    await asyncio.sleep(0)  # both are on their way
    first.cancel()
    assert await second == b"second"
    assert await connection.call("ECHO", "third") == b"third"
    await connection.aclose()


async def test_a_closed_connection_fails_what_is_asked_and_is_made_anew(redis_server: RedisServer) -> None:
    """A killed connection is an outage for the commands on it; the next one opens another."""
    connection, other = Connection(redis_server.endpoint), Connection(redis_server.endpoint)
    number = await connection.call("CLIENT", "ID")
    blocked = asyncio.create_task(connection.call("XREAD", "BLOCK", 60_000, "STREAMS", "nothing", "$"))
    while await other.call("CLIENT", "KILL", "ID", number) != 1:
        pass
    with pytest.raises(ChannelUnavailable):
        await blocked
    assert await connection.call("CLIENT", "ID") != number
    await connection.aclose()
    await other.aclose()
