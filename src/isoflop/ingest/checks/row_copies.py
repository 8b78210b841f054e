"""Rows of a table of finished runs that are the ends of curves beside it, without their names.

`results.csv` with N, D and a last loss of each run, beside the logs of these under other names.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from isoflop.ingest.runs.joining import is_end

if TYPE_CHECKING:
    from collections.abc import Sequence

    from isoflop.ingest.checks.gates import Measured

SAME_SIZE: Final = 1e-3
"""Relative difference of two N that are one."""
SAME_END: Final = 0.01
"""Relative difference of D at the end of a run and at the last line of its log."""
ROUNDED: Final = 5.1e-4
"""What a loss with three digits behind the point is off."""
ABOUT: Final = 0.05
"""Nats between the last loss of a curve and a mean of its last few."""
UNLIKE: Final = 0.5
"""Nats between a curve's last batch and a loss on other text, where the curve has none on any."""
LEAST: Final = 2
"""Rows whose losses agree by no chance."""
LEAST_ABOUT: Final = 4
"""Rows of which all are about ends of curves by no chance."""


def rows_of_curves(runs: Sequence[Measured]) -> dict[int, int]:
    """Find finished runs of a table that are the ends of curves.

    At least half of the table's rows have the last loss of a curve of the same N and D to their
    digits, or all of them are about that. So they are, too, where curves have no evaluations, and
    all of these and all rows go in pairs. Another seed or rate tells another run.

    Returns
    -------
    Place of the row's run: that of the curve's.
    """
    tables: dict[tuple[str, ...], list[int]] = defaultdict(list)
    curves = []
    for place, run in enumerate(runs):
        if all(map(is_end, run.run.parts)):
            tables[run.run.paths].append(place)
        elif run.curve["tokens"] and run.curve["last_train"] is not None:
            curves.append(place)
    twice: dict[int, int] = {}
    if not curves:
        return twice
    for rows in tables.values():
        twice |= _of_table(runs, rows, curves)
    return twice


def _of_table(
    runs: Sequence[Measured], rows: Sequence[int], curves: Sequence[int]
) -> dict[int, int]:
    """Give the rows of one table the curves that they are the ends of; none where it has none."""
    for slack, share, least in ((ROUNDED, 0.5, LEAST), (ABOUT, 1.0, LEAST_ABOUT)):
        pairs = _pairs(runs, rows, curves, slack)
        if len(pairs) >= max(share * len(rows), least):
            return pairs
    unevaluated = [place for place in curves if runs[place].curve["last_eval"] is None]
    if LEAST_ABOUT <= len(rows) == len(unevaluated):
        pairs = _pairs(runs, rows, unevaluated, UNLIKE)
        if len(pairs) == len(rows):
            return pairs
    return {}


def _pairs(
    runs: Sequence[Measured], rows: Sequence[int], curves: Sequence[int], slack: float
) -> dict[int, int]:
    """Give each row the nearest curve that it may be the end of; a curve goes with one row."""
    near = sorted(
        (apart, row, curve)
        for row in rows
        for curve in curves
        if (apart := _apart(runs[row], runs[curve])) is not None and apart <= slack
    )
    pairs: dict[int, int] = {}
    for _, row, curve in near:
        if row not in pairs and curve not in pairs.values():
            pairs[row] = curve
    return pairs


def _apart(row: Measured, curve: Measured) -> float | None:
    """Give what the last losses of a row and a curve differ by; None of two that are two runs."""
    for fact in ("seed", "schedule.lr_peak"):
        told, there = row.fact(fact), curve.fact(fact)
        if told is not None and there is not None and told != there:
            return None
    size, tokens = row.fact("params.total"), row.curve["tokens"]
    if not size or not tokens or row.final is None:
        return None
    if abs(size - curve.fact("params.total")) > SAME_SIZE * size:
        return None
    if abs(tokens - curve.curve["tokens"]) > SAME_END * tokens:
        return None
    losses: list[float | None] = [curve.curve["last_train"], curve.curve["last_eval"]]
    return min(abs(row.final - loss) for loss in losses if loss is not None)
