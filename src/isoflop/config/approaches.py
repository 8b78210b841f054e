"""Section `approaches`."""

from __future__ import annotations

import math
from typing import Annotated, Final, Literal, Self

from pydantic import Field, PlainSerializer, model_validator

from isoflop.approach import LAWS, Approach
from isoflop.config.reading import Section
from isoflop.counting import FlopsConvention, ParamsConvention

LEAST_BUDGETS: Final = 2
"""Fewest budgets that a line goes through."""
LEAST_SIZES: Final = 3
"""Fewest sizes that a parabola goes through: what a resample, too, must keep of a budget's."""

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Window = Literal["rule"] | Annotated[int, Field(ge=3)] | None


class CountingSettings(Section):
    """How N and C are counted; see docs/counting.md."""

    params: ParamsConvention = "total"
    """N: total | nonembedding (Kaplan) | with_head (Porian) | active (of experts those that a token
    goes through)."""
    flops: FlopsConvention = "6nd"
    """C: 6nd | kaplan | hoffmann | attention | active (6 times active N times D) | logged."""


class BootstrapSettings(Section):
    """How runs are resampled, and which intervals are derived from the draws."""

    draws: int = Field(default=4000, ge=0)
    """Refits per approach; 0 switches intervals off."""
    seed: int = Field(default=0, ge=0)
    """Of all draws and simulated sweeps but those from which the tests of laws within laws have
    their size: that is a fact of the design, and has a seed of its own. Draw i has random numbers
    of its own, so more draws leave the first ones as they were."""
    scheme: Literal["runs", "subsample", "residual", "wild"] = "runs"
    """runs: n runs with replacement; subsample: a share without replacement (Hoffmann et al.);
    residual | wild: refit fitted losses plus reshuffled | sign-flipped residuals."""
    stratify: bool = True
    """Resample within each planned budget, so that no draw loses one by chance."""
    subsample: float = Field(default=0.8, gt=0.0, lt=1.0)
    """Share of runs that scheme `subsample` keeps."""
    interval: Literal["percentile", "calibrated"] = "calibrated"
    """How intervals are read off the draws. percentile: at their own confidence level; calibrated:
    at the level, tail by tail, that covered the truth often enough in simulated sweeps of the same
    design, whichever law is true that the runs do not reject. Where no level does, no interval is
    given."""
    simulations: int = Field(default=80, ge=50)
    """Simulated sweeps of each such law behind calibrated intervals."""
    simulation_draws: int = Field(default=50, ge=40)
    """Refits of each simulated sweep."""


class EnvelopeSettings(Section):
    """Approach 1: the lowest loss over all curves at each C."""

    frontier: Literal["grid", "hull"] = "grid"
    """grid: lowest loss at log-spaced C (Hoffmann et al.); hull: vertices of the lower convex hull
    of log L over log C (Gemstones)."""
    grid_points: int = Field(default=1500, ge=10)
    """Values of C at which the lowest loss is taken (frontier `grid`)."""
    edge: Literal["trim", "keep"] = "trim"
    """trim: leave out where the smallest or the largest size wins, since one beyond it might have,
    and what lies beyond; keep: take the whole envelope (Hoffmann et al., Gemstones)."""
    min_points: int = Field(default=6, ge=2)
    """Fewest points of a curve that shows an envelope; min_sizes runs must have one (frontier
    `grid`)."""
    min_sizes: int = Field(default=3, ge=2)
    """Fewest distinct sizes on the envelope that is fitted; below it the fit is refused."""
    min_schedule_fraction: float = Field(default=0.5, ge=0.0, le=1.0)
    """Only points with at least this share of their schedule done (of the run's own length where
    the schedule is unknown); 0 takes the whole curve, as Hoffmann et al. and Gemstones did."""


