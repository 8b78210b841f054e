"""Compute-optimal allocations with intervals, from an estimate and its kept draws.

Whatever is asked, C or a loss or N or D or D/N, is answered here and nowhere else.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from isoflop.config.reading import Section
from isoflop.estimates.estimate import (
    OPTIMUM_NAMES,
    Calibration,
    Estimate,
    Optimum,
    optima_of,
)
from isoflop.estimates.intervals import LEVELS, OPEN
from isoflop.estimates.mixture import MedianFrontier, Mixture, optima_of_mixture
from isoflop.estimates.quantities import (
    Quantity,
    Sample,
    Simulations,
    at_levels,
    calibrated,
    describe,
    placed_in,
)
from isoflop.estimates.targets import columns_along, least_flops, lowest_losses
from isoflop.numbers import PLAIN, count, decades_beyond, distance, is_within, per_cent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from isoflop.approach import Approach
    from isoflop.estimates.draws import Draws
    from isoflop.estimates.power_frontier import Asked
    from isoflop.estimates.targets import Target

    Floats = NDArray[np.float64]

REACH: Final = (
    (1.0, "within reach"),
    (3.0, "with care"),
    (6.0, "order of magnitude"),
    (np.inf, "this sweep does not say"),
)
"""Largest number of decades of C between a budget and the data, to how far an answer is trusted."""
UNKNOWN: Final = REACH[-1][1]
"""What is said beyond the last distance at which an answer is given."""
FARTHEST: Final = REACH[-2][0]
"""That distance, in decades of C."""
BUT: Final = " by distance, but "
OPEN_WORDS: Final = " is open by a factor of "
NEVER_WORDS: Final = " of the draws no compute gives that"
UNDETERMINED: Final = (
    f"These runs do not determine it: within their own data the {per_cent(max(LEVELS))} interval "
    f"of N or D spans more than a factor of {OPEN:g}, or that of {per_cent(min(LEVELS))} has no "
    "end."
)
"""What stands in place of an answer that is open within the data."""


class Allocation(Section):
    """A compute-optimal allocation that meets a target."""

    flops: Quantity
    """C [FLOP]."""
    params: Quantity
    """N_opt, by the estimate's convention."""
    tokens: Quantity
    """D_opt."""
    tokens_per_param: Quantity
    """D_opt / N_opt."""
    loss: Quantity | None
    """Predicted loss [nat/token]; None where the law predicts none."""
    decades_beyond_data: float | None
    """As in ``Optimum``; None for a published law, whose data are not at hand."""
    distance: str | None
    """The same in words, such as "0.7 decades below the data"."""
    unanswered: float
    """Share of the draws in which no C meets the target. Where it is more than a tenth of what a
    level leaves outside, that level has no interval: its ends might lie among them."""

    @classmethod
    def of(
        cls,
        quantities: Mapping[str, Quantity],
        *,
        flops_range: tuple[float, float] | None,
        unanswered: float = 0.0,
    ) -> Allocation:
        """Take the quantities by the names of ``targets.columns_at``; loss may be missing.

        Parameters
        ----------
        flops_range : smallest and largest C that was fitted [FLOP]; None where they are not known.
        """
        flops = quantities["flops"].value
        return cls(
            flops=quantities["flops"],
            params=quantities["params"],
            tokens=quantities["tokens"],
            tokens_per_param=quantities["tokens_per_param"],
            loss=quantities.get("loss"),
            decades_beyond_data=None if flops_range is None else decades_beyond(flops, flops_range),
            distance=None if flops_range is None else distance(flops, flops_range, blank=" "),
            unanswered=unanswered,
        )

    @property
    def reach(self) -> str | None:
        """How far the answer is to be trusted; see ``trust``."""
        if self.decades_beyond_data is None:
            return None
        return trust(self.decades_beyond_data, self.params, self.tokens, unanswered=self.unanswered)

    @property
    def factor(self) -> float:
        """Ratio of the ends of the widest interval of N or D; 1 without any."""
        return factor_of(self.params, self.tokens)

    @property
    def is_determined(self) -> bool:
        """Whether the runs determine it; see ``determines``."""
        if self.decades_beyond_data is None:
            return True
        return determines(
            self.decades_beyond_data, self.params, self.tokens, unanswered=self.unanswered
        )


