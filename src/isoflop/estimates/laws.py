"""The laws that estimates stand for, each with its counting: C = k N**m D.

A fit and its estimate share one law, and whoever draws, tabulates or extrapolates an estimate asks
that law: nobody rebuilds it from its parameters. Rows of parameters are arrays (rows, parameters)
in the order of ``names``, so that one call answers for all draws.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Literal, Protocol

import numpy as np
from pydantic import Field

from isoflop.config.reading import Section
from isoflop.estimates.interaction import HOFFMANN, KAPLAN, NESTED, NO_FLOOR, PRODUCT, ROOT, Form
from isoflop.estimates.power_frontier import PowerFrontier

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from isoflop.estimates.power_frontier import Asked

    Floats = NDArray[np.float64]

POWER_LAWS: Final = ("N_coefficient", "a", "D_coefficient", "b", "L_coefficient", "L_exponent")
"""N_opt = N_coefficient C**a, D_opt = D_coefficient C**b, L_opt = L_coefficient C**-L_exponent."""


@dataclass(frozen=True, eq=False)
class Optima:
    """Compute-optimal allocations, each (rows, budgets); loss is NaN where none is predicted."""

    params: Floats
    tokens: Floats
    loss: Floats


class Frontier(Protocol):
    """What has a compute-optimal allocation at every C."""

    def optima(self, parameters: Floats, flops: Floats) -> Optima:
        """Give the allocation at each budget [FLOP].

        Parameters
        ----------
        parameters : (rows, parameters).
        flops : (budgets,), the same for all rows; or (rows, budgets), each row its own.
        """
        ...

    def log_flops(self, parameters: Floats, asked: Asked, values: Floats) -> Floats | None:
        """Give log C at which each row's allocation meets each target, (rows, values); NaN: never.

        None where it is known in no closed form and has to be sought.

        Parameters
        ----------
        parameters : (rows, parameters).
        asked : which quantity is given; not C itself.
        values : (values,) what it is.
        """
        ...


class LawOfLoss(Frontier, Protocol):
    """What every law answers; a new one is one more class of the union ``Law``."""

    names: ClassVar[tuple[str, ...]]
    """Parameters, in the order of the columns of a row."""

    @property
    def flops_per_token(self) -> FlopsPerToken | None:
        """What a token costs; None where the optimum of D has a power law of its own."""
        ...

    def exponents(self, parameters: Floats) -> tuple[Floats, Floats]:
        """Give a and b of N_opt ~ C**a, D_opt ~ C**b, (rows,) each."""
        ...

    def power_frontier(self, parameters: Floats) -> PowerFrontier | None:
        """Give the frontier as power laws of C; None where it is none."""
        ...

    def log_loss(self, parameters: Floats, log_n: Floats, log_d: Floats) -> Floats | None:
        """Give log L(N, D), (rows, points); None where the law is one of the optimum alone."""
        ...


class FlopsPerToken(Section):
    """C / D = coefficient * N**exponent over the fitted runs; 6 and 1 under C = 6ND.

    The exponent differs from 1 where N and C are counted by different rules, and enters the
    optimum: Pearce and Song (2024) trace much of Kaplan's 0.73 to it.
    """

    coefficient: float
    """k."""
    exponent: float
    """m."""
    largest_deviation: float
    """Largest relative deviation of a fitted run."""

    def tokens(self, params: ArrayLike, flops: ArrayLike) -> Floats:
        """Give the D that C buys at N."""
        n, c = (np.asarray(value, dtype=np.float64) for value in (params, flops))
        return np.asarray(c / (self.coefficient * n**self.exponent))

    def log_flops(self, log_n: Floats, log_d: Floats) -> Floats:
        """Give log C at log N and log D."""
        return np.asarray(np.log(self.coefficient) + self.exponent * log_n + log_d)


def _cheapest(
    log_ratio: Floats | float,
    alpha: Floats | float,
    beta: Floats | float,
    cost: FlopsPerToken,
    flops: Floats,
) -> tuple[Floats, Floats]:
    """Give log N and log D that minimise A / N**alpha + B / D**beta under C = k N**m D.

    N_opt**(alpha + m beta) = alpha A / (m beta B) * (C / k)**beta; with m = 1 and k = 6 this is
    Hoffmann et al. 2022, equation 4.

    Parameters
    ----------
    log_ratio : log of alpha A / (beta B).
    """
    m, log_c = cost.exponent, np.log(flops / cost.coefficient)
    log_n = (log_ratio - np.log(m) + beta * log_c) / (alpha + m * beta)
    return log_n, log_c - m * log_n


def _power_frontier(terms: Floats, cost: FlopsPerToken) -> PowerFrontier:
    """Give the frontier of L = E + (A / N**alpha + B / D**beta)**gamma, under C = k N**m D.

    At the optimum alpha A / N**alpha = m beta B / D**beta, so that both terms fall with
    C**(-alpha a).

    Parameters
    ----------
    terms : (rows, 6); see ``estimates.interaction``.
    """
    floor, log_a, log_b, alpha, beta, gamma = terms.T
    m, log_k = cost.exponent, np.log(cost.coefficient)
    with np.errstate(invalid="ignore", divide="ignore"):
        total = alpha + m * beta
        a = beta / total
        log_n = (np.log(alpha / (m * beta)) + log_a - log_b) / total - a * log_k
        level = gamma * (log_a - alpha * log_n + np.log1p(alpha / (m * beta)))
        return PowerFrontier(
            log_n, a, -log_k - m * log_n, alpha / total, floor, level, gamma * alpha * a
        )


class PowerLaws(Section):
    """N_opt, D_opt and L_opt as power laws of C: approaches 1 and 2.

    The loss has no floor: far from the data it falls below the entropy of text.
    """

    kind: Literal["power_laws"] = "power_laws"

    names: ClassVar[tuple[str, ...]] = POWER_LAWS
    flops_per_token: ClassVar[None] = None

    def exponents(self, parameters: Floats) -> tuple[Floats, Floats]:
        """Give a and b."""
        return parameters[:, self.names.index("a")], parameters[:, self.names.index("b")]

    def optima(self, parameters: Floats, flops: Floats) -> Optima:
        """Evaluate the power laws."""
        n, a, d, b, level, exponent = (column[:, None] for column in parameters.T)
        return Optima(params=n * flops**a, tokens=d * flops**b, loss=level * flops**-exponent)

    def power_frontier(self, parameters: Floats) -> PowerFrontier:
        """Take the power laws as they are."""
        n, a, d, b, level, exponent = parameters.T
        with np.errstate(invalid="ignore", divide="ignore"):
            return PowerFrontier(
                np.log(n), a, np.log(d), b, np.zeros_like(n), np.log(level), exponent
            )

    def log_flops(self, parameters: Floats, asked: Asked, values: Floats) -> Floats:
        """Give log C at which each row meets each target."""
        return self.power_frontier(parameters).log_flops(asked, values)

    def log_loss(self, parameters: Floats, log_n: Floats, log_d: Floats) -> Floats | None:  # noqa: ARG002
        """Give none: the law is one of the optimum."""
        return None


class HoffmannLaw(Section):
    """L(N, D) = E + A / N**alpha + B / D**beta (Hoffmann et al. 2022, equation 2): approach 3."""

    kind: Literal["hoffmann"] = "hoffmann"
    flops_per_token: FlopsPerToken

    names: ClassVar[tuple[str, ...]] = ("E", "A", "B", "alpha", "beta")

    def exponents(self, parameters: Floats) -> tuple[Floats, Floats]:
        """Give a = beta / (alpha + m beta) and b = alpha / (alpha + m beta), C / D ~ N**m."""
        _, _, _, alpha, beta = parameters.T
        with np.errstate(invalid="ignore", divide="ignore"):
            total = alpha + self.flops_per_token.exponent * beta
            return beta / total, alpha / total

    def optima(self, parameters: Floats, flops: Floats) -> Optima:
        """Minimise L(N, D) under C = k N**m D, in closed form."""
        e, a, b, alpha, beta = (column[:, None] for column in parameters.T)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            log_ratio = np.log(alpha * a / (beta * b))
            log_n, log_d = _cheapest(log_ratio, alpha, beta, self.flops_per_token, flops)
            loss = e + a * np.exp(-alpha * log_n) + b * np.exp(-beta * log_d)
            return Optima(np.exp(log_n), np.exp(log_d), loss)

    def power_frontier(self, parameters: Floats) -> PowerFrontier:
        """Give the frontier's power laws."""
        return _power_frontier(HOFFMANN.terms(parameters), self.flops_per_token)

    def log_flops(self, parameters: Floats, asked: Asked, values: Floats) -> Floats:
        """Give log C at which each row meets each target."""
        return self.power_frontier(parameters).log_flops(asked, values)

    def log_loss(self, parameters: Floats, log_n: Floats, log_d: Floats) -> Floats:
        """Give log L(N, D)."""
        e, a, b, alpha, beta = (column[:, None] for column in parameters.T)
        return np.asarray(np.log(e + a / np.exp(log_n) ** alpha + b / np.exp(log_d) ** beta))


