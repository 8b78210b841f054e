"""A design: what `plan-sweep` turns into the list of runs of a sweep (data/plans/designs/)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from isoflop.config.reading import Section


class TrainCorpus(Section):
    """The text a sweep is trained on."""

    name: str
    """Name of the recipe data/reference/corpora/<name>.yaml and of data/corpora/<name>.txt."""
    holdout_every: int = Field(gt=1)
    """Every k-th novel of the recipe's list is held out whole for validation; unit: novels."""


class TrainTokenizer(Section):
    """How text becomes tokens."""

    kind: Literal["bytes", "bpe"]
    """bytes: the 256 bytes; bpe: a byte-level BPE vocabulary trained on the training split."""
    vocab_size: int = Field(ge=256, le=65_536)
    """Rows of the embedding; 256 for bytes."""


class TrainOptimizer(Section):
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


class TrainEvaluation(Section):
    """How the validation loss is measured."""

    windows: int = Field(gt=0)
    """Fixed windows of seq_len tokens, spread evenly over the held-out novels."""
    evaluations: int = Field(gt=1)
    """Evaluations along a run, half log-spaced and half evenly spaced; the last at the end."""


class TrainLadder(Section):
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


class TrainOptimum(Section):
    """The optimal size expected before anything is trained: N = params (C/budget)^exponent."""

    params: float
    """Optimal size at the budget below; unit: parameters, by convention total."""
    budget: float
    """Budget at which it holds; unit: FLOP."""
    exponent: float
    """How it grows with compute; 0.5 as in Hoffmann et al. (2022)."""


class TrainTunedRate(Section):
    """The best peak learning rate found at one size."""

    params: float = Field(gt=0)
    """Size; unit: parameters, by convention total."""
    rate: float = Field(gt=0)
    """Its peak rate."""


class TrainLearningRate(Section):
    """Peak learning rate by size: a power law between each two tuned sizes, and beyond them."""

    tuned: tuple[TrainTunedRate, ...] = Field(min_length=2)
    """Tuned sizes, from small to large."""
    end_share: float = Field(gt=0, le=1)
    """The cosine ends at this share of the peak."""
    origin: str
    """Where the rates come from."""


class TrainTuning(Section):
    """A grid on which the learning rate is tuned; its runs are recorded under role tuning."""

    budget: float
    """Budget of each run; unit: FLOP."""
    params: tuple[float, ...]
    """Sizes to tune (the nearest on the ladder); unit: parameters, by convention total."""
    rates: tuple[float, ...]
    """Peak rates tried at each size."""


class TrainHorizons(Section):
    """Horizons of each size beside the IsoFLOP runs (Hoffmann et al. 2022, Approach 1)."""

    span: float = Field(ge=1)
    """Longest over shortest horizon of a size."""
    count: int = Field(ge=2)
    """Horizons of a size, log-spaced over the span."""
    near: float = Field(ge=1)
    """An IsoFLOP run within this factor of a horizon stands for it."""


class TrainReplicates(Section):
    """Cells trained with more seeds, for the noise."""

    budget: float
    """Budget of the cells; unit: FLOP."""
    params: tuple[float, ...]
    """Sizes of the cells (the nearest on the ladder); unit: parameters, by convention total."""
    seeds: tuple[int, ...]
    """Further seeds."""


class TrainCheck(Section):
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
    """Name and exponent of N_opt ~ C^exponent of each run."""


class TrainDesign(Section):
    """One sweep to plan."""

    description: str
    """What the sweep is for."""
    corpus: TrainCorpus
    tokenizer: TrainTokenizer
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
    ladder: TrainLadder
    """The sizes."""
    budgets: tuple[float, ...]
    """IsoFLOP budgets; unit: FLOP."""
    sizes_per_budget: int = Field(ge=5)
    """Sizes of the ladder at each budget, centred on the expected optimum."""
    optimum: TrainOptimum
    """Where the valleys are expected."""
    learning_rate: TrainLearningRate
    """The learning-rate rule."""
    warmup_share: float = Field(ge=0, lt=1)
    """Share of a run's steps that is linear warm-up."""
    optimizer: TrainOptimizer
    """AdamW."""
    evaluation: TrainEvaluation
    """Validation."""
    log_lines: int
    """Training lines per log, about."""
    seed: int
    """Seed of weights and data order, the same for all but the replicates."""
    tuning: tuple[TrainTuning, ...] = ()
    """Learning-rate tuning."""
    horizons: TrainHorizons | None = None
    """Horizons beside the IsoFLOP runs."""
    replicates: tuple[TrainReplicates, ...] = ()
    """Cells with more seeds."""
    check: TrainCheck | None = None
    """Matched-compute check runs."""
