"""What is built and installed: the wheels of esb, and the wheels of a workspace in an empty environment.

The default forms install without an index: the packages under test come from their wheels, what they require from this
environment. The `full` forms use pip and make as a user does, which takes a package index and minutes.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from zipfile import ZipFile

import pytest
from template_kit import ARTICLE, Run, build, checkout, copy, empty_environment, install, tell_the_story

from esb_cli import scaffold, wheels

pytestmark = pytest.mark.xdist_group("template-install")


@pytest.fixture(scope="module")
def esb_wheel(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The esb-cli wheel of this checkout, as `make dist` builds it."""
    version = scaffold.installed().removeprefix("v")
    return build(checkout(tmp_path_factory.mktemp("build") / "checkout", version), run)


@pytest.fixture(scope="module")
def built(workspace: Path, run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheels of the three packages of the workspace, and nothing of their source."""
    folder = tmp_path_factory.mktemp("wheels")
    sources = copy(workspace, tmp_path_factory.mktemp("sources") / "ws")
    for package in ("contracts", "producer", "consumer"):
        command = (sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, sources / package)
        run(*command, cwd=folder)
    return folder


def content(wheel: Path) -> dict[str, bytes]:
    """The files of a wheel but for its record of them."""
    with ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith("/RECORD")}


def test_a_workspaces_packages_install_and_run(
    workspace: Path, built: Path, run: Run, connected: Mapping[str, str], tmp_path: Path
) -> None:
    """The wheels of contracts, producer and consumer, with the runtime's, run in an environment of their own."""
    python = empty_environment(tmp_path / "venv", run)
    runtime = list((workspace / ".esb/wheels").glob("esb_runtime-*.whl"))
    install(python, [*built.glob("*.whl"), *runtime], run)
    script = "import esb_runtime, mycompany.events.consumer as c; print(esb_runtime.__file__, c.__file__)"
    places = run(python, "-c", script, cwd=tmp_path).stdout.split()
    assert all(place.startswith(str(tmp_path / "venv")) for place in places)
    tell_the_story(connected, python)


def test_a_workspaces_wheels_share_the_namespace(built: Path) -> None:
    """Each wheel holds one package, typed, and none claims the namespace above it."""
    for package in ("contracts", "producer", "consumer"):
        (wheel,) = built.glob(f"mycompany_events_{package}-*.whl")
        names = [name for name in content(wheel) if ".dist-info/" not in name]
        assert f"mycompany/events/{package}/py.typed" in names
        assert all(name.startswith(f"mycompany/events/{package}/") for name in names)


def test_the_wheel_of_esb_carries_all_that_it_needs(esb_wheel: Path) -> None:
    """The template as files and as history, and the runtime of the same version; nothing that only the build needs."""
    names = set(content(esb_wheel))
    version = scaffold.installed().removeprefix("v")
    assert {"esb_cli/template.bundle", "esb_cli/template.tar.gz", "esb_cli/py.typed"} <= names
    assert f"esb_cli/wheels/esb_runtime-{version}-py3-none-any.whl" in names
    assert not {"esb_cli/_build_hook.py", "esb_cli/released.bundle"} & names


def test_esb_from_its_wheel_makes_the_same_workspace(
    esb_wheel: Path, workspace: Path, run: Run, tmp_path: Path
) -> None:
    """Installed from its wheel, esb makes what the checkout makes, byte for byte, with equal wheels."""
    python = empty_environment(tmp_path / "venv", run)
    with ZipFile(esb_wheel) as archive:
        (runtime,) = [name for name in archive.namelist() if name.startswith("esb_cli/wheels/")]
        archive.extract(runtime, tmp_path)
    install(python, [esb_wheel, tmp_path / runtime], run)
    run(tmp_path / "venv" / "bin" / "esb", "new", *ARTICLE, cwd=tmp_path)
    made = tmp_path / "mycompany.events"
    for path in sorted(path for path in made.rglob("*") if path.is_file()):
        relative = path.relative_to(made)
        if relative.parts[0] != ".git" and path.suffix != ".whl":
            assert (workspace / relative).read_bytes() == path.read_bytes(), relative
    (packed,) = (made / ".esb/wheels").glob("esb_cli-*.whl")
    assert content(packed) == content(esb_wheel)
    (carried,) = (made / ".esb/wheels").glob("esb_runtime-*.whl")
    assert carried.read_bytes() == (tmp_path / runtime).read_bytes()


def test_wheels_packed_from_a_checkout_are_those_of_the_build(esb_wheel: Path, tmp_path: Path) -> None:
    """What an editable install packs holds the code and the template of what the build makes."""
    wheels.put_wheels(tmp_path)
    (packed,) = tmp_path.glob("esb_cli-*.whl")
    ours, theirs = content(packed), content(esb_wheel)
    assert set(ours) == set(theirs)
    same = {name for name in ours if ".dist-info/" not in name and not name.startswith("esb_cli/wheels/")}
    assert {name: ours[name] for name in same} == {name: theirs[name] for name in same}


def test_packing_twice_gives_equal_bytes(tmp_path: Path) -> None:
    """The wheels in two workspaces of one esb are the same files, so a lock file of one holds in the other."""
    for name in "ab":
        wheels.put_wheels(tmp_path / name)
    first, second = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in "ab")
    assert first == second


