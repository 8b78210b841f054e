# Names and helpers that every room's rules share; no rules.

import html
import json
import shlex
import sys
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.sourcecache import LocalSourceFile

from isoflop.approach import APPROACHES, BY_KEY, FITTED, LAWS
from isoflop.config.by_sweep import settings_by_sweep
from isoflop.config.config_yaml import Config

# `parse` is a name of Snakemake's own in this namespace
from isoflop.config.reading import parse as parse_settings
from isoflop.config.reading import read_yaml
from isoflop.config.sidecar import SweepFile
from isoflop.errors import IsoflopError
from isoflop.files import FUTURE, digest, from_the_future
from isoflop.folder_lock import JOBS_LOCK, VARIABLE, share_folder
from isoflop.made_outputs import (
    build_begins,
    build_ends,
    changed_outputs,
    mark_incomplete,
    outputs_to_the_present,
    stale_outputs,
)
from isoflop.project import CODE, CONFIG, FACTS, PACKAGE, PUBLISHED, home, project_files, raw_folder
from isoflop.reference import PUBLISHED_LAW_FILES, REFERENCE_FILES
from isoflop.sources import sources
from isoflop.sweep_folders import find_sweeps, fingerprint, listed_files
from isoflop.sweep_folders import raw_files as files_of
from isoflop.walk import because

# the folder of the Snakefile: `.` in a checkout; the wheel's or a checkout's where the workflow runs
# by --directory, by -s or as another project's module. By `github()` or `gitfile()` the rules come
# alone, and the rest is that of the package
RULES = workflow.current_basedir
if isinstance(RULES, LocalSourceFile):
    PROJECT = Path(RULES.path).parent
    PROJECT = Path(".") if PROJECT.resolve() == Path.cwd().resolve() else PROJECT
else:
    PROJECT = home()
    for path in sorted((PROJECT / "rules").glob("*.smk")):
        with workflow.sourcecache.open(RULES.join(path.name)) as stream:
            # a local clone hands a file over without its last line end
            if stream.read().rstrip() != path.read_text(encoding="utf-8").rstrip():
                raise WorkflowError(
                    f"rules/{path.name} was fetched at {RULES.ref} and is not that of the installed "
                    f"isoflop ({PROJECT}). Install the package from that revision, or fetch the rules "
                    "of the package's."
                )

# run.py then knows this process, and each job, from one that was killed
SHARED_LOCK = JOBS_LOCK.absolute()
share_folder(SHARED_LOCK)


def in_prefix(path):
    """Quote a path for the shell, and for Snakemake, which fills in what stands in braces."""
    return shlex.quote(str(path)).replace("{", "{{").replace("}", "}}")


# glibc gives each freed array of some MB back to the system and asks for it anew, which is a fifth of
# the time of a fit of thousands of draws: a job keeps up to 128 MiB of them. Elsewhere nothing reads it
KEEP_ARRAYS = f"MALLOC_MMAP_THRESHOLD_={2**25} MALLOC_TRIM_THRESHOLD_={2**27}"

# `isoflop` must be the one installed beside this snakemake, also where no environment is active;
# in a container it is the image's, whether or not the folder of this one is mounted there
shell.prefix(
    f"export {VARIABLE}={in_prefix(SHARED_LOCK)} {KEEP_ARRAYS}; "
    'test -n "${{APPTAINER_CONTAINER:-}}${{SINGULARITY_CONTAINER:-}}" || '
    f"export PATH={in_prefix(Path(sys.executable).parent)}:$PATH; "
)


onstart:
    build_begins(Path())


onsuccess:
    build_ends(Path())


onerror:
    build_ends(Path())


# a folder without one, by --directory or of `isoflop run`, has the defaults
if Path(CONFIG).exists():
    try:
        Path(CONFIG).open("rb").close()
    except OSError as error:  # Snakemake would end in a traceback
        raise WorkflowError(
            f"{CONFIG}: {because(error)}. Let yourself read it (chmod u+r {CONFIG}), or remove it "
            "where the defaults will do."
        ) from None

    configfile: CONFIG


