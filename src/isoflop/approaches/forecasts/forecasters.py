"""The ways to forecast that a backtest compares: laws, priors of gamma, mixtures and peers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Final, Literal

import numpy as np

from isoflop.approach import LAWS, NAMES
from isoflop.approaches.estimators.interaction_laws import RootFit, fit_law
from isoflop.approaches.estimators.registry import fit
from isoflop.approaches.forecasts.predictions import (
    Predictive,
    predict_losses,
    predict_optima,
)
from isoflop.approaches.forecasts.weights import (
    mixed_predictive,
    stacked_weights,
    unrejected_weights,
)
from isoflop.approaches.uncertainty.resampling import resample
from isoflop.approaches.uncertainty.streams import beside_the_streams
from isoflop.config.approaches import ExponentPrior
from isoflop.errors import UnderdeterminedError
from isoflop.estimates.interaction import HOFFMANN, Form
from isoflop.estimates.laws import RootLoss

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from isoflop.approach import Approach
    from isoflop.approaches.forecasts.predictions import ValleyNoise
    from isoflop.approaches.observations import Observations
    from isoflop.approaches.protocol import Fit, Refits
    from isoflop.config.approaches import ApproachesSettings
    from isoflop.estimates.backtest import Kind

    Floats = NDArray[np.float64]

FIXED_GAMMA: Final = 0.45
"""Where an audit of other studies fixed gamma, and the centre of its prior."""
AUDITED: Final = ExponentPrior(median=FIXED_GAMMA, sd=0.5)
LEAST_INNER: Final = 8
"""Fewest points below an inner cut."""


class HeldLoss(RootLoss):
    """L = E + (A / N**alpha + B / D**beta)**.45."""

    form: ClassVar[Form] = Form("held", HOFFMANN.names, gamma=FIXED_GAMMA)


class HeldFit(RootFit):
    """Gamma fixed where the audit had it."""

    kind = HeldLoss


SUFFIX: Final = "_priors"
"""Of the key of a law whose exponents have priors."""


@dataclass(frozen=True, eq=False)
class Minima:
    """Measured minima of the budgets above a cut, and how far one lies from its average.

    Attributes
    ----------
    flops : (budgets,) C [FLOP].
    log_loss : (budgets,) log of the loss there.
    noise : of a measured minimum, from the profiles below the cut.
    """

    flops: Floats
    log_loss: Floats
    noise: ValleyNoise


@dataclass(frozen=True, eq=False)
class Predicted:
    """What one candidate says of what is hidden.

    Attributes
    ----------
    losses : of every hidden point; None where it has no law of L(N, D).
    minima : losses at the hidden budgets' minima; None where there are none, or it says nothing.
    misfit : p-value of the misfit of its form to what was seen; None where it was not tested.
    """

    losses: Predictive | None
    minima: Predictive | None = None
    misfit: float | None = None


@dataclass(frozen=True, eq=False)
class Seen:
    """What a forecaster may use of one sweep.

    Attributes
    ----------
    below : points at or below the cut.
    targets : those above it; their losses are not looked at.
    settings : section ``approaches``; draws and seed are the bootstrap's.
    priors : by law, of its exponents, learned from other studies.
    minima : budgets above the cut; None where the profiles give none.
    """

    below: Observations
    targets: Observations
    settings: ApproachesSettings
    priors: Mapping[str, dict[str, ExponentPrior]] = field(default_factory=dict)
    minima: Minima | None = None


def law_predictive(key: str, seen: Seen) -> Predictive:
    """Forecast what is hidden by one law; see ``predict``."""
    fitted, refits, kept = _refitted(key, seen)
    return predict_losses(
        fitted, refits.parameters[kept], kept, seen.targets, seed=seen.settings.bootstrap.seed
    )


def predict(key: str, seen: Seen) -> Predicted:
    """Forecast by one law, or by approach 2's line, with the minima of hidden budgets.

    Parameters
    ----------
    key : of a law or ``LINE``, or ``held``, ``prior`` (of gamma, learned), a law with ``SUFFIX``
        (of every exponent, learned) or ``audited`` (the audit's prior of gamma).
    seen : the sweep.

    Raises
    ------
    UnderdeterminedError : the points do not allow the fit.
    """
    fitted, refits, kept = _refitted(key, seen)
    seed = seen.settings.bootstrap.seed
    losses = at_minima = None
    if key != LINE:
        losses = predict_losses(fitted, refits.parameters[kept], kept, seen.targets, seed=seed)
    if key in AT_MINIMA and seen.minima is not None:
        at_minima = _at_minima(fitted, refits, seen.minima, seed)
    return Predicted(losses, at_minima, fitted.misfit_p_value)


def _refitted(key: str, seen: Seen) -> tuple[Fit, Refits, NDArray[np.intp]]:
    """Fit, refit resamples, and give the numbers of those that are not refused."""
    fitted = _fitted(key, seen)
    refits = fitted.refit(resample(fitted, seen.settings.bootstrap, shared=False))
    kept = np.flatnonzero(refits.refusals == "")
    if len(kept) < 2:
        raise UnderdeterminedError(f"{key} could be fitted to {len(kept)} resamples")
    return fitted, refits, kept


def _at_minima(fitted: Fit, refits: Refits, minima: Minima, seed: int) -> Predictive | None:
    """Predict the losses at the hidden budgets' minima; None where the fit says none of some."""
    law = fitted.optima(refits.parameters, minima.flops).loss
    kept = np.flatnonzero((refits.refusals == "") & np.isfinite(law).all(axis=1))
    if len(kept) < 2:
        return None
    _, loss = predict_optima(
        fitted, refits.parameters[kept], kept, minima.flops, minima.noise, seed=seed
    )
    return replace(loss, log_law=np.log(law[kept])) if np.isfinite(loss.value).all() else None


def _fitted(key: str, seen: Seen) -> Fit:
    chosen = seen.settings
    if key == "held":
        return fit_law(seen.below, HeldFit, chosen.root, threads=1)
    if key == "audited":
        return _with_priors("nested", {"gamma": AUDITED}, seen)
    if key == "prior":
        return _with_priors("nested", {"gamma": seen.priors["nested"]["gamma"]}, seen)
    if key.endswith(SUFFIX):
        law = key.removesuffix(SUFFIX)
        return _with_priors(law, seen.priors[law], seen)
    return fit(seen.below, key, chosen, threads=1)


def _with_priors(law: str, priors: Mapping[str, ExponentPrior], seen: Seen) -> Fit:
    known = {f"{exponent}_prior": prior for exponent, prior in priors.items()}
    settings = getattr(seen.settings, law).model_copy(update=known)
    return fit(seen.below, law, seen.settings.model_copy(update={law: settings}), threads=1)


def scipy_predictive(seen: Seen) -> Predictive:
    """Forecast as a user of ``scipy.optimize.curve_fit`` would: Chinchilla's law, one start.

    Least squares on log L by ``curve_fit`` with its defaults, from the constants that everybody
    starts at (Hoffmann et al.'s), in the usual parameters log E, log A, log B, alpha, beta.
    Intervals are normal: the variance that its covariance gives log L (delta method), and the
    residuals' beside.

    Raises
    ------
    UnderdeterminedError : curve_fit gave up, or gave no covariance.
    """
    import warnings

    from scipy.optimize import OptimizeWarning, curve_fit

    below, targets = seen.below, seen.targets
    x = np.log(np.stack([below.params, below.tokens]))
    y = np.log(below.loss)
    with warnings.catch_warnings():
        warnings.simplefilter("error", OptimizeWarning)
        try:
            theta, covariance = curve_fit(_chinchilla, x, y, p0=START)
        except (RuntimeError, OptimizeWarning) as error:
            raise UnderdeterminedError(f"curve_fit: {error}") from error
    if not np.isfinite(covariance).all():
        raise UnderdeterminedError("curve_fit gave no covariance")
    at = np.log(np.stack([targets.params, targets.tokens]))
    middle = _chinchilla(at, *theta)
    gradient = _gradient(at, *theta)
    law_sd = np.sqrt(np.einsum("ni,ij,nj->n", gradient, covariance, gradient))
    spread = float(np.sqrt(np.sum((y - _chinchilla(x, *theta)) ** 2) / max(len(y) - 5, 1)))
    draws = seen.settings.bootstrap.draws
    generator = beside_the_streams(seen.settings.bootstrap.seed)
    log_law = middle + law_sd * generator.normal(size=(draws, 1))
    noise = spread * generator.normal(size=log_law.shape)
    spreads = np.full(len(middle), spread)
    return Predictive(np.exp(middle), np.exp(log_law + noise), np.arange(draws), log_law, spreads)


START: Final = (*np.log([1.69, 406.4, 410.7]).tolist(), 0.34, 0.28)


def _chinchilla(x: Floats, *theta: float) -> Floats:
    """Give log L at log N and log D, (2, points)."""
    e, a, b, alpha, beta = theta
    terms = np.stack([np.full(x.shape[1], e), a - alpha * x[0], b - beta * x[1]])
    return np.asarray(np.logaddexp.reduce(terms, axis=0))


def _gradient(x: Floats, *theta: float) -> Floats:
    """Differentiate ``_chinchilla`` in its parameters, (points, 5)."""
    e, a, b, alpha, beta = theta
    level = _chinchilla(x, *theta)
    floor = np.exp(e - level)
    p, q = np.exp(a - alpha * x[0] - level), np.exp(b - beta * x[1] - level)
    return np.stack([floor, p, q, -p * x[0], -q * x[1]], axis=-1)


@dataclass(frozen=True)
class Mixed:
    """A mixture that is tried: which laws, and where their weights come from."""

    laws: tuple[str, ...]
    weights: Literal["equal", "stacking", "errors", "unrejected"]


FOUR: Final = ("parametric", "root", "kaplan_law", "product")
NESTED_FOUR: Final = ("parametric", "nested", "kaplan_law", "product")
MIXTURES: Final[dict[str, Mixed]] = {
    "mixture": Mixed(LAWS, "unrejected"),
    "mixture_four": Mixed(FOUR, "equal"),
    "mixture_nested": Mixed(NESTED_FOUR, "equal"),
    "mixture_all": Mixed(LAWS, "equal"),
    "mixture_stacked": Mixed(FOUR, "stacking"),
    "mixture_errors": Mixed(FOUR, "errors"),
    "mixture_both_papers": Mixed(("parametric", "kaplan_law"), "equal"),
    "mixture_priors": Mixed(tuple(law + SUFFIX for law in LAWS), "unrejected"),
    "mixture_all_priors": Mixed(tuple(law + SUFFIX for law in LAWS), "equal"),
}
SINGLE: Final = (*LAWS, "no_floor", "held", "audited", "prior", *(law + SUFFIX for law in LAWS))
LINE: Final[Approach] = "profiles"
"""Approach 2: a line of the loss at the optimum, and no law of L(N, D)."""
BESIDE: Final = "mixture_line"
"""The recommended mixture with approach 2's line as one law more."""
AT_MINIMA: Final = (LINE, *LAWS)
"""Who says the loss at the minimum of a budget, with the mixtures of them."""
CHINCHILLA: Final = "parametric"
SCIPY: Final = "scipy"
LABELS: Final[dict[str, tuple[Kind, str]]] = {
    **{law: ("law", NAMES[law]) for law in (*LAWS, "no_floor")},
    "held": ("held", f"Nested law, gamma fixed at {FIXED_GAMMA}"),
    "audited": ("prior", f"Nested law, log gamma ~ N(ln {FIXED_GAMMA}, {AUDITED.sd}²)"),
    "prior": ("prior", "Nested law, prior of gamma"),
    **{law + SUFFIX: ("prior", f"{NAMES[law]}, priors of its exponents") for law in LAWS},
    "mixture": ("mixture", "Mixture of the laws that the points do not reject; equal"),
    "mixture_four": ("mixture", "Mixture: Chinchilla, root, Kaplan, product; equal"),
    "mixture_nested": ("mixture", "Mixture with the nested law for the root law; equal"),
    "mixture_all": ("mixture", "Mixture of all five laws; equal"),
    "mixture_stacked": ("mixture", "Mixture, stacked on inner cuts"),
    "mixture_errors": ("mixture", "Mixture, weights 1/rms² on inner cuts"),
    "mixture_both_papers": ("mixture", "Mean of Chinchilla and Kaplan"),
    "mixture_priors": ("mixture", "Mixture of the laws that the points do not reject, with priors"),
    "mixture_all_priors": ("mixture", "Mixture of all five laws, with priors; equal"),
    LINE: ("line", "Approach 2's line of the loss"),
    BESIDE: ("mixture", "Mixture with approach 2's line; equal"),
    SCIPY: ("peer", "scipy's curve_fit, Chinchilla's law"),
}
"""Kind and name of every candidate."""


def weights_for(
    mixed: Mixed,
    laws: Sequence[str],
    inner: Sequence[Mapping[str, tuple[Floats, float]]],
    rejected: Mapping[str, float | None],
) -> Floats:
    """Give the weights of a mixture's laws.

    Parameters
    ----------
    mixed : the mixture.
    laws : those of its laws that gave a forecast.
    inner : for each cut within what was seen, by law: log densities and mean square error.
    rejected : by law, p-value of its misfit.
    """
    equal = np.full(len(laws), 1.0 / len(laws))
    if mixed.weights == "unrejected":
        # a law is rejected by its fit without priors
        return unrejected_weights([rejected.get(law.removesuffix(SUFFIX)) for law in laws])
    complete = [scores for scores in inner if all(law in scores for law in laws)]
    if mixed.weights == "equal" or not complete:
        return equal
    if mixed.weights == "stacking":
        return stacked_weights(
            np.concatenate(
                [np.stack([scores[law][0] for law in laws], axis=1) for scores in complete]
            )
        )
    errors = np.array([np.mean([scores[law][1] for scores in complete]) for law in laws])
    return np.asarray((1.0 / errors) / (1.0 / errors).sum())


def mixture_predictive(
    predictives: Mapping[str, Predictive],
    weights: Mapping[str, float],
    settings: ApproachesSettings,
) -> Predictive:
    """Mix the forecasts of laws with weight."""
    taking = [law for law, weight in weights.items() if weight > 0.0]
    bootstrap = settings.bootstrap
    return mixed_predictive(
        [predictives[law] for law in taking],
        np.array([weights[law] for law in taking]) / sum(weights[law] for law in taking),
        draws=bootstrap.draws,
        seed=bootstrap.seed,
    )
