"""Laws that are sums of power laws: log L = log sum_k exp(u_k), each u_k linear in parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Term:
    """exp(theta[level] - theta[exponent] * x): a power law of exp(x), or a constant.

    Attributes
    ----------
    level : index of the log coefficient.
    exponent : index of the exponent; None for a constant.
    covariate : index of the row of x.
    """

    level: int
    exponent: int | None = None
    covariate: int = 0


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
        """Give log L, and each term's share of L for the derivatives."""
        shares = []
        for term in self.terms:
            level = theta[:, term.level, None]
            if term.exponent is None:
                shares.append(np.broadcast_to(np.exp(level), (len(theta), self.x.shape[1])))
            else:
                shares.append(
                    np.exp(level - theta[:, term.exponent, None] * self.x[term.covariate])
                )
        total = shares[0].copy()
        for share in shares[1:]:
            total += share
        inverse = 1.0 / total
        return np.log(total), [share * inverse for share in shares]

    def derivatives(
        self, state: list[Floats], slope: Floats, curvature: Floats
    ) -> tuple[Floats, Floats]:
        """Give gradient and Hessian of sum_i rho(log L_i).

        With p_k the shares and z_k the gradient of u_k, the gradient of log L is J = sum_k p_k z_k
        and its Hessian sum_k p_k z_k z_k' - J J'. So the Hessian asked for is
        J' diag(curvature - slope) J + sum_k Z_k' diag(slope p_k) Z_k.
        """
        n, p = len(slope), self.n_parameters
        hessian = np.zeros((n, p, p))
        jacobian: dict[int, Floats] = {}
        for term, share in zip(self.terms, state, strict=True):
            _add(jacobian, term.level, share)
            weighted = slope * share
            hessian[:, term.level, term.level] += weighted.sum(axis=1)
            if term.exponent is not None:
                x = self.x[term.covariate]
                _add(jacobian, term.exponent, -x * share)
                cross = np.vecdot(weighted, x)
                hessian[:, term.level, term.exponent] -= cross
                hessian[:, term.exponent, term.level] -= cross
                hessian[:, term.exponent, term.exponent] += np.vecdot(weighted * x, x)
        rest = curvature - slope
        gradient = np.empty((n, p))
        for i in range(p):
            gradient[:, i] = np.vecdot(slope, jacobian[i])
            scaled = rest * jacobian[i]
            for j in range(i, p):
                product = np.vecdot(scaled, jacobian[j])
                hessian[:, i, j] += product
                if j > i:
                    hessian[:, j, i] += product
        return gradient, hessian


def _add(columns: dict[int, Floats], index: int, values: Floats) -> None:
    """Add to a column that may not have been begun."""
    columns[index] = columns[index] + values if index in columns else values
