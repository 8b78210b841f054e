"""Build every output of a toy sweep on this Python, and compare what two Pythons came to.

    .venv/bin/python -m tools.same_bytes build FOLDER
    .venv/bin/python -m tools.same_bytes compare FOLDER OTHER

With the same NumPy and SciPy every byte must be the same. The pins have older ones for Python 3.11:
then tables of curves and losses and all SVGs must be the same bytes, pages must say the same but
for digests, and numbers may differ by ``MOST`` (docs/running.md).
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.workflow.toy import LEAST, copy_project, write_sweep
from tools.kills import BUDGETS

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST: Final = 1e-5
"""Largest relative difference of a number between two versions of NumPy and SciPy: where an optimum
is flat, as that of a product law's G, last digits move it by 1.1e-6."""
LEAST_APART: Final = 1e-7
"""Largest difference of a number that is itself one of two losses: a law's, less the mixture's, in
per cent of it. On the toy sweep that was 8e-4, and moved by 2.4e-8, losses in the tenth digit.
"""
DRAWN: Final = re.compile(r"\bm[0-9a-f]{10}\b")
"""What Matplotlib calls a path in an SVG: a hash of it, to the last digit."""
DIGEST: Final = re.compile(r"(?<![.\w])[0-9a-f]{16,64}\b")
NUMBER: Final = re.compile(r"(-?\d+\.\d+(?:e[+-]?\d+)?)")
COUNTED: Final = "starts_reaching_optimum"
"""How many starts end within a tolerance of the optimum; the last digits decide."""
LIBRARIES: Final = "libraries.json"


def main() -> None:
    """Build, or compare."""
    match sys.argv[1:]:
        case ["build", folder]:
            build(Path(folder))
        case ["compare", first, other]:
            sys.exit("\n".join(differences(Path(first), Path(other))) or None)
        case _:
            sys.exit(str(__doc__))


def build(root: Path) -> None:
    """Make every report of a toy sweep in a new folder."""
    project = copy_project(root, sweep=False)
    write_sweep(root / "data/raw/toy", budgets=BUDGETS)
    words = ["--cores", "2", "--nocolor", "--quiet", "rules", "--config", LEAST]
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", *words], cwd=root, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    if done.returncode != 0:
        sys.exit(done.stdout + project.logs())
    libraries = {name: version(name) for name in ("numpy", "scipy")}
    (root / LIBRARIES).write_text(json.dumps(libraries))


def outputs(root: Path) -> dict[str, Path]:
    """Give the outputs of a build, by name."""
    folders = ("data/curves", "data/losses", "data/estimates", "reports")
    paths = [path for folder in folders for path in sorted((root / folder).rglob("*"))]
    return {
        str(path.relative_to(root)): path
        for path in paths
        if path.is_file() and path.name != ".snakemake_timestamp"
    }


def differences(first: Path, other: Path) -> list[str]:
    """Say what differs between two builds that may not."""
    here, there = outputs(first), outputs(other)
    if not here or here.keys() != there.keys():
        return [f"only one has {', '.join(sorted(here.keys() ^ there.keys())) or 'anything'}"]
    differing = [name for name in here if here[name].read_bytes() != there[name].read_bytes()]
    alike = (first / LIBRARIES).read_text() == (other / LIBRARIES).read_text()
    print(f"{len(here) - len(differing)} of {len(here)} outputs are the same bytes")
    if alike:
        return [f"{name}: other bytes" for name in differing]
    return [why for name in differing if (why := _difference(here[name], there[name], name))]


def _difference(first: Path, other: Path, name: str) -> str:
    """Say how a file differs by more than other libraries explain; empty where they do."""
    if name.startswith(("data/curves/", "data/losses/")):
        return f"{name}: other bytes, before anything is fitted"
    if first.suffix == ".pdf":
        return ""  # drawn from the numbers as they are; the SVGs have them rounded
    if first.suffix == ".parquet":
        import polars as pl

        rows = (pl.read_parquet(path, glob=False).rows() for path in (first, other))
        return _apart(*([list(row) for row in table] for table in rows), name)
    texts = [path.read_text(encoding="utf-8") for path in (first, other)]
    if first.suffix == ".json":
        return _apart(*map(json.loads, texts), name)
    if first.suffix == ".csv":
        return _apart(*(list(csv.reader(io.StringIO(text))) for text in texts), name)
    return _apart(*(NUMBER.split(DRAWN.sub("", DIGEST.sub("", text))) for text in texts), name)


def _apart(first: Any, other: Any, name: str) -> str:
    return next((f"{name}: {why}" for why in _unlike(first, other, "")), "")


def _unlike(first: Any, other: Any, at: str) -> Iterator[str]:
    if isinstance(first, dict) and isinstance(other, dict) and first.keys() == other.keys():
        for key in first:
            if key != COUNTED:
                yield from _unlike(first[key], other[key], f"{at}/{key}")
    elif isinstance(first, list) and isinstance(other, list) and len(first) == len(other):
        for i, (x, y) in enumerate(zip(first, other, strict=True)):
            yield from _unlike(x, y, f"{at}/{i}")
    elif not _same(first, other):
        yield f"{at} is {str(first)[:60]} and {str(other)[:60]}"


def _same(first: Any, other: Any) -> bool:
    """Say whether two values are the same number to many digits, or else the same words."""
    try:
        return first == other or math.isclose(
            float(first), float(other), rel_tol=MOST, abs_tol=LEAST_APART
        )
    except (TypeError, ValueError):
        words = [
            DIGEST.sub("", value) if isinstance(value, str) else value for value in (first, other)
        ]
        return bool(words[0] == words[1])


if __name__ == "__main__":
    main()
