"""How each fit came about: one frozen model an approach, in which every key is known.

Approaches write them, figures and report read them; a key that one side renames is an error, and
never a zero on the page.
"""

from __future__ import annotations

import math
from typing import Annotated, Final, Literal, TypeVar

from pydantic import Field

from isoflop.config.reading import Section
from isoflop.counting import FlopsConvention, ParamsConvention

REJECTED: Final = 0.001
"""p-value of a law's form below which a reader is warned."""


ObjectiveKind = Literal[
    "huber",
    "mse",
    "likelihood",
    "least squares of log N on log C",
    "least squares of log L(N, D)",
    "least squares of L",
    "least squares of log L",
    "sum of Huber losses of log L",
    "least squares, a parabola per budget",
    "splines through all points; residuals are those of parabolas",
]
"""What a fit may minimise."""
OBJECTIVES: Final[dict[ObjectiveKind, str]] = {
    "huber": "sum of Huber losses of the residuals of log *L*",
    "mse": "sum of squares of the residuals of log *L*",
    "likelihood": "negative log-likelihood of log *L* under Huber’s density, its scale fitted",
    "least squares of log N on log C": "least squares of log *N* on log *C*",
    "least squares of log L(N, D)": "least squares of log *L*(*N*, *D*)",
    "least squares of L": "least squares of *L*",
    "least squares of log L": "least squares of log *L*",
    "sum of Huber losses of log L": "sum of Huber losses of log *L*",
    "least squares, a parabola per budget": "least squares, a parabola per budget",
    "splines through all points; residuals are those of parabolas": "splines through all points; "
    "residuals are those of parabolas",
}
"""The same in Markdown."""


class Account(Section):
    """How the solver fared; a closed form has neither starts nor tolerance."""

    objective_kind: ObjectiveKind
    """What was minimised."""
    objective: float
    """Its value at the optimum; minus the log-likelihood for `likelihood`."""
    starts: int | None
    starts_reaching_optimum: int | None
    """Starts that ended within 1e-6 relative of the best objective."""
    starts_converged: int | None
    tolerance: float | None
    """Relative gain at which the solver stops."""
    max_steps: int | None
    bounds_hit: list[str]
    """Parameters that ended at a bound."""
    condition_number: float | None
    """Of J'J with unit diagonal at the optimum: 1 where parameters are told apart; None where no
    law of the loss was fitted."""
    degrees_of_freedom: int


class Spread(Section):
    """Root mean square and median size of residuals."""

    rms: float
    median_absolute: float


class Residuals(Spread):
    """Residuals of log L at the fitted points, each list (points,)."""

    run: list[str]
    params: list[float]
    tokens: list[float]
    flops: list[float]
    loss: list[float]
    log_residual: list[float]
    """Log of observed less log of fitted loss."""


class Trend(Section):
    """A slope of residuals, and the p-value of a slope of zero (standard error HC1)."""

    slope: float
    p_value: float


class Trends(Section):
    """Trends of the residuals of log L over log N, log D and log C, each alone."""

    params: Trend
    tokens: Trend
    flops: Trend


LATE: Final = 0.85
"""Share of a run's C from which on its points are late: little of a schedule is left."""


class Winners(Section):
    """Who wins where on the frontier of all runs, by increasing C; each list (places,)."""

    run: list[str]
    flops: list[float]
    params: list[float]
    tokens: list[float]
    loss: list[float]
    late: list[bool]
    """Whether the point lies beyond `LATE` of its run."""
    fitted: list[bool]
    """Whether the place is fitted: edges may be left out."""


class EnvelopeDiagnostics(Section):
    """Approach 1."""

    approach: Literal["envelope"] = "envelope"
    account: Account
    residuals: Spread
    """Of log N about the fitted line."""
    trends: None = None
    """No loss was fitted."""
    frontier: Literal["grid", "hull"]
    points_on_frontier: int
    points_fitted: int
    late_winners: float
    """Share of the fitted points beyond `LATE` of their run."""
    sizes_that_win: int
    sizes: int
    residual_sd: float
    """Standard deviation of log N about the fitted line."""
    winners: Winners


class Coefficients(Section):
    """level + slope t + curvature t**2, t log of the axis less centre; None where undetermined."""

    centre: float
    level: float | None
    slope: float | None
    curvature: float | None


class Minimum(Section):
    """The minimum of a budget's profile."""

    params: float
    tokens: float
    loss: float


class Profile(Section):
    """One budget: its runs, each list (runs,), its curve and its minimum, or why it has none."""

    budget: float
    run: list[str]
    params: list[float]
    tokens: list[float]
    flops: list[float]
    loss: list[float]
    used: list[bool]
    coefficients: Coefficients
    accepted: bool
    reason: str | None
    """Why there is no usable minimum; None where there is one."""
    minimum: Minimum | None


class LeftOutRun(Section):
    """A run that no budget takes."""

    run: str
    reason: str


