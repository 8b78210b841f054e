"""The corridor between the rooms: every table's columns, with dtype, unit and limits.

Rooms meet only here. A table is validated when it is written and when it is read, so a wrong
column, a null where none may be, or a repeated key is found at the door it came through.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final, TypeVar

import dataframely as dy
import polars as pl

from isoflop.approach import APPROACHES
from isoflop.counting import FLOPS_CONVENTIONS, PARAMS_CONVENTIONS
from isoflop.errors import IsoflopError
from isoflop.files import replacing
from isoflop.pairs import SIZED_BY

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path

ROLES: Final = ("fit", "tuning", "check")
STATUSES: Final = ("finished", "truncated", "diverged", "crashed")
FATES: Final = ("used", "facts", "rejected", "ignored")
LOSS_KINDS: Final = ("instant", "interval_mean", "ema", "running_mean", "final")
SOURCES: Final = (
    "log", "sidecar", "config_file", "architecture", "file_name", "counted", "trainer",
)  # fmt: skip
LOSS_SOURCES: Final = ("eval", "train")
CURVES: Final = ("parabola", "log_parabola", "akima")
STAGES: Final = ("ingest", "losses")
VERDICTS: Final = ("passed", "warned", "excluded", "accepted")


def _text(description: str, *, nullable: bool = False, key: bool = False) -> dy.String:
    return dy.String(
        nullable=nullable, primary_key=key, metadata={"description": description, "unit": ""}
    )


def _word(words: tuple[str, ...], description: str, *, nullable: bool = False) -> dy.Enum:
    return dy.Enum(words, nullable=nullable, metadata={"description": description, "unit": ""})


def _flag(description: str, *, nullable: bool = False) -> dy.Bool:
    return dy.Bool(nullable=nullable, metadata={"description": description, "unit": ""})


def _count(
    description: str, unit: str, *, nullable: bool = False, key: bool = False, least: int = 0
) -> dy.Int64:
    return dy.Int64(
        nullable=nullable,
        primary_key=key,
        min=least,
        metadata={"description": description, "unit": unit},
    )


def _day(description: str, *, nullable: bool = False) -> dy.Date:
    return dy.Date(nullable=nullable, metadata={"description": description, "unit": ""})


def _number(
    description: str, unit: str, *, nullable: bool = False, positive: bool = False
) -> dy.Float64:
    # float64 throughout: 6ND exceeds 2**63
    return dy.Float64(
        nullable=nullable,
        min_exclusive=0.0 if positive else None,
        allow_inf=False,
        allow_nan=False,
        metadata={"description": description, "unit": unit},
    )


class Files(dy.Schema):
    """One row per raw file, with its fate: ``data/curves/{sweep}.files.parquet``."""

    sweep = _text("sweep the file belongs to")
    path = _text("path below the sweep's folder", key=True)
    digest = _text("sha256 of the raw bytes; of sweep.yaml, of what of it concerns the logs")
    bytes = _count("size", "byte")
    format = _text("format it was read as", nullable=True)
    runner_up = _text("second-best format", nullable=True)
    rows = _count("records read", "record")
    rows_left_out = _count("records that sweep.yaml leaves out", "record")
    lines_unread = _count("lines that look like records but could not be read", "line")
    restarts = _count("restarts seen in the file", "restart")
    truncated = _flag("the file ends within a record")
    last_day = _day("day, in UTC, of the last time that it tells", nullable=True)
    fate = _word(FATES, "used: a log; facts: sweep.yaml and the like; ignored: sweep.yaml says so")
    reason = _text("why it was rejected, or what to know of it", nullable=True)


def newest_day(files: pl.DataFrame) -> dt.date | None:
    """Give the last day that a sweep's logs tell; None where none tells a time.

    The day of its report and archive, where sweep.yaml gives none: neither a clock's, nor a file's
    time of change, which differs from copy to copy.
    """
    days = files.filter(pl.col("fate") == "used")["last_day"].drop_nulls()
    return max(days.to_list(), default=None)


class Runs(dy.Schema):
    """One row per logical run: ``data/curves/{sweep}.runs.parquet``."""

    sweep = _text("sweep the run belongs to")
    run = _text("name of the run, unique in its sweep", key=True)
    trainer = _text("format of the log it came from")
    paths = _text("files it was read from, below the sweep's folder, joined by ', '")
    role = _word(ROLES, "fit: an observation; tuning: a trial run; check: never fitted")
    sized_by = _word(tuple(SIZED_BY), "whose exponent gave a check run its size", nullable=True)
    params_total = _number(
        "N with embedding and head; known of every run that is not excluded",
        "parameter", nullable=True, positive=True,
    )  # fmt: skip
    params_total_source = _word(SOURCES, "where params_total comes from", nullable=True)
    params_nonembedding = _number("N without embedding and head", "parameter", nullable=True)
    params_nonembedding_source = _word(SOURCES, "where it comes from", nullable=True)
    params_with_head = _number("N with head, without input embedding", "parameter", nullable=True)
    params_with_head_source = _word(SOURCES, "where it comes from", nullable=True)
    params_active = _number("N that one token goes through, of experts", "parameter", nullable=True)
    params_active_source = _word(SOURCES, "where it comes from", nullable=True)
    layers = _count("blocks", "layer", nullable=True)
    d_model = _count("residual width", "unit", nullable=True)
    heads = _count("attention heads", "head", nullable=True)
    kv_heads = _count("heads of keys and values; null: as many", "head", nullable=True)
    d_head = _count("width of a head", "unit", nullable=True)
    d_ff = _count("feed-forward width", "unit", nullable=True)
    vocab_size = _count("vocabulary", "token", nullable=True)
    experts = _count("experts of a block", "expert", nullable=True)
    experts_per_token = _count("experts that a token goes through", "expert", nullable=True)
    tied = _flag("the head reuses the embedding", nullable=True)
    gated = _flag("the feed-forward layer has a gate", nullable=True)
    architecture_source = _word(SOURCES, "where the architecture comes from", nullable=True)
    seq_len = _count("context length", "token", nullable=True)
    tokens_per_step = _number("tokens in one optimiser step", "token", nullable=True)
    tokens_per_step_source = _word(SOURCES, "where it comes from", nullable=True)
    tokens = _number(
        "D reached by the run; known of every run that is not excluded",
        "token", nullable=True, positive=True,
    )  # fmt: skip
    tokens_source = _word(SOURCES, "where it comes from", nullable=True)
    unique_tokens = _number("distinct training tokens available", "token", nullable=True)
    budget = _number("compute budget the run was planned for", "FLOP", nullable=True)
    lr_peak = _number("peak learning rate", "1", nullable=True)
    lr_end = _number("learning rate at the end of the schedule", "1", nullable=True)
    warmup_tokens = _number("length of the warm-up", "token", nullable=True)
    schedule_kind = _text("cosine, linear, constant, wsd, ...", nullable=True)
    schedule_tokens = _number("horizon of the schedule", "token", nullable=True)
    schedule_source = _word(SOURCES, "where the schedule comes from", nullable=True)
    dataset = _text("training data", nullable=True)
    tokenizer = _text("tokenizer", nullable=True)
    bytes_per_token = _number("mean bytes of a token", "byte/token", nullable=True)
    seed = _count("seed", "", nullable=True)
    status = _word(STATUSES, "how it ended; null where its schedule is unknown", nullable=True)
    excluded = _flag("left out by sweep.yaml, by a rule of ingest or for want of a fact")
    reason = _text("why it is excluded", nullable=True)
    notes = _text(
        "warnings and gaps: implausible values, holes, what is null and why", nullable=True
    )


class Curves(dy.Schema):
    """One row per (run, segment, step): ``data/curves/{sweep}.parquet``."""

    run = _text("name of the run", key=True)
    segment = _count("0, then one more at each restart", "", key=True)
    step = _count("optimiser step", "step", key=True)
    tokens = _number("D after this step", "token")
    flops_6nd = _number("C as 6 N_total D", "FLOP")
    flops_kaplan = _number("C as 6 N_nonembedding D", "FLOP", nullable=True)
    flops_hoffmann = _number("C after Appendix F", "FLOP", nullable=True)
    flops_attention = _number("C with attention scores", "FLOP", nullable=True)
    flops_active = _number("C as 6 N_active D", "FLOP", nullable=True)
    flops_logged = _number("C as the trainer logged it", "FLOP", nullable=True)
    # a diverged run logs NaN; the table has null and says so in is_nan
    train_loss = _number("training loss", "nat/token", nullable=True)
    eval_loss = _number("loss on the primary eval set", "nat/token", nullable=True)
    loss_kind = _word(LOSS_KINDS, "what train_loss averages over", nullable=True)
    loss_window = _number("updates that it averages over, of ema and running_mean; null: unknown",
                          "step", nullable=True)  # fmt: skip
    lr = _number("learning rate", "1", nullable=True)
    grad_norm = _number("gradient norm before clipping", "1", nullable=True)
    tokens_per_second = _number("throughput", "token/s", nullable=True)
    superseded = _flag("a restart replayed this step")
    is_nan = _flag("the log had NaN or infinity here")


LIVE: Final = ~pl.col("superseded") & (pl.col("tokens") > 0)
"""Points of curves that no restart replaced, and that lie after a run's first step."""


