"""`esb profile`: named servers, kept for one user, without passwords."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_kit import Esb

from esb_runtime.testing import RedisServer

PASSWORD = "Jq58-unseen"
BACKEND = """
import json
from pathlib import Path
from keyring.backend import KeyringBackend
from keyring.errors import PasswordDeleteError

FILE = Path(__file__).with_name("ring.json")

class Ring(KeyringBackend):
    priority = 1
    def _all(self):
        return json.loads(FILE.read_text()) if FILE.exists() else {}
    def get_password(self, service, name):
        return self._all().get(f"{service}/{name}")
    def set_password(self, service, name, password):
        FILE.write_text(json.dumps(self._all() | {f"{service}/{name}": password}))
    def delete_password(self, service, name):
        known = self._all()
        if f"{service}/{name}" not in known:
            raise PasswordDeleteError
        del known[f"{service}/{name}"]
        FILE.write_text(json.dumps(known))

class Locked(KeyringBackend):
    priority = 1
    def get_password(self, service, name):
        raise RuntimeError("Jq58-unseen")
    set_password = delete_password = get_password
"""


@pytest.fixture
def here(esb: Esb) -> str:
    """The server's address; the environment names none."""
    return esb.variables.pop("REDIS_EVENT_SOURCE_ENDPOINT")


def kept(esb: Esb) -> Path:
    """The file of profiles."""
    (found,) = esb.home.rglob("profiles.json")
    return found


def source(esb: Esb, *words: str, **variables: str) -> str:
    """What doctor says about the endpoint."""
    done = esb("doctor", "-o", "json", *words, **variables)
    return next(line["found"] for line in map(json.loads, done.stdout.splitlines()) if line["check"] == "endpoint")


def test_a_profile_names_a_server(esb: Esb, here: str) -> None:
    """Added, listed, shown, used, removed; the file is for its owner alone."""
    esb.fails(3, "ls")
    esb.ok("profile", "add", "local", "--endpoint", here)
    assert stat.S_IMODE(kept(esb).stat().st_mode) == 0o600
    assert esb.lines("profile", "list") == [
        {"profile": "local", "endpoint": here, "keyring": False, "used": False}
    ]  # fmt: skip
    esb.ok("ls", "--profile", "local")
    esb.ok("--profile=local", "ls")
    esb.fails(3, "ls")
    esb.ok("profile", "use", "local")
    esb.ok("ls")
    assert esb.ok("profile", "show", "-o", "table").splitlines()[0] == "profile   local"
    assert "local *" in esb.ok("profile", "list", "-o", "table")
    esb.ok("profile", "remove", "local")
    esb.fails(3, "ls")
    assert esb.lines("profile", "list") == []


def test_the_first_setting_wins_and_doctor_says_which(esb: Esb, here: str) -> None:
    """--endpoint, --profile, the variable, the profile in use: doctor names the winner and those that it beat."""
    for name in ("one", "two"):
        esb.ok("profile", "add", name, "--endpoint", here)
    esb.ok("profile", "use", "one")
    assert "from profile one (in use)" in source(esb)
    variables = {"REDIS_EVENT_SOURCE_ENDPOINT": here}
    assert source(esb, **variables).endswith("from REDIS_EVENT_SOURCE_ENDPOINT (stronger than profile one (in use))")
    assert "from profile two (--profile) (stronger than REDIS_EVENT_SOURCE_ENDPOINT and" in source(
        esb, "--profile", "two", **variables
    )
    assert "from --endpoint (stronger than profile two" in source(esb, "--endpoint", here, ESB_PROFILE="two")


def test_mistakes(esb: Esb, here: str) -> None:
    """An unknown name, an impossible one, a bad endpoint, a password in it, a damaged file: one sentence each."""
    assert "makes the first" in esb.fails(4, "ls", "--profile", "prod")
    assert "no name for a profile" in esb.fails(2, "profile", "add", "a b", "--endpoint", here)
    assert "scheme" in esb.fails(2, "profile", "add", "a", "--endpoint", "ftp://x")
    for secret in (f"redis://u:{PASSWORD}@h", f"h:1,password={PASSWORD}"):
        assert PASSWORD not in esb.fails(2, "profile", "add", "a", "--endpoint", secret)
    assert not list(esb.home.rglob("profiles.json"))
    esb.ok("profile", "add", "prod", "--endpoint", here)
    assert "there are prod" in esb.fails(4, "profile", "use", "prd")
    kept(esb).write_text('{"profiles": 7}')
    assert "is damaged" in esb.fails(1, "ls")


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[RedisServer]:
    """A server that asks for a password."""
    with RedisServer.start(tmp_path / "locked", password=PASSWORD, ends_with_process=True) as server:
        yield server


def test_the_keyring_holds_a_password(esb: Esb, locked: RedisServer, tmp_path: Path) -> None:
    """With --keyring the password lies in the keyring, in no file of esb's, and goes with the profile."""
    (tmp_path / "ring.py").write_text(BACKEND)
    esb.variables = {"PYTHONPATH": str(tmp_path), "PYTHON_KEYRING_BACKEND": "ring.Ring"}
    where = locked.endpoint.display
    assert "no password" in esb.fails(2, "profile", "add", "prod", "--endpoint", where, "--keyring")
    esb.ok("profile", "add", "prod", "--endpoint", where, "--keyring", stdin=PASSWORD + "\n")
    assert PASSWORD not in kept(esb).read_text()
    esb.ok("ls", "--profile", "prod")
    doctor = esb("doctor", "--profile", "prod", "-o", "table").stdout
    assert "from the keyring" in doctor
    assert PASSWORD not in doctor
    said = esb.fails(1, "ls", "--profile", "prod", PYTHON_KEYRING_BACKEND="ring.Locked")
    assert "did not answer (RuntimeError)" in said
    assert PASSWORD not in said
    esb.ok("ls", "--profile", "prod", PYTHON_KEYRING_BACKEND="ring.Locked", REDIS_EVENT_SOURCE_PASS=PASSWORD)
    esb.ok("profile", "remove", "prod")
    assert PASSWORD not in (tmp_path / "ring.json").read_text()