class KaplanLaws(Section):
    """The frontier N_opt ~ C**a and L(C), and L(N, D) (Kaplan et al. 2020, equations 1.3, 1.5)."""

    kind: Literal["kaplan"] = "kaplan"

    names: ClassVar[tuple[str, ...]] = (
        "N_coefficient",
        "a",
        "D_coefficient",
        "b",
        "C_c",
        "alpha_C",
        "N_c",
        "alpha_N",
        "D_c",
        "alpha_D",
        "a_joint",
        "N_c_alone",
        "alpha_N_alone",
        "D_c_alone",
        "alpha_D_alone",
    )
    flops_per_token: ClassVar[None] = None

    def exponents(self, parameters: Floats) -> tuple[Floats, Floats]:
        """Give the frontier's a and b."""
        return parameters[:, self.names.index("a")], parameters[:, self.names.index("b")]

    def optima(self, parameters: Floats, flops: Floats) -> Optima:
        """Evaluate the frontier's power laws; L(C) without a floor, as Kaplan extrapolated it."""
        n, a, d, b, scale, exponent = (column[:, None] for column in parameters[:, :6].T)
        return Optima(n * flops**a, d * flops**b, (scale / flops) ** exponent)

    def power_frontier(self, parameters: Floats) -> PowerFrontier:
        """Take the power laws as they are, and L = (C_c / C)**alpha_C."""
        n, a, d, b, scale, exponent = parameters[:, :6].T
        with np.errstate(invalid="ignore", divide="ignore"):
            log_k = exponent * np.log(scale)
            return PowerFrontier(np.log(n), a, np.log(d), b, np.zeros_like(n), log_k, exponent)

    def log_flops(self, parameters: Floats, asked: Asked, values: Floats) -> Floats:
        """Give log C at which each row meets each target."""
        return self.power_frontier(parameters).log_flops(asked, values)

    def log_loss(self, parameters: Floats, log_n: Floats, log_d: Floats) -> Floats:
        """Give log L(N, D), in logs: N_c lies far outside the data, and its powers overflow."""
        columns = dict(zip(self.names, parameters.T[:, :, None], strict=True))
        alpha_n, alpha_d = columns["alpha_N"], columns["alpha_D"]
        size = alpha_n / alpha_d * (np.log(columns["N_c"]) - log_n)
        return np.asarray(alpha_d * np.logaddexp(size, np.log(columns["D_c"]) - log_d))


