"""Cells: runs of one N, or of one N and D, which tell noise from size; and repeats among these.

Trainers miss a planned D by a step, so values alike to a thousandth are one. They are told apart
by the gaps between them and not by rounding, whose edges would divide two that differ by less.
Runs of one cell repeat each other, so that their scatter is a seed's, only where they were trained
alike: `repeats_of` alone says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection

    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

GAP: Final = 1e-3
"""Distance of logs to the next value beyond which a cell ends."""
NEAR: Final = 0.02
"""Distance likewise beyond which two settings differ: printouts round, and steps are whole; a rate
2 % beside the best costs a hundred-thousandth of a nat."""
SETTINGS: Final = (
    "lr_peak", "lr_end", "warmup_tokens", "schedule_kind", "schedule_tokens", "tokens_per_step",
    "seq_len", "layers", "d_model", "dataset", "tokenizer", "unique_tokens",
)  # fmt: skip
"""What makes two runs of one N and D no repeats of each other, where it is known and differs."""
RATES: Final = ("lr_peak", "lr_end")
"""Those that trials of peak rates vary."""
_WORDS: Final = ("schedule_kind", "dataset", "tokenizer")
_LEAST: Final = 1e-300
"""Stands for zero where logs are taken."""


def cells_of(*axes: Floats) -> NDArray[np.intp]:
    """Give the number of each point's cell, (points,), by increasing first axis, then the next.

    Parameters
    ----------
    axes : (points,) each; a later one is divided within the cells of those before.
    """
    import numpy as np

    return cells_of_logs(*(np.log(axis) for axis in axes))


def cells_of_logs(*axes: Floats) -> NDArray[np.intp]:
    """Give the same as `cells_of`, of axes whose logs are at hand."""
    import numpy as np

    cell = np.zeros(len(axes[0]), dtype=np.intp)
    for axis in axes:
        cell = _divided(cell, axis, GAP)
    return cell


def number_of_cells(cell: NDArray[np.intp]) -> int:
    """Count the cells that points are numbered by."""
    return int(cell.max(initial=-1)) + 1


def merged(values: Floats, cell: NDArray[np.intp]) -> Floats:
    """Give all points of a cell one value, the middle one of theirs, (points,)."""
    import numpy as np

    middle = [np.median(values[cell == number]) for number in range(number_of_cells(cell))]
    return np.asarray(np.array(middle)[cell])


def repeats_of(params: Floats, tokens: Floats, settings: Floats | None = None) -> NDArray[np.intp]:
    """Give the number of each point's group of repeats, (points,): alike in all but the seed.

    Runs of one N and D repeat each other where every setting agrees that is known of them. What is
    known of one and not of another is no proof that they differ: logs of one trainer say what those
    of another leave out, or only a relaunch printed its config. So a gap agrees with the one value
    that the others of its cell have. Where these have several it may be any of them, and the runs
    without a value repeat one another alone: a worse rate must not widen the noise of seeds.

    Parameters
    ----------
    params, tokens : (points,) N and D.
    settings : (points, settings) as `settings_of` lays them out; None where nothing is known.
    """
    group = cells_of(params, tokens)
    if settings is not None:
        for places in settings.T:
            group = _divided(group, places, NEAR)
    return group


def repeats_in(table: pl.DataFrame, *, but: Collection[str] = ()) -> pl.Series:
    """Give the number of each row's group of repeats, (rows,), by `repeats_of`.

    Parameters
    ----------
    table : rows of table `Runs` or `Losses`, N and D known of each.
    but : settings that may differ, of `SETTINGS`.
    """
    import polars as pl

    n, d = (table[name].to_numpy() for name in ("params_total", "tokens"))
    return pl.Series(repeats_of(n, d, settings_of(table, but=but)), dtype=pl.Int64)


def rate_cells(losses: pl.DataFrame) -> list[pl.DataFrame]:
    """Group the fitted final losses of one N and D where their peak learning rates differ.

    Parameters
    ----------
    losses : table `Losses`.

    Returns
    -------
    A frame a cell of one N and one D, to a thousandth, in which two or more peak rates occur:
    columns run, loss, rate, and the number of the rate, by increasing loss.
    """
    import polars as pl

    known = (
        losses.filter("is_final", role="fit")
        .select("run", "loss", "lr_peak", n=pl.col("params_total"), d=pl.col("tokens"))
        .drop_nulls()
        .sort("n", "d", "loss", "run")
    )
    alike = repeats_of(
        known["n"].to_numpy(), known["d"].to_numpy(), settings_of(known.select("lr_peak"))
    )
    numbered = known.with_columns(alike=pl.Series(alike, dtype=pl.Int64))
    cells = []
    for _, cell in numbered.group_by(cell_of("n", "d"), maintain_order=True):
        if cell["alike"].n_unique() > 1:
            cells.append(cell.select("run", "loss", "alike", rate="lr_peak").sort("loss", "run"))
    return cells


def settings_of(table: pl.DataFrame, *, but: Collection[str] = ()) -> Floats:
    """Lay out what is known of how each row's run was trained, (rows, settings), for `repeats_of`.

    Parameters
    ----------
    table : rows of table `Runs` or `Losses`; a column that it lacks is known of none.
    but : settings that may differ, of `SETTINGS`.

    Returns
    -------
    Places along axes on which values lie farther apart than `NEAR` where they differ; NaN where
    nothing is known. A rate at the end is taken as a share of the peak rate, and of a point on its
    way a schedule's length is its tokens over the share that is done.
    """
    import numpy as np
    import polars as pl

    told = table
    if "schedule_tokens" not in told.columns and "schedule_fraction" in told.columns:
        told = told.with_columns(schedule_tokens=pl.col("tokens") / pl.col("schedule_fraction"))
    places = []
    for name in SETTINGS:
        if name in but or name not in told.columns:
            continue
        column = told[name]
        if name in _WORDS:
            place = column.cast(pl.String).rank("dense").cast(pl.Float64)
        elif name == "lr_end":
            if "lr_peak" not in told.columns:
                continue
            place = column / told["lr_peak"]
        else:
            place = column.cast(pl.Float64).clip(lower_bound=_LEAST).log()
        finite = place.is_finite() & place.is_not_null()
        places.append(place.zip_with(finite, pl.Series([None], dtype=pl.Float64)).to_numpy())
    return np.column_stack(places) if places else np.empty((told.height, 0))


def _divided(cell: NDArray[np.intp], places: Floats, gap: float) -> NDArray[np.intp]:
    """Divide cells where places leave a gap; those without one stay where they may belong."""
    import numpy as np

    order = np.lexsort((places, cell))  # those without a place come last in their cell
    cells, placed = cell[order], places[order]
    other = np.diff(cells) > 0
    apart = (np.diff(placed) > gap) & ~other
    several = np.zeros(len(cell), dtype=np.bool_)
    several[cells[1:][apart]] = True
    lost = ~np.isnan(placed[:-1]) & np.isnan(placed[1:]) & several[cells[1:]]
    divided = np.empty_like(cell)
    divided[order] = np.concatenate([[0], np.cumsum(other | apart | lost)])[: len(order)]
    return divided


def cell_of(*columns: str) -> list[pl.Expr]:
    """Give what to group by, so that the rows of a group are one cell; null where a value is."""
    import polars as pl

    keys: list[pl.Expr] = []
    for name in columns:
        logs = pl.col(name).log()
        steps = (logs.sort(nulls_last=True).diff() > GAP).fill_null(value=False).cum_sum()
        number = steps.gather(logs.rank("ordinal") - 1)
        keys.append((number.over(keys) if keys else number).alias(f"{name}_cell"))
    return keys
