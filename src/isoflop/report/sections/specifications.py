"""How much of the exponent is analysis: the specification curve in words and tables."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Final, cast

import polars as pl

from isoflop.approach import APPROACHES, IN_PROSE, NAMES
from isoflop.choices import CHOICES
from isoflop.numbers import NONE, fixed, interval, listed, percent, signed, times
from isoflop.report.sections.laws import priors_by_law
from isoflop.report.tables import Column, Table

if TYPE_CHECKING:
    from isoflop.approach import Approach
    from isoflop.choices import Choice, Option
    from isoflop.reference import Reference
    from isoflop.report.inputs import ReportInputs
    from isoflop.report.tables import Value

HOFFMANN_COUNTS: Final[Option] = ("total", "6nd")
KAPLAN_COUNTS: Final[Option] = ("nonembedding", "kaplan")
UNMOVED: Final = 1e-9
"""A shift of a that is rounding: both options of the choice gave the same points."""


@dataclass(frozen=True, slots=True)
class Shift:
    """How far one choice moves a while all others stay: a matched shift.

    Attributes
    ----------
    before, after : the two options.
    differences : a after less a before, one per pair of specifications that differ in nothing else.
    """

    approach: Approach
    choice: Choice
    before: Option
    after: Option
    differences: pl.Series

    @property
    def median(self) -> float:
        """The matched shift: the median over the pairs."""
        return float(cast("float", self.differences.median()))

    @property
    def ends(self) -> tuple[float, float]:
        """Smallest and largest difference."""
        low, high = self.differences.min(), self.differences.max()
        return float(cast("float", low)), float(cast("float", high))

    @property
    def moves(self) -> bool:
        """Whether the choice changes anything: the runs of some sweeps do not know it."""
        return max(map(abs, self.ends)) > UNMOVED


@dataclass(frozen=True, slots=True)
class Span:
    """Where one approach's estimates of a lie."""

    approach: Approach
    headline: float | None
    low: float
    median: float
    high: float
    fitted: int
    refused: int


@dataclass(frozen=True, slots=True)
class Refused:
    """Specifications that were refused for one reason, and what they have in common."""

    number: int
    common: str
    reason: str


@dataclass(frozen=True, slots=True)
class Analysis:
    """What the section says; numbers as readers see them."""

    specifications: str
    fitted: int
    refused: int
    refusals: tuple[Refused, ...]
    low: str = ""
    median: str = ""
    high: str = ""
    span: str = ""
    gap: str = ""
    span_of_gap: str = ""
    middle: str = ""
    from_hoffmann: str = ""
    from_kaplan: str = ""
    reaching: str = ""
    with_intervals: int = 0
    contain_hoffmann: int = 0
    contain_kaplan: int = 0
    contain_both: int = 0
    without_interval: str = ""
    counted: str = ""
    priors: str = ""
    """Whose fits have priors, in words; empty where none has."""
    spans: Table | None = None
    shifts: Table | None = None


def analysis(inputs: ReportInputs) -> Analysis:
    """Say what the specification curve shows."""
    every = inputs.specifications
    fitted = every.filter(pl.col("a").is_not_null())
    common = Analysis(
        specifications=times(every.height, "specification"),
        fitted=fitted.height,
        refused=every.height - fitted.height,
        refusals=tuple(_refusals(every)),
    )
    if fitted.is_empty():
        return common
    hoffmann, kaplan = published_exponents(inputs.reference)
    low, first, median, third, high = (
        float(cast("float", fitted["a"].quantile(q, "linear"))) for q in (0.0, 0.25, 0.5, 0.75, 1.0)
    )
    moved = shifts(fitted)
    spans = approach_spans(every)
    ends = fitted.drop_nulls(["a_lo95", "a_hi95"])
    inside = {name: _within(ends, value) for name, value in (("h", hoffmann), ("k", kaplan))}
    above = int((fitted["a"] >= kaplan).sum())
    return replace(
        common,
        low=fixed(low),
        median=fixed(median),
        high=fixed(high),
        span=fixed(high - low, 2),
        gap=fixed(kaplan - hoffmann, 2),
        span_of_gap=fixed((high - low) / (kaplan - hoffmann), 1),
        middle=interval(first, third, fixed),
        from_hoffmann=_off(median, hoffmann),
        from_kaplan=_off(median, kaplan),
        reaching=times(above, "specification reaches", "specifications reach")
        if above
        else "no specification reaches",
        with_intervals=ends.height,
        contain_hoffmann=int(inside["h"].sum()),
        contain_kaplan=int(inside["k"].sum()),
        contain_both=int((inside["h"] & inside["k"]).sum()),
        without_interval=_without_interval(fitted),
        counted=_counted(fitted, kaplan - hoffmann),
        priors=priors_by_law(inputs),
        spans=_span_table(spans, moved),
        shifts=_shift_table(moved, spans) if moved else None,
    )  # fmt: skip


