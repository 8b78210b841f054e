"""Drawing resamples of a sweep: whole runs, never single points of a curve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from isoflop.approaches.protocol import Resamples
from isoflop.approaches.uncertainty.streams import Stream, rng
from isoflop.errors import UnderdeterminedError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from isoflop.approaches.protocol import Fit
    from isoflop.config.approaches import BootstrapSettings

    Floats = NDArray[np.float64]
    Ints = NDArray[np.intp]

BLOCK: Final = 256
"""Draws made at a time: of 10,000 runs they take 20 MB, four thousand 320 MB for each array."""


def resample(
    fit: Fit, settings: BootstrapSettings, stream: Stream = Stream.RESAMPLES, *key: int
) -> Resamples:
    """Draw resamples for a fit.

    Draw i comes from a generator of its own: neither the number of draws nor of threads changes it.

    Parameters
    ----------
    fit : the fit to all runs; the schemes ``residual`` and ``wild`` start from its fitted losses.
    settings : scheme, number of draws, seed, strata.
    stream, key : what the draws are for; the number of the simulated sweep that is resampled.

    Returns
    -------
    Weights of (draws, runs): how often each run occurs. ``runs`` draws n runs with replacement
    (Efron 1979), within each stratum; ``subsample`` keeps a share of each stratum without
    replacement, as Hoffmann et al. (2022, Table 2) may have done, which makes intervals about
    half as wide at 80 %; ``residual`` adds residuals drawn with replacement to the fitted losses;
    ``wild`` turns each residual's sign at random (Rademacher weights; Wu 1986, Liu 1988).

    Raises
    ------
    UnderdeterminedError : the scheme needs fitted losses and the approach has none.
    """
    shape = settings.draws, fit.observations.n_runs
    if settings.scheme in {"residual", "wild"}:
        uniform = uniforms(range(shape[0]), shape[1], settings.seed, stream, *key)
        return Resamples(np.ones(shape), _new_losses(fit, uniform, settings.scheme))
    strata = _strata(fit.observations.run_budget, stratify=settings.stratify)
    weights = np.empty(shape)
    for start in range(0, shape[0], BLOCK):
        draws = range(start, min(start + BLOCK, shape[0]))
        uniform = uniforms(draws, shape[1], settings.seed, stream, *key)
        weights[draws.start : draws.stop] = (
            _with_replacement(uniform, strata)
            if settings.scheme == "runs"
            else _without_replacement(uniform, strata, settings.subsample)
        )
    return Resamples(weights)


def uniforms(draws: range, n: int, seed: int, stream: Stream, *key: int) -> Floats:
    """Draw n uniform numbers per draw, each draw from a generator of its own, (draws, n)."""
    rows = [rng(seed, stream, *key, i).random(n) for i in draws]
    return np.array(rows).reshape(len(draws), n)


def _strata(budget: Floats, *, stratify: bool) -> list[Ints]:
    """Group the runs by planned budget; those without one form a group of their own."""
    if not stratify:
        return [np.arange(len(budget))]
    labels = np.unique(np.nan_to_num(budget, nan=-1.0), return_inverse=True)[1]
    return [np.flatnonzero(labels == label) for label in range(labels.max() + 1)]


def _with_replacement(uniform: Floats, strata: list[Ints]) -> Floats:
    weights = np.zeros_like(uniform)
    draws = np.arange(len(uniform))[:, None]
    for members in strata:
        picked = members[(uniform[:, members] * len(members)).astype(np.intp)]
        np.add.at(weights, (draws, picked), 1.0)
    return weights


def _without_replacement(uniform: Floats, strata: list[Ints], share: float) -> Floats:
    weights = np.zeros_like(uniform)
    for members in strata:
        rank = uniform[:, members].argsort(axis=1).argsort(axis=1)
        weights[:, members] = rank < max(1, round(share * len(members)))
    return weights


def _new_losses(fit: Fit, uniform: Floats, scheme: str) -> Floats:
    """Add reshuffled or sign-flipped residuals to the fitted losses of the points the fit uses."""
    observed = np.log(fit.observations.loss)
    used = np.isfinite(fit.fitted)
    if not fit.takes_losses:
        raise UnderdeterminedError(
            f"bootstrap.scheme '{scheme}' resamples residuals, which approach "
            f"'{fit.approach}' does not have. Use scheme 'runs' or 'subsample'."
        )
    residual = (observed - fit.fitted)[used]
    run = fit.observations.run[used]
    losses = np.tile(observed, (len(uniform), 1))
    if scheme == "wild":
        # one sign a run: points of one curve err together
        change = np.where(uniform[:, run] < 0.5, -1.0, 1.0) * residual
    else:
        centred = residual - residual.mean()
        change = centred[(uniform[:, run] * len(centred)).astype(np.intp)]
    losses[:, used] = fit.fitted[used] + change
    return losses
