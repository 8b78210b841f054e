"""Lay runs and files out as the tables of `tables.py`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from isoflop.counting import FLOPS_CONVENTIONS, PARAMS_CONVENTIONS
from isoflop.ingest.checks.gates import FINISHED_SHARE
from isoflop.ingest.checks.measures import MEASURES, constant_rate
from isoflop.ingest.facts.identity import SHAPE
from isoflop.ingest.reading.blocks import RECORDS
from isoflop.ingest.runs.segments import with_segments
from isoflop.ingest.tables.wall_time import last_day
from isoflop.tables import Files, Runs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from isoflop.config.sidecar import SweepFile
    from isoflop.ingest.reading.log import Log
    from isoflop.ingest.runs.logical_runs import Run


def records_of(runs: Sequence[Run]) -> pl.DataFrame:
    """Join all runs' records, in segments and in our units: nats per token, D for every record.

    A loss of 0 or below becomes null, with `impossible` in its place: no cross-entropy of a
    language model is, but a gap filled with zeros is, or a log-likelihood.
    """
    return _with_all_tokens(in_our_units(with_segments(joined(runs)), runs))


def joined(runs: Sequence[Run]) -> pl.DataFrame:
    """Join all runs' records as they were read, under the runs' names."""
    pieces = [(run.name, piece) for run in runs for piece in run.pieces()]
    if not pieces:
        pieces = [("", pl.DataFrame(schema=RECORDS))]
    names = pl.Series("run", [name for name, _ in pieces])
    lengths = [piece.height for _, piece in pieces]
    place = pl.Series(np.repeat(np.arange(len(pieces)), lengths))
    return pl.concat([piece for _, piece in pieces]).with_columns(names.gather(place))


def in_our_units(records: pl.DataFrame, runs: Sequence[Run]) -> pl.DataFrame:
    """Turn what was logged into our units; D stays null where a record does not give it."""
    facts = pl.DataFrame([conversions(run) for run in runs], schema=_CONVERSIONS)
    is_loss = (pl.col("metric") == "loss").fill_null(value=False)

    def in_nats(column: str) -> pl.Expr:
        logged = pl.col(column)
        scaled = logged * pl.col("loss_factor")
        return pl.when("perplexity").then(logged.log()).otherwise(scaled)

    ours = (
        records.join(facts, on="run", how="left", maintain_order="left")
        .with_columns(
            tokens=pl.coalesce("tokens", pl.col("samples") * pl.col("seq_len")),
            tokens_per_second=pl.coalesce(
                "tokens_per_second",
                pl.when(pl.col("step_seconds") > 0).then(
                    pl.col("tokens_per_step") / pl.col("step_seconds")
                ),
            ),
            train_loss=in_nats("train_loss"),
            value=pl.when(is_loss).then(in_nats("value")).otherwise("value"),
            primary=is_loss & (pl.col("eval_set") == pl.col("primary_eval")).fill_null(value=False),
            on_curve=is_loss & (pl.col("eval_set") == pl.col("curve_eval")).fill_null(value=False),
        )
        .with_columns(
            impossible=pl.coalesce(
                pl.when(pl.col("train_loss") <= 0.0).then("train_loss"),
                pl.when(is_loss & (pl.col("value") <= 0.0)).then("value"),
            ),
            train_loss=_above_zero("train_loss", pl.lit(value=True)),
            value=_above_zero("value", is_loss),
        )
    )
    return pl.concat([ours, _from_bytes(ours)]) if any(run.from_bytes for run in runs) else ours


def _from_bytes(records: pl.DataFrame) -> pl.DataFrame:
    """Make losses of bits per byte, of eval sets that have no other: times ln 2 and bytes."""
    value = pl.col("value") * pl.col("byte_factor")
    return records.filter(
        pl.col("metric") == "bits_per_byte", pl.col("eval_set").is_in(pl.col("from_bytes"))
    ).with_columns(
        metric=pl.lit("loss"),
        value=pl.when(~(value <= 0.0)).then(value),
        impossible=pl.when(value <= 0.0).then(value),
        primary=(pl.col("eval_set") == pl.col("primary_eval")).fill_null(value=False),
        on_curve=(pl.col("eval_set") == pl.col("curve_eval")).fill_null(value=False),
    )


def _with_all_tokens(records: pl.DataFrame) -> pl.DataFrame:
    """Count D where a record gives none: between records of its run that do, else by steps.

    A batch that ramps up makes D no multiple of the step; trainers that log D with training often
    leave it out with evaluations.
    """
    known = pl.col("tokens").is_not_null()
    mixed = (
        records.group_by("run")
        .agg(known=(known & (pl.col("step") > 0)).any(), gaps=(~known).any())
        .filter(pl.col("known") & pl.col("gaps"))["run"]
    )
    filled = records
    for run in mixed.sort():
        in_run = pl.col("run") == run
        given = records.filter(in_run & known).group_by("step").agg(pl.col("tokens").max())
        tokens = between(given.sort("step"), records.filter(in_run)["step"].to_numpy())
        place = filled.select(in_run.arg_true()).to_series()
        counted = filled["tokens"].scatter(
            place, filled["tokens"].gather(place).fill_null(pl.Series(tokens))
        )
        filled = filled.with_columns(tokens=counted)
    return by_steps(filled)


def by_steps(records: pl.DataFrame) -> pl.DataFrame:
    """Count D as step times tokens per step where a record gives none."""
    counted = pl.col("step") * pl.col("tokens_per_step")
    return records.with_columns(tokens=pl.coalesce("tokens", counted))


def between(given: pl.DataFrame, steps: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Interpolate D at steps, from (0, 0) on and beyond the last record at its rate.

    Parameters
    ----------
    given : columns step and tokens, sorted by step, some step above 0.
    steps : where to count D.
    """
    at = np.concatenate([[0.0], given["step"].to_numpy()[given["step"].to_numpy() > 0]])
    d = np.concatenate([[0.0], given["tokens"].to_numpy()[given["step"].to_numpy() > 0]])
    rate = (d[-1] - d[-2]) / (at[-1] - at[-2])
    beyond = d[-1] + rate * (steps - at[-1])
    tokens: np.ndarray[Any, Any] = np.where(steps > at[-1], beyond, np.interp(steps, at, d))
    return tokens


