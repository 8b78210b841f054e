"""How often the intervals covered the truth in simulated sweeps of the same design."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from isoflop.approach import ANSWERS, IN_PROSE, MIXTURE, NAMES
from isoflop.escape import BREAK
from isoflop.estimates.estimate import Calibration as SimulatedCalibration
from isoflop.estimates.estimate import Estimate, Uncalibrated
from isoflop.estimates.intervals import COVERAGE_SLACK, LEVELS
from isoflop.estimates.levels import NoLevel, Tails
from isoflop.estimates.mixture import Mixture
from isoflop.estimates.refusals import told_once
from isoflop.numbers import NBSP, NONE, fixed, listed, percent, times
from isoflop.report.sections.data import words
from isoflop.report.tables import Column, Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from isoflop.approach import Approach
    from isoflop.estimates.estimate import Refusal
    from isoflop.estimates.mixture import CoveredShare, PlacedLevels
    from isoflop.estimates.quantities import Quantity
    from isoflop.report.inputs import ReportInputs
    from isoflop.report.tables import Value


OPTIMA: Final = {"params_opt": "*N*\\*", "loss_opt": "*L*\\*"}
"""How the quantities at a compute are written."""
OF_REJECTED: Final = (
    " These runs reject the form of each law that was taken for the truth, so that it says little "
    "of them."
)
"""What to say of sweeps simulated from such laws."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What the section says.

    Attributes
    ----------
    simulations : simulated sweeps per approach and law, in words; empty where none was made.
    headline : the same of the recommended answer, with those of the approaches where they differ.
    covered : of each approach, under which laws its intervals for a cover, and least under which;
        or that no interval does.
    unchecked : sentences on approaches that could not be checked.
    table : what the sweeps of each law gave.
    levels : the nominal levels behind the intervals.
    mixture : what simulated sweeps of each mixed law say of the mixture; empty without a mixture.
    mixture_table : the shares behind it; None where nothing was simulated.
    """

    simulations: str
    headline: str
    covered: list[str]
    unchecked: list[str]
    table: Table | None
    levels: Table | None
    mixture: str
    mixture_table: Table | None


def calibration(inputs: ReportInputs) -> Calibration:
    """Collect what each approach's simulations gave."""
    checked = {name: estimate for name, estimate in inputs.fitted.items() if estimate.a.simulated}
    counts = {
        truth.simulations
        for e in checked.values()
        if isinstance(e.calibration, SimulatedCalibration)
        for truth in e.calibration.truths
    }
    simulations = times(max(counts), "simulated sweep") if counts else ""
    # Table 1 has the shares of laws that are no approach, too
    laws = {k: law for k, law in inputs.laws.items() if isinstance(law, Estimate)}
    every = checked | {k: law for k, law in laws.items() if law.a.simulated and k not in checked}
    return Calibration(
        simulations=simulations,
        headline=_headline(inputs, max(counts, default=0)),
        covered=[_covered(name, estimate) for name, estimate in checked.items()],
        unchecked=[
            f"{listed([IN_PROSE[name] for name in names])} "
            f"{'was' if len(names) == 1 else 'were'} not checked: {why}."
            for names, why in told_once(
                {
                    name: _why_unchecked(estimate)
                    for name, estimate in inputs.fitted.items()
                    if name not in checked
                }
            ).items()
        ],
        table=_table(inputs, every) if checked else None,
        levels=_level_table(inputs, every) if checked else None,
        mixture=_of_mixture(inputs.mixture, inputs.laws)
        if isinstance(inputs.mixture, Mixture)
        else "",
        mixture_table=(
            _mixture_table(inputs.mixture)
            if isinstance(inputs.mixture, Mixture) and inputs.mixture.checks
            else None
        ),
    )


def _headline(inputs: ReportInputs, of_approaches: int) -> str:
    """Count the simulated sweeps that place the recommended answer's intervals, in words.

    Parameters
    ----------
    of_approaches : how many place each approach's own.
    """
    best = None if inputs.recommended is None else inputs.recommended.answer
    plain = times(of_approaches, "simulated sweep") if of_approaches else ""
    if not isinstance(best, Mixture):
        return plain
    if not best.placed or not best.checks:
        return ""
    number = max(check.simulations for check in best.checks)
    if number == of_approaches or not of_approaches:
        return times(number, "simulated sweep")
    return f"{times(number, 'simulated sweep')} (those of each approach alone: in {of_approaches})"


