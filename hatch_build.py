"""What a wheel holds besides the package: the workflow, the published facts and the commit.

An editable installation finds them in the checkout around it, so it gets none.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PARTS = (
    "Snakefile", "config.yaml", "requirements.lock", "rules", "workflow", "data/reference",
    "CITATION.cff", "LICENSE", "README.md", "constraints-train.txt", "pyproject.toml",
    "requirements-uv.lock", "run.py", "hatch_build.py",
)  # fmt: skip
"""As isoflop.project has them, src apart, which is the package."""
TARGET = "isoflop/project"


class WholeWheel(BuildHookInterface[Any]):
    """Put the parts of the project beside the package's code."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name the files to include."""
        if version != "standard":
            return
        root = Path(self.root)
        included: dict[str, str] = build_data["force_include"]
        included.update({str(root / part): f"{TARGET}/{part}" for part in PARTS})
        revision = _revision(root)
        if revision:
            self._note = Path(self.directory) / "REVISION"
            self._note.parent.mkdir(parents=True, exist_ok=True)
            self._note.write_text(revision + "\n", encoding="utf-8")
            included[str(self._note)] = "isoflop/REVISION"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002  hatchling's signature
        """Remove what was written for the wheel alone."""
        if hasattr(self, "_note"):
            self._note.unlink()


def _revision(root: Path) -> str:
    """Give the commit, with "+" where sources differ from it; nothing outside git."""
    try:
        revision = _git(root, "rev-parse", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no", "--", "src/isoflop")
    except (OSError, subprocess.CalledProcessError):
        return ""
    return revision + ("+" if changed else "")


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(  # noqa: S603  fixed words, no shell
        ["git", *arguments],  # noqa: S607  the user's git
        cwd=root, check=True, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    return done.stdout.strip()
