"""`-o`: every command that offers it knows every form, and says at once what is wrong with one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from command_kit import Esb
from group_kit import consume, packed, take

from esb_cli.app import build
from esb_cli.terminal import Output

COMMANDS = {
    "tail": ("shop",),
    "get": ("{key}",),
    "ls": (),
    "show": ("shop",),
    "groups": (),
    "pending": ("shop", "main"),
    "claim": ("shop", "main", "--from", "web-1", "--dry-run"),
    "reset": ("shop", "main", "--to", "start", "--dry-run"),
    "dlq list": ("shop", "main"),
    "dlq show": ("shop", "main", "{key}"),
    "dlq replay": ("shop", "main", "--dry-run"),
    "dlq purge": ("shop", "main", "--dry-run"),
    "trim": ("shop", "--maxlen", "1", "--dry-run", "--force"),
    "profile list": (),
    "profile show": ("local",),
    "doctor": (),
    "bench": ("--events", "10"),
    "redis status": ("--dir", "{server}"),
}
"""What each command is called with."""
CHANGING = re.compile(r'(?<="idle": )[\d.e-]+|(?<=[ ~])[\d.]+ ms away|^<[\d.]+>$', re.MULTILINE)
"""What is never twice the same: for how long somebody was idle, and how far away the server is."""


def with_output(command: Any, name: str = "") -> Iterator[str]:
    """The names of the commands that have -o."""
    for word, inner in getattr(command, "commands", {}).items():
        yield from with_output(inner, f"{name} {word}".strip())
    if any("-o" in option.opts for option in command.params):
        yield name


@pytest.fixture
def lettered(workspace: Esb) -> Iterator[tuple[Esb, dict[str, str]]]:
    """A stream with a dead letter and a pending event, a profile and, for `redis status`, a server of its own."""
    (key,) = workspace.seed("shop", packed(1))
    consume(workspace, broken=True)
    workspace.seed("shop", packed(2))
    take(workspace, "shop", "main", "web-1", 1)
    workspace.ok("profile", "add", "local", "--endpoint", "localhost")
    server = str(workspace.folder / "server")
    workspace.ok("redis", "start", "--dir", server)
    yield workspace, {"key": key, "server": server}
    workspace.ok("redis", "stop", "--dir", server)


def test_every_command_with_output_is_here() -> None:
    """No command offers -o without being tested."""
    assert set(with_output(typer.main.get_command(build()))) == set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_form(lettered: tuple[Esb, dict[str, str]], command: str) -> None:
    """Tables, JSON, tabs, and a line by template for each JSON document; a wrong template ends with 2 at once."""
    esb, names = lettered
    words = [*command.split(), *(word.format(**names) for word in COMMANDS[command])]
    for form in (Output.AUTO, Output.TABLE, Output.RAW):
        assert esb.ok(*words, "-o", form) or form is Output.RAW, form
    documents = esb.lines(*words, "-o", "json")
    assert documents
    template = r"\n".join(f"<{{{{{name}}}}}>" for name in documents[0])
    shown = esb.ok(*words, "-o", "template", "--template", template)
    expected = "".join(f"<{said(value)}>\n" for document in documents for value in document.values())
    if command == "bench":  # which measures something else each time
        shown, expected = (re.sub("<.*>", "<>", text) for text in (shown, expected))
    assert CHANGING.sub("", shown) == CHANGING.sub("", expected)
    assert "--template TEXT" in esb.fails(2, *words, "-o", "template")
    assert "two forms" in esb.fails(2, *words, "-o", "json", "--template", "x")
    assert "something is missing" in esb.fails(2, *words, "--template", "{{a ==}}")


def said(value: Any) -> str:
    """A value as a template says it."""
    text = value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False)
    return text.replace("\n", "\\n")


@pytest.mark.parametrize("words", [["ls"], ["get", "s/1-0"], ["show", "s"], ["dlq", "list", "s", "g"], ["doctor"]])
def test_a_misspelt_member_is_named(esb: Esb, words: list[str]) -> None:
    """A template that asks for what no line has is refused; the whole document may be asked for."""
    assert "there is no 'nothing'" in esb.fails(2, *words, "--template", "{{nothing}}")


def test_a_template_of_the_whole_document(esb: Esb) -> None:
    """`@` is the document."""
    esb.seed("s", ("e", 1, {}))
    (document,) = esb.lines("ls")
    assert json.loads(esb.ok("ls", "--template", "{{@}}")) == document
    assert esb.ok("ls", "--template", "{{length(keys(@))}} {{stream}}") == "6 s\n"