class AlongAxis(Section):
    """The exponents with every minimum taken along one axis."""

    a: float | None
    """None where too few budgets have a minimum along it."""
    b: float | None
    minima: int


class ProfilesDiagnostics(Section):
    """Approach 2."""

    approach: Literal["profiles"] = "profiles"
    account: Account
    residuals: Residuals
    trends: Trends
    axis: Literal["params", "tokens"]
    """Along which the profiles' curves are told."""
    along: dict[Literal["params", "tokens"], AlongAxis]
    curve: Literal["parabola", "log_parabola", "akima"]
    line: Spread
    """Of log N at the minima about the fitted line."""
    window: int | None
    """Sizes of a budget that are fitted, where they were chosen by rule."""
    minima: int
    """Budgets with a minimum that is fitted."""
    profiles: list[Profile]
    left_out: list[LeftOutRun]


class VariableProjection(Section):
    """The law by another route: least squares of relative errors, profiled over the exponents."""

    E: float
    A: float
    B: float
    alpha: float
    beta: float
    a: float
    rms: float


class ScoreTest(Section):
    """The residuals' dependence on one second-order direction, beside the law's derivatives."""

    coefficient: float | None
    """None where the derivatives span the direction."""
    p_value: float | None


class JointScoreTest(Section):
    """The same of all directions that are left, an F test."""

    statistic: float | None
    degrees_of_freedom: tuple[int, int] | None
    p_value: float | None


class ScoreTests(Section):
    """Tests of a law's form on its residuals, standard errors HC3."""

    params_squared: ScoreTest
    tokens_squared: ScoreTest
    params_times_tokens: ScoreTest
    joint: JointScoreTest


class PureError(Section):
    """Lack of fit against runs of one size and one token count."""

    sd: float
    """Standard deviation of log L between such runs."""
    degrees_of_freedom: int
    lack_of_fit_degrees_of_freedom: int
    statistic: float
    p_value: float


class LikelihoodTest(Section):
    """A likelihood ratio compared with chi-square."""

    statistic: float
    degrees_of_freedom: int
    p_value: float
    log10_p: float
    """Also where the p-value underflows."""


class LawTest(LikelihoodTest):
    """The test of a published law."""

    alpha: float
    beta: float


class LikelihoodRatios(Section):
    """Tests of published laws under Huber's density with a free scale."""

    delta: float
    """Where the density turns from normal to exponential, in units of the scale."""
    log_likelihood: float
    scale: float
    constants: dict[str, LawTest]
    """All five constants, by law; 5 degrees of freedom."""
    exponents: dict[str, LawTest]
    """alpha and beta, by law; 2."""
    parity: LikelihoodTest
    """alpha = beta; 1."""


class NoiseParts(Section):
    """Standard deviations of log L about a law, by what is shared (restricted maximum likelihood).

    They add in squares.
    """

    seed: float
    """What not even runs of one size and one token count share; without replicates, misfit too."""
    cell: float | None
    """What runs of one size and one token count share: the law's misfit there. None without
    replicates."""
    size: float | None
    """What runs of one size share. None where too few sizes have several token counts."""
    sizes: int
    cells: int
    """Pairs of size and token count."""
    replicates: int
    """Runs beyond the first of their cell."""

    @property
    def total(self) -> float:
        """Standard deviation of a run."""
        return math.hypot(self.seed, self.cell or 0.0, self.size or 0.0)


class ParametricDiagnostics(Section):
    """Approach 3."""

    approach: Literal["parametric"] = "parametric"
    account: Account
    residuals: Residuals
    trends: Trends
    huber_delta: float | None
    """None for squares."""
    scale: float | None
    """Fitted scale of the residuals; None unless the objective is `likelihood`."""
    log_likelihood: float | None
    misfit: ScoreTests
    pure_error: PureError | None
    """None without runs of one size and one token count."""
    noise_parts: NoiseParts | None
    """None where the design tells no part from another."""
    variable_projection: VariableProjection
    likelihood_ratios: LikelihoodRatios | None
    """None where no published law was given."""


class Counted(Section):
    """Kaplan's parameters under one counting, or why there are none."""

    params: ParamsConvention
    flops: FlopsConvention
    parameters: dict[str, float] | None
    refused: str | None


class KaplanDiagnostics(Section):
    """The laws of 2020; the account is that of L(N, D)."""

    approach: Literal["kaplan"] = "kaplan"
    account: Account
    residuals: Residuals
    trends: Trends
    sizes_that_win: int
    countings: list[Counted]
    """The fit's counting first."""
    winners: Winners


class OvertrainingDiagnostics(Section):
    """The over-training law."""

    approach: Literal["overtraining"] = "overtraining"
    account: Account
    residuals: Residuals
    trends: Trends
    residual: Literal["loss", "log_loss"]
    """Whose squares are summed."""
    tokens_per_param: list[float]
    """D / N of the fitted runs."""


