"""The check runs: sizes of equal compute, by Kaplan's and Chinchilla's exponents or other ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from isoflop.approach import ANSWERS, MIXTURE
from isoflop.cells import cell_of, repeats_in, settings_of
from isoflop.copies import copied_runs, runs_once
from isoflop.counting import unusual_words
from isoflop.escape import code
from isoflop.estimates.announced import check_runs as check_pair_runs
from isoflop.estimates.announced import equal_compute
from isoflop.estimates.counted import counted
from isoflop.estimates.forecasts import RunNoise
from isoflop.estimates.mixture import Mixture
from isoflop.estimates.off_frontier import counting_of_pair, predicted_at, predicts_losses
from isoflop.estimates.recommendation import DOUBTED, standing
from isoflop.numbers import (
    NONE,
    count,
    decades_beyond,
    fixed,
    interval,
    listed,
    number_of,
    power,
    ratio,
    times,
)
from isoflop.pairs import sized_by
from isoflop.report.tables import Column, Table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from isoflop.estimates.estimate import Counting
    from isoflop.report.inputs import ReportInputs
    from isoflop.report.tables import Value


@dataclass(frozen=True, slots=True)
class CheckSize:
    """The check runs of one N and D, with what the answer predicts for them."""

    runs: tuple[str, ...]
    exponent: str | None
    """Whose exponent sized it; None where neither plan nor sweep.yaml says."""
    params: float
    tokens: float
    flops: float
    loss: float
    """Mean of the runs' final losses [nat/token]."""
    loss_se: float | None
    """Standard error of that mean; None of one run, or of runs that were not trained alike."""
    predicted: float | None
    predicted_ends: tuple[float, float] | None

    @property
    def whose(self) -> str:
        """Whose exponent sized it, or which runs it is of."""
        return self.exponent or listed([code(run) for run in self.runs])

    @property
    def in_prose(self) -> str:
        """The same, after “the size”."""
        return f"by {self.exponent}" if self.exponent else f"of {self.whose}"

    @property
    def sized(self) -> str:
        """Who sized it, and how many runs stand behind its loss."""
        return self.whose if len(self.runs) == 1 else f"{self.whose} ({len(self.runs)} runs)"


@dataclass(frozen=True, slots=True)
class SeedNoise:
    """How far runs that differ in their seed alone lie apart, in words."""

    words: str
    gap_in_errors: str


@dataclass(frozen=True, slots=True)
class CheckPair:
    """The pair, its tables, and which of the two won."""

    sizes: tuple[CheckSize, ...]
    opening: str
    sized: str
    """By which exponents the sizes were chosen, after a colon; empty where they are a user's."""
    decades: str
    winner: str
    """The size of the lowest loss, after “the size”."""
    loser: str
    lower: str
    """``lower``, or ``lowest`` of several."""
    gap: str
    mean: str
    """``mean ``, where a size has several runs."""
    whose_loss: str
    """What predicts, for a sentence."""
    drawn: str
    """What else the figure shows, within its caption."""
    predicted_gap: str
    sign_right: bool | None
    judged: int
    """Sizes with an interval."""
    within: int
    noise: SeedNoise | None
    losses: Table
    optima: Table


