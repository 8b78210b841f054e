"""How often the intervals covered the truth in simulated sweeps of the same design."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from isoflop.approach import IN_PROSE, NAMES
from isoflop.estimates.estimate import Calibration as SimulatedCalibration
from isoflop.estimates.estimate import Uncalibrated
from isoflop.estimates.intervals import LEVELS
from isoflop.numbers import NONE, fixed, listed, percent, times
from isoflop.report.tables import Column, Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from isoflop.approach import Approach
    from isoflop.estimates.estimate import Estimate
    from isoflop.estimates.quantities import Quantity
    from isoflop.report.inputs import ReportInputs
    from isoflop.report.tables import Value


@dataclass(frozen=True, slots=True)
class Calibration:
    """What the section says.

    Attributes
    ----------
    simulations : simulated sweeps per approach, in words; empty where none was made.
    honest : approaches whose intervals for a cover the truth as often as they should, in words.
    short : those whose do not, in words; their cautions have the shares.
    unchecked : sentences on approaches that could not be checked.
    """

    simulations: str
    honest: str
    short: str
    unchecked: list[str]
    table: Table | None


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
    )


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
