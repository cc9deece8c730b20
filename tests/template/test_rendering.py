"""What the template renders, for every kind of answer."""

from __future__ import annotations

import ast
import json
import re
import sys
import tomllib
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from markdown_it import MarkdownIt
from option_rows import ROWS
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from template_kit import Run, Scaffold, scaffolded_at

from esb_cli import scaffold, template_history
from esb_cli.failures import Exit, Failure
from esb_runtime import ContractError, EventContract

pytestmark = pytest.mark.xdist_group("template-rendering")
URIS = (
    """Kids:S "x" it's {t}{{x}}{% y %}{# z #}$HOME$(id)`i` ``b``a\\b|&;<>#%?*[a]~! é屋🧦e\u0301""",
    """-n "more" a"b of these than' of those""",
    "屋é🧦 \\ " * 33 + "x",
    "null",
)
"""Names of streams that the runtime takes, as it took them from the original: whatever is printable."""
LONG: dict[str, str | bool] = {
    "uri": "a" * 90,
    "consumer_group": "g" * 60,
    "namespace": ".".join(["company0"] * 6) + ".e" * 3,
    "events": "A" + "b" * 39 + ", C" + "d" * 39,
}
ANSWERS: dict[str, dict[str, str | bool]] = {
    "the article": {},
    "several contracts": {"events": "Order, Refund, InvoiceSent"},
    "one level": {"namespace": "shop"},
    "many levels": {"namespace": "a.b2.c_d.e.f"},
    "capitals": {"events": "SMS, HTTPRequestSeen, IoT"},
    "after the others": {"events": "Zebra, Alpha"},
    "one letter": {"events": "A, B"},
    "numbers sort as numbers": {"events": "Step2, Step10, Step1"},
    "what pytest collects": {"events": "TestEvent, TestResult"},
    "a uri as people have them": {"uri": "Hello.event-sourcing_1/x:y"},
    "a uri with every sign": {"uri": URIS[0], "events": "Order, Refund", "api": True},
    "a uri with quotes and a dash": {"uri": URIS[1]},
    "a uri of several lines": {"uri": URIS[2], "events": "A, " + "B" + "c" * 39, "producer": False},
    "a uri that YAML would misread": {"uri": URIS[3]},
    "as long as can be": LONG,
    "long, with short names": {**LONG, "events": "A, B"},
    "no producer": {"producer": False},
    "no consumer": {"consumer": False, "events": "Order, Refund"},
    "contracts alone": {"producer": False, "consumer": False, "ci": "none"},
    "payloads inside": {"store": "inline", "python": "3.13"},
    "long, payloads inside": {**LONG, "store": "inline"},
    "gitlab, licensed": {"ci": "gitlab", "license": "MIT", "author": 'Ada O\'Hara & "sons"'},
    "everything": {"api": True, "telemetry": True, "store": "inline", "events": "Order, HTTPSeen, Connection"},
    "a service alone": {"api": True, "producer": False, "consumer": False},
    "long, everything": {**LONG, "api": True, "telemetry": True},
    "a runtime from elsewhere": {
        "runtime_requirement": "esb-runtime @ git+ssh://git@example.org/esb.git#subdirectory=runtime"
    },
}
EVERY_KIND = [*ANSWERS.values(), *ROWS]
REFUSED = [
    ("namespace", "", "no package name"),
    ("namespace", "my company", "no package name"),
    ("namespace", "mycompany..events", "no package name"),
    ("namespace", "1shop.events", "no package name"),
    ("namespace", "shop-events", "no package name"),
    ("namespace", "../../etc", "no package name"),
    ("namespace", "shop_.events", "no package name"),
    ("namespace", "mycompany.class", "keyword"),
    ("namespace", "logging.events", "Python module already"),
    ("namespace", "esb_runtime", "Python module already"),
    ("namespace", "fastapi.events", "Python module already"),
    ("namespace", "tests.events", "Python module already"),
    ("namespace", "a" * 61, "longer than 60"),
    ("events", "", "PascalCase"),
    ("events", "myEvent", "PascalCase"),
    ("events", "My-Event", "PascalCase"),
    ("events", "My Event", "PascalCase"),
    ("events", "A" * 41, "PascalCase"),
    ("events", "Order,", "PascalCase"),
    ("events", "Order, Order", "twice"),
    ("events", "HttpSeen, HTTPSeen", "twice"),
    ("events", "Class", "keyword"),
    ("events", "None", "taken"),
    ("events", "Reporter", "taken"),
    ("events", "Entities", "taken"),
    ("uri", "", "not empty"),
    ("uri", " orders", "does not begin or end with a blank"),
    ("uri", "or}ders", "needs a hash tag"),
    ("uri", "{}orders", "needs a hash tag"),
    ("uri", "é" * 226, "at most 450 bytes, this one 452"),
    ("uri", "line\nbreak", "one line of printable text"),
    ("uri", "bell\a", "one line of printable text"),
    ("consumer_group", "", "no group name"),
    ("consumer_group", "a:b", "no group name"),
    ("consumer_group", "transit", "second consumer"),
    ("store", "s3", "is not in"),
    ("ci", "jenkins", "is not in"),
    ("python", "3.10", "is not in"),
    ("license", "mine", "is not in"),
    ("author", "two\nlines", "one line"),
    ("runtime_requirement", "requests", "no requirement"),
    ("runtime_requirement", 'esb-runtime"', "no requirement"),
]