class Evals(dy.Schema):
    """One row per (run, step, eval set, metric): ``data/curves/{sweep}.evals.parquet``."""

    run = _text("name of the run", key=True)
    segment = _count("segment of the run", "", key=True)
    step = _count("optimiser step", "step", key=True)
    eval_set = _text("name of the eval set", key=True)
    metric = _text("loss, bits_per_byte, ...", key=True)
    tokens = _number("D after this step", "token")
    value = _number("the value", "see unit", nullable=True)
    unit = _text("unit of the value")
    primary = _flag("this is the loss that curves carry")


class Gates(dy.Schema):
    """One row per (check of plausibility, run): ``data/curves/{sweep}.gates.parquet``.

    A check that cannot be made of a run, for want of what it compares, has no row.
    """

    sweep = _text("sweep the run belongs to")
    check = _text("name of the check, as in config.yaml's ingest.gates", key=True)
    tests = _text("what it measures")
    source = _text("where the measure or its limit comes from")
    run = _text("name of the run", key=True)
    value = _number("what the check measures", "see unit")
    low = _number("smallest plausible value; null: none", "see unit", nullable=True)
    high = _number("largest plausible value; null: none", "see unit", nullable=True)
    unit = _text("unit of value, low and high")
    verdict = _word(VERDICTS, "warned: told of; excluded: left out; accepted: by sweep.yaml")
    words = _text("what is implausible", nullable=True)
    reason = _text("why sweep.yaml accepts it", nullable=True)


