"""What config.yaml and the side-car files may say.

One model per section, one section per room. Every model is frozen and refuses unknown keys; the
defaults here equal the shipped config.yaml, and workflow/schemas/config.schema.json is generated
from here (a test keeps the three in step).
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypeVar

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from isoflop.counting import FlopsConvention, ParamsConvention
from isoflop.errors import ConfigError


class Section(BaseModel):
    """A frozen part of a YAML file in which every key is known."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


Model = TypeVar("Model", bound=BaseModel)


def read_yaml(path: Path, model: type[Model]) -> Model:
    """Read a YAML file into its model.

    Raises
    ------
    ConfigError : the file is absent or no YAML, or does not fit the model; all complaints at once.
    """
    return parse(_read_mapping(path), model, source=str(path))


def _read_mapping(path: Path) -> Mapping[str, Any]:
    """Read a YAML file that holds keys and values."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from error
    if content is None:
        return {}
    if not isinstance(content, Mapping):
        raise ConfigError(f"{path}: expected keys and values, found {type(content).__name__}")
    return content


def parse(content: Any, model: type[Model], *, source: str) -> Model:
    """Validate parsed YAML against its model, with one message for all complaints.

    Raises
    ------
    ConfigError : naming the source, each key, and the nearest known key for a misspelt one.
    """
    if content is None:
        content = {}
    if not isinstance(content, Mapping):
        raise ConfigError(f"{source}: expected keys and values, found {type(content).__name__}")
    try:
        return model.model_validate(content)
    except ValidationError as error:
        lines = [_complaint(item, model) for item in error.errors()]
        raise ConfigError("\n".join(f"{source}: {line}" for line in lines)) from error


def settings_from(text: str, section: str, model: type[Model]) -> Model:
    """Read one room's settings as the command line gives them.

    Parameters
    ----------
    text : the section as JSON (what the rules pass), or the path of a config.yaml.
    section : key of the section in config.yaml.
    model : model of the section.

    Raises
    ------
    ConfigError : the text is neither, or does not fit the model.
    """
    if text.lstrip().startswith("{"):
        try:
            content = json.loads(text)
        except json.JSONDecodeError as error:
            raise ConfigError(f"--settings: not valid JSON: {error}") from error
        return parse(content, model, source=f"--settings ({section})")
    return parse(_read_mapping(Path(text)).get(section), model, source=f"{text}: {section}")


def _complaint(item: Any, model: type[BaseModel]) -> str:
    """Say one validation error the way a colleague would."""
    location = tuple(str(part) for part in item["loc"])
    where = ".".join(location[:-1])
    place = f" in {where}" if where else ""
    if item["type"] == "extra_forbidden":
        known = _keys_at(model, location[:-1])
        close = difflib.get_close_matches(location[-1], known, n=1)
        hint = f"; did you mean '{close[0]}'?" if close else f"; known keys: {', '.join(known)}"
        return f"unknown key '{location[-1]}'{place}{hint}"
    if item["type"] == "missing":
        return f"key '{location[-1]}'{place} is missing"
    if item["type"] == "value_error":  # one of our own validators: its words say it all
        return f"{'.'.join(location)}: {item['ctx']['error']}"
    value = item.get("input")
    return f"{'.'.join(location)}: {item['msg']} (found {value!r})"


def _keys_at(model: type[BaseModel], location: tuple[str, ...]) -> list[str]:
    """List the keys a model knows at a place, following nested models and containers of them."""
    inside: type[BaseModel] | None = model
    in_container = False
    for part in location:
        if inside is None:
            return []
        if in_container:
            # this part is a key of a dict or an index of a list: its model is already in hand
            in_container = False
            continue
        field = inside.model_fields.get(part)
        annotation = field.annotation if field is not None else None
        inside = _model_inside(annotation)
        in_container = getattr(annotation, "__origin__", None) in (dict, list, tuple)
    return sorted(inside.model_fields) if inside is not None else []


def _model_inside(annotation: Any) -> type[BaseModel] | None:
    """Find the model inside an annotation such as dict[str, Model] or Model | None."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _model_inside(argument)
        if found is not None:
            return found
    return None


class SweepCorpus(Section):
    """The text a sweep is trained on."""

    name: str
    """Name of the recipe data/reference/corpora/<name>.yaml and of data/corpora/<name>.txt."""
    holdout_every: int = Field(gt=1)
    """Every k-th novel of the recipe's list is held out whole for validation; unit: novels."""


