"""Laws of the loss in which size and data interact: L = E + F(P, Q), P in N alone and Q in D alone.

Hoffmann's law adds its two terms, so that what more parameters gain does not depend on the data
seen, and the reverse. Kaplan's law does not add them. Here F has one parameter k more than a sum:
the exponent of a power mean, which passes through both papers' laws, or a product term.

One class differentiates all of them. It needs a coupling's first and second derivatives in
E, u = log P, v = log Q and k; those in the exponents follow because u and v are linear in them.
E is a parameter itself, not its logarithm: E = 0, Kaplan's point, is then a place like any other,
and the valley along which E trades against the terms bends less: a resample takes 10 steps, not 22.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Pairs = dict[tuple[int, int], Floats]

E_, U, V, ALPHA, BETA, K = range(6)
"""The full parameters: E, the logs of P and Q at the centre of the data, their exponents, k."""
_VARIABLE: Final = {E_: 0, U: 1, V: 2, ALPHA: 1, BETA: 2, K: 3}
"""Which of E, u, v, k a parameter enters."""
LOG_2: Final = math.log(2.0)


class Coupling(Protocol):
    """How E, P and Q make up the loss."""

    def value(self, floor: Floats, u: Floats, v: Floats, k: Floats) -> tuple[Floats, list[Floats]]:
        """Evaluate the law.

        Parameters
        ----------
        floor, k : (problems, 1); E is the floor.
        u, v : (problems, points).

        Returns
        -------
        (problems, points) log L, NaN where L is not positive, and what the derivatives can reuse.
        """
        ...

    def first_derivatives(self, state: list[Floats]) -> list[Floats]:
        """Give the first derivatives of ``relative_derivatives`` alone."""
        ...

    def relative_derivatives(self, state: list[Floats]) -> tuple[list[Floats], Pairs]:
        """Differentiate L in E, u, v, k, all over L itself.

        Returns
        -------
        The four first derivatives, and the second ones by their pair of variables (each pair once,
        in order); pairs that vanish are left out.
        """
        ...


class PowerMean:
    """L = E + ((P**(1/k) + Q**(1/k)) / 2)**k: E plus the power mean of P and Q.

    The mean goes from the larger of the two (k near 0) through their arithmetic mean (k = 1) to
    their geometric mean (k large). k is the gamma of L = E + (A N**-alpha + B D**-beta)**gamma; P
    and Q are 2**gamma times its terms to the power gamma, so that their exponents in N and D are
    gamma alpha and gamma beta. Bounds and starts in P and Q mean the same whatever gamma is, while
    A and B range over hundreds of orders of magnitude.

    With w the share of P**(1/k) in the sum and h = log 2 less the entropy of (w, 1 - w), the log of
    the mean has the gradient (w, 1 - w, -h) in u, v, k, and the Hessian w (1 - w) / k times the
    outer product of (1, -1, -t) with t = (u - v) / k.
    """

    def value(self, floor: Floats, u: Floats, v: Floats, k: Floats) -> tuple[Floats, list[Floats]]:
        """Give log L, 1/L, the mean's share of L, w, h, t and k."""
        t = (u - v) / k
        small = np.exp(-np.abs(t))
        surplus = np.log1p(small)
        minor = small / (1.0 + small)
        w = np.where(t >= 0.0, 1.0 - minor, minor)
        mean = np.maximum(u, v) + k * (surplus - LOG_2)
        # the entropy of the shares is log(1 + exp(-|t|)) plus |t| times the smaller one
        h = LOG_2 - surplus - np.abs(t) * minor
        power = np.exp(mean)
        loss = floor + power
        inverse = 1.0 / loss
        return np.log(loss), [inverse, power * inverse, w, h, t, np.broadcast_to(k, t.shape)]

    def first_derivatives(self, state: list[Floats]) -> list[Floats]:
        """Differentiate E plus the mean once; see ``Coupling``."""
        inverse, p, w, h, *_ = state
        pw = p * w
        return [inverse, pw, p - pw, -(p * h)]

    def relative_derivatives(self, state: list[Floats]) -> tuple[list[Floats], Pairs]:
        """Differentiate E plus the mean; see ``Coupling``."""
        inverse, p, w, h, t, k = state
        pw = p * w
        rest = p - pw
        ph = p * h
        bend = pw * (1.0 - w) / k
        bend_t = bend * t
        return [inverse, pw, rest, -ph], {
            (1, 1): pw * w + bend,
            (1, 2): rest * w - bend,
            (1, 3): -ph * w - bend_t,
            (2, 2): rest * (1.0 - w) + bend,
            (2, 3): bend_t - rest * h,
            (3, 3): ph * h + bend_t * t,
        }


