"""Section `ingest`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import ConfigDict, Field, model_validator

from isoflop.config.reading import Inline, Section


class Gate(Inline):
    """What a check of plausibility does to a run that fails it."""

    # a part that is left out keeps its default
    model_config = ConfigDict(json_schema_extra=lambda schema: schema.pop("required", None))

    action: Literal["exclude", "warn", "off"]
    """exclude: the run is left out; warn: its notes and the report say so; off: not tested."""


class AtLeast(Gate):
    """A check of a number that should not be small."""

    least: float
    """The smallest plausible value."""


class AtMost(Gate):
    """A check of a number that should not be large."""

    most: float
    """The largest plausible value."""


class Within(Gate):
    """A check of a number that should lie in a range."""

    low: float
    """The smallest plausible value."""
    high: float
    """The largest plausible value."""


class GatesSettings(Section):
    """Checks of plausibility, over every run.

    action: exclude leaves a run that fails out; warn tells of it in notes and report; off. Where a
    run is right nevertheless, `overrule:` in sweep.yaml accepts it, with a reason that is printed.
    """

    uniform_guess: AtLeast = AtLeast(action="exclude", least=1.0)
    """By how much the final loss is below a uniform guess, ln V [nat/token]."""
    high_loss: AtMost = AtMost(action="exclude", most=6.0)
    """Final loss [nat/token] of a run with more than 10 tokens per parameter. A run that passes
    `trend` is told of and not left out, where most of that trend's runs end below."""
    beyond_vocabularies: AtMost = AtMost(action="exclude", most=15.0)
    """Final loss [nat/token]: ln V of three million tokens, which no vocabulary has."""
    low_start: AtLeast = AtLeast(action="warn", least=0.69)
    """First training loss [nat/token] of a log that begins within the first fiftieth of its steps:
    a model that is not trained yet has ln V, and ln 2 or more."""
    trend: AtMost = AtMost(action="exclude", most=8.0)
    """Distance of ln(final loss) from a robust plane in ln N and ln D over the sweep, in robust
    standard deviations, where it is also above 0.3; of 8 or more finished runs of one text and
    vocabulary."""
    duplicate: AtMost = AtMost(action="exclude", most=4.0)
    """Points of a curve that equals, value by value, that of a run with an earlier name."""
    impossible_loss: AtMost = AtMost(action="warn", most=0.0)
    """Losses of 0 or below, which no cross-entropy is; a run without any other is left out."""
    train_eval_gap: AtMost = AtMost(action="warn", most=1.0)
    """Distance between training and eval loss at the end [nat/token]."""
    loss_rises: AtMost = AtMost(action="warn", most=0.0)
    """By how much the training loss, or else the eval loss, rose from first to last [nat/token]."""
    spikes: AtMost = AtMost(action="warn", most=30.0)
    """Height of the highest spike of the training loss above the lines before and after it, in
    robust standard deviations of a line's noise, where it is also more than 0.1 nat."""
    tokens_fall: AtMost = AtMost(action="warn", most=0.0)
    """Largest fall of D from one step to a later one [token]."""
    tokens_still: AtMost = AtMost(action="exclude", most=0.25)
    """Longest stretch of steps in which D does not rise, over all steps: a run whose `tokens` are
    those of one step."""
    tokens_per_step: AtMost = AtMost(action="warn", most=0.01)
    """Relative distance of D from step times tokens per step."""
    tokens_per_param: Within = Within(action="warn", low=1e-3, high=1e5)
    """D over N of a run that is done: less or more comes of N, D or tokens per step in thousands,
    millions or billions."""
    flops_ratio: Within = Within(action="warn", low=0.8, high=2.5)
    """Logged FLOPs over 6ND: attention and recomputation raise it, uncounted logits lower it."""
    params_of_shape: AtMost = AtMost(action="warn", most=0.3)
    """Relative distance of N_nonembedding from the matrices of the shape."""
    schedule_done: AtLeast = AtLeast(action="warn", least=0.99)
    """Share of its learning-rate schedule that the run has done. What its last loss is good for,
    losses.min_schedule_fraction decides; exclude here leaves its curve out, too."""
    past_schedule: AtMost = AtMost(action="exclude", most=1.05)
    """D over the length of the schedule. A run whose length is not of sweep.yaml but of its log is
    told of and not left out: it may go on at its last rate."""
    hole: AtMost = AtMost(action="warn", most=10.0)
    """Widest distance between two training lines, or of the first from step 0, in usual ones (the
    median)."""
    not_finite_inside: AtMost = AtMost(action="warn", most=0.0)
    """Lines with NaN or infinity in a run that goes on with finite losses."""
    replay: AtMost = AtMost(action="warn", most=0.5)
    """Difference between a replayed training loss and its first value [nat/token]."""
    several_runs: AtMost = AtMost(action="exclude", most=0.98)
    """Share of its schedule, or else of its D, that a run had done before its log goes back to its
    first step: above it, the file holds several runs. A run that began anew because it crashed has
    done less."""
    sampled: AtMost = AtMost(action="warn", most=499.0)
    """Points of a table's run if they are exactly 500: W&B's run.history() samples 500 of however
    many there are."""
    few_digits: AtMost = AtMost(action="warn", most=0.0005)
    """Unit of the last digit that a run's losses are written with [nat/token]."""
    peak_rates: AtMost = AtMost(action="warn", most=1.0)
    """Different peak learning rates among the runs of one N and D (within 1 %). exclude leaves all
    of them out: which is tuned, only a sweep.yaml can say; losses.rates keeps the best."""

    @model_validator(mode="before")
    @classmethod
    def _over_defaults(cls, content: Any) -> Any:
        """Lay the parts of a check that are given over its defaults."""
        if not isinstance(content, Mapping):
            return content
        return {
            key: {**cls.model_fields[key].default.model_dump(), **value}
            if key in cls.model_fields and isinstance(value, Mapping)
            else value
            for key, value in content.items()
        }


class IngestSettings(Section):
    """How raw logs are read."""

    on_unreadable: Literal["record", "stop"] = "record"
    """record: the report says why a file could not be read; stop: that is an error (for CI)."""
    on_missing: Literal["leave_out", "stop"] = "leave_out"
    """leave_out: a run that lacks a fact (its N, its schedule) is left out, with the line to add to
    sweep.yaml as its reason; stop: that is an error (while a sweep is set up, and for CI)."""
    gates: GatesSettings = Field(default=GatesSettings())
