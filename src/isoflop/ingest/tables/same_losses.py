"""Whether the losses in two files are those of one run, up to the noise of a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

SIGMAS: Final = 4.0
"""Standard errors up to which a mean difference of losses is a batch's noise."""
DIGIT: Final = 1e-3
"""What losses differ by where they were written with few digits."""
AT_SEAM: Final = 10
"""Points on each side of a seam whose lines are compared there."""
LEAST: Final = 3
"""Points without which a side has no line and no noise."""


def differ_by_noise(apart: Array, usual: float = 0.0) -> bool:
    """Tell whether losses at the same steps are of one run, by their mean difference.

    Parameters
    ----------
    apart : differences in order of the steps, shape (n,); fewer than two tell nothing.
    usual : noise of such differences that is known otherwise; theirs is taken for no less.

    Examples
    --------
    >>> differ_by_noise(np.array([0.1, -0.2, 0.2, -0.1]))
    True
    >>> differ_by_noise(np.array([0.11, 0.1, 0.12, 0.11]))
    False
    """
    apart = apart[np.isfinite(apart)]
    if len(apart) < 2:
        return True
    # by neighbours: a difference that grows is no noise
    noise = max(float(np.mean(np.diff(apart) ** 2) / 2) ** 0.5, usual, DIGIT)
    return bool(abs(apart.mean()) <= SIGMAS * noise / len(apart) ** 0.5)


def go_on(before: tuple[Array, Array], after: tuple[Array, Array]) -> bool:
    """Tell whether losses go on behind a seam as they ended before it.

    A line in ln step is fitted to the points next to the seam on each side; where they meet it,
    the lines are apart by no more than their errors.

    Parameters
    ----------
    before, after : steps, rising and above 0, and losses on each side, shape (n,).
    """
    last, first = (before[0][-AT_SEAM:], before[1][-AT_SEAM:]), [each[:AT_SEAM] for each in after]
    if min(len(last[0]), len(first[0])) < LEAST:
        return True
    x = np.log(np.concatenate([last[0], first[0]])) - np.log(first[0][0])
    y = np.concatenate([last[1], first[1]])
    behind = np.arange(len(x)) >= len(last[0])
    lines = np.column_stack([np.ones(len(x)), x, behind, behind * x])
    told, *_ = np.linalg.lstsq(lines, y, rcond=None)
    freedom = max(len(y) - lines.shape[1], 1)
    noise = max(float(np.sum((y - lines @ told) ** 2) / freedom) ** 0.5, DIGIT)
    error = noise * float(np.linalg.pinv(lines.T @ lines)[2, 2]) ** 0.5
    return bool(abs(told[2]) <= SIGMAS * error)