class ProfilesSettings(Section):
    """Approach 2: the minimum of loss over size at each compute budget."""

    budgets: tuple[float, ...] | None = None
    """Budgets [FLOP]; by default the planned ones, or else groups of final C."""
    tolerance: float = Field(default=0.1, gt=0.0)
    """Largest relative distance of a run's C from its budget."""
    axis: Literal["each", "params", "tokens"] = "each"
    """each: the best N where the loss over log N is least, the best D where the loss over log D is
    (Hoffmann et al.); params | tokens: over log N | log D alone, the other from the budget."""
    curve: Literal["parabola", "log_parabola", "akima"] = "parabola"
    """parabola of L in log N (Hoffmann et al.); log_parabola: of log L; akima: spline of log L
    (Porian et al.)."""
    window: Window = "rule"
    """rule: the widest window of sizes over which the valleys show no lopsidedness that would move
    the minimum by half of its interval's half-width (docs/approaches.md); a number: only this many
    of the lowest losses of each budget; null: all."""
    min_sizes: int = Field(default=5, ge=LEAST_SIZES)
    """Fewest distinct sizes that a budget must have."""
    min_budgets: int = Field(default=3, ge=LEAST_BUDGETS)
    """Fewest budgets with a minimum inside their sizes."""
    interpolate: bool = False
    """Read every curve that passes a budget at exactly that C, instead of the ends of runs near it;
    in the middle of a schedule the loss is too high, after a constant rate it is not."""
    outliers: float | None = Field(default=None, gt=0.0)
    """Leave out runs whose externally studentised residual, about the parabola through the other
    runs of their budget, exceeds this; null leaves none out."""
    edge: Literal["refuse", "keep"] = "refuse"
    """refuse: leave a budget out whose minimum lies at or beyond its smallest or largest size;
    keep: take it all the same."""
    weights: Literal["equal", "variance"] = "equal"
    """How budgets weigh in the line through the minima; variance: 1 / variance of the minimum."""


HUBER_DELTA: Final = {"huber": 1e-3, "likelihood": 1.345}
"""Hoffmann's [log nat], and in units of the scale Holland and Welsch's (1977): 95 % as efficient as
least squares where the noise is normal."""


class ObjectiveSettings(Section):
    """What is minimised over the parameters of a law of log L."""

    objective: Literal["huber", "mse", "likelihood"]
    """See the laws."""
    huber_delta: float | None = Field(default=None, gt=0.0)
    """See the laws."""

    @property
    def delta(self) -> float:
        """Huber's delta, in the objective's own unit; infinite for squares."""
        if self.objective == "mse":
            return math.inf
        return HUBER_DELTA[self.objective] if self.huber_delta is None else self.huber_delta


class ExponentPrior(Section):
    """A normal prior of the log of an exponent."""

    median: float = Field(ge=1e-3, le=5.0)
    """exp of its mean; no exponent is fitted above 5."""
    sd: float = Field(ge=1e-6, le=1e6)
    """Of the exponent's log."""


class PriorSettings(ObjectiveSettings):
    """What is known of a law's exponents before the runs are seen; nothing by default."""

    alpha_prior: ExponentPrior | None = None
    """Prior of the exponent of N's whole term, `{median: 0.28, sd: 0.18}` for example: alpha, times
    gamma where the law has one; alpha_N of Kaplan's. Only with objective likelihood. Null lets the
    runs alone speak."""
    beta_prior: ExponentPrior | None = None
    """Prior of the exponent of D's whole term; alpha_D of Kaplan's law."""

    @property
    def priors(self) -> dict[str, ExponentPrior]:
        """Give the priors there are, by the exponent."""
        named = {"alpha": self.alpha_prior, "beta": self.beta_prior}
        return {name: prior for name, prior in named.items() if prior is not None}

    @model_validator(mode="after")
    def _priors_beside_a_likelihood(self) -> Self:
        if self.priors and self.objective != "likelihood":
            listed = ", ".join(f"{name}_prior" for name in self.priors)
            raise ValueError(f"{listed} asks for objective: likelihood")
        return self


