"""Laws that are sums of power laws: log L = log sum_k exp(u_k), each u_k linear in parameters.

A constant may be a parameter itself in place of its log. E = 0 is then a place like any other; in
log E an optimum there lies infinitely far down a bent valley, and hundreds of steps end nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, reduce
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Term:
    """exp(theta[coefficient] - theta[exponent] * x): a power law of exp(x), or a constant.

    Attributes
    ----------
    coefficient : index of its log.
    exponent : index of the exponent; None for a constant.
    covariate : index of the row of x.
    is_linear : whether a constant's parameter is the constant, not its log.
    """

    coefficient: int
    exponent: int | None = None
    covariate: int = 0
    is_linear: bool = False

    def __post_init__(self) -> None:
        if self.is_linear and self.exponent is not None:
            raise ValueError("only a constant can be linear: a power law's coefficient is a log")


@dataclass(frozen=True, eq=False)
class SumOfPowers:
    """log of a sum of power laws, with exact derivatives; a ``solver.Model``.

    Attributes
    ----------
    terms : the power laws; they may share exponents (tied alpha and beta).
    x : (covariates, points) logs of N, D, ..., best centred.
    n_parameters : length of theta.

    References
    ----------
    Hoffmann et al. 2022, equation 3, for three terms in N, D and a constant.
    """

    terms: tuple[Term, ...]
    x: Floats
    n_parameters: int

    def value(self, theta: Floats) -> tuple[Floats, list[Floats]]:
        """Give log L, and for the derivatives each term's in its coefficient, over L."""
        values = [self._term(term, theta) for term in self.terms]
        total = reduce(np.add, values)
        inverse = 1.0 / total
        shares = [
            inverse if term.is_linear else value * inverse
            for term, value in zip(self.terms, values, strict=True)
        ]
        return np.log(total), shares

    def _term(self, term: Term, theta: Floats) -> Floats:
        """Evaluate one power law, (problems, points); (problems, 1) for a constant."""
        power: Floats = theta[:, term.coefficient, None]
        if term.is_linear:
            return power
        if term.exponent is not None:
            power = power - theta[:, term.exponent, None] * self.x[term.covariate]
        return np.asarray(np.exp(power))

    def gradient(self, state: list[Floats], slope: Floats) -> Floats:
        """Give the gradient of sum_i rho(log L_i)."""
        gradient = np.zeros((self.n_parameters, len(slope)))
        for share, columns in zip(state, self._columns, strict=True):
            pull = slope * share
            for i, z in columns:
                gradient[i] += np.vecdot(pull, z)
        return gradient.T

    def derivatives(
        self, state: list[Floats], slope: Floats, curvature: Floats
    ) -> tuple[Floats, Floats]:
        """Give gradient and Hessian of sum_i rho(log L_i).

        With p_k the shares and z_k the gradient of u_k, the gradient of log L is J = sum_k p_k z_k
        and its Hessian sum_k p_k z_k z_k' - J J'. So the Hessian asked for is
        sum_kl Z_k' diag((curvature - slope) p_k p_l + [k = l] slope p_k) Z_l. Of a linear constant
        1/L takes the place of p_k, and there is no second term.
        """
        n, p = len(slope), self.n_parameters
        gradient, hessian = np.zeros((p, n)), np.zeros((p, p, n))
        rest = curvature - slope
        pull, scaled, product = (np.empty_like(slope) for _ in range(3))
        for k, share in enumerate(state):
            np.multiply(slope, share, out=pull)
            for i, z in self._columns[k]:
                gradient[i] += np.vecdot(pull, z)
            np.multiply(rest, share, out=scaled)
            for other in range(k, len(state)):
                np.multiply(scaled, state[other], out=product)
                if other == k and not self.terms[k].is_linear:
                    product += pull
                for i, j, z in self._pairs[k, other]:
                    moment = np.vecdot(product, z)
                    hessian[i, j] += moment
                    if k != other or i != j:
                        hessian[j, i] += moment
        return gradient.T, hessian.transpose(2, 0, 1)

    def jacobian(self, theta: Floats) -> Floats:
        """Differentiate log L of one problem, (points, parameters).

        Parameters
        ----------
        theta : (1, parameters).
        """
        _, shares = self.value(theta)
        jacobian = np.zeros((self.x.shape[1], self.n_parameters))
        for share, columns in zip(shares, self._columns, strict=True):
            for i, z in columns:
                jacobian[:, i] += share[0] * z
        return jacobian

    @cached_property
    def _columns(self) -> list[list[tuple[int, Floats]]]:
        """The columns of Z_k that are not zero, (points,) each, by parameter."""
        ones = np.ones(self.x.shape[1])
        return [
            [(term.coefficient, ones)]
            + ([] if term.exponent is None else [(term.exponent, -self.x[term.covariate])])
            for term in self.terms
        ]

    @cached_property
    def _pairs(self) -> dict[tuple[int, int], list[tuple[int, int, Floats]]]:
        """The products of columns of Z_k and Z_l for k <= l, each pair of columns once."""
        columns = self._columns
        return {
            (k, m): [
                (i, j, y * z)
                for at, (i, y) in enumerate(columns[k])
                for j, z in columns[m][at if k == m else 0 :]
            ]
            for k in range(len(columns))
            for m in range(k, len(columns))
        }
