"""What the build adds to the esb-cli wheel: the template as files and as history, and the wheel of the runtime.

Run by hatchling; not part of the wheel. An editable install makes the same things when they are asked for.
"""

from __future__ import annotations

import importlib.util
import shutil
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.builders.wheel import WheelBuilder, WheelBuilderConfig


class BuildHook(BuildHookInterface[WheelBuilderConfig]):
    """Makes the files in a folder that lives as long as the build."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the files to a wheel."""
        if version == "editable" or self.target_name != "wheel":
            return
        root = Path(self.root)
        self.folder = Path(tempfile.mkdtemp(prefix="esb-build-"))
        history = _template_history(root)
        made = [self.folder / history.TREE.name]
        history.write_tree(root, made[0])
        if history.has_git():
            made.append(self.folder / history.BUNDLE.name)
            released = str(self.metadata.version)  # pyright: ignore[reportUnknownMemberType] - open in hatchling
            history.write_bundle(root, released, made[-1])
        else:
            self.app.display_warning("no git: the wheel will carry the template without its history")
        for path in made:
            build_data["force_include"][str(path)] = f"esb_cli/{path.name}"
        for wheel in WheelBuilder(str(root / "runtime")).build(directory=str(self.folder), versions=["standard"]):
            build_data["force_include"][wheel] = f"esb_cli/wheels/{Path(wheel).name}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002 - hatchling's
        """Remove the folder once the wheel has its content."""
        if hasattr(self, "folder"):
            shutil.rmtree(self.folder)


def _template_history(root: Path) -> ModuleType:
    """`esb_cli.template_history` from the checkout: esb_cli itself cannot be imported where it is built."""
    spec = importlib.util.spec_from_file_location("template_history", root / "esb_cli" / "template_history.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError("esb_cli/template_history.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
