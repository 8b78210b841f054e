"""How each approach went about it, as this sweep's settings have it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from isoflop.choices import CURVES
from isoflop.counting import PARAMS, PER_PARAMETER, counting_words
from isoflop.estimates.estimate import Counting
from isoflop.estimates.laws import FlopsPerToken, HoffmannLaw
from isoflop.numbers import Hand, number_of, power, significant

if TYPE_CHECKING:
    from isoflop.approach import Approach
    from isoflop.config.approaches import ApproachesSettings
    from isoflop.report.inputs import ReportInputs

PAPER: Final = FlopsPerToken(coefficient=6.0, exponent=1.0, largest_deviation=0.0)
"""Hoffmann et al.'s C = 6ND, where there is no fit whose counting could be shown."""
USUAL: Final = Counting(params="total", flops="6nd")
KAPLAN: Final = Counting(params="nonembedding", flops="kaplan")
TEX: Final = Hand("^{", "}", "", r" \times ", minus="-")
EXACT: Final = 1e-9
"""Relative distance below which a number of a counting is a round one."""


@dataclass(frozen=True, slots=True)
class Methods:
    """How each approach went about it, in Markdown.

    Attributes
    ----------
    envelope : what of the curves gives N and D.
    profiles : what is minimised over what at each budget.
    profiles_shown : what panel (a) of the profiles has, for its caption.
    parametric : what is fitted.
    cost : under which C, up to a comma or to none.
    optimum, exponents : N_opt and D_opt of approach 3, and its a and b, as TeX.
    kaplan : how Kaplan's laws were fitted.
    kaplan_differs : what lies between that fit and the approaches.
    kaplan_counts, kaplan_counts_all : what that fit counts, its N, and N and C.
    """

    envelope: str
    profiles: str
    profiles_shown: str
    parametric: str
    cost: str
    optimum: str
    exponents: str
    kaplan: str
    kaplan_differs: str
    kaplan_counts: str
    kaplan_counts_all: str


def methods(inputs: ReportInputs) -> Methods:
    """Say how each approach went about it."""
    envelope = _settings(inputs, "envelope").envelope
    cost, law = _cost(inputs)
    optimum, exponents = _optimum(law)
    kaplan, differs = _kaplan(inputs)
    counting = _settings(inputs, "kaplan").kaplan.counting
    return Methods(
        envelope=(
            "The vertices of the lower convex hull of log *L* over log *C* give *N* and *D*"
            if envelope.frontier == "hull"
            else "At each of many log-spaced values of compute, the run with the lowest loss "
            "gives *N* and *D*"
        ),
        profiles=_profiles(inputs),
        profiles_shown=_profiles_shown(inputs),
        parametric=_parametric(inputs),
        cost=cost,
        optimum=optimum,
        exponents=exponents,
        kaplan=kaplan,
        kaplan_differs=differs,
        kaplan_counts=PARAMS[counting.params],
        kaplan_counts_all=counting_words(counting.params, counting.flops, " and "),
    )


def _settings(inputs: ReportInputs, approach: Approach) -> ApproachesSettings:
    """Give the settings of an approach, whether it could be fitted or not."""
    return inputs.estimates[approach].settings


def _profiles(inputs: ReportInputs) -> str:
    settings = _settings(inputs, "profiles").profiles
    loss = (
        "the loss, read off every curve that passes it,"
        if settings.interpolate
        else ("the final loss")
    )
    least = {
        "each": "over $\\log\\, N$ is least at the best size, and over $\\log\\, D$ at the best "
        "number of tokens",
        "params": "over $\\log\\, N$ is least at the best size, for which the budget buys the best "
        "number of tokens",
        "tokens": "over $\\log\\, D$ is least at the best number of tokens, for which the budget "
        "buys the best size",
    }[settings.axis]
    return f"At each compute budget {loss} {least}"