try:
    config = parse_settings(config, Config, name="config.yaml").model_dump(mode="json")
except IsoflopError as error:
    raise WorkflowError(str(error)) from None


# read under `--software-deployment-method apptainer` alone; docs/clusters.md says how it is built
container: "isoflop.sif"


# the landing page of `snakemake --report`
report: "../workflow/report/workflow.rst"


# the package that a job runs: a checkout's, or an installed wheel's
SOURCES = PROJECT / CODE if (PROJECT / CODE).is_dir() else PACKAGE

# published facts, and defaults: those of the folder that the workflow runs in where it has any
REFERENCE_FOLDER = (
    Path(FACTS) if (Path(FACTS) / REFERENCE_FILES["hoffmann"]).exists() else PROJECT / FACTS
)
CONFIG_FILE = CONFIG if Path(CONFIG).exists() else str(PROJECT / CONFIG)

# jobs read the rules too, and plan nothing
if workflow.is_main_process:
    # Snakemake runs a job, finds an input newer than its outputs, and deletes them
    if early := from_the_future(
        [*SOURCES.rglob("*"), *REFERENCE_FOLDER.glob("*"), Path(CONFIG_FILE)]
        + [*project_files(PROJECT).values()]
    ):
        raise WorkflowError(
            f"{early[0]} {FUTURE}; {len(early)} of the project's files are. Set the clock right, or "
            "date them now, by `touch` of each."
        )
    if latest := outputs_to_the_present(Path()):
        logger.warning(
            f"outputs are dated up to {latest:%Y-%m-%d %H:%M:%S}, which is yet to come: was the clock "
            "changed? They are dated now, in their order, so that what is edited next is newer"
        )

# losses announced before their runs were trained; a project without any has no such file
ANNOUNCED = [local(str(path)) for path in [REFERENCE_FOLDER / "forecast.yaml"] if path.exists()]

# the published facts that figures and reports show; other files of data/reference are not read
REFERENCE = [local(str(REFERENCE_FOLDER / name)) for name in sorted(REFERENCE_FILES.values())]

# the published laws that approach 3 is tested against
PUBLISHED_LAWS = [local(str(REFERENCE_FOLDER / name)) for name in sorted(PUBLISHED_LAW_FILES)]

# whether raw logs and outputs lie in an object store
STORED = workflow.storage_settings.default_storage_provider is not None

# read at parse time: checkpoints miss newly dropped files
SWEEPS, REFUSED = find_sweeps(Path("data/raw"), stored=STORED)


# published numbers beside reproduced ones
RESULTS = f"reports/{PUBLISHED}results.json"


wildcard_constraints:
    # a sweep of data/raw, or one of the catalogue of published studies and maybe a variant of it
    sweep=r"published/[^/@]+|[^/]+",
    variant=r"(@[^/@]+)?",
    study_sweep=r"[^/@]+",
    approach="|".join(BY_KEY),


def memory(megabytes):
    """Ask for memory: what the peaks in docs/scale.md leave room for, twice that at a retry.

    A number and no function of the input, whose size is unknown when jobs are sent as a group.
    """
    return lambda wildcards, attempt: megabytes * 2 ** (attempt - 1)


# what is read as a stream, whatever its size; MB of memory for an MB of the others, of which
# tables take 2.3 (250 MB of CSV: 0.82 GB) and what is packed some ten times as much
STREAMED = (".log", ".txt", ".out", ".err", ".log.gz", ".log.zst", ".txt.gz", ".out.gz")
TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".yaml", ".yml", ".py")
MB_OF_TABLES, MB_OF_OTHERS, MB_OF_A_FILE = 3.0, 24.0, 0.05


def memory_of_logs(wildcards, input, attempt):
    """Ask for memory to read logs, by the peaks in docs/ingest.md: text is streamed."""
    asked = 1000 + MB_OF_A_FILE * len(input)
    for path, megabytes in zip(input, input.size_files_mb):
        if not path.endswith(STREAMED):
            asked += megabytes * (MB_OF_TABLES if path.endswith(TABLES) else MB_OF_OTHERS)
    return int(asked) * 2 ** (attempt - 1)


