"""The commands about this machine in every plight that they can be in: programs, workspaces, profiles, the own server.

Those about a server are in `test_every_plight.py`, which also knows that no command is in neither table.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile

import pytest
import warm
from command_kit import Esb
from plights import on_terminal

from esb_runtime.testing import RedisServer

LINES = {
    "profile add prod --endpoint localhost": 0,
    "profile use prod": 0,
    "profile list": 0,
    "profile show": 0,
    "profile remove prod": 0,
    "redis start": 0,
    "redis status": 0,
    "redis stop": 0,
    "redis stop --dir .esb": 4,
    "add event Shop.returned email:str --yes": 0,
    "add event Shop.lost email:str": 2,
    "add contract Refund": 2,
    "add consumer audit": 2,
    "update --check": 2,
    "new there --defaults -n acme.orders": 0,
    "new there --defaults -n acme.orders --dry-run": 2,
    "new": 2,
    "dev": 2,
    "run nowhere:wire": 3,
    "demo shop_contracts.py": 2,
}
"""What is run, one after another in a workspace whose environment names no server, and the exit code."""
PRINTING = {
    "profile list", "profile show", "redis start", "redis status", "add event Shop.returned email:str --yes",
    "new there --defaults -n acme.orders",
}  # fmt: skip
"""Those of them that write data to stdout."""
TABLES = {"profile list", "profile show", "redis status"}


@pytest.fixture
def here(workspace: Esb) -> Iterator[Esb]:
    """A workspace without a server; one that was started is stopped."""
    del workspace.variables["REDIS_EVENT_SOURCE_ENDPOINT"]
    yield workspace
    workspace("redis", "stop")


def test_in_a_pipe(here: Esb) -> None:
    """Without a terminal nothing is asked: done, or refused in words on stderr that are not only `Aborted`."""
    for line, code in LINES.items():
        done = here(*shlex.split(line))
        assert done.returncode == code, (line, done)
        assert "Traceback" not in done.stdout + done.stderr, line
        assert "\x1b" not in done.stdout + done.stderr, line
        assert bool(done.stdout) == (line in PRINTING), (line, done.stdout)
        if code:
            assert len((done.stdout + done.stderr).strip()) > 20, (line, done)


@pytest.mark.parametrize("how", ["40 columns", "no colour", "dumb"])
def test_on_a_terminal(here: Esb, how: str) -> None:
    """Tables fit 40 columns; NO_COLOR and TERM=dumb have no escapes. What would ask is asked elsewhere."""
    variables = {
        "40 columns": {"COLUMNS": "40", "TERM": "xterm"},
        "no colour": {"COLUMNS": "80", "TERM": "xterm", "NO_COLOR": "1"},
        "dumb": {"COLUMNS": "80", "TERM": "dumb"},
    }[how]
    for line, expected in LINES.items():
        code, text = on_terminal(here, shlex.split(line), variables)
        assert code == expected, (line, text)
        plain = re.sub(r"\x1b\[[\d;]*m", "", text)
        assert "\x1b" not in plain, (line, plain)
        assert how == "40 columns" or plain == text, line
        if line in TABLES and str(here.folder) not in text.replace("\n", ""):
            assert max(map(len, plain.splitlines())) <= int(variables["COLUMNS"]), (line, plain)


def test_a_reader_that_is_gone(here: Esb) -> None:
    """A closed pipe on stdout: what would write there ends quietly with 141, the others do what they do."""
    for line, code in LINES.items():
        reader, writer = os.pipe()
        os.close(reader)
        with TemporaryFile() as nothing, TemporaryFile() as said:
            running = warm.start(
                shlex.split(line), folder=here.folder, variables=here.environment(), streams=(nothing, writer, said)
            )
            os.close(writer)
            assert running.wait(60) == (141 if line in PRINTING else code), line
            said.seek(0)
            assert b"Traceback" not in said.read(), line


def test_no_stdout_at_all(here: Esb) -> None:
    """`>&-`: what is done is done, and its exit code stands."""
    for line, code in LINES.items():
        done = here.shell(f"{line} >&-")
        assert done.returncode == code, (line, done)
        assert "Traceback" not in done.stderr, line


@pytest.mark.parametrize("words", [("run", "shop_contracts:Packer", "--group", "main"), ("dev",)])
@pytest.mark.parametrize("plight", ["no server", "a wrong password"])
def test_programs_wait_for_a_server(workspace: Esb, tmp_path: Path, words: tuple[str, ...], plight: str) -> None:
    """They say which server does not let them in, never the password, and end with Ctrl-C."""
    (workspace.folder / "pyproject.toml").write_text(
        '[tool.esb]\ncontracts = ["shop_contracts"]\nsources = ["."]\n[tool.esb.programs]\npacker = "wiring:wire"\n'
    )
    (workspace.folder / "wiring.py").write_text(
        "from shop_contracts import Packer\ndef wire(backbone):\n    backbone.subscribe(Packer(), group='main')\n"
    )
    with RedisServer.start(tmp_path / "locked", password="Kt40-right", ends_with_process=True) as locked:
        where = locked.endpoint.display
        if plight == "no server":
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                where = f"redis://127.0.0.1:{probe.getsockname()[1]}"
        running = workspace.start(*words, REDIS_EVENT_SOURCE_ENDPOINT=where, REDIS_EVENT_SOURCE_PASS="Kt40-wrong")
        assert running.stdout is not None
        seen = ""
        while not re.search(rf"{re.escape(where)}(: | refused)", seen):
            line = running.stdout.readline()
            assert line, (seen, running.communicate())
            seen += line
        running.send_signal(signal.SIGINT)
        rest, said = running.communicate(timeout=60)
    assert running.returncode == 130, (seen, rest, said)
    assert "Traceback" not in seen + rest + said
    assert "Kt40" not in seen + rest + said
