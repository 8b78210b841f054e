"""Evaluations that a log repeats on every line until the next one is made.

Many loops print the validation loss that was measured last beside each training loss. Its curve
would have a value where nothing was measured: the last one at the end of training, say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

LEAST: Final = 6
"""Values of a set from which it is told whether they are repeated."""
REPEATED: Final = 0.5
"""Share of the values that are the one before, where the last measured is printed."""
BESIDE: Final = 0.5
"""Evaluations for each training loss from the first of them on, where they are printed beside."""
ALONE: Final = 0.1
"""Share of the values that are neither the one before nor the one behind: what is measured on each
line has such at least where the loss falls fast, few as its digits may be."""
JUMP: Final = 2.5
"""Units of the last digit by which no measured value changes after it stood still: one that is
written in few digits goes up and down by one."""
JUMPS: Final = 0.25
"""Share of the changes that are larger, where each is a new evaluation."""
FINE: Final = 1.1e-4
"""Unit of the last digit by which one value on all lines is told to be the last measured."""
REGULAR: Final = 0.5
"""Share of the stretches of one value that are as long as most, or a few times so."""
DIGITS: Final = 9
"""Most decimals that are counted; what has more is in full precision."""
SINGLE: Final = 1e-7
"""Relative error of a number in single precision, as TensorBoard keeps what was rounded before."""
NO_LOSS: Final = 1e9
"""Values from which on nothing is a loss: those of a run that diverged."""
HALVINGS: Final = 10
"""Halvings of 1 down to the last digit of a loss in half precision."""
_SET: Final = ("run", "eval_set", "metric", "rank")
_SCHEMA: Final = {**dict.fromkeys(_SET, pl.String), "rank": pl.Int64}
_TURN: Final = ("value", "step", "nth")
_LAST: Final = ("value", "step", "changes", "nth")


class LastMeasured:
    """Finds the sets whose evaluations are repeated, and leaves out what repeats them.

    Parameters
    ----------
    pieces : all records of a file, some at a time.
    """

    def __init__(self, pieces: Iterable[pl.DataFrame]) -> None:
        self._counts = self._counted(pieces)
        self._before: pl.DataFrame | None = None

    @property
    def is_repeated(self) -> bool:
        """Whether some set's are."""
        return self._counts.height > 0

    def remarks(self) -> Iterator[str]:
        """Say what is left out."""
        for eval_set, repeats, values in (
            self._counts.group_by("eval_set")
            .agg(pl.col("repeats").sum(), pl.col("values").sum())
            .sort("eval_set")
            .iter_rows()
        ):
            yield (
                f"{repeats} of {values} losses on eval set '{eval_set}' are the one before, as "
                f"where the last measured is printed on every line: the first of each counts"
            )

    def measured(self, piece: pl.DataFrame) -> pl.DataFrame:
        """Leave out of the next piece what repeats an evaluation."""
        told, self._before = _told(piece, self._before)
        repeats = told.join(self._counts, on=_SET, how="semi", nulls_equal=True)
        rows = repeats.filter("repeats")["at"]
        return piece.filter(~pl.int_range(pl.len()).is_in(rows.implode())) if rows.len() else piece

    def _counted(self, pieces: Iterable[pl.DataFrame]) -> pl.DataFrame:
        """Count the values of sets that are repeated."""
        counts, turns, before = [], [], None
        trained: list[pl.DataFrame] = []
        firsts = pl.DataFrame(schema={**_SCHEMA, "first": pl.Int64})
        for piece in pieces:
            told, before = _told(piece, before)
            if told.height:
                begun = told.filter(pl.col("nth") == 1).select(*_SET, first="step")
                firsts = pl.concat([firsts, begun])
                turns.append(told.filter(~pl.col("repeats")).select(*_SET, *_TURN))
                alone = pl.col("alone").sum()
                counts.append(
                    told.group_by(_SET).agg(
                        pl.len().cast(pl.Int64).alias("values"),
                        pl.col("repeats").sum().cast(pl.Int64),
                        alone.cast(pl.Int64),
                        pl.col("step").max().alias("end"),
                    )
                )
            losses = piece.filter(pl.col("train_loss").is_not_null()).select("run", "step")
            # sets of a run begin together
            beside = losses.join(firsts.select("run", "first").unique(), on="run")
            beside = beside.filter(pl.col("step") >= pl.col("first"))
            lines = pl.len().cast(pl.Int64).alias("lines")
            trained.append(beside.group_by("run", "first").agg(lines))
        if not counts:
            return pl.DataFrame(schema={**_SCHEMA, "values": pl.Int64, "repeats": pl.Int64})
        sums = pl.col("values", "repeats", "alone").sum()
        may_be = (
            pl.concat(counts)
            .group_by(_SET)
            .agg(sums, pl.col("end").max())
            .join(firsts, on=_SET, nulls_equal=True)
            .join(
                pl.concat(trained).group_by("run", "first").agg(pl.col("lines").sum()),
                on=["run", "first"],
            )
            .filter(
                pl.col("values") >= BESIDE * pl.col("lines"),
                pl.col("values") >= LEAST,
                pl.col("repeats") >= REPEATED * pl.col("values"),
                pl.col("alone") <= ALONE * (pl.col("values") - pl.col("repeats")),
            )
        )
        along = pl.concat(turns).join(
            may_be.select(
                *_SET, spacing=(pl.col("end") - pl.col("first")) / (pl.col("values") - 1)
            ),
            on=_SET,
            nulls_equal=True,
            maintain_order="left",
        )
        apart = [
            of_set[:1]
            for _, of_set in along.group_by(_SET, maintain_order=True)
            if _are_apart(of_set, of_set["spacing"][0])
        ]
        kept = pl.concat([along[:0], *apart])
        return may_be.join(kept, on=_SET, how="semi", nulls_equal=True)


