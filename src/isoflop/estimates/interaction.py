"""Laws of the loss in which size and data interact, and the allocations that they make optimal.

L = E + (A N**-alpha + B D**-beta)**gamma, its special cases, and L with a product term in gamma's
place. All are written in rows of terms (rows, 6): E, log A, log B, alpha, beta and k, which is
gamma, or the coefficient of the product of both terms. A and B are kept as logarithms: where gamma
is small they range over hundreds of orders of magnitude.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from isoflop.estimates.power_frontier import Asked

    Floats = NDArray[np.float64]

REACH: Final = 100.0
"""How far from the optimum without a product term the one with it is sought [log parameter]."""
STEPS: Final = 200
"""Most steps of that search: as many halvings as leave nothing between two numbers, and more."""
SETTLED: Final = 1e-10
"""Step below which it has ended [log parameter]: the next would be of its square's order."""


@dataclass(frozen=True)
class Form:
    """One law of the family.

    Attributes
    ----------
    name : its key.
    names : its parameters as they are reported.
    is_product : whether the terms interact by a product instead of a power.
    gamma : the power, where it is no parameter.
    """

    name: str
    names: tuple[str, ...]
    is_product: bool = False
    gamma: float = 1.0

    def reported(self, terms: Floats) -> Floats:
        """Give the parameters under their names, (rows, names), of rows of terms."""
        e, log_a, log_b, alpha, beta, k = terms.T
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            values = {
                "E": e,
                "A": np.exp(log_a),
                "B": np.exp(log_b),
                "alpha": alpha,
                "beta": beta,
                "gamma": k,
                "G": k * np.exp(log_a + log_b),
                "N_c": np.exp(log_a / alpha),
                "D_c": np.exp(log_b),
                "alpha_N": alpha * k,
                "alpha_D": k,
            }
        return np.stack([values[name] for name in self.names], axis=-1)

    def terms(self, parameters: Floats) -> Floats:
        """Give rows of terms of rows of reported parameters."""
        theta = dict(zip(self.names, parameters.T, strict=True))
        zero, ones = np.zeros(len(parameters)), np.ones(len(parameters))
        with np.errstate(invalid="ignore", divide="ignore"):
            if "N_c" in theta:
                alpha = theta["alpha_N"] / theta["alpha_D"]
                log_a, log_b = alpha * np.log(theta["N_c"]), np.log(theta["D_c"])
                return np.stack([zero, log_a, log_b, alpha, ones, theta["alpha_D"]], axis=-1)
            log_a, log_b = np.log(theta["A"]), np.log(theta["B"])
            k = theta.get("gamma", self.gamma * ones)
            if self.is_product:
                k = theta.get("G", zero) * np.exp(-log_a - log_b)
            e = theta.get("E", zero)
            return np.stack([e, log_a, log_b, theta["alpha"], theta["beta"], k], axis=-1)

    def log_loss(self, terms: Floats, log_n: Floats, log_d: Floats) -> Floats:
        """Give log L(N, D), (rows, points).

        Parameters
        ----------
        terms : (rows, 6).
        log_n, log_d : (points,), or (rows, points).
        """
        e, log_a, log_b, alpha, beta, k = (column[:, None] for column in terms.T)
        u, v = log_a - alpha * log_n, log_b - beta * log_d
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            if self.is_product:
                return np.asarray(np.log(e + np.exp(u) + np.exp(v) + k * np.exp(u + v)))
            return np.asarray(np.logaddexp(np.log(e), k * np.logaddexp(u, v)))

    def log_params_opt(
        self, terms: Floats, flops: Floats, *, coefficient: float, exponent: float
    ) -> Floats:
        """Give log N_opt at C = coefficient N**exponent D, (rows, budgets); NaN where none exists.

        L rises with A N**-alpha + B D**-beta whatever gamma is, so this sum is what is minimised,
        and N_opt**(alpha + m beta) = alpha A / (m beta B) (C / k)**beta is Hoffmann's own.

        With a product term kappa P Q, the minimum has alpha P (1 + kappa Q) equal to
        m beta Q (1 + kappa P).
        Divided by P Q, its left side falls with N and its right side rises, as long as the loss
        falls in both N and D; so the root is found by Newton's method on the difference of their
        logarithms, halving what is left of the bracket where a step would leave it.

        Parameters
        ----------
        terms : (rows, 6).
        flops : (budgets,) C [FLOP].
        coefficient, exponent : of C / D in N; 6 and 1 under C = 6ND.

        References
        ----------
        Hoffmann et al. 2022, equation 4, for kappa = 0.
        """
        _, log_a, log_b, alpha, beta, kappa = (column[:, None] for column in terms.T)
        m = exponent
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            budget = np.log(flops / coefficient)
            log_ratio = np.log(alpha / (m * beta)) + log_a - log_b
            log_n = (log_ratio + beta * budget) / (alpha + m * beta)
            if not self.is_product:
                return np.asarray(log_n)
            low, high = log_n - REACH, log_n + REACH
            # the loss falls with D where 1 + kappa P > 0, and with N where 1 + kappa Q > 0
            edge = np.log(np.where(kappa < 0.0, -kappa, 0.0))
            low = np.maximum(low, np.where(kappa < 0.0, (log_a + edge) / alpha, -np.inf))
            limit = (budget - (log_b + edge) / beta) / m
            high = np.minimum(high, np.where(kappa < 0.0, limit, np.inf))
            start = np.where((low < log_n) & (log_n < high), log_n, 0.5 * (low + high))
            return _where_even(
                low, high, start,
                log_q=beta * budget - log_b, fall=m * beta, log_a=log_a, rise=alpha, kappa=kappa,
            )  # fmt: skip

    def log_optimum_with(
        self, terms: Floats, asked: Asked, values: Floats, *, exponent: float
    ) -> tuple[Floats, Floats] | None:
        """Give log N and log D of a product law's optimum that meets a target, (rows, values) each.

        Where alpha P (1 + kappa Q) = m beta Q (1 + kappa P), each of both terms follows from the
        other, and P from their sum with the product, by a quadratic equation.

        Parameters
        ----------
        terms : (rows, 6).
        asked : which quantity is given.
        values : (values,) what it is.
        exponent : m, of C / D in N.

        Returns
        -------
        NaN where no optimum meets it. None for D / N, which has no such form.
        """
        e, log_a, log_b, alpha, beta, kappa = (column[:, None] for column in terms.T)
        fall = exponent * beta
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            if asked == "params":
                p = np.exp(log_a - alpha * np.log(values))
                q = alpha * p / (fall + (fall - alpha) * kappa * p)
            elif asked == "tokens":
                q = np.exp(log_b - beta * np.log(values))
                p = fall * q / (alpha + (alpha - fall) * kappa * q)
            elif asked == "loss":
                excess = values - e
                middle = fall + alpha - excess * (fall - alpha) * kappa
                root = np.sqrt(middle**2 + 4.0 * fall**2 * kappa * excess)
                # of both forms of the root, the one in which nothing cancels
                p = np.where(
                    middle >= 0.0,
                    2.0 * excess * fall / (middle + root),
                    (root - middle) / (2.0 * fall * kappa),
                )
                q = alpha * p / (fall + (fall - alpha) * kappa * p)
            else:
                return None
            # beyond, the loss rises with N or D
            there = (1.0 + kappa * p > 0.0) & (1.0 + kappa * q > 0.0)
            p, q = np.where(there, p, np.nan), np.where(there, q, np.nan)
            return (log_a - np.log(p)) / alpha, (log_b - np.log(q)) / beta

    def log_least_flops(self, terms: Floats, *, coefficient: float, exponent: float) -> Floats:
        """Give log of the C above which an optimum exists, (rows,); -inf where every C has one.

        With a negative product term the loss falls with D where 1 + kappa P > 0, and with N where
        1 + kappa Q > 0; this C has the least N and the least D of both.
        """
        _, log_a, log_b, alpha, beta, kappa = terms.T
        if not self.is_product:
            return np.full(len(terms), -np.inf)
        with np.errstate(invalid="ignore", divide="ignore"):
            edge = np.log(-np.minimum(kappa, 0.0))
            least = (log_a + edge) / alpha, (log_b + edge) / beta
        return np.asarray(np.log(coefficient) + exponent * least[0] + least[1])

    def frontier_slope(
        self, terms: Floats, flops: float, *, coefficient: float, exponent: float
    ) -> Floats:
        """Give d log N_opt / d log C at one budget, (rows,): a, where the frontier is a power law.

        With a product term it is not one, and its slope depends on C.
        """
        _, log_a, log_b, alpha, beta, kappa = terms.T
        m = exponent
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            if not self.is_product:
                return np.asarray(beta / (alpha + m * beta))
            log_n = self.log_params_opt(
                terms, np.array([flops]), coefficient=coefficient, exponent=m
            )[:, 0]
            p = np.exp(log_a - alpha * log_n)
            q = np.exp(log_b - beta * (np.log(flops / coefficient) - m * log_n))
            slope_n, other = alpha / (1.0 + kappa * p), beta / (1.0 + kappa * q)
            return np.asarray(other / (slope_n + m * other))