class SweepTokenizer(Section):
    """How text becomes tokens."""

    kind: Literal["bytes", "bpe"]
    """bytes: the 256 bytes; bpe: a byte-level BPE vocabulary trained on the training split."""
    vocab_size: int = Field(ge=256, le=65_536)
    """Rows of the embedding; 256 for bytes."""


class SweepOptimizer(Section):
    """AdamW and what goes with it."""

    beta1: float
    """Decay of the first moment."""
    beta2: float
    """Decay of the second moment; nearer to 1 for small batches (Porian et al. 2024)."""
    eps: float
    """Added to the root of the second moment."""
    weight_decay: float
    """Decoupled, times the learning rate; matrices only, not norm gains."""
    grad_clip: float
    """Largest global norm of a gradient."""


class SweepEvaluation(Section):
    """How the validation loss is measured."""

    windows: int = Field(gt=0)
    """Fixed windows of seq_len tokens, spread evenly over the held-out novels."""
    evaluations: int = Field(gt=1)
    """Evaluations along a run, half log-spaced and half evenly spaced; the last at the end."""


class SweepLadder(Section):
    """The sizes of a sweep: one ladder for all budgets, so a size recurs at several horizons."""

    smallest: float
    """Smallest size; unit: parameters, by convention total."""
    largest: float
    """Largest size; unit: parameters, by convention total."""
    sizes: int = Field(ge=3)
    """Number of sizes, log-spaced from smallest to largest."""
    aspect: float
    """Width over depth (d_model / layers) to aim at."""
    d_head: int
    """Width of an attention head to aim at."""


class SweepOptimum(Section):
    """The optimal size expected before anything is trained: N = params (C/budget)^exponent."""

    params: float
    """Optimal size at the budget below; unit: parameters, by convention total."""
    budget: float
    """Budget at which it holds; unit: FLOP."""
    exponent: float
    """How it grows with compute; 0.5 as in Hoffmann et al. (2022)."""


class SweepTunedRate(Section):
    """The best peak learning rate found at one size."""

    params: float = Field(gt=0)
    """Size; unit: parameters, by convention total."""
    rate: float = Field(gt=0)
    """Its peak rate."""


class SweepLearningRate(Section):
    """Peak learning rate by size: a power law between each two tuned sizes, and beyond them."""

    tuned: tuple[SweepTunedRate, ...] = Field(min_length=2)
    """Tuned sizes, from small to large."""
    end_share: float = Field(gt=0, le=1)
    """The cosine ends at this share of the peak."""
    origin: str
    """Where the rates come from."""


class SweepTuning(Section):
    """A grid on which the learning rate is tuned; its runs are recorded under role tuning."""

    budget: float
    """Budget of each run; unit: FLOP."""
    params: tuple[float, ...]
    """Sizes to tune (the nearest on the ladder); unit: parameters, by convention total."""
    rates: tuple[float, ...]
    """Peak rates tried at each size."""


class SweepHorizons(Section):
    """Horizons of each size beside the IsoFLOP runs (Hoffmann et al. 2022, Approach 1)."""

    span: float = Field(ge=1)
    """Longest over shortest horizon of a size."""
    count: int = Field(ge=2)
    """Horizons of a size, log-spaced over the span."""
    near: float = Field(ge=1)
    """An IsoFLOP run within this factor of a horizon stands for it."""


class SweepReplicates(Section):
    """Cells trained with more seeds, for the noise."""

    budget: float
    """Budget of the cells; unit: FLOP."""
    params: tuple[float, ...]
    """Sizes of the cells (the nearest on the ladder); unit: parameters, by convention total."""
    seeds: tuple[int, ...]
    """Further seeds."""


class SweepCheck(Section):
    """Matched-compute runs above the fitted budgets, one per exponent."""

    budget: float
    """Their budget; unit: FLOP."""
    middle_budget: float
    """Budget whose measured optimum they start from; unit: FLOP."""
    optimum_params: float
    """The measured optimum there; unit: parameters, by convention total."""
    origin: str
    """How it was measured."""
    exponents: dict[str, float]
    """Name and exponent of N_opt ~ C^exponent of each run."""


