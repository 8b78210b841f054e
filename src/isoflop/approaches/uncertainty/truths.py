"""Which laws simulated sweeps come from: those of the set that the runs do not reject.

An interval that covers under one law may cover under no other that fits the same runs as well. So
every approach is calibrated under each law that the runs leave possible, the ones that the mixture
takes, each under the approach's own counting and with its own residuals for the noise, whose parts
runs share as they do in the sweep.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from isoflop.approaches.estimators.cost import other_cost
from isoflop.approaches.estimators.registry import fit
from isoflop.approaches.forecasts.weights import unrejected_weights
from isoflop.approaches.uncertainty.simulated_sweeps import SimulatedSweeps
from isoflop.errors import UnderdeterminedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from isoflop.approach import Approach
    from isoflop.approaches.estimators.loss_law import MultistartFit
    from isoflop.approaches.observations import Observations
    from isoflop.approaches.protocol import Fit
    from isoflop.config.approaches import ApproachesSettings


@dataclass(frozen=True, eq=False)
class Truths:
    """The laws that an approach is calibrated under.

    Attributes
    ----------
    sweeps : law to its simulated sweeps, in the order of ``mixture.laws``.
    left_out : the other laws of the set, and why, in words.
    """

    sweeps: Mapping[Approach, SimulatedSweeps]
    left_out: Mapping[Approach, str]


def truths_of(
    observations: Observations,
    settings: ApproachesSettings,
    *,
    made: Sequence[Fit] = (),
    threads: int | None = None,
) -> Truths:
    """Fit every law of the set to a sweep, and keep those that the runs do not reject.

    No prior takes part: what an interval must cover is what the runs leave possible by themselves.

    Parameters
    ----------
    observations : the sweep, under the counting of the approach that is calibrated.
    settings : section ``approaches``; its laws are ``mixture.laws``.
    made : fits to these observations, of which those of laws of the set are not made again.
    threads : blocks of starts solved at a time; no byte of the result depends on it.

    Raises
    ------
    UnderdeterminedError : the sweep determines no law of the set, or what its tokens cost is no
        power of N, so that the optima of all of them would be those of another cost.
    """
    missed = other_cost(observations)
    if missed is not None:
        raise UnderdeterminedError(f"no optimum of a law is known to compare with: {missed.words}")
    alone = settings.without_priors()
    coarse = alone.parametric.model_copy(update={"starts": "coarse"})
    quick = alone.model_copy(update={"parametric": coarse})
    usable: dict[Approach, MultistartFit] = {}
    left_out: dict[Approach, str] = {}
    known = {each.approach: each for each in made} if alone is settings else {}
    for law in settings.mixture.laws:
        try:
            if law in known:
                law_fit = cast("MultistartFit", known[law])
            else:
                # the settings let laws of the set through alone, and these are such fits
                law_fit = cast("MultistartFit", fit(observations, law, quick, threads=threads))
        except UnderdeterminedError as error:
            left_out[law] = str(error)
            continue
        # a floor of zero is a law's own affair; elsewhere a term has vanished
        if hit := [name for name in law_fit.bounds_hit() if name != "E"]:
            left_out[law] = f"{', '.join(hit)} of this law ended at a bound"
        else:
            usable[law] = law_fit
    if not usable:
        reasons = "; ".join(f"{law}: {why}" for law, why in left_out.items())
        raise UnderdeterminedError(f"the sweep determines no law of the set ({reasons})")
    sweeps = {law: usable[law] for law in unrejected(usable)}
    left_out |= {
        law: f"the runs reject its form (p = {law_fit.misfit_p_value:.1g})"
        for law, law_fit in usable.items()
        if law not in sweeps
    }
    return Truths(
        {law: SimulatedSweeps(law_fit, shared=True) for law, law_fit in sweeps.items()}, left_out
    )


def unrejected(laws: Mapping[Approach, MultistartFit]) -> list[Approach]:
    """Name the laws that their runs do not reject, and always the two least rejected."""
    weights = unrejected_weights([law_fit.misfit_p_value for law_fit in laws.values()])
    return [law for law, weight in zip(laws, weights, strict=True) if weight > 0.0]
