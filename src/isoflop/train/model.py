"""The transformer that is trained: decoder-only, in the plain modern form, many runs at a time.

Pre-norm with RMSNorm, rotary positions, no biases, a GELU feed-forward, a head that may share the
embedding, keys and values that may be shared by groups of heads. The shape is counting's
`Architecture`, so what is counted is what is trained.

Every weight has a leading dimension, the run: a model of a few ten thousand parameters spends its
time between operations, so runs of one shape are computed together, by batched matrix products.
No operation mixes runs, so that each is what it would be alone, but for the order of summation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
import torch.nn.functional as F  # noqa: N812 - the name everyone knows
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from isoflop.counting import Architecture

Group = Literal["embedding", "matrices", "gains"]

ROTARY_BASE = 10_000.0
NORM_EPS = 1e-6
EMBEDDING_SCALE = 0.5
INITIALISATION = (
    "normal with standard deviation 1/sqrt(fan in), embedding and head 0.5/sqrt(d_model), "
    "matrices that write into the residual stream zero"
)
"""How weights start. With the residual stream equal to the embedding at first, small models leave
the plateau of letter frequencies within tens of steps; with random writes when they do so is luck,
and the luck of the seed was as large as the valleys of the smallest budgets (docs/sweep.md)."""


@dataclass(frozen=True)
class Weight:
    """One weight of one run.

    Attributes
    ----------
    group : embedding, matrices (decayed, both) or gains (not decayed).
    shape : of one run: (vocabulary, width) of the embedding, (in, out) of a matrix.
    scale : standard deviation at the start; None for a gain, which starts at one.
    """

    group: Group
    shape: tuple[int, ...]
    scale: float | None

    @property
    def size(self) -> int:
        """Number of its parameters."""
        return math.prod(self.shape)


def weights_of(shape: Architecture, *, qk_norm: bool) -> dict[str, Weight]:
    """List the weights of a model by name, in the order in which they are drawn."""
    width, head = shape.d_model, shape.d_head
    queries, keys = shape.heads * head, shape.key_value_heads * head
    feed_in = (2 if shape.gated else 1) * shape.d_ff
    embedding_scale = EMBEDDING_SCALE * width**-0.5

    def matrix(inward: int, outward: int, *, scale: float | None = None) -> Weight:
        return Weight("matrices", (inward, outward), inward**-0.5 if scale is None else scale)

    def gain(size: int) -> Weight:
        return Weight("gains", (size,), None)

    weights = {"embedding": Weight("embedding", (shape.vocab_size, width), embedding_scale)}
    for layer in range(shape.layers):
        block = {
            "norm_attention": gain(width),
            "query_key_value": matrix(width, queries + 2 * keys),
            "attention_out": matrix(queries, width, scale=0.0),
            "norm_feed_forward": gain(width),
            "feed_in": matrix(width, feed_in),
            "feed_out": matrix(shape.d_ff, width, scale=0.0),
        }
        if qk_norm:
            block |= {"norm_query": gain(head), "norm_key": gain(head)}
        weights |= {f"blocks.{layer}.{name}": weight for name, weight in block.items()}
    weights["norm"] = gain(width)
    if not shape.tied:
        weights["head"] = matrix(width, shape.vocab_size, scale=embedding_scale)
    return weights


def initial_weights(shape: Architecture, *, qk_norm: bool, seed: int) -> dict[str, Tensor]:
    """Draw one run's weights, which depend on the seed alone; see INITIALISATION."""
    generator = torch.Generator().manual_seed(seed)
    drawn = {}
    for name, weight in weights_of(shape, qk_norm=qk_norm).items():
        if weight.scale is None:
            drawn[name] = torch.ones(weight.shape)
        elif weight.scale == 0.0:
            drawn[name] = torch.zeros(weight.shape)
        else:
            drawn[name] = torch.empty(weight.shape).normal_(0.0, weight.scale, generator=generator)
    return drawn


def count_params(weights: Mapping[str, Tensor], *, tied: bool) -> dict[str, int]:
    """Count the parameters of one run's real weights by convention.

    Norm gains count as non-embedding: they are neither embedding nor head.
    """
    total = sum(weight.numel() for weight in weights.values())
    embedding = weights["embedding"].numel()
    nonembedding = total - embedding * (1 if tied else 2)
    return {"total": total, "nonembedding": nonembedding, "with_head": nonembedding + embedding}


def rotary_tables(seq_len: int, d_head: int) -> tuple[Tensor, Tensor]:
    """Cosines and signed sines of the rotary positions, each of shape (seq_len, 1, d_head).

    The sine of the first half is negative, so that a rotation is `x * cos + roll(x, half) * sin`:
    three operations, which counts for models so small that dispatch is their main cost.
    """
    half = d_head // 2
    frequency = ROTARY_BASE ** (-torch.arange(half, dtype=torch.float64) / half)
    angle = torch.outer(torch.arange(seq_len, dtype=torch.float64), frequency)
    cos = torch.cat([angle.cos(), angle.cos()], dim=-1)
    sin = torch.cat([-angle.sin(), angle.sin()], dim=-1)
    return cos.float()[:, None, :], sin.float()[:, None, :]


