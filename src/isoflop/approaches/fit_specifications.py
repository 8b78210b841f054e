"""Refit every approach under each combination of analysis choices: the specification curve.

How much of an exponent is data and how much is analysis cannot be read off one fit. So the choices
that the literature disagrees about are laid out as a grid, and each place in it is fitted with its
own interval (Simonsohn et al. 2020, "Specification curve analysis"; Steegen et al. 2016,
"multiverse analysis").
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from isoflop.approach import APPROACHES, Approach
from isoflop.approaches.estimators.registry import fit
from isoflop.approaches.observations import Observations, observe
from isoflop.approaches.uncertainty.resampling import resample
from isoflop.config.approaches import ParametricSettings
from isoflop.errors import MissingFactError, UnderdeterminedError
from isoflop.estimates.intervals import percentile_intervals
from isoflop.estimates.quantities import about, derived
from isoflop.tables import LOSS_SOURCES, Specifications, validated

if TYPE_CHECKING:
    from collections.abc import Mapping

    from isoflop.approaches.protocol import Fit, Refits
    from isoflop.config.approaches import ApproachesSettings, BootstrapSettings, CountingSettings

    Seen = Mapping[tuple[str, CountingSettings], Observations | str]


@dataclass(frozen=True)
class Specification:
    """One approach with one choice of everything.

    Attributes
    ----------
    approach : which.
    loss : kind of loss that is fitted.
    settings : section ``approaches`` with these choices.
    headline : whether these are the settings of the approach's own estimate.
    """

    approach: Approach
    loss: str
    settings: ApproachesSettings
    headline: bool = False

    @property
    def counting(self) -> CountingSettings:
        """The conventions behind N and C."""
        return self.settings.counting_of(self.approach)

    def choices(self) -> dict[str, Any]:
        """Give every choice by its column; one that has no effect is None."""
        section = getattr(self.settings, self.approach)
        choices = {axis: getattr(section, axis) for axis in _axes(self.settings, self.approach)}
        if isinstance(section, ParametricSettings):
            choices["huber_delta"] = section.delta if section.objective == "huber" else None
        if isinstance(choices.get("window"), int):
            choices["window"] = str(choices["window"])
        return {
            "params": self.counting.params,
            "flops": self.counting.flops,
            "loss": self.loss,
            **choices,
        }


def specifications(settings: ApproachesSettings, *, loss: str) -> list[Specification]:
    """List the specifications that the settings span.

    Parameters
    ----------
    settings : section ``approaches`` of config.yaml; the grids are in ``specifications``.
    loss : kind of loss that the approaches' own estimates fit.

    Returns
    -------
    By approach; the approach's own settings first, then the product of its choices in the order of
    the settings. Combinations that are the same fit (a Huber delta under squares) stand once.
    """
    distinct: dict[tuple[Any, ...], Specification] = {}
    for approach in APPROACHES:
        headline = Specification(approach, loss, settings, headline=True)
        for specification in (headline, *_grid(settings, approach, loss)):
            distinct.setdefault((approach, *specification.choices().values()), specification)
    return list(distinct.values())


def _axes(settings: ApproachesSettings, approach: Approach) -> dict[str, tuple[Any, ...]]:
    """Give an approach's own choices with their values; counting and loss are common to all."""
    grid = getattr(settings.specifications, approach, None)
    if grid is None:
        return {}
    return {axis: getattr(grid, axis) for axis in type(grid).model_fields if axis != "counting"}


def _grid(settings: ApproachesSettings, approach: Approach, loss: str) -> list[Specification]:
    """Take the product of an approach's choices."""
    shared, section = settings.specifications, getattr(settings, approach)
    axes = _axes(settings, approach)
    values = (chosen or (getattr(section, axis),) for axis, chosen in axes.items())
    # an approach that counts in its own way has its own countings to vary
    has_own = "counting" in type(section).model_fields
    countings = getattr(shared, approach).counting if has_own else shared.counting
    counted = countings or (settings.counting_of(approach),)
    grid = []
    for counting, kind, *chosen in product(counted, shared.loss or (loss,), *values):
        changed = dict(zip(axes, chosen, strict=True))
        if changed.get("objective", "huber") != "huber":
            changed["huber_delta"] = None
        if has_own:
            update = {approach: section.model_copy(update=changed | {"counting": counting})}
        else:
            update = {approach: section.model_copy(update=changed), "counting": counting}
        grid.append(Specification(approach, kind, settings.model_copy(update=update)))
    return grid


