"""Fit the law of learning rates to a sweep's tuning runs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from isoflop.errors import IsoflopError
from isoflop.train.finished import Finished, finished_run
from isoflop.train.plan_sweep import plan_sweep
from isoflop.train.rate_law import MeasuredRates, RateCell, RateLaw

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from isoflop.train.design import Design

LAW_TERMS = 4
"""Numbers of the law: its curvature, intercept and two exponents."""
MIN_RATES = 3
"""Rates of a cell that say where its best is."""


class RatesError(IsoflopError):
    """The tuning runs do not say what the law of rates is."""


def fit_rates(name: str, design: Design, logs: Path) -> MeasuredRates:
    """Fit the law to the finished tuning runs of a design, and say what using it costs.

    Parameters
    ----------
    name, design : the sweep and its design.
    logs : folder of the raw logs; the sweep's lie in logs/name.

    Raises
    ------
    RatesError : tuning runs are missing, or they do not bracket a best rate.
    """
    grid = [run for run in plan_sweep(name, design).runs if run.purpose.startswith("law of rates")]
    if not grid:
        raise RatesError(f"design {name}: it has no rate_grid, so there is no law to fit")
    paths = [logs / name / run.role / f"{run.run}.jsonl" for run in grid]
    missing = [path for path in paths if not path.exists()]
    if missing:
        raise RatesError(
            f"{missing[0]}: is absent, and {len(missing) - 1} more of {len(paths)} tuning runs; "
            f"train them first (isoflop train-plan --stage tuning)"
        )
    runs = [finished_run(path) for path in paths]
    unfinished = [path for path, run in zip(paths, runs, strict=True) if run is None]
    if unfinished:
        raise RatesError(
            f"{unfinished[0]}: has not finished, nor have {len(unfinished) - 1} more of "
            f"{len(paths)} tuning runs; train them to their ends, and if one diverged, lower the "
            f"guess of the design's learning_rate"
        )
    measured = fit_law([run for run in runs if run is not None])
    law, covariance = measured.law, measured.covariance
    planned = [
        run
        for run in plan_sweep(name, design, law=law).runs
        if run.role == "fit" and run.budget is not None
    ]
    terms = np.array([[1.0, math.log(r.params.total), math.log(r.tokens)] for r in planned])
    expected = law.curvature * np.einsum("ij,jk,ik->i", terms, np.array(covariance), terms)
    return measured.model_copy(
        update={
            "sweep": name,
            "planned_regret_mean": float(expected.mean()),
            "planned_regret_max": float(expected.max()),
        }
    )


def fit_law(runs: Sequence[Finished]) -> MeasuredRates:
    """Fit loss = A_cell + k (log rate - c - p log N - q log D)^2, one curvature for all cells.

    The cells' lowest losses A are free, so the loss's law in N and D does not enter. Multiplied
    out, the model is linear in k, k c, k p and k q: ordinary least squares has no starting point.

    Raises
    ------
    RatesError : a cell has too few rates, or the losses do not curve upwards.
    """
    cells: dict[tuple[int, int], list[Finished]] = {}
    for run in runs:
        cells.setdefault((run.params, run.tokens), []).append(run)
    for (params, tokens), members in cells.items():
        if len({run.rate for run in members}) < MIN_RATES:
            raise RatesError(
                f"cell {params:,} parameters, {tokens:,} tokens has {len(members)} finished runs; "
                f"its best rate needs {MIN_RATES} rates"
            )
    place = {cell: index for index, cell in enumerate(cells)}
    cell_of = np.array([place[run.params, run.tokens] for run in runs])
    logs = np.array([[math.log(x) for x in (r.rate, r.params, r.tokens)] for r in runs])
    middle = logs.mean(axis=0)  # centred: r^2 and r would be nearly collinear
    rate, size, horizon = (logs - middle).T
    losses = np.array([run.loss for run in runs])
    slopes = np.column_stack([rate**2, -2 * rate, -2 * rate * size, -2 * rate * horizon])
    design = np.column_stack([np.eye(len(cells))[cell_of], slopes])
    freedom = len(runs) - design.shape[1]
    if freedom < 1 or np.linalg.matrix_rank(design) < design.shape[1]:
        raise RatesError(
            f"{len(runs)} tuning runs in {len(cells)} cells do not determine the law; "
            f"its exponents need cells of at least two sizes and two horizons"
        )
    # imported here: it takes two seconds, and no other command of the room needs it
    from statsmodels.regression.linear_model import OLS

    fitted = OLS(losses, design).fit()
    solution, variance = np.asarray(fitted.params), float(fitted.scale)
    curvature = float(solution[-LAW_TERMS])
    if curvature <= 0:
        raise RatesError(
            f"the losses fall on both sides of the middle rates (curvature {curvature:.3g}); "
            f"the grids do not bracket the best rates, shift the guess of the design"
        )
    best = solution[-LAW_TERMS + 1 :] / curvature
    back = np.array([[1.0, -middle[1], -middle[2]], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    intercept, params_exponent, tokens_exponent = back @ best + np.array([middle[0], 0.0, 0.0])
    law = RateLaw(
        intercept=float(intercept),
        params_exponent=float(params_exponent),
        tokens_exponent=float(tokens_exponent),
        curvature=curvature,
    )
    of_slopes = np.asarray(fitted.cov_params())[-LAW_TERMS:, -LAW_TERMS:]
    jacobian = back @ np.column_stack([-best / curvature, np.eye(3) / curvature])
    covariance = jacobian @ of_slopes @ jacobian.T
    errors = np.sqrt(np.diag(covariance))
    described = [_cell(members, law, variance) for _, members in sorted(cells.items())]
    regrets = [cell.regret for cell in described]
    return MeasuredRates(
        format="isoflop-rates",
        version=1,
        sweep="",
        law=law,
        standard_errors=RateLaw(
            intercept=float(errors[0]),
            params_exponent=float(errors[1]),
            tokens_exponent=float(errors[2]),
            curvature=float(math.sqrt(of_slopes[0, 0])),
        ),
        covariance=tuple(tuple(float(x) for x in row) for row in covariance),
        residual_sd=math.sqrt(variance),
        degrees_of_freedom=freedom,
        regret_mean=float(np.mean(regrets)),
        regret_max=max(regrets),
        cells=tuple(described),
        runs=tuple(sorted(run.run for run in runs)),
    )


def _cell(runs: Sequence[Finished], law: RateLaw, variance: float) -> RateCell:
    """Compare one cell's best rate with the law's.

    With the law's curvature k, the cell's best is a slope: loss - k r^2 = a - 2 k r_best r.
    """
    rates = np.log([run.rate for run in runs])
    losses = np.array([run.loss for run in runs])
    around = rates - rates.mean()
    slope = float(around @ (losses - law.curvature * rates**2)) / float(around @ around)
    cell_best = -slope / (2 * law.curvature)
    law_rate = law.rate(runs[0].params, runs[0].tokens)
    lowest = float(rates[int(np.argmin(losses))])
    return RateCell(
        params=runs[0].params,
        tokens=runs[0].tokens,
        runs=len(runs),
        law_rate=law_rate,
        cell_rate=math.exp(cell_best),
        lowest_rate=math.exp(lowest),
        inside=float(rates.min()) < lowest < float(rates.max()),
        regret=law.curvature * (math.log(law_rate) - cell_best) ** 2,
        noise=variance / (4 * law.curvature * float(around @ around)),
    )


def describe(rates: MeasuredRates) -> str:
    """Say a law, its misfit and its regret in a few lines."""
    law, errors = rates.law, rates.standard_errors
    edge = sum(not cell.inside for cell in rates.cells)
    return "\n".join(
        [
            f"{rates.sweep}: log rate = {law.intercept:.3f} "
            f"{law.params_exponent:+.3f} log N {law.tokens_exponent:+.3f} log D "
            f"(standard errors {errors.intercept:.3f}, {errors.params_exponent:.3f}, "
            f"{errors.tokens_exponent:.3f})",
            f"  curvature {law.curvature:.4f} ({errors.curvature:.4f}) nats per squared log, "
            f"a rate off by a factor of 2 costs {law.curvature * math.log(2) ** 2:.4f}",
            f"  misfit {rates.residual_sd:.4f} nats "
            f"at {rates.degrees_of_freedom} degrees of freedom",
            f"  regret of the law in its {len(rates.cells)} cells: mean {rates.regret_mean:.4f}, "
            f"largest {rates.regret_max:.4f} nats; "
            f"{np.mean([cell.noise for cell in rates.cells]):.4f} of it is noise on average",
            f"  regret expected of the planned runs from the law's own errors: "
            f"mean {rates.planned_regret_mean:.4f}, largest {rates.planned_regret_max:.4f} nats",
            f"  cells with their lowest loss at the edge of the grid: {edge}",
        ]
    )
