"""The allocation that is cheapest to train and to serve, at the loss of the compute-optimal one.

Training costs C = k N**m D, serving T tokens 2NT. At one loss a smaller model needs more training
tokens and is cheaper to serve (Sardana et al. 2024, arXiv 2401.00448, equation 2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from isoflop.config.reading import Section
from isoflop.estimates.allocation import optima_at, trust, without_doubtful_ends
from isoflop.estimates.laws import HoffmannLaw, InteractionLaw
from isoflop.estimates.levels import widest
from isoflop.estimates.mixture import MedianFrontier, Mixture, Part
from isoflop.estimates.quantities import Quantity, at_levels
from isoflop.estimates.targets import columns_at
from isoflop.numbers import decades_beyond, distance

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import NDArray

    from isoflop.estimates.draws import Draws
    from isoflop.estimates.estimate import Estimate, Optimum
    from isoflop.estimates.laws import FlopsPerToken, LawOfLoss
    from isoflop.estimates.levels import Levels
    from isoflop.estimates.targets import Target

    Floats = NDArray[np.float64]

FLOPS_PER_SERVED_TOKEN: Final = 2.0
"""Per parameter: a forward pass (Kaplan et al. 2020, section 2.1)."""
HALVINGS: Final = 60


class ServedAllocation(Section):
    """The cheapest N and D for a loss and a number of tokens served."""

    params: Quantity
    tokens: Quantity
    tokens_per_param: Quantity
    training_flops: Quantity
    """k N**m D [FLOP]."""
    total_flops: Quantity
    """Training and serving [FLOP]."""
    saved: Quantity
    """Share of the total that it saves against training and serving the compute-optimal model."""
    decades_beyond_data: float | None = None
    """Of what it trains, or of the training whose loss it has, whichever lies farther from the
    data; None for a published law, whose data are not at hand."""
    distance: str | None = None
    """The same in words."""

    @property
    def reach(self) -> str | None:
        """How far it is to be trusted; see ``trust``."""
        if self.decades_beyond_data is None:
            return None
        return trust(self.decades_beyond_data, self.params, self.tokens)


def served_columns(
    law: LawOfLoss, rows: Floats, flops: Floats, served: float
) -> dict[str, Floats] | None:
    """Give the cheapest allocation at the loss that each row's optimum has at its compute.

    Parameters
    ----------
    law : the law that the parameters belong to.
    rows : (rows, parameters).
    flops : (rows,) C of the compute-optimal allocation whose loss is wanted [FLOP].
    served : tokens served over the model's life.

    Returns
    -------
    By the names of ``ServedAllocation``, (rows,) each. None where the law has no L(N, D), or one
    in which size and data do not enter as two powers and their product.
    """
    curve = _Curve.through(law, rows, flops)
    cost = law.flops_per_token
    if curve is None or cost is None:
        return None
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        # from the size at which no data suffices, to the optimum without serving
        low, high = (curve.log_a - np.log(curve.total)) / curve.alpha, np.log(curve.optimal_params)
        for _ in range(HALVINGS):
            log_n = 0.5 * (low + high)
            above = curve.gain_of_size(log_n, cost, served) > 0.0
            low, high = np.where(above, log_n, low), np.where(above, high, log_n)
        log_n = 0.5 * (low + high)
        log_d = curve.log_tokens(log_n)
        params, tokens = np.exp(log_n), np.exp(log_d)
        training = np.exp(cost.log_flops(log_n, log_d))
        everything = training + FLOPS_PER_SERVED_TOKEN * params * served
        plain = flops + FLOPS_PER_SERVED_TOKEN * curve.optimal_params * served
        return {
            "params": params,
            "tokens": tokens,
            "tokens_per_param": tokens / params,
            "training_flops": training,
            "total_flops": everything,
            "saved": 1.0 - everything / plain,
        }


@dataclass(frozen=True, eq=False)
class _Curve:
    """Allocations of equal loss, a curve for every row: those of equal P + Q + kappa P Q.

    P = A N**-alpha and Q = B D**-beta; kappa is 0 but in the law with a product term.

    Attributes
    ----------
    log_a, log_b, alpha, beta, kappa : the law's, (rows,) each.
    total : the sum that stays, (rows,).
    optimal_params : N of the compute-optimal allocation on the curve, (rows,).
    """

    log_a: Floats
    log_b: Floats
    alpha: Floats
    beta: Floats
    kappa: Floats
    total: Floats
    optimal_params: Floats

    @classmethod
    def through(cls, law: LawOfLoss, rows: Floats, flops: Floats) -> Self | None:
        """Take the curve through each row's optimum at its compute; None where L is no such law."""
        if isinstance(law, HoffmannLaw):
            _, a, b, alpha, beta = rows.T
            with np.errstate(invalid="ignore", divide="ignore"):
                log_a, log_b = np.log(a), np.log(b)
            kappa = np.zeros(len(rows))
        elif isinstance(law, InteractionLaw):
            _, log_a, log_b, alpha, beta, k = law.form.terms(rows).T
            kappa = k if law.form.is_product else np.zeros(len(rows))
        else:
            return None
        optima = law.optima(rows, flops[:, None])
        params, tokens = optima.params[:, 0], optima.tokens[:, 0]
        size = np.exp(log_a - alpha * np.log(params))
        data = np.exp(log_b - beta * np.log(tokens))
        total = size + data + kappa * size * data
        return cls(log_a, log_b, alpha, beta, kappa, total, params)

    def log_tokens(self, log_n: Floats) -> Floats:
        """Give log D at log N."""
        return np.asarray((self.log_b - np.log(self._data_term(log_n))) / self.beta)

    def _data_term(self, log_n: Floats) -> Floats:
        p = np.exp(self.log_a - self.alpha * log_n)
        return np.asarray((self.total - p) / (1.0 + self.kappa * p))

    def gain_of_size(self, log_n: Floats, cost: FlopsPerToken, served: float) -> Floats:
        """Give what a larger model saves in training tokens, less what it costs; positive: grow.

        At the cheapest allocation alpha P (1 + kappa Q) / (beta Q (1 + kappa P)) = m + 2NT /
        (k N**m D); the left side falls with N along the curve, and the right side rises.
        """
        p, q = np.exp(self.log_a - self.alpha * log_n), self._data_term(log_n)
        log_training = cost.log_flops(log_n, self.log_tokens(log_n))
        serving = np.exp(np.log(FLOPS_PER_SERVED_TOKEN * served) + log_n - log_training)
        saved = self.alpha * (1.0 / q + self.kappa) / (self.beta * (1.0 / p + self.kappa))
        return np.asarray(saved - cost.exponent - serving)


