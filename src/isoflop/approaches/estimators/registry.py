"""Which function fits which approach: here an estimator is plugged in, and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from isoflop.approach import BY_KEY
from isoflop.approaches.estimators.data_constrained import fit_data_constrained
from isoflop.approaches.estimators.envelope import fit_envelope
from isoflop.approaches.estimators.kaplan import fit_kaplan
from isoflop.approaches.estimators.overtraining import fit_overtraining
from isoflop.approaches.estimators.parametric import ParametricFit, fit_parametric
from isoflop.approaches.estimators.profiles import fit_profiles

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import polars as pl

    from isoflop.approach import Approach
    from isoflop.approaches.observations import Observations
    from isoflop.approaches.protocol import Fit
    from isoflop.config.approaches import ApproachesSettings
    from isoflop.laws import ChinchillaLaw

    Losses = pl.DataFrame | Observations


@dataclass(frozen=True, slots=True)
class Extras:
    """What an estimator may use besides losses and settings.

    Attributes
    ----------
    published : laws that a fit is tested against, by name.
    threads : blocks solved at a time, all cores by default; no byte of a result depends on it.
    """

    published: Mapping[str, ChinchillaLaw] = field(default_factory=lambda: MappingProxyType({}))
    threads: int | None = None


def _envelope(losses: Losses, settings: ApproachesSettings, _: Extras) -> Fit:
    return fit_envelope(losses, settings.envelope, settings.counting)


def _profiles(losses: Losses, settings: ApproachesSettings, _: Extras) -> Fit:
    return fit_profiles(losses, settings.profiles, settings.counting)


def _parametric(losses: Losses, settings: ApproachesSettings, extras: Extras) -> Fit:
    return fit_parametric(
        losses,
        settings.parametric,
        settings.counting,
        published=extras.published,
        threads=extras.threads,
    )


def _kaplan(losses: Losses, settings: ApproachesSettings, _: Extras) -> Fit:
    return fit_kaplan(losses, settings.kaplan)


def _overtraining(losses: Losses, settings: ApproachesSettings, _: Extras) -> Fit:
    return fit_overtraining(losses, settings.overtraining, settings.counting)


def _data_constrained(losses: Losses, settings: ApproachesSettings, _: Extras) -> Fit:
    return fit_data_constrained(losses, settings.data_constrained, settings.counting)


ESTIMATORS: Final[Mapping[str, Callable[[Losses, ApproachesSettings, Extras], Fit]]] = {
    "envelope": _envelope,
    "profiles": _profiles,
    "parametric": _parametric,
    "kaplan": _kaplan,
    "overtraining": _overtraining,
    "data_constrained": _data_constrained,
}
"""A function for every row of ``approach.ROWS``."""


def fit(
    losses: Losses,
    approach: Approach,
    settings: ApproachesSettings,
    *,
    published: Mapping[str, ChinchillaLaw] | None = None,
    threads: int | None = None,
) -> Fit:
    """Fit one approach by its key; see the ``fit_*`` functions.

    Parameters
    ----------
    losses : table ``Losses``, or its observations.
    approach : key of a row of ``approach.ROWS``.
    settings : section ``approaches`` of config.yaml; other approaches' parts are ignored.
    published, threads : see ``Extras``.

    Raises
    ------
    KeyError : the approach has no estimator.
    MissingFactError, UnderdeterminedError : the sweep does not allow the fit.
    """
    return ESTIMATORS[approach](losses, settings, Extras(published or {}, threads))


def refitter(
    fitted: Fit, settings: ApproachesSettings, *, threads: int | None = None
) -> Callable[[Observations], Fit]:
    """Give what fits the same approach to another sweep of the same runs.

    Approach 3 starts from the optimum at hand instead of from a grid.
    """
    if isinstance(fitted, ParametricFit):
        return fitted.again
    approach = fitted.approach
    return lambda observations: fit(observations, approach, settings, threads=threads)


if ESTIMATORS.keys() != BY_KEY.keys():
    raise ImportError(
        f"approach.py lists {sorted(BY_KEY)}, estimators/registry.py {sorted(ESTIMATORS)}"
    )