class Losses(dy.Schema):
    """One row per (run, point used for fitting): ``data/losses/{sweep}.parquet``."""

    sweep = _text("sweep the run belongs to")
    run = _text("name of the run", key=True)
    role = _word(("fit", "check"), "check points are never fitted")
    sized_by = _word(tuple(SIZED_BY), "whose exponent gave a check run its size", nullable=True)
    params_total = _number("N with embedding and head", "parameter", positive=True)
    params_nonembedding = _number("N without embedding and head", "parameter", nullable=True)
    params_with_head = _number("N with head, without input embedding", "parameter", nullable=True)
    params_active = _number("N that one token goes through", "parameter", nullable=True)
    tokens = dy.Float64(
        primary_key=True,
        nullable=False,
        min_exclusive=0.0,
        metadata={"description": "D at this point", "unit": "token"},
    )
    flops_6nd = _number("C as 6 N_total D", "FLOP", positive=True)
    flops_kaplan = _number("C as 6 N_nonembedding D", "FLOP", nullable=True)
    flops_hoffmann = _number("C after Appendix F", "FLOP", nullable=True)
    flops_attention = _number("C with attention scores", "FLOP", nullable=True)
    flops_active = _number("C as 6 N_active D", "FLOP", nullable=True)
    flops_logged = _number("C as the trainer logged it", "FLOP", nullable=True)
    loss = _number("loss, smoothed as configured", "nat/token", positive=True)
    loss_source = _word(LOSS_SOURCES, "which loss")
    schedule_fraction = _number("share of the schedule done at this point", "1", nullable=True)
    is_final = _flag("the last point of its run")
    budget = _number("compute budget the run was planned for", "FLOP", nullable=True)
    unique_tokens = _number("distinct training tokens available", "token", nullable=True)
    seed = _count("seed", "", nullable=True)
    # what tells repeats from other runs of one N and D: cells.repeats_of
    lr_peak = _number("peak learning rate", "1", nullable=True)
    lr_end = _number("learning rate at the end of the schedule", "1", nullable=True)
    warmup_tokens = _number("length of the warm-up", "token", nullable=True)
    schedule_kind = _text("cosine, linear, constant, wsd, ...", nullable=True)
    tokens_per_step = _number("tokens in one optimiser step", "token", nullable=True)
    seq_len = _count("context length", "token", nullable=True)
    layers = _count("blocks", "layer", nullable=True)
    d_model = _count("residual width", "unit", nullable=True)
    dataset = _text("training data", nullable=True)
    tokenizer = _text("tokenizer", nullable=True)


