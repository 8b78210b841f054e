"""The laws with an interaction where they are well conditioned: N, D and L from their means."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Final

import numpy as np

from isoflop.approaches.numerics.interaction import (
    ALPHA,
    BETA,
    E_,
    LOG_2,
    InteractionModel,
    K,
    PowerMean,
    ProductTerm,
    Restriction,
    U,
    V,
)
from isoflop.estimates.interaction import (
    HOFFMANN,
    KAPLAN,
    NESTED,
    NO_FLOOR,
    NO_PRODUCT,
    PRODUCT,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from isoflop.approaches.numerics.interaction import Coupling
    from isoflop.estimates.interaction import Form

    Floats = NDArray[np.float64]
    Ints = NDArray[np.intp]

LOWER: Final = (0.0, -14.0, -14.0, 0.0, 0.0)
UPPER: Final = (2.0, 7.0, 7.0, 5.0, 5.0)
"""Bounds of E over the mean loss, of the logs of both terms over it at the centre of the data (from
vanishing to absurd), and of the terms' exponents."""
EXTENT: Final = {False: (0.05, 10.0), True: (-50.0, 50.0)}
"""Bounds of k: of gamma (from .05 down, the power mean is the larger term within 4 %), and of the
coefficient of a product of terms over the mean loss."""
COARSE_GRID: Final = ((0.2, 0.7), (-1.2, 0.2), (-1.2, 0.2), (0.1, 0.4, 1.0), (0.1, 0.4, 1.0))
RESCUE_GRID: Final = ((0.5,), (-0.5,), (-0.5,), (0.15, 0.5), (0.15, 0.5))
"""Starts from afar, and of a doubtful resample: of E, the terms, their exponents, as the bounds."""
STARTS: Final = {False: (0.15, 0.4, 1.0), True: (0.0,)}
"""Starts of k. A product term starts from none: the law is then positive at every point."""


_FREE: Final = {
    (NESTED.name, False): Restriction.of(),
    (HOFFMANN.name, False): Restriction.of(fixed={K: 1.0}),
    (NO_FLOOR.name, False): Restriction.of(fixed={E_: 0.0}),
    # D's own exponent is 1, so that of its term to the power gamma is gamma
    (KAPLAN.name, False): Restriction.of(fixed={E_: 0.0}, tied={BETA: K}),
    (PRODUCT.name, True): Restriction.of(),
    (NO_PRODUCT.name, True): Restriction.of(fixed={K: 0.0}),
}
SOLVED: Final = {
    False: ("E", "A", "B", "alpha", "beta", "gamma"),
    True: ("E", "A", "B", "alpha", "beta", "G"),
}
"""What the full parameters are called where one has ended at a bound."""


def restriction(form: Form) -> Restriction:
    """Give the free parameters of a law; one that is not listed holds its gamma."""
    if (form.name, form.is_product) not in _FREE:
        return Restriction.of(fixed={K: form.gamma})
    return _FREE[form.name, form.is_product]


@dataclass(frozen=True, eq=False)
class CentredInteraction:
    """One law at some points, in parameters that are O(1).

    Attributes
    ----------
    form : the law.
    centre : (3,) means of log N, log D and log L.
    model : the law for the solver, of L over its mean; targets are log L less ``centre[2]``.
    """

    form: Form
    centre: Floats
    model: InteractionModel

    @property
    def restriction(self) -> Restriction:
        """The law's free parameters."""
        return self.model.restriction

    @property
    def n_parameters(self) -> int:
        """Number of free parameters."""
        return self.model.n_parameters

    @property
    def log_loss_offset(self) -> float:
        """What the solver's targets are below log L."""
        return float(self.centre[2])

    @property
    def solved_names(self) -> tuple[str, ...]:
        """Name the free parameters in the solver's order."""
        if self.form == KAPLAN:
            return ("N_c", "D_c", "alpha_N", "alpha_D")
        return tuple(SOLVED[self.form.is_product][i] for i in self.restriction.places)

    @classmethod
    def of(cls, form: Form, params: Floats, tokens: Floats, loss: Floats) -> CentredInteraction:
        """Build the law for the points with these N, D and L."""
        logs = np.log(np.stack([params, tokens, loss]))
        centre = logs.mean(axis=1)
        model = InteractionModel(_coupling(form), restriction(form), logs[:2] - centre[:2, None])
        return cls(form, centre, model)

    def at(self, points: Ints) -> CentredInteraction:
        """Keep some of the points."""
        model = self.model
        kept = InteractionModel(model.coupling, model.restriction, model.x[:, points])
        return CentredInteraction(self.form, self.centre, kept)

    def under(self, form: Form) -> CentredInteraction:
        """Take another law at the same points."""
        model = InteractionModel(_coupling(form), restriction(form), self.model.x)
        return CentredInteraction(form, self.centre, model)

    def bounds(self) -> tuple[Floats, Floats]:
        """Give the lower and upper bound of each of the solver's parameters."""
        low, high = EXTENT[self.form.is_product]
        return self.restriction.bounds((*LOWER, low), (*UPPER, high))

    def natural_bounds(self) -> Floats:
        """Give the bounds that an optimum may well lie at: E = 0; NaN for the others."""
        return np.asarray(self.restriction.free(np.array([[0.0, *[np.nan] * 5]]))[0])

    def starts(self, *, rescue: bool = False) -> Floats:
        """List starts that lie around any data."""
        grid = RESCUE_GRID if rescue else COARSE_GRID
        return self._free(np.array(list(product(*grid, STARTS[self.form.is_product]))))

    def from_hoffmann(self, starts: Floats) -> Floats:
        """Start from laws of Hoffmann's form: gamma = 1, or no product.

        Parameters
        ----------
        starts : (rows, 5) log E, log A, log B, alpha, beta.
        """
        full = np.empty((len(starts), 6))
        full[:, E_] = np.exp(starts[:, 0] - self.centre[2])
        # a power mean counts each term twice and halves the sum
        twice = 0.0 if self.form.is_product else LOG_2
        full[:, U] = starts[:, 1] - starts[:, 3] * self.centre[0] - self.centre[2] + twice
        full[:, V] = starts[:, 2] - starts[:, 4] * self.centre[1] - self.centre[2] + twice
        full[:, ALPHA], full[:, BETA] = starts[:, 3], starts[:, 4]
        full[:, K] = 0.0 if self.form.is_product else 1.0
        return self._free(full)

    def _free(self, full: Floats) -> Floats:
        return np.unique(np.clip(self.restriction.free(full), *self.bounds()), axis=0)

    def terms(self, theta: Floats) -> Floats:
        """Give rows of E, log A, log B, alpha, beta, k, of rows of the solver's parameters."""
        e, u, v, alpha, beta, k = self.restriction.full(theta).T
        x, y, log_loss = self.centre
        if self.form.is_product:
            terms = (
                u + log_loss + alpha * x,
                v + log_loss + beta * y,
                alpha,
                beta,
                k * np.exp(-log_loss),
            )
        else:
            alpha, beta = alpha / k, beta / k
            terms = (
                (u + log_loss) / k - LOG_2 + alpha * x,
                (v + log_loss) / k - LOG_2 + beta * y,
                alpha,
                beta,
                k,
            )
        return np.stack([e * np.exp(log_loss), *terms], axis=-1)

    def reported(self, theta: Floats) -> Floats:
        """Give the parameters under the law's names."""
        return self.form.reported(self.terms(theta))


def _coupling(form: Form) -> Coupling:
    return ProductTerm() if form.is_product else PowerMean()
