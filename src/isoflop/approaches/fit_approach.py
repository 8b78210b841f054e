"""Fit one approach to one sweep, resample it, and write the estimate."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from isoflop.approaches.estimators.curvature import describe_bend
from isoflop.approaches.estimators.identifiability import require_determined, require_identified
from isoflop.approaches.estimators.registry import fit
from isoflop.approaches.protocol import Resamples
from isoflop.approaches.uncertainty.calibration import Calibrated, calibrate
from isoflop.approaches.uncertainty.influence import (
    influence_cautions,
    influence_of,
    twin_cautions,
)
from isoflop.approaches.uncertainty.resampling import resample
from isoflop.approaches.uncertainty.simulated_sweeps import SimulatedSweeps
from isoflop.errors import MissingFactError, UnderdeterminedError
from isoflop.estimates.estimate import (
    Bend,
    Counting,
    Estimate,
    Refusal,
    Tally,
    Uncalibrated,
    optima_of,
)
from isoflop.estimates.intervals import LEVELS
from isoflop.estimates.quantities import derived, describe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from isoflop.approach import Approach
    from isoflop.approaches.observations import Observations
    from isoflop.approaches.protocol import Fit, Refits
    from isoflop.config.approaches import ApproachesSettings
    from isoflop.estimates.estimate import Provenance
    from isoflop.estimates.laws import Law
    from isoflop.estimates.quantities import Quantity, Simulations
    from isoflop.laws import ChinchillaLaw

    Floats = NDArray[np.float64]

MANY_REFUSED: Final = 0.05
SYSTEMATIC: Final = 0.5
"""Share of an interval's half-width above which an error without noise is told."""
LEAST_OFF: Final = 0.02
"""Log of a factor in N_opt that nobody needs to be told of."""
LEAST_DRAWS: Final = 2
KINDS_TOLD: Final = 3
"""Reasons of left-out runs that a refusal names."""
DECADES: Final = (0.0, 1.0, 2.0)
"""Where an estimate says its optima: decades above the largest C that was fitted."""
NOT_ASKED: Final = "approaches.bootstrap.interval asks for none"
DRAWS_SCHEMA: Final = {
    "approach": pl.String,
    "simulation": pl.Int64,
    "draw": pl.Int64,
    "refused": pl.String,
}
"""Columns that every table of draws has."""


def fit_approach(
    losses: pl.DataFrame | Observations,
    approach: Approach,
    settings: ApproachesSettings,
    *,
    sweep: str,
    provenance: Provenance,
    published: Mapping[str, ChinchillaLaw] | None = None,
    threads: int | None = None,
    left_out: pl.DataFrame | None = None,
) -> tuple[Estimate | Refusal, pl.DataFrame]:
    """Fit one approach to a loss table and resample it.

    Parameters
    ----------
    losses : table ``Losses``.
    approach : which.
    sweep : name of the sweep.
    settings : section ``approaches`` of config.yaml; other approaches' parts are ignored.
    provenance : what the losses were read from.
    published : laws that the parametric fit is tested against, by name.
    threads : blocks refitted at a time; no byte of the result depends on it.
    left_out : table ``LeftOut``; a refusal names its reasons, since what a fit lacks may be there.

    Returns
    -------
    The estimate, or why the sweep does not allow one, and its draws: columns approach, simulation,
    draw, refused (null, or why), each parameter, a and b. Rows without a simulation are resamples
    of the sweep; the others belong to simulated sweeps, and those without a draw are their
    estimates. ``estimates.allocation`` derives optima at any C from them.
    """
    chosen = settings.only("counting", "bootstrap", approach)
    try:
        fitted = fit(losses, approach, settings, published=published, threads=threads)
        require_identified(fitted)
        flops = fitted.flops_range[1] * 10.0 ** np.array(DECADES)
        _require_optima(fitted, flops)
        resamples = resample(fitted, settings.bootstrap)
        refits = fitted.refit(resamples)
        require_determined(fitted, refits.parameters, refits.refusals)
    except (MissingFactError, UnderdeterminedError) as error:
        refusal = Refusal(
            approach=approach,
            sweep=sweep,
            settings=chosen,
            refused=f"{error}{_left_out_before(left_out)}",
            provenance=provenance,
        )
        return refusal, pl.DataFrame(schema=DRAWS_SCHEMA)
    influence = influence_of(fitted, resamples, refits.parameters, float(flops[0]))
    calibrated = _calibrated(fitted, settings, threads=threads)
    simulations = None if isinstance(calibrated, Uncalibrated) else calibrated.simulations
    row, law = fitted.parameters[None], fitted.law
    quantities = describe(law, row, refits.parameters, flops, simulations)
    estimate = Estimate(
        approach=approach,
        sweep=sweep,
        settings=chosen,
        counting=Counting(params=fitted.counting.params, flops=fitted.counting.flops),
        n_runs=fitted.observations.n_runs,
        n_points=len(fitted.observations.loss),
        budgets=fitted.budgets(),
        flops_range=fitted.flops_range,
        a=quantities["a"],
        b=quantities["b"],
        law=law,
        parameters={name: quantities[name] for name in law.names if name not in {"a", "b"}},
        optima=optima_of(quantities, flops, fitted.flops_range),
        diagnostics=fitted.diagnostics(),
        bootstrap=_tally(refits),
        calibration=(
            calibrated if isinstance(calibrated, Uncalibrated) else calibrated.record(law.names)
        ),
        curvature=_bend(fitted, refits),
        influence=influence,
        cautions=[
            *fitted.cautions(),
            *influence_cautions(influence),
            *twin_cautions(fitted.observations),
            *_refusals(refits),
            *_misses(calibrated, quantities["a"]),
            *_one_sided(law, row, refits.parameters, quantities, flops),
            *_off_by_design(fitted, quantities[f"params_opt_{float(flops[0])!r}"], float(flops[0])),
        ],
        provenance=provenance,
    )
    return estimate, _table(fitted, refits, simulations)


