"""Which single runs an answer hangs on, and which lie far off what the others predict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from isoflop.approaches.uncertainty.jackknife import leave_one_out
from isoflop.cells import repeats_of
from isoflop.estimates.influence import Influence, LeaveOut, moves, outlying
from isoflop.numbers import first_of
from isoflop.spikes import TELLS_NOTHING, TO_SIGMA

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from isoflop.approaches.observations import Observations
    from isoflop.approaches.protocol import Fit, Resamples

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

MOST_NAMED: Final = 5
"""Runs that a caution names; the report's table has every one."""
MOST_RUNS: Final = 500
"""Leave-outs cost the square of the number of runs, and one of many moves little."""
LEAST_DRAWS: Final = 20
"""Draws without a run that its standard errors need; else all draws serve."""


def influence_of(fit: Fit, resamples: Resamples, draws: Floats, flops: float) -> Influence:
    """Leave out one run at a time, and set what changes against its standard error.

    A run's standard errors are those of the draws in which it does not occur (the jackknife after
    the bootstrap, Efron 1992): a run that moves the answer a lot would otherwise widen the very
    error that it is compared with.

    Parameters
    ----------
    fit : the fit to all runs.
    resamples, draws : what was drawn, and the parameters fitted to it, (draws, parameters).
    flops : C at which the optimum is compared [FLOP].

    References
    ----------
    Efron 1992, J. R. Stat. Soc. B 54:83; Cook and Weisberg 1982, section 2.2, for the residual of a
    point about the fit without it.
    """
    observations = fit.observations
    if observations.n_runs > MOST_RUNS:
        return Influence(
            flops=flops,
            runs=[],
            reason=f"it has {observations.n_runs} runs, more than {MOST_RUNS}",
        )
    if np.isfinite(draws).all(axis=1).sum() < LEAST_DRAWS:
        return Influence(flops=flops, runs=[], reason="there are no draws to take errors from")
    left = leave_one_out(fit)
    estimate = _quantities(fit, fit.parameters[None], flops)[0]
    without, drawn = _quantities(fit, left, flops), _quantities(fit, draws, flops)
    absent = resamples.weights == 0
    studentised = _studentised(fit, left, draws, absent)
    runs = []
    for i, run in enumerate(observations.runs):
        errors = _errors(drawn, absent[:, i])
        shifts = estimate - without[i]
        # where nothing scatters nothing is told apart
        in_errors = np.where(errors > 0, shifts / np.where(errors > 0, errors, 1.0), 0.0)
        runs.append(
            LeaveOut(
                run=run,
                a=_finite(shifts[0]),
                log_params=_finite(shifts[1]),
                log_loss=_finite(shifts[2]),
                a_errors=_finite(in_errors[0]),
                log_params_errors=_finite(in_errors[1]),
                log_loss_errors=_finite(in_errors[2]),
                refused=bool(not np.isfinite(left[i]).all()),
                residual=_finite(studentised[0][i]),
                studentised=_finite(studentised[1][i]),
            )
        )
    return Influence(flops=flops, runs=runs, reason=None)


def influence_cautions(
    influence: Influence,
    beside: Mapping[str, Sequence[str]] | None = None,
    worse_rates: Mapping[str, tuple[float, float]] | None = None,
) -> list[str]:
    """Name the runs on which the answer hangs, and those far off what the others predict.

    Parameters
    ----------
    influence : every run left out in turn.
    beside : the other seeds of each run that the fit has, see ``seeds_beside``; None for none.
    worse_rates : as of ``Observations``; None for none.
    """
    cautions = []
    if moving := influence.moving:
        telling = _telling([run.run for run in moving], beside or {}, worse_rates or {})
        cautions.append(
            f"The answer hangs on {'one run' if len(moving) == 1 else f'{len(moving)} runs'}: "
            f"{_first([moves(run) for run in moving])}. {telling}"
        )
    rates = worse_rates or {}
    if far := [outlying(run) for run in influence.outlying if run.run not in rates]:
        cautions.append(
            f"Far off what the other runs predict: {_first(far)}. Read the "
            f"{'log' if len(far) == 1 else 'logs'}; leave a run out (in a folder by exclude in "
            "sweep.yaml) only for a reason that its log gives."
        )
    if far := [outlying(run) for run in influence.outlying if run.run in rates]:
        cautions.append(
            f"Far off what the other runs predict, at a worse peak learning rate than another run "
            f"of the same N and D: {_first(far)}. losses.rates: best leaves such runs out."
        )
    if lost := [run.run for run in influence.runs if run.refused]:
        cautions.append(
            f"Without one of {first_of(lost)} this approach could not be fitted at all."
        )
    return cautions


def seeds_beside(observations: Observations) -> dict[str, list[str]]:
    """List beside each run the fitted ones that repeat it; copies of a run are no seeds."""
    # points are sorted by run, then tokens
    last = observations.at(np.flatnonzero(np.diff(observations.run, append=-1)))
    cells = repeats_of(last.params, last.tokens, last.settings)
    names = [observations.runs[run] for run in last.run]
    groups = [[observations.runs[run] for run in group.runs] for group in observations.copies]
    copied = {name: set(group) for group in groups for name in group}
    return {
        name: [
            other
            for other, its in zip(names, cells, strict=True)
            if its == cell and other not in copied.get(name, {name})
        ]
        for name, cell in zip(names, cells, strict=True)
    }