Render = Callable[..., Path]


@pytest.fixture
def render(tmp_path: Path) -> Render:
    """Render the template with these answers, the defaults for the others."""

    def rendered(**answers: str | bool) -> Path:
        return scaffolded_at(tmp_path / "ws", answers)

    return rendered


def files(folder: Path) -> dict[str, bytes]:
    """Every file of a workspace, except the wheels."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".whl" and ".git" not in path.relative_to(folder).parts
    }


@pytest.mark.parametrize("answers", EVERY_KIND, ids=[*ANSWERS, *(f"row {number}" for number in range(len(ROWS)))])
def test_every_kind_of_answer_gives_clean_files(scaffolded: Scaffold, answers: dict[str, str | bool]) -> None:
    """Whatever the answers: the files parse, end with one line, and hold no leftovers of the template."""
    folder = scaffolded(**answers)
    for path, content in files(folder).items():
        text = content.decode()
        assert text.strip(), f"{path} is empty"
        assert text.endswith("\n"), f"{path} does not end with a line"
        assert not text.endswith("\n\n"), f"{path} ends with empty lines"
        own = re.sub(r"\{\{x\}\}|\{% y %\}|\{# z #\}", "", text)  # of the uri
        own = re.sub(r'"legendFormat": "[^"]*"', "legend", own)  # Grafana writes labels as Jinja writes variables
        leftovers = re.findall(r"[ \t]$|(?<!\$)\{\{|\{%|%\}|\{#", own, re.MULTILINE)
        assert not leftovers, f"{path} holds trailing blanks or Jinja"
        if path.endswith(".py"):
            ast.parse(text)
        elif path.endswith(".toml"):
            tomllib.loads(text)
        elif path.endswith((".yaml", ".yml")):
            yaml.safe_load(text)
        elif path.endswith(".json") or path == "contract.lock":
            json.loads(text)


def test_every_kind_of_answer_gives_formatted_code(scaffolded: Scaffold, run: Run, tmp_path: Path) -> None:
    """Whatever the answers: ruff's rules and format are kept, by each workspace's own configuration."""
    folders = [scaffolded(**answers) for answers in EVERY_KIND]
    run(sys.executable, "-m", "ruff", "check", "--no-cache", *folders, cwd=tmp_path)
    run(sys.executable, "-m", "ruff", "format", "--no-cache", "--check", *folders, cwd=tmp_path)


def test_the_prose_is_spelt_right(scaffolded: Scaffold, run: Run, tmp_path: Path) -> None:
    """codespell finds no misspelt word in any file, whatever the answers."""
    folders = [scaffolded(**answers) for answers in EVERY_KIND]
    run(sys.executable, "-m", "codespell_lib", "--skip", "LICENSE", *folders, cwd=tmp_path)


@pytest.mark.parametrize(("question", "value", "reason"), REFUSED)
def test_a_bad_answer_is_refused_by_its_option(tmp_path: Path, question: str, value: str, reason: str) -> None:
    """A name that cannot work names its option and the reason, and leaves nothing behind."""
    with (
        template_history.tree() as tree,
        pytest.raises(Failure, match=f"^{scaffold.OPTIONS[question]}: .*{reason}") as refused,
    ):
        scaffold.create(tree, tmp_path / "ws", {question: value}, git=False)
    assert refused.value.code is Exit.USAGE
    assert not list(tmp_path.iterdir())


def test_equal_answers_give_equal_bytes(scaffolded: Scaffold, tmp_path: Path) -> None:
    """A workspace is a function of its answers: not of the time, the machine or the folder."""
    for kind in ("the article", "a uri with every sign", "everything"):
        assert files(scaffolded_at(tmp_path / kind, ANSWERS[kind])) == files(scaffolded(**ANSWERS[kind]))


def test_the_answers_name_no_machine(render: Render, tmp_path: Path) -> None:
    """The recorded source is the same everywhere, and nothing in a workspace names the folder it was made in."""
    folder = render()
    recorded = (folder / ".copier-answers.yml").read_text("utf-8")
    assert "_src_path: esb://template.git\n" in recorded
    assert f"_commit: {scaffold.installed()}\n" in recorded
    for path, content in files(folder).items():
        assert str(tmp_path).encode() not in content, path
        assert str(Path(sys.prefix)).encode() not in content, path


def test_the_layout_is_the_documented_one(workspace: Path) -> None:
    """The article's command line makes exactly the files that the design lists."""
    assert set(files(workspace)) == LAYOUT


