"""Likelihood-ratio tests of the special cases of a law."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from isoflop.approaches.estimators.account import widened
from isoflop.approaches.estimators.likelihood_ratio import log10_survival
from isoflop.approaches.numerics.centred_interaction import restriction
from isoflop.approaches.numerics.likelihood import log_likelihood
from isoflop.approaches.numerics.multistart import likelihood_objective
from isoflop.approaches.uncertainty.streams import beside_the_streams
from isoflop.estimates.interaction import HOFFMANN, KAPLAN, NO_FLOOR, NO_PRODUCT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from isoflop.approaches.numerics.centred_interaction import CentredInteraction
    from isoflop.approaches.numerics.multistart import Objective
    from isoflop.estimates.interaction import Form

    Floats = NDArray[np.float64]

SIMULATIONS: Final = 400
"""Sweeps simulated under each hypothesis."""
SEED: Final = 8
"""Of the simulated sizes: they are a fact of the design, and do not change with a bootstrap's."""
SIZE: Final = 0.05
"""Level whose size is checked."""


@dataclass(frozen=True)
class Hypothesis:
    """A law within another.

    Attributes
    ----------
    form : the restricted law.
    mixture : degrees of freedom of the chi-squares that the ratio is an equal mixture of, in large
        samples. E = 0 is the end of E's range, where half of all samples would have E below it, so
        that E costs a degree of freedom in the other half only (Self and Liang 1987, case 6).
    """

    form: Form
    mixture: tuple[int, ...]


HYPOTHESES: Final[dict[str, tuple[Hypothesis, ...]]] = {
    "nested": (
        Hypothesis(HOFFMANN, (1,)),
        Hypothesis(KAPLAN, (1, 2)),
        Hypothesis(NO_FLOOR, (0, 1)),
    ),
    "no_floor": (Hypothesis(KAPLAN, (1,)),),
    "product": (Hypothesis(NO_PRODUCT, (1,)),),
    "kaplan_law": (),
    "root": (),
}
"""What each law is tested against."""


def nesting_tests(
    law: CentredInteraction,
    theta: Floats,
    targets: Floats,
    *,
    delta: float,
    simulations: int = SIMULATIONS,
    threads: int | None = 1,
) -> dict[str, Any]:
    """Test a law's special cases under Huber's density with a free scale.

    Twice the gain in log-likelihood is compared with its distribution in large samples, and with
    its values on sweeps simulated from the restricted law, fitted to the sweep, with errors drawn
    from the residuals of the free law. The latter say what size the test has on this design.

    Parameters
    ----------
    law : the free law at the fitted points.
    theta : (1, parameters) where its fit starts.
    targets : (points,) log L less its mean.
    delta : where the density turns from normal to exponential, in units of the scale.
    simulations : simulated sweeps per hypothesis; 0 leaves them out.
    threads : as for ``minimise``.

    Returns
    -------
    ``delta``, ``log_likelihood`` and ``scale`` of the free fit, and ``hypotheses``: by law
    ``{statistic, mixture, p_value, log10_p, parameters, rms, simulated}``. ``parameters`` are those
    of the restricted fit, ``rms`` is of its residuals. ``simulated`` is ``{sweeps, size,
    p_value}``: ``size`` is the share of simulated sweeps that the first p-value would reject at
    5 %, ``p_value`` the share whose ratio reaches the sweep's, the sweep counted in.

    References
    ----------
    Wilks 1938; Self and Liang 1987, J. Am. Statist. Ass. 82:605; Davison and Hinkley 1997, section
    4.2.3, for the simulated p-value.
    """
    tested = _Tested(law, likelihood_objective(delta), threads)
    row = targets[None]
    restricted = {}
    for hypothesis in HYPOTHESES[law.form.name]:
        under = law.under(hypothesis.form)
        restricted[hypothesis] = tested.best(under, row, under.starts())
    # the free fit starts from its special cases too: no ratio is negative for want of a start
    starts = [theta, *(_embedded(law, h.form, at) for h, (at, *_) in restricted.items())]
    best, lowest, scale = tested.best(law, row, np.concatenate(starts))
    points = len(targets)
    residuals = targets - law.model.value(best)[0][0]
    noise = widened(residuals - residuals.mean(), parameters=law.n_parameters)
    tests = {}
    for i, (hypothesis, (at, reached, _)) in enumerate(restricted.items()):
        statistic = max(2.0 * (reached - lowest), 0.0)
        log10_p = _log10_p(statistic, hypothesis.mixture)
        under = law.under(hypothesis.form)
        values = under.reported(at)[0].tolist()
        picks = beside_the_streams(SEED, i).integers(0, points, (simulations, points))
        tests[hypothesis.form.name] = {
            "statistic": statistic,
            "mixture": list(hypothesis.mixture),
            "p_value": 10.0**log10_p,
            "log10_p": log10_p,
            "parameters": dict(zip(hypothesis.form.names, values, strict=True)),
            "rms": float(np.sqrt(np.mean((targets - under.model.value(at)[0][0]) ** 2))),
            "simulated": _simulated(tested, hypothesis, noise[picks], at=at, statistic=statistic)
            if simulations
            else None,
        }
    return {
        "delta": delta,
        "log_likelihood": float(log_likelihood(np.array(lowest), points, delta)),
        "scale": scale,
        "hypotheses": tests,
    }