class ParametricSettings(PriorSettings):
    """Approach 3: L(N, D) = E + A / N**alpha + B / D**beta."""

    objective: Literal["huber", "mse", "likelihood"] = "likelihood"
    """likelihood: Huber's density with a free scale, as efficient as squares and safe from strays;
    huber: sum of Huber(huber_delta) on log L, as Hoffmann et al. had it, which scatters a by 14 %
    more; mse: squares of the same residuals."""
    huber_delta: float | None = Field(default=None, gt=0.0)
    """Where Huber's loss turns from squares to absolute values; unit: log nat for huber, the fitted
    scale for likelihood. Null takes 1e-3 for huber (Hoffmann et al.) and 1.345 for likelihood;
    Besiroglu et al. had 1e-3 scales, which is a sum of absolute values."""
    exponents: Literal["free", "tied"] = "free"
    """tied: alpha = beta."""
    starts: Literal["hoffmann", "coarse"] = "hoffmann"
    """hoffmann: the paper's grid of 4,500 starts; coarse: 108 of a wider step."""
    points: Literal["final", "all"] = "final"
    """final: the last point of each run; all: whole curves."""
    drop_highest: int = Field(default=0, ge=0)
    """Leave out this many of the highest losses (5 for the digitised Hoffmann data)."""

    @model_validator(mode="after")
    def _one_prior_of_a_tied_exponent(self) -> Self:
        if self.exponents == "tied" and self.beta_prior is not None:
            raise ValueError("exponents: tied leaves one exponent; give its prior as alpha_prior")
        return self


class LawSettings(PriorSettings):
    """A law with an interaction of N and D; see docs/approaches.md, "The nested law"."""

    objective: Literal["huber", "mse", "likelihood"] = "likelihood"
    """likelihood: Huber's density with a free scale; huber: sum of Huber(huber_delta) on log L;
    mse: squares of the same residuals."""
    huber_delta: float | None = Field(default=None, gt=0.0)
    """Where Huber's loss turns from squares to absolute values; unit: log nat for huber, the fitted
    scale for likelihood. Null takes 1e-3 for huber and 1.345 for likelihood."""
    starts: Literal["coarse", "hoffmann"] = "coarse"
    """coarse: a grid around the data, with three values of gamma; hoffmann: the paper's grid of
    4,500 starts, with gamma = 1."""
    points: Literal["final", "all"] = "final"
    """final: the last point of each run; all: whole curves."""
    drop_highest: int = Field(default=0, ge=0)
    """Leave out the points with the k highest losses."""


class RootSettings(LawSettings):
    """The nested law with gamma = 1/2: the square root of a sum."""


class KaplanLawSettings(LawSettings):
    """Kaplan et al.'s L(N, D) of the final losses (2020, equation 1.5)."""


class NoFloorSettings(LawSettings):
    """The nested law with E = 0: no loss that size and data cannot lower."""


class ProductSettings(LawSettings):
    """Approach 3's law with a term of both: E + A/N**alpha + B/D**beta + G/(N**alpha D**beta)."""


class NestedSettings(LawSettings):
    """The nested law, whose gamma a short sweep determines poorly."""

    gamma_prior: ExponentPrior | None = None
    """Prior of gamma, `{median: 0.5, sd: 0.3}` for example."""

    @property
    def priors(self) -> dict[str, ExponentPrior]:
        """Give the priors there are, by the exponent."""
        known = {} if self.gamma_prior is None else {"gamma": self.gamma_prior}
        return super().priors | known


class KaplanSettings(Section):
    """The laws of Kaplan et al. (2020), fitted to the sweep as that paper did."""

    counting: CountingSettings = CountingSettings(params="nonembedding", flops="kaplan")
    """Kaplan counts neither embedding nor head."""
    grid_points: int = Field(default=1500, ge=10)
    """Values of C and D at which the frontier is taken."""
    edge: Literal["trim", "keep"] = "trim"
    """trim: leave the frontier out where the smallest or the largest size wins; keep: fit all of
    it."""
    min_points: int = Field(default=6, ge=2)
    """Fewest points of a curve that shows a frontier; min_sizes runs must have one."""
    min_sizes: int = Field(default=3, ge=2)
    """Fewest distinct sizes on the frontier that is fitted; below it the fit is refused."""


class OvertrainingSettings(Section):
    """The over-training law L = E + (A M**eta + B M**-eta) C**-eta, M = D/N (Gadre et al. 2024).

    Fitted only where a published study asks for it.
    """

    residual: Literal["loss", "log_loss"] = "loss"
    """Whose squares are summed: of the loss (Gadre et al.), or of its logarithm (log_loss)."""