def test_the_namespace_levels_are_namespace_packages(workspace: Path) -> None:
    """Three distributions share `mycompany.events`, so no level above theirs has an `__init__`."""
    inits = [path.parent.name for path in workspace.rglob("__init__.py")]
    assert sorted(inits) == ["consumer", "contracts", "producer"]


def test_every_contract_has_its_own_stream_and_program(render: Render) -> None:
    """The first contract has the uri as given and the story's programs; each other one its own stream and program."""
    folder = render(uri="shop", namespace="my.shop", events="Order, HTTPSeen")
    contracts = folder / "contracts/src/my/shop/contracts"
    assert 'class Order(EventContract[Side], uri="shop"):' in (contracts / "order.py").read_text()
    assert 'class HTTPSeen(EventContract[Side], uri="shop-http-seen"):' in (contracts / "http_seen.py").read_text()
    settings = tomllib.loads((folder / "pyproject.toml").read_text())
    assert settings["tool"]["esb"]["programs"] == {
        "reporter": "my.shop.consumer.reporter:wire",
        "transit": "my.shop.consumer.transit:wire",
        "http_seen": "my.shop.consumer.http_seen:wire",
        "producer": "my.shop.producer.orders:main",
    }


@pytest.mark.parametrize("uri", URIS, ids=["every sign", "quotes and a dash", "long", "null"])
def test_a_uri_is_the_same_wherever_it_is_written(render: Render, run: Run, tmp_path: Path, uri: str) -> None:
    """In the contract, the lock, the answers, an image, the README and a shell started by make: sign for sign."""
    folder = render(uri=uri, events="Order, Refund")
    for module, expected in (("order", uri), ("refund", f"{uri}-refund")):
        tree = ast.parse((folder / f"contracts/src/mycompany/events/contracts/{module}.py").read_text())
        (contract,) = [node for node in tree.body if isinstance(node, ast.ClassDef)]
        assert ast.literal_eval(contract.keywords[0].value) == expected
    lock = json.loads((folder / "contract.lock").read_text())
    assert {event["uri"] for event in lock["events"]} == {uri, f"{uri}-refund"}
    assert yaml.safe_load((folder / ".copier-answers.yml").read_text())["uri"] == uri
    (check,) = re.findall(r"CMD (\[.*esb_runtime.health.*\])", (folder / "Dockerfile").read_text())
    assert json.loads(check)[-2] == uri
    inline = [
        token.children or []
        for token in MarkdownIt("commonmark").enable("table").parse((folder / "README.md").read_text())
    ]
    assert {uri, f"{uri}-refund"} <= {
        child.content for children in inline for child in children if child.type == "code_inline"
    }
    (tmp_path / "esb").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (tmp_path / "esb").chmod(0o755)
    said = run("make", "tail", f"ESB={tmp_path / 'esb'}", cwd=folder).stdout.splitlines()
    pattern = re.sub(r"([*?\[\]\\])", r"\\\1", uri) if re.search(r"[*?\[]", uri) else uri
    assert said == ["tail", "-f", *(["--"] if uri.startswith("-") else []), pattern]


