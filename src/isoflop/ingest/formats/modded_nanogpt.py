"""Logs of modded-nanogpt and parameter-golf: `step:125/6200 train_loss:5.3 train_time:10ms`.

Newer ones print no training loss. A log of modded-nanogpt begins with the whole source, which is
no record; its batch stands there only, so sweep.yaml must give tokens per step. parameter-golf
prints parameters, batch and context. What its compressed model scores at the end is no evaluation
of the run.
"""

from __future__ import annotations

import re

from isoflop.ingest.textlog import Header, Shape, TextFormat

VERSION = 1

FORMAT = TextFormat(
    shapes=(
        Shape("step:", r"step:{step}/{of} train_loss:{train_loss} train_time:", ".*"),
        Shape(
            "step:",
            r"step:{step}/{of} val_loss:{loss__val}(?: val_bpb:{bits_per_byte__val})? train_time:",
            ".*",
        ),
        Shape("step:", r"step:{step}/{of} train_time:", ".*"),
    ),
    headers=(
        Header("model_params:", re.compile(r"^model_params:([0-9]+)"), "params.total"),
        Header(
            "train_batch_tokens:", re.compile(r"train_batch_tokens:([0-9]+)"), "tokens_per_step"
        ),
        Header("train_seq_len:", re.compile(r"train_seq_len:([0-9]+)"), "architecture.seq_len"),
        Header("seed:", re.compile(r"^seed:([0-9]+)"), "seed"),
    ),
    constants={"loss_kind": "instant", "loss_unit": "nats_per_token", "primary_eval": "val"},
)