def check_sizes(inputs: ReportInputs) -> list[CheckSize]:
    """List the sizes of the check runs, smallest first, counted as the figure counts them.

    Empty where they are of different compute.
    """
    chosen = predicts_losses(inputs.recommended, inputs.fitted)
    checks = check_pair_runs(inputs.losses, inputs.announcement)
    finals = counted(checks, counting_of_pair(inputs.recommended, inputs.fitted)).join(
        _repeats(checks), on="run"
    )
    if not equal_compute(finals["flops"]):
        return []
    checked = []
    for _, rows in finals.sort("params", "run").group_by(
        cell_of("params", "tokens"), maintain_order=True
    ):
        n, d = float(rows["params"][0]), float(rows["tokens"][0])
        flops = float(rows["flops"].mean())  # type: ignore[arg-type]
        predicted, ends = None, None
        if chosen is not None:
            key, answer = chosen
            there = predicted_at(answer, inputs.draws_of(key), n, d, flops)
            predicted, ends = there.value, there.intervals.get("0.95")
        names, losses = tuple(rows["run"]), rows["loss"].to_numpy()
        checked.append(
            CheckSize(
                runs=names,
                exponent=sized_by(rows["sized_by"][0]),
                params=n,
                tokens=d,
                flops=flops,
                loss=float(losses.mean()),
                # what settings do to a loss is no noise of a seed
                loss_se=standard_error(losses) if rows["alike"].n_unique() == 1 else None,
                predicted=predicted,
                predicted_ends=ends,
            )
        )
    return checked


def _repeats(losses: pl.DataFrame) -> pl.DataFrame:
    """Give each run the number of those that differ from it in their seed alone, as `alike`."""
    ends = losses.filter("is_final")
    return ends.select("run", alike=repeats_in(ends))


def standard_error(losses: NDArray[np.float64]) -> float | None:
    """Give the standard error of a mean over (runs,); None of one run."""
    return None if len(losses) < 2 else float(losses.std(ddof=1) / np.sqrt(len(losses)))


def difference_error(first: NDArray[np.float64], second: NDArray[np.float64]) -> float | None:
    """Give the standard error of a difference of two means (Welch); None if one is of one run."""
    one_error, other_error = standard_error(first), standard_error(second)
    if one_error is None or other_error is None:
        return None
    return float(np.hypot(one_error, other_error))


def _whose(inputs: ReportInputs) -> str:
    """Name what predicts the losses, for a sentence; approach 3 where nothing does."""
    chosen = predicts_losses(inputs.recommended, inputs.fitted)
    return ANSWERS["parametric" if chosen is None else chosen[0]].in_prose


def counted_words(counting: Counting) -> str:
    """Name conventions other than the usual ones, for a caption."""
    words = unusual_words(counting.params, counting.flops)
    return f" Counted here: {words}." if words else ""


def seed_noise(losses: pl.DataFrame, low: CheckSize, high: CheckSize) -> SeedNoise | None:
    """Say how far the difference of two sizes lies from the noise of their seeds.

    Where both have several runs, these tell (Welch). Else the variance of final losses is pooled
    over the fitted cells with several seeds.

    Parameters
    ----------
    losses : table ``Losses``.
    low, high : of lower and of higher loss.

    Returns
    -------
    None where no N and D has more than one run.
    """
    gap = high.loss - low.loss
    if low.loss_se is not None and high.loss_se is not None:
        error = float(np.hypot(low.loss_se, high.loss_se))
        far = fixed(gap / error, 1) if error else NONE
        return SeedNoise(
            f"The seeds of {len(low.runs)} and {len(high.runs)} runs leave the difference a "
            f"standard error of {fixed(error, 4)}, so it is {far} standard errors; what the rates "
            "of the sizes cost is not in it.",
            far,
        )
    fitted = losses.filter((pl.col("role") == "fit") & pl.col("is_final"))
    n, d, loss = (fitted[name].to_numpy() for name in ("params_total", "tokens", "loss"))
    settings = settings_of(fitted)
    runs = np.arange(len(n))
    copies = copied_runs(runs, d, loss, n, settings)
    once = runs_once(runs, d, loss, n, settings, copies=copies)
    noise = RunNoise.pooled(n[once], d[once], loss[once], settings[once])
    if noise is None:
        return None
    error = float(noise.sd * np.sqrt(1.0 / len(low.runs) + 1.0 / len(high.runs)))
    far = fixed(gap / error, 1)
    return SeedNoise(
        f"Runs of this sweep that differ in their seed alone have a standard deviation of "
        f"{fixed(noise.sd, 4)} ({number_of(noise.cells, 'cell')} with several seeds). The "
        "difference then has a "
        f"standard error of {fixed(error, 4)}, and is {far} standard errors.",
        far,
    )


