"""The choices of a specification, in words, for the figure and the report alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from isoflop.approach import APPROACHES
from isoflop.counting import counting_words
from isoflop.numbers import number_of

if TYPE_CHECKING:
    from collections.abc import Callable

Option = tuple[str | float | int | None, ...]
"""What was chosen: the values of a choice's columns."""

CURVES: Final = {
    "parabola": "parabola of *L*",
    "log_parabola": "parabola of log *L*",
    "akima": "Akima spline of log *L*",
}
WORDS: Final = {
    "eval": "eval loss",
    "train": "training loss",
    "grid": "lowest on a grid of *C*",
    "hull": "lower convex hull",
    "trim": "end sizes left out",
    "keep": "end sizes kept",
    "each": "*N* along *N*, *D* along *D*",
    "params": "both along *N*",
    "tokens": "both along *D*",
    **CURVES,
    "akima": "Akima spline",
    "equal": "equal weights",
    "variance": "weights 1/variance",
}


@dataclass(frozen=True, slots=True)
class Choice:
    """One choice of an analyst.

    Attributes
    ----------
    name : in words.
    columns : of table ``Specifications``; one choice may fill two.
    approaches : which have it.
    words : what says one option, in Markdown.
    """

    name: str
    columns: tuple[str, ...]
    approaches: tuple[str, ...]
    words: Callable[[Option], str]

    def options(self, table: pl.DataFrame) -> list[Option]:
        """List what was chosen in the rows that have this choice, in order of first occurrence."""
        rows = table.filter(pl.col("approach").cast(pl.String).is_in(self.approaches))
        return rows.select(self.columns).unique(maintain_order=True).rows()

    def at(self, option: Option) -> pl.Expr:
        """Select the rows with one option."""
        chosen = [
            pl.col(name).eq_missing(pl.lit(value))
            for name, value in zip(self.columns, option, strict=True)
        ]
        has_it = pl.col("approach").cast(pl.String).is_in(self.approaches)
        return pl.all_horizontal(has_it, *chosen)


def _counting(option: Option) -> str:
    return counting_words(*map(str, option))


def _word(option: Option) -> str:
    return WORDS[str(option[0])]


def _schedule(option: Option) -> str:
    (share,) = option
    return f"from {100 * float(share):.0f} % of the schedule on" if share else "whole curves"


def _window(option: Option) -> str:
    (window,) = option
    if window is None:
        return "all of a budget"
    return "sizes by rule" if window == "rule" else f"{window} lowest of a budget"


def _outliers(option: Option) -> str:
    (limit,) = option
    return f"studentised residuals beyond {limit:g} out" if limit is not None else "outliers kept"


def _objective(option: Option) -> str:
    objective, delta = option
    if objective == "huber":
        return f"Huber, *δ* = {delta:g}"
    return "squares" if objective == "mse" else "Huber, free scale"


def _dropped(option: Option) -> str:
    (dropped,) = option
    return (
        f"{number_of(int(dropped), 'highest loss', 'highest losses')} out"
        if dropped
        else "all final losses"
    )


CHOICES: Final = (
    Choice("Counting", ("params", "flops"), APPROACHES, _counting),
    Choice("Loss", ("loss",), APPROACHES, _word),
    Choice("Frontier", ("frontier",), ("envelope",), _word),
    Choice("Edge", ("edge",), ("envelope", "kaplan"), _word),
    Choice("Schedule", ("min_schedule_fraction",), ("envelope",), _schedule),
    Choice("Axis", ("axis",), ("profiles",), _word),
    Choice("Curve", ("curve",), ("profiles",), _word),
    Choice("Window", ("window",), ("profiles",), _window),
    Choice("Outliers", ("outliers",), ("profiles",), _outliers),
    Choice("Weights", ("weights",), ("profiles",), _word),
    Choice("Objective", ("objective", "huber_delta"), ("parametric",), _objective),
    Choice("High losses", ("drop_highest",), ("parametric",), _dropped),
)
"""Every choice, in the order in which readers meet them."""