def _covered(name: Approach, estimate: Estimate) -> str:
    """Say under which laws the intervals for a cover, and where least; or that none is given."""
    a = estimate.a
    laws = listed([IN_PROSE[sample.law] for sample in a.simulated])
    parts = []
    for level in LEVELS:
        ends = a.levels[str(level)]
        if isinstance(ends, NoLevel):
            parts.append(
                f"no {percent(level)} interval is given, since where {IN_PROSE[ends.truth]} is "
                f"true the truth lies {ends.side} all resamples in {percent(ends.share)}"
            )
            continue
        if a.excluded(level):
            parts.append(
                f"no {percent(level)} interval is given, since it would exclude the estimate from "
                "all runs"
            )
            continue
        worst = a.worst(level)
        parts.append(
            f"the {percent(level)} interval covered in {percent(worst.coverage[str(level)])} or "
            f"more, least where {IN_PROSE[worst.law]} is true"
        )
    rejected = ""
    if isinstance(estimate.calibration, SimulatedCalibration):
        why = estimate.calibration.left_out.get(name)
        rejected = "" if why is None else f" Its own law is not among these: {words(why)}."
        if estimate.calibration.of_rejected:
            rejected += OF_REJECTED
    return f"{IN_PROSE[name]}, *a*, in simulated sweeps of {laws}: {' and '.join(parts)}.{rejected}"


def _of_mixture(mixture: Mixture, laws: Mapping[Approach, Estimate | Refusal]) -> str:
    """Say how often the mixture covers whichever of its laws is true, and where least."""
    if not mixture.checks:
        return words(f"The mixture was not checked: {mixture.unchecked}.")
    counts = sorted({check.simulations for check in mixture.checks})
    sweeps = " or ".join(times(number, "sweep") for number in counts)
    short = [level for level in LEVELS if mixture.worst(level)[0] < level - COVERAGE_SLACK]
    if not mixture.covers:
        verdict = "**So it undercovers where one of its laws is true**"
    elif short:
        verdict = (
            f"At {listed([percent(level) for level in short])} it is somewhat too narrow where it "
            "covers least, by hardly more than such a number of sweeps leaves to chance"
        )
    else:
        verdict = "So it covers whichever of these laws is true"
    return (
        f"The mixture was put to {sweeps} simulated from each of its laws in turn, "
        f"{listed([IN_PROSE[check.truth] for check in mixture.checks])}. Each went the whole way "
        "of this one, errors that runs of one size share included: every law was fitted and "
        "tested, and those not rejected were mixed. "
        f"{_ends_of(mixture, laws)}{_shares_of(mixture)} {verdict}. The ends were placed on these "
        "very sweeps; the manual’s page on coverage "
        "counts sweeps that placed none. Of truths outside its laws this "
        "says nothing: that page shows what bends, uneven noise and mistuned "
        "rates do, of which mistuned rates are worst."
        f"{OF_REJECTED if len(mixture.rejected) == len(mixture.mixed) else ''}"
    )


def _ends_of(mixture: Mixture, laws: Mapping[Approach, Estimate | Refusal]) -> str:
    """Say where its intervals end among the draws, and which of them are not given."""
    if not mixture.placed:
        return ""
    sentence = (
        "Each end of its intervals is placed where, under whichever of these laws makes it "
        "hardest, the truth lies beyond it no more often than the confidence level allows"
    )
    spans, without = [], []
    for level in map(str, LEVELS):
        ends = [(entry, entry.levels[level]) for entry in mixture.placed]
        served = [tails for _, tails in ends if isinstance(tails, Tails)]
        if served:
            span = _span([tails.level for tails in served])
            error = percent(max(tails.error for tails in served))
            spans.append(
                f"{span} of the draws for {percent(float(level))} (standard error {error} at most)"
            )
        without += [
            f"{_place(entry)} at {percent(float(level))}, since where {IN_PROSE[missing.truth]} is "
            f"true the truth lies {missing.side} all draws in {percent(missing.share)}"
            for entry, missing in ends
            if isinstance(missing, NoLevel)
        ]
    sentence += f": they span {listed(spans)}. " if spans else ". "
    return (
        sentence
        + (f"No interval is given for {'; for '.join(without)}. " if without else "")
        + _alone(mixture, laws)
    )