class OvertrainingLaw(Section):
    """L = E + (A M**eta + B M**-eta) C**-eta, M = D / N (Gadre et al. 2024, equation 4)."""

    kind: Literal["overtraining"] = "overtraining"
    flops_per_token: FlopsPerToken

    names: ClassVar[tuple[str, ...]] = ("E", "A", "B", "eta")

    def exponents(self, parameters: Floats) -> tuple[Floats, Floats]:
        """Give 1/2 and 1/2 where C = k N D: the law has its least loss at one M for every C."""
        exponent = 1.0 / (1.0 + self.flops_per_token.exponent)
        known = np.where(np.isfinite(parameters[:, -1]), exponent, np.nan)
        return known, known.copy()

    def optima(self, parameters: Floats, flops: Floats) -> Optima:
        """Take M = (B / A)**(1 / (2 eta)) tokens per parameter, where C = k N**m D."""
        e, a, b, eta = (column[:, None] for column in parameters.T)
        k, m = self.flops_per_token.coefficient, self.flops_per_token.exponent
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            ratio = (b / a) ** (0.5 / eta)
            params = (flops / (k * ratio)) ** (1.0 / (1.0 + m))
            loss = e + (a * ratio**eta + b * ratio**-eta) * flops**-eta
            return Optima(params, ratio * params, loss)

    def power_frontier(self, parameters: Floats) -> PowerFrontier:
        """Give equal powers of N and D, and the loss at the best M."""
        e, a, b, eta = parameters.T
        k, m = self.flops_per_token.coefficient, self.flops_per_token.exponent
        with np.errstate(invalid="ignore", divide="ignore"):
            log_ratio = 0.5 / eta * np.log(b / a)
            log_n = -(np.log(k) + log_ratio) / (1.0 + m)
            excess = np.logaddexp(np.log(a) + eta * log_ratio, np.log(b) - eta * log_ratio)
        power, _ = self.exponents(parameters)
        return PowerFrontier(log_n, power, log_ratio + log_n, power, e, excess, eta)

    def log_flops(self, parameters: Floats, asked: Asked, values: Floats) -> Floats:
        """Give log C at which each row meets each target."""
        return self.power_frontier(parameters).log_flops(asked, values)

    def log_loss(self, parameters: Floats, log_n: Floats, log_d: Floats) -> Floats:
        """Give log L at N and D, with C = k N**m D."""
        e, a, b, eta = (column[:, None] for column in parameters.T)
        log_c = self.flops_per_token.log_flops(log_n, log_d)
        excess = a * np.exp(eta * (log_d - log_n)) + b * np.exp(-eta * (log_d - log_n))
        return np.asarray(np.log(e + excess * np.exp(-eta * log_c)))


