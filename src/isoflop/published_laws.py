"""What the published laws allot to a budget, and their exponents: once, for every room."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from isoflop.approach import NAMES
from isoflop.counting import PER_PARAMETER, tokens_6nd
from isoflop.estimates.laws import FlopsPerToken, HoffmannLaw, PowerLaws
from isoflop.laws import PowerLaw

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from isoflop.approach import Approach
    from isoflop.estimates.laws import LawOfLoss
    from isoflop.reference import Besiroglu, Hoffmann, Kaplan, Reference

    Floats = NDArray[np.float64]

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
        return _plain(self.name)

    @property
    def mathtext(self) -> str:
        """The name for figures."""
        name = re.sub(r"\*C\*~min~ = \*C\*(/2)?", r"$C_{\\rm min} = C\1$", self.name)
        return name.replace("*L*(*N*, *D*)", "$L(N, D)$")


def _plain(name: str) -> str:
    return re.sub(r"[*~]", "", name)


@dataclass(frozen=True, eq=False)
class PublishedFit:
    """A published law, answering as a sweep's own do; it comes without draws.

    Attributes
    ----------
    name : in Markdown.
    approach : whose kind of law it is, for its marker.
    law : with C = 6ND.
    row : its parameters, (1, parameters).
    rounded : as in ``PublishedOptimum``.
    """

    name: str
    approach: Approach
    law: LawOfLoss
    row: Floats
    rounded: bool = False

    @property
    def plain(self) -> str:
        """The name without mark-up."""
        return _plain(self.name)


def published_fits(hoffmann: Hoffmann, besiroglu: Besiroglu, kaplan: Kaplan) -> list[PublishedFit]:
    """List every published law.

    Hoffmann's approaches 1 to 3 are the log-log lines of his Tables 3 and A3. Kaplan's D is
    C / (6N), with N as Kaplan counts it.
    """
    tables = hoffmann.optimal_allocations
    fits = [
        PublishedFit(
            f"Hoffmann {NAMES[row.approach]}",
            row.approach,
            *_lines(tables.params_law(row.approach), tables.tokens_law(row.approach)),
        )
        for row in hoffmann.exponents.rows
    ]
    cost = FlopsPerToken(coefficient=PER_PARAMETER, exponent=1.0, largest_deviation=0.0)
    for name, law, rounded in (
        ("Hoffmann *L*(*N*, *D*)", hoffmann.law, False),
        ("Hoffmann *L*(*N*, *D*), rounded", hoffmann.printed_law, True),
        ("Besiroglu *L*(*N*, *D*)", besiroglu.law, False),
    ):
        row = np.array([[law.E, law.A, law.B, law.alpha, law.beta]])
        fits.append(
            PublishedFit(name, "parametric", HoffmannLaw(flops_per_token=cost), row, rounded)
        )
    p = kaplan.optimal_allocation.p_N
    for convention, meaning in KAPLAN_CONVENTIONS:
        at_one = kaplan.params_opt(1.0, convention=convention)  # type: ignore[arg-type]
        params = PowerLaw(coefficient=at_one, exponent=p)
        tokens = PowerLaw(coefficient=tokens_6nd(at_one, 1.0), exponent=1.0 - p)
        fits.append(PublishedFit(f"Kaplan, {meaning}", "kaplan", *_lines(params, tokens)))
    return fits


def _lines(params: PowerLaw, tokens: PowerLaw) -> tuple[PowerLaws, Floats]:
    """Write two published power laws as one law of the optimum, which predicts no loss."""
    row = [params.coefficient, params.exponent, tokens.coefficient, tokens.exponent, np.nan, np.nan]
    return PowerLaws(), np.array([row])


def published_optima(reference: Reference, flops: float) -> list[PublishedOptimum]:
    """Evaluate every published law at one budget.

    Parameters
    ----------
    reference : the published facts.
    flops : the budget C [FLOP].
    """
    fits = []
    for fit in published_fits(*reference.papers):
        optima = fit.law.optima(fit.row, np.array([flops]))
        a, _ = fit.law.exponents(fit.row)
        params, tokens = float(optima.params[0, 0]), float(optima.tokens[0, 0])
        fits.append(
            PublishedOptimum(fit.name, fit.approach, float(a[0]), params, tokens, fit.rounded)
        )
    return fits


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


def published_exponents(
    hoffmann: Hoffmann, besiroglu: Besiroglu, kaplan: Kaplan
) -> list[PublishedExponents]:
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
        for row in hoffmann.exponents.rows
    ]
    a, half = besiroglu.a.value, Z_95 * besiroglu.a.standard_error
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
    law = kaplan.optimal_allocation
    rows.append(
        PublishedExponents(
            "Kaplan", "kaplan", "Kaplan 2020", "Kaplan et al. 2020", law.p_N, law.p_D
        )
    )
    return rows