class GivenConstants(Section):
    """Constants of the data-constrained law that are not fitted."""

    A: float
    B: float
    alpha: float
    beta: float


class DataConstrainedDiagnostics(Section):
    """The data-constrained law."""

    approach: Literal["data_constrained"] = "data_constrained"
    account: Account
    residuals: Residuals
    trends: Trends
    given: GivenConstants
    epochs: list[float]
    """D over unique tokens of the fitted runs."""


class SimulatedTest(Section):
    """A test's size and p-value by simulation under its hypothesis."""

    sweeps: int
    size: float
    """Share of the simulated sweeps that the test rejects at 5 %."""
    p_value: float


class NestingTest(Section):
    """The likelihood ratio of a special case, against an equal mixture of chi-squares."""

    statistic: float
    mixture: list[int]
    """Degrees of freedom of the mixture."""
    p_value: float
    log10_p: float
    parameters: dict[str, float]
    """Of the special case."""
    rms: float
    """Root mean square of its residuals of log L."""
    a: float
    """Its exponent of N_opt in C."""
    simulated: SimulatedTest | None


class NestingTests(Section):
    """Tests of the special cases that a law nests."""

    delta: float
    log_likelihood: float
    scale: float
    hypotheses: dict[str, NestingTest]


class CountedLaw(Section):
    """A law under one counting, or why there is none."""

    params: ParamsConvention
    flops: FlopsConvention
    parameters: dict[str, float] | None
    a: float | None
    rms: float | None
    hypotheses: dict[str, NestingTest]
    """Its special cases under this counting, without simulated sweeps; empty where it is refused,
    and for the fit's own counting, whose tests are ``nesting_tests``."""
    refused: str | None


class InteractionDiagnostics(Section):
    """A law in which size and data interact."""

    approach: Literal["nested", "root", "no_floor", "kaplan_law", "product"]
    account: Account
    residuals: Residuals
    trends: Trends
    huber_delta: float | None
    """None for squares."""
    scale: float | None
    """Fitted scale of the residuals; None unless the objective is `likelihood`."""
    log_likelihood: float | None
    nesting_tests: NestingTests
    misfit: ScoreTests
    pure_error: PureError | None
    """None without runs of one size and one token count."""
    noise_parts: NoiseParts | None
    """None where the design tells no part from another."""
    countings: list[CountedLaw]
    """The fit's counting first."""


Diagnostics = Annotated[
    EnvelopeDiagnostics
    | ProfilesDiagnostics
    | ParametricDiagnostics
    | KaplanDiagnostics
    | OvertrainingDiagnostics
    | DataConstrainedDiagnostics
    | InteractionDiagnostics,
    Field(discriminator="approach"),
]


def form_tests(fit: Diagnostics) -> ScoreTests | None:
    """Give the tests of a law's form; None for what is no law of the loss."""
    if isinstance(fit, ParametricDiagnostics | InteractionDiagnostics):
        return fit.misfit
    return None


def rejected_at(fit: Diagnostics) -> float | None:
    """Give the p-value with which the runs reject the form of a law; None where they do not."""
    tests = form_tests(fit)
    p_value = None if tests is None else tests.joint.p_value
    return p_value if p_value is not None and p_value < REJECTED else None


def lack_of_fit(fit: Diagnostics) -> float | None:
    """Give the p-value of a law's lack of fit against replicates; None where it has no such test.

    The tests of a form look for a shape in its residuals; this one asks whether there is anything
    in them beyond the noise.
    """
    if not isinstance(fit, ParametricDiagnostics | InteractionDiagnostics):
        return None
    return None if fit.pure_error is None else fit.pure_error.p_value


def misses(fit: Diagnostics) -> bool:
    """Tell whether a law misses its runs by more than replicates differ, a chance of REJECTED."""
    p_value = lack_of_fit(fit)
    return p_value is not None and p_value < REJECTED


def frontier_points(fit: Diagnostics) -> list[float] | None:
    """Give C of the points through which an approach drew its frontier [FLOP].

    Returns
    -------
    Of the winners or the minima that were fitted; None for a law of the loss, whose frontier
    follows from all its runs.
    """
    if isinstance(fit, ProfilesDiagnostics):
        return [p.budget for p in fit.profiles if p.accepted and p.minimum is not None]
    if isinstance(fit, EnvelopeDiagnostics | KaplanDiagnostics):
        pairs = zip(fit.winners.flops, fit.winners.fitted, strict=True)
        return [flops for flops, fitted in pairs if fitted]
    return None


Wanted = TypeVar("Wanted", bound=Section)


def expect(diagnostics: Diagnostics, model: type[Wanted]) -> Wanted:
    """Take diagnostics as those of the approach that the caller asked for.

    Raises
    ------
    TypeError : they are another approach's.
    """
    if not isinstance(diagnostics, model):
        raise TypeError(f"expected {model.__name__}, found {type(diagnostics).__name__}")
    return diagnostics
