"""Evaluations that a log repeats on every line until the next one is made.

Many loops print the validation loss that was measured last beside each training loss. Its curve
would have a value where nothing was measured: the last one at the end of training, say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LEAST: Final = 6
"""Values of a set from which it is told whether they are repeated."""
REPEATED: Final = 0.5
"""Share of the values that are the one before, where the last measured is printed."""
BESIDE: Final = 0.5
"""Evaluations for each training loss, where they are printed beside these."""
ALONE: Final = 0.1
"""Share of the values that are neither the one before nor the one behind: what is measured on each
line has such at least where the loss falls fast, few as its digits may be."""
_SET: Final = ("run", "eval_set", "metric", "rank")
_SCHEMA: Final = {**dict.fromkeys(_SET, pl.String), "rank": pl.Int64}
_LAST: Final = {"value": pl.Float64, "step": pl.Int64, "changes": pl.Boolean}


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
        counts, before = [], None
        trained: list[pl.DataFrame] = []
        for piece in pieces:
            losses = piece.filter(pl.col("train_loss").is_not_null())
            trained.append(losses.group_by("run").agg(pl.len().cast(pl.Int64).alias("lines")))
            told, before = _told(piece, before)
            if told.height:
                alone = pl.col("alone").sum()
                counts.append(
                    told.group_by(_SET).agg(
                        pl.len().cast(pl.Int64).alias("values"),
                        pl.col("repeats").sum().cast(pl.Int64),
                        alone.cast(pl.Int64),
                    )
                )
        if not counts:
            return pl.DataFrame(schema={**_SCHEMA, "values": pl.Int64, "repeats": pl.Int64})
        return (
            pl.concat(counts)
            .group_by(_SET)
            .agg(pl.all().sum())
            .join(pl.concat(trained).group_by("run").agg(pl.all().sum()), on="run")
            .filter(
                pl.col("values") >= BESIDE * pl.col("lines"),
                pl.col("values") >= LEAST,
                pl.col("repeats") >= REPEATED * pl.col("values"),
                pl.col("alone") <= ALONE * (pl.col("values") - pl.col("repeats")),
            )
        )


def _told(
    piece: pl.DataFrame, before: pl.DataFrame | None
) -> tuple[pl.DataFrame, pl.DataFrame | None]:
    """Tell of a piece's evaluations which repeat the one before them.

    Parameters
    ----------
    before : the last evaluation of each set in the pieces before.

    Returns
    -------
    Each evaluation's place in the piece, its set, and whether it repeats the one before, or the one
    before was alone; and the last one of each set so far.
    """
    values = piece.select(
        pl.int_range(pl.len()).alias("at"), "kind", *_SET, "value", "step"
    ).filter(pl.col("kind") == "eval", pl.col("value").is_not_null())
    if values.is_empty():
        return values.with_columns(pl.lit(value=False).alias("repeats")), before
    values = values.drop("kind").with_columns(pl.lit(None, pl.Boolean).alias("changes"))
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
        alone=pl.col("changes") & pl.col("changes").shift(1).over(_SET).fill_null(value=False)
    )
    ends = told.group_by(_SET, maintain_order=True).agg(pl.col(*_LAST).last())
    ends = ends.with_columns(pl.lit(None, pl.Int64).alias("at"))
    return told.filter(pl.col("at").is_not_null()), ends