def _without_interval(fitted: pl.DataFrame) -> str:
    """Count the estimates that have no interval, and say by which approaches; empty without any."""
    without = fitted.filter(pl.col("a_lo95").is_null())
    if without.is_empty():
        return ""
    whose = [
        f"{rows.height} by {_prose(approach)}"
        for approach in APPROACHES
        if (rows := without.filter(pl.col("approach") == approach)).height
    ]
    every = "all " if without.height > 1 else ""
    counted = f"{every}by {whose[0].partition(' by ')[2]}" if len(whose) == 1 else listed(whose)
    return f"{times(without.height, 'estimate stands', 'estimates stand')} ({counted})"


def published_exponents(reference: Reference) -> tuple[float, float]:
    """Give Hoffmann's a, by the paper's approach 1, and Kaplan's."""
    first = next(row for row in reference.hoffmann.exponents.rows if row.approach == "envelope")
    return first.a, reference.kaplan.optimal_allocation.p_N


def _within(ends: pl.DataFrame, value: float) -> pl.Series:
    """Tell whose 95 % interval contains a value."""
    return ends.select(pl.lit(value).is_between("a_lo95", "a_hi95").alias("inside"))["inside"]


def _off(value: float, published: float) -> str:
    """Say how far a value lies from a published one."""
    distance = fixed(abs(value - published), 2)
    return f"{distance} {'below' if value < published else 'above'}"


def approach_spans(every: pl.DataFrame) -> list[Span]:
    """Summarise each approach that gave an estimate."""
    shifts = []
    for approach in APPROACHES:
        of_approach = every.filter(pl.col("approach") == approach)
        a = of_approach["a"].drop_nulls()
        if a.is_empty():
            continue
        headline = of_approach.filter("headline")["a"].to_list()
        low, median, high = (float(cast("float", a.quantile(q, "linear"))) for q in (0.0, 0.5, 1.0))
        span = Span(
            approach=approach,
            headline=headline[0] if headline else None,
            low=low,
            median=median,
            high=high,
            fitted=len(a),
            refused=of_approach.height - len(a),
        )
        shifts.append(span)
    return shifts


def shifts(fitted: pl.DataFrame) -> list[Shift]:
    """Find, per approach and choice, the two options whose matched shift is largest.

    Returns
    -------
    By approach, then by decreasing shift. A choice without two options, or without a pair of
    specifications that differ in it alone, has none.
    """
    shifts = []
    for approach in APPROACHES:
        of_approach = fitted.filter(pl.col("approach") == approach)
        moved = []
        for choice in CHOICES:
            pairs = combinations(choice.options(of_approach), 2)
            between = [shift(of_approach, approach, choice, *pair) for pair in pairs]
            moved += sorted(filter(None, between), key=_size)[:1]
        shifts += sorted(moved, key=_size)
    return shifts


def _size(moved: Shift) -> float:
    return -abs(moved.median)


def shift(
    fitted: pl.DataFrame, approach: Approach, choice: Choice, before: Option, after: Option
) -> Shift | None:
    """Compare two options of a choice over the specifications of an approach alike in all else."""
    others = [name for other in CHOICES if other is not choice for name in other.columns]
    of_approach = fitted.filter(pl.col("approach") == approach)
    first, second = (
        of_approach.filter(choice.at(option)).select(*others, pl.col("a").alias(name))
        for option, name in ((before, "before"), (after, "after"))
    )
    pairs = first.join(second, on=others, how="inner", nulls_equal=True)
    if pairs.is_empty():
        return None
    return Shift(approach, choice, before, after, pairs["after"] - pairs["before"])


def _counted(fitted: pl.DataFrame, gap: float) -> str:
    """Say what Kaplan's counting moves, where an approach was fitted under both."""
    counting = CHOICES[0]
    between = (
        shift(fitted, approach, counting, HOFFMANN_COUNTS, KAPLAN_COUNTS) for approach in APPROACHES
    )
    return listed([
        f"by {signed(moved.median)} in {_prose(moved.approach)} (the median of "
        f"{times(len(moved.differences), 'pair')}; {percent(moved.median / gap)} of that distance)"
        for moved in between
        if moved is not None
    ])  # fmt: skip


def _largest(moved: list[Shift]) -> dict[Approach, str]:
    """Name the first choice of each approach: they come by decreasing shift."""
    first = {largest.approach: largest for largest in reversed(moved) if largest.moves}
    return {
        approach: f"{largest.choice.name.lower()}: {largest.choice.words(largest.before)} → "
        f"{largest.choice.words(largest.after)}, {signed(largest.median)}"
        for approach, largest in first.items()
    }


def _prose(approach: Approach) -> str:
    return IN_PROSE[approach]