def determines(
    decades_beyond_data: float, params: Quantity, tokens: Quantity, *, unanswered: float = 0.0
) -> bool:
    """Tell whether runs determine an answer: within the data no interval beside it may be open.

    It is asked at the level that stands beside the number, so that what is shown within the data
    spans no more than is said; whole fits are refused at the narrower one.

    Parameters
    ----------
    decades_beyond_data, params, tokens, unanswered : as of ``trust``.
    """
    if not is_within(decades_beyond_data):
        return True
    return factor_of(params, tokens) <= OPEN and not is_doubtful(unanswered, min(LEVELS))


def reach(decades_beyond_data: float) -> str:
    """Say by rule how far an answer is to be trusted at a distance from the data.

    The distance counts as it is printed, to a tenth: a budget of ten times the largest, which a run
    missed by a hair, is a decade away.
    """
    return next(words for most, words in REACH if round(decades_beyond_data, 1) <= most)


def trust(
    decades_beyond_data: float, params: Quantity, tokens: Quantity, *, unanswered: float = 0.0
) -> str:
    """Say by rule how far an answer is to be trusted: its distance, and whether it is open.

    Parameters
    ----------
    decades_beyond_data : its distance.
    params, tokens : its N and D.
    unanswered : share of the draws in which no compute meets what was asked for.
    """
    words = reach(decades_beyond_data)
    if words == UNKNOWN:
        return words
    if opened := open_words(params, tokens):
        return f"{words}{BUT}{opened}"
    if is_doubtful(unanswered, max(LEVELS)):
        return f"{words}{BUT}in {per_cent(unanswered)}{NEVER_WORDS}"
    return words


def open_words(params: Quantity, tokens: Quantity) -> str:
    """Say that N or D is open, and by how much; empty where neither is."""
    for name, quantity in (("N", params), ("D", tokens)):
        factor = _factor(quantity, str(max(LEVELS)))
        if factor > OPEN:
            return f"{name}{OPEN_WORDS}{count(factor, 2, PLAIN)}"
    return ""


def factor_of(params: Quantity, tokens: Quantity) -> float:
    """Give the ratio of the ends of the widest interval of N or D; 1 where neither has any."""
    return max(_factor(quantity, str(level)) for quantity in (params, tokens) for level in LEVELS)


def _factor(quantity: Quantity, level: str) -> float:
    low, high = quantity.intervals.get(level, (1.0, 1.0))
    return high / low if low > 0.0 else math.inf


def is_doubtful(unanswered: float, level: float) -> bool:
    """Tell whether an interval's ends may lie among the draws that have no answer."""
    return unanswered > 0.1 * (1.0 - level)


def allocate(estimate: Estimate | Mixture, draws: Draws, target: Target) -> Allocation | None:
    """Answer one question from an approach's estimate or the mixture, without fitting anything.

    Parameters
    ----------
    estimate : one approach's estimate, or the mixture.
    draws : its table of draws, simulated sweeps included.
    target : what is given.

    Returns
    -------
    None where no compute meets the target: a loss below the law's floor, or where the law
    predicts none, or a D/N that its frontier never has. The mixture answers along its own
    frontier, the medians of its draws, so that a compute asked by its loss is that compute.
    """
    if target.asked == "flops":
        optima = optima_at(estimate, draws, [target.value])
        return next((_as_allocation(optimum, estimate.flops_range) for optimum in optima), None)
    return allocate_along(estimate, draws, target.asked, [target.value])[0]


def allocate_along(
    estimate: Estimate | Mixture,
    draws: Draws,
    asked: Asked,
    values: Sequence[float],
    *,
    summarised: bool = True,
) -> list[Allocation | None]:
    """Answer a question with several numbers at once, by another quantity than C.

    Parameters
    ----------
    estimate, draws : as of ``allocate``.
    asked : which quantity is given.
    values : what it is.
    summarised : whether each quantity says what was simulated, beside its intervals.

    Returns
    -------
    What ``allocate`` gives, in the order of the values.
    """
    targets = np.asarray(values, dtype=np.float64)
    if isinstance(estimate, Mixture):
        return _along_mixture(estimate, draws, asked, targets)
    point = columns_along(estimate.law, estimate.row, asked, targets)
    rows = estimate.rows(draws)
    drawn = columns_along(estimate.law, rows, asked, targets)
    fitted = np.isfinite(rows).all(axis=1)
    simulated = simulations_of(estimate, draws)
    samples = _samples(estimate, simulated, asked, targets)
    allocations: list[Allocation | None] = []
    for i, target in enumerate(targets.tolist()):
        if not np.isfinite(point["flops"][0, i]):
            allocations.append(None)
            continue
        unanswered = (
            float(np.mean(~np.isfinite(drawn["flops"][fitted, i]))) if fitted.any() else 0.0
        )
        quantities: dict[str, Quantity] = {}
        for name, values_of in point.items():
            value = float(values_of[0, i])
            if not np.isfinite(value):
                continue
            if name == asked:
                quantities[name] = Quantity(value=target)
                continue
            if simulated and name not in samples[i]:  # no law in question reaches the target
                quantities[name] = Quantity(value=value)
                continue
            quantity = calibrated(
                value, drawn[name][:, i], samples[i].get(name, []), summarised=summarised
            )
            quantities[name] = without_doubtful_ends(quantity, unanswered)
        allocations.append(
            Allocation.of(quantities, flops_range=estimate.flops_range, unanswered=unanswered)
        )
    return allocations


