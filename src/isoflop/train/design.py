"""A design: what `plan-sweep` turns into the list of runs of a sweep (data/plans/designs/)."""

from __future__ import annotations

import math
from typing import Literal, Self

from pydantic import Field, model_validator

from isoflop.config.reading import Section
from isoflop.train.rate_law import RateLaw

Precision = Literal["by_device", "float32"]


class CorpusSettings(Section):
    """The text a sweep is trained on."""

    name: str
    """Name of the recipe data/reference/corpora/<name>.yaml and of data/corpora/<name>.txt."""
    holdout_every: int = Field(gt=1)
    """Every k-th novel of the recipe's list is held out whole for validation; unit: novels."""


class TokenizerSettings(Section):
    """How text becomes tokens."""

    kind: Literal["bytes", "bpe"]
    """bytes: the 256 bytes; bpe: a byte-level BPE vocabulary trained on the training split."""
    vocab_size: int = Field(ge=256, le=65_536)
    """Rows of the embedding; 256 for bytes."""


class OptimizerSettings(Section):
    """AdamW and what goes with it."""

    beta1: float
    """Decay of the first moment."""
    beta2: float
    """Decay of the second moment; nearer to 1 for small batches (Porian et al. 2024)."""
    eps: float
    """Added to the root of the second moment."""
    weight_decay: float
    """Decoupled, times the learning rate; matrices only, not norm gains."""
    grad_clip: float
    """Largest global norm of a gradient."""


class EvaluationSettings(Section):
    """How the validation loss is measured."""

    windows: int = Field(gt=0)
    """Fixed windows of seq_len tokens, spread evenly over the held-out novels, for the final loss;
    for the curve too, unless curve_windows is given."""
    evaluations: int = Field(gt=1)
    """Evaluations along a run, the last at the end."""
    curve_windows: int | None = Field(default=None, gt=0)
    """Windows of the evaluations along the run, an even choice of all windows; their set is logged
    under a name of its own, at the end as well."""
    spacing: Literal["mixed", "log"] = "mixed"
    """mixed: half the evaluations log-spaced and half evenly spaced; log: all log-spaced."""


class Ladder(Section):
    """The sizes of a sweep: one ladder for all budgets, so a size recurs at several horizons."""

    smallest: float
    """Smallest size; unit: parameters, by convention total."""
    largest: float
    """Largest size; unit: parameters, by convention total."""
    sizes: int = Field(ge=3)
    """Number of sizes, log-spaced from smallest to largest."""
    aspect: float
    """Width over depth (d_model / layers) to aim at."""
    d_head: int
    """Width of an attention head to aim at."""
    width_step: int = Field(default=8, gt=0)
    """Widths are multiples of this; it is even, since rotary positions turn pairs."""
    min_layers: int = Field(default=1, gt=0)
    """Least depth."""
    queries_per_key: int = Field(default=1, gt=0)
    """Query heads that share one head of keys and values, where the heads can be so divided."""


class Optimum(Section):
    """The optimal size expected before anything is trained: N = params (C/budget)^exponent."""

    params: float
    """Optimal size at the budget below; unit: parameters, by convention total."""
    budget: float
    """Budget at which this is so; unit: FLOP."""
    exponent: float
    """How it grows with compute; 0.5 as in Hoffmann et al. (2022)."""


class TunedRate(Section):
    """The best peak learning rate found at one size."""

    params: float = Field(gt=0)
    """Size; unit: parameters, by convention total."""
    rate: float = Field(gt=0)
    """Its peak rate."""


class RateGuess(Section):
    """Centres of tuning grids: rate (N / params)^params_exponent (D / tokens)^tokens_exponent."""

    rate: float = Field(gt=0)
    """Peak rate at the size and horizon below."""
    params: float = Field(gt=0)
    """Size; unit: parameters, by convention total."""
    tokens: float = Field(gt=0)
    """Horizon; unit: tokens."""
    params_exponent: float
    """How the rate goes with size."""
    tokens_exponent: float
    """How the rate goes with the horizon."""

    def law(self) -> RateLaw:
        """Give the guess in the form of a law; its curvature says nothing."""
        logs = self.params_exponent * math.log(self.params)
        logs += self.tokens_exponent * math.log(self.tokens)
        return RateLaw(
            intercept=math.log(self.rate) - logs,
            params_exponent=self.params_exponent,
            tokens_exponent=self.tokens_exponent,
            curvature=1.0,
        )


