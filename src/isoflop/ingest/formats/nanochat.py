r"""What nanochat prints: `step 00012/21400 (0.06%) | loss: 7.246413 | lrm: 1.00 | dt: ...`.

The printed loss is a debiased moving average; `lrm` is a multiplier of the learning rates, and is
not kept as one. One file holds pretraining and then fine-tuning, whose evaluations look the same:
what follows a loaded checkpoint is not read, until another run begins.
"""

from __future__ import annotations

import re

from isoflop.ingest.textlog import Header, Shape, TextFormat

VERSION = 1

FORMAT = TextFormat(
    shapes=(
        Shape(
            "step ",
            r"step {step}/{of} \([0-9.]+%\) \| loss: {train_loss} \| "
            r"(?:grad norm: {grad_norm} \| )?lrm: ",
            ".*",
        ),
        Shape("Validation bpb: ", r"Step {step} \| Validation bpb: {bits_per_byte__val}"),
    ),
    headers=(
        Header(
            "Number of parameters: ",
            re.compile(r"^Number of parameters: ([0-9]+(?:,[0-9]{3})*)"),
            "params.total",
        ),
        Header("total", re.compile(r"^total +: ([0-9]+(?:,[0-9]{3})*)"), "params.total"),
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
    constants={"loss_kind": "ema", "loss_unit": "nats_per_token"},
    launch="Vocab size: ",
    muted=("Building model with config",),
)
