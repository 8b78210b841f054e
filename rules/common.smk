# Names and helpers that every room's rules share; no rules.

import json
import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

# `parse` and `config` are names of Snakemake's own in this namespace
from isoflop import config as models
from isoflop.errors import IsoflopError
from isoflop.sources import sources

# `isoflop` must be the one installed beside this snakemake, also where no environment is active
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])

try:
    config = models.parse(config, models.Config, source="config.yaml").model_dump(mode="json")
except IsoflopError as error:
    raise WorkflowError(str(error)) from None

APPROACHES = ["envelope", "profiles", "parametric", "kaplan"]

# read at parse time: checkpoints miss newly dropped files
SWEEPS = sorted(folder.name for folder in Path("data/raw").glob("*/") if folder.name[0] != ".")

LOOSE = sorted(
    str(path)
    for path in Path("data/raw").glob("*")
    if path.is_file() and path.name[0] != "." and path.name != "README.md"
)


wildcard_constraints:
    sweep=r"[^/]+",
    approach="|".join(APPROACHES),


def raw_files(sweep):
    """List a sweep's raw files, hidden ones left out."""
    folder = Path("data/raw") / sweep
    return sorted(
        str(path)
        for path in folder.rglob("*")
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def code(room):
    """List the sources a room is made of, so that an edit reruns it and what follows."""
    return sources(Path("src/isoflop"), room)


def settings(section):
    """Give one section of the validated config as the JSON that the command line takes."""
    return json.dumps(config[section], sort_keys=True)


def sweeps_with(pattern):
    """Name one output per sweep, or say what to drop where when there is no sweep."""

    def names(wildcards):
        if not SWEEPS:
            raise WorkflowError(
                "data/raw holds no sweep. Put the raw logs of a sweep into data/raw/<sweep>/ "
                "with a sweep.yaml beside them (docs/ingest.md shows one), then run again."
            )
        if LOOSE:
            raise WorkflowError(
                f"{', '.join(LOOSE)}: outside any sweep. Move raw logs into data/raw/<sweep>/."
            )
        return expand(pattern, sweep=SWEEPS)

    return names
