"""Weights of laws, which draw belongs to which law, and what the laws predict together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from isoflop.approaches.forecasts.predictions import Predictive
from isoflop.approaches.uncertainty.streams import Stream, rng
from isoflop.estimates.diagnostics import REJECTED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from isoflop.approach import Approach
    from isoflop.config.approaches import MixtureSettings
    from isoflop.estimates.forecasts import Cut

    Floats = NDArray[np.float64]
    Ints = NDArray[np.intp]

STEPS: Final = 10_000
TOLERANCE: Final = 1e-10
"""Largest change of a weight at which the iteration ends."""
FEWEST_LAWS: Final = 2
"""Laws that are mixed where the runs reject all, or all but one."""
FEWEST_CUTS: Final = 2
"""Cuts without which forecasts give no weights: those above one cut share one fit of each law."""


def weights_of(
    laws: Sequence[Approach],
    cuts: Sequence[Cut],
    misfits: Mapping[Approach, float | None],
    settings: MixtureSettings,
) -> tuple[Literal["unrejected", "equal", "stacking"], Floats]:
    """Give the laws' weights as far as scored cuts allow the way that is asked for.

    Parameters
    ----------
    laws : those that may take part.
    cuts : their forecasts, scored.
    misfits : p-value of the test of each law's form on the runs that it is fitted to; None, or no
        entry, where it was not tested.
    settings : which weights are asked for.

    Returns
    -------
    How the weights came about, and the weights, (laws,), which sum to 1.
    """
    equal = np.full(len(laws), 1.0 / len(laws))
    if settings.weights == "equal":
        return "equal", equal
    if settings.weights == "unrejected":
        return "unrejected", unrejected_weights([misfits.get(law) for law in laws])
    tables = [table for cut in cuts if (table := _log_densities(laws, cut)) is not None]
    if len(tables) < FEWEST_CUTS:
        return "equal", equal
    return "stacking", stacked_weights(np.concatenate(tables))


def unrejected_weights(misfits: Sequence[float | None]) -> Floats:
    """Let the laws count alike whose form the runs do not reject, (laws,).

    The two least rejected always do, whatever their p-values: the distance between two laws is the
    least that an interval must know of.

    Parameters
    ----------
    misfits : p-value of the test of each law's form; None counts as not rejected.
    """
    p = np.array([1.0 if misfit is None else misfit for misfit in misfits])
    kept = p >= REJECTED
    kept[np.argsort(-p, kind="stable")[:FEWEST_LAWS]] = True
    return np.asarray(kept / kept.sum())


def _log_densities(laws: Sequence[Approach], cut: Cut) -> Floats | None:
    """Give log densities, (runs, laws), of the losses above a cut; None where a law has none."""
    scores = [cut.forecast(law).score("loss") for law in laws]
    table = [
        [np.nan if p.log_density is None else p.log_density for p in score.predictions]
        for score in scores
        if score is not None
    ]
    if len(table) < len(laws):
        return None
    return np.array(table).T


def mixed_predictive(
    predictives: Sequence[Predictive], weights: Floats, *, draws: int, seed: int
) -> Predictive:
    """Mix predictions of the same losses.

    The prediction itself is the median of the draws of the laws, without noise: the centre of the
    intervals. One law alone keeps its own prediction. A draw whose law was refused in that resample
    is no draw of the mixture.

    Parameters
    ----------
    predictives : one a law.
    weights : (laws,).
    draws : number of draws that each law had, refused ones included.
    seed : of the bootstrap.
    """
    if len(predictives) == 1:
        return predictives[0]
    whose = shared_out(weights, draws, seed)
    parts = [
        predictive.at(whose[predictive.numbers] == k) for k, predictive in enumerate(predictives)
    ]
    numbers = np.concatenate([part.numbers for part in parts])
    order = np.argsort(numbers, kind="stable")
    laws = np.concatenate([part.log_law for part in parts if part.log_law is not None])
    return Predictive(
        np.exp(np.median(laws, axis=0)),
        np.concatenate([part.draws for part in parts])[order],
        numbers[order],
        mixed=tuple(
            (float(weight), predictive)
            for weight, predictive in zip(weights, predictives, strict=True)
        ),
    )


def stacked_weights(log_densities: Floats) -> Floats:
    """Give the weights whose mixture has the highest log score on what was forecast.

    The score, sum over predictions of log sum_k w_k p_k, is concave in w, and is climbed by
    expectation and maximisation: each law's new weight is its mean share of the mixture's density.

    Parameters
    ----------
    log_densities : (predictions, laws) log of each law's predictive density at the measurement.

    Returns
    -------
    (laws,) weights that sum to 1.

    References
    ----------
    Yao, Vehtari, Simpson and Gelman 2018, Bayesian Analysis 13:917, equation 4 with the log score.
    """
    n, laws = log_densities.shape
    if n == 0:
        return np.full(laws, 1.0 / laws)
    # only ratios of densities matter
    ratios = np.exp(log_densities - log_densities.max(axis=1, keepdims=True))
    weights = np.full(laws, 1.0 / laws)
    for _ in range(STEPS):
        shares = weights * ratios
        shares /= shares.sum(axis=1, keepdims=True)
        moved = shares.mean(axis=0)
        settled = np.abs(moved - weights).max() <= TOLERANCE
        weights = moved
        if settled:
            break
    return np.asarray(weights / weights.sum())


def shared_out(weights: Floats, draws: int, seed: int) -> Ints:
    """Say which law each draw of a mixture is taken from, (draws,).

    Draw i of every law rests on the same resample of runs, so draw i of the mixture is draw i of
    one law, and each resample is used once. Numbers of draws are the weights' shares, rounded by
    largest remainder; which draws are whose is shuffled.

    Parameters
    ----------
    weights : (laws,), summing to 1.
    draws : number of draws.
    seed : of the bootstrap.
    """
    exact = weights * draws
    counts = np.floor(exact + 1e-9).astype(np.intp)
    left = draws - int(counts.sum())
    largest = np.argsort(counts - exact, kind="stable")[:left]
    counts[largest] += 1
    laws = np.repeat(np.arange(len(weights)), counts)
    return np.asarray(rng(seed, Stream.MIXTURE).permutation(laws))
