"""What every command prints, in every form that it has: compared with a file for each command in `golden/`.

The commands are read from the application: one without a line in `LINES` fails. `make golden` (or `ESB_GOLDEN=write` in
front of this test) writes the files anew; look at them before they are committed.

Commands that make, change or run a workspace do so in `test_golden_workspace.py`; here they are refused.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import redis
import typer
from command_kit import ORDER, Esb, next_millisecond
from command_tree import leaves
from golden_kit import ALONE, GOLDEN, compare, normaliser, transcript
from group_kit import consume, take
from test_golden_workspace import SESSIONS

from esb_cli.app import build
from esb_runtime.redis._keys import failures_key, lease_key

FORMS = ("table", "json", "raw", "template")
LINES: dict[str, tuple[str, ...]] = {
    "new": ("new acme --uri orders -n acme.orders -e Order --consumer-group 7* --defaults", "new acme --defaults"),
    "update": ("update --check",),
    "add event": ("add event Shop.returned email:str 'parts:list[Product]' --key email --yes", "add event Shop"),
    "add contract": ("add contract Refund",),
    "add consumer": ("add consumer audit",),
    "dev": ("dev",),
    "run": ("run shop_contracts:nothing", "run nowhere:wire", "run shop_contracts:Packer"),
    "demo": ("demo shop_contracts.py",),
    "redis start": ("redis start", "redis start", "redis stop"),
    "redis status": ("redis status", "redis start", "redis status {form}", "redis stop"),
    "redis stop": ("redis start", "redis stop", "redis stop"),
    "produce": (
        "produce shop packed --arg email=bob@example.org",
        "produce shop packed --arg email=bob@example.org --dry-run",
        "produce shop packed --arg email=bob{{{{n}}}}@example.org --count 3",
        "produce shop packed --arg count=many",
        "produce shop shipped --arg email=bob@example.org",
    ),
    "tail": (
        "tail shop {form}",
        "tail shop other -n 3 --show-personal {form}",
        "tail shop --event packed --no-payload {form}",
        "tail shop --group main {form}",
    ),
    "get": ("get {key} {form}", "get {order} {form}", "get shop/1-1"),
    "replay": (
        "replay shop --to-uri copy --dry-run",
        "replay shop --to-uri copy",
        "replay shop --event packed --to-file copy.jsonl",
        "replay shop --group main --dry-run",
        "replay shop --group main",
    ),
    "export": ("export shop", "export shop --to shop.jsonl", "export other"),
    "import": (
        "export other --to other.jsonl",
        "import copy --from other.jsonl --dry-run",
        "import copy --from other.jsonl",
        "import copy --from other.jsonl",
        "import copy --from shop_contracts.py",
    ),
    "ls": ("ls {form}", "ls 'nothing*' {form}"),
    "show": ("show shop {form}", "show other {form}"),
    "groups": ("groups shop {form}", "groups {form}", "groups other {form}"),
    "pending": ("pending shop main {form}", "pending shop idle {form}"),
    "claim": ("claim shop main --dry-run {form}", "claim shop main {form}", "claim shop idle {form}"),
    "reset": ("reset shop main --to start --dry-run {form}", "reset shop idle --to end --yes {form}"),
    "dlq list": ("dlq list shop poor {form}", "dlq list shop main {form}"),
    "dlq show": ("dlq show shop poor {letter} {form}", "dlq show shop poor {poison} {form}"),
    "dlq replay": (
        "dlq replay shop poor --dry-run {form}",
        "dlq replay shop poor --yes {form}",
        "dlq replay shop main {form}",
    ),
    "dlq purge": ("dlq purge shop poor --dry-run {form}", "dlq purge shop poor --yes {form}"),
    "trim": (
        "trim shop --maxlen 1 --dry-run {form}",
        "trim other --maxlen 1 --yes {form}",
        "trim shop --handled --yes {form}",
        "trim other --sweep --yes {form}",
    ),
    "bench": ("bench --events 10 {form}",),
    "profile add": ("profile add prod --endpoint rediss://ops@redis.internal:6380", "profile add 'a b' --endpoint x"),
    "profile list": ("profile list {form}", "profile add prod --endpoint localhost", "profile list {form}"),
    "profile use": ("profile use prod", "profile add prod --endpoint localhost", "profile use prod"),
    "profile show": ("profile show", "profile add prod --endpoint localhost", "profile show prod {form}"),
    "profile remove": ("profile add prod --endpoint localhost", "profile remove prod", "profile remove prod"),
    "doctor": ("doctor {form}",),
}  # fmt: skip
"""What is run for each command; `{form}` stands for each form of its output, on the same server each time."""
TEMPLATES = {
    "bench": "{{measure}}",
    "claim": "{{from}}: {{moved}}",
    "dlq list": "{{id}} {{reason}}",
    "dlq purge": "{{purged}} of {{letters}}",
    "dlq replay": "{{returned}} of {{letters}}",
    "dlq show": "{{reason}}: {{event.key}}",
    "doctor": "{{check}} {{state}}",
    "get": "{{event}} {{args.email}}",
    "groups": "{{group}}: {{state}}",
    "ls": "{{stream}} {{events}}",
    "pending": "{{id}} {{event}}: {{why}}",
    "profile list": "{{profile}} {{endpoint}}",
    "profile show": "{{profile}} {{keyring}}",
    "redis status": "{{server}} {{password}}",
    "reset": "{{from}} to {{to}}: {{again}} again",
    "show": "{{stream}}: {{groups[].group}}",
    "tail": "{{event}} {{args.email}}",
    "trim": "{{entries}} {{swept}} {{held_up_by}}",
}
"""What is given to `--template`."""


def test_every_command_is_here() -> None:
    """A new command is not finished without lines, and one with `-o` not without its forms."""
    tree = typer.main.get_command(build())
    assert set(leaves(tree)) == set(LINES)
    for name, command in leaves(tree).items():
        has_forms = any(parameter.name == "output" for parameter in command.params)
        assert has_forms == any("{form}" in line for line in LINES[name]), name


@pytest.fixture
def place(workspace: Esb, server: redis.Redis) -> dict[str, str]:
    """A stream with groups in every state, another one with garbage; what the words in braces stand for."""
    packed = [("packed", 2, {"email": f"{who}@example.org", "count": n}) for n, who in enumerate(["ann", "bob"], 1)]
    keys = workspace.seed("shop", *packed, ("ordered", 1, ORDER), ("packed", 1, {"email": "eve@example.org"}))
    next_millisecond(server)
    workspace.seed("other", ("told", 1, {"text": "a b", "nothing": None}), ("told", 1, {"list": [1, 2.5, "x"]}))
    server.xadd("other", {"hello": "world\x1b[2J"})
    next_millisecond(server)
    server.xgroup_create("shop", "idle", id="0")
    consume(workspace, broken=True, group="poor")
    server.xgroup_create("shop", "done", id="$")
    take(workspace, "shop", "main", "web-1", 2)
    take(workspace, "shop", "main", "web-2", 1)
    server.delete(lease_key("shop", "main", "web-1"))
    server.hset(failures_key("shop", "main"), keys[0].partition("/")[2], 2)
    letters: Any = server.xrange("{shop}:dlq:poor")
    return {"key": keys[0], "order": keys[2], "letter": letters[0][0].decode(), "poison": letters[2][0].decode()}


@pytest.mark.parametrize("name", LINES)
def test_golden(name: str, workspace: Esb, server: redis.Redis, place: dict[str, str]) -> None:
    """The command prints what its file shows."""
    kept = snapshot(server)
    still = normaliser(workspace)
    shown = ""
    for line in LINES[name]:
        for words in forms(name, line, place):
            if "{form}" in line:
                restore(server, kept)
            done = workspace(*words, **(ALONE if name.startswith("redis ") else {}))
            shown += still(transcript(words, done), figures=name == "bench")
    compare(name, shown)


def test_no_file_is_left_over() -> None:
    """Each golden file belongs to a command, here or in a workspace."""
    names = {*LINES, *SESSIONS}
    assert {file.stem for file in GOLDEN.iterdir()} == {name.replace(" ", "-") for name in names}


def forms(name: str, line: str, place: dict[str, str]) -> Iterator[list[str]]:
    """A line once, or once in each form."""
    if "{form}" not in line:
        yield shlex.split(line.format(**place))
        return
    for form in FORMS:
        template = f"--template '{TEMPLATES[name]}'" if form == "template" else f"-o {form}"
        yield shlex.split(line.format(**place, form=template))


def snapshot(server: redis.Redis) -> dict[bytes, tuple[int, Any]]:
    """Everything that the server holds."""
    keys: Any = server.keys("*")
    return {key: (max(int(server.pttl(key)), 0), server.dump(key)) for key in keys}  # type: ignore[arg-type]


def restore(server: redis.Redis, kept: dict[bytes, tuple[int, Any]]) -> None:
    """Have the server hold just that again."""
    server.flushall()
    for key, (ttl, value) in kept.items():
        server.restore(key, ttl, value)
