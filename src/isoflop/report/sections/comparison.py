"""Gopher against Chinchilla: what each law would have done, and what it says of what was done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from isoflop.counting import PARAMS
from isoflop.estimates.allocation import UNKNOWN, reach
from isoflop.estimates.recommendation import DOUBTED, standing
from isoflop.numbers import count, decades_beyond, fixed
from isoflop.report.tables import Column, Table

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from isoflop.estimates.estimate import Estimate
    from isoflop.report.inputs import ReportInputs
    from isoflop.report.tables import Value

    Floats = NDArray[np.float64]


EXTRAPOLATED: Final = "**This sweep**, extrapolated[^sweep-loss]"


def loss_table(inputs: ReportInputs) -> Table:
    """Tabulate the losses that every L(N, D) predicts for Gopher and for Chinchilla as trained.

    This sweep's own stand among them where it says something that far beyond its data.
    """
    reference = inputs.reference
    gopher, chinchilla = _models(inputs)
    laws: list[tuple[str, Callable[[float, float], Floats | None]]] = [
        ("Hoffmann, unrounded constants", reference.hoffmann.law.loss),
        ("Hoffmann, as printed", reference.hoffmann.printed_law.loss),
        ("Besiroglu", reference.besiroglu.law.loss),
        ("Kaplan[^kaplan-loss]", reference.kaplan.law.loss),
    ]
    sweep = this_sweep(inputs)
    mark = "" if sweep is None else standing(sweep, inputs.forecasts).loss_mark
    if sweep is not None:
        laws.append((EXTRAPOLATED, sweep.loss))
    rows: list[list[str]] = []
    data: list[list[Value]] = []
    for name, law in laws:
        g, c = (float(loss) for loss in (law(*gopher), law(*chinchilla)) if loss is not None)
        shown = mark if name == EXTRAPOLATED else ""
        lower = "Chinchilla" if c < g else "Gopher"
        rows.append([name, fixed(g) + shown, fixed(c) + shown, fixed(c - g) + shown, lower])
        data.append([name.split("[")[0].replace("*", ""), g, c, c - g])
    return Table(
        key="gopher-losses",
        caption="Loss that each law predicts for the two models as they were trained, in nats per "
        "token of the law’s own tokenizer and text.",
        columns=(
            Column("Law", "left"),
            Column(f"Gopher ({count(gopher[0], 2)}, {count(gopher[1], 2)})"),
            Column(f"Chinchilla ({count(chinchilla[0], 2)}, {count(chinchilla[1], 2)})"),
            Column("Difference"),
            Column("Lower", "left"),
        ),
        rows=rows,
        data_columns=("law", "gopher_loss", "chinchilla_loss", "difference"),
        data=data,
        notes=[DOUBTED] if mark else [],
    )


def this_sweep(inputs: ReportInputs) -> Estimate | None:
    """Give approach 3 where it says something at Gopher's compute; else None."""
    parametric = inputs.fitted.get("parametric")
    if parametric is None or reach(beyond(inputs, parametric)) == UNKNOWN:
        return None
    return parametric


def other_counts(estimate: Estimate) -> str:
    """Say that the published counts of parameters are others than a law's; empty where alike."""
    # every parameter of a dense model is active
    if estimate.counting.params in {"total", "active"}:
        return ""
    return (
        f" Besides, this sweep’s law counts {PARAMS[estimate.counting.params]}, and is evaluated "
        "at the total counts."
    )


def beyond(inputs: ReportInputs, estimate: Estimate) -> float:
    """Give how far beyond an estimate's data Gopher's compute lies [decades]."""
    return decades_beyond(inputs.reference.gopher_budget, estimate.flops_range)


def _models(inputs: ReportInputs) -> tuple[tuple[float, float], tuple[float, float]]:
    models = {row.name: row for row in inputs.reference.gopher_chinchilla.models.rows}
    gopher, chinchilla = models["Gopher"], models["Chinchilla"]
    return (gopher.params, gopher.tokens), (chinchilla.params, chinchilla.tokens)
