r"""What nanochat prints: `step 00012/21400 (0.06%) | loss: 7.246413 | lrm: 1.00 | dt: ...`.

The printed loss is a debiased moving average; `lrm` is a multiplier of the learning rates, and is
not kept as one. One file holds pretraining and then mid-training and fine-tuning, whose evaluations
look the same: what follows a loaded checkpoint is of another phase, until the next run begins. The
project of W&B tells which, or the checkpoint: fine-tuning starts from that of mid-training, and
since 2026 from that of the pretraining, whose settings it says to inherit.

autoresearch, made of it, trains for some minutes: `step 00042 (8.3%) | loss: ... | remaining: 9s`.
Its line names no last step, and its batch is printed nowhere. The block at its end tells the one
evaluation, and how many updates there were, which is the length of its schedule: that goes by time.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from isoflop.ingest.reading.events import Evaluation
from isoflop.ingest.reading.textlog import Header, Phase, Shape, ShapeReader, TextFormat
from isoflop.ingest.words.numbers import NUMBER, number, step_number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from isoflop.ingest.reading.events import Event

VERSION = 7

WINDOW: Final = 10
"""Updates of the moving average, which keeps nine tenths of its last value at each."""

_SCORE = re.compile(rf"^val_bpb: +({NUMBER})$")
_STEPS = re.compile(r"^num_steps: +([0-9]+)$")


class Reader(ShapeReader):
    """The lines of nanochat, and the block at the end of autoresearch's."""

    def __init__(self) -> None:
        super().__init__(FORMAT)
        self._score: float | None = None

    def line(self, line: str) -> Iterator[Event]:
        """Say what a line tells; see `textlog.LineReader`."""
        at_end = self.begun and line.endswith("\n")
        if at_end and (match := _SCORE.match(line)):
            self._score = number(match[1])
        elif at_end and (match := _STEPS.match(line)):
            step = step_number(match[1])
            if step is not None and self._score is not None:
                self.header["schedule.steps"] = float(step)
                yield from self.begin()
                yield Evaluation(step, "val", self._score, "bits_per_byte")
        else:
            yield from super().line(line)


FORMAT = TextFormat(
    shapes=(
        Shape(
            "step ",
            r"step {step}/{of} \([0-9.]+%\) \| loss: {train_loss} \| "
            r"(?:grad norm: {grad_norm} \| )?lrm: ",
            ".*",
        ),
        Shape(
            "step ",
            r"step {step} \([0-9.]+%\) \| loss: {train_loss} \| lrm: [^\n]*? remaining: ",
            ".*",
        ),
        Shape("Validation bpb: ", r"Step {step} \| Validation bpb: {bits_per_byte__val}"),
        # how long later phases are shows when their data are at their end
        Shape(
            "step ",
            r"step {step} \([0-9.]+%\) \| loss: {train_loss} \| lrm: [^\n]*? total time: ",
            ".*",
            phase="mid",
        ),
        Shape(
            "Training loss: ",
            r"Step {step}/{of} \| Training loss: {train_loss} ?\| lrm: ",
            ".*",
            phase="sft",
        ),
        Shape("Validation loss: ", r"Step {step} \| Validation loss: {loss__val}", phase="sft"),
    ),
    headers=(
        Header(
            "Number of parameters: ",
            re.compile(r"^Number of parameters: ([0-9]+(?:,[0-9]{3})*)"),
            "params.total",
        ),
        Header("total", re.compile(r"^ *total +: ([0-9]+(?:,[0-9]{3})*)"), "params.total"),
        Header(
            "Total batch size ",
            re.compile(r"^Total batch size ([0-9]+(?:,[0-9]{3})*)"),
            "tokens_per_step",
        ),
        Header(
            "Estimated FLOPs per token: ",
            re.compile(r"^Estimated FLOPs per token: (\S+)"),
            "flops_per_token",
        ),
        Header(
            "Vocab size: ",
            re.compile(r"^Vocab size: ([0-9]+(?:,[0-9]{3})*)"),
            "architecture.vocab_size",
        ),
        *(
            Header(name, re.compile(rf"""^(?:Model config: .*'|  "){name}['"]: ([0-9]+)"""), fact)
            for name, fact in (
                ("n_layer", "architecture.layers"),
                ("n_embd", "architecture.d_model"),
                ("n_head", "architecture.heads"),
                ("n_kv_head", "architecture.kv_heads"),
                ("sequence_len", "architecture.seq_len"),
            )
        ),
        Header("num_layers: ", re.compile(r"^num_layers: ([0-9]+)"), "architecture.layers"),
        Header("model_dim: ", re.compile(r"^model_dim: ([0-9]+)"), "architecture.d_model"),
        Header("num_kv_heads: ", re.compile(r"^num_kv_heads: ([0-9]+)"), "architecture.kv_heads"),
        Header("num_heads: ", re.compile(r"^num_heads: ([0-9]+)"), "architecture.heads"),
        Header(
            "Tokens / micro-batch / rank: ",
            re.compile(r"^Tokens / micro-batch / rank: [0-9]+ x ([0-9]+)"),
            "architecture.seq_len",
        ),
    ),
    constants={"loss_kind": "ema", "loss_window": WINDOW, "loss_unit": "nats_per_token"},
    launch="Vocab size: ",
    phases=(
        Phase("/nanochat-mid", "mid"),
        Phase("/nanochat-sft", "sft"),
        Phase("/nanochat-rl", "rl"),
        Phase("Inherited max_seq_len=", "sft"),
        Phase("Training mixture: ", "sft"),
        Phase("Loading model from ", "sft", re.compile(r"Loading model from \S*mid_checkpoints/")),
        Phase("Loading model from ", "rl", re.compile(r"Loading model from \S*sft_checkpoints/")),
        Phase("Loading model from ", "mid", re.compile(r"Loading model from \S*base_checkpoints/")),
        Phase("Loading model from ", "another"),
    ),
    reader=Reader,
    triggers=("val_bpb: ", "num_steps: "),
)