class LearningRate(Section):
    """Peak learning rate: by size from tuned sizes, or by size and horizon from a fitted law."""

    tuned: tuple[TunedRate, ...] = ()
    """Tuned sizes, from small to large: a power law between each two, and beyond them. Empty: the
    rates come from the law that `isoflop fit-rates` takes from the tuning runs."""
    guess: RateGuess | None = None
    """Where the tuning grids of a law are centred."""
    end_share: float = Field(gt=0, le=1)
    """The cosine ends at this share of the peak."""
    origin: str
    """Where the rates come from."""

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        if bool(self.tuned) == (self.guess is not None) or len(self.tuned) == 1:
            raise ValueError("give either two sizes or more under 'tuned', or a 'guess'")
        return self


class RateGridCell(Section):
    """A cell of the grid that the law of rates is fitted to."""

    params: float = Field(gt=0)
    """Size (the nearest on the ladder); unit: parameters, by convention total."""
    tokens_per_param: float = Field(gt=0)
    """Horizon over size."""


class RateGrid(Section):
    """Learning-rate grids over size and horizon, around the guess; role tuning."""

    rates: int = Field(ge=3)
    """Rates of a cell."""
    factor: float = Field(gt=1)
    """Between two rates."""
    cells: tuple[RateGridCell, ...]
    """The cells."""


class RateCheck(Section):
    """Cells of the IsoFLOP grid that are trained at other rates too, to check the law."""

    budget: float
    """Budget of the cells; unit: FLOP."""
    params: tuple[float, ...]
    """Their sizes (the nearest on the ladder); unit: parameters, by convention total."""
    factors: tuple[float, ...]
    """Times the law's rate."""
    seeds: tuple[int, ...] = (0,)
    """Seeds of each rate."""


class Batches(Section):
    """Cells of the IsoFLOP grid that are trained with other batches too; role tuning."""

    budget: float
    """Budget of the cells; unit: FLOP."""
    params: tuple[float, ...]
    """Their sizes (the nearest on the ladder); unit: parameters, by convention total."""
    tokens_per_step: tuple[int, ...]
    """Batches tried; unit: tokens."""
    rate_exponent: float
    """Rates go with the batch to this power; 0.5 for Adam (Malladi et al. 2022)."""


class Trunks(Section):
    """Constant rates with a decay at several horizons (Hägele et al. 2024).

    The trunk of a size is a run of its longest horizon, constant and then decayed; the shorter
    horizons are cooldowns that branch off it.
    """

    params: tuple[float, ...]
    """Sizes (the nearest on the ladder); unit: parameters, by convention total."""
    tokens_per_param: tuple[float, ...] = Field(min_length=1)
    """Horizons over size, decay included."""
    decay_share: float = Field(gt=0, lt=1)
    """Share of a horizon that is the decay."""
    rate_share: float = Field(gt=0)
    """Constant rate over the law's rate for a cosine of the middle horizon."""


class Tuning(Section):
    """A grid on which the learning rate is tuned; its runs are recorded under role tuning."""

    budget: float
    """Budget of each run; unit: FLOP."""
    params: tuple[float, ...]
    """Sizes to tune (the nearest on the ladder); unit: parameters, by convention total."""
    rates: tuple[float, ...]
    """Peak rates tried at each size."""


class Horizons(Section):
    """Horizons of each size beside the IsoFLOP runs (Hoffmann et al. 2022, Approach 1)."""

    span: float = Field(ge=1)
    """Longest over shortest horizon of a size."""
    count: int = Field(ge=2)
    """Horizons of a size, log-spaced over the span."""
    near: float = Field(ge=1)
    """An IsoFLOP run within this factor of a horizon stands for it."""


class Replicates(Section):
    """Cells trained with more seeds, for the noise."""

    budget: float
    """Budget of the cells; unit: FLOP."""
    params: tuple[float, ...] = ()
    """Sizes of the cells (the nearest on the ladder); unit: parameters, by convention total."""
    nearest: int | None = Field(default=None, gt=0)
    """Instead of sizes: this many of the budget's, nearest to its expected optimum."""
    seeds: tuple[int, ...]
    """Further seeds."""