class DataConstrainedLaw(Section):
    """L = E + A / N'**alpha + B / D'**beta (Muennighoff et al. 2023); A to beta are not fitted."""

    kind: Literal["data_constrained"] = "data_constrained"
    A: float
    B: float
    alpha: float
    beta: float
    flops_per_token: FlopsPerToken

    names: ClassVar[tuple[str, ...]] = ("E", "R_D", "R_N")

    def exponents(self, parameters: Floats) -> tuple[Floats, Floats]:
        """Give a and b of the law for fresh tokens, which is not fitted."""
        known = np.where(np.isfinite(parameters[:, 1]), 1.0, np.nan)
        total = self.alpha + self.flops_per_token.exponent * self.beta
        return known * self.beta / total, known * self.alpha / total

    def optima(self, parameters: Floats, flops: Floats) -> Optima:
        """Give the allocation with enough fresh tokens; repeats never beat it."""
        known = np.where(np.isfinite(parameters[:, :1]), 1.0, np.nan)
        log_ratio = float(np.log(self.alpha * self.A / (self.beta * self.B)))
        log_n, log_d = _cheapest(log_ratio, self.alpha, self.beta, self.flops_per_token, flops)
        fresh = self.A * np.exp(-self.alpha * log_n) + self.B * np.exp(-self.beta * log_d)
        params, tokens = np.exp(log_n) * known, np.exp(log_d) * known
        return Optima(params, tokens, parameters[:, :1] + fresh * known)

    def power_frontier(self, parameters: Floats) -> PowerFrontier:
        """Give the frontier of the law for fresh tokens."""
        fixed = np.array([[0.0, self.A, self.B, self.alpha, self.beta]])
        terms = HOFFMANN.terms(np.repeat(fixed, len(parameters), axis=0))
        terms[:, 0] = parameters[:, 0]
        terms[~np.isfinite(parameters[:, 1])] = np.nan
        return _power_frontier(terms, self.flops_per_token)

    def log_flops(self, parameters: Floats, asked: Asked, values: Floats) -> Floats:
        """Give log C at which each row meets each target."""
        return self.power_frontier(parameters).log_flops(asked, values)

    def log_loss(self, parameters: Floats, log_n: Floats, log_d: Floats) -> Floats:
        """Give log L(N, D) of tokens that are all fresh."""
        fresh = self.A * np.exp(-self.alpha * log_n) + self.B * np.exp(-self.beta * log_d)
        return np.asarray(np.log(parameters[:, :1] + fresh))