def served_levels(optimum: Optimum) -> Levels:
    """Say where intervals of what serving changes end among the draws; empty: percentiles.

    What is cheapest to serve follows from the law's N and from its loss at the compute, so every
    end lies as far out as the farthest of theirs there.

    Parameters
    ----------
    optimum : of the same answer at the same compute, without serving.
    """
    known = [
        quantity.levels
        for quantity in (optimum.params, optimum.loss)
        if quantity is not None and quantity.levels
    ]
    return widest(known) if known else {}


def allocate_served(
    estimate: Estimate | Mixture, draws: Draws, target: Target, served: float
) -> ServedAllocation | None:
    """Give one answer's cheapest allocation at the loss of its optimum that meets a target.

    Every draw is taken at the compute where its own optimum meets the target, since that is what a
    target other than a compute leaves open. The mixture's numbers are medians of its draws.

    Parameters
    ----------
    estimate, draws : an approach's estimate, or the mixture, and its table of draws.
    target : what the compute-optimal allocation has, whose loss is wanted.
    served : tokens served over the model's life.

    Returns
    -------
    None where the law says nothing of other allocations than the optimal one, or no compute meets
    the target.
    """
    parts = _parts_of(estimate, draws)
    columns = [_served_at(part.law, part.rows, target, served) for part in parts]
    known = [column for column in columns if column is not None]
    frontier, row = (
        (MedianFrontier(parts), np.empty((1, 0)))
        if isinstance(estimate, Mixture)
        else (estimate.law, estimate.row)
    )
    flops = float(columns_at(frontier, row, target)["flops"][0])
    if len(known) < len(columns) or not np.isfinite(flops):
        return None
    drawn = {name: np.concatenate([column[name] for column in known]) for name in known[0]}
    finite = np.isfinite(drawn["training_flops"])
    point = (
        None
        if isinstance(estimate, Mixture)
        else _served_at(estimate.law, estimate.row, target, served)
    )
    if point is None and not finite.any():
        return None
    unanswered = float(np.mean(~finite)) if finite.size else 0.0
    optima = optima_at(estimate, draws, [flops], summarised=False)
    levels = served_levels(optima[0]) if optima else {}
    quantities = {
        name: without_doubtful_ends(
            at_levels(
                float(np.nanmedian(values) if point is None else point[name][0]), values, levels
            ),
            unanswered,
        )
        for name, values in drawn.items()
    }
    farther = max(
        flops,
        quantities["training_flops"].value,
        key=lambda c: decades_beyond(c, estimate.flops_range),
    )
    return ServedAllocation(
        **quantities,
        decades_beyond_data=decades_beyond(farther, estimate.flops_range),
        distance=distance(farther, estimate.flops_range, blank=" "),
    )


def _parts_of(estimate: Estimate | Mixture, draws: Draws) -> list[Part]:
    """Give the laws of an answer with their draws, those that were refused left out."""
    if isinstance(estimate, Mixture):
        return estimate.parts(draws)
    rows = estimate.rows(draws)
    fitted = rows[np.isfinite(rows).all(axis=1)]
    return [Part(estimate.approach, estimate.law, estimate.row, fitted)]


def _served_at(
    law: LawOfLoss, rows: Floats, target: Target, served: float
) -> dict[str, Floats] | None:
    """Give ``served_columns`` of every row at its own compute."""
    return served_columns(law, rows, columns_at(law, rows, target)["flops"], served)