class DataConstrainedSettings(Section):
    """The worth of repeated tokens (Muennighoff et al. 2023), given the law for fresh tokens.

    Fitted only where a published study asks for it.
    """

    E: float = Field(default=1.8690284, gt=0.0)
    """Irreducible loss of the law for fresh tokens, or where its fit starts [nat/token]; by default
    all five constants are the paper's on C4."""
    A: float = Field(default=520.8325, gt=0.0)
    """Scale of the term of N in the law for fresh tokens."""
    B: float = Field(default=1487.6731, gt=0.0)
    """Scale of the term of D in the law for fresh tokens."""
    alpha: float = Field(default=0.3526596, gt=0.0)
    """Exponent of N in the law for fresh tokens."""
    beta: float = Field(default=0.3526596, gt=0.0)
    """Exponent of D in the law for fresh tokens."""
    fit_E: bool = True
    """Fit E too: another corpus or tokenizer has another entropy. Without, E is as given above."""
    max_epochs: float | None = Field(default=None, gt=1.0)
    """Leave out runs with more epochs: the law has repeats worthless at worst, never harmful."""
    huber_delta: float = Field(default=1e-3, gt=0.0)
    """Where Huber's loss turns from squares to absolute values [log nat]."""


class ForecastSettings(Section):
    """How well each approach predicts the upper part of a sweep from its lower part."""

    min_budgets: int = Field(default=3, ge=LEAST_BUDGETS)
    """Fewest budgets below a cut; every gap between two budgets with at least this many below it is
    a cut."""
    draws: int = Field(default=1000, ge=2)
    """Refits per approach and cut; their seed and scheme are the bootstrap's."""
    starts: Literal["coarse", "hoffmann"] = "coarse"
    """Starts of approach 3 below a cut: hoffmann | coarse, which takes a tenth of the time."""


class MixtureSettings(Section):
    """How the laws of the loss are mixed into one answer."""

    laws: tuple[Approach, ...] = Field(default=LAWS, min_length=1)
    """Laws that may take part."""
    weights: Literal["unrejected", "equal", "stacking"] = "unrejected"
    """unrejected: the laws whose form the runs do not reject (score test, p < .001) count alike,
    and always the two least rejected; equal: all laws count alike; stacking: weights that would
    have forecast best above the cuts of section forecast, where there are two or more, else equal
    ones."""
    simulations: int = Field(default=100, ge=0)
    """Simulated sweeps for each mixed law taken for the truth, on which the mixture's coverage is
    checked; 0 checks none."""
    simulation_draws: int = Field(default=100, ge=40)
    """Refits of each of them."""

    @model_validator(mode="after")
    def _laws_of_the_set(self) -> Self:
        if odd := [law for law in self.laws if law not in LAWS]:
            raise ValueError(f"'{odd[0]}' is no law of the set; there are {', '.join(LAWS)}")
        if len(set(self.laws)) < len(self.laws):
            raise ValueError("a law stands twice in mixture.laws")
        return self


class EnvelopeGrid(Section):
    """Choices of Approach 1."""

    frontier: tuple[Literal["grid", "hull"], ...] = ("grid", "hull")
    """grid | hull; docs/approaches.md says why these."""
    edge: tuple[Literal["trim", "keep"], ...] = ("trim", "keep")
    """trim | keep."""
    min_schedule_fraction: tuple[Share, ...] = (0.0, 0.5, 0.8)
    """0 takes the whole curve; 0.8 only points near the end of their schedule."""


class ProfilesGrid(Section):
    """Choices of Approach 2."""

    axis: tuple[Literal["each", "params", "tokens"], ...] = ("each", "tokens")
    """each | params | tokens."""
    curve: tuple[Literal["parabola", "log_parabola", "akima"], ...] = (
        "parabola",
        "log_parabola",
        "akima",
    )
    """parabola | log_parabola | akima."""
    window: tuple[Window, ...] = ("rule", 5)
    """rule | how many of the lowest losses of each budget | null for all."""
    outliers: tuple[Positive | None, ...] = ()
    """Limits of the externally studentised residual; null is none."""
    weights: tuple[Literal["equal", "variance"], ...] = ("equal", "variance")
    """equal | variance."""


class ParametricGrid(Section):
    """Choices of Approach 3, from coarse starts."""

    objective: tuple[Literal["huber", "mse", "likelihood"], ...] = ("huber", "mse", "likelihood")
    """huber | mse | likelihood."""
    huber_delta: tuple[Positive, ...] = (1e-3, 1e-2)
    """Huber's delta [log nat] for huber; the other objectives take their own."""
    drop_highest: tuple[Annotated[int, Field(ge=0)], ...] = (0, 5)
    """How many of the highest losses are left out."""