class InteractionLaw(Section):
    """A law in which size and data interact; see ``estimates.interaction``."""

    flops_per_token: FlopsPerToken
    frontier_at: float
    """C at which a and b are the slopes of the frontier [FLOP]. With a product term the frontier is
    no power law, and they depend on it; otherwise they do not."""

    form: ClassVar[Form]
    names: ClassVar[tuple[str, ...]]

    def exponents(self, parameters: Floats) -> tuple[Floats, Floats]:
        """Give a and b: without a product term beta and alpha over alpha + m beta, C / D ~ N**m."""
        cost = self.flops_per_token
        a = self.form.frontier_slope(
            self.form.terms(parameters),
            self.frontier_at,
            coefficient=cost.coefficient,
            exponent=cost.exponent,
        )
        return a, 1.0 - cost.exponent * a

    def log_least_flops(self, parameters: Floats) -> Floats:
        """Give log of the C above which an optimum exists, (rows,); -inf where every C has one."""
        cost = self.flops_per_token
        return self.form.log_least_flops(
            self.form.terms(parameters), coefficient=cost.coefficient, exponent=cost.exponent
        )

    def optima(self, parameters: Floats, flops: Floats) -> Optima:
        """Minimise L(N, D) under C = k N**m D; in closed form without a product term."""
        cost, terms = self.flops_per_token, self.form.terms(parameters)
        log_n = self.form.log_params_opt(
            terms, flops, coefficient=cost.coefficient, exponent=cost.exponent
        )
        log_d = np.log(flops / cost.coefficient) - cost.exponent * log_n
        with np.errstate(over="ignore", invalid="ignore"):
            loss = np.exp(self.form.log_loss(terms, log_n, log_d))
            return Optima(np.exp(log_n), np.exp(log_d), loss)

    def power_frontier(self, parameters: Floats) -> PowerFrontier | None:
        """Give the frontier's power laws; None with a product term."""
        if self.form.is_product:
            return None
        return _power_frontier(self.form.terms(parameters), self.flops_per_token)

    def log_flops(self, parameters: Floats, asked: Asked, values: Floats) -> Floats | None:
        """Give log C at which each row meets each target; None for a product law's D/N."""
        frontier = self.power_frontier(parameters)
        if frontier is not None:
            return frontier.log_flops(asked, values)
        log_n_d = self.form.log_optimum_with(
            self.form.terms(parameters), asked, values, exponent=self.flops_per_token.exponent
        )
        return None if log_n_d is None else self.flops_per_token.log_flops(*log_n_d)

    def log_loss(self, parameters: Floats, log_n: Floats, log_d: Floats) -> Floats:
        """Give log L(N, D)."""
        return self.form.log_loss(self.form.terms(parameters), log_n, log_d)


class NestedLoss(InteractionLaw):
    """L = E + (A / N**alpha + B / D**beta)**gamma: Hoffmann's law and Kaplan's in one."""

    kind: Literal["nested"] = "nested"
    form: ClassVar[Form] = NESTED
    names: ClassVar[tuple[str, ...]] = NESTED.names


class RootLoss(InteractionLaw):
    """L = E + (A / N**alpha + B / D**beta)**(1/2): the nested law with gamma = 1/2."""

    kind: Literal["root"] = "root"
    form: ClassVar[Form] = ROOT
    names: ClassVar[tuple[str, ...]] = ROOT.names


class NoFloorLoss(InteractionLaw):
    """The same with E = 0."""

    kind: Literal["no_floor"] = "no_floor"
    form: ClassVar[Form] = NO_FLOOR
    names: ClassVar[tuple[str, ...]] = NO_FLOOR.names


class KaplanLoss(InteractionLaw):
    """L = ((N_c / N)**(alpha_N / alpha_D) + D_c / D)**alpha_D (Kaplan et al. 2020, eq. 1.5)."""

    kind: Literal["kaplan_law"] = "kaplan_law"
    form: ClassVar[Form] = KAPLAN
    names: ClassVar[tuple[str, ...]] = KAPLAN.names


class ProductLoss(InteractionLaw):
    """L = E + A / N**alpha + B / D**beta + G / (N**alpha D**beta)."""

    kind: Literal["product"] = "product"
    form: ClassVar[Form] = PRODUCT
    names: ClassVar[tuple[str, ...]] = PRODUCT.names


InteractionLoss = NestedLoss | RootLoss | NoFloorLoss | KaplanLoss | ProductLoss

Law = Annotated[
    PowerLaws | HoffmannLaw | KaplanLaws | OvertrainingLaw | DataConstrainedLaw | InteractionLoss,
    Field(discriminator="kind"),
]