class Targets(dy.Schema):
    """One row per run that is not trained yet: the CSV of ``isoflop plan-sweep --targets``."""

    run = _text("name the run will have", key=True)
    sized_by = _word(tuple(SIZED_BY), "whose exponent gave it its size", nullable=True)
    params_total = _number("N with embedding and head", "parameter", positive=True)
    params_nonembedding = _number("N without embedding and head", "parameter", nullable=True)
    params_with_head = _number("N with head, without input embedding", "parameter", nullable=True)
    tokens = _number("D at its end", "token", positive=True)
    flops_6nd = _number("C as 6 N_total D", "FLOP", positive=True)
    flops_kaplan = _number("C as 6 N_nonembedding D", "FLOP", nullable=True)
    flops_hoffmann = _number("C after Appendix F", "FLOP", nullable=True)
    flops_attention = _number("C with attention scores", "FLOP", nullable=True)
    params_active = _number("N that one token goes through", "parameter", nullable=True)
    flops_active = _number("C as 6 N_active D", "FLOP", nullable=True)


class LeftOut(dy.Schema):
    """One row per thing that was not fitted: ``data/losses/{sweep}.left_out.parquet``."""

    sweep = _text("sweep")
    stage = _word(STAGES, "who left it out")
    item = _text("file or run")
    points = _count("points that went with it", "point")
    reason = _text("why")
    loss = _number(
        "final loss of a finished tuning run, of the kind that is fitted; else null",
        "nat/token",
        nullable=True,
    )


class Specifications(dy.Schema):
    """One row per specification, sorted: ``data/estimates/{sweep}/specifications.parquet``.

    A choice that an approach does not have is null in its rows.
    """

    sweep = _text("sweep")
    specification = _count("number of the specification", "", key=True)
    approach = _word(APPROACHES, "approach")
    headline = _flag("the settings of the approach's own estimate")
    params = _word(PARAMS_CONVENTIONS, "counting of N")
    flops = _word(FLOPS_CONVENTIONS, "counting of C")
    loss = _word(LOSS_SOURCES, "which loss")
    frontier = _word(("grid", "hull"), "envelope: how the lowest loss is found", nullable=True)
    edge = _word(("trim", "keep"), "envelope, kaplan: where an end size wins", nullable=True)
    min_schedule_fraction = _number("envelope: least share of the schedule", "1", nullable=True)
    axis = _word(
        ("each", "params", "tokens"), "profiles: along what the minimum is taken", nullable=True
    )
    curve = _word(CURVES, "profiles: what is fitted at each budget", nullable=True)
    window = _text(
        "profiles: rule, or how many of the lowest losses of each budget; null: all", nullable=True
    )
    outliers = _number("profiles: limit of the outlier rule; null: none", "sd", nullable=True)
    weights = _word(("equal", "variance"), "profiles: weights of the budgets", nullable=True)
    objective = _word(
        ("huber", "mse", "likelihood"), "parametric: what is minimised", nullable=True
    )
    huber_delta = _number(
        "parametric: of objective huber; null for the others", "log nat", nullable=True
    )
    drop_highest = _count("parametric: highest losses left out", "point", nullable=True)
    n_runs = _count("runs that entered the fit", "run", nullable=True)
    n_points = _count("points that entered the fit", "point", nullable=True)
    a = _number("exponent of N_opt in C; null where refused", "1", nullable=True)
    a_lo80 = _number("lower end of the 80 % interval of a", "1", nullable=True)
    a_hi80 = _number("upper end of the 80 % interval of a", "1", nullable=True)
    a_lo95 = _number("lower end of the 95 % interval of a", "1", nullable=True)
    a_hi95 = _number("upper end of the 95 % interval of a", "1", nullable=True)
    b = _number("exponent of D_opt in C", "1", nullable=True)
    budget = _number("C of params_opt: the sweep's largest", "FLOP", positive=True)
    params_opt = _number("N_opt at this C, both by the row's counting", "parameter", nullable=True)
    draws = _count("resamples refitted", "draw", nullable=True)
    draws_refused = _count("resamples that could not be fitted", "draw", nullable=True)
    refused = _text("why the sweep does not allow this specification", nullable=True)