class SweepDesign(Section):
    """One sweep to plan."""

    description: str
    """What the sweep is for."""
    corpus: SweepCorpus
    tokenizer: SweepTokenizer
    seq_len: int
    """Context; unit: tokens."""
    tokens_per_step: int
    """Batch; unit: tokens."""
    tied: bool
    """Whether the head reuses the embedding."""
    gated: bool
    """Whether the feed-forward layer is gated."""
    qk_norm: bool
    """Whether queries and keys are normed; steadier at high learning rates."""
    flops_convention: Literal["6nd", "hoffmann", "attention", "kaplan"]
    """Which FLOPs per token turn a budget into tokens."""
    ladder: SweepLadder
    """The sizes."""
    budgets: tuple[float, ...]
    """IsoFLOP budgets; unit: FLOP."""
    sizes_per_budget: int = Field(ge=5)
    """Sizes of the ladder at each budget, centred on the expected optimum."""
    optimum: SweepOptimum
    """Where the valleys are expected."""
    learning_rate: SweepLearningRate
    """The learning-rate rule."""
    warmup_share: float = Field(ge=0, lt=1)
    """Share of a run's steps that is linear warm-up."""
    optimizer: SweepOptimizer
    """AdamW."""
    evaluation: SweepEvaluation
    """Validation."""
    log_lines: int
    """Training lines per log, about."""
    seed: int
    """Seed of weights and data order, the same for all but the replicates."""
    tuning: tuple[SweepTuning, ...] = ()
    """Learning-rate tuning."""
    horizons: SweepHorizons | None = None
    """Horizons beside the IsoFLOP runs."""
    replicates: tuple[SweepReplicates, ...] = ()
    """Cells with more seeds."""
    check: SweepCheck | None = None
    """Matched-compute check runs."""


class SweepSettings(Section):
    """Sweeps that the project trains itself."""

    plan: str = "novels-cpu"
    """Which plan of data/plans/ `snakemake train` runs."""
    gpu: bool = False
    """Train on a GPU; each training job then asks for one (`resources: gpu`)."""
    runs_per_gpu: int = Field(default=1, ge=1, le=100)
    """Runs packed on one card: a job takes 100 / this of `--resources gpu_share=100`."""
    designs: dict[str, SweepDesign] = Field(default_factory=dict)
    """Designs for `isoflop plan-sweep`, by name."""


class ArchiveSettings(Section):
    """What goes into the file archived with a paper."""

    include_raw: bool = True
    """Whether the raw logs themselves go in; their digests always do. Turn off where the logs are
    large and kept elsewhere."""


class IngestSettings(Section):
    """How raw logs are read."""

    on_unreadable: Literal["record", "stop"] = "record"
    """record: the report says why a file could not be read; stop: that is an error (for CI)."""


class LossesSettings(Section):
    """Which losses are fitted, and how they are smoothed."""

    loss: Literal["auto", "eval", "train"] = "auto"
    """eval: held-out loss as logged; train: training loss, smoothed; auto: eval if every run that
    counts has at least min_evals of it, else train. One kind for all runs of a sweep."""
    min_evals: int = Field(default=6, ge=1)
    """Evaluations a run needs for auto to choose eval; a shorter curve shows no envelope."""
    smoothing: float = Field(default=0.05, ge=0, lt=1)
    """Half-width of the smoothing window of training loss, as a share of the tokens D at its
    centre; 0 takes each logged value as it is. Widen it for noisy (small) batches."""
    points_per_run: int = Field(default=200, ge=2)
    """Most points kept per run, evenly spaced in log D; fewer logged points are all kept."""
    min_schedule_fraction: float = Field(default=0.99, gt=0, le=1)
    """Share of its learning-rate schedule a run must have done for its last loss to be a final
    loss: before the decay is over a loss says nothing of the run's size (Hoffmann et al. 2022)."""
    spike_sigmas: float | None = Field(default=None, gt=0)
    """Drop training losses this many robust standard deviations of a line's noise above the lines
    before and after; null keeps all. Use it where spikes are artefacts, not the model."""


class RunArchitecture(Section):
    """Shape of a decoder-only transformer, as far as it is known."""

    layers: int | None = Field(default=None, gt=0)
    """Number of blocks."""
    d_model: int | None = Field(default=None, gt=0)
    """Width of the residual stream."""
    heads: int | None = Field(default=None, gt=0)
    """Attention heads per block."""
    d_head: int | None = Field(default=None, gt=0)
    """Width of a head; d_model / heads unless given."""
    d_ff: int | None = Field(default=None, gt=0)
    """Width of the feed-forward layer."""
    vocab_size: int | None = Field(default=None, gt=0)
    """Rows of the embedding; unit: tokens."""
    seq_len: int | None = Field(default=None, gt=0)
    """Context length; unit: tokens."""
    tied: bool | None = None
    """Whether the head reuses the embedding."""
    gated: bool | None = None
    """Whether the feed-forward layer has a gate."""


