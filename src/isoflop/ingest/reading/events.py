"""What a format's reader may say of a log, in the order in which the log says it.

Named tuples, not dataclasses: a log of a million lines makes a million of them. `run` is empty in
formats whose files hold one run; the file's name, or sweep.yaml, names it then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from isoflop.config.sidecar import RunFacts


class Facts(NamedTuple):
    """Something is known of the run besides its curve."""

    facts: RunFacts
    run: str = ""


class Point(NamedTuple):
    """A training line."""

    step: int
    """Updates made when the line was written."""
    tokens: float | None = None
    """D after this step [token]; None: step times tokens per step."""
    train_loss: float | None = None
    """In the log's own unit; NaN and infinity as they are."""
    lr: float | None = None
    grad_norm: float | None = None
    tokens_per_second: float | None = None
    flops: float | None = None
    """C after this step as the trainer counted it [FLOP]."""
    samples: float | None = None
    """Sequences after this step, where the log counts these; D follows with the context length."""
    step_seconds: float | None = None
    """Duration of the step, where the log gives that and no throughput."""
    rank: int | None = None
    """The process that wrote the line, where several write to one file."""
    run: str = ""
    phase: str | None = None
    """What was trained then, where that is not the pretraining: see `blocks.PLACED`."""
    epoch: float | None = None
    """How often the training data had been gone over after this step."""


class Evaluation(NamedTuple):
    """One metric on one eval set after one step."""

    step: int
    eval_set: str
    value: float
    metric: str = "loss"
    tokens: float | None = None
    run: str = ""
    samples: float | None = None
    rank: int | None = None
    phase: str | None = None


class Restart(NamedTuple):
    """Training went on from a checkpoint."""

    step: int | None = None
    """Updates made at the checkpoint, where the log says it; later ones are replayed."""
    run: str = ""


class Ended(NamedTuple):
    """The log itself says how the run ended."""

    status: Literal["finished", "truncated", "diverged", "crashed"]
    run: str = ""


class Identity(NamedTuple):
    """What tells the run from all others, in whichever files it is: its name need not."""

    key: str
    run: str = ""


class Written(NamedTuple):
    """When the first and the last of a run's records were logged [s since 1970]."""

    first: float
    last: float
    run: str = ""


class Excluded(NamedTuple):
    """A run that is left out, by the values of its row or by what its log says.

    `unless_named`: not where sweep.yaml names the run of its file. What comes from here on counts
    then, and the facts that come right before.
    """

    reason: str
    run: str
    unless_named: bool = False


class CountsLines(NamedTuple):
    """No updates are what steps of its records count, but its training lines, or their batches."""

    run: str = ""


class CountsBy(NamedTuple):
    """What a table's steps are called, where it or others may have steps of another kind."""

    column: str
    run: str = ""


class NamedByKind(NamedTuple):
    """A run of a table is called by a column that may name kinds of runs, as `model` does."""

    run: str = ""


class LeftOutRows(NamedTuple):
    """Rows of a table that sweep.yaml leaves out."""

    rows: int
    reason: str


class Remark(NamedTuple):
    """Something to know of the file."""

    text: str


class Anew(NamedTuple):
    """The reader begins again: nothing that it said so far counts."""


class Unread(NamedTuple):
    """A line that looks like a record of the format but is none."""


class Truncated(NamedTuple):
    """The log ends within a record."""


Event = (
    Facts
    | Point
    | Evaluation
    | Restart
    | Ended
    | Identity
    | Written
    | Excluded
    | CountsLines
    | CountsBy
    | NamedByKind
    | LeftOutRows
    | Remark
    | Anew
    | Unread
    | Truncated
)