def _alone(mixture: Mixture, laws: Mapping[Approach, Estimate | Refusal]) -> str:
    """Say where the mixture has an interval for the loss and none of its laws has one."""
    mixed = [laws[member.approach] for member in mixture.mixed]
    estimates = [law for law in mixed if isinstance(law, Estimate)]
    places = []
    for entry in mixture.placed:
        if entry.quantity != "loss_opt" or entry.decades_beyond is None:
            continue
        for level in map(str, LEVELS):
            losses = [
                optimum.loss
                for law in estimates
                for optimum in law.optima
                if optimum.loss is not None
                and round(optimum.decades_beyond_data) == round(entry.decades_beyond)
            ]
            if (
                losses
                and isinstance(entry.levels[level], Tails)
                and not any(level in loss.intervals for loss in losses)
            ):
                places.append(f"{_place(entry)} ({percent(float(level))})")
    if not places:
        return ""
    return (
        f"For {listed(places)} it has an interval where none of its laws has one by itself: where "
        "another law is true the truth lies to one side of all resamples of a law, but the draws "
        "of several laws lie on both sides of it. "
    )


def _span(shares: Sequence[float]) -> str:
    """Write from which share to which, once where both read alike."""
    low, high = percent(min(shares)), percent(max(shares))
    return low if low == high else f"{low} to {high}"


def _shares_of(mixture: Mixture) -> str:
    """Say how often the intervals that are given covered in the simulated sweeps."""
    parts = []
    for level in LEVELS:
        shares = [c.shares[str(level)] for check in mixture.checks for c in check.covered]
        _, check, covered = mixture.worst(level)
        parts.append(
            f"the {percent(level)} interval covers the truth in {_span(shares)} (least for "
            f"{_place(covered)} where {IN_PROSE[check.truth]} is true)"
        )
    return (
        "Over *a*, and *N*\\* and *L*\\* from the largest compute that was fitted to two decades "
        f"beyond, {' and '.join(parts)}."
    )


def _place(covered: CoveredShare | PlacedLevels) -> str:
    """Name a quantity and where it is judged."""
    if covered.decades_beyond is None:
        return "*a*"
    name = OPTIMA[covered.quantity]
    if covered.decades_beyond == 0.0:
        return f"{name} at the largest compute"
    return f"{name} {times(round(covered.decades_beyond), 'decade')} beyond"


def _mixture_table(mixture: Mixture) -> Table:
    """Tabulate the shares by truth."""
    heads = [_head(covered) for covered in mixture.checks[0].covered]
    rows = [
        [
            f"**{NAMES[check.truth]}**",
            *(
                f" {BREAK} ".join(percent(covered.shares[str(level)]) for level in LEVELS)
                for covered in check.covered
            ),
        ]
        for check in mixture.checks
    ]
    data: list[list[Value]] = [
        [
            check.truth, check.noise, check.simulations, check.refused, covered.quantity,
            covered.decades_beyond, *(covered.shares[str(level)] for level in LEVELS),
            *(covered.percentile_shares[str(level)] for level in LEVELS),
        ]
        for check in mixture.checks
        for covered in check.covered
    ]  # fmt: skip
    return Table(
        key="mixture_coverage",
        caption="How often the mixture’s 80 % interval, and below it the 95 % interval, covered "
        "the truth in sweeps simulated from each law; +1 and +2 are decades beyond the data.",
        columns=(Column("True law", "left"), *(Column(head) for head in heads)),
        rows=rows,
        data_columns=(
            "true_law", "log_noise", "simulated_sweeps", "refused_sweeps", "quantity",
            "decades_beyond_data", "coverage_80", "coverage_95", "percentile_coverage_80",
            "percentile_coverage_95",
        ),
        data=data,
        classes=' .wide widths="1.5 0.8 0.8 0.8 0.8 0.8 0.8 0.8"',
    )  # fmt: skip


def _head(covered: CoveredShare) -> str:
    if covered.decades_beyond is None:
        return "*a*"
    name = OPTIMA[covered.quantity]
    beyond = round(covered.decades_beyond)
    return f"{name}{NBSP}+{beyond}" if beyond else name


def _why_unchecked(estimate: Estimate) -> str:
    if isinstance(estimate.calibration, Uncalibrated):
        return estimate.calibration.reason
    return "every simulated sweep was refused"


def _asked(inputs: ReportInputs, name: Approach, estimate: Estimate) -> dict[str, Quantity]:
    """Give a, and N* at every budget of the report, by their names in the tables."""
    return {"a": estimate.a} | {
        f"params_opt_{optimum.flops!r}": optimum.params
        for flops in inputs.budgets
        if (optimum := inputs.every_answered(flops).get(name)) is not None
    }