def _are_apart(turns: pl.DataFrame, spacing: float) -> bool:
    """Tell new evaluations from one value that is rounded: by how and where values change.

    Parameters
    ----------
    turns : of a set the first value and those that are not the one before.
    spacing : steps from line to line.
    """
    turns = turns.filter(pl.col("value").abs() < NO_LOSS, pl.col("step").is_not_null())
    if turns.is_empty():
        return False
    values, steps, nth = (turns[name].to_numpy() for name in _TURN)
    unit = _unit(values)
    if len(values) == 1:
        return unit < FINE
    stood = np.diff(nth) > 1
    jumps = stood & (np.abs(np.diff(values)) > JUMP * unit)
    gaps = np.diff(steps[1:]).astype(np.float64)
    if len(gaps) > 1:
        usual = max(float(np.median(gaps)), spacing)
        times = np.maximum(np.round(gaps / usual), 1.0)
        if np.mean(np.abs(gaps - times * usual) <= spacing) < REGULAR:
            return False
    return bool(jumps.sum() >= JUMPS * len(jumps))


def _unit(values: NDArray[np.float64]) -> float:
    """Give the unit of the last digit of values: of decimals, or of halves where these are."""

    def off(unit: float) -> float:
        return float(np.abs(values - np.round(values / unit) * unit).max())

    slack = SINGLE * max(1.0, float(np.abs(values).max()))
    decimals = next((n for n in range(DIGITS) if off(0.1**n) <= slack), None)
    last = 0.0 if decimals is None else 0.1**decimals
    halved = next((n for n in range(HALVINGS + 1) if off(0.5**n) <= max(slack, last / 2)), None)
    return max(last, 0.5**halved) if halved is not None else last


def _told(
    piece: pl.DataFrame, before: pl.DataFrame | None
) -> tuple[pl.DataFrame, pl.DataFrame | None]:
    """Tell of a piece's evaluations which repeat the one before them.

    Parameters
    ----------
    before : the last evaluation of each set in the pieces before.

    Returns
    -------
    Each evaluation's place in the piece, its set, its number there, and whether it repeats
    the one before, or the one before was alone; and the last one of each set so far.
    """
    values = piece.select(
        pl.int_range(pl.len()).alias("at"), "kind", *_SET, "value", "step"
    ).filter(pl.col("kind") == "eval", pl.col("value").is_not_null())
    if values.is_empty():
        return values.with_columns(pl.lit(value=False).alias("repeats")), before
    values = values.drop("kind").with_columns(
        pl.lit(None, pl.Boolean).alias("changes"), pl.lit(None, pl.Int64).alias("nth")
    )
    if before is not None:
        values = pl.concat([before.select(values.columns), values])
    last = {name: pl.col(name).shift(1).over(_SET) for name in ("value", "step")}
    repeats = (pl.col("value") == last["value"]) & (pl.col("step") > last["step"])
    first = last["value"].is_null()
    told = values.with_columns(
        repeats=(~first & repeats).fill_null(value=False),
        changes=pl.coalesce("changes", (~first & ~repeats).fill_null(value=False)),
    )
    told = told.with_columns(
        nth=pl.col("nth").first().over(_SET).fill_null(1) + pl.int_range(pl.len()).over(_SET),
        alone=pl.col("changes") & pl.col("changes").shift(1).over(_SET).fill_null(value=False),
    )
    ends = told.group_by(_SET, maintain_order=True).agg(pl.col(*_LAST).last())
    ends = ends.with_columns(pl.lit(None, pl.Int64).alias("at"))
    return told.filter(pl.col("at").is_not_null()), ends