class RunParams(Section):
    """Parameter counts by convention, where they are known outright."""

    total: float | None = Field(default=None, gt=0)
    """With embedding and head."""
    nonembedding: float | None = Field(default=None, gt=0)
    """Without embedding and head (Kaplan)."""
    with_head: float | None = Field(default=None, gt=0)
    """Without input embedding, with head (Porian)."""


class RunSchedule(Section):
    """The learning rate over a run."""

    kind: str | None = None
    """cosine, linear, wsd, ...; 'constant' and 'unknown' need no length."""
    steps: float | None = Field(default=None, gt=0)
    """Length of the schedule; unit: optimiser steps."""
    tokens: float | None = Field(default=None, gt=0)
    """Length of the schedule, if not given in steps; unit: tokens."""
    warmup_steps: float | None = Field(default=None, ge=0)
    """Length of the warm-up; unit: optimiser steps."""
    lr_peak: float | None = Field(default=None, gt=0)
    """Highest learning rate."""
    lr_end: float | None = Field(default=None, ge=0)
    """Learning rate at the end."""


LossUnit = Literal["nats_per_token", "bits_per_token", "bits_per_byte", "perplexity"]


class RunFacts(Section):
    """What is known of a run besides its curve; a log and sweep.yaml use the same words."""

    role: Literal["fit", "tuning", "check"] | None = None
    """fit: an observation; tuning: a trial, left out; check: held back to test predictions."""
    budget: float | None = Field(default=None, gt=0)
    """Compute budget the run was planned for; unit: FLOP."""
    architecture: RunArchitecture = RunArchitecture()
    """Shape."""
    params: RunParams = RunParams()
    """Parameter counts."""
    tokens_per_step: float | None = Field(default=None, gt=0)
    """Tokens in one optimiser step, over all ranks and accumulation steps."""
    batch: float | None = Field(default=None, gt=0)
    """Sequences in one optimiser step; with architecture.seq_len it gives tokens_per_step."""
    flops_per_token: float | None = Field(default=None, gt=0)
    """Training FLOPs per token by the trainer's own count."""
    schedule: RunSchedule = RunSchedule()
    """Learning rate."""
    loss_unit: LossUnit | None = None
    """Unit of the logged losses; nats_per_token unless given."""
    bytes_per_token: float | None = Field(default=None, gt=0)
    """Mean bytes of a token; needed to turn bits_per_byte into nats per token."""
    loss_kind: Literal["instant", "interval_mean", "ema", "running_mean", "final"] | None = None
    """What a logged training loss averages over."""
    primary_eval: str | None = None
    """The eval set whose loss is fitted."""
    dataset: str | None = None
    """Name of the training data."""
    unique_tokens: float | None = Field(default=None, gt=0)
    """Distinct training tokens available."""
    tokenizer: str | None = None
    """Name of the tokenizer."""
    seed: int | None = None
    """Seed."""


class TableColumn(Section):
    """Where a value of a generic table comes from: a column, or a formula over columns."""

    column: str | None = None
    """Name of the column."""
    formula: str | None = None
    """SQL expression over columns, such as '"Training FLOP" / (6 * "Model Size")'."""
    scale: float = 1.0
    """Factor to our unit, such as 1e9 for a column in billions."""

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.column is None) == (self.formula is None):
            raise ValueError("give either 'column' or 'formula'")
        return self


class TableExclusion(Section):
    """Rows of a generic table that are left out."""

    where: str
    """SQL condition over the table's columns, such as 'loss > 4'."""
    reason: str
    """Why."""


class TableMap(Section):
    """How to read generic tables (CSV, Parquet, JSON lines)."""

    rows: Literal["points", "runs"]
    """points: a row is a point of a run's curve; runs: a row is a finished run."""
    columns: dict[str, TableColumn]
    """For each value (run, step, tokens, eval_loss, params.total, ...) its column or formula."""
    select: str | None = None
    """SQL condition: the rows this sweep is about; unset: all."""
    exclude: tuple[TableExclusion, ...] = ()
    """Rows left out, each with its reason."""

    @field_validator("columns", mode="before")
    @classmethod
    def _short_form(cls, columns: Any) -> Any:
        """Let `tokens: D` stand for `tokens: {column: D}`."""
        if not isinstance(columns, Mapping):
            return columns
        return {k: {"column": v} if isinstance(v, str) else v for k, v in columns.items()}

    @field_validator("columns")
    @classmethod
    def _known_values(cls, columns: dict[str, TableColumn]) -> dict[str, TableColumn]:
        known = (*TABLE_POINT_VALUES, *fact_names())
        for name in columns:
            if name not in known:
                close = difflib.get_close_matches(name, known, n=1)
                hint = f"did you mean '{close[0]}'?" if close else f"known: {', '.join(known)}"
                raise ValueError(f"unknown value '{name}'; {hint}")
        return columns