def minutes(number):
    """Ask for time: ten times and more what docs/scale.md measures, twice at each retry."""
    return lambda wildcards, attempt: number * 2 ** (attempt - 1)


class RawSweep:
    """A sweep of data/raw: its folder is its user's, and each file of it an input of its own."""

    results = []

    def __init__(self, name):
        self.name, self.folder = name, Path(raw_folder(name))
        self.sidecar = self.described = f"{self.folder}/sweep.yaml"

    def raw_files(self):
        """List its raw files.

        data/manifests/<sweep>.txt, where there is one, lists them below the sweep's folder, a path a
        line: logs that lie in an object store and not here.
        """
        listed = listed_files(self.folder)
        if listed is not None:
            return [f"{self.folder}/{name}" for name in listed]
        return [str(path) for path in files_of(self.folder)]

    def raw_logs(self):
        """List its raw files but sweep.yaml, whose settings change no curve."""
        return [path for path in self.raw_files() if path != self.sidecar]

    def raw_state(self):
        """Tell a replaced raw log by size and time."""
        if STORED and listed_files(self.folder) is not None:
            return "as listed"  # Snakemake compares what is in the store
        return fingerprint(self.folder)

    def facts(self):
        """Give what of its sweep.yaml concerns ingest: not the settings, nor what is printed alone."""
        return sweep_file(self.name).of_logs()

    def own_settings(self):
        """Give its own settings, and what they are named by."""
        return sweep_file(self.name).settings, self.sidecar

    def raw_here(self, input):
        """Name the folder that a job finds its raw files in: where they were fetched to."""
        return Path(input.sidecar).parent

    def sidecar_here(self, input):
        """Name the sweep.yaml that a report is written from: where it was fetched to."""
        return Path(input.sidecar)


class PublishedSweep:
    """A sweep of the catalogue of published studies: its folder, sweep.yaml included, is a rule's
    output and one input, and what the folder depends on is the catalogue's entry."""

    results = RESULTS
    sidecar = []

    def __init__(self, name):
        self.name, self.described = name, raw_folder(name)

    def raw_logs(self):
        return [self.described]

    def raw_state(self):
        return ""

    def facts(self):
        return ""

    def own_settings(self):
        """Give its own settings, which name every key, and what they are named by."""
        return catalogue().settings(self.name), REFERENCE_FOLDER / "published.yaml"

    def raw_here(self, input):
        return input.raw

    def sidecar_here(self, input):
        return Path(input.sidecar) / "sweep.yaml"


def sweep_of(name):
    """Give a sweep by its name: nothing else here asks of which kind it is."""
    return PublishedSweep(name) if name.startswith(PUBLISHED) else RawSweep(name)


def of_sweep(asked):
    """Give what the sweep at hand is asked: a path, paths, or a parameter."""

    def answer(wildcards):
        value = getattr(sweep_of(wildcards.sweep), asked)
        return value() if callable(value) else value

    return answer


def of_inputs(asked):
    """Give what a job of the sweep at hand asks of its inputs, wherever they were fetched to."""
    return lambda wildcards, input: getattr(sweep_of(wildcards.sweep), asked)(input)


def folder_of(name):
    """Name the folder that a job finds an input in; of a list, its first one's."""

    def folder(wildcards, input):
        paths = input[name] if isinstance(input[name], str) else input[name][0]
        return Path(paths).parent

    return folder


def published_root(name, above):
    """Name the folder that many steps above an input's first file."""
    return lambda wildcards, input: Path(input[name][0]).parents[above - 1]


@cache
def catalogue():
    """Read the catalogue of published studies; only where one of its sweeps is asked for."""
    from isoflop.published.catalogue import read_catalogue

    try:
        return read_catalogue(REFERENCE_FOLDER / "published.yaml")
    except IsoflopError as error:
        raise WorkflowError(str(error)) from None