def check_pair(inputs: ReportInputs) -> CheckPair | None:
    """Compare the measured losses of the pair with what was predicted; None without a pair."""
    sizes = check_sizes(inputs)
    if len(sizes) < 2:
        return None
    best, worst = min(sizes, key=lambda size: size.loss), max(sizes, key=lambda size: size.loss)
    predicted_gap, sign_right = NONE, None
    if best.predicted is not None and worst.predicted is not None:
        predicted_gap = fixed(worst.predicted - best.predicted, 4)
        sign_right = worst.predicted > best.predicted
    counting = counting_of_pair(inputs.recommended, inputs.fitted)
    flops = float(np.median([size.flops for size in sizes]))
    fitted = counted(inputs.losses.filter(pl.col("role") == "fit"), counting)["flops"].to_numpy()
    within = sum(
        size.predicted_ends is not None
        and size.predicted_ends[0] <= size.loss <= size.predicted_ends[1]
        for size in sizes
    )
    runs = sum(len(size.runs) for size in sizes)
    several = runs > len(sizes)
    return CheckPair(
        sizes=tuple(sizes),
        opening=f"{times(runs, 'run')} of {power(flops)} FLOPs each"
        + (f", of {times(len(sizes), 'size')}" if several else ""),
        decades=fixed(decades_beyond(flops, (float(fitted.min()), float(fitted.max()))), 2),
        sized=_sized(sizes),
        winner=best.in_prose,
        loser=worst.in_prose,
        lower="lower" if len(sizes) == 2 else "lowest",
        gap=fixed(worst.loss - best.loss, 4),
        mean="mean " if several else "",
        whose_loss=_within(_whose(inputs)),
        drawn=_drawn(inputs, sizes),
        predicted_gap=predicted_gap,
        sign_right=sign_right,
        judged=sum(size.predicted_ends is not None for size in sizes),
        within=within,
        noise=seed_noise(inputs.losses, best, worst),
        losses=_losses(inputs, sizes, counting),
        optima=_optima(inputs, sizes, counting),
    )


def _sized(sizes: list[CheckSize]) -> str:
    """Say by which exponents a matched pair was sized, where its plan or sweep.yaml says."""
    exponents = [size.exponent for size in sizes if size.exponent is not None]
    if len(exponents) < len(sizes):
        return ""
    first, *others = exponents
    chosen = [f"one size by {first} from the sweep’s middle budget"]
    return f": {listed(chosen + [f'one by {other}' for other in others])}"


def _losses(inputs: ReportInputs, sizes: list[CheckSize], counting: Counting) -> Table:
    chosen = predicts_losses(inputs.recommended, inputs.fitted)
    mark = "" if chosen is None else standing(chosen[1], inputs.forecasts).loss_mark
    given = any(size.predicted_ends is not None for size in sizes)
    interval_words = (
        "; the interval is without the noise of a single run"
        if given
        else "; it has no interval for the loss there that covers, so none is given"
    )
    means = (
        ", means of runs with their standard errors"
        if any(size.loss_se is not None for size in sizes)
        else ""
    )
    rows, data = [], []
    for size in sizes:
        difference = None if size.predicted is None else size.predicted - size.loss
        rows.append([
            size.sized,
            count(size.params),
            count(size.tokens),
            ratio(size.tokens / size.params),
            power(size.flops),
            fixed(size.loss, 4) + ("" if size.loss_se is None else f" ± {fixed(size.loss_se, 4)}"),
            NONE if size.predicted is None else fixed(size.predicted, 4) + mark,
            NONE if size.predicted_ends is None else interval(*size.predicted_ends, _loss),
            NONE if difference is None else fixed(difference, 4) + mark,
        ])  # fmt: skip
        data.append([
            size.whose, size.params, size.tokens, size.flops, len(size.runs), size.loss,
            size.loss_se, size.predicted,
            *(size.predicted_ends or (None, None)),
        ])  # fmt: skip
    return Table(
        key="check",
        caption="The check pair: measured final losses beside those that "
        f"{_within(_whose(inputs))} predicts from the fitted runs alone. Losses in nats per token"
        f"{means}{interval_words}." + counted_words(counting),
        columns=(
            Column("Sized by" if _sized(sizes) else "Size of", "left"),
            Column("*N*"), Column("*D*"), Column("*D*/*N*"),
            Column("*C* (FLOPs)"), Column("Measured loss"), Column("Predicted"),
            Column("95 %"), Column("Predicted less measured"),
        ),
        rows=rows,
        data_columns=(
            "sized_by", f"params_{counting.params}", "tokens", f"flops_{counting.flops}", "runs",
            "loss", "loss_se", "predicted", "predicted_lo95", "predicted_hi95",
        ),
        data=data,
        notes=[DOUBTED] if mark else [],
    )  # fmt: skip


