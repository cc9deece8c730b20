"""A generated workspace as its team meets it: its tools are clean, its tests pass, its programs run.

These run the workspace's own configuration with this environment's tools; test_install.py installs them.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest
from template_kit import Run, Scaffold, copy, tell_the_story

pytestmark = pytest.mark.xdist_group("template-install")


@pytest.fixture(scope="module", params=["one contract", "several contracts"])
def made(request: pytest.FixtureRequest, workspace: Path, esb: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The article's workspace, and one with several contracts below a namespace of one level."""
    if request.param == "one contract":
        return workspace
    folder = tmp_path_factory.mktemp("several")
    events = ("-e", "TestEvent", "-e", "SMS", "-e", "HTTPRequestSeen")
    esb("new", "-n", "shop", *events, "--uri", "shop", "--defaults", "--no-git", cwd=folder)
    return folder / "shop"


@pytest.mark.parametrize(
    "tool",
    [
        ("ruff", "check", "--no-cache", "."),
        ("ruff", "format", "--no-cache", "--check", "."),
        ("mypy",),
        ("pyright", "--pythonpath", sys.executable),
        ("pytest", "-p", "no:cacheprovider"),
    ],
    ids=lambda tool: " ".join(tool[:2]).removesuffix(" ."),
)
def test_the_workspaces_own_tools_are_content(made: Path, run: Run, tool: tuple[str, ...]) -> None:
    """Lint, format, both strict type checkers and the tests pass with the configuration that was generated."""
    run(sys.executable, "-m", *tool, cwd=made)


def test_a_changed_contract_fails_the_lock(workspace: Path, run: Run, tmp_path: Path) -> None:
    """A contract that is not what `contract.lock` says fails the workspace's tests, with the way out."""
    folder = copy(workspace, tmp_path / "ws")
    contract = folder / "contracts/src/mycompany/events/contracts/my_event.py"
    contract.write_text(contract.read_text().replace("email: str, product_id: int", "email: str, product_id: str"))
    done = run(
        sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests/test_contract_lock.py", cwd=folder, code=1
    )
    assert "run `make lock`" in done.stdout


def test_both_checkers_find_a_handler_that_does_not_fit(workspace: Path, run: Run, tmp_path: Path) -> None:
    """A wrong annotation in a handler is an error in the workspace under mypy and under pyright."""
    folder = copy(workspace, tmp_path / "ws")
    handler = folder / "consumer/src/mycompany/events/consumer/transit.py"
    text = handler.read_text()
    assert "email: str, product_id: int" in text
    handler.write_text(text.replace("email: str, product_id: int", "email: int, product_id: int", 1))
    assert "[override]" in run(sys.executable, "-m", "mypy", cwd=folder, code=1).stdout
    pyright = run(sys.executable, "-m", "pyright", "--pythonpath", sys.executable, cwd=folder, code=1)
    assert (
        "reportIncompatibleMethodOverride" in pyright.stdout or "reportIncompatibleVariableOverride" in pyright.stdout
    )


def test_the_programs_run_as_processes(workspace: Path, connected: Mapping[str, str]) -> None:
    """`python -m` of both packages, a process each: every order is received; SIGTERM ends the consumer with 0."""
    sources = os.pathsep.join(str(workspace / name / "src") for name in ("contracts", "producer", "consumer"))
    tell_the_story({**connected, "PYTHONPATH": sources}, sys.executable)


LOGGED = """
import asyncio, logging, runpy
def run(main):
    main.close()
    logging.getLogger("esb_runtime").info("goes on")
asyncio.run = run
runpy.run_module("mycompany.events.{package}", run_name="__main__")
"""


@pytest.mark.parametrize("package", ["producer", "consumer", "api"])
def test_programs_log_what_the_runner_logs(scaffolded: Scaffold, run: Run, tmp_path: Path, package: str) -> None:
    """What a container starts says on stderr what `esb run` says: that an outage is over as well as that it began."""
    folder = scaffolded(api=True)
    sources = os.pathsep.join(str(folder / name / "src") for name in ("contracts", package))
    script = LOGGED.replace("{package}", package)
    done = run(sys.executable, "-c", script, cwd=tmp_path, env={"PYTHONPATH": sources})
    assert done.stderr == "INFO esb_runtime: goes on\n"


def test_the_programs_are_declared_as_they_are(workspace: Path) -> None:
    """Every entry of `[tool.esb.programs]` names a function that is there."""
    settings = tomllib.loads((workspace / "pyproject.toml").read_text())["tool"]["esb"]
    for target in settings["programs"].values():
        module, _, function = target.partition(":")
        package = module.split(".")[2]
        source = (workspace / package / "src" / Path(*module.split("."))).with_suffix(".py")
        assert re.search(rf"^(async )?def {function}\(backbone: Backbone\) -> None:$", source.read_text(), re.MULTILINE)
    assert all((workspace / folder).is_dir() for folder in settings["sources"])


def test_editors_and_containers_name_what_exists(workspace: Path) -> None:
    """Launch configurations start the packages' modules, and every task is a target of the Makefile."""
    launch = json.loads((workspace / ".vscode/launch.json").read_text())
    modules = {configuration["module"] for configuration in launch["configurations"]}
    assert modules == {"mycompany.events.consumer", "mycompany.events.producer", "pytest"}
    tasks = json.loads((workspace / ".vscode/tasks.json").read_text())["tasks"]
    targets = set(re.findall(r"^([a-z]+):", (workspace / "Makefile").read_text(), re.MULTILINE))
    assert {task["command"].removeprefix("make ") for task in tasks} <= targets
    assert {configuration["preLaunchTask"] for configuration in launch["configurations"][:2]} <= {
        task["label"] for task in tasks
    }
    assert {"dev", "test", "tail"} <= {task["label"] for task in tasks}
    stages = set(re.findall(r"^FROM \S+ AS (\S+)$", (workspace / "Dockerfile").read_text(), re.MULTILINE))
    assert set(re.findall(r"target: (\S+)", (workspace / "compose.yaml").read_text())) <= stages


def test_the_readme_begins_with_two_commands(workspace: Path) -> None:
    """Run it, test it: two lines of shell, before anything else."""
    readme = (workspace / "README.md").read_text()
    block = re.search(r"```sh\n(.*?)```", readme, re.DOTALL)
    assert block
    assert [line.split("#")[0].strip() for line in block[1].splitlines()] == ["make run", "make test"]
    assert readme.index("```sh") < 100


def test_the_readme_says_where_each_contract_is(scaffolded: Scaffold) -> None:
    """The table names the folder of the contracts, and the module of every contract but the first."""
    folder = scaffolded(events="Order, Refund, InvoiceSent")
    rows = re.findall(
        r"^\| `contracts/(?:…/(\w+)\.py)?` \| the events of `(\w+)`", (folder / "README.md").read_text(), re.MULTILINE
    )
    assert rows == [("", "Order"), ("refund", "Refund"), ("invoice_sent", "InvoiceSent")]
    assert all(list(folder.glob(f"contracts/src/**/{module}.py")) for module, _ in rows[1:])
