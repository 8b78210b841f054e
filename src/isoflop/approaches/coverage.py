"""Do intervals hold the truth as often as they say? Simulated sweeps of a known law tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from isoflop.approaches.fit_approach import fit
from isoflop.approaches.intervals import intervals
from isoflop.approaches.observations import observe
from isoflop.approaches.parametric import fit_parametric
from isoflop.approaches.quantities import evidence, quantities
from isoflop.approaches.resampling import resample
from isoflop.approaches.simulate import Design, simulate
from isoflop.config import ApproachesSettings, CountingSettings, KaplanSettings
from isoflop.errors import UnderdeterminedError
from isoflop.laws import ChinchillaLaw

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from isoflop.approaches.observations import Observations
    from isoflop.estimates import Approach

    Floats = NDArray[np.float64]

DECADES: Final = {"in range": 0.0, "1 decade beyond": 1.0, "2 decades beyond": 2.0}
"""Where optima are judged: decades above the largest C of the sweep."""
POINTS: Final = 25
"""Points per simulated curve."""
SCHEMA: Final = {
    "approach": pl.String,
    "scheme": pl.String,
    "interval": pl.String,
    "quantity": pl.String,
    "where": pl.String,
    "level": pl.Float64,
    "simulations": pl.Int64,
    "refused": pl.Int64,
    "coverage": pl.Float64,
    "median_width": pl.Float64,
    "bias": pl.Float64,
}


def check_coverage(
    losses: pl.DataFrame | Observations,
    settings: ApproachesSettings,
    *,
    approaches: Sequence[Approach],
    schemes: Sequence[str],
    kinds: Sequence[str],
    simulations: int,
    penalty: float = 0.0,
    threads: int | None = None,
) -> pl.DataFrame:
    """Count how often intervals hold the truth on sweeps like a given one.

    The truth is the parametric law fitted to the sweep; each simulated sweep has the sweep's runs,
    and its noise (robust sd of the log residuals, one error a run).

    Parameters
    ----------
    losses : table ``Losses`` of the sweep whose design and noise are simulated.
    settings : section ``approaches``; its bootstrap's scheme and interval are varied.
    approaches, schemes, kinds : what to check; combinations that do not exist are left out.
    simulations : simulated sweeps per scheme.
    penalty : nats that the start of a schedule lies above the law; see ``simulate``.
    threads : blocks refitted at a time.

    Returns
    -------
    One row per approach, scheme, interval kind, quantity (a, b, params_opt), place and level:
    the share of fitted simulations whose interval holds the truth, the interval's median width
    (exponents) or ratio of ends (params_opt), and the median error of the estimate, likewise.
    """
    observations = observe(losses, settings.counting)
    law, noise = _truth(observations, settings, threads)
    design = Design(
        observations.run_params,
        _last_tokens(observations),
        observations.run_budget,
        points=POINTS,
    )
    top = float((6.0 * design.params * design.tokens).max())
    rows = []
    for approach in approaches:
        for scheme in schemes:
            if scheme in {"residual", "wild"} and approach in {"envelope", "kaplan"}:
                continue
            hits: dict[tuple[str, ...], list[tuple[float, float, float, float]]] = {}
            refused = 0
            for i in range(simulations):
                rng = np.random.default_rng([settings.bootstrap.seed, i])
                sweep = simulate(law, design, noise=noise, rng=rng, penalty=penalty)
                own = _own(settings, scheme, i)
                try:
                    found = list(
                        _judged(
                            sweep, approach, own, kinds=kinds, law=law, top=top, threads=threads
                        )
                    )
                except UnderdeterminedError:
                    refused += 1
                    continue
                for key, outcome in found:
                    hits.setdefault(key, []).append(outcome)
            rows += [
                _row(approach, scheme, key, outcomes, refused) for key, outcomes in hits.items()
            ]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def _truth(
    observations: Observations, settings: ApproachesSettings, threads: int | None
) -> tuple[ChinchillaLaw, float]:
    """Give the law fitted to the sweep, and the robust sd of its residuals."""
    fitted = fit_parametric(observations, settings.parametric, settings.counting, threads=threads)
    law = ChinchillaLaw(*map(float, fitted.parameters))
    return law, float(1.4826 * np.median(np.abs(fitted.residuals)))


def _last_tokens(observations: Observations) -> Floats:
    tokens = np.zeros(observations.n_runs)
    np.maximum.at(tokens, observations.run, observations.tokens)
    return tokens


def _own(settings: ApproachesSettings, scheme: str, i: int) -> ApproachesSettings:
    """Give a simulation its own seed; simulated sweeps count N and C plainly, and start near."""
    plain = CountingSettings()
    bootstrap = settings.bootstrap.model_copy(
        update={"scheme": scheme, "seed": settings.bootstrap.seed + 1 + i}
    )
    return settings.model_copy(
        update={
            "bootstrap": bootstrap,
            "counting": plain,
            "kaplan": KaplanSettings(counting=plain),
            "parametric": settings.parametric.model_copy(update={"starts": "coarse"}),
        }
    )


def _judged(
    sweep: Observations,
    approach: Approach,
    settings: ApproachesSettings,
    *,
    kinds: Sequence[str],
    law: ChinchillaLaw,
    top: float,
    threads: int | None,
) -> Iterator[tuple[tuple[str, ...], tuple[float, float, float, float]]]:
    """Fit one simulated sweep, and give (low, high, estimate, truth) for each cell."""
    fitted = fit(sweep, approach, settings, threads=threads)
    flops = top * 10.0 ** np.array(list(DECADES.values()))
    truth = {("a", "", "a"): law.a, ("b", "", "b"): law.b}
    for where, c in zip(DECADES, flops, strict=True):
        truth["params_opt", where, f"params_opt_{float(c)!r}"] = float(law.params_opt(c))
    resamples = resample(fitted, settings.bootstrap)
    draws = quantities(fitted, fitted.refit(resamples).parameters, flops)
    for kind in kinds:
        own = settings.bootstrap.model_copy(update={"interval": kind})
        gathered = evidence(fitted, resamples, draws, flops, own)
        for (quantity, where, name), true in truth.items():
            found = intervals(gathered[name], own)
            for level, (low, high) in found.items():
                key = (kind, quantity, where, level)
                yield key, (low, high, gathered[name].value, true)


def _row(
    approach: str,
    scheme: str,
    key: tuple[str, ...],
    outcomes: list[tuple[float, float, float, float]],
    refused: int,
) -> tuple[object, ...]:
    kind, quantity, where, level = key
    low, high, value, true = np.array(outcomes).T
    held = float(np.mean((low <= true) & (true <= high)))
    if quantity == "params_opt":
        width, bias = np.median(high / low), np.median(value / true)
    else:
        width, bias = np.median(high - low), np.median(value - true)
    return (
        approach,
        scheme,
        kind,
        quantity,
        where,
        float(level),
        len(outcomes) + refused,
        refused,
        held,
        float(width),
        float(bias),
    )
