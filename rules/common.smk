# Names and helpers that every room's rules share; no rules.

import json
import os
import sys
from functools import cache
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
# fitted where the catalogue of published studies asks for them
FURTHER_LAWS = ["overtraining", "data_constrained"]

# read at parse time: checkpoints miss newly dropped files
SWEEPS = sorted(folder.name for folder in Path("data/raw").glob("*/") if folder.name[0] != ".")

LOOSE = sorted(
    str(path)
    for path in Path("data/raw").glob("*")
    if path.is_file() and path.name[0] != "." and path.name != "README.md"
)


wildcard_constraints:
    # a sweep of data/raw, or one of the catalogue of published studies
    sweep=r"(published/)?[^/]+",
    study_sweep=r"[^/@]+",
    approach="|".join([*APPROACHES, *FURTHER_LAWS]),


def is_published(sweep):
    """Tell a sweep of the catalogue from one of data/raw."""
    return sweep.startswith("published/")


def raw_folder(sweep):
    """Name the folder of a sweep's raw files."""
    return f"data/{sweep}" if is_published(sweep) else f"data/raw/{sweep}"


def raw_files(sweep):
    """List a sweep's raw files, hidden ones left out; a published sweep's come as one folder."""
    folder = Path(raw_folder(sweep))
    if is_published(sweep):
        return [str(folder)]
    return sorted(
        str(path)
        for path in folder.rglob("*")
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


@cache
def catalogue():
    """Read the catalogue of published studies; only where one of its sweeps is asked for."""
    from isoflop.published.catalogue import read_catalogue

    try:
        return read_catalogue(Path("data/reference/published.yaml"))
    except IsoflopError as error:
        raise WorkflowError(str(error)) from None


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
