"""The check pair: runs of equal compute, sized by Kaplan's exponent and by Chinchilla's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from isoflop.approach import NAMES
from isoflop.choices import FLOPS, PARAMS
from isoflop.escape import code
from isoflop.estimates.announced import check_runs as check_pair_runs
from isoflop.estimates.announced import sized_by
from isoflop.estimates.counted import counted
from isoflop.estimates.estimate import Counting
from isoflop.estimates.forecasts import RunNoise
from isoflop.estimates.recommendation import DOUBTED, standing
from isoflop.numbers import NONE, count, decades_beyond, fixed, interval, power, ratio
from isoflop.report.tables import Column, Table

if TYPE_CHECKING:
    from isoflop.estimates.estimate import Estimate
    from isoflop.report.inputs import ReportInputs
    from isoflop.report.tables import Value

TAILS = (0.025, 0.975)


@dataclass(frozen=True, slots=True)
class CheckRun:
    """One check run, with what the parametric approach predicted for it."""

    run: str
    whose: str
    params: float
    tokens: float
    flops: float
    loss: float
    predicted: float | None
    predicted_ends: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class SeedNoise:
    """How far runs that differ in their seed alone lie apart, in words."""

    sd: str
    cells: int
    gap_in_sd: str


@dataclass(frozen=True, slots=True)
class CheckPair:
    """The pair, its tables, and which of the two won."""

    runs: tuple[CheckRun, ...]
    flops: str
    decades: str
    winner: str
    loser: str
    gap: str
    predicted_gap: str
    sign_right: bool | None
    judged: int
    """Runs with an interval."""
    within: int
    noise: SeedNoise | None
    losses: Table
    optima: Table


def check_runs(inputs: ReportInputs) -> list[CheckRun]:
    """List the check runs, smallest first, counted as the figure of the check counts them."""
    finals = counted(check_pair_runs(inputs.losses, inputs.announcement), _counting(inputs))
    parametric = inputs.fitted.get("parametric")
    checked = []
    for row in finals.sort("params").iter_rows(named=True):
        n, d = row["params"], row["tokens"]
        predicted, ends = None, None
        if parametric is not None:
            predicted = _predicted(parametric, n, d)
            draws = inputs.draws.get("parametric")
            # what its losses at optima are denied, its losses beside them are denied too
            at_optimum = inputs.optima(row["flops"])["parametric"].loss
            served = at_optimum is not None and "0.95" in at_optimum.intervals
            if served and draws is not None and not draws.is_empty():
                rows = parametric.rows(draws)
                log_loss = parametric.law.log_loss(rows, np.log([n]), np.log([d]))
                if log_loss is not None:
                    low, high = np.exp(np.nanquantile(log_loss[:, 0], TAILS))
                    ends = (float(low), float(high))
        whose = sized_by(row["run"]) or code(row["run"])
        checked.append(
            CheckRun(row["run"], whose, n, d, row["flops"], row["loss"], predicted, ends)
        )
    return checked


def _counting(inputs: ReportInputs) -> Counting:
    """Give the conventions of approach 3, or else of the first approach that gave an estimate."""
    shown = inputs.fitted.get("parametric") or next(iter(inputs.fitted.values()), None)
    return Counting(params="total", flops="6nd") if shown is None else shown.counting


def _counting_words(counting: Counting) -> str:
    """Name conventions other than the usual ones, for a caption."""
    if (counting.params, counting.flops) == ("total", "6nd"):
        return ""
    return f" Counted here: {PARAMS[counting.params]}, {FLOPS[counting.flops]}."


def seed_noise(losses: pl.DataFrame, gap: float) -> SeedNoise | None:
    """Pool the standard deviation of final losses over cells with several seeds.

    Parameters
    ----------
    losses : table ``Losses``.
    gap : a difference between two runs [nat/token], to be given in units of its own sd, which is
        sqrt(2) times that of one run.

    Returns
    -------
    None where no cell (size and budget) has more than one seed.
    """
    fitted = losses.filter((pl.col("role") == "fit") & pl.col("is_final")).drop_nulls("budget")
    columns = (fitted[name].to_numpy() for name in ("params_total", "budget", "loss"))
    noise = RunNoise.pooled(*columns)
    if noise is None:
        return None
    return SeedNoise(fixed(noise.sd, 4), noise.cells, fixed(gap / (np.sqrt(2.0) * noise.sd), 1))


def check_pair(inputs: ReportInputs) -> CheckPair | None:
    """Compare the measured losses of the pair with what was predicted; None without a pair."""
    runs = check_runs(inputs)
    if len(runs) < 2:
        return None
    best, worst = min(runs, key=lambda run: run.loss), max(runs, key=lambda run: run.loss)
    predicted_gap, sign_right = NONE, None
    if best.predicted is not None and worst.predicted is not None:
        predicted_gap = fixed(worst.predicted - best.predicted, 4)
        sign_right = worst.predicted > best.predicted
    counting = _counting(inputs)
    flops = float(np.median([run.flops for run in runs]))
    fitted = counted(inputs.losses.filter(pl.col("role") == "fit"), counting)["flops"].to_numpy()
    within = sum(
        run.predicted_ends is not None
        and run.predicted_ends[0] <= run.loss <= run.predicted_ends[1]
        for run in runs
    )
    return CheckPair(
        runs=tuple(runs),
        flops=power(flops),
        decades=fixed(decades_beyond(flops, (float(fitted.min()), float(fitted.max()))), 2),
        winner=best.whose,
        loser=worst.whose,
        gap=fixed(worst.loss - best.loss, 4),
        predicted_gap=predicted_gap,
        sign_right=sign_right,
        judged=sum(run.predicted_ends is not None for run in runs),
        within=within,
        noise=seed_noise(inputs.losses, worst.loss - best.loss),
        losses=_losses(inputs, runs, counting),
        optima=_optima(inputs, runs, counting),
    )


def _losses(inputs: ReportInputs, runs: list[CheckRun], counting: Counting) -> Table:
    parametric = inputs.fitted.get("parametric")
    mark = "" if parametric is None else standing(parametric, inputs.forecasts).loss_mark
    given = any(run.predicted_ends is not None for run in runs)
    interval_words = (
        "; the interval is of the fitted law, without the noise of a single run"
        if given
        else "; there is no interval of these losses to give"
    )
    rows, data = [], []
    for run in runs:
        difference = None if run.predicted is None else run.predicted - run.loss
        rows.append([
            run.whose,
            count(run.params),
            count(run.tokens),
            ratio(run.tokens / run.params),
            power(run.flops),
            fixed(run.loss, 4),
            NONE if run.predicted is None else fixed(run.predicted, 4) + mark,
            NONE if run.predicted_ends is None else interval(*run.predicted_ends, _loss),
            NONE if difference is None else fixed(difference, 4) + mark,
        ])  # fmt: skip
        data.append([
            run.run, run.params, run.tokens, run.flops, run.loss, run.predicted,
            *(run.predicted_ends or (None, None)),
        ])  # fmt: skip
    return Table(
        key="check",
        caption="The check pair: measured final losses beside those that approach 3 predicts from "
        f"the fitted runs alone. Losses in nats per token{interval_words}."
        + _counting_words(counting),
        columns=(
            Column("Sized by", "left"), Column("*N*"), Column("*D*"), Column("*D*/*N*"),
            Column("*C* (FLOPs)"), Column("Measured loss"), Column("Predicted"),
            Column("95 %"), Column("Predicted less measured"),
        ),
        rows=rows,
        data_columns=(
            "run", f"params_{counting.params}", "tokens", f"flops_{counting.flops}", "loss",
            "predicted", "predicted_lo95", "predicted_hi95",
        ),
        data=data,
        notes=[DOUBTED] if mark else [],
    )  # fmt: skip


def _optima(inputs: ReportInputs, runs: list[CheckRun], counting: Counting) -> Table:
    """Say where each approach that counts N as the runs are shown puts N* at the pair's compute.

    And which run is nearer. Each approach is asked at the pair's C by its own convention.
    """
    checks = check_pair_runs(inputs.losses, inputs.announcement)
    rows: list[list[str]] = []
    data: list[list[Value]] = []
    doubted = False
    for approach, estimate in inputs.fitted.items():
        if estimate.counting.params != counting.params:
            continue
        flops = float(counted(checks, estimate.counting)["flops"].median())  # type: ignore[arg-type]
        best = float(estimate.params_opt(flops))
        nearest = min(runs, key=lambda run: abs(np.log(run.params / best)))
        frontier = _frontier_loss(estimate, flops)
        mark = standing(estimate, inputs.forecasts).loss_mark
        doubted |= bool(mark)
        rows.append([
            NAMES[approach],
            count(best),
            ratio(float(estimate.tokens_opt(flops)) / best),
            NONE if frontier is None else fixed(frontier, 4) + mark,
            nearest.whose,
        ])  # fmt: skip
        data.append([approach, flops, best, frontier, nearest.run])
    return Table(
        key="check-optima",
        caption="Where each approach puts the optimum at "
        f"{power(float(np.median([run.flops for run in runs])))} FLOPs, the loss it predicts "
        "there, and which of the two runs is nearer to it in log *N*." + _counting_words(counting),
        columns=(
            Column("Approach", "left"), Column("*N*\\*"), Column("*D*\\*/*N*\\*"),
            Column("Loss at *N*\\* (nats per token)"), Column("Nearer run", "left"),
        ),
        rows=rows,
        data_columns=("approach", "flops", "params_opt", "loss_opt", "nearer_run"),
        data=data,
        notes=[DOUBTED] if doubted else [],
    )  # fmt: skip


def _predicted(estimate: Estimate, params: float, tokens: float) -> float | None:
    loss = estimate.loss(params, tokens)
    return None if loss is None else float(loss)


def _frontier_loss(estimate: Estimate, flops: float) -> float | None:
    """Give the loss an approach predicts on its frontier, where it predicts one."""
    loss = float(estimate.loss_opt(flops))
    return loss if np.isfinite(loss) else None


def _loss(value: float) -> str:
    return fixed(value, 4)