class ProductTerm:
    """L = E + P + Q + k P Q; k below zero where each term gains less when the other is large."""

    def value(self, floor: Floats, u: Floats, v: Floats, k: Floats) -> tuple[Floats, list[Floats]]:
        """Give log L, 1/L, the shares of L of all of P, of all of Q and of P Q, and k."""
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            p, q = np.exp(u), np.exp(v)
            both = p * q
            loss = floor + p + q + k * both
            inverse = 1.0 / loss
            shares = [(p + k * both) * inverse, (q + k * both) * inverse, both * inverse]
            return np.log(loss), [inverse, *shares, np.broadcast_to(k, both.shape)]

    def first_derivatives(self, state: list[Floats]) -> list[Floats]:
        """Differentiate the sum once; see ``Coupling``."""
        return state[:4]

    def relative_derivatives(self, state: list[Floats]) -> tuple[list[Floats], Pairs]:
        """Differentiate the sum; see ``Coupling``."""
        inverse, p, q, both, k = state
        return [inverse, p, q, both], {
            (1, 1): p,
            (1, 2): k * both,
            (1, 3): both,
            (2, 2): q,
            (2, 3): both,
        }


@dataclass(frozen=True)
class Restriction:
    """Which of the six full parameters are free, which share one free parameter, which are fixed.

    Attributes
    ----------
    columns : (6,) index of the free parameter that each full parameter takes; None where it is
        fixed. Each free parameter occurs, and first in increasing order.
    fixed : (6,) values of the fixed ones; ignored elsewhere.
    """

    columns: tuple[int | None, ...]
    fixed: tuple[float, ...] = (0.0,) * 6

    @classmethod
    def of(
        cls, *, fixed: dict[int, float] | None = None, tied: dict[int, int] | None = None
    ) -> Restriction:
        """Fix some full parameters at a value, and let others share one's free parameter.

        Parameters
        ----------
        fixed : value by full parameter.
        tied : by full parameter, the one whose free parameter it takes.
        """
        fixed, tied = fixed or {}, tied or {}
        columns: dict[int, int | None] = {}
        for i in range(6):
            if i in fixed:
                columns[i] = None
            elif i not in tied:
                columns[i] = sum(1 for at in columns.values() if at is not None)
        columns |= {i: columns[to] for i, to in tied.items()}
        return cls(tuple(columns[i] for i in range(6)), tuple(fixed.get(i, 0.0) for i in range(6)))

    @property
    def size(self) -> int:
        """Number of free parameters."""
        return len(self.places)

    @cached_property
    def places(self) -> tuple[int, ...]:
        """The first full parameter that takes each free one."""
        free = {at for at in self.columns if at is not None}
        return tuple(self.columns.index(at) for at in sorted(free))

    def full(self, theta: Floats) -> Floats:
        """Give all six parameters, (problems, 6), of rows of the free ones."""
        full = np.empty((len(theta), 6))
        for i, at in enumerate(self.columns):
            full[:, i] = self.fixed[i] if at is None else theta[:, at]
        return full

    def free(self, full: Floats) -> Floats:
        """Give the free parameters of rows of all six."""
        return full[:, self.places]

    def bounds(self, lower: Sequence[float], upper: Sequence[float]) -> tuple[Floats, Floats]:
        """Give the bounds of the free parameters: shared ones obey those of all that share them."""
        shares = [[i for i, to in enumerate(self.columns) if to == at] for at in range(self.size)]
        return (
            np.array([max(lower[i] for i in members) for members in shares]),
            np.array([min(upper[i] for i in members) for members in shares]),
        )


