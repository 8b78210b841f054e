"""What the published laws allot to a budget, and their exponents: once, for every room."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from isoflop.approach import NAMES

if TYPE_CHECKING:
    from isoflop.approach import Approach
    from isoflop.reference import Reference

Ends = tuple[float, float]

Z_95: Final = 1.959964
"""Normal quantile that turns a published standard error into a 95 % interval."""
KAPLAN_CONVENTIONS: Final = (("minimum", "*C*~min~ = *C*"), ("critical_batch", "*C*~min~ = *C*/2"))
"""Both readings of Kaplan's compute at the best batch size, as `Kaplan.params_opt` names them."""


@dataclass(frozen=True, slots=True)
class PublishedOptimum:
    """What a published law allots to one budget, under C = 6ND.

    Attributes
    ----------
    name : in Markdown.
    approach : whose kind of law it is, for its marker.
    exponent : a of N_opt(C) ~ C^a.
    params, tokens : the optimum.
    rounded : whether it rests on constants as rounded in print, which nobody should use.
    """

    name: str
    approach: Approach
    exponent: float
    params: float
    tokens: float
    rounded: bool = False

    @property
    def plain(self) -> str:
        """The name without mark-up, for CSV files and alternative texts."""
        return re.sub(r"[*~]", "", self.name)

    @property
    def mathtext(self) -> str:
        """The name for figures."""
        found = re.sub(r"\*C\*~min~ = \*C\*(/2)?", r"$C_{\\rm min} = C\1$", self.name)
        return found.replace("*L*(*N*, *D*)", "$L(N, D)$")


def published_optima(reference: Reference, flops: float) -> list[PublishedOptimum]:
    """Evaluate every published law at one budget.

    Hoffmann's approaches 1 to 3 are the log-log lines of his Tables 3 and A3.

    Parameters
    ----------
    reference : the published facts.
    flops : the budget C [FLOP].
    """
    hoffmann, kaplan = reference.hoffmann, reference.kaplan
    tables = hoffmann.optimal_allocations
    rows = []
    for row in hoffmann.exponents.rows:
        law = tables.params_law(row.approach)
        tokens = float(tables.tokens_law(row.approach)(flops))
        name = f"Hoffmann {NAMES[row.approach]}"
        params = float(law(flops))
        rows.append(PublishedOptimum(name, row.approach, law.exponent, params, tokens))
    for name, parametric, rounded in (
        ("Hoffmann *L*(*N*, *D*)", hoffmann.law, False),
        ("Hoffmann *L*(*N*, *D*), rounded", hoffmann.printed_law, True),
        ("Besiroglu *L*(*N*, *D*)", reference.besiroglu.law, False),
    ):
        n, d = float(parametric.params_opt(flops)), float(parametric.tokens_opt(flops))
        rows.append(PublishedOptimum(name, "parametric", parametric.a, n, d, rounded))
    for convention, meaning in KAPLAN_CONVENTIONS:
        n = kaplan.params_opt(flops, convention=convention)  # type: ignore[arg-type]
        p = kaplan.optimal_allocation.p_N
        rows.append(PublishedOptimum(f"Kaplan, {meaning}", "kaplan", p, n, flops / (6.0 * n)))
    return rows


@dataclass(frozen=True, slots=True)
class PublishedExponents:
    """a and b of one paper's approach, with the intervals that it prints.

    Attributes
    ----------
    paper : as in "Hoffmann"; with the year in `source`.
    approach : whose kind of estimate it is.
    label : the paper, and the approach where the paper has several.
    source : the paper with its year, and where in it.
    a, b : exponents of N_opt and D_opt.
    a80, b80 : 10th to 90th percentile; None where the paper gives none.
    a95, b95 : 95 % interval.
    """

    paper: str
    approach: Approach
    label: str
    source: str
    a: float
    b: float
    a80: Ends | None = None
    a95: Ends | None = None
    b80: Ends | None = None
    b95: Ends | None = None


def published_exponents(reference: Reference) -> list[PublishedExponents]:
    """List Hoffmann's Table 2, Besiroglu's refit and Kaplan's allocation, in this order."""
    rows = [
        PublishedExponents(
            "Hoffmann",
            row.approach,
            f"Hoffmann {NAMES[row.approach]}",
            "Hoffmann et al. 2022, Table 2",
            row.a,
            row.b,
            a80=row.a_interval,
            b80=row.b_interval,
        )
        for row in reference.hoffmann.exponents.rows
    ]
    besiroglu = reference.besiroglu.a
    a, half = besiroglu.value, Z_95 * besiroglu.standard_error
    rows.append(
        PublishedExponents(
            "Besiroglu",
            "parametric",
            f"Besiroglu {NAMES['parametric']}",
            "Besiroglu et al. 2024",
            a,
            1.0 - a,
            a95=(a - half, a + half),
            b95=(1.0 - a - half, 1.0 - a + half),
        )
    )
    kaplan = reference.kaplan.optimal_allocation
    rows.append(
        PublishedExponents(
            "Kaplan", "kaplan", "Kaplan 2020", "Kaplan et al. 2020", kaplan.p_N, kaplan.p_D
        )
    )
    return rows