def _left_out_before(left_out: pl.DataFrame | None) -> str:
    """Say what never reached the fit, and why, by kind of reason; empty where all did."""
    if left_out is None:
        return ""
    # an entry without points says something of what was kept
    lost = left_out.filter(pl.col("points") > 0)
    if lost.is_empty():
        return ""
    kinds: dict[str, list[str]] = {}
    for item, reason in lost.sort("item", "reason").select("item", "reason").iter_rows():
        kinds.setdefault(re.sub(r"[0-9][0-9.,e+-]*", "#", reason), []).append(f"{item}: {reason}")
    most = sorted(kinds.values(), key=lambda group: (-len(group), group[0]))
    told = "; ".join(
        f"{len(group)} such as {group[0]}" if len(group) > 1 else group[0]
        for group in most[:KINDS_TOLD]
    )
    more = f"; and {len(most) - KINDS_TOLD} other reasons" if len(most) > KINDS_TOLD else ""
    entries = f"{lost.height} files or runs were left out, whole or in part"
    return f" Before the fit {entries}: {told}{more}."


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


def _calibrated(
    fitted: Fit, settings: ApproachesSettings, *, threads: int | None
) -> Calibrated | Uncalibrated:
    """Fit simulated sweeps, or say why there are none."""
    if settings.bootstrap.interval != "calibrated":
        return Uncalibrated(reason=NOT_ASKED)
    if settings.bootstrap.draws < LEAST_DRAWS:
        return Uncalibrated(reason="there are no draws")
    try:
        sweeps = SimulatedSweeps.of(fitted.observations, settings.parametric, threads=threads)
    except UnderdeterminedError as error:
        return Uncalibrated(reason=str(error))
    return calibrate(fitted, sweeps, settings.bootstrap)


def _misses(calibrated: Calibrated | Uncalibrated, a: Quantity) -> list[str]:
    """Say in words which intervals do not mean what they say."""
    if isinstance(calibrated, Uncalibrated):
        if calibrated.reason == NOT_ASKED:
            return []
        return [
            "Intervals are uncalibrated percentiles; calibration was impossible because "
            f"{calibrated.reason}."
        ]
    short = {level: a.coverage[str(level)] for level in LEVELS if a.undercovers(level)}
    if not short or a.simulated is None:
        return []
    shares = " and ".join(f"the {q:.0%} interval in {s:.0%}" for q, s in short.items())
    return [
        f"Of {len(calibrated.simulations.estimates)} simulated sweeps of this design whose true a "
        f"is {a.simulated.truth:.3f}, {shares} covered it (median estimate "
        f"{a.simulated.median:.3f}): on such a design this approach is biased, and no interval "
        "drawn from its resamples tells."
    ]