def least_flops_of(estimate: Estimate | Mixture, draws: Draws) -> float | None:
    """Give the C below which an answer has no best size [FLOP]; None where it has one at every C.

    Parameters
    ----------
    estimate, draws : as of ``allocate``.
    """
    if isinstance(estimate, Mixture):
        parts = estimate.parts(draws)
        known = [least for part in parts if (least := least_flops(part.law, part.row)) is not None]
        return max(known, default=None)
    return least_flops(estimate.law, estimate.row)


def lowest_loss_of(estimate: Estimate | Mixture, draws: Draws) -> float | None:
    """Give the loss that an answer's optima approach as C grows; None where it predicts no loss.

    Parameters
    ----------
    estimate, draws : as of ``allocate``. The mixture's is the median of its draws', as at every C.
    """
    if not isinstance(estimate, Mixture):
        lowest = lowest_losses(estimate.law, estimate.row)
    elif len(parts := estimate.parts(draws)) == 1:
        lowest = lowest_losses(parts[0].law, parts[0].row)
    else:
        lowest = np.concatenate([lowest_losses(part.law, part.rows) for part in parts])
        lowest = lowest[np.isfinite(lowest)]
    floor = float(np.median(lowest)) if lowest.size else np.nan
    return floor if np.isfinite(floor) else None


def frontier_at(
    estimate: Estimate | Mixture, draws: Draws, flops: Sequence[float]
) -> dict[str, list[float | None]]:
    """Give the estimate's own frontier, without intervals.

    Returns
    -------
    By the names of ``targets.columns_at``, in the order of the budgets; None where it has no such
    number there.
    """
    law, row = (
        (MedianFrontier(estimate.parts(draws)), np.empty((1, 0)))
        if isinstance(estimate, Mixture)
        else (estimate.law, estimate.row)
    )
    columns = columns_along(law, row, "flops", np.asarray(flops, dtype=np.float64))
    return {
        name: [float(value) if np.isfinite(value) else None for value in column[0]]
        for name, column in columns.items()
    }


def _along_mixture(
    mixture: Mixture, draws: Draws, asked: Asked, targets: Floats
) -> list[Allocation | None]:
    parts = mixture.parts(draws)
    point = columns_along(MedianFrontier(parts), np.empty((1, 0)), asked, targets)
    columns = [columns_along(part.law, part.rows, asked, targets) for part in parts]
    drawn = {name: np.concatenate([column[name] for column in columns]) for name in point}
    allocations: list[Allocation | None] = []
    for i, target in enumerate(targets.tolist()):
        flops = float(point["flops"][0, i])
        if not np.isfinite(flops):
            allocations.append(None)
            continue
        unanswered = float(np.mean(~np.isfinite(drawn["flops"][:, i])))
        quantities: dict[str, Quantity] = {}
        for name, values_of in point.items():
            value = float(values_of[0, i])
            if name == asked:
                quantities[name] = Quantity(value=target)
            elif np.isfinite(value):
                levels = mixture.levels.at_target(name, asked, flops)
                quantity = at_levels(value, drawn[name][:, i], levels)
                quantities[name] = without_doubtful_ends(quantity, unanswered)
        allocations.append(
            Allocation.of(quantities, flops_range=mixture.flops_range, unanswered=unanswered)
        )
    return allocations


def _as_allocation(optimum: Optimum, flops_range: tuple[float, float]) -> Allocation:
    quantities = {
        "flops": Quantity(value=optimum.flops),
        "params": optimum.params,
        "tokens": optimum.tokens,
        "tokens_per_param": optimum.tokens_per_param,
    }
    loss = {} if optimum.loss is None else {"loss": optimum.loss}
    return Allocation.of(quantities | loss, flops_range=flops_range)


