"""Which function fits which approach: here an estimator is plugged in, and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from isoflop.approach import BY_KEY
from isoflop.approaches.estimators.data_constrained import fit_data_constrained
from isoflop.approaches.estimators.envelope import fit_envelope
from isoflop.approaches.estimators.interaction_laws import (
    KaplanLawFit,
    LawFit,
    NestedFit,
    NoFloorFit,
    ProductFit,
    RootFit,
    fit_law,
)
from isoflop.approaches.estimators.kaplan import fit_kaplan
from isoflop.approaches.estimators.overtraining import fit_overtraining
from isoflop.approaches.estimators.parametric import fit_parametric
from isoflop.approaches.estimators.profiles import fit_profiles
from isoflop.approaches.observations import Observations, observe, require_active_cost

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import polars as pl

    from isoflop.approach import Approach
    from isoflop.approaches.protocol import Fit
    from isoflop.config.approaches import ApproachesSettings, CountingSettings, LawSettings
    from isoflop.laws import ChinchillaLaw

    Estimator = Callable[[Observations, ApproachesSettings, "Extras"], Fit]
    Recount = Callable[[CountingSettings], Observations]


@dataclass(frozen=True, slots=True)
class Extras:
    """What an estimator may use besides observations and settings.

    Attributes
    ----------
    published : laws that a fit is tested against, by name.
    threads : blocks solved at a time, all cores by default; no byte of a result depends on it.
    recount : gives the same points counted otherwise; None where there is no table to count from.
    """

    published: Mapping[str, ChinchillaLaw]
    threads: int | None
    recount: Recount | None


def _envelope(observations: Observations, settings: ApproachesSettings, _: Extras) -> Fit:
    return fit_envelope(observations, settings.envelope)


def _profiles(observations: Observations, settings: ApproachesSettings, _: Extras) -> Fit:
    return fit_profiles(observations, settings.profiles)


def _parametric(observations: Observations, settings: ApproachesSettings, extras: Extras) -> Fit:
    return fit_parametric(
        observations, settings.parametric, published=extras.published, threads=extras.threads
    )


def _kaplan(observations: Observations, settings: ApproachesSettings, extras: Extras) -> Fit:
    return fit_kaplan(observations, settings.kaplan, recount=extras.recount)


def _overtraining(observations: Observations, settings: ApproachesSettings, _: Extras) -> Fit:
    return fit_overtraining(observations, settings.overtraining)


def _data_constrained(observations: Observations, settings: ApproachesSettings, _: Extras) -> Fit:
    return fit_data_constrained(observations, settings.data_constrained)


def _law(kind: type[LawFit]) -> Estimator:
    """Give the function that fits one of the laws with an interaction."""

    def fit_one(observations: Observations, settings: ApproachesSettings, extras: Extras) -> Fit:
        chosen: LawSettings = getattr(settings, kind.approach)
        return fit_law(observations, kind, chosen, recount=extras.recount, threads=extras.threads)

    return fit_one


ESTIMATORS: Final[Mapping[str, Estimator]] = {
    "envelope": _envelope,
    "profiles": _profiles,
    "parametric": _parametric,
    "kaplan": _kaplan,
    "overtraining": _overtraining,
    "data_constrained": _data_constrained,
    "nested": _law(NestedFit),
    "root": _law(RootFit),
    "kaplan_law": _law(KaplanLawFit),
    "no_floor": _law(NoFloorFit),
    "product": _law(ProductFit),
}
"""A function for every row of ``approach.ROWS``."""


def fit(
    losses: pl.DataFrame | Observations,
    approach: Approach,
    settings: ApproachesSettings,
    *,
    published: Mapping[str, ChinchillaLaw] | None = None,
    threads: int | None = None,
) -> Fit:
    """Fit one approach by its key; see the ``fit_*`` functions.

    Parameters
    ----------
    losses : table ``Losses``, counted here as the settings say; or observations, as they are
        counted.
    approach : key of a row of ``approach.ROWS``.
    settings : section ``approaches`` of config.yaml; other approaches' parts are ignored.
    published, threads : see ``Extras``.

    Raises
    ------
    MissingFactError, UnderdeterminedError : the sweep does not allow the fit.
    """
    if isinstance(losses, Observations):
        observations, recount = losses, None
    else:
        recount = partial(observe, losses)
        observations = recount(settings.counting_of(approach))
    require_active_cost(observations)
    return ESTIMATORS[approach](observations, settings, Extras(published or {}, threads, recount))


if ESTIMATORS.keys() != BY_KEY.keys():
    raise ImportError(
        f"approach.py lists {sorted(BY_KEY)}, estimators/registry.py {sorted(ESTIMATORS)}"
    )