def fit_specifications(
    losses: pl.DataFrame,
    alternate: pl.DataFrame,
    settings: ApproachesSettings,
    *,
    sweep: str,
    threads: int | None = None,
) -> pl.DataFrame:
    """Fit every specification to a sweep and resample it.

    Parameters
    ----------
    losses : table ``Losses`` that the approaches' own estimates rest on.
    alternate : the same runs by the alternate loss; may be empty.
    settings : section ``approaches`` of config.yaml.
    sweep : name of the sweep.
    threads : specifications fitted at a time, all cores by default; no byte depends on it.

    Returns
    -------
    Table ``Specifications``, in the order of the grids. One that the sweep does not allow has its
    reason in ``refused``. The intervals are percentiles of ``specifications.draws`` resamples; one
    that would exclude its estimate is not given.
    """
    tables = {
        str(table["loss_source"][0]): table for table in (alternate, losses) if not table.is_empty()
    }
    headline = str(losses["loss_source"][0]) if not losses.is_empty() else LOSS_SOURCES[0]
    listed = specifications(settings, loss=headline)
    seen = {
        (kind, counting): _observed(tables, kind, counting, sweep)
        for kind, counting in {
            (specification.loss, specification.counting): None for specification in listed
        }
    }
    bootstrap = settings.bootstrap.model_copy(
        update={
            "draws": settings.specifications.draws,
        }
    )
    budget = _budget(losses)

    def outcomes(alike: list[Specification]) -> list[dict[str, Any]]:
        return _outcomes(alike, seen, bootstrap, budget)

    groups = _same_fit(listed, seen)
    with ThreadPoolExecutor(threads) as pool:
        fitted = list(pool.map(outcomes, groups))
    outcome = {
        id(specification): outcome
        for alike, fits in zip(groups, fitted, strict=True)
        for specification, outcome in zip(alike, fits, strict=True)
    }
    rows = [
        {
            "sweep": sweep,
            "specification": i,
            "approach": specification.approach,
            "headline": specification.headline,
        }
        | {"budget": budget, **specification.choices(), **outcome[id(specification)]}
        for i, specification in enumerate(listed)
    ]
    schema = {name: column.dtype for name, column in Specifications.columns().items()}
    return validated(
        pl.DataFrame(rows, schema=schema), Specifications, name=f"specifications of {sweep}"
    )


def _observed(
    tables: Mapping[str, pl.DataFrame], kind: str, counting: CountingSettings, sweep: str
) -> Observations | str:
    """Give the sweep by one kind of loss and one counting, or say why it cannot be had."""
    if kind not in tables:
        return (
            f"not every run of {sweep} that is fitted has enough {kind} losses, so the loss cannot "
            "be taken from them; docs/losses.md says what is needed."
        )
    try:
        return observe(tables[kind], counting)
    except (MissingFactError, UnderdeterminedError) as error:
        return str(error)


def _budget(losses: pl.DataFrame) -> float:
    """Give the largest planned budget, or else the largest C of a fitted run [FLOP]."""
    fitted = losses.filter(pl.col("role") == "fit")
    for column in ("budget", "flops_6nd"):
        largest = fitted[column].max()
        if isinstance(largest, float):
            return largest
    return 1.0


def _same_fit(listed: list[Specification], seen: Seen) -> list[list[Specification]]:
    """Put together what may be fitted once: the same choices and N, counted by another C."""
    groups: dict[Any, list[Specification]] = {}
    for specification in listed:
        observations = seen[specification.loss, specification.counting]
        key: Any = id(specification)
        if isinstance(observations, Observations):
            choices = {
                k: v for k, v in specification.choices().items() if k not in {"params", "flops"}
            }
            key = (specification.approach, *choices.values(), observations.params.tobytes())
        groups.setdefault(key, []).append(specification)
    return list(groups.values())


def _outcomes(
    alike: list[Specification], seen: Seen, bootstrap: BootstrapSettings, budget: float
) -> list[dict[str, Any]]:
    """Fit and resample specifications that may share a fit, or say why the sweep forbids it."""
    outcomes: list[dict[str, Any]] = []
    shared: tuple[Fit, Refits] | None = None
    for specification in alike:
        observations = seen[specification.loss, specification.counting]
        if isinstance(observations, str):
            outcomes.append({"refused": observations})
            continue
        recounted = None if shared is None else shared[0].recounted(observations)
        try:
            if shared is None or recounted is None:
                shared = _fitted(specification, observations, bootstrap)
                recounted = shared[0]
        except (MissingFactError, UnderdeterminedError) as error:
            outcomes.append({"refused": str(error)})
        else:
            outcomes.append(_row(recounted, shared[1], bootstrap, budget))
    return outcomes


def _fitted(
    specification: Specification, observations: Observations, bootstrap: BootstrapSettings
) -> tuple[Fit, Refits]:
    """Fit one specification, from coarse starts, and resample it."""
    coarse = specification.settings.parametric.model_copy(update={"starts": "coarse"})
    settings = specification.settings.model_copy(update={"parametric": coarse})
    fitted = fit(observations, specification.approach, settings, threads=1)
    return fitted, fitted.refit(resample(fitted, bootstrap))


def _row(
    fitted: Fit, refits: Refits, bootstrap: BootstrapSettings, budget: float
) -> dict[str, Any]:
    """Read off what the table has of one fit."""
    flops = np.array([budget])
    point = derived(fitted.law, fitted.parameters[None], flops)
    draws = derived(fitted.law, refits.parameters, flops)
    a, b, params_opt = (float(point[name][0]) for name in ("a", "b", f"params_opt_{budget!r}"))
    if not np.isfinite([a, b, params_opt]).all():
        return {"refused": "the fit has no optimum: a term of the law has vanished."}
    ends = about(a, percentile_intervals(draws["a"]))
    n_runs, n_points = fitted.n_used
    return {
        "n_runs": n_runs,
        "n_points": n_points,
        "a": a,
        **{
            f"a_{end}{100 * float(level):.0f}": value
            for level, both in ends.items()
            for end, value in zip(("lo", "hi"), both, strict=True)
        },
        "b": b,
        "params_opt": params_opt,
        "draws": bootstrap.draws,
        "draws_refused": int((refits.refusals != "").sum()),
    }