def code(room):
    """List the sources a room is made of, so that an edit reruns it and what follows.

    They are here, wherever raw logs and outputs lie: a job runs the installed ones.
    """
    return [local(path) for path in sources(SOURCES, room)]


def settings(section):
    """Give one section of the validated config as the JSON that the command line takes."""
    return json.dumps(config[section], sort_keys=True)


@cache
def sweep_file(sweep):
    """Read the sweep.yaml of a sweep of data/raw."""
    try:
        return read_yaml(Path(sweep_of(sweep).sidecar), SweepFile)
    except IsoflopError as error:
        raise WorkflowError(str(error)) from None


@cache
def sweep_settings(sweep):
    """Lay a sweep's own settings over config.yaml."""
    try:
        overrides, source = sweep_of(sweep).own_settings()
        return settings_by_sweep(config, overrides, name=str(source)).model_dump(mode="json")
    except IsoflopError as error:
        raise WorkflowError(str(error)) from None


# what is refused, and why, is said at once, and again by rule refuse_sweeps when all other sweeps
# are built
for sweep in list(SWEEPS):
    try:
        sweep_settings(sweep)
    except WorkflowError as error:
        SWEEPS.remove(sweep)
        REFUSED.append(str(error))
for complaint in REFUSED:
    logger.warning(f"left out: {complaint}")

# only now, since nothing makes an output of a sweep that is not built
if workflow.is_main_process:
    for output in changed_outputs(Path(), SWEEPS):
        mark_incomplete(Path(), output)
        logger.warning(f"{output} was changed or damaged after it was made; it is made anew")

    for sweep, outputs in stale_outputs(Path()).items():
        logger.warning(
            f"{len(outputs)} outputs are of {sweep}, which data/raw no longer has; "
            "`python3 run.py clean --stale` removes them in a checkout"
        )


def by_sweep(section, *keys):
    """Give one section as it is for the sweep at hand, or some keys of it, as JSON."""

    def chosen(wildcards):
        sweep = wildcards.sweep + getattr(wildcards, "variant", "")
        content = sweep_settings(sweep)[section]
        names = [key.format(**wildcards) for key in keys] or content
        return json.dumps({name: content[name] for name in names}, sort_keys=True)

    return chosen


def estimate_files(sweep):
    """Name all that is estimated of a sweep; other files in the folder are nobody's input."""
    folder = f"data/estimates/{sweep}"
    return [
        *expand("{folder}/{approach}.json", folder=folder, approach=FITTED),
        *expand("{folder}/{approach}.draws.parquet", folder=folder, approach=FITTED),
        f"{folder}/forecast.json",
        f"{folder}/mixture.json",
        f"{folder}/mixture.draws.parquet",
        f"{folder}/specifications.parquet",
    ]


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


def planned_trunk(wildcards):
    """Name the marker of the run that a cooldown branches off; nothing for other runs."""
    run = planned(wildcards.sweep).run_named(wildcards.run, source="data/plans")
    return [] if run.trunk is None else f"data/checkpoints/{wildcards.sweep}/{run.trunk}.done"


def catalogue_entry(wildcards):
    """Give what the catalogue says of one sweep, so that an edit of it fetches it again."""
    study, sweep = catalogue().find(wildcards.study_sweep)
    files = [study.file(path).model_dump(mode="json") for path in sweep.files]
    words = sweep.model_dump(mode="json", include={"title", "sidecar"}, exclude_unset=True)
    return json.dumps(
        [files, words, sweep.own_settings(), str(study.citation), study.licence], sort_keys=True
    )


def published_estimates(wildcards):
    """Name every estimate that a published number is compared with, and its draws."""
    return [
        f"data/estimates/{path}/{approach}.{kind}"
        for path, approach in catalogue().fits()
        for kind in ("json", "draws.parquet")
    ]


def published_folders(wildcards):
    """Name the folder of every published sweep."""
    return [
        f"data/published/{sweep.name}" for study in catalogue().studies for sweep in study.sweeps
    ]


