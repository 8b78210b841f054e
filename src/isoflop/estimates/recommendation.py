"""Whose allocation is recommended, by a stated rule, and how each answer stands.

The rule has one owner, ``recommend``: title, numbers, figure, calculator, `isoflop allocate`, the
Python interface and the macros for a paper all ask it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from isoflop.approach import ANSWERS, APPROACHES, IN_PROSE, LAWS, MIXTURE
from isoflop.estimates.diagnostics import REJECTED, lack_of_fit, misses, rejected_at
from isoflop.estimates.estimate import Calibration, Estimate
from isoflop.estimates.forecasts import Forecasts, side_of
from isoflop.estimates.intervals import LEVELS
from isoflop.estimates.mixture import Mixture, NoMixture
from isoflop.numbers import UNSURE, listed, plain_p

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from isoflop.approach import Approach, Row
    from isoflop.estimates.forecasts import NoForecasts, Score
    from isoflop.numbers import WriteP

Rule = Literal["mixture", "both", "coverage", "forecast", "none", "untested"]
RULES: Final[dict[Rule, str]] = {
    "mixture": "no law is known to be the true one, so the draws come from several, and the "
    "distance between the laws is inside the intervals",
    "both": "it passed both tests: its intervals cover in simulated sweeps of this design, and "
    "what it predicted from the lower part of the sweep was found in the upper part",
    "coverage": "its intervals cover in simulated sweeps of this design; no approach also passed "
    "the test of forecasts",
    "forecast": "it passed the test of forecasts; no approach also covers in simulated sweeps",
    "none": "no approach passed a test: read it as one opinion of several",
    "untested": "no approach was put to a test: how far to trust it is not known",
}
"""Why an answer is recommended, in words."""
REJECTED_TRUTHS: Final = " (rejected)"
"""What stands behind whether an answer covers; see ``Standing.tried_on_rejected``."""
OF_REJECTED: Final = (
    "(rejected): those sweeps are of laws whose form these runs reject, so that it says little of "
    "these runs"
)
"""What that means."""
DOUBTED: Final = (
    f"{UNSURE} of a law whose forecast of the losses above the cuts failed, or whose form the runs "
    f"reject (p < {REJECTED:g}), and of a mixture that takes such a form."
)
"""What the mark beside a loss means; see ``Standing.loss_mark``."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How one approach, or the mixture, did in both tests.

    Attributes
    ----------
    covers : whether it has intervals for a that cover in simulated sweeps, whichever law is true
        that the runs do not reject; the mixture's for a, N* and L*; None where nothing was
        simulated.
    forecasts : whether its intervals covered what was measured above the highest cut, and its
        losses were not off to one side above every cut; None where nothing was predicted.
    scores : its scores above that cut.
    rejected : whether the runs reject its form; of the mixture, that of a law that takes part.
    misses : whether it misses the runs by more than replicates differ; False where there are none.
    tried_on_rejected : whether the runs reject every law whose simulated sweeps its intervals were
        put to: whether they cover is then known of laws alone that are not those of the runs.
    """

    covers: bool | None
    forecasts: bool | None
    scores: tuple[Score, ...]
    rejected: bool
    misses: bool = False
    tried_on_rejected: bool = False

    @property
    def doubts_loss(self) -> bool:
        """Whether its losses stand with a mark: not forecast, or of a form that is rejected."""
        return self.forecasts is False or self.rejected

    @property
    def forecast_losses(self) -> int | None:
        """How many losses above the highest cut it was compared with; None where with none."""
        return next((s.n for s in self.scores if s.quantity in {"loss", "loss_opt"}), None)

    @property
    def loss_mark(self) -> str:
        """The mark beside each of its losses; empty where there is nothing to doubt."""
        return UNSURE if self.doubts_loss else ""

    @property
    def rule(self) -> Rule:
        """The best rule by which an approach could be recommended."""
        if self.covers:
            return "both" if self.forecasts else "coverage"
        if self.forecasts:
            return "forecast"
        return "untested" if self.covers is None and self.forecasts is None else "none"


@dataclass(frozen=True, slots=True)
class Recommendation:
    """Whose allocation is recommended, and why.

    Attributes
    ----------
    key : of an approach, or ``mixture``.
    answer : its estimate, or the mixture.
    rule : why.
    """

    key: str
    answer: Estimate | Mixture
    rule: Rule

    @property
    def row(self) -> Row:
        """How it is called and drawn."""
        return ANSWERS[self.key]

    @property
    def reason(self) -> str:
        """Why, in words."""
        return RULES[self.rule]


def standing(answer: Estimate | Mixture, forecasts: Forecasts | NoForecasts) -> Standing:
    """Tell how one approach, or the mixture, did in both tests."""
    cuts = forecasts.cuts if isinstance(forecasts, Forecasts) else []
    by_cut: list[tuple[Score, ...]]
    if isinstance(answer, Mixture):
        by_cut = [() if cut.mixture is None else (cut.mixture.score,) for cut in cuts]
    else:
        by_cut = [
            tuple(score for forecast in cut.among((answer.approach,)) for score in forecast.scores)
            for cut in cuts
        ]
    # of the highest cut that has any: the largest sweep below it, and the nearest to the answer
    scores = next((latest for latest in reversed(by_cut) if latest), ())
    if isinstance(answer, Mixture):
        covers = answer.covers
    elif answer.a.coverage:
        # where no level serves there is no interval of that name
        # nor is an interval given that would exclude its estimate; the wide one is what counts
        short = any(answer.a.undercovers(level) for level in LEVELS)
        covers = not (short or answer.a.excluded(max(LEVELS)))
    else:
        covers = None
    losses = [score for cut in by_cut for score in cut if score.quantity != "params_opt"]
    return Standing(
        covers=covers,
        forecasts=all(score.covers for score in scores) and not side_of(losses) if scores else None,
        scores=scores,
        rejected=bool(answer.rejected)
        if isinstance(answer, Mixture)
        else rejected_at(answer.diagnostics) is not None,
        misses=isinstance(answer, Estimate) and misses(answer.diagnostics),
        tried_on_rejected=_tried_on_rejected(answer),
    )


def _tried_on_rejected(answer: Estimate | Mixture) -> bool:
    if isinstance(answer, Mixture):
        return bool(answer.checks) and len(answer.rejected) == len(answer.mixed)
    return isinstance(answer.calibration, Calibration) and answer.calibration.of_rejected


def against_all(
    estimates: Mapping[Approach, Estimate],
    forecasts: Forecasts | NoForecasts,
    mixture: Mixture | NoMixture | None,
    write: WriteP = plain_p,
) -> str:
    """Say that no law of the loss holds on these runs: all are rejected, or none forecast them.

    Whoever reads no further than an answer must know of it.

    Parameters
    ----------
    estimates : of every approach and law that was fitted.
    forecasts, mixture : of the same sweep.
    write : how a p-value is written.

    Returns
    -------
    A sentence or two for the first paragraph; empty where a law is left.
    """
    laws = {key: estimate for key, estimate in estimates.items() if key in LAWS}
    rejected = [p for law in laws.values() if (p := rejected_at(law.diagnostics)) is not None]
    form = ""
    if laws and len(rejected) == len(laws):
        whose, sign = "the only law of the loss that was fitted", "="
        if len(laws) > 1:
            whose, sign = f"each of the {len(laws)} laws of the loss that were fitted", "≤"
        form = f"the form of {whose} (score test, {write(max(rejected), sign)})"
    mixed = [member.approach for member in mixture.mixed] if isinstance(mixture, Mixture) else []
    takers: list[Estimate | Mixture] = [laws[key] for key in mixed or laws if key in laws]
    if isinstance(mixture, Mixture) and len(mixed) > 1:
        takers.append(mixture)
    tried = [
        passed for taker in takers if (passed := standing(taker, forecasts).forecasts) is not None
    ]
    no_forecast = bool(tried) and not any(tried)
    if form:
        also = ", and every forecast by those that take part failed" if no_forecast else ""
        return (
            f"These runs reject {form}{also}: what is said here follows curves that the runs do "
            "not, and its intervals cover, if they do, in sweeps of such laws alone."
        )
    if not no_forecast:
        return ""
    whose = "the laws that are mixed" if mixed else "the laws of the loss"
    if len(takers) == 1:
        whose = IN_PROSE[next(iter(mixed or laws))]
    return (
        f"Every forecast by {whose} failed: fitted to the lower part of this sweep, they missed "
        "the losses of its upper part by more than their intervals say."
    )


def not_exact(estimates: Iterable[Estimate], write: WriteP = plain_p) -> str:
    """Say which laws miss the runs by more than replicates differ, beside those of rejected forms.

    Parameters
    ----------
    estimates : of every approach and law.
    write : how a p-value is written.

    Returns
    -------
    Empty where no law does that is not rejected for its form already, which is said elsewhere.
    """
    tested = [(e, p) for e in estimates if (p := lack_of_fit(e.diagnostics)) is not None]
    missing = [(e, p) for e, p in tested if misses(e.diagnostics)]
    spared = [(e, p) for e, p in missing if rejected_at(e.diagnostics) is None]
    if not spared:
        return ""
    sign = "=" if len(spared) == 1 else "≤"
    why = (
        "these runs by more than runs of one size and token count differ from each other "
        f"(lack of fit, {write(max(p for _, p in spared), sign)})"
    )
    if len(missing) == len(tested) > 1:
        return f"Every law of the loss misses {why}: none of them is exact, whatever its weight."
    names = listed([IN_PROSE[e.approach] for e, _ in spared])
    verb, them = ("misses", "it is") if len(spared) == 1 else ("miss", "they are")
    return f"Though its form is not rejected, {names} {verb} {why}: {them} not exact."


def recommend(
    estimates: Mapping[Approach, Estimate],
    forecasts: Forecasts | NoForecasts,
    mixture: Mixture | NoMixture,
) -> Recommendation | None:
    """Choose whose allocation is recommended; None where nothing was fitted, or none by the runs.

    The mixture, where it has more than one law: then the distance between laws is inside its
    intervals, as it is in no approach's. Else the approach that passed both tests, else the one
    whose intervals cover, else the one that forecasts, else any. Of several, the one whose interval
    for a is narrowest. Kaplan's law counts other parameters, and stands back. Where there is an
    approach that every report shows, no other law is chosen, nor does it bear on the choice. Where
    the laws leave the best size open together, none of them is chosen.
    """
    if isinstance(mixture, Mixture) and len(mixture.mixed) > 1:
        return Recommendation(MIXTURE.key, mixture, "mixture")
    estimates = {
        key: fit
        for key, fit in estimates.items()
        if fit.by_form is None
        and not (key in LAWS and isinstance(mixture, NoMixture) and mixture.leaves_open)
    }
    shown = {key: estimate for key, estimate in estimates.items() if key in APPROACHES}
    estimates = shown or estimates
    order: tuple[Rule, ...] = ("both", "coverage", "forecast", "untested", "none")

    def rank(estimate: Estimate) -> tuple[bool, int, float]:
        ends = estimate.a.intervals.get("0.95")
        width = ends[1] - ends[0] if ends is not None else float("inf")
        rule = standing(estimate, forecasts).rule
        return estimate.counting.params != "total", order.index(rule), width

    if not estimates:
        return None
    best = min(estimates.values(), key=rank)
    rule = standing(best, forecasts).rule
    if rule == "untested" and any(
        standing(estimate, forecasts).rule != rule for estimate in estimates.values()
    ):
        rule = "none"
    return Recommendation(best.approach, best, rule)