def _table(inputs: ReportInputs, checked: Mapping[Approach, Estimate]) -> Table:
    """Tabulate truth, estimates and shares for a, law by law; the data have every N* too."""
    rows: list[list[str]] = []
    data: list[list[Value]] = []
    for name, estimate in checked.items():
        for key, quantity in _asked(inputs, name, estimate).items():
            for sample in quantity.simulated:
                given = [
                    sample.coverage[str(q)] if str(q) in quantity.intervals else None
                    for q in LEVELS
                ]
                plain = [sample.percentile_coverage[str(level)] for level in LEVELS]
                if key == "a":
                    rows.append([
                        f"**{NAMES[name]}**",
                        NAMES[sample.law],
                        fixed(sample.truth),
                        NONE if sample.noiseless is None else fixed(sample.noiseless),
                        fixed(sample.median),
                        *(percent(share) for share in plain),
                        *(NONE if share is None else percent(share) for share in given),
                    ])  # fmt: skip
                data.append(
                    [
                        name,
                        key,
                        sample.law,
                        sample.truth,
                        sample.noiseless,
                        sample.median,
                        *plain,
                        *given,
                    ]
                )
    return Table(
        key="calibration",
        caption="Simulated sweeps of this design: the true *a*, the estimate without noise, the "
        "median estimate with it, and how often plain percentile intervals and the intervals of "
        "this report covered the truth; a dash where none is given. The CSV has *N*\\* at every "
        "budget too.",
        columns=(
            Column("Approach", "left"), Column("True law", "left"), Column("Truth"),
            Column("No noise"), Column("Median"),
            Column("Plain ⏎ 80 %"), Column("Plain ⏎ 95 %"),
            Column("Given ⏎ 80 %"), Column("Given ⏎ 95 %"),
        ),
        rows=rows,
        data_columns=(
            "approach", "quantity", "true_law", "truth", "noiseless", "median",
            "percentile_coverage_80", "percentile_coverage_95", "coverage_80", "coverage_95",
        ),
        data=data,
        classes=' .wide widths="1.3 1.3 0.8 0.8 0.8 0.8 0.8 0.8 0.8"',
    )  # fmt: skip


def _key(entry: PlacedLevels, top: float) -> str:
    """Name a quantity of the mixture as those of an approach are named."""
    if entry.decades_beyond is None:
        return entry.quantity
    return f"{entry.quantity}_{top * 10.0**entry.decades_beyond!r}"


def _level_table(inputs: ReportInputs, checked: Mapping[Approach, Estimate]) -> Table:
    """Tabulate the nominal levels for a, with their standard errors; the data have every N* too."""
    rows: list[list[str]] = []
    data: list[list[Value]] = []
    placed = [
        (name, key, quantity.levels)
        for name, estimate in checked.items()
        for key, quantity in _asked(inputs, name, estimate).items()
        if quantity.levels
    ]
    if isinstance(mixture := inputs.mixture, Mixture):
        top = mixture.flops_range[1]
        placed += [(MIXTURE.key, _key(entry, top), entry.levels) for entry in mixture.placed]
    for name, key, levels in placed:
        cells: list[str] = []
        values: list[Value] = []
        for level in LEVELS:
            ends = levels[str(level)]
            if isinstance(ends, Tails):
                error = percent(ends.error, 1)
                cells += [
                    f"{percent(ends.level, 1)} ± {error}",
                    f"{NAMES[ends.below.truth]} {BREAK} {NAMES[ends.above.truth]}",
                ]
                values += [
                    *ends.shares, ends.level, ends.error,
                    ends.below.truth, ends.above.truth,
                ]  # fmt: skip
            else:
                cells += [NONE, NAMES[ends.truth]]
                below = ends.side == "below"
                values += [
                    None, None, None, None,
                    ends.truth if below else None, None if below else ends.truth,
                ]  # fmt: skip
        data.append([name, key, *values])
        if key == "a":
            rows.append([f"**{ANSWERS[name].label}**", *cells])
    return Table(
        key="levels",
        caption="The nominal level, the share of the resamples inside, that stands for 80 % and "
        "95 % in intervals for *a*, with its standard error, and the law under which the lower and "
        "the upper tail needed it; a dash where no nominal level serves. The CSV has *N*\\* at "
        "every budget too, and of the mixture *N*\\* and *L*\\* beyond the data.",
        columns=(
            Column("Approach", "left"), Column("80 % is"), Column("Hardest law", "left"),
            Column("95 % is"), Column("Hardest law", "left"),
        ),
        rows=rows,
        data_columns=(
            "approach", "quantity",
            *(
                f"{column}_{100 * level:.0f}"
                for level in LEVELS
                for column in (
                    "nominal_low", "nominal_high", "nominal_level", "nominal_level_error",
                    "hardest_below", "hardest_above",
                )
            ),
        ),
        data=data,
        classes=' .wide widths="1.3 1 1.2 1 1.2"',
    )  # fmt: skip
