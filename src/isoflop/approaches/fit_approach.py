"""Fit one approach to one sweep, resample it, and say what came out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from isoflop.approaches.estimators.curvature import describe
from isoflop.approaches.estimators.registry import fit
from isoflop.approaches.protocol import Resamples
from isoflop.approaches.uncertainty.calibration import Calibration, calibrate
from isoflop.approaches.uncertainty.intervals import held, intervals
from isoflop.approaches.uncertainty.quantities import evidence, quantities
from isoflop.approaches.uncertainty.resampling import resample
from isoflop.approaches.uncertainty.simulated_sweeps import Lookalikes
from isoflop.errors import MissingFactError, UnderdeterminedError
from isoflop.estimates.estimate import GOPHER_BUDGET, Counting, Estimate, Optimum, Quantity, Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from isoflop.approach import Approach
    from isoflop.approaches.observations import Observations
    from isoflop.approaches.protocol import Fit, Refits
    from isoflop.config.approaches import ApproachesSettings
    from isoflop.estimates.estimate import Provenance
    from isoflop.laws import ChinchillaLaw

    Floats = NDArray[np.float64]

FAR: Final = 1.0
"""Decades beyond the data from which a reader is warned."""
MANY_REFUSED: Final = 0.05
LEAST_DRAWS: Final = 2
DRAWS_SCHEMA: Final = {"approach": pl.String, "draw": pl.Int64, "refused": pl.String}
"""Columns that every table of draws has."""


def fit_approach(
    losses: pl.DataFrame | Observations,
    approach: Approach,
    settings: ApproachesSettings,
    *,
    sweep: str,
    budgets: Sequence[float],
    provenance: Provenance,
    published: Mapping[str, ChinchillaLaw] | None = None,
    threads: int | None = None,
) -> tuple[Estimate | Refusal, pl.DataFrame]:
    """Fit one approach to a loss table and resample it.

    Parameters
    ----------
    losses : table ``Losses``.
    approach : which.
    sweep : name of the sweep.
    settings : section ``approaches`` of config.yaml; other approaches' parts are ignored.
    budgets : C at which optima are wanted [FLOP]; Gopher's 5.76e23 is added.
    provenance : what the losses were read from.
    published : laws that the parametric fit is tested against, by name.
    threads : blocks refitted at a time; no byte of the result depends on it.

    Returns
    -------
    The estimate, or why the sweep does not allow one, and its draws: one row per draw with columns
    approach, draw, refused (null, or why), each parameter, a, b, and for each budget params_opt_C,
    tokens_opt_C, tokens_per_param_C and loss_C, with C as in ``5.76e+23``.
    """
    own = settings.model_dump(mode="json")
    chosen = {key: own[key] for key in ("counting", "bootstrap", approach)}
    flops = np.array(sorted({*map(float, budgets), GOPHER_BUDGET}))
    try:
        fitted = fit(losses, approach, settings, published=published, threads=threads)
        _require_optima(fitted, flops)
    except (MissingFactError, UnderdeterminedError) as error:
        refusal = Refusal(
            approach=approach,
            sweep=sweep,
            settings=chosen,
            refused=str(error),
            provenance=provenance,
        )
        return refusal, pl.DataFrame(schema=DRAWS_SCHEMA)
    resamples = resample(fitted, settings.bootstrap)
    refits = fitted.refit(resamples)
    draws = quantities(fitted, refits.parameters, flops)
    checked = _calibration(fitted, settings, flops, threads=threads)
    ranks = checked.ranks if isinstance(checked, Calibration) else {}
    gathered = evidence(fitted, resamples, draws, flops, settings.bootstrap, ranks=ranks)
    found = {
        name: Quantity(
            value=own.value,
            intervals=intervals(own, settings.bootstrap),
            held=held(own, settings.bootstrap),
        )
        for name, own in gathered.items()
    }
    estimate = Estimate(
        approach=approach,
        sweep=sweep,
        settings=chosen,
        counting=Counting(params=fitted.counting.params, flops=fitted.counting.flops),
        n_runs=fitted.observations.n_runs,
        n_points=len(fitted.observations.loss),
        budgets=fitted.budgets(),
        flops_range=fitted.observations.flops_range,
        a=found["a"],
        b=found["b"],
        law=fitted.law,
        parameters={n: found[n] for n in fitted.names if n not in {"a", "b"}},
        optima=[_optimum(c, found, fitted.observations) for c in flops],
        diagnostics=fitted.diagnostics()
        | _curvature(fitted, refits, settings)
        | {"bootstrap": _tally(refits), "calibration": _said(checked, settings)},
        cautions=[
            *fitted.cautions(),
            *_refusals(refits),
            *_misses(checked, found),
            *_extrapolations(flops, fitted.observations),
        ],
        provenance=provenance,
    )
    return estimate, _table(approach, draws, refits)


def _require_optima(fitted: Fit, flops: Floats) -> None:
    """Refuse a fit whose best size is zero or infinite, as where a term of its law has vanished.

    Raises
    ------
    UnderdeterminedError : with what the fit has to say of itself.
    """
    optima = fitted.optima(fitted.parameters[None], flops)
    if not (np.isfinite(optima.params) & np.isfinite(optima.tokens)).all():
        raise UnderdeterminedError(
            f"approach '{fitted.approach}' finds no compute-optimal size in sweep "
            f"{fitted.observations.sweep}: its best N is zero or infinite. "
            f"{' '.join(fitted.cautions())} Add runs over a wider range of N and D."
        )


def _calibration(
    fitted: Fit, settings: ApproachesSettings, flops: Floats, *, threads: int | None
) -> Calibration | str | None:
    """Check the intervals on simulated sweeps; a string says why not, None that nobody asked."""
    if settings.bootstrap.interval != "calibrated" or settings.bootstrap.draws < LEAST_DRAWS:
        return None
    try:
        like = Lookalikes.of(fitted.observations, settings.parametric, threads=threads)
    except UnderdeterminedError as error:
        return str(error)
    return calibrate(fitted, like, flops, settings.bootstrap)


def _said(checked: Calibration | str | None, settings: ApproachesSettings) -> dict[str, Any]:
    """Say what the simulations gave, or why there are none."""
    if isinstance(checked, Calibration):
        return checked.diagnostics(settings.bootstrap.levels)
    return {"simulations": 0, "reason": checked or "not asked for"}


def _misses(checked: Calibration | str | None, found: dict[str, Quantity]) -> list[str]:
    """Say in words which intervals do not mean what they say."""
    if isinstance(checked, str):
        return [f"The intervals are plain percentiles, nobody knows how good: {checked}."]
    if checked is None or checked.truth.get("a") is None:
        return []
    a = found["a"]
    short = {q: share for q, share in a.held.items() if a.falls_short(float(q))}
    if not short:
        return []
    shares = " and ".join(f"the {float(q):.0%} interval in {s:.0%}" for q, s in short.items())
    return [
        f"Of {checked.simulations} simulated sweeps of this design whose true a is "
        f"{checked.truth['a']:.3f}, {shares} held it (median estimate "
        f"{np.median(checked.estimates['a']):.3f}): on such a design this approach is biased, and "
        "no interval drawn from its resamples tells."
    ]


def _optimum(c: float, found: dict[str, Quantity], observations: Observations) -> Optimum:
    key = repr(float(c))
    return Optimum(
        flops=float(c),
        params=found[f"params_opt_{key}"],
        tokens=found[f"tokens_opt_{key}"],
        tokens_per_param=found[f"tokens_per_param_{key}"],
        loss=found.get(f"loss_{key}"),
        decades_beyond_data=_decades_beyond(c, observations),
    )


def _decades_beyond(c: float, observations: Observations) -> float:
    return float(np.log10(c / observations.flops_range[1]))


def _tally(refits: Refits) -> dict[str, Any]:
    """Count the draws that were refused, by reason."""
    reasons, counts = np.unique(refits.refusals[refits.refusals != ""], return_counts=True)
    return {
        "draws": len(refits.refusals),
        "refused": int(counts.sum()),
        "refusals": {str(r): int(n) for r, n in zip(reasons, counts, strict=True)},
    }


def _curvature(fitted: Fit, refits: Refits, settings: ApproachesSettings) -> dict[str, Any]:
    """Say how far a fitted frontier departs from a power law; nothing where a law has no frontier.

    The value from all runs is that of a resample that holds each of them once.
    """
    whole = fitted.refit(Resamples(np.ones((1, fitted.observations.n_runs)))).curvature
    if whole is None or refits.curvature is None:
        return {}
    return {"curvature": describe(whole, refits.curvature, settings.bootstrap.levels)}


def _refusals(refits: Refits) -> list[str]:
    tally = _tally(refits)
    if tally["refused"] <= MANY_REFUSED * tally["draws"]:
        return []
    return [
        f"{tally['refused']} of {tally['draws']} resamples could not be fitted "
        f"({'; '.join(tally['refusals'])}); the intervals describe the others and are too narrow."
    ]


def _extrapolations(flops: Floats, observations: Observations) -> list[str]:
    distance = {c: _decades_beyond(c, observations) for c in flops}
    far = {c: d for c, d in distance.items() if d > FAR}
    return [
        f"{c:.3g} FLOPs lie {d:.1f} decades beyond the largest run fitted "
        f"({observations.flops_range[1]:.2g} FLOPs): the interval covers resampling, not "
        "the chance that the law bends."
        for c, d in far.items()
    ]


def _table(approach: str, draws: dict[str, Floats], refits: Refits) -> pl.DataFrame:
    n = len(refits.refusals)
    return pl.DataFrame(
        {
            "approach": pl.Series([approach] * n, dtype=pl.String),
            "draw": pl.Series(range(n), dtype=pl.Int64),
            "refused": pl.Series([r or None for r in refits.refusals.tolist()], dtype=pl.String),
            **{name: pl.Series(column).fill_nan(None) for name, column in draws.items()},
        }
    )