@pytest.mark.full
def test_a_workspace_sets_itself_up(workspace: Path, run: Run, tmp_path: Path) -> None:
    """With pip and an index: `make test`, `make lint typecheck` and `make lock` in a fresh clone's state."""
    folder = copy(workspace, tmp_path / "ws")
    assert " passed" in run("make", "test", cwd=folder).stdout
    run("make", "lint", "typecheck", "lock", cwd=folder)
    assert not run("git", "status", "--porcelain", cwd=folder).stdout


@pytest.mark.full
def test_a_workspace_brings_its_own_esb(workspace: Path, run: Run, tmp_path: Path) -> None:
    """Where no esb is on PATH, the Makefile installs it from the workspace's wheels, with the embedded server."""
    folder = copy(workspace, tmp_path / "ws")
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("sh", "make", "touch", "echo", "git", "sed"):
        found = shutil.which(tool)
        assert found
        (tools / tool).symlink_to(found)
    env = {"PATH": str(tools)}
    run("make", "server", f"PYTHON={sys.executable}", cwd=folder, env=env)
    try:
        assert (folder / ".esb/dev.env").read_text().startswith("REDIS_EVENT_SOURCE_ENDPOINT=")
    finally:
        run(folder / ".venv/bin/esb", "redis", "stop", cwd=folder, env=env)


@pytest.mark.full
def test_a_workspace_works_with_uv(workspace: Path, run: Run, tmp_path: Path) -> None:
    """`uv sync` and `uv run pytest`, nothing else, where uv is present."""
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("there is no uv on this machine")
    folder = copy(workspace, tmp_path / "ws")
    run(uv, "sync", cwd=folder, env={"UV_PYTHON": sys.executable, "PATH": os.environ["PATH"]})
    assert " passed" in run(uv, "run", "pytest", cwd=folder, env={"PATH": os.environ["PATH"]}).stdout


@pytest.mark.full
def test_esb_installs_with_pip_alone(esb_wheel: Path, run: Run, tmp_path: Path) -> None:
    """`pip install` of both wheels into an empty environment, then `esb new`, `esb --help` and `esb update --check`."""
    run(sys.executable, "-m", "venv", "venv", cwd=tmp_path)
    with ZipFile(esb_wheel) as archive:
        (runtime,) = [name for name in archive.namelist() if name.startswith("esb_cli/wheels/")]
        archive.extract(runtime, tmp_path)
    run(tmp_path / "venv/bin/pip", "install", "--quiet", esb_wheel, tmp_path / runtime, cwd=tmp_path)
    esb = tmp_path / "venv/bin/esb"
    run(esb, "--help", cwd=tmp_path)
    run(esb, "new", *ARTICLE, cwd=tmp_path)
    assert run(esb, "update", "--check", cwd=tmp_path / "mycompany.events").stdout.endswith("is current\n")
