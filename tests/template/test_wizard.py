"""`esb new` on a terminal: what it asks, what it refuses while it is typed, what it shows, what it leaves behind."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from template_kit import REPOSITORY, OnTerminal, Terminal

from esb_cli.questions import load

ENTER, DOWN, CTRL_C, CTRL_D = "\r", "\x1b[B", "\x03", "\x04"
QUESTIONS = load(REPOSITORY)


def listing(folder: Path) -> list[str]:
    """The names in a folder."""
    return sorted(path.name for path in folder.iterdir())


def take_defaults(terminal: Terminal, *given: str) -> None:
    """Press Enter at every question of the template that nobody has answered yet."""
    known = {}
    for question in QUESTIONS:
        known[question.name] = question.default(known)
        if question.name not in given and question.is_asked(known):
            terminal.wait_for(question.help[:40])
            terminal.press(ENTER)


def test_a_terminal_is_asked_for_everything_that_is_missing(on_terminal: OnTerminal, tmp_path: Path) -> None:
    """Every question has a good default; then come the place, a summary, and only then the files."""
    with on_terminal("new") as terminal:
        take_defaults(terminal)
        terminal.wait_for("Folder to create")
        terminal.press(ENTER)
        terminal.wait_for("What now?")
        assert f"{tmp_path}/mycompany.events" in terminal.shown
        assert not listing(tmp_path)
        terminal.press(ENTER)
        assert terminal.end() == 0
    assert "my_event.py" in listing(tmp_path / "mycompany.events/contracts/src/mycompany/events/contracts")


def test_a_wrong_answer_is_refused_while_it_is_typed(on_terminal: OnTerminal, tmp_path: Path) -> None:
    """Without Enter the reason stands below; Enter does not get past it; capitals in a package name are lowered."""
    with on_terminal("new", "--uri", "shop", "-g", "desk") as terminal:
        terminal.wait_for("mycompany.events")
        terminal.press("-bad")
        terminal.wait_for("no package name")
        terminal.press(ENTER + "\b" * 4 + ".Shop" + ENTER)
        take_defaults(terminal, "uri", "consumer_group", "namespace")
        terminal.wait_for("Folder to create")
        terminal.press(ENTER)
        terminal.wait_for("What now?")
        terminal.press(ENTER)
        assert terminal.end() == 0
    assert listing(tmp_path) == ["mycompany.events.shop"]


def test_a_taken_folder_is_refused_while_it_is_typed(on_terminal: OnTerminal, tmp_path: Path) -> None:
    """The wizard does not let anybody answer everything only to fail at the end."""
    (tmp_path / "mycompany.events").mkdir()
    (tmp_path / "mycompany.events" / "mine").touch()
    with on_terminal("new") as terminal:
        take_defaults(terminal)
        terminal.wait_for("Folder to create")
        terminal.press(ENTER)
        terminal.wait_for("is not empty")
        terminal.press("2" + ENTER)
        terminal.wait_for("What now?")
        terminal.press(ENTER)
        assert terminal.end() == 0
    assert listing(tmp_path) == ["mycompany.events", "mycompany.events2"]


def test_a_terminal_is_not_asked_for_what_was_given(on_terminal: OnTerminal, tmp_path: Path) -> None:
    """Only what is missing is asked; `--defaults` asks for nothing at all."""
    with on_terminal("new", "ws", "--uri", "shop", "-g", "desk", "-n", "my.shop") as terminal:
        take_defaults(terminal, "uri", "consumer_group", "namespace")
        terminal.wait_for("What now?")
        assert "Name of the stream:" not in terminal.shown
        assert "Folder to create" not in terminal.shown
        terminal.press(ENTER)
        assert terminal.end() == 0
    with on_terminal("new", "quiet", "--defaults") as terminal:
        assert terminal.end() == 0
        assert "?" not in terminal.shown
    assert listing(tmp_path) == ["quiet", "ws"]


def test_an_answer_can_be_changed_before_anything_is_written(on_terminal: OnTerminal, tmp_path: Path) -> None:
    """The summary is not a trap: one answer is asked again, the others stay."""
    with on_terminal("new", "ws", "-n", "my.shop") as terminal:
        take_defaults(terminal, "namespace")
        terminal.wait_for("What now?")
        terminal.press(DOWN + ENTER)
        terminal.wait_for("Which one?")
        terminal.press(ENTER)
        terminal.wait_for("event-demo")
        terminal.press("-2" + ENTER)
        terminal.wait_for("What now?")
        terminal.press(ENTER)
        assert terminal.end() == 0
    answers = (tmp_path / "ws" / ".copier-answers.yml").read_text()
    assert "uri: event-demo-2\n" in answers
    assert "namespace: my.shop\n" in answers


@pytest.mark.parametrize("key", [CTRL_C, CTRL_D])
def test_leaving_at_a_question_leaves_nothing(on_terminal: OnTerminal, tmp_path: Path, key: str) -> None:
    """Ctrl-C and Ctrl-D end quietly with 130."""
    with on_terminal("new", "-n", "my.shop") as terminal:
        terminal.wait_for("event-demo")
        terminal.press((CTRL_C if key == CTRL_C else "\b" * 10) + (key if key == CTRL_D else ""))
        assert terminal.end() == 130
        assert "Traceback" not in terminal.shown
    assert not listing(tmp_path)


def test_stopping_at_the_summary_leaves_nothing(on_terminal: OnTerminal, tmp_path: Path) -> None:
    """`Stop` writes nothing and ends with 130, as Ctrl-C does."""
    with on_terminal("new", "ws", "-n", "my.shop") as terminal:
        take_defaults(terminal, "namespace")
        terminal.wait_for("What now?")
        terminal.press(DOWN + DOWN + ENTER)
        assert terminal.end() == 130
    assert not listing(tmp_path)


def test_a_dry_run_asks_and_shows_the_tree(on_terminal: OnTerminal, tmp_path: Path) -> None:
    """`--dry-run` on a terminal is the whole conversation without the files."""
    with on_terminal("new", "ws", "-n", "my.shop", "--dry-run") as terminal:
        take_defaults(terminal, "namespace")
        terminal.wait_for("What now?")
        terminal.press(ENTER)
        assert terminal.end() == 0
        assert "reporter.py" in terminal.shown
    assert not listing(tmp_path)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_while_it_writes_leaves_nothing(
    on_terminal: OnTerminal, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    """Interrupted in the middle of the first commit, what was made is taken back; no temporary folder stays."""
    template = tmp_path / "git-template" / "hooks"
    template.mkdir(parents=True)
    waiting = tmp_path / "waiting"
    hook = template / "post-commit"
    hook.write_text(f"#!/bin/sh\ntouch {waiting}\nsleep 60\n")
    hook.chmod(0o755)
    (tmp_path / "gitconfig").write_text(f"[init]\n templateDir = {template.parent}\n")
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    before = [*listing(tmp_path), "waiting"]
    env = {"GIT_CONFIG_GLOBAL": str(tmp_path / "gitconfig"), "TMPDIR": str(temporary)}
    with on_terminal("new", "ws", "--defaults", env=env) as terminal:
        terminal.wait_for_file(waiting)
        terminal.process.send_signal(number)
        assert terminal.end() == code
    assert listing(tmp_path) == sorted(before)
    assert not listing(temporary)
