"""The scaling laws themselves, and their optima in closed form.

N is params, D tokens, C training FLOPs, L loss in nats per token. Every function works on scalars
and on arrays that broadcast.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, overload

import numpy as np

from isoflop.counting import PF_DAY

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

EQUAL_SCALING: Final = 0.5
"""Exponent a at which N and D grow alike: what Hoffmann et al. conclude."""


@dataclass(frozen=True, slots=True)
class PowerLaw:
    """y = coefficient * x ** exponent."""

    coefficient: float
    exponent: float

    @overload
    def __call__(self, x: float) -> float: ...
    @overload
    def __call__(self, x: Floats) -> Floats: ...
    def __call__(self, x: Any) -> Any:
        """Evaluate the law at x > 0."""
        return self.coefficient * x**self.exponent


@dataclass(frozen=True, slots=True)
class ChinchillaLaw:
    """L(N, D) = E + A / N**alpha + B / D**beta (Hoffmann et al. 2022, equation 2)."""

    E: float
    A: float
    B: float
    alpha: float
    beta: float

    @property
    def a(self) -> float:
        """Exponent of N_opt in C (equation 4)."""
        return self.beta / (self.alpha + self.beta)

    @property
    def b(self) -> float:
        """Exponent of D_opt in C (equation 4)."""
        return self.alpha / (self.alpha + self.beta)

    @property
    def G(self) -> float:
        """The coefficient G of equation 4."""
        return float((self.alpha * self.A / (self.beta * self.B)) ** (1 / (self.alpha + self.beta)))

    def loss(self, params: ArrayLike, tokens: ArrayLike) -> Floats:
        """Predict the loss [nat/token]."""
        n = np.asarray(params, dtype=np.float64)
        d = np.asarray(tokens, dtype=np.float64)
        return np.asarray(self.E + self.A / n**self.alpha + self.B / d**self.beta)

    def params_opt(self, flops: ArrayLike, *, flops_per_param_token: float = 6.0) -> Floats:
        """Give the loss-minimising N under C = 6 N D (equation 4)."""
        c = np.asarray(flops, dtype=np.float64)
        return np.asarray(self.G * (c / flops_per_param_token) ** self.a)

    def tokens_opt(self, flops: ArrayLike, *, flops_per_param_token: float = 6.0) -> Floats:
        """Give the loss-minimising D under C = 6 N D (equation 4)."""
        c = np.asarray(flops, dtype=np.float64)
        return np.asarray((c / flops_per_param_token) ** self.b / self.G)

    def loss_opt(self, flops: ArrayLike) -> Floats:
        """Give the loss on the compute-optimal frontier."""
        return self.loss(self.params_opt(flops), self.tokens_opt(flops))


@dataclass(frozen=True, slots=True)
class KaplanLaw:
    """L(N, D) = [(N_c/N)**(alpha_N/alpha_D) + D_c/D]**alpha_D (Kaplan et al. 2020, equation 1.5).

    N counts non-embedding parameters.
    """

    N_c: float
    D_c: float
    alpha_N: float
    alpha_D: float

    def loss(self, params: ArrayLike, tokens: ArrayLike) -> Floats:
        """Predict the loss [nat/token] of an early-stopped model."""
        n = np.asarray(params, dtype=np.float64)
        d = np.asarray(tokens, dtype=np.float64)
        ratio = self.alpha_N / self.alpha_D
        return np.asarray(((self.N_c / n) ** ratio + self.D_c / d) ** self.alpha_D)

    @property
    def a(self) -> float:
        """Exponent of the N that minimises L(N, D) at fixed N D.

        With x = (N_c/N)**r and y = D_c/D, r = alpha_N/alpha_D, the minimum of x + y at constant N D
        has y = r x, so N_opt ~ C**(1 / (1 + r)).
        """
        return self.alpha_D / (self.alpha_N + self.alpha_D)

    def params_opt(self, flops: ArrayLike, *, flops_per_param_token: float = 6.0) -> Floats:
        """Give the N that minimises L(N, D) under C = 6 N D."""
        c = np.asarray(flops, dtype=np.float64) / flops_per_param_token
        ratio = self.alpha_N / self.alpha_D
        # D = c / N in y = r x gives D_c N / c = r (N_c / N)**r
        return np.asarray((ratio * self.N_c**ratio * c / self.D_c) ** (1.0 / (1.0 + ratio)))


def kaplan_params_opt(
    flops: ArrayLike, *, coefficient: float, exponent: float, c_min_per_c: float
) -> Floats:
    """Give Kaplan's N_opt = N_e * C_min**p_N, C_min in PF-days (Kaplan et al. 2020, equation 6.1).

    Parameters
    ----------
    flops : C actually spent [FLOP].
    coefficient : N_e, parameters at one PF-day.
    exponent : p_N.
    c_min_per_c : C_min / C. Training at the critical batch size spends twice the minimum
        (equation 5.5), so 0.5 for a run at B_crit and 1 where C is the minimum itself.
    """
    c_min = np.asarray(flops, dtype=np.float64) * c_min_per_c / PF_DAY
    return np.asarray(coefficient * c_min**exponent)


@dataclass(frozen=True, slots=True)
class RepeatedDataLaw:
    """L(N, D) with D = epochs * U_D repeated tokens (Muennighoff et al. 2023, equations 5 and 6).

    L = E + A / N'**alpha + B / D'**beta with D' = U_D + U_D R_D (1 - exp(-(D/U_D - 1) / R_D)), and
    N' alike: parameters beyond what U_D tokens can use lose their worth too.

    Attributes
    ----------
    fresh : the law for tokens that are seen once.
    R_D, R_N : repeats after which a token, or an excess parameter, has lost most of its worth;
        of several laws (laws, 1) each.
    """

    fresh: ChinchillaLaw
    R_D: float | Floats
    R_N: float | Floats

    def effective_tokens(self, tokens: ArrayLike, unique_tokens: ArrayLike) -> Floats:
        """Give D': as many fresh tokens would be worth as much."""
        d = np.asarray(tokens, dtype=np.float64)
        unique = np.minimum(np.asarray(unique_tokens, dtype=np.float64), d)
        return _effective(unique, d / unique - 1.0, self.R_D)

    def unique_params(self, params: ArrayLike, unique_tokens: ArrayLike) -> Floats:
        """Give U_N: the optimal N for U_D fresh tokens, but not more than N.

        On the optimal path N_opt = G (C/6)**a and D_opt = (C/6)**b / G.
        """
        law = self.fresh
        per_budget = law.G * np.asarray(unique_tokens, dtype=np.float64)
        optimal = law.G * per_budget ** (law.a / law.b)
        return np.asarray(np.minimum(np.asarray(params, dtype=np.float64), optimal))

    def loss(self, params: ArrayLike, tokens: ArrayLike, unique_tokens: ArrayLike) -> Floats:
        """Predict the loss [nat/token]."""
        n = np.asarray(params, dtype=np.float64)
        unique = self.unique_params(n, np.minimum(unique_tokens, tokens))
        effective = _effective(unique, n / unique - 1.0, self.R_N)
        return self.fresh.loss(effective, self.effective_tokens(tokens, unique_tokens))


def _effective(unique: Floats, repeats: Floats, half_life: float | Floats) -> Floats:
    return np.asarray(unique * (1.0 - half_life * np.expm1(-repeats / half_life)))


@dataclass(frozen=True, slots=True)
class EmbeddingCount:
    """N_total = N + omega N**(1/3), N without embeddings (Pearce and Song 2024).

    Models of one aspect ratio have a width of N**(1/3) up to a factor, and embeddings cost
    vocabulary and context times the width.
    """

    omega: float

    def total(self, nonembedding: ArrayLike) -> Floats:
        """Give the count with embeddings."""
        n = np.asarray(nonembedding, dtype=np.float64)
        return np.asarray(n + self.omega * np.cbrt(n))
