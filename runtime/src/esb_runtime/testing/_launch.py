"""Bring a server process up: its configuration, its port, its first answer."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, cast

from .._endpoint import PASSWORD_VARIABLE, Endpoint
from .._errors import ChannelError, ServerNotStarted
from ..redis._connection import Translated, options
from ._binary import ServerBinary
from ._files import ServerFolder, ServerState

START_SECONDS = 20.0
"""How long a server may take to load its data and answer."""
_PORT_ATTEMPTS = 8
_ANSWER_SECONDS = 0.25
_POLL_SECONDS = 0.005
_SOCKET_PATH_LIMIT = 100
"""Bytes that the path of a unix socket can safely have (the kernel's limit is 104 on macOS, 108 on Linux)."""

_ALLOCATOR = ("GLIBC_TUNABLES", "glibc.malloc.tcache_count=4096")
"""For servers on glibc's allocator: a script's effects are thousands of small words until it ends, and recycling them
through its cache halves what a large step costs. https://sourceware.org/glibc/manual/latest/html_node/Memory-Allocation-Tunables.html"""


def launch(folder: ServerFolder, binary: ServerBinary, *, password: str | None, unix_socket: bool) -> ServerState:
    """Start a server with the folder's data, on its last port if that is free. Raises `ServerNotStarted`."""
    last = folder.last_port()
    for attempt in range(_PORT_ATTEMPTS):
        # twice, for a server that was killed a moment ago may still be letting go of its port
        port = last if last is not None and attempt < 2 else free_port()
        endpoint = _place(folder, port, password=password, unix_socket=unix_socket)
        pid = _started(folder, binary, endpoint)
        if pid is not None:
            return ServerState(
                endpoint=endpoint.display,
                pid=pid,
                locked=password is not None,
                server=str(binary),
                binary=str(binary.path),
                data=str(folder.redis / binary.series),
            )
        if unix_socket or not _port_was_taken(folder.log):
            break
    raise ServerNotStarted(f"{binary} ended while it started: {_last_words(folder.log)}")


def ask_pid(endpoint: Endpoint, *, timeout: float = 5.0) -> int:
    """The process that answers at an endpoint, by its own word. Raises esb's errors."""
    info = cast("dict[str, str]", call(endpoint, "INFO", "server", timeout=timeout))
    return int(info["process_id"])


def call(endpoint: Endpoint, *words: str, timeout: float = 10.0) -> object:
    """One command over a connection of its own; seconds to wait. Raises esb's errors."""
    import redis

    client: Any = redis.Redis(**options(endpoint, timeout=timeout))
    with Translated(endpoint.display), client:
        return client.execute_command(*words)


def free_port() -> int:
    """A TCP port that was free on loopback a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def configuration(folder: ServerFolder, binary: ServerBinary, endpoint: Endpoint) -> str:
    """The server's configuration. It goes through a pipe: the password is in no file and in no argument."""
    small_values = (
        "hash-max-ziplist-value" if (binary.flavour, binary.major) == ("redis", 6) else "hash-max-listpack-value"
    )
    settings: dict[str, str | int] = {
        "daemonize": "yes",
        "bind": "127.0.0.1",
        "port": endpoint.port if endpoint.unix_socket is None else 0,
        "dir": str(folder.redis / binary.series),
        "logfile": str(folder.log),
        "pidfile": str(folder.pid),
        "save": "",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
        small_values: 512,
        "stream-node-max-entries": 100,
    }
    if endpoint.unix_socket is not None:
        settings |= {"unixsocket": endpoint.unix_socket, "unixsocketperm": "700"}
    if endpoint.password is not None:
        settings["requirepass"] = endpoint.password
    return "".join(f"{name} {_quoted(value)}\n" for name, value in settings.items())


def _place(folder: ServerFolder, port: int, *, password: str | None, unix_socket: bool) -> Endpoint:
    """Where the server will listen: loopback, or a socket in a folder of this user."""
    if not unix_socket:
        return Endpoint(host="127.0.0.1", port=port, password=password)
    path = folder.socket
    if len(os.fsencode(path)) > _SOCKET_PATH_LIMIT:
        path = Path(tempfile.mkdtemp(prefix="esb-")) / path.name
    return Endpoint(unix_socket=str(path), password=password)


def _started(folder: ServerFolder, binary: ServerBinary, endpoint: Endpoint) -> int | None:
    """Start one process and wait for its answer: its pid, or None when it ended."""
    (folder.redis / binary.series).mkdir(mode=0o700, exist_ok=True)
    folder.log.unlink(missing_ok=True)
    folder.pid.unlink(missing_ok=True)
    handle = folder.claim()
    try:
        _run(binary, configuration(folder, binary, endpoint), handle)
    finally:
        os.close(handle)
    return _first_answer(folder, endpoint)


def _run(binary: ServerBinary, settings: str, handle: int) -> None:
    """Run the server program until it went into the background, holding the lock `handle`."""
    environ = {name: value for name, value in os.environ.items() if name != PASSWORD_VARIABLE}
    environ.setdefault(*_ALLOCATOR)
    done = subprocess.run(
        [binary.path, "-"],
        input=settings.encode(errors="surrogateescape"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environ,
        pass_fds=(handle,),
        start_new_session=True,
        timeout=START_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise ServerNotStarted(f"{binary} refused its configuration: {_safe(done.stderr)}")


def _first_answer(folder: ServerFolder, endpoint: Endpoint) -> int | None:
    """Wait until our server answers, or until it is gone; a stranger on its port may answer meanwhile."""
    deadline = time.monotonic() + START_SECONDS
    while folder.alive():
        problem: ChannelError | str = "another process answers there"
        try:
            pid = ask_pid(endpoint, timeout=_ANSWER_SECONDS)
            if pid == folder.last_pid():
                return pid
        except ChannelError as error:
            problem = error
        if time.monotonic() > deadline:
            raise ServerNotStarted(f"the server did not answer at {endpoint}: {problem}")
        time.sleep(_POLL_SECONDS)
    return None


def remove_socket(endpoint: Endpoint, folder: ServerFolder) -> None:
    """Remove a socket that lies outside the folder, with the folder that was made for it."""
    if endpoint.unix_socket is not None:
        path = Path(endpoint.unix_socket)
        path.unlink(missing_ok=True)
        if path != folder.socket:
            shutil.rmtree(path.parent, ignore_errors=True)


def _quoted(value: str | int) -> str:
    """A value as Redis reads it inside double quotes, whatever it holds."""
    raw = str(value).encode(errors="surrogateescape")
    plain = b"".join(b"\\x%02x" % byte if byte < 32 or byte in b'"\\' or byte > 126 else bytes([byte]) for byte in raw)
    return f'"{plain.decode("ascii")}"'


def _port_was_taken(log: Path) -> bool:
    """Whether the server says that somebody else has its port."""
    return "in use" in _last_words(log) or "bind:" in _last_words(log)


def _last_words(log: Path) -> str:
    """The end of the server's log."""
    try:
        return _safe(log.read_bytes()[-2000:])
    except FileNotFoundError:
        return "it wrote nothing"


def _safe(raw: bytes) -> str:
    """The last lines of what a server said, without a line of its configuration (quoted after '>>>')."""
    lines = [line for line in raw.decode(errors="replace").splitlines() if line.strip() and not line.startswith(">>>")]
    return " | ".join(lines[-4:])