@pytest.mark.parametrize("uri", [value for question, value, _ in REFUSED if question == "uri" and len(value) < 100])
def test_a_refused_uri_is_one_that_the_runtime_refuses(uri: str) -> None:
    """The template takes whatever a contract takes; only its length is bounded earlier, for the names behind it."""
    with pytest.raises(ContractError):
        type("Refused", (EventContract,), {}, uri=uri)


def test_what_was_not_asked_for_is_nowhere(render: Render) -> None:
    """Without a producer nothing names one: no folder, no program, no image, no launch configuration."""
    folder = render(producer=False)
    for path, content in files(folder).items():
        assert not path.startswith("producer/")
        assert b"events.producer" not in content, path
        assert b"target: producer" not in content, path
    assert tomllib.loads((folder / "pyproject.toml").read_text())["tool"]["uv"]["workspace"]["members"] == [
        "contracts",
        "consumer",
    ]


def test_the_oldest_python_is_said_everywhere(render: Render) -> None:
    """`--python 3.12`: packages require it, checkers and ruff aim at it, CI starts with it, images have it or newer."""
    folder = render(python="3.12")
    for project in ("pyproject.toml", "contracts/pyproject.toml", "producer/pyproject.toml", "consumer/pyproject.toml"):
        assert tomllib.loads((folder / project).read_text())["project"]["requires-python"] == ">=3.12"
    tools = tomllib.loads((folder / "pyproject.toml").read_text())["tool"]
    assert tools["ruff"]["target-version"] == "py312"
    assert tools["mypy"]["python_version"] == tools["pyright"]["pythonVersion"] == "3.12"
    ci = yaml.safe_load((folder / ".github/workflows/ci.yaml").read_text())
    assert ci["jobs"]["test"]["strategy"]["matrix"]["python"] == ["3.12", "3.13", "3.14"]
    assert (folder / "Dockerfile").read_text().count("FROM python:3.13-slim") == 1


def test_a_licence_is_written_out_and_declared(render: Render) -> None:
    """`--license MIT --author Ada`: the text names her, every package declares it."""
    folder = render(license="MIT", author="Ada")
    assert "Copyright (c) Ada\n" in (folder / "LICENSE").read_text()
    for project in ("pyproject.toml", "contracts/pyproject.toml", "producer/pyproject.toml", "consumer/pyproject.toml"):
        assert tomllib.loads((folder / project).read_text())["project"]["license"] == "MIT"


def test_where_the_runtime_comes_from_is_recorded_only_when_given(render: Render) -> None:
    """The default follows the template from version to version; a requirement that was given stays."""
    assert "runtime_requirement" not in (render() / ".copier-answers.yml").read_text()


def test_a_given_runtime_requirement_is_kept(render: Render) -> None:
    """`--runtime-requirement` goes into the packages and into the answers."""
    folder = render(runtime_requirement="esb-runtime==0.1.7")
    assert "runtime_requirement: esb-runtime==0.1.7\n" in (folder / ".copier-answers.yml").read_text()
    for package in ("contracts", "producer", "consumer"):
        project = tomllib.loads((folder / package / "pyproject.toml").read_text())["project"]
        assert "esb-runtime==0.1.7" in project["dependencies"]