def _where_even(
    low: Floats,
    high: Floats,
    start: Floats,
    *,
    log_q: Floats,
    fall: Floats,
    log_a: Floats,
    rise: Floats,
    kappa: Floats,
) -> Floats:
    """Find the log N between low and high at which both sides of a product law's minimum agree.

    They are fall (P**-1 + kappa) and rise (Q**-1 + kappa), with log P = log_a - rise log N and
    log Q = fall log N - log_q. Each root is sought on its own, so that none depends on what else is
    asked for; all arrays broadcast to (rows, budgets).

    Returns
    -------
    (rows, budgets); NaN where low is not below high.
    """
    roots = np.full(np.broadcast_shapes(low.shape, high.shape, start.shape), np.nan)
    sought = np.flatnonzero(low < high)
    low, high, at, log_q, fall, log_a, rise, kappa = (
        np.broadcast_to(array, roots.shape).ravel()[sought]
        for array in (low, high, start, log_q, fall, log_a, rise, kappa)
    )
    offset = np.log(rise) - np.log(fall)
    for _ in range(STEPS):
        falling, rising = np.exp(log_q - fall * at), np.exp(rise * at - log_a)
        left, right = falling + kappa, rising + kappa
        excess = np.log(left / right) + offset
        below = excess > 0.0
        low, high = np.where(below, at, low), np.where(below, high, at)
        onward = at + excess / (fall * falling / left + rise * rising / right)
        halved = ~((low <= onward) & (onward <= high))
        onward[halved] = 0.5 * (low + high)[halved]
        moving = np.flatnonzero(np.abs(onward - at) > SETTLED)
        roots.ravel()[sought] = onward
        if len(moving) == 0:
            break
        sought = sought[moving]
        low, high, at, log_q, fall, log_a, rise, kappa, offset = (
            array[moving] for array in (low, high, onward, log_q, fall, log_a, rise, kappa, offset)
        )
    return roots


NESTED: Final = Form("nested", ("E", "A", "B", "alpha", "beta", "gamma"))
HOFFMANN: Final = Form("hoffmann", ("E", "A", "B", "alpha", "beta"))
ROOT: Final = Form("root", HOFFMANN.names, gamma=0.5)
NO_FLOOR: Final = Form("no_floor", ("A", "B", "alpha", "beta", "gamma"))
KAPLAN: Final = Form("kaplan_law", ("N_c", "alpha_N", "D_c", "alpha_D"))
PRODUCT: Final = Form("product", ("E", "A", "B", "alpha", "beta", "G"), is_product=True)
NO_PRODUCT: Final = Form("hoffmann", HOFFMANN.names, is_product=True)
"""Hoffmann's law as the product law's special case."""
