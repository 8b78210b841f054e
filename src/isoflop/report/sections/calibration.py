"""How often the intervals covered the truth in simulated sweeps of the same design."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from isoflop.approach import IN_PROSE, NAMES
from isoflop.escape import BREAK
from isoflop.estimates.estimate import Calibration as SimulatedCalibration
from isoflop.estimates.estimate import Uncalibrated
from isoflop.estimates.intervals import LEVELS
from isoflop.estimates.mixture import Mixture
from isoflop.numbers import NBSP, NONE, fixed, listed, percent, times
from isoflop.report.sections.data import words
from isoflop.report.tables import Column, Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from isoflop.approach import Approach
    from isoflop.estimates.estimate import Estimate
    from isoflop.estimates.mixture import CoveredShare
    from isoflop.estimates.quantities import Quantity
    from isoflop.report.inputs import ReportInputs
    from isoflop.report.tables import Value


OPTIMA: Final = {"params_opt": "*N*\\*", "loss_opt": "*L*\\*"}
"""How the quantities at a compute are written."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What the section says.

    Attributes
    ----------
    simulations : simulated sweeps per approach, in words; empty where none was made.
    honest : approaches whose intervals for a cover the truth as often as they should, in words.
    short : those whose do not, in words; their cautions have the shares.
    unchecked : sentences on approaches that could not be checked.
    mixture : what simulated sweeps of each mixed law say of the mixture; empty without a mixture.
    mixture_table : the shares behind it; None where nothing was simulated.
    """

    simulations: str
    honest: str
    short: str
    unchecked: list[str]
    table: Table | None
    mixture: str
    mixture_table: Table | None


def calibration(inputs: ReportInputs) -> Calibration:
    """Collect what each approach's simulations gave."""
    checked = {
        name: estimate
        for name, estimate in inputs.fitted.items()
        if estimate.a.simulated is not None
    }
    honest = [name for name, e in checked.items() if not _short(e.a)]
    counts = {
        e.calibration.simulations
        for e in checked.values()
        if isinstance(e.calibration, SimulatedCalibration)
    }
    return Calibration(
        simulations=times(max(counts), "simulated sweep") if counts else "",
        honest=listed([IN_PROSE[name] for name in honest]),
        short=listed([IN_PROSE[name] for name in checked if name not in honest]),
        unchecked=[
            f"{IN_PROSE[name]} was not checked: {_why_unchecked(estimate)}."
            for name, estimate in inputs.fitted.items()
            if name not in checked
        ],
        table=_table(inputs, checked) if checked else None,
        mixture=_of_mixture(inputs.mixture) if isinstance(inputs.mixture, Mixture) else "",
        mixture_table=(
            _mixture_table(inputs.mixture)
            if isinstance(inputs.mixture, Mixture) and inputs.mixture.checks
            else None
        ),
    )


def _of_mixture(mixture: Mixture) -> str:
    """Say how often the mixture covered whichever of its laws is true, and where least."""
    if not mixture.checks:
        return words(f"The mixture was not checked: {mixture.unchecked}.")
    counts = sorted({check.simulations for check in mixture.checks})
    sweeps = " or ".join(times(number, "sweep") for number in counts)
    parts = []
    for level in LEVELS:
        shares = [c.shares[str(level)] for check in mixture.checks for c in check.covered]
        _, check, covered = mixture.worst(level)
        ends = [percent(share) for share in (min(shares), max(shares))]
        span = ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"
        parts.append(
            f"its {percent(level)} interval covers the truth in {span} (least for "
            f"{_place(covered)} where {IN_PROSE[check.truth]} is true)"
        )
    verdict = (
        "So it covers whichever of these laws is true"
        if mixture.covers
        else "**So it undercovers where one of its laws is true**"
    )
    return (
        f"The mixture was put to {sweeps} simulated from each of its laws in turn, "
        f"{listed([IN_PROSE[check.truth] for check in mixture.checks])}. Each went the whole way "
        "of this one: every law was fitted and tested, and those not rejected were mixed. Over "
        "*a*, and *N*\\* and *L*\\* from the largest compute that was fitted to two decades "
        f"beyond, {' and '.join(parts)}. {verdict}. Of truths outside its laws this "
        "says nothing: the manual’s page on coverage shows what bends, errors shared by size and "
        "mistuned rates do, of which mistuned rates are worst."
    )


def _place(covered: CoveredShare) -> str:
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
            "decades_beyond_data", "coverage_80", "coverage_95",
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


def _short(quantity: Quantity) -> bool:
    return any(quantity.undercovers(level) for level in LEVELS)


def _table(inputs: ReportInputs, checked: Mapping[Approach, Estimate]) -> Table:
    """Tabulate truth, estimates and shares for a; the data have N* at every budget too."""
    rows: list[list[str]] = []
    data: list[list[Value]] = []
    for name, estimate in checked.items():
        quantities = {"a": estimate.a} | {
            f"params_opt_{o.flops!r}": o.params
            for o in (inputs.optima(flops)[name] for flops in inputs.budgets)
        }
        for key, quantity in quantities.items():
            simulated = quantity.simulated
            if simulated is None:
                continue
            plain = simulated.percentile_coverage
            noiseless = simulated.noiseless
            if key == "a":
                rows.append([
                    f"**{NAMES[name]}**",
                    fixed(simulated.truth),
                    NONE if noiseless is None else fixed(noiseless),
                    fixed(simulated.median),
                    *(percent(plain[str(level)]) for level in LEVELS),
                    *(percent(quantity.coverage[str(level)]) for level in LEVELS),
                ])  # fmt: skip
            data.append([
                name, key, simulated.truth, noiseless, simulated.median,
                *(plain[str(level)] for level in LEVELS),
                *(quantity.coverage[str(level)] for level in LEVELS),
            ])  # fmt: skip
    return Table(
        key="calibration",
        caption="Simulated sweeps of this design: the true *a*, the estimate without noise, the "
        "median estimate with it, and how often plain percentile intervals and the intervals of "
        "this report covered the truth. The CSV has *N*\\* at every budget too.",
        columns=(
            Column("Approach", "left"), Column("Truth"),
            Column("No noise"), Column("Median"),
            Column("Plain ⏎ 80 %"), Column("Plain ⏎ 95 %"),
            Column("Given ⏎ 80 %"), Column("Given ⏎ 95 %"),
        ),
        rows=rows,
        data_columns=(
            "approach", "quantity", "truth", "noiseless", "median",
            "percentile_coverage_80", "percentile_coverage_95", "coverage_80", "coverage_95",
        ),
        data=data,
        classes=' .wide widths="1.3 1 1 1 0.8 0.8 0.8 0.8"',
    )  # fmt: skip
