"""What every command prints, in every form that it has: compared with a file for each command in `golden/`.

The commands are read from the application: one without a line in `LINES` fails. `make golden` (or `ESB_GOLDEN=write` in
front of this test) writes the files anew; look at them before they are committed.

What differs between runs is replaced: the n-th id by the n-th number, times, ages, ports, sizes, versions, paths.
Columns that hold such a value lose their width, so more than one blank counts as two.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
import redis
import typer
from command_kit import ORDER, Esb
from command_tree import leaves
from group_kit import consume, take

from esb_cli.app import build
from esb_runtime.redis._keys import failures_key, lease_key

GOLDEN = Path(__file__).parent / "golden"
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
    workspace.seed("other", ("told", 1, {"text": "a b", "nothing": None}), ("told", 1, {"list": [1, 2.5, "x"]}))
    server.xadd("other", {"hello": "world\x1b[2J"})
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
            shown += still(transcript(workspace, words, alone=name.startswith("redis ")), figures=name == "bench")
    file = GOLDEN / f"{name.replace(' ', '-')}.txt"
    if os.environ.get("ESB_GOLDEN") == "write":
        file.write_text(shown, "utf-8")
    assert shown == file.read_text("utf-8"), "if this is meant: make golden"


def test_no_file_is_left_over() -> None:
    """Each golden file belongs to a command."""
    assert {file.stem for file in GOLDEN.iterdir()} == {name.replace(" ", "-") for name in LINES}


def forms(name: str, line: str, place: dict[str, str]) -> Iterator[list[str]]:
    """A line once, or once in each form."""
    if "{form}" not in line:
        yield shlex.split(line.format(**place))
        return
    for form in FORMS:
        template = f"--template '{TEMPLATES[name]}'" if form == "template" else f"-o {form}"
        yield shlex.split(line.format(**place, form=template))


def transcript(esb: Esb, words: list[str], *, alone: bool) -> str:
    """What somebody sees who runs a command in a pipe: what it prints, and behind `2>` what it says."""
    done = esb(*words, **({"REDIS_EVENT_SOURCE_ENDPOINT": ""} if alone else {}))
    said = "".join(f"2> {line}\n" for line in done.stderr.splitlines())
    code = f"exit code {done.returncode}\n" if done.returncode else ""
    return f"$ esb {shlex.join(words)}\n{done.stdout}{said}{code}\n"


def snapshot(server: redis.Redis) -> dict[bytes, tuple[int, Any]]:
    """Everything that the server holds."""
    keys: Any = server.keys("*")
    return {key: (max(int(server.pttl(key)), 0), server.dump(key)) for key in keys}  # type: ignore[arg-type]


def restore(server: redis.Redis, kept: dict[bytes, tuple[int, Any]]) -> None:
    """Have the server hold just that again."""
    server.flushall()
    for key, (ttl, value) in kept.items():
        server.restore(key, ttl, value)


VARYING = (
    (re.compile(r"\d{4}-\d\d-\d\d[T ][\d:.]+(Z| ?[+-]\d{2}:?\d{2})?"), "<time>"),
    (re.compile(r"── \d{4}-\d\d-\d\d ──"), "── <day> ──"),
    (re.compile(r"-- \d{4}-\d\d-\d\d --"), "-- <day> --"),
    (re.compile(r"\b\d\d:\d\d:\d\d\.\d{3}\b"), "<clock>"),
    (re.compile(r"\b\d+(\.\d+)?(ms|s|m|h)( ago)?\b|\bjust now\b"), "<ago>"),
    (re.compile(r'("(?:idle|memory|pid)": )[\d.]+'), r"\1<n>"),
    (re.compile(r"^((?:other|shop)\t\d\t)\d+(?=\t\d\t)", re.MULTILINE), r"\1<n>"),
    (re.compile(r"(?<=\t)0\.\d+(?=\t)"), "<n>"),
    (re.compile(r"group_kit\.py:\d+"), "group_kit.py:<n>"),
    (re.compile(r"((?:Valkey|Python|runtime|redis-py\W+(?:ok\W+)?(?:found\W+)?) )\d[\w.]+"), r"\1<version>"),
    (re.compile(r"; has [A-Z, ]+"), "; has <commands>"),
    (re.compile(r"\b\d+(\.\d+)? (B|KiB|MiB)\b"), "<size>"),
    (re.compile(r"(127\.0\.0\.1|localhost):\d{4,5}"), r"\1:<port>"),
    (re.compile(r"(message_id\W+)[\w-]{18}\b"), r"\1<message>"),
    (re.compile(r"[\w.-]+-\d+-[0-9a-f]{8}\b"), "<consumer>"),
    (re.compile(r"\b(process|pid) +\d+"), r"\1 <n>"),
    (re.compile(r"(?<=<version>\t)\d+"), "<n>"),
    (re.compile(r"\d+\.\d ms away"), "<n> ms away"),
    (re.compile(r" {2,}"), "  "),
)


class Still(Protocol):
    """Text without what differs between runs; `figures`: all numbers do."""

    def __call__(self, text: str, *, figures: bool) -> str: ...


def normaliser(esb: Esb) -> Still:
    """What makes outputs of different runs equal; it counts ids from call to call."""
    numbers: dict[str, str] = {}

    def number(found: re.Match[str]) -> str:
        return numbers.setdefault(found[0], f"<id-{len(numbers) + 1}>")

    def still(text: str, *, figures: bool) -> str:
        text = text.replace(sys.executable, "<python>")
        text = text.replace(str(esb.folder.resolve()), "<here>").replace(str(esb.home.resolve()), "<home>")
        text = re.sub(r"\b\d{13}-\d+\b", number, text)
        for pattern, sign in VARYING:
            text = pattern.sub(sign, text)
        if figures:
            text = re.sub(r"(?<![\w-])\d[\d,.]*(?!\w)", "<n>", text)
            text = re.sub(r"this process|the server|the round trip", "<bound>", text)
        return "\n".join(line.rstrip() for line in text.split("\n"))

    return still
