"""data/raw/{sweep}/sweep.yaml: what the logs of a sweep leave out."""

from __future__ import annotations

import datetime as dt
import difflib
import json
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Final, Literal, Self, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from isoflop.config.reading import Section, model_inside
from isoflop.pairs import PairWord


class Finite(Section):
    """A section whose numbers are finite: what a table of float64 and 64-bit integers can keep."""

    model_config = ConfigDict(allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_flag(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse `true` for a number, which pydantic would take for 1."""
        if isinstance(value, bool) and info.field_name is not None:
            kinds = get_args(cls.model_fields[info.field_name].annotation)
            if bool not in kinds:
                raise ValueError(f"give a value, not {str(value).lower()}")
        return value


Count = Annotated[int, Field(gt=0, le=2**53)]
"""A whole number from 1 to where float64 stops counting by ones."""
LARGEST: Final = 1e30
"""No count of parameters, tokens or steps is larger; products of several such are finite, too."""
Size = Annotated[float, Field(gt=0, le=LARGEST)]
"""A number above 0 that may be a count."""


class RunArchitecture(Finite):
    """Shape of a decoder-only transformer, as far as it is known."""

    layers: Count | None = None
    """Number of blocks."""
    d_model: Count | None = None
    """Width of the residual stream."""
    heads: Count | None = None
    """Attention heads per block."""
    kv_heads: Count | None = None
    """Heads of keys and of values (grouped-query attention); as many as heads unless given."""
    d_head: Count | None = None
    """Width of a head; d_model / heads unless given."""
    d_ff: Count | None = None
    """Width of the feed-forward layer."""
    vocab_size: Count | None = None
    """Rows of the embedding; unit: tokens."""
    seq_len: Count | None = None
    """Context length; unit: tokens."""
    tied: bool | None = None
    """Whether the head reuses the embedding."""
    gated: bool | None = None
    """Whether the feed-forward layer has a gate."""
    experts: Count | None = None
    """Experts of a block, in a mixture of experts."""
    experts_per_token: Count | None = None
    """Experts of a block that one token goes through."""
    d_expert: Count | None = None
    """Width of an expert; d_ff unless given."""
    d_shared: Annotated[int, Field(ge=0, le=2**53)] | None = None
    """Width of all experts together that every token goes through."""
    shared_gate: bool | None = None
    """Whether these have a gate of one number a token, as Qwen2-MoE's do."""
    dense_layers: Annotated[int, Field(ge=0, le=2**53)] | None = None
    """Blocks without experts, in a mixture of experts; their feed-forward layer is d_ff wide."""
    kv_rank: Count | None = None
    """Width of the vector that keys and values of all heads are made from (latent attention)."""
    q_rank: Count | None = None
    """Width of the vector that queries are made from then; from the stream unless given."""
    d_rope: Count | None = None
    """Width of the part of a key that all heads share then; d_head has it in it."""
    d_value: Count | None = None
    """Width of a head's values then."""
    uncounted: str | None = None
    """What of the network these words cannot describe, so that nothing is counted from them."""


class RunParams(Finite):
    """Parameter counts by convention, where they are known outright."""

    total: Size | None = None
    """With embedding and head."""
    nonembedding: Size | None = None
    """Without embedding and head (Kaplan)."""
    with_head: Size | None = None
    """Without input embedding, with head (Porian)."""
    active: Size | None = None
    """Those that one token goes through, in a mixture of experts."""
    of_ranks: Size | None = None
    """Sum over the ranks whose parameters a log prints, where that may not be all of them."""
    unsummed: str | None = None
    """Why it may not be."""


class RunSchedule(Finite):
    """The learning rate over a run."""

    kind: str | None = None
    """cosine, linear, wsd, ...; 'constant' and 'unknown' need no length."""
    steps: Size | None = None
    """Length of the schedule; unit: optimiser steps."""
    tokens: Size | None = None
    """Length of the schedule, if not given in steps; unit: tokens."""
    warmup_steps: float | None = Field(default=None, ge=0, le=LARGEST)
    """Length of the warm-up; unit: optimiser steps."""
    lr_peak: float | None = Field(default=None, gt=0)
    """Highest learning rate."""
    lr_end: float | None = Field(default=None, ge=0)
    """Learning rate at the end."""


class RunRamp(Finite):
    """A batch that grows over the first part of a run, as Megatron's rampup_batch_size says."""

    start: Count | None = None
    """Sequences of the first step."""
    increment: Count | None = None
    """By how many sequences it grows at a time."""
    samples: Count | None = None
    """Sequences over which it grows to the full batch, in equal parts."""


LEAST_BYTES: Final = 0.1
MOST_BYTES: Final = 32.0
"""No vocabulary has longer words on average; those of bytes have 1, most others 3 to 6."""


def _mean_bytes(value: float) -> float:
    """Refuse what cannot be the mean bytes of a token."""
    if not LEAST_BYTES <= value <= MOST_BYTES:
        raise ValueError(
            f"the mean bytes of a token lie between {LEAST_BYTES:g} and {MOST_BYTES:g}: 1 where "
            f"tokens are bytes, 3 to 6 for most others. Divide the bytes of the text that is "
            f"evaluated by its tokens"
        )
    return value


LossUnit = Literal["nats_per_token", "bits_per_token", "bits_per_byte", "perplexity"]


class RunFacts(Finite):
    """What is known of a run besides its curve; a log and sweep.yaml use the same words."""

    role: Literal["fit", "tuning", "check"] | None = None
    """fit: an observation; tuning: a trial, left out; check: not fitted, to test predictions."""
    sized_by: PairWord | None = None
    """Whose exponent gave a check run its size, in a pair of equal compute; its name never says."""
    budget: float | None = Field(default=None, gt=0)
    """Compute budget the run was planned for; unit: FLOP."""
    architecture: RunArchitecture = RunArchitecture()
    """Shape."""
    params: RunParams = RunParams()
    """Parameter counts."""
    tokens_per_step: Size | None = None
    """Tokens in one optimiser step, over all ranks and accumulation steps."""
    batch: Size | None = None
    """Sequences in one optimiser step; with architecture.seq_len it gives tokens_per_step."""
    batch_ramp: RunRamp = RunRamp()
    """How the batch grows at first; steps times tokens_per_step are no D then."""
    flops_per_token: Size | None = None
    """Training FLOPs per token by the trainer's own count."""
    schedule: RunSchedule = RunSchedule()
    """Learning rate."""
    loss_unit: LossUnit | None = None
    """Unit of the logged losses; nats_per_token unless given."""
    bytes_per_token: Annotated[float, AfterValidator(_mean_bytes)] | None = None
    """Mean bytes of a token, 1 of bytes and 3 to 6 of most others; turns bits_per_byte into nats
    per token."""
    loss_kind: Literal["instant", "interval_mean", "ema", "running_mean", "final"] | None = None
    """What a logged training loss averages over."""
    loss_window: float | None = Field(default=None, ge=1)
    """Updates that it averages over: those of a running mean; of a moving average (ema) that keeps
    the share b of its last value at every update, 1 / (1 - b)."""
    primary_eval: str | None = None
    """The eval set whose loss is fitted."""
    curve_eval: str | None = None
    """An eval set of the same text but fewer windows, for the curve where the primary one is
    measured at the end alone; its losses are moved by what both differ in at the end."""
    dataset: str | None = None
    """Name of the training data."""
    unique_tokens: Size | None = None
    """Distinct training tokens available."""
    tokenizer: str | None = None
    """Name of the tokenizer."""
    seed: int | None = Field(default=None, ge=0, le=2**53)
    """Seed."""


LONGEST_SQL = 2_000
"""Characters of a formula or condition: its parser nests, and one of 20,000 terms breaks it."""


class TableColumn(Finite):
    """Where a value of a generic table comes from: a column, or a formula over columns."""

    column: str | None = None
    """Name of the column."""
    formula: str | None = Field(default=None, max_length=LONGEST_SQL)
    """SQL expression over columns, such as '"Training FLOP" / (6 * "Model Size")'."""
    scale: float = 1.0
    """Factor to our unit, such as 1e9 for a column in billions."""

    @property
    def has_unit(self) -> bool:
        """Whether a scale is given: 1 says that numbers which look like millions are counts."""
        return "scale" in self.model_fields_set

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.column is None) == (self.formula is None):
            raise ValueError("give either 'column' or 'formula'")
        return self


class TableExclusion(Section):
    """Rows of a generic table that are left out."""

    where: str = Field(max_length=LONGEST_SQL)
    """SQL condition over the table's columns, such as 'loss > 4'."""
    reason: str
    """Why."""


class TableMap(Section):
    """How to read generic tables (CSV, Parquet, JSON lines)."""

    rows: Literal["points", "runs"]
    """points: a row is a point of a run's curve; runs: a row is a finished run."""
    columns: dict[str, TableColumn]
    """For each value (run, step, tokens, eval_loss, params.total, ...) its column or formula."""
    evals: dict[str, str] = Field(default_factory=dict)
    """Columns with the loss on several eval sets, by the sets' names; primary_eval chooses one."""
    bits_per_byte: dict[str, str] = Field(default_factory=dict)
    """Columns with the loss on eval sets in bits per byte, beside those in the table's unit;
    bytes_per_token makes nats per token of the sets that have no other."""
    select: str | None = Field(default=None, max_length=LONGEST_SQL)
    """SQL condition: the rows this sweep is about; unset: all."""
    exclude: tuple[TableExclusion, ...] = ()
    """Rows left out, each with its reason."""
    restarts: bool | None = None
    """Whether a curve whose steps go back, or begin anew, is one run that was restarted, whatever
    else changes there: another seed, learning rate or batch. The later rows count. false: where
    steps begin anew at the first, another run does; unset: by what else changes."""

    @field_validator("exclude", mode="before")
    @classmethod
    def _with_reasons(cls, exclude: Any) -> Any:
        """Show conditions without a reason in the form that has one."""
        conditions = [exclude] if isinstance(exclude, str | Mapping) else exclude
        if not isinstance(conditions, list | tuple):
            return exclude
        wheres = [each.get("where") if isinstance(each, Mapping) else each for each in conditions]
        bare = any(isinstance(each, str) for each in conditions) or conditions is not exclude
        if not bare or not all(isinstance(where, str) for where in wheres):
            return exclude
        rules = (f'{{where: {json.dumps(where)}, reason: "<why>"}}' for where in wheres)
        raise ValueError(f"give each condition its reason, as in `exclude: [{', '.join(rules)}]`")

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


@cache
def fact_names(model: type[BaseModel] = RunFacts, prefix: str = "") -> tuple[str, ...]:
    """List the facts of a run by dotted name, such as 'architecture.layers'."""
    names: list[str] = []
    for name, field in model.model_fields.items():
        inner = model_inside(field.annotation)
        dotted = f"{prefix}{name}"
        names.extend((dotted,) if inner is None else fact_names(inner, f"{dotted}."))
    return tuple(names)


class RunRule(RunFacts):
    """Facts of the files or runs that match a glob."""

    match: str
    """Glob over the path below the sweep's folder, or over the run's name; * also crosses '/'."""
    run: str | None = None
    """Name of the run; files given the same name are one run, in order of the times they print."""
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


class Overruled(Section):
    """A check of plausibility that one run fails and is used nevertheless."""

    match: str
    """Glob over the path below the sweep's folder, or over the run's name."""
    check: str
    """Name of the check, as in config.yaml's ingest.gates."""
    reason: str = Field(min_length=1)
    """Why the run is right; the report prints it."""


class Ignored(Section):
    """A file in the sweep's folder that is no log."""

    match: str
    """Glob over the path below the sweep's folder."""
    reason: str
    """What it is."""


class BudgetGrid(Finite):
    """Nominal budgets that runs are assigned to."""

    values: tuple[Annotated[float, Field(gt=0)], ...] = Field(min_length=1)
    """The budgets; unit: FLOP."""
    tolerance: float = Field(default=0.1, gt=0)
    """Largest distance of a run's 6ND from its budget, as a share of the budget."""


FIRST_YEAR: Final = 1980
LAST_YEAR: Final = 2100
"""A report's day lies between them: archives know no earlier one, and no sweep is of a later."""


def _day(value: Any) -> Any:
    """Take a day as YAML gives it, or as text; refuse numbers, times and years that cannot be."""
    day = value
    if isinstance(value, str):
        try:
            day = dt.date.fromisoformat(value.strip())
        except ValueError:
            day = None
    # a time is a date to Python
    known = isinstance(day, dt.date) and not isinstance(day, dt.datetime)
    if not (known and FIRST_YEAR <= day.year <= LAST_YEAR):
        raise ValueError(
            f"give a day of the years {FIRST_YEAR} to {LAST_YEAR}, such as 2026-11-26, without a "
            f"time; not {value}"
        )
    return day


def _written(value: str) -> str:
    if not value.strip():
        raise ValueError("is blank; write it, or leave it out")
    return value


Written = Annotated[str, AfterValidator(_written)]
"""A text that says something."""

PRINTED: Final = frozenset({"title", "description", "citation", "licence", "authors", "date"})
"""Keys of a sweep.yaml that its report prints and nothing else reads."""


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
    authors: tuple[Written, ...] = ()
    """Who trained the sweep and reports it: authors of the PDF, and of the entry to cite."""
    date: Annotated[dt.date, BeforeValidator(_day)] | None = None
    """Day of the report, such as 2026-11-26: of the PDF and the entry to cite. Without it
    the newest day that the logs print; builds read no clock."""
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
    overrule: tuple[Overruled, ...] = ()
    """Checks of plausibility that a run fails and is used nevertheless."""
    ignore: tuple[Ignored, ...] = ()
    """Files that are no logs."""
    budgets: BudgetGrid | None = None
    """Nominal budgets, for runs whose log names none."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """What differs from config.yaml for this sweep, in sections `losses`, `approaches` and
    `report`; config/by_sweep.py checks it, so that their models are no part of reading logs."""

    def of_logs(self) -> str:
        """Give what of it concerns reading logs, as JSON: all but settings and what is printed."""
        return self.model_dump_json(exclude={"settings", *PRINTED}, exclude_unset=True)