def _profiles_shown(inputs: ReportInputs) -> str:
    settings = _settings(inputs, "profiles").profiles
    loss = "Loss" if settings.interpolate else "Final loss"
    against = "number of tokens" if settings.axis == "tokens" else "size"
    curve = CURVES[settings.curve]
    drawn = f"the fitted {curve} and its minimum (cross)"
    if settings.curve == "akima":
        drawn = f"lines from run to run and the minimum of the {curve} (cross)"
    return f"{loss} against {against} at each budget, with {drawn}"


def _parametric(inputs: ReportInputs) -> str:
    settings = _settings(inputs, "parametric").parametric
    which = "The final losses of all runs"
    if settings.points == "all":
        which = "The losses of all points of all training curves"
    if settings.drop_highest:
        highest = number_of(settings.drop_highest, "highest loss", "highest losses")
        which += f", the {highest} left out,"
    return f"{which} are fitted together by"


def _cost(inputs: ReportInputs) -> tuple[str, FlopsPerToken]:
    """Say under which C the loss is least, and give it."""
    estimate = inputs.fitted.get("parametric")
    law = None if estimate is None else estimate.law
    if estimate is None or not isinstance(law, HoffmannLaw):
        return f"Under $C = {_tex(PAPER)}$", PAPER
    cost = law.flops_per_token
    if estimate.counting == USUAL and _is_paper(cost):
        return f"Under $C = {_tex(cost)}$", cost
    counting = counting_words(estimate.counting.params, estimate.counting.flops, " and ")
    return f"Counted are {counting}; over these runs $C = {_tex(cost)}$, under which", cost


def _is_paper(cost: FlopsPerToken) -> bool:
    return abs(cost.coefficient / PER_PARAMETER - 1.0) < EXACT and abs(cost.exponent - 1.0) < EXACT


def _written(value: float) -> str:
    """Write k or m into a formula; a round one without places."""
    if not 1e-3 <= value < 1e5:
        return power(value, 4, hand=TEX)
    nearest = max(round(value), 1)
    return str(nearest) if abs(value / nearest - 1.0) < EXACT else significant(value, 4)


def _tex(cost: FlopsPerToken) -> str:
    m = _written(cost.exponent)
    size = "N" if m == "1" else f"N^{{{m}}}"
    return f"{_written(cost.coefficient)} {size} D"


def _optimum(cost: FlopsPerToken) -> tuple[str, str]:
    r"""Write N_opt and D_opt under C = k N**m D, and a and b, as TeX.

    N_opt = G (C/k)**a with G = (alpha A / (m beta B))**(1 / (alpha + m beta)), and D is the rest:
    G**-m (C/k)**b.
    """
    k, m = _written(cost.coefficient), _written(cost.exponent)
    times_m, to_m = ("", "") if m == "1" else (f"{m}\\, ", f"^{{{m}}}")
    total = rf"\alpha + {times_m}\beta"
    bought = rf"\left( \frac{{C}}{{{k}}} \right)"
    optimum = (
        rf"N_{{\text{{opt}}}}(C) = G {bought}^{{a}} , \qquad "
        rf"D_{{\text{{opt}}}}(C) = \frac{{1}}{{G{to_m}}} {bought}^{{b}} , \qquad "
        rf"G = \left( \frac{{\alpha A}}{{{times_m}\beta B}} \right)^{{1/({total})}}"
    )
    exponents = rf"$a = \beta / ({total})$ and $b = \alpha / ({total})$"
    return optimum, exponents


def _kaplan(inputs: ReportInputs) -> tuple[str, str]:
    """Say how Kaplan's laws were fitted, and what lies between that fit and the approaches."""
    counting = _settings(inputs, "kaplan").kaplan.counting
    theirs = Counting(params=counting.params, flops=counting.flops)
    fitted = "Fitted the same way, their law gives"
    if theirs != KAPLAN:
        fitted = (
            f"Fitted the same way, but with {counting_words(theirs.params, theirs.flops, ' and ')} "
            "counted, their law gives"
        )
    others = {
        (estimate.counting.params, estimate.counting.flops)
        for approach, estimate in inputs.fitted.items()
        if approach != "kaplan"
    }
    alike = others == {(theirs.params, theirs.flops)}
    return fitted, "method" if alike else "counting and method"
