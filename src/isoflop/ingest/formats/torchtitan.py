"""What torchtitan prints: `step:  5  loss:  8.1309  grad_norm:  2.1  memory: ...  tps: 7,282  ...`.

The loss is that step's, averaged over all ranks; with every rank printing, one rank's lines are
kept. The header gives parameters, batch, context and steps, and since 2026 what a token goes
through of the parameters; it names neither the schedule's kind nor the learning rate.
"""

from __future__ import annotations

import re

from isoflop.ingest.reading.textlog import Header, Shape, TextFormat

VERSION = 4

FORMAT = TextFormat(
    shapes=(
        Shape("validate step:", r"validate step: *{step} +loss: *{loss__validation}", ".*"),
        Shape(
            "step:",
            r"step: *{step} +loss: *{train_loss}(?: +grad_norm: *{grad_norm})? +memory: ",
            ".*",
        ),
    ),
    headers=(
        Header(
            "total parameters",
            re.compile(r"size: ([0-9]+(?:,[0-9]{3})*) total parameters"),
            "params.total",
        ),
        Header(
            "Total parameter count",
            re.compile(r"dense ([0-9]+(?:,[0-9]{3})*), sparse 0,"),
            "params.total",
        ),
        Header(
            "Total parameter count",
            re.compile(r"sparse [0-9,]+, .*\bactive ([0-9]+(?:,[0-9]{3})*)"),
            "params.active",
        ),
        Header(
            "global batch size", re.compile(r"global batch size ([0-9]+(?:,[0-9]{3})*)"), "batch"
        ),
        Header(
            "sequence length",
            re.compile(r"sequence length ([0-9]+(?:,[0-9]{3})*)"),
            "architecture.seq_len",
        ),
        Header("total steps", re.compile(r"total steps ([0-9]+(?:,[0-9]{3})*)"), "schedule.steps"),
        Header(
            "(warmup ", re.compile(r"\(warmup ([0-9]+(?:,[0-9]{3})*)\)"), "schedule.warmup_steps"
        ),
    ),
    constants={"loss_kind": "instant", "loss_unit": "nats_per_token"},
    launch="Starting job:",
)
