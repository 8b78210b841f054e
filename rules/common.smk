# Names and helpers that every room's rules share; no rules.

import json
import shlex
import sys
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError

from isoflop.approach import APPROACHES, BY_KEY
from isoflop.config.config_yaml import Config

# `parse` is a name of Snakemake's own in this namespace
from isoflop.config.reading import parse as parse_settings
from isoflop.errors import IsoflopError
from isoflop.folder_lock import VARIABLE, share_folder
from isoflop.sources import sources

# run.py then knows this process, and each job, from one that was killed
JOBS_LOCK = Path(".run/jobs.lock").absolute()
share_folder(JOBS_LOCK)

# `isoflop` must be the one installed beside this snakemake, also where no environment is active
shell.prefix(
    f"export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH "
    f"{VARIABLE}={shlex.quote(str(JOBS_LOCK))}; "
)

try:
    config = parse_settings(config, Config, source="config.yaml").model_dump(mode="json")
except IsoflopError as error:
    raise WorkflowError(str(error)) from None

# read under `--software-deployment-method conda` alone
ENVIRONMENT = "../workflow/envs/isoflop.yaml"

# the published facts that figures and reports show; other files of data/reference are not read
REFERENCE = [
    "data/reference/besiroglu2024.yaml",
    "data/reference/effects.yaml",
    "data/reference/gopher_chinchilla.yaml",
    "data/reference/hoffmann2022.yaml",
    "data/reference/kaplan2020.yaml",
]

# the published laws that approach 3 is tested against
PUBLISHED_LAWS = [
    "data/reference/besiroglu2024.yaml",
    "data/reference/hoffmann2022.yaml",
]

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
    approach="|".join(BY_KEY),


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


def losses_settings(wildcards):
    """Give section losses; for a published sweep what the catalogue says, not config.yaml."""
    if is_published(wildcards.sweep):
        return catalogue().losses_settings(wildcards.sweep).model_dump_json()
    return settings("losses")


def approach_settings(wildcards):
    """Give what all approaches share and this approach's own part, so that one key reruns one."""
    section = config["approaches"]
    if is_published(wildcards.sweep):
        found = catalogue().approaches_settings(wildcards.sweep, wildcards.approach)
        section = found.model_dump(mode="json")
    keys = ["counting", "bootstrap", wildcards.approach]
    return json.dumps({key: section[key] for key in keys}, sort_keys=True)


def forecast_settings(wildcards):
    """Give the parts of section approaches that a forecast uses: all but the further laws'."""
    section = config["approaches"]
    keys = ["counting", "bootstrap", "forecast", *APPROACHES]
    return json.dumps({key: section[key] for key in keys}, sort_keys=True)


def specifications_settings():
    """Give all that the approaches of every sweep are fitted by, and the grids of choices."""
    keys = ["counting", "bootstrap", *APPROACHES, "specifications"]
    return json.dumps({key: config["approaches"][key] for key in keys}, sort_keys=True)


def fitted_losses(wildcards):
    """Name the losses that are fitted: those of the sweep, whatever the variant of the fit."""
    return f"data/losses/{wildcards.sweep.partition('@')[0]}.parquet"


def wanted_budgets(wildcards):
    """Give the budgets at which optima are wanted."""
    budgets = config["report"]["budgets"]
    if is_published(wildcards.sweep):
        budgets = catalogue().find(wildcards.sweep)[1].budgets
    return [f"--budgets={budget!r}" for budget in budgets]


@cache
def planned(sweep):
    """Read a sweep's plan; only when `train` is asked for, and once."""
    from isoflop.train.plan_file import read_plan

    return read_plan(Path("data/plans") / f"{sweep}.yaml")


def planned_markers(wildcards):
    """Name the marker of every run of the plan that config.yaml names."""
    plan = planned(config["train"]["plan"])
    return [f"data/checkpoints/{plan.sweep}/{run.run}.done" for run in plan.runs]


def planned_corpus(wildcards):
    """Name the text that a plan's runs are trained on."""
    return f"data/corpora/{planned(wildcards.sweep).corpus.name}.txt"


def catalogue_entry(wildcards):
    """Give what the catalogue says of one sweep, so that an edit of it fetches it again."""
    study, sweep = catalogue().find(wildcards.study_sweep)
    files = [study.file(path).model_dump(mode="json") for path in sweep.files]
    said = sweep.model_dump(mode="json", include={"title", "sidecar"}, exclude_unset=True)
    return json.dumps([files, said, str(study.citation), study.licence], sort_keys=True)


def published_estimates(wildcards):
    """Name every estimate that a published number is compared with."""
    return [f"data/estimates/{path}/{fit.approach}.json" for path, fit in catalogue().fits()]


def published_folders(wildcards):
    """Name the folder of every published sweep."""
    return [
        f"data/published/{sweep.name}" for study in catalogue().studies for sweep in study.sweeps
    ]


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
