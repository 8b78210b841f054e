"""Laws of the loss written out as the papers have them: what the solver's are compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from isoflop.laws import ChinchillaLaw, KaplanLaw

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class NestedLaw:
    """L(N, D) = E + (A / N**alpha + B / D**beta)**gamma: Hoffmann's and Kaplan's laws in one.

    gamma = 1 is Hoffmann et al. 2022, equation 2. E = 0, beta = 1, gamma = alpha_D and
    alpha = alpha_N / alpha_D is Kaplan et al. 2020, equation 1.5, with A = N_c**alpha, B = D_c.
    """

    E: float
    A: float
    B: float
    alpha: float
    beta: float
    gamma: float

    @classmethod
    def of_chinchilla(cls, law: ChinchillaLaw) -> NestedLaw:
        """Write Hoffmann's law in this form."""
        return cls(law.E, law.A, law.B, law.alpha, law.beta, 1.0)

    @classmethod
    def of_kaplan(cls, law: KaplanLaw) -> NestedLaw:
        """Write Kaplan's law in this form."""
        alpha = law.alpha_N / law.alpha_D
        return cls(0.0, law.N_c**alpha, law.D_c, alpha, 1.0, law.alpha_D)

    @property
    def inner(self) -> ChinchillaLaw:
        """The sum under the power: what compute-optimal training minimises, whatever gamma is."""
        return ChinchillaLaw(0.0, self.A, self.B, self.alpha, self.beta)

    @property
    def a(self) -> float:
        """Exponent of N_opt in C, as Hoffmann's."""
        return self.inner.a

    @property
    def b(self) -> float:
        """Exponent of D_opt in C, as Hoffmann's."""
        return self.inner.b

    def loss(self, params: ArrayLike, tokens: ArrayLike) -> Floats:
        """Predict the loss [nat/token]."""
        return np.asarray(self.E + self.inner.loss(params, tokens) ** self.gamma)

    def params_opt(self, flops: ArrayLike, *, flops_per_param_token: float = 6.0) -> Floats:
        """Give the loss-minimising N under C = 6 N D."""
        return self.inner.params_opt(flops, flops_per_param_token=flops_per_param_token)

    def tokens_opt(self, flops: ArrayLike, *, flops_per_param_token: float = 6.0) -> Floats:
        """Give the loss-minimising D under C = 6 N D."""
        return self.inner.tokens_opt(flops, flops_per_param_token=flops_per_param_token)

    def loss_opt(self, flops: ArrayLike) -> Floats:
        """Give the loss on the compute-optimal frontier: E plus a power law of C."""
        return self.loss(self.params_opt(flops), self.tokens_opt(flops))


@dataclass(frozen=True, slots=True)
class ProductLaw:
    """L(N, D) = E + A / N**alpha + B / D**beta + G / (N**alpha D**beta).

    The least that makes size and data interact beside Hoffmann's sum (G = 0); compare Farseer's
    H(N, D) (Li et al. 2025, arXiv 2506.10972). With G < 0 the loss rises with N where
    D**beta < -G / A, and with D where N**alpha < -G / B: the law is for larger ones.
    """

    E: float
    A: float
    B: float
    alpha: float
    beta: float
    G: float

    def loss(self, params: ArrayLike, tokens: ArrayLike) -> Floats:
        """Predict the loss [nat/token]."""
        n = np.asarray(params, dtype=np.float64) ** -self.alpha
        d = np.asarray(tokens, dtype=np.float64) ** -self.beta
        return np.asarray(self.E + self.A * n + self.B * d + self.G * n * d)
