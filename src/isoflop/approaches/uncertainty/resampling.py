"""Drawing resamples of a sweep: whole runs, never single points of a curve.

Runs that are picked one by one know nothing of errors that runs share: ten sizes of five runs each,
whose sizes err together, would count as fifty runs. So where intervals are calibrated each resample
also draws such errors, of each size and of each cell of equal N and D, from the parts of the noise
that the fit tells apart. Their variance is then counted twice, once with the runs: intervals come
out too wide rather than too narrow, which calibration narrows again.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from isoflop.approaches.protocol import Resamples
from isoflop.approaches.uncertainty.streams import Stream, rng
from isoflop.cells import cells_of, repeats_of
from isoflop.errors import UnderdeterminedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from isoflop.approaches.observations import Observations
    from isoflop.approaches.protocol import Fit
    from isoflop.config.approaches import BootstrapSettings
    from isoflop.estimates.diagnostics import NoiseParts

    Floats = NDArray[np.float64]
    Ints = NDArray[np.intp]

BLOCK: Final = 256
"""Draws made at a time: of 10,000 runs they take 20 MB, four thousand 320 MB for each array."""
SMALL: Final = 2**15
"""Numbers of a block that is kept: 60 draws of 270 runs."""
KEPT: Final = 256
"""Blocks that are kept, in 64 MB at most."""


def resample(
    fit: Fit,
    settings: BootstrapSettings,
    stream: Stream = Stream.RESAMPLES,
    *key: int,
    shared: bool = True,
) -> Resamples:
    """Draw resamples for a fit.

    Draw i comes from a generator of its own: neither the number of draws nor of threads changes it.

    Parameters
    ----------
    fit : the fit to all runs; the schemes ``residual`` and ``wild`` start from its fitted losses.
    settings : scheme, number of draws, seed, strata, kind of interval.
    stream, key : what the draws are for; the number of the simulated sweep that is resampled.
    shared : whether errors that runs share may be drawn too. Their variance lies among the runs
        that are picked as well, and calibration sets right that it counts twice; percentiles that
        nothing calibrates, as those of forecasts, go without.

    Returns
    -------
    Weights of (draws, runs): how often each run occurs. ``runs`` draws n runs with replacement
    (Efron 1979), within each stratum; ``subsample`` keeps a share of each stratum without
    replacement, as Hoffmann et al. (2022, Table 2) may have done, which makes intervals about
    half as wide at 80 %; ``residual`` adds residuals drawn with replacement to the fitted losses;
    ``wild`` turns each residual's sign at random (Rademacher weights; Wu 1986, Liu 1988). With
    ``runs`` and calibrated intervals also the errors that runs share, where the fit takes losses
    and tells the parts of its noise apart.

    Raises
    ------
    UnderdeterminedError : the scheme needs fitted losses and the approach has none.
    """
    return resample_alike([fit], settings, stream, *key, shared=shared)[0]


def resample_alike(
    fits: Sequence[Fit],
    settings: BootstrapSettings,
    stream: Stream,
    *key: int,
    shared: bool = True,
) -> list[Resamples]:
    """Draw the same resamples for several fits of the same runs; see ``resample``.

    A draw picks the same runs for each, and errors that they share from the same normal numbers,
    each fit with its own parts of the noise.
    """
    observations = fits[0].observations
    shape = settings.draws, observations.n_runs
    if settings.scheme in {"residual", "wild"}:
        uniform = uniforms(range(shape[0]), shape[1], settings.seed, stream, *key)
        return [
            Resamples(np.ones(shape), _new_losses(fit, uniform, settings.scheme)) for fit in fits
        ]
    parts = [_shared_parts(fit, settings) if shared else None for fit in fits]
    size, cell = _groups(observations) if any(parts) else (np.empty(0, np.intp),) * 2
    sizes, cells = (group.max(initial=-1) + 1 for group in (size, cell))
    strata = _strata(observations.run_budget, stratify=settings.stratify)
    weights = np.empty(shape)
    shifts = [np.empty(shape) if part is not None else None for part in parts]
    for start in range(0, shape[0], BLOCK):
        draws = range(start, min(start + BLOCK, shape[0]))
        rows = slice(draws.start, draws.stop)
        uniform, normal = _numbers(draws, shape[1], sizes + cells, settings.seed, stream, *key)
        weights[rows] = (
            _with_replacement(uniform, strata)
            if settings.scheme == "runs"
            else _without_replacement(uniform, strata, settings.subsample)
        )
        for part, shift in zip(parts, shifts, strict=True):
            if part is not None and shift is not None:
                of_size, of_cell = normal[:, :sizes], normal[:, sizes:]
                shift[rows] = (part.size or 0.0) * of_size[:, size]
                shift[rows] += (part.cell or 0.0) * of_cell[:, cell]
    return [Resamples(weights, shift=shift) for shift in shifts]


def _shared_parts(fit: Fit, settings: BootstrapSettings) -> NoiseParts | None:
    """Give the parts of a fit's noise where its resamples share errors; else None."""
    asked = settings.scheme == "runs" and settings.interval == "calibrated"
    return fit.noise_parts if asked and fit.takes_losses else None


def _groups(observations: Observations) -> tuple[Ints, Ints]:
    """Give each run its size, and its group of repeats by its last D, (runs,) each."""
    # points are sorted by run, then tokens
    last = observations.at(np.flatnonzero(np.diff(observations.run, append=-1)))
    return cells_of(last.params), repeats_of(last.params, last.tokens, last.settings)


def uniforms(draws: range, n: int, seed: int, stream: Stream, *key: int) -> Floats:
    """Draw n uniform numbers per draw, each draw from a generator of its own, (draws, n)."""
    return _numbers(draws, n, 0, seed, stream, *key)[0]


def _numbers(
    draws: range, uniform: int, normal: int, seed: int, stream: Stream, *key: int
) -> tuple[Floats, Floats]:
    """Draw uniform and then normal numbers, each draw from a generator of its own.

    Returns
    -------
    (draws, uniform) and (draws, normal); not to be written to, since small blocks are kept.
    """
    draw = _kept if len(draws) * (uniform + normal) <= SMALL else _drawn
    return draw(draws, uniform, normal, seed, stream, *key)


def _drawn(
    draws: range, uniform: int, normal: int, seed: int, stream: Stream, *key: int
) -> tuple[Floats, Floats]:
    generators = [rng(seed, stream, *key, i) for i in draws]
    flat = [generator.random(uniform) for generator in generators]
    bell = [generator.normal(size=normal) for generator in generators]
    numbers = (
        np.array(flat).reshape(len(draws), uniform),
        np.array(bell).reshape(len(draws), normal),
    )
    for block in numbers:
        block.flags.writeable = False
    return numbers


# the sweeps of every truth, and every specification, draw the same numbers again
_kept = lru_cache(KEPT)(_drawn)


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
