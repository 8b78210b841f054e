"""What nanotron prints: `iteration: 10 / 500 | consumed_tokens: 20.5M | ... | lm_loss: 7.12 | ...`.

Versions differ in the order of lr and lm_loss. Values have three digits and a suffix, tokens too,
so D is counted from the steps and the banner: `global_batch_size` there counts samples.
"""

from __future__ import annotations

import re

from isoflop.ingest.reading.textlog import Header, Shape, TextFormat

VERSION = 4

FORMAT = TextFormat(
    shapes=(
        Shape(
            "iteration: ",
            r"iteration: {step} / {of} \| (?:[^|]+\| )*?lm_loss: {train_loss} \| lr: {lr} \|",
            ".*",
        ),
        Shape(
            "iteration: ",
            r"iteration: {step} / {of} \| (?:[^|]+\| )*?lr: {lr} \| lm_loss: {train_loss} \|",
            ".*",
        ),
    ),
    headers=(
        Header(
            "sequence_length: ",
            re.compile(r"sequence_length: ([0-9]+)"),
            "architecture.seq_len",
        ),
        Header("global_batch_size: ", re.compile(r"global_batch_size: ([0-9]+) \|"), "batch"),
        Header(
            "Total number of parameters: ",
            re.compile(r"Total number of parameters: (\S+)"),
            "params.total",
        ),
    ),
    constants={"loss_kind": "instant", "loss_unit": "nats_per_token"},
)