class Check(Section):
    """Matched-compute runs above the fitted budgets, one per exponent."""

    budget: float
    """Their budget; unit: FLOP."""
    middle_budget: float
    """Budget whose measured optimum they start from; unit: FLOP."""
    optimum_params: float
    """The measured optimum there; unit: parameters, by convention total."""
    origin: str
    """How it was measured."""
    exponents: dict[str, float]
    """Name and exponent of N_opt ~ C^exponent of each run; of kaplan and chinchilla the plan says
    that theirs gave the run its size (`sized_by`)."""
    seeds: tuple[int, ...] = (0,)
    """Seeds of each size; several tell a difference from the luck of two runs."""


class AnnouncedRates(Section):
    """Announced sizes that are trained at other rates too, to see what the law's rate costs there.

    They are trained after the announced runs, and their role is tuning.
    """

    params: tuple[float, ...] = Field(min_length=1)
    """Sizes (the nearest on the ladder); unit: parameters, by convention total."""
    factors: tuple[float, ...] = Field(min_length=1)
    """Times the law's rate."""
    seeds: tuple[int, ...] = (0,)
    """Seeds of each rate."""


class Announced(Section):
    """Runs above the fitted budgets, whose losses are announced before they are trained.

    Their role is check, and they are trained last.
    """

    budget: float
    """Their budget; unit: FLOP."""
    params: tuple[float, ...] = Field(min_length=1)
    """Their sizes (the nearest on the ladder); unit: parameters, by convention total."""
    seeds: tuple[int, ...] = (0,)
    """Seeds of each."""
    rates: AnnouncedRates | None = None
    """Other rates."""


class Design(Section):
    """One sweep to plan."""

    description: str
    """What the sweep is for."""
    corpus: CorpusSettings
    tokenizer: TokenizerSettings
    seq_len: int
    """Context; unit: tokens."""
    tokens_per_step: int
    """Batch; unit: tokens."""
    tied: bool
    """Whether the head reuses the embedding."""
    gated: bool
    """Whether the feed-forward layer is gated."""
    qk_norm: bool
    """Whether queries and keys are normed; steadier at high learning rates."""
    flops_convention: Literal["6nd", "hoffmann", "attention", "kaplan"]
    """Which FLOPs per token turn a budget into tokens."""
    ladder: Ladder
    """The sizes."""
    budgets: tuple[float, ...]
    """IsoFLOP budgets; unit: FLOP."""
    sizes_per_budget: int = Field(ge=5)
    """Sizes of the ladder at each budget, centred on the expected optimum."""
    wings: int = Field(default=0, ge=0)
    """Rungs left out, where there are any, before the outermost size on either side: as many sizes
    see more of the valley."""
    optimum: Optimum
    """Where the valleys are expected."""
    learning_rate: LearningRate
    """The learning-rate rule."""
    warmup_share: float = Field(ge=0, lt=1)
    """Share of a run's steps that is linear warm-up."""
    optimizer: OptimizerSettings
    """AdamW."""
    precision: Precision = "by_device"
    """by_device: bfloat16 autocast on a GPU, float32 on a CPU; float32: everywhere, so that runs
    trained on one and on the other belong to one sweep."""
    evaluation: EvaluationSettings
    """Validation."""
    log_lines: int
    """Training lines per log, about."""
    seed: int
    """Number of the first replicate of every cell."""
    seeds: Literal["shared", "own"] = "shared"
    """shared: the number seeds weights and order, the same for all but the replicates; own: every
    run has weights and an order of its own, drawn from its name."""
    tuning: tuple[Tuning, ...] = ()
    """Learning-rate tuning."""
    horizons: Horizons | None = None
    """Horizons beside the IsoFLOP runs."""
    replicates: tuple[Replicates, ...] = ()
    """Cells with more seeds."""
    check: Check | None = None
    """Matched-compute check runs."""
    announced: Announced | None = None
    """Runs whose losses are announced (`isoflop announce-losses`)."""
    rate_grid: RateGrid | None = None
    """What the law of rates is fitted to."""
    rate_checks: RateCheck | None = None
    """Cells that check the law of rates."""
    batches: tuple[Batches, ...] = ()
    """Cells with other batches."""
    trunks: Trunks | None = None
    """Constant rates with cooldowns."""
    stages: tuple[float, ...] = ()
    """Budgets that end a stage: rows up to the first are trained together, then those up to the
    second, and so on; unit: FLOP. Empty: no stages, runs in the order of the plan."""
