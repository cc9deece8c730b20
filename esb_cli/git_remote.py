"""`git-remote-esb`: lets git clone `esb://template.git`, the address that every workspace records.

git runs `git-remote-<scheme>` for `<scheme>://...` when it is on PATH. So plain `copier update` merges from the bundle
that the installed esb carries, without a network. The protocol is git's own (gitremote-helpers(7)): its `list` is the
head of the bundle, its `fetch` unpacks the bundle into the repository that asks. copier starts this eight times in one
update and fetches at most once: so answering `list` starts no other program, and what it does not need is not imported.
"""

from __future__ import annotations

import sys
from pathlib import Path

BUNDLE = Path(__file__).with_name("template.bundle")
"""Where a wheel has it; the same as `template_history.BUNDLE`."""


def main() -> int:
    """Answer git's commands on stdin until it has no more; returns the exit code."""
    if BUNDLE.is_file():
        return _serve(BUNDLE)
    from .template_history import NoTemplateError, bundle

    try:
        with bundle() as history:
            return _serve(history)
    except NoTemplateError as error:
        print(f"esb: {error}", file=sys.stderr)  # noqa: T201 - git shows it
        return 1


def _serve(history: Path) -> int:
    asked = ""
    for line in iter(sys.stdin.readline, ""):
        before, asked = asked, line.partition(" ")[0].strip()
        if asked == "capabilities":
            _reply("fetch", "")
        elif asked == "list":
            _reply(*_refs(history), "")
        elif asked == "fetch":
            continue  # one line for each object that is wanted; the bundle holds them all
        elif asked == "" and before == "fetch":
            if code := _unpack(history):
                return code
            _reply("")
        elif asked == "":
            return 0
        else:
            print(f"esb: git asked for {asked!r}, which is not offered", file=sys.stderr)  # noqa: T201 - git shows it
            return 1
    return 0


def _refs(history: Path) -> list[str]:
    """The refs of the history, as `list` tells them: the lines before its objects (gitformat-bundle(5))."""
    with history.open("rb") as file:
        lines = [line.decode().rstrip("\n") for line in iter(file.readline, b"\n")]
    refs = [line for line in lines if line[0] not in "#@-" and not line.endswith(" HEAD")]
    return [*refs, "@refs/heads/main HEAD"]


def _unpack(history: Path) -> int:
    """Put the objects of the history into the repository that git names in GIT_DIR; git's exit code."""
    import subprocess

    return subprocess.call(["git", "bundle", "unbundle", str(history)], stdout=subprocess.DEVNULL)


def _reply(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