def without_doubtful_ends(quantity: Quantity, unanswered: float) -> Quantity:
    """Drop the intervals whose ends may lie among the draws without an answer."""
    kept = [str(level) for level in LEVELS if not is_doubtful(unanswered, level)]
    return quantity.model_copy(
        update={
            "intervals": {k: ends for k, ends in quantity.intervals.items() if k in kept},
            "coverage": {k: share for k, share in quantity.coverage.items() if k in kept},
            "levels": {k: tails for k, tails in quantity.levels.items() if k in kept},
        }
    )


def _samples(
    estimate: Estimate, simulations: Sequence[Simulations], asked: Asked, targets: Floats
) -> list[dict[str, list[Sample]]]:
    """Place the truth among each simulated sweep's draws at targets, as ``Simulations`` does.

    Returns
    -------
    For each target, quantity to one sample for each law that was taken for the truth; without those
    laws that have no answer themselves, where there is nothing to cover.
    """
    samples: list[dict[str, list[Sample]]] = [{} for _ in targets]
    for simulated in simulations:
        true = columns_along(simulated.truth.law, simulated.truth.row(), asked, targets)
        n, m, p = simulated.draws.shape
        drawn = columns_along(estimate.law, simulated.draws.reshape(n * m, p), asked, targets)
        points = columns_along(estimate.law, simulated.estimates, asked, targets)
        for name in drawn:
            if name == asked:
                continue
            for i, truth in enumerate(true[name][0].tolist()):
                if not np.isfinite(truth):
                    continue
                values = drawn[name][:, i].reshape(1, n, m)
                placed = placed_in(values, np.array([truth]), logs=True)[0]
                sample = Sample.of(simulated.truth.approach, truth, points[name][:, i], placed)
                if sample is not None:
                    samples[i].setdefault(name, []).append(sample)
    return samples


def optima_at(
    estimate: Estimate | Mixture,
    draws: Draws,
    flops: Sequence[float],
    *,
    summarised: bool = True,
) -> list[Optimum]:
    """Give the allocation at each budget, without fitting anything again.

    Parameters
    ----------
    estimate : one approach's estimate, or the mixture.
    draws : its table of draws, simulated sweeps included.
    flops : budgets C [FLOP].
    summarised : whether each quantity says what was simulated, beside its intervals.

    Returns
    -------
    In the order of the budgets; those at which the law has no optimum are left out.
    """
    if isinstance(estimate, Mixture):
        return optima_of_mixture(estimate, draws, flops)
    budgets = np.asarray(flops, dtype=np.float64)
    # a law's parameters would be calibrated anew, too, and nobody asks for them here
    names = {f"{what}_{c!r}" for what in OPTIMUM_NAMES for c in budgets.tolist()}
    quantities = describe(
        estimate.law,
        estimate.row,
        estimate.rows(draws),
        budgets,
        simulations_of(estimate, draws),
        names=names,
        summarised=summarised,
    )
    return optima_of(quantities, budgets, estimate.flops_range)


def optima_by_approach(
    estimates: Mapping[Approach, Estimate], draws: Mapping[Approach, Draws], flops: float
) -> dict[Approach, Optimum]:
    """Give every approach's allocation at one budget [FLOP], where its runs determine one."""
    return {
        approach: optimum
        for approach, estimate in estimates.items()
        for optimum in determined_at(estimate, draws[approach], flops)
    }


def determined_at(estimate: Estimate | Mixture, draws: Draws, flops: float) -> list[Optimum]:
    """Give the allocation at one budget [FLOP]; none where its runs do not determine it.

    Whatever shows answers at a budget asks this, so that none is shown that `isoflop allocate`
    refuses.
    """
    return [
        optimum
        for optimum in optima_at(estimate, draws, [flops])
        if determines(optimum.decades_beyond_data, optimum.params, optimum.tokens)
    ]


def simulations_of(estimate: Estimate, draws: Draws) -> list[Simulations]:
    """Gather an approach's fits to simulated sweeps from its table of draws, law by law."""
    if not isinstance(estimate.calibration, Calibration) or not estimate.calibration.truths:
        return []
    names = estimate.law.names
    rows = draws.numbers(names)
    from_all_runs = draws.missing("draw")
    gathered = []
    for checked in estimate.calibration.truths:
        simulated = draws.equal("truth", checked.truth.approach)
        estimates = rows[simulated & from_all_runs]
        clean = checked.noiseless
        gathered.append(
            Simulations(
                truth=checked.truth,
                estimates=estimates,
                draws=rows[simulated & ~from_all_runs].reshape(len(estimates), -1, len(names)),
                noiseless=None if clean is None else np.array([[clean[name] for name in names]]),
            )
        )
    return gathered
