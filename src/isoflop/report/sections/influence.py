"""What single runs do to the estimates: a jackknife, run by run."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from isoflop.approach import ANSWERS, MIXTURE
from isoflop.escape import code
from isoflop.estimates.influence import FAR, MOVES
from isoflop.estimates.mixture import Mixture
from isoflop.numbers import NONE, fixed, listed, percent, power
from isoflop.report.tables import Column, Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from isoflop.estimates.influence import Influence, LeaveOut
    from isoflop.report.inputs import ReportInputs
    from isoflop.report.tables import Value

DATA = (
    "approach", "flops", "run", "a", "a_errors", "log_params_opt", "log_params_opt_errors",
    "log_loss_opt", "log_loss_opt_errors", "refused_without", "log_residual", "studentised",
)  # fmt: skip


def influence_table(inputs: ReportInputs) -> Table | None:
    """Tabulate the runs that move an answer or lie far off; None where there is none."""
    rows: list[list[str]] = []
    data: list[list[Value]] = []
    influences = {name: estimate.influence for name, estimate in inputs.leaned_on.items()}
    of_mixture = inputs.mixture.influence if isinstance(inputs.mixture, Mixture) else None
    if of_mixture is not None and of_mixture.runs:
        influences = {MIXTURE.key: of_mixture, **influences}
    for name, influence in influences.items():
        named = {run.run: run for run in (*influence.moving, *influence.outlying)}
        rows += [_row(run, ANSWERS[name].label) for run in named.values()]
        data += [[name, influence.flops, *_values(run)] for run in influence.runs]
    if not rows:
        return None
    places: dict[str, list[str]] = {}
    for name, influence in influences.items():
        places.setdefault(power(influence.flops), []).append(ANSWERS[name].label)
    where = "; ".join(f"{flops} FLOPs for {listed(names)}" for flops, names in places.items())
    return Table(
        key="influence",
        caption=f"Runs that move an estimate by more than {MOVES:g} standard error, or lie more "
        f"than {FAR:g} standard deviations off what the others predict: the value from all runs "
        "less that without the run, and in brackets the same in standard errors of the resamples "
        f"without it{_of_mixture(influences)}. *N*\\* and its loss at the largest *C* of each "
        f"fit ({where}).",
        columns=(
            Column("Run", "left"), Column("Approach", "left"), Column("*a*"), Column("*N*\\*"),
            Column("Loss"), Column("Residual ⏎ (sd)"),
        ),
        rows=rows,
        data_columns=DATA,
        data=data,
        classes=" .dense",
    )  # fmt: skip


def _of_mixture(influences: Mapping[str, Influence]) -> str:
    """Say how the mixture's changes come about; empty without them."""
    if MIXTURE.key not in influences:
        return ""
    return (
        "; of the mixture the draws of each law move with its estimate, the weights stay, and the "
        "standard error is that of all its draws"
    )


def _row(run: LeaveOut, approach: str) -> list[str]:
    return [
        code(run.run),
        approach,
        _change(run.a, run.a_errors, _exponent),
        _change(run.log_params, run.log_params_errors, _share),
        _change(run.log_loss, run.log_loss_errors, _fine_share),
        NONE if run.studentised is None else fixed(run.studentised, 1),
    ]


def _values(run: LeaveOut) -> list[Value]:
    return [
        run.run, run.a, run.a_errors, run.log_params, run.log_params_errors,
        run.log_loss, run.log_loss_errors, int(run.refused), run.residual, run.studentised,
    ]  # fmt: skip


def _change(value: float | None, errors: float | None, write: object) -> str:
    """Write a change, and in brackets how many standard errors that is."""
    if value is None or errors is None or not callable(write):
        return NONE
    return f"{write(value)} ({fixed(abs(errors), 1)})"


def _exponent(value: float) -> str:
    return f"{'+' if value > 0 else ''}{fixed(value, 3)}"


def _share(value: float) -> str:
    return f"{'+' if value > 0 else ''}{percent(math.expm1(value))}"


def _fine_share(value: float) -> str:
    return f"{'+' if value > 0 else ''}{percent(math.expm1(value), 2)}"