TABLE_POINT_VALUES = (
    "run", "step", "tokens", "flops", "train_loss", "eval_loss", "lr", "grad_norm",
    "tokens_per_second",
)  # fmt: skip
"""What a row of a generic table may give besides the facts of its run."""


def fact_names(model: type[BaseModel] = RunFacts, prefix: str = "") -> tuple[str, ...]:
    """List the facts of a run by dotted name, such as 'architecture.layers'."""
    names: list[str] = []
    for name, field in model.model_fields.items():
        inner = _model_inside(field.annotation)
        dotted = f"{prefix}{name}"
        names.extend((dotted,) if inner is None else fact_names(inner, f"{dotted}."))
    return tuple(names)


class RunRule(RunFacts):
    """Facts of the files or runs that match a glob."""

    match: str
    """Glob over the path below the sweep's folder, or over the run's name; * also crosses '/'."""
    run: str | None = None
    """Name of the run; files given the same name are one run, in order of their paths."""
    format: str | None = None
    """Format of the matching files, where recognition errs."""
    table: TableMap | None = None
    """Column map of the matching files."""
    config: tuple[str, ...] = ()
    """Configuration files of the matching runs, below the sweep's folder; later ones win."""
    path_facts: str | None = None
    r"""Regular expression over the path, whose named groups are facts, dots as double underscores:
    'N(?P<params__total>\d+)_D'."""


class Exclusion(Section):
    """A run that is read but not fitted."""

    match: str
    """Glob over the path below the sweep's folder, or over the run's name."""
    reason: str
    """Why."""


class Ignored(Section):
    """A file in the sweep's folder that is no log."""

    match: str
    """Glob over the path below the sweep's folder."""
    reason: str
    """What it is."""


class BudgetGrid(Section):
    """Nominal budgets that runs are assigned to."""

    values: tuple[float, ...] = Field(min_length=1)
    """The budgets; unit: FLOP."""
    tolerance: float = Field(default=0.1, gt=0)
    """Largest distance of a run's 6ND from its budget, as a share of the budget."""


class SweepFile(Section):
    """data/raw/{sweep}/sweep.yaml: what the logs of a sweep do not say."""

    title: str
    """One line for the report's head."""
    description: str = ""
    """What was trained, and what for."""
    citation: str = ""
    """Where the sweep was published."""
    licence: str = ""
    """Licence of the logs."""
    format: str | None = None
    """Format of all files, where recognition errs."""
    table: TableMap | None = None
    """Column map of generic tables."""
    facts: RunFacts = RunFacts()
    """Facts of every run."""
    runs: tuple[RunRule, ...] = ()
    """Facts by run: every matching rule counts, and a later one wins key by key."""
    exclude: tuple[Exclusion, ...] = ()
    """Runs that are read but not fitted."""
    ignore: tuple[Ignored, ...] = ()
    """Files that are no logs."""
    budgets: BudgetGrid | None = None
    """Nominal budgets, for runs whose log names none."""


# --- approaches -----------------------------------------------------------------------------------

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]


class CountingSettings(Section):
    """How N and C are counted; see docs/counting.md."""

    params: ParamsConvention = "total"
    """N: total | nonembedding (Kaplan) | with_head (Porian)."""
    flops: FlopsConvention = "6nd"
    """C: 6nd | kaplan | hoffmann | attention | logged."""


class BootstrapSettings(Section):
    """How runs are resampled, and which intervals are derived from the draws."""

    draws: int = Field(default=4000, ge=0)
    """Refits per approach; 0 switches intervals off."""
    seed: int = Field(default=0, ge=0)
    """Draw i is seeded by (seed, i), so more draws leave the first ones as they were."""
    scheme: Literal["runs", "subsample", "residual", "wild"] = "runs"
    """runs: n runs with replacement; subsample: a share without replacement (Hoffmann et al.);
    residual | wild: refit fitted losses plus reshuffled | sign-flipped residuals."""
    stratify: bool = True
    """Resample within each planned budget, so that no draw loses one by chance."""
    subsample: float = Field(default=0.8, gt=0.0, lt=1.0)
    """Share of runs that scheme `subsample` keeps."""
    interval: Literal["percentile", "bca", "studentised", "calibrated"] = "calibrated"
    """How intervals are read off the draws. calibrated: percentiles, at the level that held the
    truth often enough in simulated sweeps of the same design; where no level does, the report says
    how often they hold it."""
    simulations: int = Field(default=200, ge=50)
    """Simulated sweeps behind calibrated intervals."""
    simulation_draws: int = Field(default=100, ge=40)
    """Refits of each simulated sweep."""
    levels: tuple[float, ...] = Field(default=(0.8, 0.95), min_length=1)
    """Nominal coverage of each interval; 0.8 runs from the 10th to the 90th percentile."""


