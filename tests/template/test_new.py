"""`esb new` as a user meets it: on a terminal, in a pipe, in every kind of folder, with and without git."""

from __future__ import annotations

import os
import pty
import resource
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from template_kit import ARTICLE, Run


def listing(folder: Path) -> list[str]:
    """The names in a folder."""
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="session")
def no_git(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """A PATH without git."""
    return {"PATH": str(tmp_path_factory.mktemp("bin"))}


def test_the_articles_command_makes_a_committed_workspace(esb: Run, run: Run, tmp_path: Path) -> None:
    """The path is the only thing on stdout; the workspace has one commit on `main` and nothing left to commit."""
    done = esb("new", *ARTICLE, cwd=tmp_path)
    folder = tmp_path / "mycompany.events"
    assert done.stdout == f"{folder}\n"
    assert "make run" in done.stderr
    assert run("git", "log", "--format=%an <%ae>", cwd=folder).stdout == "esb <esb@localhost>\n"
    assert run("git", "branch", "--show-current", cwd=folder).stdout == "main\n"
    assert not run("git", "status", "--porcelain", cwd=folder).stdout


def test_a_workspace_is_made_in_a_moment(esb: Run, tmp_path: Path) -> None:
    """`esb new` costs less than 1.5 seconds of processor time: the wait of a user whose machine is free."""

    def cost(name: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        esb("new", name, *ARTICLE, cwd=tmp_path)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime

    assert min(cost("one"), cost("two"), cost("three")) < 1.5


def test_the_wheels_of_esb_are_there_and_not_in_git(workspace: Path, run: Run) -> None:
    """The runtime and the command line can be installed from the workspace; git does not know of them."""
    wheels = [name for name in listing(workspace / ".esb/wheels") if name.endswith(".whl")]
    assert [name.split("-")[0] for name in wheels] == ["esb_cli", "esb_runtime"]
    assert run("git", "ls-files", ".esb", cwd=workspace).stdout == ".esb/wheels/.gitignore\n"


def test_a_namespace_in_capitals_is_lowered_with_a_note(esb: Run, tmp_path: Path) -> None:
    """`-n MyCompany.Events` gives `mycompany.events`, and says so."""
    done = esb("new", "-n", "MyCompany.Events", "--defaults", cwd=tmp_path)
    assert "mycompany.events instead of MyCompany.Events" in done.stderr
    assert (tmp_path / "mycompany.events" / "pyproject.toml").exists()


@pytest.mark.parametrize("options", [(), ("-n", "shop", "-e", "Order")])
def test_in_a_pipe_nothing_is_asked_and_nothing_is_guessed(esb: Run, tmp_path: Path, options: tuple[str, ...]) -> None:
    """Without a terminal an open question is a usage error that names its option."""
    done = esb("new", *options, cwd=tmp_path, code=2)
    assert "--uri" in done.stderr
    assert "--defaults" in done.stderr
    assert ("--namespace" in done.stderr) == (not options)
    assert not listing(tmp_path)


def test_a_bad_name_is_a_usage_error(esb: Run, tmp_path: Path) -> None:
    """Exit 2, the option, the reason, no traceback; nothing is left behind."""
    done = esb("new", "-n", "my-company", "--defaults", cwd=tmp_path, code=2)
    assert done.stderr.startswith("esb: --namespace: 'my-company'")
    assert len(done.stderr.splitlines()) == 1
    assert not listing(tmp_path)


def test_an_empty_folder_is_filled(esb: Run, tmp_path: Path) -> None:
    """`esb new .` in an empty folder; also in one that is a fresh repository, where the commit is the user's."""
    (tmp_path / "empty").mkdir()
    esb("new", ".", "--defaults", cwd=tmp_path / "empty")
    assert (tmp_path / "empty" / ".git").exists()
    assert (tmp_path / "empty" / "Makefile").exists()


def test_a_fresh_repository_is_filled_and_left_to_its_owner(esb: Run, run: Run, tmp_path: Path) -> None:
    """A cloned, empty repository takes the workspace; its first commit is the user's."""
    run("git", "init", "--quiet", ".", cwd=tmp_path)
    done = esb("new", ".", "--defaults", cwd=tmp_path)
    assert "belongs to a repository already" in done.stderr
    assert run("git", "rev-parse", "--verify", "HEAD", cwd=tmp_path, code=None).returncode != 0


def test_a_folder_inside_a_repository_gets_none_of_its_own(esb: Run, run: Run, tmp_path: Path) -> None:
    """In a mono-repo the workspace is the repository's; where that ignores the folder, it gets its own."""
    run("git", "init", "--quiet", ".", cwd=tmp_path)
    (tmp_path / ".gitignore").write_text("scratch/\n")
    esb("new", "services/shop", "--defaults", cwd=tmp_path)
    assert not (tmp_path / "services/shop/.git").exists()
    esb("new", "scratch/shop", "--defaults", cwd=tmp_path)
    assert (tmp_path / "scratch/shop/.git").exists()


@pytest.mark.parametrize("target", ["full", "file", "file/below", "link"])
def test_a_place_that_is_taken_is_left_alone(esb: Run, tmp_path: Path, target: str) -> None:
    """A folder with files, a file, a place below a file, a dangling link: exit 2, one line, nothing changed."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to("nowhere")
    done = esb("new", target, "--defaults", cwd=tmp_path, code=2)
    assert len(done.stderr.splitlines()) == 1
    assert target.split("/", maxsplit=1)[0] in done.stderr
    assert listing(tmp_path) == ["file", "full", "link"]
    assert listing(tmp_path / "full") == ["notes.txt"]


def test_a_place_that_cannot_be_written_is_a_usage_error(esb: Run) -> None:
    """Where nobody may write, not even root: exit 2 and the system's reason."""
    done = esb("new", "/proc/esb/shop", "--defaults", cwd=Path("/"), code=2)
    assert "cannot write to /proc/esb/shop" in done.stderr


def test_without_git_the_workspace_is_the_same(
    esb: Run, workspace: Path, tmp_path: Path, no_git: Mapping[str, str]
) -> None:
    """A machine without git gets every byte of it, and is told what `esb update` will need."""
    done = esb("new", *ARTICLE, cwd=tmp_path, env=no_git)
    assert "no git on this machine" in done.stderr
    made = tmp_path / "mycompany.events"
    for path in sorted(path for path in workspace.rglob("*") if path.is_file()):
        relative = path.relative_to(workspace)
        if relative.parts[0] != ".git" and path.suffix != ".whl":
            assert (made / relative).read_bytes() == path.read_bytes(), relative


def test_no_git_is_respected(esb: Run, tmp_path: Path) -> None:
    """`--no-git` makes no repository."""
    esb("new", *ARTICLE, "--no-git", cwd=tmp_path)
    assert not (tmp_path / "mycompany.events" / ".git").exists()


def test_the_first_commit_has_the_users_name_and_needs_no_signature(esb: Run, run: Run, tmp_path: Path) -> None:
    """A name that git knows is taken; a signing key or a hook that fails does not stop the first commit."""
    settings = tmp_path / "gitconfig"
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    (hooks / "pre-commit").write_text("#!/bin/sh\nexit 1\n")
    (hooks / "pre-commit").chmod(0o755)
    settings.write_text(
        "[user]\n name = Ada\n email = ada@example.com\n[commit]\n gpgsign = true\n[gpg]\n program = false\n"
        f"[core]\n hooksPath = {hooks}\n"
    )
    env = {"GIT_CONFIG_GLOBAL": str(settings)}
    esb("new", *ARTICLE, cwd=tmp_path, env=env)
    author = run("git", "log", "--format=%an <%ae>", cwd=tmp_path / "mycompany.events", env=env).stdout
    assert author == "Ada <ada@example.com>\n"


def test_settings_for_other_templates_do_not_leak_in(esb: Run, tmp_path: Path) -> None:
    """What the user has set as copier's defaults is not for this template."""
    settings = tmp_path / "settings.yml"
    settings.write_text("defaults:\n  namespace: leaked\n  uri: leaked\n")
    esb("new", "ws", "--defaults", cwd=tmp_path, env={"COPIER_SETTINGS_PATH": str(settings)})
    assert "leaked" not in (tmp_path / "ws" / ".copier-answers.yml").read_text()


def test_a_hook_of_another_repository_does_not_confuse_it(esb: Run, run: Run, tmp_path: Path) -> None:
    """Started by git (a hook sets GIT_DIR), it still finds the repository of its own folder."""
    run("git", "init", "--quiet", "other", cwd=tmp_path)
    esb("new", *ARTICLE, cwd=tmp_path, env={"GIT_DIR": str(tmp_path / "other" / ".git")})
    assert (tmp_path / "mycompany.events" / ".git").exists()
    assert run("git", "rev-parse", "HEAD", cwd=tmp_path / "other", code=None).returncode != 0


class Terminal:
    """A terminal with `esb` on it: what it shows, and keys to press."""

    def __init__(self, screen: int, process: subprocess.Popen[bytes]) -> None:
        self.screen = screen
        self.process = process
        self.shown = ""

    def wait_for(self, text: str) -> None:
        """Read the screen until it shows this text."""
        before = len(self.shown)
        while text not in self.shown[before:]:
            ready, _, _ = select.select([self.screen], [], [], 30)
            assert ready, f"no {text!r} in {self.shown!r}"
            try:
                chunk = os.read(self.screen, 4096)
            except OSError:  # Linux tells the end of a terminal this way
                chunk = b""
            assert chunk, f"esb ended without {text!r}: {self.shown!r}"
            self.shown += chunk.decode(errors="replace")

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self.screen, keys.encode())

    def end(self) -> int:
        """Read to the end; the exit code."""
        while select.select([self.screen], [], [], 30)[0]:
            try:
                self.shown += os.read(self.screen, 4096).decode(errors="replace")
            except OSError:
                break
        return self.process.wait(30)


OnTerminal = Callable[..., AbstractContextManager[Terminal]]


@pytest.fixture
def on_terminal(machine: Mapping[str, str], tmp_path: Path) -> OnTerminal:
    """Start `esb` on a terminal."""

    @contextmanager
    def started(*arguments: str) -> Iterator[Terminal]:
        screen, own = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "esb_cli", *arguments],
            cwd=tmp_path,
            env={**machine, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"},
            stdin=own,
            stdout=own,
            stderr=own,
            start_new_session=True,
        )
        os.close(own)
        try:
            yield Terminal(screen, process)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            os.close(screen)

    return started


