"""build-nanogpt's log.txt (`250 val 6.4`, `250 train 6.3`, `250 hella 0.25`) and standard output.

Both show the model after k updates. Standard output tells N and the batch; its `validation loss:`
names no step and is not read, which log.txt gives. Forks, and the lessons that it was made of,
print the learning rate or not, with a colon or not, and `Step`.
"""

from __future__ import annotations

import re

from isoflop.ingest.reading.textlog import Header, Shape, TextFormat

VERSION = 4

FORMAT = TextFormat(
    shapes=(
        Shape(" train ", "^{step} train {train_loss}"),
        Shape(" val ", "^{step} val {loss__val}"),
        Shape(" hella ", "^{step} hella {accuracy__hellaswag}"),
        Shape(
            "| loss: ",
            r"^[Ss]tep +{step} \| loss: {train_loss} \| *(?:lr:? {lr} \| *)?"
            r"(?:norm: *{grad_norm} \| *)?dt: *[0-9]",
            ".*",
        ),
    ),
    headers=(
        Header(
            "total desired batch size: ",
            re.compile(r"total desired batch size: ([0-9]+(?:,[0-9]{3})*)"),
            "tokens_per_step",
        ),
        Header(
            "decayed parameter tensors: ",
            re.compile(
                r"decayed parameter tensors: [0-9]+, with ([0-9]+(?:,[0-9]{3})*) parameters"
            ),
            "params.total",
            adds=True,
        ),
    ),
    constants={"loss_kind": "instant", "loss_unit": "nats_per_token", "primary_eval": "val"},
)