class EnvelopeSettings(Section):
    """Approach 1: the lowest loss over all curves at each C."""

    frontier: Literal["grid", "hull"] = "grid"
    """grid: lowest loss at log-spaced C (Hoffmann et al.); hull: vertices of the lower convex hull
    of log L over log C (Gemstones)."""
    grid_points: int = Field(default=1500, ge=10)
    """Values of C at which the lowest loss is taken (frontier `grid`)."""
    edge: Literal["trim", "keep"] = "trim"
    """trim: leave out where the smallest or the largest size wins, since one beyond it might have;
    keep: take the whole envelope (Hoffmann et al., Gemstones)."""
    min_sizes: int = Field(default=3, ge=2)
    """Fewest distinct sizes on the envelope that is fitted; below it the fit is refused."""
    min_schedule_fraction: float = Field(default=0.0, ge=0.0, le=1.0)
    """Only points with at least this share of their schedule done; 0 takes the whole curve."""


class ProfilesSettings(Section):
    """Approach 2: the minimum of loss over size at each compute budget."""

    budgets: tuple[float, ...] | None = None
    """Budgets [FLOP]; by default the planned ones, or else groups of final C."""
    tolerance: float = Field(default=0.1, gt=0.0)
    """Largest relative distance of a run's C from its budget."""
    axis: Literal["params", "tokens"] = "params"
    """Fit the loss over log N or over log D."""
    curve: Literal["parabola", "log_parabola", "akima"] = "parabola"
    """parabola of L in log N (Hoffmann et al.); log_parabola: of log L; akima: spline of log L
    (Porian et al.)."""
    window: int | None = Field(default=None, ge=3)
    """Only the so many lowest losses of each budget; by default all."""
    min_sizes: int = Field(default=5, ge=3)
    """Fewest distinct sizes that a budget must have."""
    min_budgets: int = Field(default=3, ge=2)
    """Fewest budgets with a minimum inside their sizes."""
    interpolate: bool = False
    """Read each curve at exactly the budget where the run reaches it, instead of its end."""
    outliers: float | None = Field(default=None, gt=0.0)
    """Leave out runs further than so many sd from the parabola through the others; none if null."""
    edge: Literal["refuse", "keep"] = "refuse"
    """refuse: leave a budget out whose minimum lies at or beyond its smallest or largest size."""
    weights: Literal["equal", "variance"] = "equal"
    """How budgets weigh in the line through the minima; variance: 1 / variance of the minimum."""


HUBER_DELTA: Final = {"huber": 1e-3, "likelihood": 1.345}
"""Hoffmann's [log nat], and in units of the scale Holland and Welsch's (1977): 95 % as efficient as
least squares where the noise is normal."""


class ParametricSettings(Section):
    """Approach 3: L(N, D) = E + A / N**alpha + B / D**beta."""

    objective: Literal["huber", "mse", "likelihood"] = "huber"
    """huber: sum of Huber(huber_delta) on log L (Hoffmann et al.); mse: squares of the same
    residuals; likelihood: Huber with a free scale (Besiroglu et al.)."""
    huber_delta: float | None = Field(default=None, gt=0.0)
    """Where Huber's loss turns from squares to absolute values; unit: log nat for `huber`, the
    fitted scale for `likelihood`. Null: 1e-3 for `huber` (Hoffmann et al.), 1.345 for `likelihood`;
    Besiroglu et al. had 1e-3 scales, which is a sum of absolute values."""
    exponents: Literal["free", "tied"] = "free"
    """tied: alpha = beta."""
    starts: Literal["hoffmann", "coarse"] = "hoffmann"
    """hoffmann: the paper's grid of 4,500 starts; coarse: 108 of a wider step."""
    points: Literal["final", "all"] = "final"
    """final: the last point of each run; all: whole curves."""
    drop_highest: int = Field(default=0, ge=0)
    """Leave out the points with the so many highest losses (5 for the digitised Hoffmann data)."""

    @property
    def delta(self) -> float:
        """Huber's delta, in the objective's own unit; infinite for squares."""
        if self.objective == "mse":
            return math.inf
        return HUBER_DELTA[self.objective] if self.huber_delta is None else self.huber_delta


