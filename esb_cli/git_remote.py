"""`git-remote-esb`: lets git clone `esb://template.git`, the address that every workspace records.

git runs `git-remote-<scheme>` for `<scheme>://...` when it is on PATH. So plain `copier update` merges from the bundle
that the installed esb carries, without a network. The protocol is git's own (gitremote-helpers(7)): its `list` is the
head of the bundle, its `fetch` unpacks the bundle into the repository that asks. copier starts this eight times in one
update and fetches at most once, so answering `list` starts no other program.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from .template_history import NoTemplateError, bundle, heads


def main() -> int:
    """Answer git's commands on stdin until it has no more; returns the exit code."""
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
            if code := subprocess.call(["git", "bundle", "unbundle", str(history)], stdout=subprocess.DEVNULL):
                return code
            _reply("")
        elif asked == "":
            return 0
        else:
            print(f"esb: git asked for {asked!r}, which is not offered", file=sys.stderr)  # noqa: T201 - git shows it
            return 1
    return 0


def _refs(history: Path) -> list[str]:
    """The refs of the history, as `list` tells them."""
    refs = [f"{commit} {ref}" for ref, commit in heads(history).items() if ref != "HEAD"]
    return [*refs, "@refs/heads/main HEAD"]


def _reply(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