def _refusals(every: pl.DataFrame) -> list[Refused]:
    """Count the refusals by reason, the commonest first, and say what each concerns."""
    refused = every.filter(pl.col("refused").is_not_null())
    groups = []
    for (reason,), rows in refused.group_by("refused", maintain_order=True):
        approaches = [approach for approach in APPROACHES if (rows["approach"] == approach).any()]
        common = [listed([NAMES[approach] for approach in approaches])]
        tried = every.filter(pl.col("approach").is_in(approaches))
        for choice in CHOICES:
            options = choice.options(rows)
            if len(options) < len(choice.options(tried)):
                common.append(" or ".join(map(choice.words, options)))
        groups.append(Refused(rows.height, ", ".join(common), str(reason)))
    return sorted(groups, key=lambda group: -group.number)


def _span_table(spans: list[Span], moved: list[Shift]) -> Table:
    """Tabulate where each approach's estimates lie, and what moves them most."""
    largest = _largest(moved)
    return Table(
        key="specification-spans",
        caption="The exponent *a* over all specifications, by approach, and the choice that moves "
        "it most with all others left alone (the median over the pairs).",
        columns=(
            Column("Approach", "left"), Column("Fitted"), Column("Refused"),
            Column("Reported *a*"), Column("Lowest"), Column("Median"),
            Column("Highest"), Column("Moves *a* most", "left"),
        ),
        rows=[
            [
                NAMES[span.approach], str(span.fitted), str(span.refused),
                fixed(span.headline) if span.headline is not None else NONE,
                fixed(span.low), fixed(span.median), fixed(span.high),
                largest.get(span.approach, NONE),
            ]
            for span in spans
        ],
        data_columns=("approach", "fitted", "refused", "a_headline", "a_lowest", "a_median",
                      "a_highest"),
        data=[
            [
                span.approach, span.fitted, span.refused, span.headline,
                span.low, span.median, span.high,
            ]
            for span in spans
        ],
        classes=' .prose widths="1 0.5 0.6 0.8 0.6 0.6 0.6 2.4"',
    )  # fmt: skip


def _shift_table(moved: list[Shift], spans: list[Span]) -> Table:
    """Tabulate how far each choice moves each approach."""
    width = {span.approach: span.high - span.low for span in spans}
    rows: list[list[str]] = []
    data: list[list[Value]] = []
    for move in moved:
        before, after = move.choice.words(move.before), move.choice.words(move.after)
        share = abs(move.median) / width[move.approach] if width[move.approach] > 0 else None
        rows.append([
            NAMES[move.approach], move.choice.name, f"{before} → {after}",
            str(len(move.differences)), signed(move.median),
            f"{signed(move.ends[0])} to {signed(move.ends[1])}",
            percent(share) if share is not None else NONE,
        ])  # fmt: skip
        plain = [text.replace("*", "") for text in (before, after)]
        data.append([
            move.approach, move.choice.name, *plain, len(move.differences), move.median, *move.ends,
            share,
        ])  # fmt: skip
    return Table(
        key="specification-shifts",
        caption="Matched shifts: how far *a* moves when one choice changes and all others stay, as "
        "the median over all such pairs of specifications, with the smallest and the largest; of a "
        "choice with several options the two that differ most. The last column sets the size of "
        "the shift against the distance between the approach’s lowest and highest *a*; the shares "
        "need not add up, since choices work on each other.",
        columns=(
            Column("Approach", "left"), Column("Choice", "left"), Column("From → to", "left"),
            Column("Pairs"), Column("Shift of *a*"), Column("Over the pairs"),
            Column("Share of span"),
        ),
        rows=rows,
        data_columns=("approach", "choice", "from", "to", "pairs", "shift", "smallest", "largest",
                      "share_of_span"),
        data=data,
        classes=' .wide widths="1 0.8 2.2 0.4 0.6 1.1 0.6"',
    )  # fmt: skip


def specification_table(inputs: ReportInputs) -> Table:
    """Lay out every specification; for the folder of tables, too long for a page."""
    every = inputs.specifications
    rows = []
    for row in every.iter_rows(named=True):
        choices = [choice for choice in CHOICES if row["approach"] in choice.approaches]
        chosen = [choice.words(tuple(row[name] for name in choice.columns)) for choice in choices]
        ends = (row["a_lo95"], row["a_hi95"])
        rows.append([
            str(row["specification"]), NAMES[row["approach"]], "; ".join(chosen),
            fixed(row["a"]) if row["a"] is not None else "refused",
            interval(*ends, fixed) if None not in ends else NONE,
        ])  # fmt: skip
    return Table(
        key="specifications",
        caption="Every specification.",
        columns=(
            Column("No."), Column("Approach", "left"), Column("Choices", "left"), Column("*a*"),
            Column("95 %"),
        ),
        rows=rows,
        data_columns=every.columns,
        data=every.rows(),
    )  # fmt: skip