Schema = TypeVar("Schema", bound=dy.Schema)


class TableError(IsoflopError):
    """A table does not have the columns, types or limits that its schema states."""


@functools.cache  # asked for every run, and slow to tell
def types_of(schema: type[dy.Schema]) -> pl.Schema:
    """Give a table's columns with their types, as a frame without rows takes them; as it is."""
    return pl.Schema({name: column.dtype for name, column in schema.columns().items()})


def validated(frame: pl.DataFrame, schema: type[Schema], *, name: str) -> dy.DataFrame[Schema]:
    """Cast a frame to its schema and check it.

    Raises
    ------
    TableError : naming the table, and the columns that lack or exceed their limits.
    """
    try:
        # lazily, all rules are evaluated at once, in a third of the time or less ...
        return schema.validate(frame.lazy(), cast=True).collect()
    except (dy.exc.SchemaError, pl.exceptions.PolarsError):
        pass  # ... but what fails is told in full by the other way
    try:
        return schema.validate(frame, cast=True)
    except (dy.exc.SchemaError, dy.exc.ValidationError, pl.exceptions.PolarsError) as error:
        raise TableError(f"{name}: not a valid '{schema.__name__}' table: {error}") from error


def read_table(path: Path, schema: type[Schema]) -> dy.DataFrame[Schema]:
    """Read a Parquet table and check it against its schema.

    Raises
    ------
    TableError : there is no such file, it is no Parquet, or it does not fit its schema.
    """
    try:
        frame = pl.read_parquet(path, glob=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise TableError(
            f"{path}: cannot be read as a '{schema.__name__}' table: {error}"
        ) from error
    return validated(frame, schema, name=str(path))


def read_csv_table(path: Path, schema: type[Schema]) -> dy.DataFrame[Schema]:
    """Read a table that people write, as CSV; columns that it may lack are null.

    Raises
    ------
    TableError : there is no such file, it is no CSV, or it does not fit its schema.
    """
    types = {name: column.dtype for name, column in schema.columns().items()}
    try:
        frame = pl.read_csv(path, schema_overrides=types, glob=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise TableError(
            f"{path}: cannot be read as a '{schema.__name__}' table: {error}"
        ) from error
    absent = [
        pl.lit(None, dtype=types[name]).alias(name)
        for name, column in schema.columns().items()
        if column.nullable and name not in frame.columns
    ]
    return validated(frame.with_columns(absent), schema, name=str(path))


def scan_table(path: Path, schema: type[dy.Schema]) -> pl.LazyFrame:
    """Open a Parquet table too large to read whole; check its columns, not yet its rows.

    Whoever collects a part of it checks that part with `validated`.

    Raises
    ------
    TableError : there is no such file, it is no Parquet, or it lacks columns.
    """
    try:
        scanned = pl.scan_parquet(path, glob=False)
        head = scanned.head(0).collect()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise TableError(
            f"{path}: cannot be read as a '{schema.__name__}' table: {error}"
        ) from error
    validated(head, schema, name=str(path))
    return scanned


def write_table(frame: pl.DataFrame, schema: type[Schema], path: Path) -> None:
    """Check a table and write it as Parquet, under a temporary name first.

    Rows are written in the order given, so the caller sorts; the same rows give the same bytes.
    """
    table = validated(frame, schema, name=str(path))
    with replacing(path) as temporary:
        table.write_parquet(temporary, compression="zstd", statistics=True)


def units(schema: type[dy.Schema]) -> dict[str, dict[str, str]]:
    """Say each column's dtype, unit and meaning, for the manual and the archive."""
    return {
        name: {"dtype": str(column.dtype), **(column.metadata or {})}
        for name, column in schema.columns().items()
    }
