"""What the commands print that make, change and run a workspace: compared with `golden/*-in-a-workspace.txt`.

Several programs write at once here, so lines of theirs that follow each other are sorted: by program, then by text.
"""

from __future__ import annotations

import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path

import pytest
from command_kit import Esb
from golden_kit import ALONE, compare, normaliser, transcript

from esb_cli import scaffold, template_history
from esb_runtime.testing import RedisServer

NEW = "new --uri event-demo --consumer-group main-consumer -n acme.shop -e Order"
SESSIONS: dict[str, tuple[str, ...]] = {
    f"{name} in a workspace": lines
    for name, lines in {
        "add event": ("add event Order.paid email:str amount:Decimal --key email --yes",),
        "add contract": ("add contract Refund",),
        "add consumer": ("add consumer audit",),
        "update": ("update --check", "update", "update --check"),
        "run": ("run acme.shop.producer.orders:main", "run acme.shop.consumer.reporter:wire"),
        "dev": ("dev",),
        "demo": ("demo play",),
    }.items()
}
"""What is run in a workspace that esb made; the demo makes one of its own."""
ENDLESS: dict[str, Callable[[str], bool]] = {
    "run acme.shop.consumer.reporter:wire": lambda said: said.count(" placed ") == 2,
    "dev": lambda said: said.count(" received ") == 2 and "producer is done" in said,
}
"""Commands that go on until Ctrl-C: pressed as soon as this is true of what they wrote."""
EARLIER = "v0.0.1"
UNTIMELY = re.compile(r"^(the programs finish what they have in hand;.*|producer is done)\n", re.MULTILINE)
"""What is said sooner or later or not at all, as fast as the machine is."""


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace as `esb new` makes it. Shared: take a copy."""
    folder = tmp_path_factory.mktemp("made")
    Esb(folder=folder, home=folder).ok(*NEW.split(), "shop", "--defaults")
    return folder / "shop"


@pytest.fixture(scope="session")
def past(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout of esb that has released an earlier template: a longer README, and a file that is no more."""
    folder = tmp_path_factory.mktemp("past") / "esb"
    repository = Path(__file__).parents[2]
    for name in ("esb_cli", "template"):
        shutil.copytree(repository / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(repository / "copier.yml", folder)
    readme, news = folder / "template" / "README.md.jinja", folder / "template" / "NEWS.md"
    today = readme.read_text("utf-8")
    readme.write_text(f"{today}\nAnd an earlier end.\n", "utf-8")
    news.write_text("# News\n", "utf-8")
    (folder / "esb_cli" / template_history.RELEASED).unlink(missing_ok=True)
    template_history.release(folder, EARLIER)
    readme.write_text(today, "utf-8")
    news.unlink()
    return folder


@pytest.fixture
def begun(request: pytest.FixtureRequest, esb: Esb, name: str) -> Iterator[Esb]:
    """`esb` where the session begins; a server that is left over ends with the test."""
    if name.startswith("update"):
        past: Path = request.getfixturevalue("past")
        esb = Esb(folder=earlier(past, esb.folder / "shop"), home=esb.home, variables={"PYTHONPATH": str(past)})
    elif not name.startswith("demo"):
        made: Path = request.getfixturevalue("made")
        folder = Path(shutil.copytree(made, esb.folder / "shop", symlinks=True))
        esb = Esb(folder=folder, home=esb.home, variables=esb.variables)
    yield esb
    for folder in esb.folder.rglob(".esb"):
        if (server := RedisServer.find(folder)) is not None:
            server.stop()


@pytest.mark.parametrize("name", SESSIONS)
def test_golden(name: str, begun: Esb) -> None:
    """The session in the workspace is what its file shows."""
    still = normaliser(begun)
    shown = ""
    for line in SESSIONS[name]:
        words = shlex.split(line)
        variables = ALONE if line in {"dev", "demo play"} else {}
        if line in ENDLESS:
            done = interrupted(begun, *words, when=ENDLESS[line], **variables)
        else:
            done = begun(*words, **variables)
        done.stdout = in_order(UNTIMELY.sub("", done.stdout))
        done.stderr = UNTIMELY.sub("", done.stderr)
        shown += still(transcript(words, done), figures=False).replace(scaffold.installed(), "<today>")
    compare(name, shown)


def interrupted(
    esb: Esb, *words: str, when: Callable[[str], bool], **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run it until it has written enough, then press Ctrl-C."""
    out, err = esb.home / "stdout", esb.home / "stderr"
    with out.open("wb") as stdout, err.open("wb") as stderr:
        running = subprocess.Popen(
            esb.command(*words), cwd=esb.folder, env=esb.environment(**variables),
            stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr,
        )  # fmt: skip
        try:
            deadline = time.monotonic() + 60
            while not when(out.read_text("utf-8") + err.read_text("utf-8")):
                assert running.poll() is None, err.read_text("utf-8")
                assert time.monotonic() < deadline, out.read_text("utf-8") + err.read_text("utf-8")
                time.sleep(0.02)
            running.send_signal(signal.SIGINT)
            code = running.wait(60)
        finally:
            running.kill()
    return subprocess.CompletedProcess([*words], code, out.read_text("utf-8"), err.read_text("utf-8"))


PROGRAM = re.compile(r"\w+ +\| ")
EVENT = re.compile(r"\d\d:\d\d:\d\d\.\d{3}  ")
WHEN = re.compile(r"\d\d:\d\d:\d\d(\.\d{3})?|\d{13}-\d+")


def in_order(text: str) -> str:
    """The text; of lines of programs that follow each other, and of events, those that came sooner or later sorted."""
    blocks = groupby(text.splitlines(keepends=True), kind_of)
    return "".join(line for kind, block in blocks for line in (block if kind is None else sorted(block, key=untimed)))


def kind_of(line: str) -> re.Pattern[str] | None:
    """Whether a line is a program's or shows an event."""
    return next((kind for kind in (PROGRAM, EVENT) if kind.match(line)), None)


def untimed(line: str) -> str:
    """A line without what says when it was written."""
    return WHEN.sub("", line)


def earlier(past: Path, folder: Path) -> Path:
    """A workspace of the earlier template, committed by its team."""
    answers = {"uri": "event-demo", "consumer_group": "main-consumer", "namespace": "acme.shop", "events": "Order"}
    with (
        template_history.tree_of(past / "esb_cli" / template_history.RELEASED, EARLIER) as tree,
        scaffold.rendered(tree, answers, tag=EARLIER) as workspace,
    ):
        shutil.move(workspace, folder)
    for words in ("init --quiet", "add --all", "-c user.name=t -c user.email=t@example.org commit --quiet -m shop"):
        template_history.git(*words.split(), cwd=folder)
    return folder