@dataclass(frozen=True, eq=False)
class InteractionModel:
    """log L of a law with an interaction, with exact derivatives; a ``solver.Model``.

    Attributes
    ----------
    coupling : the form of the law.
    restriction : its free parameters.
    x : (2, points) logs of N and D, less their centres.
    """

    coupling: Coupling
    restriction: Restriction
    x: Floats

    @property
    def n_parameters(self) -> int:
        """Number of free parameters."""
        return self.restriction.size

    def value(self, theta: Floats) -> tuple[Floats, list[Floats]]:
        """Give log L and the coupling's state."""
        floor, u, v, alpha, beta, k = (column[:, None] for column in self.restriction.full(theta).T)
        return self.coupling.value(floor, u - alpha * self.x[0], v - beta * self.x[1], k)

    def gradient(self, state: list[Floats], slope: Floats) -> Floats:
        """Give the gradient of sum_i rho(log L_i)."""
        first = self.coupling.first_derivatives(state)
        gradient = np.zeros((self.n_parameters, len(slope)))
        pulls = [slope * derivative for derivative in first]
        for i, at, z in self._columns:
            gradient[at] += np.vecdot(pulls[i], z)
        return gradient.T

    def derivatives(
        self, state: list[Floats], slope: Floats, curvature: Floats
    ) -> tuple[Floats, Floats]:
        """Give gradient and Hessian of sum_i rho(log L_i).

        With g and H the derivatives of L over L, the gradient of log L is g and its Hessian
        H - g g'. So the Hessian asked for is sum (curvature - slope) g g' + slope H, its rows and
        columns times what each parameter does to E, u, v and k.
        """
        first, second = self.coupling.relative_derivatives(state)
        n, p = len(slope), self.n_parameters
        gradient, hessian = np.zeros((p, n)), np.zeros((p, p, n))
        pulls = [slope * derivative for derivative in first]
        for i, at, z in self._columns:
            gradient[at] += np.vecdot(pulls[i], z)
        rest = curvature - slope
        for (i, j), products in self._products.items():
            weights = rest * first[i]
            weights *= first[j]
            if (i, j) in second:
                weights += slope * second[i, j]
            for at, to, z, is_square in products:
                moment = np.vecdot(weights, z)
                hessian[at, to] += moment
                if not is_square:
                    hessian[to, at] += moment
        return gradient.T, hessian.transpose(2, 0, 1)

    def jacobian(self, theta: Floats) -> Floats:
        """Differentiate log L of one problem, (points, parameters).

        Parameters
        ----------
        theta : (1, parameters).
        """
        first, _ = self.coupling.relative_derivatives(self.value(theta)[1])
        jacobian = np.zeros((self.x.shape[1], self.n_parameters))
        for i, at, z in self._columns:
            jacobian[:, at] += first[i][0] * z
        return jacobian

    @cached_property
    def _columns(self) -> list[tuple[int, int, Floats]]:
        """What the parameters do to E, u, v, k: variable, free parameter, (points,) factor."""
        factor = {ALPHA: -self.x[0], BETA: -self.x[1]}
        ones = np.ones(self.x.shape[1])
        return [
            (_VARIABLE[i], at, factor.get(i, ones))
            for i, at in enumerate(self.restriction.columns)
            if at is not None
        ]

    @cached_property
    def _products(self) -> dict[tuple[int, int], list[tuple[int, int, Floats, bool]]]:
        """The products of two columns by their variables, each pair of columns once.

        Two free parameters, factor, and whether it is a column's own square.
        """
        products: dict[tuple[int, int], list[tuple[int, int, Floats, bool]]] = {}
        columns = self._columns
        for first, (i, at, y) in enumerate(columns):
            for second, (j, to, z) in enumerate(columns[first:], start=first):
                pair = (min(i, j), max(i, j))
                products.setdefault(pair, []).append((at, to, y * z, first == second))
        return products
