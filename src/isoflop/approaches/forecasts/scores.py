"""How good predictions were: bias, spread, coverage, and a proper score."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from isoflop.estimates.intervals import LEVELS, interval_score, tails

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from isoflop.approaches.forecasts.predictions import Predictive

    Floats = NDArray[np.float64]


RARE: Final = 0.025
"""Share of right forecasts that may be called wrong."""


def prediction_intervals(draws: Floats) -> Floats:
    """Read central intervals off the draws: (levels, 2, targets) for (draws, targets)."""
    return np.asarray(np.quantile(draws, tails(), axis=0))


def least_inside(draws: Floats, ends: Floats) -> Floats:
    """Give the share inside that a right forecast reaches in all but ``RARE`` of all cases.

    Each draw is taken for what is measured, and its share inside is counted. The errors of a draw
    hang together through their law, which a binomial count would overlook.

    Parameters
    ----------
    draws : (draws, targets).
    ends : (levels, 2, targets) intervals read off them.

    Returns
    -------
    (levels,) shares.
    """
    inside = (ends[:, :1] <= draws) & (draws <= ends[:, 1:])
    return np.asarray(np.quantile(inside.mean(axis=-1), RARE, axis=-1, method="lower"))


def summarise(predictive: Predictive, measured: Floats, *, noise: float | None) -> dict[str, Any]:
    """Summarise the errors, predicted less measured, of one kind of prediction.

    Runs of one cut err together, since one law predicts them all. So the interval of the mean error
    comes from the joint draws, and not from the scatter of the errors.

    Parameters
    ----------
    predictive : predictions and their draws.
    measured : (targets,) in the same unit.
    noise : sd of one run's loss, in the same unit; None where it is unknown.

    Returns
    -------
    The fields of ``estimates.Score`` that come from the numbers alone.
    """
    error = predictive.value - measured
    ends = prediction_intervals(predictive.draws)
    mean_ends = np.quantile(
        predictive.draws.mean(axis=1) - measured.mean(),
        tails(),
    )
    rms = float(np.sqrt(np.mean(error**2)))
    names = [str(level) for level in LEVELS]
    inside = [float(np.mean((low <= measured) & (measured <= high))) for low, high in ends]
    scores = [
        float(interval_score(low, high, measured, level).mean())
        for (low, high), level in zip(ends, LEVELS, strict=True)
    ]
    density = predictive.log_density(measured)
    return {
        "n": len(measured),
        "log_score": None if density is None else float(density.mean()),
        "bias": float(error.mean()),
        "bias_intervals": {
            name: (float(low), float(high))
            for name, (low, high) in zip(names, mean_ends, strict=True)
        },
        "rms": rms,
        "rms_per_noise": rms / noise if noise else None,
        "inside": dict(zip(names, inside, strict=True)),
        "inside_least": dict(
            zip(names, least_inside(predictive.draws, ends).tolist(), strict=True)
        ),
        "width": dict(zip(names, [float(np.mean(high - low)) for low, high in ends], strict=True)),
        "interval_score": dict(zip(names, scores, strict=True)),
    }
