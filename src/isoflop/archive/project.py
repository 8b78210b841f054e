"""The code that an archive takes along, and whence a rebuild finds its revision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from isoflop.errors import IsoflopError

if TYPE_CHECKING:
    from pathlib import Path

NEEDED: Final = (
    "Snakefile", "config.yaml", "requirements.lock", "rules", "src", "workflow", "data/reference",
)  # fmt: skip
"""Without these nothing can be rebuilt."""
WELCOME: Final = (
    "CITATION.cff", "LICENSE", "README.md", "constraints-train.txt", "pyproject.toml",
    "requirements-uv.lock", "run.py",
)  # fmt: skip
"""What installs and explains them; a copy of the workflow alone may lack it."""
REVISION: Final = "src/isoflop/REVISION"
"""Where the code of an archive, outside git, names its commit (estimates/estimate.py)."""


def project_files(root: Path) -> list[Path]:
    """List the files of the project that a rebuild needs, relative to its folder.

    The files as they lie there and not as git has them: these are what ran. Byte code, hidden files
    and the metadata of an installation stay out.

    Parameters
    ----------
    root : folder of the Snakefile.

    Raises
    ------
    IsoflopError : a part is missing without which nothing can be rebuilt.
    """
    absent = [part for part in NEEDED if not (root / part).exists()]
    if absent:
        raise IsoflopError(
            f"{root}: {', '.join(absent)} of the project is missing, so the archive could not be "
            "rebuilt. Run from the folder of the Snakefile."
        )
    listed: list[Path] = []
    for part in (*NEEDED, *WELCOME):
        path = root / part
        listed += (item for item in path.rglob("*") if item.is_file()) if path.is_dir() else [path]
    inside = [path.relative_to(root) for path in listed if path.is_file()]
    return sorted(path for path in inside if _belongs(path))


def _belongs(path: Path) -> bool:
    return path.suffix != ".pyc" and not any(
        part.startswith(".") or part == "__pycache__" or part.endswith(".egg-info")
        for part in path.parts
    )