def indexed_sweeps(wildcards, input):
    """Give render-index each sweep's name, side-car, folder of estimates, runs and tables."""
    of_one = len(input.estimates) // len(SWEEPS)
    folders = [Path(path).parent for path in input.estimates[::of_one]]
    sweeps = zip(SWEEPS, input.sidecars, folders, input.runs, input.tables, strict=True)
    return [word for sweep in sweeps for word in ("--sweep", *sweep)]


def built_published():
    """Give render-index the published studies where they were built, and digests of what came out.

    No input: the index of every build would then ask for all studies.
    """
    if not Path(RESULTS).is_file():
        return [[], ""]
    words, digests = ["--published", RESULTS], [digest(Path(RESULTS))]
    for sweep in reported():
        tables = Path(f"reports/{sweep}/tables")
        if not Path(f"reports/{sweep}/report.html").is_file():
            continue
        folder = f"data/published/{sweep.removeprefix(PUBLISHED)}/sweep.yaml"
        estimates, runs = f"data/estimates/{sweep}", f"data/curves/{sweep}.runs.parquet"
        words += ["--study-sweep", sweep, folder, estimates, runs, str(tables)]
        answer = tables / "answer.csv"
        digests.append(digest(answer) if answer.is_file() else "")
    return [words, " ".join(digests)]


def reported():
    """Name the published sweeps that have a report."""
    return [f"{PUBLISHED}{sweep.name}" for study in catalogue().studies for sweep in study.reported]


def published_reports(wildcards):
    """Name the reports of all published sweeps."""
    kinds = ["reports/{sweep}/report.html", "reports/{sweep}/report.pdf"]
    return expand(kinds, sweep=reported())


@cache
def backtested():
    """List the sweeps of the backtest: the catalogue's, and those of data/raw, each its own study."""
    published = [
        {
            "sweep": sweep.name,
            "study": study.name,
            "losses": f"data/losses/{PUBLISHED}{sweep.name}.parquet",
            "part": sweep.backtest.model_dump(mode="json"),
        }
        for study in catalogue().studies
        for sweep in study.sweeps
        if sweep.backtest is not None
    ]
    raw = [
        {"sweep": sweep, "study": sweep, "losses": f"data/losses/{sweep}.parquet", "part": {}}
        for sweep in SWEEPS
    ]
    return raw + published


def backtest_losses(wildcards):
    """Name the losses of every sweep of the backtest."""
    return [entry["losses"] for entry in backtested()]


def backtest_plan(wildcards):
    """Say how each sweep takes part in the backtest."""
    return json.dumps({"sweeps": backtested()}, sort_keys=True)


def figure_labels(wildcards):
    """Say in `snakemake --report`, which comes after the build, what a figure shows."""
    manifest = Path(f"reports/{wildcards.sweep}/figures/figures.json")
    words = json.loads(manifest.read_text(encoding="utf-8"))[wildcards.name]
    finding = words["alt"] if words["shown"] else words["reason"]
    return {"kind": "figure", "name": wildcards.name, "finding": finding}


def report_labels(name):
    """Say in `snakemake --report` what a sweep's report recommends: its title."""

    def labels(wildcards):
        page = Path(f"reports/{wildcards.sweep}/report.html").read_text(encoding="utf-8")
        finding = html.unescape(page.split("<title>", 1)[1].split("</title>", 1)[0])
        return {"kind": "report", "name": name, "finding": finding}

    return labels


def sweeps_with(*patterns):
    """Name the outputs of every sweep, or say what to drop where when there is nothing at all."""

    def names(wildcards):
        if not SWEEPS and not REFUSED:
            raise WorkflowError(
                "data/raw has no sweep. Put the raw logs of a sweep into data/raw/<sweep>/ "
                "with a sweep.yaml beside them (docs/ingest.md shows one), then run again."
            )
        return expand(patterns, sweep=SWEEPS)

    return names


# of every sweep, and of all together if there is any
REPORTS = sweeps_with("reports/{sweep}/report.html", "reports/{sweep}/report.pdf")
INDEX = ["reports/index.html"] if SWEEPS else []
# never made, so that every build says what cannot be built
COMPLAINTS = ["reports/refused.txt"] if REFUSED else []
