"""Mix the laws of the loss that were fitted to one sweep."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from isoflop.approach import IN_PROSE, LAWS, NAMES, WITHIN
from isoflop.approaches.estimators.identifiability import (
    CALIBRATED_MEANS,
    percentiles_mean,
    places_in,
    require_narrow,
)
from isoflop.approaches.forecasts.weights import FEWEST_CUTS, shared_out, weights_of
from isoflop.approaches.uncertainty.mixture_coverage import checks_of
from isoflop.errors import IsoflopError, OpenSizeError
from isoflop.estimates.default_budgets import default_budgets
from isoflop.estimates.diagnostics import InteractionDiagnostics, ParametricDiagnostics
from isoflop.estimates.draws import Draws
from isoflop.estimates.estimate import Estimate, Refusal, optima_of
from isoflop.estimates.forecasts import Forecasts
from isoflop.estimates.intervals import LEVELS
from isoflop.estimates.mixture import (
    Member,
    Mixture,
    MixtureLevels,
    NoMixture,
    describe_mixture,
    influence_of_mixture,
    of_rejected,
)
from isoflop.estimates.refusals import told_once
from isoflop.numbers import listed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from isoflop.approach import Approach
    from isoflop.config.approaches import ApproachesSettings
    from isoflop.estimates.estimate import Provenance
    from isoflop.estimates.forecasts import NoForecasts, Score
    from isoflop.estimates.mixture import MixtureCheck, PlacedLevels


def mix_laws(
    estimates: Mapping[Approach, Estimate | Refusal],
    draws: Mapping[Approach, Draws],
    forecasts: Forecasts | NoForecasts,
    settings: ApproachesSettings,
    *,
    sweep: str,
    provenance: Provenance,
    losses: pl.DataFrame | None = None,
) -> tuple[Mixture | NoMixture, pl.DataFrame]:
    """Take draws of all laws in proportion to their weights.

    A draw of the mixture is one draw of one law. So the intervals cover what each law leaves open
    and, beside it, the distance between the laws. Laws are fitted again to simulated sweeps alone,
    to check how often these intervals cover.

    Parameters
    ----------
    estimates : of the laws of the set, ``approach.LAWS``; at least of those that are mixed.
    draws : their tables of draws.
    forecasts : their forecasts above cuts, scored.
    settings : section ``approaches`` of config.yaml.
    sweep : name of the sweep.
    provenance : what the estimates were read from.
    losses : table ``Losses`` that the laws were fitted to; without it coverage is not checked.

    Returns
    -------
    The mixture, or why there is none; and its draws: ``draw``, ``approach`` and the parameters of
    every law, null where they are another's. A resample in which a law was refused gives no draw.
    """
    chosen = settings.only("counting", "bootstrap", "mixture")
    missing = {law: _missing(law, estimates) for law in settings.mixture.laws}
    fitted = {
        law: estimate
        for law, why in missing.items()
        if not why and isinstance(estimate := estimates[law], Estimate)
    }
    open_laws = [law for law in settings.mixture.laws if _leaves_open(law, estimates)]

    def refused(
        why: str, reasons: str = "", *, leaves_open: bool
    ) -> tuple[NoMixture, pl.DataFrame]:
        none = NoMixture(
            sweep=sweep,
            settings=chosen,
            refused=f"{why} {reasons}".rstrip(),
            summary=why,
            leaves_open=leaves_open,
            provenance=provenance,
        )
        return none, pl.DataFrame(schema={"draw": pl.Int64, "approach": pl.String})

    reasons = " ".join(
        why
        if isinstance(estimates[names[0]], Estimate)
        else f"{listed([NAMES[name] for name in names])}: {why}"
        for names, why in told_once(missing).items()
    )
    if not fitted:
        return refused("no law of the loss is determined.", reasons, leaves_open=bool(open_laws))
    if len(fitted) == 1 and open_laws:
        (only,) = fitted
        verb = "leaves" if len(open_laws) == 1 else "leave"
        return refused(
            f"of the laws of the set {IN_PROSE[only]} alone keeps the best size within bounds, and "
            f"{listed([IN_PROSE[law] for law in open_laws])} {verb} it open, so that no distance "
            "between laws is known and what one form says may be of that form.",
            reasons,
            leaves_open=True,
        )
    cuts = forecasts.cuts if isinstance(forecasts, Forecasts) else []
    misfits = {law: _misfit(estimate) for law, estimate in fitted.items()}
    weighting, weights = weights_of(list(fitted), cuts, misfits, settings.mixture)
    members = [
        _member(
            law,
            estimates,
            dict(zip(fitted, weights.tolist(), strict=True)).get(law, 0.0),
            forecasts,
            settings,
        )
        for law in LAWS
        if law in estimates
    ]
    mixed = [member for member in members if member.weight > 0.0]
    table = _draws(mixed, draws, settings)
    ranges = [fitted[member.approach].flops_range for member in mixed]
    # the part of C that all laws saw
    flops_range = (max(low for low, _ in ranges), min(high for _, high in ranges))
    flops = np.array(default_budgets(flops_range[1]))
    first = next(iter(fitted.values()))
    checks, placed, unchecked = _checks(losses, settings, list(fitted), mixed)
    quantities = describe_mixture(
        mixed, Draws.of(table), flops, MixtureLevels(placed, flops_range[1])
    )
    if checks:
        quantities["a"] = quantities["a"].model_copy(update={"coverage": _lowest(checks, "a")})
    mixture = Mixture(
        sweep=sweep,
        settings=chosen,
        counting=first.counting,
        n_runs=first.n_runs,
        flops_range=flops_range,
        weighting=weighting,
        reason=f"{_reason(weighting, settings, forecasts)} {of_rejected(mixed)}".rstrip(),
        members=members,
        a=quantities["a"],
        b=quantities["b"],
        optima=optima_of(quantities, flops, flops_range),
        draws=table.height,
        checks=checks,
        placed=placed,
        unchecked=unchecked,
        influence=influence_of_mixture(
            mixed,
            Draws.of(table),
            {law: estimate.influence for law, estimate in fitted.items()},
            flops_range[1],
        ),
        loss_doubt=_doubt(forecasts),
        provenance=provenance,
    )
    try:
        _require_narrow(mixture, Draws.of(table))
    except OpenSizeError as error:
        return refused(str(error), leaves_open=True)
    return mixture, table


def _require_narrow(mixture: Mixture, draws: Draws) -> None:
    """Ask of the mixture's intervals what is asked of an approach's.

    Raises
    ------
    OpenSizeError : one is too wide within the data that all its laws saw.
    """
    flops = places_in(mixture.flops_range)
    best = describe_mixture(mixture.mixed, draws, flops, mixture.levels)
    sizes = [best.get(f"params_opt_{c!r}") for c in flops.tolist()]
    level = str(min(LEVELS))
    require_narrow(
        flops,
        [None if size is None else size.intervals.get(level) for size in sizes],
        whose="the mixture of the laws",
        sweep=mixture.sweep,
        means=CALIBRATED_MEANS if mixture.placed else percentiles_mean("draws"),
    )


def _missing(law: Approach, outcomes: Mapping[Approach, Estimate | Refusal]) -> str:
    """Say why a law takes no part whatever the runs say of its form; empty where it may."""
    outcome = outcomes[law]
    if not isinstance(outcome, Estimate):
        return outcome.refused
    numbers = f"The numbers of {NAMES[law]} come from "
    if outcome.by_form is not None:
        return f"{numbers}{outcome.by_form.removesuffix('.')}."
    wider = _open_around(law, outcomes)
    if wider is None:
        return ""
    return (
        f"{numbers}the law’s form, not from the runs: it is a special case of "
        f"{IN_PROSE[wider.approach]}, and {wider.refused}"
    )


def _open_around(law: Approach, outcomes: Mapping[Approach, Estimate | Refusal]) -> Refusal | None:
    """Give the refusal of the law that has this one as a special case, where it is open.

    Resamples of that law are asked while this one is fitted, what simulated sweeps made of its
    intervals is not.
    """
    outcome, wider = outcomes[law], outcomes.get(WITHIN.get(law, ""))
    if not isinstance(wider, Refusal) or not wider.leaves_open:
        return None
    # priors of the law's own exponents may narrow what the other leaves open
    has_priors = bool(getattr(getattr(outcome.settings, law, None), "priors", None))
    return None if has_priors else wider


def _leaves_open(law: Approach, outcomes: Mapping[Approach, Estimate | Refusal]) -> bool:
    """Tell whether a law of the set, or its form alone, leaves the best size open."""
    outcome = outcomes[law]
    if isinstance(outcome, Refusal):
        return outcome.leaves_open
    return outcome.by_form is not None or _open_around(law, outcomes) is not None


def _checks(
    losses: pl.DataFrame | None,
    settings: ApproachesSettings,
    laws: Sequence[Approach],
    mixed: Sequence[Member],
) -> tuple[list[MixtureCheck], list[PlacedLevels], str | None]:
    """Check and calibrate such a mixture under each of its laws, or say why nothing was."""
    if losses is None:
        return [], [], "the losses were not given"
    if settings.bootstrap.draws == 0:
        return [], [], "approaches.bootstrap.draws asks for no draws, so there is nothing to place"
    if settings.mixture.simulations == 0:
        return [], [], "approaches.mixture.simulations asks for no simulated sweeps"
    try:
        truths = [member.approach for member in mixed]
        return *checks_of(losses, settings, laws=laws, truths=truths), None
    except IsoflopError as error:
        return [], [], str(error)


def _lowest(checks: Sequence[MixtureCheck], quantity: str) -> dict[str, float]:
    """Give the lowest share over truths and places at each level."""
    shares = [c.shares for check in checks for c in check.covered if c.quantity == quantity]
    return {str(level): min(share[str(level)] for share in shares) for level in LEVELS}


def _draws(
    members: Sequence[Member], draws: Mapping[Approach, Draws], settings: ApproachesSettings
) -> pl.DataFrame:
    """Take each draw from the law that it falls to."""
    drawn = {
        member.approach: table.where(table.missing("simulation"))
        for member in members
        for table in (draws[member.approach],)
    }
    count = max(len(table) for table in drawn.values())
    weights = np.array([member.weight for member in members])
    whose = shared_out(weights / weights.sum(), count, settings.bootstrap.seed)
    parts = []
    for k, member in enumerate(members):
        if member.law is None:
            raise ValueError(f"{member.approach} was not fitted")
        names = [name for name in member.law.names if name in member.parameters]
        table = drawn[member.approach]
        mine = np.isin(table.columns["draw"], np.flatnonzero(whose == k))
        table = table.where(mine & table.missing("refused"))
        parts.append(
            pl.DataFrame(
                {
                    "draw": pl.Series(table.columns["draw"]).cast(pl.Int64),
                    "approach": pl.Series([member.approach] * len(table), dtype=pl.String),
                    **{name: pl.Series(table.columns[name]).fill_nan(None) for name in names},
                }
            )
        )
    return pl.concat(parts, how="diagonal").sort("draw")


def _member(
    law: Approach,
    estimates: Mapping[Approach, Estimate | Refusal],
    weight: float,
    forecasts: Forecasts | NoForecasts,
    settings: ApproachesSettings,
) -> Member:
    estimate, scores = estimates[law], _scores(law, forecasts)
    fitted = isinstance(estimate, Estimate)
    left_out = None
    if not isinstance(estimate, Estimate) or _missing(law, estimates):
        left_out = _missing(law, estimates)
    elif law not in settings.mixture.laws:
        left_out = "approaches.mixture.laws does not name it"
    elif weight == 0.0 and settings.mixture.weights == "unrejected":
        left_out = f"the runs reject its form (p = {_misfit(estimate):.1g})"
    elif weight == 0.0:
        left_out = "its forecasts add nothing to those of the other laws"
    return Member(
        approach=law,
        weight=weight,
        left_out=left_out,
        law=estimate.law if isinstance(estimate, Estimate) else None,
        parameters=_parameters(estimate) if isinstance(estimate, Estimate) else {},
        misfit_p=_misfit(estimate) if isinstance(estimate, Estimate) else None,
        cuts=len(scores),
        bias=float(np.mean([score.bias for score in scores])) if scores else None,
        rms=float(np.sqrt(np.mean([score.rms**2 for score in scores]))) if scores else None,
        interval_score={
            level: float(np.mean([score.interval_score[level] for score in scores]))
            for level in (scores[0].interval_score if scores else {})
        },
        log_score=_log_score(scores),
        forecasts_cover=all(score.covers for score in scores) if scores and fitted else None,
    )


def _parameters(estimate: Estimate) -> dict[str, float]:
    return dict(zip(estimate.law.names, estimate.row[0].tolist(), strict=True))


def _misfit(estimate: Estimate) -> float | None:
    diagnostics = estimate.diagnostics
    if not isinstance(diagnostics, ParametricDiagnostics | InteractionDiagnostics):
        return None
    return diagnostics.misfit.joint.p_value


def _log_score(scores: Sequence[Score]) -> float | None:
    log_scores = [score.log_score for score in scores if score.log_score is not None]
    return float(np.mean(log_scores)) if log_scores else None


def _scores(law: Approach, forecasts: Forecasts | NoForecasts) -> list[Score]:
    """Give a law's scores of the losses of runs, one a cut."""
    if not isinstance(forecasts, Forecasts):
        return []
    loss_scores = [
        forecast.score("loss") for cut in forecasts.cuts for forecast in cut.among((law,))
    ]
    return [score for score in loss_scores if score is not None]


