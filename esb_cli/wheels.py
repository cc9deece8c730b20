"""The wheels of esb itself, for a workspace whose package index has none yet.

The esb-cli wheel carries the wheel of the runtime. What is installed without one (an editable install, and the command
line itself) is packed again from its installed files: pure Python, so files and metadata are all a wheel needs.
"""

from __future__ import annotations

import hashlib
import tempfile
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution, distribution
from importlib.util import find_spec
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from . import template_history as history

CARRIED = Path(__file__).parent / "wheels"
_OF_THE_INSTALLER = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_build.json", "uv_cache.json"}


def put_wheels(folder: Path) -> None:
    """Leave the wheels of the running esb-runtime and esb-cli in `folder`, and no other version of them."""
    folder.mkdir(parents=True, exist_ok=True)
    for stale in [*folder.glob("esb_runtime-*.whl"), *folder.glob("esb_cli-*.whl")]:
        stale.unlink()
    runtime = _runtime()
    for name, content in (runtime, _command_line(runtime)):
        (folder / name).write_bytes(content)


def _runtime() -> tuple[str, bytes]:
    carried = sorted(CARRIED.glob("esb_runtime-*.whl"))
    if carried:
        return carried[-1].name, carried[-1].read_bytes()
    return _pack("esb-runtime", "esb_runtime", {})


def _command_line(runtime: tuple[str, bytes]) -> tuple[str, bytes]:
    """The wheel of esb-cli, with what the build would have added to it."""
    if history.TREE.is_file():
        return _pack("esb-cli", "esb_cli", {})
    name, content = runtime
    added = {f"esb_cli/{CARRIED.name}/{name}": content}
    with tempfile.TemporaryDirectory(prefix="esb-wheel-") as folder:
        tree = Path(folder, history.TREE.name)
        history.write_tree(history.CHECKOUT, tree)
        added[f"esb_cli/{tree.name}"] = tree.read_bytes()
        if history.has_git():
            bundle = Path(folder, history.BUNDLE.name)
            history.write_bundle(history.CHECKOUT, distribution("esb-cli").version, bundle)
            added[f"esb_cli/{bundle.name}"] = bundle.read_bytes()
    return _pack("esb-cli", "esb_cli", added)


def _pack(name: str, package: str, added: Mapping[str, bytes]) -> tuple[str, bytes]:
    """File name and bytes of the wheel of an installed distribution; equal files give equal bytes."""
    installed = distribution(name)
    stem = f"{name.replace('-', '_')}-{installed.version}"
    files = {**dict(_code(package)), **added, **dict(_metadata(installed, stem))}
    record = f"{stem}.dist-info/RECORD"
    lines = [f"{path},sha256={_digest(content)},{len(content)}\n" for path, content in sorted(files.items())]
    files[record] = "".join([*lines, f"{record},,\n"]).encode()
    with tempfile.TemporaryFile() as raw:
        with ZipFile(raw, "w", ZIP_DEFLATED) as archive:
            for path, content in sorted(files.items()):
                archive.writestr(ZipInfo(path), content, ZIP_DEFLATED)
        raw.seek(0)
        return f"{stem}-py3-none-any.whl", raw.read()


def _code(package: str) -> Iterator[tuple[str, bytes]]:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise history.NoTemplateError(f"the package {package} is not installed")
    root = Path(spec.origin).parent
    for path in root.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts and path.name not in {"_build_hook.py", history.RELEASED}:
            yield f"{package}/{path.relative_to(root).as_posix()}", path.read_bytes()


def _metadata(installed: Distribution, stem: str) -> Iterator[tuple[str, bytes]]:
    """The files of `.dist-info`, except those that tell how it was installed here."""
    for path in installed.files or []:
        parts = path.parts
        if parts[0].endswith(".dist-info") and parts[-1] not in _OF_THE_INSTALLER:
            yield "/".join((f"{stem}.dist-info", *parts[1:])), Path(str(path.locate())).read_bytes()


def _digest(content: bytes) -> str:
    return urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
