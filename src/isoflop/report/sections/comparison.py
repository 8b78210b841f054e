"""Gopher against Chinchilla: what each law would have done, and what it says of what was done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isoflop.numbers import NONE, count, fixed, power, ratio, with_intervals
from isoflop.published_laws import published_optima
from isoflop.report.sections.answer import sweep_label
from isoflop.report.tables import Column, Table

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from isoflop.report.inputs import ReportInputs
    from isoflop.report.tables import Value

    Floats = NDArray[np.float64]


def allocation_table(inputs: ReportInputs) -> Table:
    """Tabulate the allocation of Gopher's compute by every law, and those that were trained."""
    budget = inputs.gopher_budget
    rows: list[list[str]] = []
    data: list[list[Value]] = []
    for law in published_optima(inputs.reference, budget):
        per_param = law.tokens / law.params
        rows.append([
            law.name, fixed(law.exponent), count(law.params), count(law.tokens), ratio(per_param),
        ])  # fmt: skip
        data.append([law.plain, law.exponent, law.params, None, None, law.tokens, per_param, None])
    for approach, optimum in inputs.optima(budget).items():
        estimate = inputs.fitted[approach]
        rows.append([
            sweep_label(approach, estimate, budget),
            fixed(estimate.a.value),
            with_intervals(optimum.params, count, (0.95,)),
            with_intervals(optimum.tokens, count, (0.95,)),
            with_intervals(optimum.tokens_per_param, ratio, (0.95,)),
        ])  # fmt: skip
        data.append([
            f"sweep {approach}", estimate.a.value, optimum.params.value,
            *optimum.params.intervals.get("0.95", (None, None)), optimum.tokens.value,
            optimum.tokens_per_param.value, optimum.decades_beyond_data,
        ])  # fmt: skip
    for model in inputs.reference.gopher_chinchilla.models.rows:
        per_param = model.tokens / model.params
        rows.append([
            f"*{model.name}, as trained*", NONE, count(model.params), count(model.tokens),
            ratio(per_param),
        ])  # fmt: skip
        data.append([f"{model.name} as trained", None, model.params, None, None, model.tokens,
                     per_param, None])  # fmt: skip
    return Table(
        key="gopher-allocations",
        caption=f"Allocations of Gopher’s {power(budget)} FLOPs: published laws, then this sweep’s "
        "extrapolations in bold, then the two models as they were trained.",
        columns=(
            Column("Law", "left"), Column("*a*"), Column("*N*\\* ⏎ (parameters)"),
            Column("*D*\\* ⏎ (tokens)"), Column("*D*\\*/*N*\\* ⏎ (tokens/param.)"),
        ),
        rows=rows,
        data_columns=(
            "law", "a", "params", "params_lo95", "params_hi95", "tokens", "tokens_per_param",
            "decades_beyond_data",
        ),
        data=data,
        classes=' .wide widths="1.5 0.5 1 1 1"',
    )  # fmt: skip


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
