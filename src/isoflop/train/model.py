"""The transformer that is trained: decoder-only, in the plain modern form.

Pre-norm with RMSNorm, rotary positions, no biases, a GELU feed-forward, a head that may share the
embedding. The shape is counting's `Architecture`, so what is counted is what is trained.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812 - the name everyone knows
from torch import Tensor, nn

if TYPE_CHECKING:
    from isoflop.counting import Architecture

ROTARY_BASE = 10_000.0
NORM_EPS = 1e-6
EMBEDDING_SCALE = 0.5
RESIDUAL_WRITES = ("attention_out.weight", "feed_out.weight")
INITIALISATION = (
    "normal with standard deviation 1/sqrt(fan in), embedding and head 0.5/sqrt(d_model), "
    "matrices that write into the residual stream zero"
)
"""How weights start. With the residual stream equal to the embedding at first, small models leave
the plateau of letter frequencies within tens of steps; with random writes when they do so is luck,
and the luck of the seed was as large as the valleys of the smallest budgets (docs/sweep.md)."""


def rotary_tables(seq_len: int, d_head: int) -> tuple[Tensor, Tensor]:
    """Cosines and signed sines of the rotary positions, each of shape (seq_len, 1, 1, d_head).

    The sine of the first half is negative, so that a rotation is `x * cos + roll(x, half) * sin`:
    three operations, which counts for models so small that dispatch is their main cost.
    """
    half = d_head // 2
    frequency = ROTARY_BASE ** (-torch.arange(half, dtype=torch.float64) / half)
    angle = torch.outer(torch.arange(seq_len, dtype=torch.float64), frequency)
    cos = torch.cat([angle.cos(), angle.cos()], dim=-1)
    sin = torch.cat([-angle.sin(), angle.sin()], dim=-1)
    return cos.float()[:, None, None, :], sin.float()[:, None, None, :]


class Block(nn.Module):
    """One layer: attention, then feed-forward, each added to the residual stream."""

    def __init__(self, shape: Architecture, *, qk_norm: bool) -> None:
        super().__init__()
        inner = shape.heads * shape.d_head
        self.heads, self.d_head, self.gated = shape.heads, shape.d_head, shape.gated
        self.norm_attention = nn.RMSNorm(shape.d_model, eps=NORM_EPS)
        self.query_key_value = nn.Linear(shape.d_model, 3 * inner, bias=False)
        self.attention_out = nn.Linear(inner, shape.d_model, bias=False)
        self.norm_feed_forward = nn.RMSNorm(shape.d_model, eps=NORM_EPS)
        width_in = (2 if shape.gated else 1) * shape.d_ff
        self.feed_in = nn.Linear(shape.d_model, width_in, bias=False)
        self.feed_out = nn.Linear(shape.d_ff, shape.d_model, bias=False)
        self.norm_query = nn.RMSNorm(shape.d_head, eps=NORM_EPS) if qk_norm else None
        self.norm_key = nn.RMSNorm(shape.d_head, eps=NORM_EPS) if qk_norm else None

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Map the residual stream (batch, time, d_model) to the next layer's."""
        x = x + self.attention(self.norm_attention(x), cos, sin)
        return x + self.feed_forward(self.norm_feed_forward(x))

    def attention(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Causal self-attention."""
        batch, time, _ = x.shape
        qkv = self.query_key_value(x).view(batch, time, 3, self.heads, self.d_head)
        query_key, value = qkv.split((2, 1), dim=2)
        if self.norm_query is not None and self.norm_key is not None:
            query, key = query_key.unbind(2)
            # in float32, as the gains are: under autocast the projections come in bfloat16
            normed = self.norm_query(query.float()), self.norm_key(key.float())
            query_key = torch.stack(normed, dim=2)
        rolled = query_key.roll(self.d_head // 2, dims=-1)
        query, key = torch.addcmul(query_key * cos, rolled, sin).to(value.dtype).unbind(2)
        mixed = F.scaled_dot_product_attention(
            query.transpose(1, 2),
            key.transpose(1, 2),
            value.squeeze(2).transpose(1, 2),
            is_causal=True,
        )
        out: Tensor = self.attention_out(mixed.transpose(1, 2).reshape(batch, time, -1))
        return out

    def feed_forward(self, x: Tensor) -> Tensor:
        """GELU feed-forward; gated, if the shape says so."""
        hidden: Tensor = self.feed_in(x)
        if self.gated:
            gate, hidden = hidden.chunk(2, dim=-1)
            hidden = F.gelu(gate, approximate="tanh") * hidden
        else:
            hidden = F.gelu(hidden, approximate="tanh")
        out: Tensor = self.feed_out(hidden)
        return out


class Transformer(nn.Module):
    """A decoder-only language model of a given shape."""

    cos: Tensor
    sin: Tensor

    def __init__(self, shape: Architecture, *, qk_norm: bool = False) -> None:
        super().__init__()
        self.embedding = nn.Embedding(shape.vocab_size, shape.d_model)
        self.blocks = nn.ModuleList(Block(shape, qk_norm=qk_norm) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.d_model, eps=NORM_EPS)
        self.head = nn.Linear(shape.d_model, shape.vocab_size, bias=False)
        if shape.tied:
            self.head.weight = self.embedding.weight
        cos, sin = rotary_tables(shape.seq_len, shape.d_head)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def forward(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy [nat/token] of the targets (batch, time) after the tokens."""
        cos, sin = self.cos[: tokens.shape[1]], self.sin[: tokens.shape[1]]
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x, cos, sin)
        logits = self.head(self.norm(x))
        return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())


def build_model(shape: Architecture, *, qk_norm: bool, seed: int) -> Transformer:
    """Make a model whose weights depend on the seed alone; see INITIALISATION."""
    model = Transformer(shape, qk_norm=qk_norm)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() < 2:
                continue
            if name.endswith(RESIDUAL_WRITES):
                weight.zero_()
            else:
                scale = EMBEDDING_SCALE if name.startswith(("embedding", "head")) else 1.0
                weight.normal_(0.0, scale * weight.shape[1] ** -0.5, generator=generator)
    return model


def count_params(model: Transformer) -> dict[str, int]:
    """Count the parameters of a real model by convention.

    Norm gains count as non-embedding: they are neither embedding nor head.
    """
    total = sum(weight.numel() for weight in model.parameters())
    embedding = model.embedding.weight.numel()
    tied = model.head.weight is model.embedding.weight
    nonembedding = total - embedding * (1 if tied else 2)
    return {"total": total, "nonembedding": nonembedding, "with_head": nonembedding + embedding}