class KaplanGrid(Section):
    """Choices of Kaplan's fit."""

    counting: tuple[CountingSettings, ...] = (
        CountingSettings(params="nonembedding", flops="kaplan"),
    )
    """Under any other counting it is the envelope of that counting, so one is enough."""
    edge: tuple[Literal["trim", "keep"], ...] = ("trim", "keep")
    """trim | keep."""


class SpecificationsSettings(Section):
    """The specification curve: each approach refitted under every combination of the choices below.

    The other settings are those above. An empty list leaves a choice as it is set above; what is
    set above is always among them.
    """

    draws: int = Field(default=200, ge=0)
    """Refits per specification; seed and scheme are the bootstrap's, intervals are percentiles."""
    loss: tuple[Literal["eval", "train"], ...] = ("eval", "train")
    """Whose loss is fitted, for all approaches; one that the sweep lacks is refused, with
    the reason."""
    counting: tuple[CountingSettings, ...] = (
        CountingSettings(params="total", flops="6nd"),
        CountingSettings(params="total", flops="hoffmann"),
        CountingSettings(params="with_head", flops="attention"),
        CountingSettings(params="nonembedding", flops="kaplan"),
        CountingSettings(params="nonembedding", flops="6nd"),
    )
    """How N and C are counted by envelope, profiles and parametric. By default as Hoffmann et al.
    do in C = 6ND and in their Appendix F, Porian et al. with the attention scores, and Kaplan et
    al.; the last is mixed, Kaplan's N against all of C."""
    envelope: EnvelopeGrid = EnvelopeGrid()
    profiles: ProfilesGrid = ProfilesGrid()
    parametric: ParametricGrid = ParametricGrid()
    kaplan: KaplanGrid = KaplanGrid()


class ApproachesSettings(Section):
    """How the approaches are fitted."""

    counting: CountingSettings = CountingSettings()
    """Shared by envelope, profiles and parametric."""
    bootstrap: BootstrapSettings = BootstrapSettings()
    """Shared by all approaches."""
    envelope: EnvelopeSettings = EnvelopeSettings()
    profiles: ProfilesSettings = ProfilesSettings()
    parametric: ParametricSettings = ParametricSettings()
    kaplan: KaplanSettings = KaplanSettings()
    overtraining: OvertrainingSettings = OvertrainingSettings()
    data_constrained: DataConstrainedSettings = DataConstrainedSettings()
    nested: NestedSettings = NestedSettings()
    root: RootSettings = RootSettings()
    kaplan_law: KaplanLawSettings = KaplanLawSettings()
    no_floor: NoFloorSettings = NoFloorSettings()
    product: ProductSettings = ProductSettings()
    forecast: ForecastSettings = ForecastSettings()
    mixture: MixtureSettings = MixtureSettings()
    specifications: SpecificationsSettings = SpecificationsSettings()

    def counting_of(self, approach: str) -> CountingSettings:
        """Give the conventions behind an approach's N and C: its section's, or else the shared."""
        counting: CountingSettings = getattr(getattr(self, approach), "counting", self.counting)
        return counting

    def without_priors(self) -> Self:
        """Give the same with every law fitted to its runs alone; itself where none has a prior."""
        known = {
            name: section.model_copy(update={f"{exponent}_prior": None for exponent in priors})
            for name in type(self).model_fields
            if isinstance(section := getattr(self, name), PriorSettings)
            and (priors := section.priors)
        }
        return self.model_copy(update=known) if known else self

    def only(self, *sections: str) -> ApproachesSettings:
        """Give these sections as they are; the others are unset, and not written."""
        return ApproachesSettings.model_validate(self.model_dump(include=set(sections)))


def _set_sections(settings: ApproachesSettings) -> dict[str, object]:
    return settings.model_dump(mode="json", exclude_unset=True)


UsedSettings = Annotated[ApproachesSettings, PlainSerializer(_set_sections)]
"""The sections behind a result (``ApproachesSettings.only``): its JSON has these and no others."""