def _one_sided(
    law: Law, row: Floats, draws: Floats, quantities: Mapping[str, Quantity], flops: Floats
) -> list[str]:
    """Say of which answers the resamples lie to one side, so that no interval is given."""
    words = {"a": "a", "b": "b"}
    words |= {
        f"{name}_{float(c)!r}": f"the {what} at {c:.3g} FLOPs"
        for c in flops
        for name, what in (("params_opt", "best N"), ("tokens_opt", "best D"), ("loss", "loss"))
    }
    point, drawn = derived(law, row, flops), derived(law, draws, flops)
    sides = []
    for name, what in words.items():
        kept = drawn[name][np.isfinite(drawn[name])] if name in drawn else np.empty(0)
        if (
            name not in quantities
            or len(kept) < LEAST_DRAWS
            or len(quantities[name].intervals) == len(LEVELS)
        ):
            continue
        below = float((kept < point[name][0]).mean())
        share, side = (below, "below") if below > 0.5 else (1.0 - below, "above")
        sides.append(f"{what} ({share:.0%} {side})")
    if not sides:
        return []
    return [
        "Nearly all resamples lie to one side of the estimate from all runs for "
        f"{', '.join(sides)}: an interval of them would exclude the estimate, and is not given."
    ]


def _off_by_design(fitted: Fit, best: Quantity, flops: float) -> list[str]:
    """Say that exact losses of this design would give another N_opt: no seed mends that.

    For the profiles it is the sign of a parabola over too wide a window of sizes, whose valley is
    steeper on one side (Czech et al. 2026).
    """
    if best.simulated is None or best.simulated.noiseless is None or "0.8" not in best.intervals:
        return []
    low, high = best.intervals["0.8"]
    if low <= 0.0 or best.simulated.noiseless <= 0.0:
        return []
    off = float(np.log(best.simulated.noiseless / best.simulated.truth))
    if abs(off) <= max(SYSTEMATIC * 0.5 * float(np.log(high / low)), LEAST_OFF):
        return []
    return [
        f"Exact losses of this design would put the best N at {flops:.3g} FLOPs off by "
        f"{np.expm1(off):+.1%} in this approach, whose 80 % interval is {low:.3g} to {high:.3g}: "
        f"that part is systematic, and no further seed lowers it.{fitted.cure_of_bias()}"
    ]


def _tally(refits: Refits) -> Tally:
    """Count the draws that were refused, by reason."""
    reasons, counts = np.unique(refits.refusals[refits.refusals != ""], return_counts=True)
    return Tally(
        draws=len(refits.refusals),
        refused=int(counts.sum()),
        refusals={str(r): int(n) for r, n in zip(reasons, counts, strict=True)},
    )


def _bend(fitted: Fit, refits: Refits) -> Bend | None:
    """Say how far a fitted frontier departs from a power law; None where a law has no frontier.

    The value from all runs is that of a resample in which each of them occurs once.
    """
    curvature = fitted.refit(Resamples(np.ones((1, fitted.observations.n_runs)))).curvature
    if curvature is None or refits.curvature is None:
        return None
    return describe_bend(curvature, refits.curvature)


def _refusals(refits: Refits) -> list[str]:
    tally = _tally(refits)
    if tally.refused <= MANY_REFUSED * tally.draws:
        return []
    return [
        f"{tally.refused} of {tally.draws} resamples could not be fitted "
        f"({'; '.join(tally.refusals)}); the intervals describe the others and are too narrow."
    ]


def _table(fitted: Fit, refits: Refits, simulations: Simulations | None) -> pl.DataFrame:
    """Write down every refit: of the sweep's resamples, and of simulated sweeps."""
    n = len(refits.refusals)
    parts = [_rows(fitted, refits.parameters, [None] * n, list(range(n)), refits.refusals.tolist())]
    if simulations is not None:
        sweeps, draws, _ = simulations.draws.shape
        for k in range(sweeps):
            block = np.concatenate([simulations.estimates[k : k + 1], simulations.draws[k]])
            parts.append(
                _rows(fitted, block, [k] * (draws + 1), [None, *range(draws)], [""] * (draws + 1))
            )
    return pl.concat(parts)


def _rows(
    fitted: Fit,
    parameters: Floats,
    simulation: Sequence[int | None],
    draw: Sequence[int | None],
    refused: Sequence[str],
) -> pl.DataFrame:
    a, b = fitted.exponents(parameters)
    columns = dict(zip(fitted.names, parameters.T, strict=True)) | {"a": a, "b": b}
    return pl.DataFrame(
        {
            "approach": pl.Series([fitted.approach] * len(parameters), dtype=pl.String),
            "simulation": pl.Series(simulation, dtype=pl.Int64),
            "draw": pl.Series(draw, dtype=pl.Int64),
            "refused": pl.Series([reason or None for reason in refused], dtype=pl.String),
            **{name: pl.Series(column).fill_nan(None) for name, column in columns.items()},
        }
    )
