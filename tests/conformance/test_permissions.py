"""What `esb doctor` says a user needs is what esb sends: no command less, and no command more."""

from __future__ import annotations

import ast
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import redis.asyncio
import test_redis

import esb_runtime.redis
from esb_runtime._endpoint import Endpoint
from esb_runtime._ports import Channel
from esb_runtime.memory import MemoryStore
from esb_runtime.redis._channel import RedisChannel
from esb_runtime.redis._inspect import NEEDED, OPTIONAL
from esb_runtime.testing import RedisServer

WITH_A_SECOND_WORD = {"ACL", "COMMAND", "CONFIG", "MEMORY", "XGROUP", "XINFO"}
OF_CONNECTIONS = {"AUTH", "SELECT"}
ROOM = Path(esb_runtime.redis.__file__).parent


def name_of(first: str, second: object) -> str:
    """A command as ACL rules name it."""
    return f"{first}|{second}" if first in WITH_A_SECOND_WORD else first


NEEDED_NAMES = {name_of(str(call[0]), call[1] if len(call) > 1 else "") for call in NEEDED}


def in_scripts() -> Iterator[str]:
    """The commands that Lua calls."""
    for file in ROOM.glob("lua/*.lua"):
        for first, second in re.findall(r"redis\.p?call\('(\w+)'(?:, '(\w+)')?", file.read_text("utf-8")):
            yield name_of(first, second)


def in_python(commands: set[str]) -> Iterator[str]:
    """The commands that stand first in a call or in a list of words; those of `_inspect`'s own lists aside."""
    for file in ROOM.glob("*.py"):
        tree = ast.parse(file.read_text("utf-8"))
        listed = {
            inner
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign | ast.AnnAssign) and re.match("NEEDED|OPTIONAL|FEATURES", ast.unparse(node))
            for inner in ast.walk(node)
        }
        for node in ast.walk(tree):
            call = isinstance(node, ast.Call)
            words = node.args if call else node.elts if isinstance(node, ast.Tuple | ast.List) else []
            texts = [each.value if isinstance(each, ast.Constant) else "" for each in words]
            if node not in listed and texts and texts[0] in commands:
                yield name_of(texts[0], texts[1] if len(texts) > 1 else "")


@pytest_asyncio.fixture
async def admin(redis_server: RedisServer) -> AsyncIterator[Any]:
    """A client who may do everything."""
    client = redis.asyncio.Redis(host="127.0.0.1", port=redis_server.endpoint.port)
    yield client
    await client.aclose()


async def test_the_list_is_what_the_code_sends(admin: Any) -> None:
    """Read from the sources: scripts and Python."""
    admin.response_callbacks.pop("COMMAND", None)
    known = {name.decode().upper() for name in await admin.execute_command("COMMAND LIST")}
    known |= {name.partition("|")[0] for name in NEEDED_NAMES | OPTIONAL}  # some are of newer servers
    assert set(in_scripts()) | set(in_python(known - OF_CONNECTIONS)) == NEEDED_NAMES | OPTIONAL
    assert not NEEDED_NAMES & OPTIONAL


class TestWithJustThese(test_redis.TestHash):
    """A user with exactly these permissions passes the whole suite; what `durability` sends was asked for, too."""

    @pytest_asyncio.fixture
    async def channel(self, redis_server: RedisServer, admin: Any) -> AsyncIterator[Channel]:
        self.store = MemoryStore()
        self.raw: Any = admin
        rules = [f"+{name.lower()}" for name in sorted(NEEDED_NAMES | {"WAIT", "XSETID"})]
        await admin.execute_command("ACL", "SETUSER", "just", "reset", "on", ">just-Pw-1", "~*", *rules)
        await admin.execute_command("ACL", "LOG", "RESET")
        endpoint = Endpoint.parse(f"redis://just:just-Pw-1@127.0.0.1:{redis_server.endpoint.port}")
        channel = RedisChannel(endpoint, placement=self.placement, stores=[self.store])
        yield channel
        await channel.aclose()
        assert set(await refused(admin)) <= {name.lower() for name in OPTIONAL}
        await admin.execute_command("ACL", "DELUSER", "just")


async def refused(admin: Any) -> list[str]:
    """The commands that a user was refused; what redis-py itself tells of connections aside."""
    names = [entry["object"] for entry in await admin.acl_log()]
    return [name for name in names if not name.startswith(("client|", "hello"))]


pytestmark = pytest.mark.timeout(60)