def test_a_terminal_is_asked_for_everything_that_is_missing(on_terminal: OnTerminal, tmp_path: Path) -> None:
    """With no options it asks four questions with good defaults; a wrong answer is refused on the spot."""
    with on_terminal("new") as terminal:
        terminal.wait_for("event-demo")
        terminal.press("\r")
        terminal.wait_for("main-consumer")
        terminal.press("\r")
        terminal.wait_for("mycompany.events")
        terminal.press("-bad\r")
        terminal.wait_for("no package name")
        terminal.press("\b\b\b\b\r")
        terminal.wait_for("MyEvent")
        terminal.press("\r")
        assert terminal.end() == 0
    assert "my_event.py" in listing(tmp_path / "mycompany.events/contracts/src/mycompany/events/contracts")


def test_a_terminal_is_not_asked_for_what_was_given(on_terminal: OnTerminal, tmp_path: Path) -> None:
    """Only what is missing is asked; `--defaults` asks for nothing at all."""
    with on_terminal("new", "--uri", "shop", "-g", "desk", "-n", "my.shop") as terminal:
        terminal.wait_for("Event contracts")
        assert "stream" not in terminal.shown
        terminal.press("\r")
        assert terminal.end() == 0
    with on_terminal("new", "quiet", "--defaults") as terminal:
        assert terminal.end() == 0
        assert "?" not in terminal.shown
    assert listing(tmp_path) == ["my.shop", "quiet"]


def test_ctrl_c_at_a_question_leaves_nothing(on_terminal: OnTerminal, tmp_path: Path) -> None:
    """Ctrl-C ends quietly with 130."""
    with on_terminal("new") as terminal:
        terminal.wait_for("event-demo")
        terminal.press("\x03")
        assert terminal.end() == 130
        assert "Traceback" not in terminal.shown
    assert not listing(tmp_path)


def test_update_helps_a_workspace_that_was_never_committed(esb: Run, tmp_path: Path, workspace: Path) -> None:
    """Without a repository `esb update` still tells where the workspace stands, and gives the wheels back."""
    folder = Path(shutil.copytree(workspace, tmp_path / "ws", ignore=shutil.ignore_patterns(".git", "*.whl")))
    assert "is current" in esb("update", cwd=folder).stdout
    assert len(list((folder / ".esb/wheels").glob("*.whl"))) == 2
