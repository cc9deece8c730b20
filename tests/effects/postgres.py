"""A private PostgreSQL for a test session: Debian's binaries, a cluster in a temporary folder, a Unix socket only."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

SETTINGS = {"listen_addresses": "", "fsync": "off", "synchronous_commit": "off", "max_connections": "60"}


@cache
def binaries() -> Path | None:
    """Where `initdb` and `pg_ctl` are, the newest version first; None where PostgreSQL is not installed."""
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return places[-1].parent if places else None


def why_not() -> str:
    """Why there can be no PostgreSQL here; empty where there can."""
    if binaries() is None:
        return "PostgreSQL is not installed (on Debian: apt-get install postgresql)"
    if os.getuid() == 0 and _other_user() is None:
        return "PostgreSQL refuses to run as root, and there is no user `postgres` or `nobody` to run it as"
    return ""


def _other_user() -> pwd.struct_passwd | None:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    return None


@contextmanager
def cluster() -> Iterator[str]:
    """A running server; yields the URL for SQLAlchemy. The folder is short, because a socket's path must be."""
    tools = binaries()
    assert tools is not None
    user = _other_user() if os.getuid() == 0 else None
    folder = Path(mkdtemp(prefix="esb-pg-"))
    data = folder / "data"
    if user is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)

    def run(*words: str) -> None:
        with (folder / "log").open("ab") as log:  # a file, not a pipe: the server inherits it and lives on
            done = subprocess.run(
                words, cwd=folder, user=user.pw_uid if user else None, group=user.pw_gid if user else None,
                extra_groups=[] if user else None, stdout=log, stderr=subprocess.STDOUT, timeout=120,
                env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": str(folder)},
            )  # fmt: skip
        assert done.returncode == 0, (folder / "log").read_text("utf-8", "replace")

    try:
        run(str(tools / "initdb"), "-D", str(data), "-U", "esb", "--auth=trust", "--no-sync")
        options = " ".join(f"-c {name}='{value}'" for name, value in SETTINGS.items())
        run(str(tools / "pg_ctl"), "-D", str(data), "-w", "-o", f"-k {folder} {options}", "start")
        try:
            yield f"postgresql+asyncpg://esb@/postgres?host={folder}"
        finally:
            run(str(tools / "pg_ctl"), "-D", str(data), "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