def _reason(
    weighting: str, settings: ApproachesSettings, forecasts: Forecasts | NoForecasts
) -> str:
    """Say why the weights are what they are."""
    if weighting == "stacking":
        return (
            "The weights are those whose mixture would have forecast the losses above the cuts of "
            "this sweep best (stacking of predictive distributions, Yao et al. 2018)."
        )
    if weighting == "unrejected":
        return (
            "The laws whose form the runs do not reject count alike, and always the two least "
            "rejected. Over published studies with their upper part hidden such a mixture "
            "forecasts about as well as one of all laws, and on simulated sweeps it covers as "
            "often as it says whichever of the laws is true (docs/backtest.md, docs/coverage.md)."
        )
    if settings.mixture.weights == "equal":
        return (
            "All laws count alike: over published studies with their upper part hidden, no weights "
            "from a sweep's own lower part forecast better (docs/backtest.md)."
        )
    if not isinstance(forecasts, Forecasts):
        return f"All laws count alike, because no forecast could be scored: {forecasts.refused}"
    return (
        f"All laws count alike, because weights from forecasts need {FEWEST_CUTS} cuts in compute "
        f"above which every law was scored; this sweep has {len(forecasts.cuts)}. Add runs at "
        "higher budgets."
    )


def _doubt(forecasts: Forecasts | NoForecasts) -> str | None:
    """Say that a forecast of the mixture failed on this sweep, or could not be tried."""
    if not isinstance(forecasts, Forecasts):
        return (
            "No forecast of these laws could be tried on this sweep, so nothing speaks for their "
            f"losses beyond the data: {forecasts.refused}"
        )
    scores = [(cut, cut.mixture.score) for cut in forecasts.cuts if cut.mixture is not None]
    failed = [cut for cut, score in scores if not score.covers]
    if not scores:
        return "No law of the set could be fitted below a cut, so no forecast was tried."
    if not failed:
        return None
    later = "" if failed[-1] is scores[-1][0] else ", though not fitted up to a higher cut"
    return (
        f"Fitted up to {failed[-1].flops:.3g} FLOPs, the mixture's intervals covered fewer of the "
        f"losses measured above than a right forecast’s would{later}: take its losses beyond the "
        "data as uncertain by more than their intervals say."
    )
