"""Where the project's parts lie: rules, published facts, defaults and pins.

In a checkout they lie around the package, in an installed wheel in its folder `project`
(hatch_build.py puts them there).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from isoflop.errors import IsoflopError
from isoflop.reference import REFERENCE_FILES

PACKAGE: Final = Path(__file__).parent
"""Folder of the code that runs."""
WHEEL: Final = "project"
"""Folder of a wheel's package that holds the other parts."""
SNAKEFILE: Final = "Snakefile"
CONFIG: Final = "config.yaml"
FACTS: Final = "data/reference"
"""The published facts."""
PUBLISHED: Final = "published/"
"""What the names of published studies' sweeps begin with; all others lie in data/raw."""
CODE: Final = "src/isoflop"
"""Where a checkout has the package."""
NEEDED: Final = (SNAKEFILE, CONFIG, "requirements.lock", "rules", "src", "workflow", FACTS)
"""Without these nothing can be rebuilt."""
WELCOME: Final = (
    "CITATION.cff", "LICENSE", "README.md", "constraints-train.txt", "pyproject.toml",
    "requirements-uv.lock", "run.py", "hatch_build.py",
)  # fmt: skip
"""What installs and explains them; a copy of the workflow alone may lack it."""
REVISION: Final = f"{CODE}/REVISION"
"""Where the code of an archive or of a wheel, outside git, names its commit
(estimates/estimate.py)."""


def home() -> Path:
    """Give the folder of the Snakefile that belongs to the code.

    Raises
    ------
    IsoflopError : the package lies neither in a checkout nor in a wheel.
    """
    for folder in (PACKAGE / WHEEL, PACKAGE.parents[1]):
        if (folder / SNAKEFILE).is_file() and (folder / FACTS).is_dir():
            return folder
    raise IsoflopError(
        f"{PACKAGE} has neither the folder {WHEEL!r} of a wheel nor a checkout around it, so rules "
        "and published facts are missing. Install the wheel, or run from a checkout."
    )


def raw_folder(sweep: str) -> str:
    """Name the folder of a sweep's raw files: data/raw/x, or data/published/x of published/x."""
    return f"data/{sweep}" if sweep.startswith(PUBLISHED) else f"data/raw/{sweep}"


def facts_folder() -> Path:
    """Find the published facts: of the project one stands in, else those that came with the code.

    Raises
    ------
    IsoflopError : there are none.
    """
    here = Path(FACTS)
    return here if (here / REFERENCE_FILES["hoffmann"]).exists() else home() / FACTS


def project_files(root: Path) -> dict[Path, Path]:
    """List the files of the project that a rebuild needs.

    The files as they lie there and not as git has them: these are what ran. Byte code, hidden files
    and the metadata of an installation stay out.

    Parameters
    ----------
    root : folder of the Snakefile.

    Returns
    -------
    By path in the project, where each file lies; sorted. A wheel's package counts as its src.

    Raises
    ------
    IsoflopError : a part is missing without which nothing can be rebuilt.
    """
    places = {part: root / part for part in (*NEEDED, *WELCOME)}
    if root == PACKAGE / WHEEL:
        places = {CODE if part == "src" else part: path for part, path in places.items()}
        places[CODE] = PACKAGE
    absent = [part for part, path in places.items() if part not in WELCOME and not path.exists()]
    if absent:
        raise IsoflopError(
            f"{root}: {', '.join(absent)} of the project is missing, so the archive could not be "
            "rebuilt. Run from the folder of the Snakefile."
        )
    listed: dict[Path, Path] = {}
    for part, path in places.items():
        files = [path] if path.is_file() else [item for item in path.rglob("*") if item.is_file()]
        for item in files:
            inside = Path(part) / item.relative_to(path)
            if _belongs(inside):
                listed[inside] = item
    return dict(sorted(listed.items()))


def _belongs(path: Path) -> bool:
    """Whether a file of the project is one of its sources."""
    return (
        path.suffix != ".pyc"
        and not path.is_relative_to(Path(CODE) / WHEEL)
        and path != Path(REVISION)
        and not any(
            part.startswith(".") or part == "__pycache__" or part.endswith(".egg-info")
            for part in path.parts
        )
    )