@dataclass(frozen=True, eq=False)
class _Tested:
    """The free law, and how all laws are fitted."""

    law: CentredInteraction
    objective: Objective
    threads: int | None

    def best(
        self, law: CentredInteraction, row: Floats, starts: Floats
    ) -> tuple[Floats, float, float]:
        """Give the best end of some starts, (1, parameters), its objective and its scale."""
        problems = self.objective.pose(law, row, np.ones_like(row), starts)
        ends = (
            self.objective.solve_from_afar(problems, threads=self.threads),
            self.objective.solve(problems, threads=self.threads),
        )
        theta = np.concatenate([end.theta for end in ends])
        reached = np.concatenate([end.objective for end in ends])
        at = int(reached.argmin())
        return theta[at : at + 1, :-1], float(reached[at]), float(np.exp(theta[at, -1]))

    def settle(
        self, law: CentredInteraction, targets: Floats, starts: Floats
    ) -> tuple[Floats, Floats]:
        """Fit many sweeps, each from where its optimum is expected."""
        return self.objective.settle(
            self.objective.pose(law, targets, np.ones_like(targets), starts),
            law.starts(rescue=True),
            natural=law.natural_bounds(),
            threads=self.threads,
        )


def _embedded(law: CentredInteraction, form: Form, theta: Floats) -> Floats:
    """Write parameters of a special case as the free law's."""
    return law.restriction.free(restriction(form).full(theta))


def _simulated(
    tested: _Tested,
    hypothesis: Hypothesis,
    noise: Floats,
    *,
    at: Floats,
    statistic: float,
) -> dict[str, Any]:
    """Fit both laws to sweeps of the restricted one; see ``nesting_tests``.

    Parameters
    ----------
    tested : the free law and how it is fitted.
    hypothesis : the restricted law.
    noise : (sweeps, points) errors.
    at : (1, parameters) the restricted law's fit to the sweep.
    statistic : the sweep's own ratio.
    """
    sweeps = len(noise)
    under = tested.law.under(hypothesis.form)
    targets = under.model.value(at)[0] + noise
    ended, restricted = tested.settle(under, targets, np.repeat(at, sweeps, axis=0))
    # the free law starts where the restricted one ended: near its own optimum, if that one is true
    _, free = tested.settle(tested.law, targets, _embedded(tested.law, hypothesis.form, ended))
    ratios = 2.0 * (restricted - free)
    return {
        "sweeps": sweeps,
        "size": float((ratios > _critical(hypothesis.mixture)).mean()),
        "p_value": float((1 + (ratios >= statistic).sum()) / (1 + sweeps)),
    }


def _log10_p(statistic: float, mixture: Sequence[int]) -> float:
    """Give log10 of the probability that an equal mixture of chi-squares reaches a statistic."""
    if statistic == 0.0:
        return 0.0
    logs = [
        log10_survival(statistic, degrees) - np.log10(len(mixture))
        for degrees in mixture
        if degrees
    ]
    total = reduce(np.logaddexp, np.array(logs) * np.log(10.0)) / np.log(10.0)
    return min(float(total), 0.0)


def _critical(mixture: Sequence[int]) -> float:
    """Give the statistic whose p-value is the size that is checked."""
    low, high = 1e-9, 100.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        above = _log10_p(middle, mixture) > np.log10(SIZE)
        low, high = (middle, high) if above else (low, middle)
    return high