def _above_zero(column: str, is_loss: pl.Expr) -> pl.Expr:
    """Null for a loss of 0 or below; NaN stays."""
    return pl.when(is_loss & (pl.col(column) <= 0.0)).then(None).otherwise(column)


LARGEST_LOSS: Final = 1e6
"""Nats per token that no model has: a loss above is that of a run that has left all numbers, and is
taken as infinity is. Let in, one such value would drown its neighbours in sums."""
_TYPES: Final[dict[str, Any]] = {
    "run": pl.String,
    "tokens_per_step": pl.Float64,
    "seq_len": pl.Float64,
    "primary_eval": pl.String,
    "curve_eval": pl.String,
    "loss_factor": pl.Float64,
    "perplexity": pl.Boolean,
    "byte_factor": pl.Float64,
    "from_bytes": pl.List(pl.String),
    "loss_kind": pl.String,
    "loss_window": pl.Float64,
    **{f"per_token_{convention}": pl.Float64 for convention in FLOPS_CONVENTIONS},
}
_CONVERSIONS: Final = pl.Schema(_TYPES)


def conversions(run: Run) -> dict[str, Any]:
    """Say what turns a run's records into our units."""
    identity = run.identity
    return {
        "run": run.name,
        "tokens_per_step": identity.value("tokens_per_step"),
        "seq_len": identity.value("architecture.seq_len"),
        "primary_eval": run.primary_eval,
        "curve_eval": identity.value("curve_eval"),
        "loss_factor": 1.0 if identity.nats is None else identity.nats,
        "perplexity": identity.nats is None,
        "byte_factor": math.log(2.0) * (identity.value("bytes_per_token") or math.nan),
        "from_bytes": run.from_bytes,
        "loss_kind": identity.value("loss_kind"),
        "loss_window": identity.loss_window,
        **{f"per_token_{c}": identity.flops_per_token(c) for c in FLOPS_CONVENTIONS},
    }


def _finite(column: str | pl.Expr) -> pl.Expr:
    """Null for NaN and infinity."""
    expression = pl.col(column) if isinstance(column, str) else column
    return pl.when(expression.is_finite()).then(expression)


def _is_loss(losses: pl.Expr) -> pl.Expr:
    """Whether losses are numbers that a model can have."""
    return losses.is_finite() & (losses <= LARGEST_LOSS)


def evals_table(records: pl.DataFrame) -> pl.DataFrame:
    """Build the `Evals` table."""
    units = {"loss": "nat/token", "bits_per_byte": "bit/byte"}
    return (
        records.filter(pl.col("kind") == "eval")
        .select(
            "run",
            "segment",
            "step",
            "eval_set",
            "metric",
            "tokens",
            value=_finite("value"),
            unit=pl.col("metric").replace_strict(units, default=""),
            primary="primary",
        )
        .sort("run", "segment", "step", "eval_set", "metric")
    )


