"""Gopher against Chinchilla: what each law would have done, and what it says of what was done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isoflop.numbers import count, fixed
from isoflop.report.tables import Column, Table

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from isoflop.report.inputs import ReportInputs
    from isoflop.report.tables import Value

    Floats = NDArray[np.float64]


def loss_table(inputs: ReportInputs) -> Table:
    """Tabulate the losses that every L(N, D) predicts for Gopher and for Chinchilla as trained."""
    reference = inputs.reference
    gopher, chinchilla = _models(inputs)
    laws: list[tuple[str, Callable[[float, float], Floats | None]]] = [
        ("Hoffmann, unrounded constants", reference.hoffmann.law.loss),
        ("Hoffmann, as printed", reference.hoffmann.printed_law.loss),
        ("Besiroglu", reference.besiroglu.law.loss),
        ("Kaplan[^kaplan-loss]", reference.kaplan.law.loss),
    ]
    parametric = inputs.fitted.get("parametric")
    if parametric is not None:
        laws.append(("**This sweep**, extrapolated[^sweep-loss]", parametric.loss))
    rows: list[list[str]] = []
    data: list[list[Value]] = []
    for name, law in laws:
        g, c = (float(loss) for loss in (law(*gopher), law(*chinchilla)) if loss is not None)
        rows.append([name, fixed(g), fixed(c), fixed(c - g), "Chinchilla" if c < g else "Gopher"])
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
    )


def _models(inputs: ReportInputs) -> tuple[tuple[float, float], tuple[float, float]]:
    models = {row.name: row for row in inputs.reference.gopher_chinchilla.models.rows}
    gopher, chinchilla = models["Gopher"], models["Chinchilla"]
    return (gopher.params, gopher.tokens), (chinchilla.params, chinchilla.tokens)