class KaplanSettings(Section):
    """The laws of Kaplan et al. (2020), fitted to the sweep as that paper did."""

    counting: CountingSettings = CountingSettings(params="nonembedding", flops="kaplan")
    """Kaplan counts neither embedding nor head."""
    grid_points: int = Field(default=1500, ge=10)
    """Values of C and D at which the frontier is taken."""
    edge: Literal["trim", "keep"] = "trim"
    """Whether the frontier counts where the smallest or the largest size wins; as in envelope."""
    min_sizes: int = Field(default=3, ge=2)
    """Fewest distinct sizes on the frontier that is fitted; below it the fit is refused."""


class OvertrainingSettings(Section):
    """The over-training law L = E + (A M**eta + B M**-eta) C**-eta, M = D/N (Gadre et al. 2024)."""

    residual: Literal["loss", "log_loss"] = "loss"
    """Whose squares are summed: of the loss (Gadre et al.), or of its logarithm."""


class DataConstrainedSettings(Section):
    """The worth of repeated tokens (Muennighoff et al. 2023); the law for fresh tokens is held."""

    E: float = Field(default=1.8690284, gt=0.0)
    """Held, or where the fit starts; the defaults of all five are the paper's on C4."""
    A: float = Field(default=520.8325, gt=0.0)
    """Held."""
    B: float = Field(default=1487.6731, gt=0.0)
    """Held."""
    alpha: float = Field(default=0.3526596, gt=0.0)
    """Held."""
    beta: float = Field(default=0.3526596, gt=0.0)
    """Held."""
    level: Literal["fitted", "held"] = "fitted"
    """Whether E is fitted too: another corpus or tokenizer has another entropy."""
    max_epochs: float | None = Field(default=None, gt=1.0)
    """Leave out runs with more epochs: the law has repeats worthless at worst, never harmful."""
    huber_delta: float = Field(default=1e-3, gt=0.0)
    """Where Huber's loss turns from squares to absolute values [log nat]."""


class ForecastSettings(Section):
    """Fit below a cut in compute, predict above it, and compare."""

    min_budgets: int = Field(default=3, ge=2)
    """Fewest budgets below a cut; every gap between two budgets with so many below it is a cut."""
    draws: int = Field(default=1000, ge=2)
    """Refits per approach and cut; their seed, scheme and levels are the bootstrap's."""
    starts: Literal["coarse", "hoffmann"] = "coarse"
    """Starts of approach 3 below a cut, as in parametric; the coarse ones take a tenth of the
    time."""


class EnvelopeGrid(Section):
    """Choices of Approach 1."""

    frontier: tuple[Literal["grid", "hull"], ...] = ("grid", "hull")
    """As envelope.frontier."""
    edge: tuple[Literal["trim", "keep"], ...] = ("trim", "keep")
    """As envelope.edge."""
    min_schedule_fraction: tuple[Share, ...] = (0.0, 0.8)
    """As envelope.min_schedule_fraction; 0.8 keeps late points only."""


class ProfilesGrid(Section):
    """Choices of Approach 2."""

    curve: tuple[Literal["parabola", "log_parabola", "akima"], ...] = (
        "parabola",
        "log_parabola",
        "akima",
    )
    """As profiles.curve."""
    window: tuple[Annotated[int, Field(ge=3)] | None, ...] = (None, 5)
    """As profiles.window."""
    outliers: tuple[Positive | None, ...] = ()
    """As profiles.outliers."""
    weights: tuple[Literal["equal", "variance"], ...] = ("equal", "variance")
    """As profiles.weights."""


class ParametricGrid(Section):
    """Choices of Approach 3; its starts are coarse here."""

    objective: tuple[Literal["huber", "mse", "likelihood"], ...] = ("huber", "mse", "likelihood")
    """As parametric.objective."""
    huber_delta: tuple[Positive, ...] = (1e-3, 1e-2)
    """As parametric.huber_delta, for `huber` alone; the others take their own."""
    drop_highest: tuple[Annotated[int, Field(ge=0)], ...] = (0, 5)
    """As parametric.drop_highest."""