class Transformer:
    """A decoder-only language model of a given shape: what it computes from given weights."""

    def __init__(
        self, shape: Architecture, *, qk_norm: bool, device: torch.device, compiled: bool = False
    ) -> None:
        self.shape, self.qk_norm, self.compiled = shape, qk_norm, compiled
        cos, sin = rotary_tables(shape.seq_len, shape.d_head)
        self.cos, self.sin = cos.to(device), sin.to(device)
        self._parts: tuple[Any, ...] = (self._embed, self._block, self._loss_of)
        if compiled:
            # by parts: blocks share one code, so that a deep model compiles as fast as a flat one
            torch.compiler.reset()  # what was compiled for another shape is of no use
            self._parts = tuple(torch.compile(part) for part in self._parts)

    def losses(self, weights: Mapping[str, Tensor], tokens: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy of each run [nat/token].

        Parameters
        ----------
        weights : by name, each (runs, ...) as `weights_of` has its shape.
        tokens, targets : (runs, rows, time).

        Returns
        -------
        (runs,), in float32.
        """
        head = weights["embedding" if self.shape.tied else "head"]
        x = self.dynamic(self._stream(weights, tokens))
        losses: Tensor = self._parts[2](x, weights["norm"], head, self.dynamic(targets))
        return losses

    def logits(self, weights: Mapping[str, Tensor], tokens: Tensor) -> Tensor:
        """Give each run's logits: (runs, rows * time, vocabulary)."""
        head = weights["embedding" if self.shape.tied else "head"]
        return self._logits(self._stream(weights, tokens), weights["norm"], head)

    def _stream(self, weights: Mapping[str, Tensor], tokens: Tensor) -> Tensor:
        """Give the residual stream after the last block: (runs, rows * time, width)."""
        embed, block, _ = self._parts
        rows, time = tokens.shape[1:]
        x: Tensor = embed(self.dynamic(tokens), weights["embedding"])
        for layer in range(self.shape.layers):
            prefix = f"blocks.{layer}."
            of_block = {
                name.removeprefix(prefix): weight
                for name, weight in weights.items()
                if name.startswith(prefix)
            }
            x = block(self.dynamic(x), of_block, rows, time)
        return x

    def dynamic(self, x: Tensor) -> Tensor:
        """Let compiled code serve any number of runs, so that a run may end."""
        if self.compiled and len(x) > 1:
            torch._dynamo.mark_dynamic(x, 0)  # noqa: SLF001 - its documented name
        return x

    def _embed(self, tokens: Tensor, embedding: Tensor) -> Tensor:
        """Look tokens up in each run's embedding: (runs, rows * time, width)."""
        runs, vocabulary, width = embedding.shape
        first = torch.arange(runs, device=tokens.device)[:, None] * vocabulary
        return F.embedding(tokens.reshape(runs, -1) + first, embedding.reshape(-1, width))

    def _block(self, x: Tensor, weights: Mapping[str, Tensor], rows: int, time: int) -> Tensor:
        """Pass the residual stream (runs, rows * time, width) through one block."""
        return self._feed_forward(self._attention(x, weights, rows, time), weights)

    def _loss_of(self, x: Tensor, norm: Tensor, head: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy of each run from the residual stream (runs, rows * time, width)."""
        logits = self._logits(x, norm, head)
        each = F.cross_entropy(logits.flatten(0, 1).float(), targets.reshape(-1), reduction="none")
        return each.view(len(x), -1).mean(dim=1)

    def _logits(self, x: Tensor, norm: Tensor, head: Tensor) -> Tensor:
        """Read the residual stream out."""
        return torch.bmm(_norm(x, norm), head.transpose(1, 2) if self.shape.tied else head)

    def _attention(self, x: Tensor, weights: Mapping[str, Tensor], rows: int, time: int) -> Tensor:
        """Add causal self-attention to the residual stream (runs, rows * time, width)."""
        shape = self.shape
        runs = len(x)
        heads, keys = shape.heads, shape.key_value_heads
        projected = torch.bmm(_norm(x, weights["norm_attention"]), weights["query_key_value"])
        projected = projected.view(runs * rows, time, heads + 2 * keys, shape.d_head)
        query_key, value = torch.split(projected, [heads + keys, keys], dim=2)
        if self.qk_norm:
            # in float32, as the gains are: under autocast the projections come in bfloat16
            gains = [weights["norm_query"][:, None].expand(-1, heads, -1),
                     weights["norm_key"][:, None].expand(-1, keys, -1)]  # fmt: skip
            gain = torch.cat(gains, dim=1).repeat_interleave(rows, dim=0)[:, None]
            query_key = F.rms_norm(query_key.float(), (shape.d_head,), None, NORM_EPS) * gain
        cos, sin = self.cos[:time], self.sin[:time]
        rolled = query_key.roll(shape.d_head // 2, dims=-1)
        turned = torch.addcmul(query_key * cos, rolled, sin).to(value.dtype)
        query, key = torch.split(turned, [heads, keys], dim=2)
        mixed = F.scaled_dot_product_attention(
            query.transpose(1, 2),
            key.transpose(1, 2),
            value.transpose(1, 2),
            is_causal=True,
            enable_gqa=keys != heads,
        )
        mixed = mixed.transpose(1, 2).reshape(runs, rows * time, -1)
        return x + torch.bmm(mixed, weights["attention_out"])

    def _feed_forward(self, x: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
        """Add the GELU feed-forward; gated, if the shape says so."""
        hidden = torch.bmm(_norm(x, weights["norm_feed_forward"]), weights["feed_in"])
        if self.shape.gated:
            gate, hidden = hidden.chunk(2, dim=-1)
            hidden = F.gelu(gate, approximate="tanh") * hidden
        else:
            hidden = F.gelu(hidden, approximate="tanh")
        return x + torch.bmm(hidden, weights["feed_out"])


def _norm(x: Tensor, gain: Tensor) -> Tensor:
    """RMSNorm of (runs, tokens, width) by each run's gain."""
    return F.rms_norm(x, (x.shape[-1],), None, NORM_EPS) * gain[:, None]