def test_the_template_asks_for_the_runtime_of_its_own_version(render: Render) -> None:
    """The default requirement and the tools that the Makefile installs are those of this version of esb."""
    release = ".".join(scaffold.installed().removeprefix("v").split(".")[:2])
    folder = render()
    assert f'"esb-runtime~={release}"' in (folder / "contracts/pyproject.toml").read_text()
    assert f'"esb-cli[embedded]~={release}"' in (folder / "Makefile").read_text()


def test_the_template_knows_the_modules_that_a_namespace_would_hide() -> None:
    """Below a module of Python, or of anything that a workspace or esb installs, no namespace could be imported."""
    text = (Path(__file__).parents[2] / "template/_macros/names.jinja").read_text("utf-8")
    listed = re.search(r"set modules = '([^']*)'", text)
    assert listed
    known = set(listed[1].split())
    assert {name for name in sys.stdlib_module_names if not name.startswith("_")} <= known
    needed = ("esb-cli[embedded]", "esb-runtime[embedded,otel]", "opentelemetry-instrumentation-fastapi", "pip")
    tools = ("fastapi", "httpx", "mypy", "pyright[nodejs]", "pytest", "pytest-asyncio", "ruff", "uvicorn")
    installed = modules_of(distributions([*needed, *tools]))
    assert len(installed) > 50
    assert installed <= known


def distributions(requirements: list[str]) -> dict[str, set[str]]:
    """These distributions and all that they require here, each with the extras that were asked for."""
    found: dict[str, set[str]] = {}
    while requirements:
        wanted = Requirement(requirements.pop())
        name = canonicalize_name(wanted.name)
        extras = {"", *wanted.extras}
        if extras <= found.get(name, set()):
            continue
        found.setdefault(name, set()).update(extras)
        required = map(Requirement, metadata.requires(name) or [])
        requirements += [
            str(one)
            for one in required
            if not one.marker or any(one.marker.evaluate({"extra": extra}) for extra in extras)
        ]
    return found


def modules_of(names: Iterable[str]) -> set[str]:
    """The importable names, as a namespace could have them, that distributions put into an environment."""
    paths = [path for name in names for path in metadata.files(name) or []]
    tops = {path.parts[0].partition(".")[0] for path in paths if len(path.parts) > 1 or path.suffix in {".py", ".so"}}
    return {top for top in tops if re.fullmatch(r"[a-z][a-z0-9_]*", top)}


LAYOUT = {
    ".copier-answers.yml",
    ".devcontainer/devcontainer.json",
    ".dockerignore",
    ".editorconfig",
    ".env.example",
    ".esb/wheels/.gitignore",
    ".github/dependabot.yaml",
    ".github/workflows/ci.yaml",
    ".github/workflows/template.yaml",
    ".gitattributes",
    ".gitignore",
    ".pre-commit-config.yaml",
    ".vscode/extensions.json",
    ".vscode/launch.json",
    ".vscode/settings.json",
    ".vscode/tasks.json",
    "Dockerfile",
    "Makefile",
    "README.md",
    "compose.yaml",
    "consumer/pyproject.toml",
    "consumer/src/mycompany/events/consumer/__init__.py",
    "consumer/src/mycompany/events/consumer/__main__.py",
    "consumer/src/mycompany/events/consumer/py.typed",
    "consumer/src/mycompany/events/consumer/reporter.py",
    "consumer/src/mycompany/events/consumer/transit.py",
    "contract.lock",
    "contracts/pyproject.toml",
    "contracts/src/mycompany/events/contracts/__init__.py",
    "contracts/src/mycompany/events/contracts/entities.py",
    "contracts/src/mycompany/events/contracts/my_event.py",
    "contracts/src/mycompany/events/contracts/py.typed",
    "producer/pyproject.toml",
    "producer/src/mycompany/events/producer/__init__.py",
    "producer/src/mycompany/events/producer/__main__.py",
    "producer/src/mycompany/events/producer/orders.py",
    "producer/src/mycompany/events/producer/py.typed",
    "pyproject.toml",
    "tests/test_contract_lock.py",
    "tests/test_story.py",
}