def _telling(
    moving: list[str],
    beside: Mapping[str, Sequence[str]],
    worse_rates: Mapping[str, tuple[float, float]],
) -> str:
    """Say what tells whether runs belong: their rate, or a seed, which some have in the fit."""
    mistuned = [run for run in moving if run in worse_rates]
    alone = [run for run in moving if not beside.get(run) and run not in worse_rates]
    seeded = [run for run in moving if beside.get(run) and run not in worse_rates]
    told = []
    if mistuned:
        rates = [
            f"{run}, at {worse_rates[run][0]:g} where {worse_rates[run][1]:g} is best for its N "
            "and D"
            for run in mistuned
        ]
        told.append(
            f"It is the peak learning rate that moves it for {_first(rates)}: losses.rates: best "
            "leaves such runs out."
        )
    if alone:
        those = f"each of the {len(alone)} without one" if len(alone) > 1 else alone[0]
        which = those if seeded or mistuned else "each" if len(alone) > 1 else "it"
        told.append(f"A second seed of {which} tells whether it belongs.")
    if seeded:
        named = [f"{first_of(beside[run])} beside {run}" for run in seeded]
        told.append(
            f"Runs of the same N and D are in the fit already: {_first(named)}. How far they lie "
            "apart tells whether it belongs."
        )
    return " ".join(told)


def _first(told: list[str]) -> str:
    """List the first of some runs, the farthest, and count the others: the table has all."""
    more = len(told) - MOST_NAMED
    return "; ".join(told[:MOST_NAMED]) + (f"; and {more} more" if more > 0 else "")


def twin_cautions(observations: Observations) -> list[str]:
    """Say which runs were entered twice, or may have been, and what that does."""
    cautions = []
    if groups := observations.copies:
        told = [
            f"{' = '.join(observations.runs[run] for run in group.runs)}, {group.words}"
            for group in groups
        ]
        cautions.append(
            f"{sum(len(group.runs) - 1 for group in groups)} of {observations.n_runs} runs have "
            "the size, tokens and losses of another, in every digit of the coarser "
            f"({_first(told)}), and seeds would hardly agree so by chance: one training under two "
            "names makes every interval too narrow. Leave the copies out (in a folder by exclude "
            "in sweep.yaml)."
        )
    if unclear := int((~observations.once & ~observations.copied).sum()):
        cautions.append(
            f"{unclear} of {observations.n_runs} runs differ from another of their size and tokens "
            "by no more than the rounding of their losses: seeds or copies, they tell nothing of "
            "how far seeds lie apart, and no misfit was judged by them. Give losses with more "
            "digits, or leave copies out."
        )
    return cautions


def _quantities(fit: Fit, parameters: Floats, flops: float) -> Floats:
    """Give a, log N_opt and log L_opt of rows of parameters, (rows, 3)."""
    a, _ = fit.exponents(parameters)
    optima = fit.optima(parameters, np.array([flops]))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.stack([a, np.log(optima.params[:, 0]), np.log(optima.loss[:, 0])], axis=-1)


def _errors(drawn: Floats, absent: Bools) -> Floats:
    """Give half the width of the middle 68 % of the draws without a run, (quantities,)."""
    kept = np.isfinite(drawn).any(axis=1)
    shared = kept & absent
    rows = drawn[shared if shared.sum() >= LEAST_DRAWS else kept]
    errors = np.full(drawn.shape[1], np.nan)
    for j, column in enumerate(rows.T):
        finite = column[np.isfinite(column)]
        if len(finite) >= 2:
            errors[j] = 0.5 * float(np.diff(np.quantile(finite, [0.16, 0.84]))[0])
    return errors


def _studentised(fit: Fit, left: Floats, draws: Floats, absent: Bools) -> tuple[Floats, Floats]:
    """Give each run's last residual about the fit without it, plain and over its error, (runs,).

    NaN for a law of the optimum alone, and for runs that the fit does not use. The scale is that of
    the median residual, which a few outliers cannot widen.
    """
    observations = fit.observations
    nothing = np.full(observations.n_runs, np.nan)
    used = np.flatnonzero(np.isfinite(fit.fitted))
    last = np.full(observations.n_runs, -1)
    # points are sorted by run, then tokens: the last assignment wins
    last[observations.run[used]] = used
    runs = np.flatnonzero(last >= 0)
    points = last[runs]
    log_n, log_d = np.log(observations.params[points]), np.log(observations.tokens[points])
    with np.errstate(invalid="ignore"):  # refused rows are not numbers
        predicted = fit.law.log_loss(left[runs], log_n, log_d)
        drawn = fit.law.log_loss(draws, log_n, log_d)
    if predicted is None or drawn is None or len(runs) <= fit.n_parameters:
        return nothing, nothing
    log_loss = np.log(observations.loss[points])
    plain = np.abs(log_loss - fit.fitted[points])
    scale = TO_SIGMA * float(np.median(plain))
    scale *= np.sqrt(len(runs) / (len(runs) - fit.n_parameters))
    residual, studentised = nothing.copy(), nothing.copy()
    residual[runs] = log_loss - np.diagonal(predicted)
    for k, run in enumerate(runs):
        spread = _errors(drawn[:, k : k + 1], absent[:, run])[0]
        width = max(float(np.hypot(scale, spread)), TELLS_NOTHING)
        studentised[run] = residual[run] / width
    return residual, studentised


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
