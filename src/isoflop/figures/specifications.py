"""The specification curve: every estimate of a, sorted, over the choices it rests on."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from isoflop.approach import APPROACHES, COLOURS, MARKERS, NAMES
from isoflop.choices import CHOICES
from isoflop.drawing import style
from isoflop.escape import identifier
from isoflop.numbers import number_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from isoflop.figures.inputs import FigureInputs

    Floats = NDArray[np.float64]
    Ints = NDArray[np.intp]

ROW: Final = 0.118
"""Height of a row of the matrix [inch]."""
CURVE: Final = 2.5
"""Height of the curve above it [inch]."""
GAP: Final = 0.5
"""Space between two choices [row]."""
INTERVALS: Final = (("95", 0.5, 0.45), ("80", 1.1, 0.6))
"""Level, line width and opacity."""
SHOWN: Final = (0.04, 0.96)
"""Quantiles of the ends of intervals that the axis shows; wider ones leave the frame."""


def draw(inputs: FigureInputs) -> style.Drawn | style.NothingToShow:
    """Plot a of every specification with its intervals, and below it what was chosen."""
    every = inputs.specifications
    fitted = every.filter(pl.col("a").is_not_null()).sort("a", "specification")
    if fitted.is_empty():
        return style.NothingToShow(_why_empty(every))
    rows = _rows(every, fitted)
    height = 0.35 + CURVE + ROW * (1.0 - rows[-1][1])
    figure = style.new_figure(height=height)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(CURVE, height - CURVE))
    _curve(above, fitted, inputs)
    _matrix(below, fitted, rows)
    # beside the picture: no place in it is free of intervals
    style.label_ends(
        above,
        above.get_xlim()[1],
        [(f"{name} {value:.2f}", style.INK, value) for name, value in _references(inputs)],
    )
    low, median, high = (fitted["a"].quantile(share, "linear") for share in (0.0, 0.5, 1.0))
    spans = "; ".join(
        f"{NAMES[str(approach)]}: {min(values):.3f} to {max(values):.3f} over {len(values)}"
        for approach, values in fitted.group_by("approach").agg("a").sort("approach").rows()
    )
    return style.Drawn(
        figure,
        f"The exponent a of {number_of(fitted.height, 'specification')} in increasing "
        f"order, from {low:.3f} to "
        f"{high:.3f} with median {median:.3f}, with their 80 % and 95 % intervals, over a matrix "
        f"of the choices behind each. {spans}. "
        f"{every.height - fitted.height} more were refused.",
    )


def _why_empty(every: pl.DataFrame) -> str:
    """Give the commonest reason."""
    if every.is_empty():
        return "No specification was asked for."
    (reason, number), *_ = Counter(every["refused"].to_list()).most_common(1)
    return (
        f"Not one of {number_of(every.height, 'specification')} could be fitted to this "
        f"sweep; {number} of "
        f"them: {reason}"
    )


def _rows(every: pl.DataFrame, fitted: pl.DataFrame) -> list[tuple[str, float, pl.Series]]:
    """Lay out the matrix: label, height and the marked specifications of each row."""
    groups = [[(NAMES[key], pl.col("approach") == key) for key in APPROACHES]]
    for choice in CHOICES:
        options = choice.options(every)
        groups.append([(_maths(choice.words(option)), choice.at(option)) for option in options])
    rows, height = [], 0.0
    for group in groups:
        marked = [(label, fitted.select(at).to_series()) for label, at in group]
        shown = [(label, chosen) for label, chosen in marked if chosen.any()]
        # a choice with one option tells nothing apart
        if len(shown) < 2:
            continue
        for label, chosen in shown:
            rows.append((label, height, chosen))
            height -= 1.0
        height -= GAP
    return rows


def _maths(words: str) -> str:
    """Turn Markdown's emphasis into mathtext."""
    return re.sub(r"\*(\w+)\*", r"$\1$", words)


