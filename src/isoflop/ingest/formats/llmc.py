"""The main.log of llm.c: `s:250 trl:6.3 lr:0.0001 norm:1.2`, `s:250 tel:6.4`, `s:250 eval:0.25`.

`s:k` shows the model after k updates: trl on the next batch, tel on validation batches. `eval` is
the accuracy on HellaSwag. A resumed run appends to the same file. Nothing else is in the file: N,
tokens per step and schedule are sweep.yaml's.
"""

from __future__ import annotations

from isoflop.ingest.reading.textlog import Shape, TextFormat

VERSION = 2

FORMAT = TextFormat(
    shapes=(
        Shape(" tel:", "^s:{step} tel:{loss__val}"),
        Shape(" trl:", "^s:{step} trl:{train_loss}(?: lr:{lr} norm:{grad_norm})?"),
        Shape(" eval:", "^s:{step} eval:{accuracy__hellaswag}"),
    ),
    constants={"loss_kind": "instant", "loss_unit": "nats_per_token", "primary_eval": "val"},
)