class KaplanGrid(Section):
    """Choices of Kaplan's fit."""

    counting: tuple[CountingSettings, ...] = (
        CountingSettings(params="nonembedding", flops="kaplan"),
    )
    """As kaplan.counting; under any other it is the envelope of that counting."""
    edge: tuple[Literal["trim", "keep"], ...] = ("trim", "keep")
    """As kaplan.edge."""


class SpecificationsSettings(Section):
    """The specification curve: every approach refitted under each combination of choices.

    An empty list leaves a choice as it is set above. The settings above are always among them.
    """

    draws: int = Field(default=200, ge=0)
    """Refits per specification; otherwise as `bootstrap` says, with percentile intervals."""
    loss: tuple[Literal["eval", "train"], ...] = ("eval", "train")
    """Whose loss is fitted, for all approaches; one that the sweep lacks is refused."""
    counting: tuple[CountingSettings, ...] = (
        CountingSettings(params="total", flops="6nd"),
        CountingSettings(params="total", flops="hoffmann"),
        CountingSettings(params="with_head", flops="attention"),
        CountingSettings(params="nonembedding", flops="kaplan"),
        CountingSettings(params="nonembedding", flops="6nd"),
    )
    """How N and C are counted by envelope, profiles and parametric."""
    envelope: EnvelopeGrid = EnvelopeGrid()
    """Choices of Approach 1."""
    profiles: ProfilesGrid = ProfilesGrid()
    """Choices of Approach 2."""
    parametric: ParametricGrid = ParametricGrid()
    """Choices of Approach 3; its starts are coarse here."""
    kaplan: KaplanGrid = KaplanGrid()
    """Choices of Kaplan's fit."""


class ApproachesSettings(Section):
    """How the approaches are fitted."""

    counting: CountingSettings = CountingSettings()
    """Shared by envelope, profiles and parametric."""
    bootstrap: BootstrapSettings = BootstrapSettings()
    """Shared by all approaches."""
    envelope: EnvelopeSettings = EnvelopeSettings()
    """Approach 1."""
    profiles: ProfilesSettings = ProfilesSettings()
    """Approach 2."""
    parametric: ParametricSettings = ParametricSettings()
    """Approach 3."""
    kaplan: KaplanSettings = KaplanSettings()
    """The laws of 2020."""
    overtraining: OvertrainingSettings = OvertrainingSettings()
    """The over-training law; fitted where it is asked for."""
    data_constrained: DataConstrainedSettings = DataConstrainedSettings()
    """The data-constrained law; fitted where it is asked for."""
    forecast: ForecastSettings = ForecastSettings()
    """How well each approach foretells the upper part of a sweep from its lower part."""
    specifications: SpecificationsSettings = SpecificationsSettings()
    """The specification curve."""


class FiguresSettings(Section):
    """How figures are drawn."""

    contours: int = Field(default=15, ge=3)
    """Lines of equal loss in the parametric figure."""


class ReportSettings(Section):
    """What the report answers."""

    budgets: tuple[float, ...] = (1e14, 1e18, 5.76e23)
    """Compute budgets C that the report allocates; 5.76e+23, Gopher's, is always added. Write
    1.0e+14 in YAML, not 1e14; unit: FLOP."""
    levels: tuple[float, ...] = (0.8, 0.95)
    """Intervals shown, among those of approaches.bootstrap.levels."""
    run_table: bool = True
    """Whether the report ends with a table of every run."""


class PublishedSettings(Section):
    """Where the data of published studies come from."""

    mirror: str | None = None
    """Folder that holds the files of data/reference/published.yaml, itself or below datasets/; null
    gets them over the network. The environment variable ISOFLOP_MIRROR wins."""


# --- the whole ------------------------------------------------------------------------------------


class Config(Section):
    """config.yaml, whole."""

    sweep: SweepSettings = SweepSettings()
    """Sweeps that the project trains itself."""
    ingest: IngestSettings = IngestSettings()
    """How raw logs are read."""
    losses: LossesSettings = LossesSettings()
    """Which losses are fitted, and how they are smoothed."""
    approaches: ApproachesSettings = ApproachesSettings()
    """How the approaches are fitted."""
    figures: FiguresSettings = FiguresSettings()
    """How figures are drawn."""
    report: ReportSettings = ReportSettings()
    """What the report answers."""
    archive: ArchiveSettings = ArchiveSettings()
    """What goes into the file archived with a paper."""
    published: PublishedSettings = PublishedSettings()
    """Where the data of published studies come from."""