def _optima(inputs: ReportInputs, sizes: list[CheckSize], counting: Counting) -> Table:
    """Say where each approach that counts N as the runs are shown puts N* at the pair's compute.

    And which size is nearer. Each approach is asked at the pair's C by its own convention.
    """
    checks = check_pair_runs(inputs.losses, inputs.announcement)
    rows: list[list[str]] = []
    data: list[list[Value]] = []
    doubted = False
    for key, answer in inputs.answers.items():
        if answer.counting.params != counting.params:
            continue
        flops = float(counted(checks, answer.counting)["flops"].median())  # type: ignore[arg-type]
        optimum = inputs.answered(flops).get(key)
        if optimum is None:
            continue
        best = optimum.params.value
        nearest = min(sizes, key=lambda size: abs(np.log(size.params / best)))
        frontier = None if optimum.loss is None else optimum.loss.value
        mark = standing(answer, inputs.forecasts).loss_mark
        doubted |= bool(mark)
        rows.append([
            ANSWERS[key].label,
            count(best),
            ratio(optimum.tokens_per_param.value),
            NONE if frontier is None else fixed(frontier, 4) + mark,
            nearest.whose,
        ])  # fmt: skip
        data.append([key, flops, best, frontier, nearest.whose])
    return Table(
        key="check-optima",
        caption="Where each law puts the optimum at "
        f"{power(float(np.median([size.flops for size in sizes])))} FLOPs, the loss it predicts "
        "there, and which of the sizes is nearer to it in log *N*." + counted_words(counting),
        columns=(
            Column("Law", "left"), Column("*N*\\*"), Column("*D*\\*/*N*\\*"),
            Column("Loss at *N*\\* (nats per token)"), Column("Nearer size", "left"),
        ),
        rows=rows,
        data_columns=("approach", "flops", "params_opt", "loss_opt", "nearer_size"),
        data=data,
        notes=[DOUBTED] if doubted else [],
    )  # fmt: skip


def _drawn(inputs: ReportInputs, sizes: list[CheckSize]) -> str:
    """Say what the figure shows beside the pair and the curve: a mixture's laws, announcements."""
    chosen = predicts_losses(inputs.recommended, inputs.fitted)
    words = []
    if chosen is not None and isinstance(chosen[1], Mixture):
        words.append("thin: its laws")
    shown = {run for size in sizes for run in size.runs}
    announced = [] if inputs.announcement is None else inputs.announcement.runs
    if any(run.run in shown and MIXTURE.key in run.losses for run in announced):
        words.append(
            "grey beside them: what the mixture of that day announced before they were trained, "
            "with its 80 % and 95 % intervals, a run’s noise included"
        )
    return f" ({'; '.join(words)})" if words else ""


def _within(name: str) -> str:
    """Write a name that may open a sentence inside of one."""
    return name.replace("Approach", "approach", 1)


def _loss(value: float) -> str:
    return fixed(value, 4)
