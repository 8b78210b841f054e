"""Likelihood-ratio tests of published laws against a sweep."""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING, Final

import numpy as np

from isoflop.approaches.numerics.centred_law import ALPHA, CentredLaw
from isoflop.approaches.numerics.likelihood import FreeScale, log_likelihood, minimise_free_scale
from isoflop.approaches.numerics.solver import Problems
from isoflop.estimates.diagnostics import LawTest, LikelihoodRatios, LikelihoodTest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from isoflop.approaches.observations import Observations
    from isoflop.laws import ChinchillaLaw

    Floats = NDArray[np.float64]

LOG_TERMS: Final = (-3.0, -0.7)
"""Logs of E and of the terms at the centre of the data from which a hypothesis is solved."""


def likelihood_ratios(
    observations: Observations,
    published: Mapping[str, ChinchillaLaw],
    *,
    near: ChinchillaLaw,
    delta: float,
) -> LikelihoodRatios:
    """Test published laws under Huber's density with a free scale.

    2 (log-likelihood with all parameters free - log-likelihood under the hypothesis) is compared
    with chi-square (Wilks 1938). The scale is fitted under the hypothesis too.

    Parameters
    ----------
    observations : the fitted points.
    published : laws by name.
    near : where the free fit starts.
    delta : where the density turns from normal to exponential, in units of the scale.

    Returns
    -------
    The tests; ``constants`` mean something only for losses in the law's own tokens.

    References
    ----------
    Besiroglu et al. 2024, section 3, for ``constants``.
    """
    law, tied = (
        CentredLaw.of(observations.params, observations.tokens, tied=tied) for tied in (False, True)
    )
    log_loss = np.log(observations.loss)[None]
    terms = np.array(list(product(np.exp(LOG_TERMS), LOG_TERMS, LOG_TERMS)))

    def best(law: CentredLaw, starts: Floats, fixed: slice = slice(0)) -> tuple[float, Floats]:
        return _best(_problems(law, log_loss, starts, fixed), delta)

    hypotheses = {("parity", ""): (1, best(tied, _around(tied.from_hoffmann(_row(near)), terms)))}
    for name, reference in published.items():
        constants = law.from_hoffmann(_row(reference))
        hypotheses["constants", name] = (5, best(law, constants, fixed=slice(0, 5)))
        hypotheses["exponents", name] = (
            2,
            best(law, _around(constants, terms), fixed=slice(ALPHA, 5)),
        )
    # the free fit starts from the hypotheses too: no ratio is negative for want of a start
    starts = [theta[:, [*range(ALPHA), ALPHA, -2]] for _, (_, theta) in hypotheses.values()]
    highest, theta = best(law, np.concatenate([law.from_hoffmann(_row(near)), *starts]))
    tests: dict[str, dict[str, LawTest]] = {"constants": {}, "exponents": {}}
    for (kind, name), (degrees, (reached, _)) in hypotheses.items():
        if name:
            reference, test = published[name], _test(2.0 * (highest - reached), degrees)
            tests[kind][name] = LawTest(**dict(test), alpha=reference.alpha, beta=reference.beta)
    degrees, (reached, _) = hypotheses["parity", ""]
    return LikelihoodRatios(
        delta=delta,
        log_likelihood=highest,
        scale=float(np.exp(theta[0, -1])),
        constants=tests["constants"],
        exponents=tests["exponents"],
        parity=_test(2.0 * (highest - reached), degrees),
    )


def log10_survival(statistic: float, degrees: int) -> float:
    """Give log10 of the probability that chi-square exceeds a statistic, also where it underflows.

    The finite sums of Abramowitz and Stegun 1964, equations 26.4.4 and 26.4.5, in logarithms.
    """
    from scipy.special import log_ndtr, logsumexp

    half = 0.5 * statistic
    if degrees % 2:
        odd = np.cumprod(np.arange(1.0, degrees - 1.0, 2.0))
        powers = statistic ** (np.arange(len(odd)) + 0.5) / odd
        body = -half + 0.5 * math.log(2.0 / math.pi) + np.log(np.maximum(powers, 1e-300))
        terms = [math.log(2.0) + log_ndtr(-math.sqrt(statistic)), *body]
    else:
        count = degrees // 2
        factorials = np.cumprod(np.maximum(np.arange(count), 1.0))
        terms = [*(-half + np.log(np.maximum(half ** np.arange(count), 1e-300) / factorials))]
    return float(logsumexp(terms)) / math.log(10.0)


def _test(statistic: float, degrees: int) -> LikelihoodTest:
    statistic = max(statistic, 0.0)
    log10_p = min(log10_survival(statistic, degrees), 0.0)
    return LikelihoodTest(
        statistic=statistic,
        degrees_of_freedom=degrees,
        p_value=10.0**log10_p,
        log10_p=log10_p,
    )


def _row(law: ChinchillaLaw) -> Floats:
    with np.errstate(divide="ignore"):  # E may be 0
        log_terms = np.log([law.E, law.A, law.B])
    return np.array([[*log_terms, law.alpha, law.beta]])


def _around(theta: Floats, terms: Floats) -> Floats:
    """Start from a law, and with its exponents from other sizes of the terms."""
    far = np.repeat(theta, len(terms), axis=0)
    far[:, :ALPHA] = terms
    return np.concatenate([theta, far])


def _problems(law: CentredLaw, log_loss: Floats, starts: Floats, fixed: slice) -> Problems:
    """Pose one hypothesis: bounds that meet fix a parameter."""
    lower, upper = law.bounds()
    lower[fixed] = upper[fixed] = starts[0, fixed]
    return Problems(law.model, log_loss, np.ones_like(log_loss), starts, 1.0, lower, upper)


def _best(problems: Problems, delta: float) -> tuple[float, Floats]:
    """Give the highest log-likelihood from all starts, and where it lies."""
    solution = minimise_free_scale(FreeScale.of(problems, delta))
    best = int(solution.objective.argmin())
    points = problems.targets.shape[1]
    highest = log_likelihood(solution.objective[best], points, delta)
    return float(highest), solution.theta[best : best + 1]