def _curve(axes: Axes, fitted: pl.DataFrame, inputs: FigureInputs) -> None:
    """Draw the estimates with their intervals, the headline ones and what the papers say."""
    x, a = np.arange(fitted.height), fitted["a"].to_numpy()
    for level, width, alpha in INTERVALS:
        low, high = (fitted[f"a_{end}{level}"].to_numpy() for end in ("lo", "hi"))
        _strokes(axes, fitted, x, low, high, lw=width, alpha=alpha, gid=f"interval-{level}")
    axes.scatter(x, a, s=2.4, c=style.INK, linewidths=0, zorder=3, gid="estimates")
    references = _references(inputs)
    for name, value in references:
        axes.axhline(
            value, color=style.INK, lw=0.7, ls=(0, (4, 3)), zorder=4, gid=f"published-{name}"
        )
    for i in np.flatnonzero(fitted["headline"].to_numpy()):
        name = str(fitted["approach"][int(i)])
        axes.plot(
            x[i], a[i], marker=MARKERS[name], ms=6, mfc=COLOURS[name], mec=style.INK,
            mew=0.8, zorder=6, gid=f"headline-{name}",
        )  # fmt: skip
    axes.set(ylabel="Exponent $a$", ylim=_limits(fitted, [value for _, value in references]))
    axes.grid(visible=False, axis="x")
    axes.tick_params(axis="x", length=0, labelbottom=False)
    axes.margins(x=0.01)


def _strokes(
    axes: Axes,
    rows: pl.DataFrame,
    x: Ints,
    low: Floats | float,
    high: Floats | float,
    *,
    gid: str,
    **how: Any,
) -> None:
    """Draw one upright stroke per specification, as one path per approach."""
    ends = np.stack(np.broadcast_arrays(low, high, np.nan), axis=-1)
    approaches = rows["approach"].cast(pl.String)
    for name in APPROACHES:
        mask = (approaches == name).to_numpy()
        axes.plot(
            np.repeat(x[mask], 3), np.broadcast_to(ends, (len(x), 3))[mask].ravel(),
            color=COLOURS[name], solid_capstyle="butt", gid=f"{gid}-{name}", **how,
        )  # fmt: skip


def _references(inputs: FigureInputs) -> list[tuple[str, float]]:
    """Give the exponents of the two papers; Hoffmann's is that of the paper's approach 1."""
    first, *_ = inputs.reference.hoffmann.exponents.rows
    return [("Kaplan", inputs.reference.kaplan.optimal_allocation.p_N), ("Hoffmann", first.a)]


def _limits(fitted: pl.DataFrame, references: list[float]) -> tuple[float, float]:
    """Show all estimates, both references and most intervals."""
    ends = fitted.select("a_lo95", "a_hi95").drop_nulls()
    low, high = (
        [column.quantile(share)] if ends.height else []
        for column, share in zip(ends, SHOWN, strict=True)
    )
    shown = [*fitted["a"], *references]
    bottom, top = min([*shown, *low]), max([*shown, *high])
    pad = 0.04 * (top - bottom)
    return bottom - pad, top + pad


def _matrix(axes: Axes, fitted: pl.DataFrame, rows: list[tuple[str, float, pl.Series]]) -> None:
    """Mark what each specification chose; at the right the median of a of each."""
    for label, height, chosen in rows:
        x = np.flatnonzero(chosen.to_numpy())
        gid = f"choice-{-height:.2g}-{identifier(style.in_words(label))}"
        _strokes(axes, fitted[x], x, height - 0.4, height + 0.4, lw=1.0, gid=gid)
        axes.axhline(height, color=style.FAINT, lw=0.4, zorder=0)
        median = float(np.median(fitted["a"].to_numpy()[x]))
        axes.annotate(
            f"{median:.2f}", (1.0, height), xycoords=axes.get_yaxis_transform(),
            xytext=(6, 0), textcoords="offset points", va="center", fontsize=style.SMALL,
        )  # fmt: skip
    axes.annotate(
        "median $a$", (1.0, rows[0][1] + 1.3), xycoords=axes.get_yaxis_transform(), xytext=(0, 0),
        textcoords="offset points", va="center", ha="center", fontsize=style.SMALL,
        color=style.QUIET,
    )  # fmt: skip
    for i in np.flatnonzero(fitted["headline"].to_numpy()):
        axes.axvline(float(i), color=style.INK, lw=0.5, ls=(0, (1, 1)), zorder=0)
    axes.set_yticks([height for _, height, _ in rows], [label for label, _, _ in rows])
    axes.set(
        ylim=(rows[-1][1] - 0.7, rows[0][1] + 0.7),
        xlabel=f"{number_of(fitted.height, 'specification')}, by increasing $a$",
    )
    axes.grid(visible=False)
    axes.tick_params(axis="both", length=0, labelbottom=False)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
