"""Smooth training losses, without the lag of a running mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

LEAST_POINTS: Final = 5
"""Points in a window even where the share of tokens has fewer."""


def effective_tokens(
    tokens: Array, steps: Array, *, kind: str | None, window: float | None
) -> Array:
    """Say at which D a logged training loss was measured: the mean D of what it averages.

    Parameters
    ----------
    tokens : D at each line [token], rising.
    steps : updates at each line.
    kind : what a line averages, as in the table of curves.
    window : updates that it averages over, of a moving average (`ema`) 1 / (1 - b) where b is the
        share of its last value that it keeps at each, without the weight of a value that it had
        before the first update; None: unknown, and D is that of the line.
    """
    if kind == "interval_mean":
        before = np.concatenate([[0.0], tokens[:-1]])
        return (before + tokens) / 2.0
    if kind not in LAGGING or window is None:
        return tokens
    age = _mean_age(np.maximum(steps, 1.0), kind, window)
    order = np.argsort(steps, kind="stable")
    known = np.concatenate([[0.0], steps[order]]), np.concatenate([[0.0], tokens[order]])
    # where D is not in the order of steps, a mean is no later than one of more tokens
    placed: Array = np.maximum.accumulate(np.interp(np.maximum(steps, 1.0) - age, *known))
    return placed


LAGGING: Final = ("ema", "running_mean")
"""Kinds of training losses that average over more than was trained since the line before."""


def _mean_age(steps: Array, kind: str, window: float) -> Array:
    """Say how many updates ago the mean of what is averaged was, after some updates."""
    if kind == "running_mean":
        return (np.minimum(steps, window) - 1.0) / 2.0
    kept = 1.0 - 1.0 / window
    of_all = kept**steps
    age: Array = window - 1.0 - steps * of_all / (1.0 - of_all)
    return age


def smooth(measured_at: Array, losses: Array, at: Array, *, share: float) -> Array:
    """Fit a line in ln D to the losses around each D, and read it there.

    A mean over a window lags behind a falling loss at its end, where the final loss is read; a
    local line does not, to first order (Cleveland 1979, without the robustness weights).

    Parameters
    ----------
    measured_at : D at which each loss was measured [token], rising, shape (n,).
    losses : shape (n,) [nat/token].
    at : D at which to read the curve [token], shape (m,).
    share : half-width of the window as a share of the D at its centre.

    Returns
    -------
    Smoothed losses, shape (m,).
    """
    x, y = np.log(measured_at), losses
    centre = x.mean(), y.mean()  # sums of squares of centred values keep their digits
    x, y = x - centre[0], y - centre[1]
    low = np.searchsorted(measured_at, at * (1.0 - share), side="left")
    high = np.searchsorted(measured_at, at * (1.0 + share), side="right")
    low, high = _widened(low, high, nearest=np.searchsorted(measured_at, at), size=len(x))
    n = (high - low).astype(float)
    sum_x, sum_y, sum_xx, sum_xy = (_window_sums(v, low, high) for v in (x, y, x * x, x * y))
    spread = sum_xx - sum_x**2 / n
    # the threshold: a window of equal D has no slope, only rounding
    has_slope = spread > 1e-12 * np.maximum(sum_xx, 1e-300)
    slope = np.where(has_slope, (sum_xy - sum_x * sum_y / n) / np.where(has_slope, spread, 1.0), 0)
    fitted: Array = sum_y / n + slope * (np.log(at) - centre[0] - sum_x / n)
    smoothed: Array = fitted + centre[1]
    return smoothed


def _widened(
    low: NDArray[np.intp], high: NDArray[np.intp], *, nearest: NDArray[np.intp], size: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Widen windows with too few points to the points nearest by."""
    least = min(LEAST_POINTS, size)
    too_few = high - low < least
    start = np.clip(nearest - least // 2, 0, size - least)
    return np.where(too_few, start, low), np.where(too_few, start + least, high)


def _window_sums(values: Array, low: NDArray[np.intp], high: NDArray[np.intp]) -> Array:
    """Sum values[low:high] for every pair, by differences of running sums."""
    running: Array = np.concatenate([[0.0], np.cumsum(values)])
    sums: Array = running[high] - running[low]
    return sums
