"""`git-remote-esb`: lets git clone `esb://template.git`, the address that every workspace records.

git runs `git-remote-<scheme>` for `<scheme>://...` when it is on PATH. So plain `copier update` merges from the bundle
that the installed esb carries, without a network. The protocol is git's own (gitremote-helpers(7), `connect`).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import BinaryIO

from .template_history import NoTemplateError, bundle, git


def main() -> int:
    """Answer git's commands on stdin until it is served; returns the exit code."""
    commands = open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)  # noqa: SIM115 - unread bytes are git's
    while command := _line(commands):
        if command == b"capabilities":
            _reply(b"connect\n\n")
        elif command == b"connect git-upload-pack":
            return _serve()
        else:
            print("esb: the template's repository can only be read", file=sys.stderr)  # noqa: T201 - git shows it
            return 1
    return 0


def _serve() -> int:
    """Unpack the history into a repository for this one call and hand stdin and stdout over to git."""
    try:
        with bundle(version("esb-cli")) as history, tempfile.TemporaryDirectory(prefix="esb-remote-") as folder:
            repository = Path(folder, "template.git")
            git("clone", "--quiet", "--bare", str(history), str(repository))
            _reply(b"\n")
            # GIT_DIR and its like name the repository that clones; this one is another
            environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
            return subprocess.call(["git", "upload-pack", str(repository)], env=environment)
    except NoTemplateError as error:
        print(f"esb: {error}", file=sys.stderr)  # noqa: T201 - git shows it
        return 1


def _line(stream: BinaryIO) -> bytes:
    """One line, read byte by byte: what follows it is for `git upload-pack`."""
    line = b""
    while (byte := stream.read(1)) and byte != b"\n":
        line += byte
    return line


def _reply(words: bytes) -> None:
    sys.stdout.buffer.write(words)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main())