def _moves(records: pl.DataFrame) -> pl.DataFrame:
    """Find by how much the losses of a curve's eval set differ from the primary set's.

    Both are text of one kind, and which windows were chosen moves every model's loss by nearly the
    same: a run that has not come to its end, where both are measured, is moved by the median of
    the others.

    Returns
    -------
    One row per run that has such a curve: run, moved [nat/token].
    """
    of_curves = records.filter("on_curve")
    if of_curves.is_empty():
        return pl.DataFrame(schema={"run": pl.String, "moved": pl.Float64})
    both = records.filter(pl.col("primary") | pl.col("on_curve"))
    differences = (
        both.group_by("run", "step")
        .agg(
            primary=pl.col("value").filter("primary").last(),
            curve=pl.col("value").filter("on_curve").last(),
        )
        .with_columns(moved=pl.col("primary") - pl.col("curve"))
        .filter(pl.col("moved").is_finite())
        .sort("run", "step")
        .group_by("run", maintain_order=True)
        .agg(pl.col("moved").last())
    )
    runs = of_curves.select("run").unique(maintain_order=True)
    joined = runs.join(differences, on="run", how="left", maintain_order="left")
    return joined.with_columns(pl.col("moved").fill_null(pl.col("moved").median()).fill_null(0.0))


def curves_table(records: pl.DataFrame) -> pl.DataFrame:
    """Build the `Curves` table, with tokens_per_step beside its columns."""
    primary = pl.when("primary").then("value")
    not_finite = ~_is_loss(pl.col("train_loss")) | ~_is_loss(primary)

    def first(column: str | pl.Expr) -> pl.Expr:
        expression = pl.col(column) if isinstance(column, str) else column
        return expression.drop_nulls().first()

    measured = ("lr", "grad_norm", "tokens_per_second")
    moved = _moves(records)
    if not moved.is_empty():
        records = records.join(moved, on="run", how="left", maintain_order="left")
    on_curve = pl.when("on_curve").then(pl.col("value") + pl.col("moved"))
    loss = [primary] if moved.is_empty() else [primary, on_curve]
    steps = records.group_by("run", "segment", "step").agg(
        tokens=first("tokens"),
        flops=first(_finite("flops")),
        is_nan=not_finite.fill_null(value=False).any(),
        eval_loss=pl.coalesce(first(pl.when(_is_loss(each)).then(each)) for each in loss),
        superseded=pl.col("superseded").any(),
        loss_kind=pl.col("loss_kind").first(),
        loss_window=pl.col("loss_window").first(),
        tokens_per_step=pl.col("tokens_per_step").first(),
        train_loss=first(pl.when(_is_loss(pl.col("train_loss"))).then("train_loss")),
        **{name: first(_finite(name)) for name in measured},
        **{f"per_token_{c}": pl.col(f"per_token_{c}").first() for c in FLOPS_CONVENTIONS},
    )
    by_convention = {
        f"flops_{c}": pl.col(f"per_token_{c}") * pl.col("tokens") for c in FLOPS_CONVENTIONS
    }
    by_convention["flops_logged"] = pl.coalesce("flops", by_convention["flops_logged"])
    return (
        steps.with_columns(**by_convention)
        .with_columns(
            pl.when(pl.col("train_loss").is_not_null()).then(name).alias(name)
            for name in ("loss_kind", "loss_window")
        )
        .sort("run", "segment", "step")
    )


def files_table(sweep: str, logs: Sequence[Log]) -> pl.DataFrame:
    """Build the `Files` table."""
    rows = []
    for log in logs:
        parsed = log.parsed
        rows.append(
            {
                "sweep": sweep,
                "path": log.file.name,
                "digest": log.file.digest,
                "bytes": log.file.size,
                "format": log.format,
                "runner_up": log.runner_up,
                "rows": parsed.lines if parsed else 0,
                "rows_left_out": sum(rows for rows, _ in parsed.left_out) if parsed else 0,
                "lines_unread": parsed.lines_unread if parsed else 0,
                "restarts": parsed.restarts if parsed else 0,
                "truncated": parsed.truncated if parsed else False,
                "last_day": last_day((parsed.written, *(run.written for run in parsed.runs)))
                if parsed
                else None,
                "fate": log.fate,
                "reason": log.reason,
            }
        )
    schema = {name: column.dtype for name, column in Files.columns().items()}
    return pl.DataFrame(rows, schema=schema).sort("path")


