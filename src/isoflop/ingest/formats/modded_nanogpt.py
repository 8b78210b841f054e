"""Logs of modded-nanogpt and parameter-golf: `step:125/6200 train_loss:5.3 train_time:10ms`.

Newer ones of modded-nanogpt print no training loss, newer ones of parameter-golf another line:
`500/20000 train_loss: 2.7 train_time: 0.8m`. A log of modded-nanogpt begins with the whole source,
which is no record; its batch stands there only, so sweep.yaml must give tokens per step.
parameter-golf prints parameters, batch and context. What its compressed model scores at the end is
no evaluation of the run.

Under a limit on time the learning rate of parameter-golf goes down with the time that is left, and
the number of steps in a line is but the most it may be: the schedule is as long as the run was when
it says that time is up.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from isoflop.ingest.reading.textlog import Header, Shape, TextFormat
from isoflop.ingest.words.numbers import NUMBER

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION = 4


def _facts(header: Mapping[str, Any]) -> Mapping[str, Any]:
    """Take the length of the schedule from where the run's time was up, if it had a limit."""
    facts = dict(header)
    limited, stopped = facts.pop("limit", None), facts.pop("stopped", None)
    return {**facts, "schedule.steps": stopped} if limited else facts


FORMAT = TextFormat(
    shapes=(
        Shape("step:", r"step:{step}/{of} train_loss:{train_loss} train_time:", ".*"),
        Shape(
            "step:",
            r"step:{step}/{of} val_loss:{loss__val}(?: val_bpb:{bits_per_byte__val})? train_time:",
            ".*",
        ),
        Shape("step:", r"step:{step}/{of} train_time:", ".*"),
        Shape(" train_loss: ", r"^{step}/{of} train_loss: {train_loss} train_time: ", ".*"),
        Shape(" val_loss: ", r"^{step}/{of} val_loss: {loss__val} val_bpb: {bits_per_byte__val}"),
    ),
    headers=(
        Header("model_params:", re.compile(r"^model_params: ?([0-9]+)"), "params.total"),
        Header(
            "train_batch_tokens:", re.compile(r"train_batch_tokens: ?([0-9]+)"), "tokens_per_step"
        ),
        Header(
            "seq_len:", re.compile(r"(?:\btrain_|\s)seq_len: ?([0-9]+)"), "architecture.seq_len"
        ),
        Header(
            "vocab_size", re.compile(r"\svocab_size(?:: ?|=)([0-9]+)"), "architecture.vocab_size"
        ),
        Header("seed:", re.compile(r"^ *seed: ?([0-9]+)"), "seed"),
        Header(
            "max_wallclock_seconds:", re.compile(rf"max_wallclock_seconds: ?({NUMBER})"), "limit"
        ),
        Header(
            "stopping_early:",
            re.compile(r"^stopping_early: wallclock_cap [^\n]*step: ?([0-9]+)/"),
            "stopped",
        ),
    ),
    facts=_facts,
    constants={"loss_kind": "instant", "loss_unit": "nats_per_token", "primary_eval": "val"},
)
