"""Hoffmann's law where it is well conditioned: N and D measured from the centre of the data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Final

import numpy as np

from isoflop.approaches.numerics.sum_of_powers import SumOfPowers, Term

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.intp]

LOG_TERMS: Final = (-14.0, 7.0)
"""Bounds of the logs of both terms at the centre of the data: from vanishing to absurd."""
FLOORS: Final = (0.0, math.exp(LOG_TERMS[1]))
"""Bounds of E [nat]."""
EXPONENTS: Final = (0.0, 5.0)
"""Bounds of alpha and beta."""
COARSE_GRID: Final = ((0.4, 1.6), (-1.0, 1.0), (-1.0, 1.0), (0.1, 0.4, 1.0), (0.1, 0.4, 1.0))
RESCUE_GRID: Final = ((0.6,), (-0.5,), (-0.5,), (0.2, 0.6), (0.2, 0.6))
"""Starts from afar, and of a doubtful resample: of E, the logs of both terms at the centre of the
data, and the exponents."""
E_, A_, B_, ALPHA, BETA = range(5)


@dataclass(frozen=True, eq=False)
class CentredLaw:
    """The law with N and D measured from their geometric means, where its terms are O(1).

    Attributes
    ----------
    centre : (2,) means of log N and log D.
    model : the law in E, log A', log B', alpha, beta with A' = A / exp(centre)**alpha.
    """

    centre: Floats
    model: SumOfPowers

    @classmethod
    def of(cls, params: Floats, tokens: Floats, *, tied: bool) -> CentredLaw:
        """Build the law for the points with these N and D."""
        x = np.log(np.stack([params, tokens]))
        centre = x.mean(axis=1)
        terms = (Term(E_, is_linear=True), Term(A_, ALPHA, 0), Term(B_, ALPHA if tied else BETA, 1))
        return cls(centre, SumOfPowers(terms, x - centre[:, None], 4 if tied else 5))

    def at(self, points: Ints) -> CentredLaw:
        """Keep some of the points."""
        model = SumOfPowers(self.model.terms, self.model.x[:, points], self.model.n_parameters)
        return CentredLaw(self.centre, model)

    @property
    def n_parameters(self) -> int:
        """Five, or four with the exponents tied."""
        return self.model.n_parameters

    @property
    def log_loss_offset(self) -> float:
        """What the solver's targets are below log L: nothing."""
        return 0.0

    def starts(self, *, rescue: bool = False) -> Floats:
        """List starts that lie around any data; few of them to rescue a doubtful resample."""
        grid = RESCUE_GRID if rescue else COARSE_GRID
        return np.unique(np.array(list(product(*grid)))[:, : self.n_parameters], axis=0)

    def from_hoffmann(self, starts: Floats) -> Floats:
        """Turn rows of log E, log A, log B, alpha, beta into the model's parameters."""
        theta = starts.copy()
        theta[:, E_] = np.exp(starts[:, E_])
        theta[:, A_] -= starts[:, ALPHA] * self.centre[0]
        theta[:, B_] -= starts[:, BETA] * self.centre[1]
        return np.unique(theta[:, : self.n_parameters], axis=0)

    def reported(self, theta: Floats) -> Floats:
        """Turn rows of the model's parameters into E, A, B, alpha, beta."""
        alpha = theta[:, ALPHA]
        beta = theta[:, self.n_parameters - 1]
        log_a = theta[:, A_] + alpha * self.centre[0]
        log_b = theta[:, B_] + beta * self.centre[1]
        with np.errstate(over="ignore"):
            return np.stack([theta[:, E_], np.exp(log_a), np.exp(log_b), alpha, beta], axis=-1)

    def bounds(self) -> tuple[Floats, Floats]:
        """Give the lower and upper bound of each of the model's parameters."""
        exponents = self.n_parameters - 3
        return (
            np.array([FLOORS[0]] + [LOG_TERMS[0]] * 2 + [EXPONENTS[0]] * exponents),
            np.array([FLOORS[1]] + [LOG_TERMS[1]] * 2 + [EXPONENTS[1]] * exponents),
        )

    def natural_bounds(self) -> Floats:
        """Give the lower bounds that an optimum may well lie at: E = 0; NaN for the others."""
        return np.array([FLOORS[0]] + [np.nan] * (self.n_parameters - 1))