def runs_table(
    sweep: str,
    runs: Sequence[Run],
    measured: Mapping[str, Mapping[str, Any]],
    sidecar: SweepFile,
    notes: Mapping[str, Sequence[str]],
) -> pl.DataFrame:
    """Build the `Runs` table; a run without a curve has what its facts say.

    Parameters
    ----------
    sweep : its name.
    runs : the runs.
    measured : what `measures.measure` gives.
    sidecar : sweep.yaml.
    notes : by run, what its checks say.
    """
    nothing = dict.fromkeys(MEASURES)
    rows = [
        _run_row(sweep, run, measured.get(run.name, nothing), sidecar, notes.get(run.name, ()))
        for run in runs
    ]
    schema = {name: column.dtype for name, column in Runs.columns().items()}
    return pl.DataFrame(rows, schema=schema).sort("run")


def _run_row(
    sweep: str, run: Run, curve: Mapping[str, Any], sidecar: SweepFile, told: Sequence[str]
) -> dict[str, Any]:
    """One row of `Runs`."""
    identity = run.identity
    idle = identity.idle_window if run.trains else None
    died = curve["died_at_once"] and (
        f"{curve['died_at_once']} later launch{'es' if curve['died_at_once'] > 1 else ''} of it "
        "ended before the first update, and replaced nothing"
    )
    notes = [*identity.notes, *(words for words in (idle, run.order, died) if words), *told]
    per_step = identity.value("tokens_per_step")
    warmup = identity.value("schedule.warmup_steps")
    counted = any(
        (part.run.counts_steps and not part.run.counts_tokens) or "tokens" in part.formulas
        for part in run.parts
    )
    keys = (*SHAPE, "kv_heads", "experts", "experts_per_token")
    shape = {key: identity.value(f"architecture.{key}") for key in keys}
    params = {f"params_{c}": identity.value(f"params.{c}") for c in PARAMS_CONVENTIONS}
    origins = {f"params_{c}_source": identity.source(f"params.{c}") for c in PARAMS_CONVENTIONS}
    return {
        "sweep": sweep,
        "run": run.name,
        "trainer": run.trainer,
        "paths": ", ".join(run.paths),
        "role": identity.value("role") or "fit",
        "sized_by": identity.value("sized_by"),
        **params,
        **origins,
        **shape,
        "architecture_source": identity.group_source("architecture."),
        "tokens_per_step": per_step,
        "tokens_per_step_source": identity.source("tokens_per_step"),
        "tokens": curve["tokens"] or None,  # 0: no step was made
        "tokens_source": ("counted" if counted else "log") if curve["tokens"] else None,
        "unique_tokens": identity.value("unique_tokens"),
        "budget": identity.value("budget") or _nearest_budget(sidecar, curve["flops_6nd"]),
        "lr_peak": identity.value("schedule.lr_peak") or constant_rate(curve),
        "lr_end": identity.value("schedule.lr_end"),
        "warmup_tokens": warmup * per_step if warmup is not None and per_step else None,
        "schedule_kind": identity.value("schedule.kind"),
        "schedule_tokens": identity.value("schedule.tokens"),
        "schedule_source": identity.group_source("schedule."),
        "dataset": identity.value("dataset"),
        "tokenizer": identity.value("tokenizer"),
        "bytes_per_token": identity.value("bytes_per_token"),
        "seed": identity.value("seed"),
        "status": _status(run, curve),
        "excluded": run.reason is not None,
        "reason": run.reason,
        "notes": "; ".join(notes) or None,
    }


def _status(run: Run, curve: Mapping[str, Any]) -> str | None:
    """How the run ended: by its log's word if it has one, else by its schedule."""
    last = run.parts[-1]
    if curve["last_is_nan"]:
        return "diverged"
    if last.run.status is not None:
        return last.run.status
    if curve["tokens"] is None or run.lacks_schedule:
        return None
    horizon = run.identity.value("schedule.tokens")
    if horizon is not None:
        return "finished" if curve["tokens"] >= FINISHED_SHARE * horizon else "truncated"
    cut = last.log.parsed is not None and last.log.parsed.truncated
    return "truncated" if cut else "finished"


def _nearest_budget(sidecar: SweepFile, flops: float | None) -> float | None:
    """Find the nominal budget of a run by its 6ND; None if none is near."""
    if sidecar.budgets is None or not flops:
        return None
    nearest = min(sidecar.budgets.values, key=lambda budget: abs(math.log(flops / budget)))
    return nearest if abs(flops - nearest) <= sidecar.budgets.tolerance * nearest else None
