"""Parameters and FLOPs of a decoder-only transformer, by named convention.

Half of the disagreement between Kaplan et al. (2020) and Hoffmann et al. (2022) is counting
(Pearce and Song 2024; Porian et al. 2024), so no number of parameters or FLOPs in this project goes
without the name of its convention.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeVar, get_args

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

ParamsConvention = Literal["total", "nonembedding", "with_head", "active"]
FlopsConvention = Literal["6nd", "hoffmann", "attention", "kaplan", "active", "logged"]

_Numbers = TypeVar("_Numbers", float, "NDArray[np.float64]", "pl.Series", "pl.Expr")

USUAL: Final[tuple[ParamsConvention, FlopsConvention]] = ("total", "6nd")
"""What most papers count."""
PARAMS_CONVENTIONS: Final[tuple[ParamsConvention, ...]] = get_args(ParamsConvention)
FLOPS_CONVENTIONS: Final[tuple[FlopsConvention, ...]] = get_args(FlopsConvention)
COMPUTED_FLOPS: Final = tuple(
    name for name in FLOPS_CONVENTIONS if name not in ("active", "logged")
)
"""Those that a dense run's architecture gives; `active` is `6nd` then."""

PARAMS_MEANING: Final[dict[ParamsConvention, str]] = {
    "total": "every parameter, input embedding and head included (Hoffmann et al. 2022)",
    "nonembedding": "no embedding, no head (Kaplan et al. 2020, section 2.1)",
    "with_head": "input embedding out, output head in (Porian et al. 2024)",
    "active": "what one token goes through, embedding and head included; of a dense model all",
}
FLOPS_MEANING: Final[dict[FlopsConvention, str]] = {
    "6nd": "6 times total parameters times tokens",
    "hoffmann": "Hoffmann et al. Appendix F as their Table A4 has it: no embedding, no logits",
    "attention": "6 per parameter that multiplies (head in), plus the attention scores",
    "kaplan": "6 times non-embedding parameters times tokens (Kaplan et al. 2020, C = 6NBS)",
    "active": "6 times active parameters times tokens",
    "logged": "what the trainer itself reported",
}

PARAMS: Final[dict[str, str]] = {
    "total": "total *N*",
    "nonembedding": "non-embedding *N*",
    "with_head": "*N* with head",
    "active": "active *N*",
}
"""What N is, in a few words of Markdown; of C below."""
SIZES: Final[dict[str, str]] = {
    "total": "parameters",
    "nonembedding": "non-embedding parameters",
    "with_head": "parameters without input embedding",
    "active": "active parameters",
}
"""What a number of each is a number of, in a sentence."""
FLOPS: Final[dict[str, str]] = {
    "6nd": "*C* = 6*ND*",
    "kaplan": "Kaplan’s *C*",
    "hoffmann": "Appendix F’s *C*",
    "attention": "*C* with attention",
    "active": "*C* of active *N*",
    "logged": "*C* as logged",
}
PER_PARAMETER: Final = 6.0
"""Training FLOPs per token and parameter that multiplies: two forward, twice as many backward."""
PF_DAY: Final = 8.64e19
"""FLOPs in one petaFLOP-day (Kaplan et al. 2020): 1e15 FLOP/s for 24 hours."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """The shape of a decoder-only transformer.

    Attributes
    ----------
    layers : number of blocks.
    d_model : width of the residual stream.
    heads : attention heads per block.
    d_head : width of one head; heads * d_head need not equal d_model.
    d_ff : width of the feed-forward layer.
    vocab_size : rows of the embedding.
    seq_len : context length in tokens.
    tied : whether the head reuses the embedding.
    gated : whether the feed-forward layer has a third (gate) matrix.
    kv_heads : heads of keys and of values, each shared by a group of query heads (grouped-query
        attention, Ainslie et al. 2023); None: as many as heads.
    experts : experts that a router chooses from, in each block that has some (Shazeer et al. 2017);
        None: every block has the one feed-forward layer.
    experts_per_token : those of them that one token goes through; None: unknown.
    d_expert : width of an expert; None: d_ff.
    d_shared : width of all experts together that every token goes through (Dai et al. 2024).
    shared_gate : whether these have a gate of one number a token (Qwen2-MoE).
    dense_layers : blocks that have one feed-forward layer, of width d_ff, and no experts.
    kv_rank : width of the vector from which the keys and values of all heads are made (multi-head
        latent attention, DeepSeek-AI 2024, section 2.1); None: they are made from the stream.
    q_rank : width of the vector from which queries are made then; None: from the stream.
    d_rope : width of the part of a key that all heads share then, and that turns with the position;
        d_head is the width of a head's queries and keys as a whole.
    d_value : width of a head's values then.
    """

    layers: int
    d_model: int
    heads: int
    d_head: int
    d_ff: int
    vocab_size: int
    seq_len: int
    tied: bool = True
    gated: bool = False
    kv_heads: int | None = None
    experts: int | None = None
    experts_per_token: int | None = None
    d_expert: int | None = None
    d_shared: int = 0
    shared_gate: bool = False
    dense_layers: int = 0
    kv_rank: int | None = None
    q_rank: int | None = None
    d_rope: int = 0
    d_value: int | None = None

    @property
    def value_width(self) -> int:
        """Width of a head's values."""
        return self.d_head if self.d_value is None else self.d_value

    @property
    def query_key_value(self) -> int:
        """Count the weights of a block that make queries, keys and values."""
        if self.kv_rank is None:
            return self.d_model * (self.heads + 2 * self.key_value_heads) * self.d_head
        queries = self.heads * self.d_head
        made = self.d_model if self.q_rank is None else self.q_rank
        queries *= made
        queries += 0 if self.q_rank is None else self.d_model * self.q_rank
        latent = self.d_model * (self.kv_rank + self.d_rope)
        each = self.d_head - self.d_rope + self.value_width
        return queries + latent + self.kv_rank * self.heads * each

    @property
    def key_value_heads(self) -> int:
        """Heads of keys and of values."""
        return self.heads if self.kv_heads is None else self.kv_heads

    def feed_forward(self, experts: int | None) -> int:
        """Count the weights of all feed-forward layers, routers included.

        Parameters
        ----------
        experts : experts counted in each block that has some: all, or those of one token.
        """
        matrices = (3 if self.gated else 2) * self.d_model
        if self.experts is None or experts is None:
            return self.layers * matrices * self.d_ff
        width = self.d_ff if self.d_expert is None else self.d_expert
        routed = matrices * (experts * width + self.d_shared) + self.d_model * self.experts
        routed += self.d_model if self.shared_gate else 0
        sparse = self.layers - self.dense_layers
        return self.dense_layers * matrices * self.d_ff + sparse * routed


def flops_6nd(params: _Numbers, tokens: _Numbers) -> _Numbers:
    """Give C = 6ND of whatever N is a number of; float64, since it exceeds 2**63."""
    return PER_PARAMETER * params * tokens


def tokens_6nd(params: _Numbers, flops: _Numbers | float) -> _Numbers:
    """Give the D that C = 6ND buys at N."""
    return flops / (PER_PARAMETER * params)


def counting_words(params: str, flops: str, joint: str = ", ") -> str:
    """Say what N and C are numbers of, in Markdown."""
    return f"{PARAMS[params]}{joint}{FLOPS[flops]}"


def unusual_words(params: str, flops: str) -> str:
    """Say the same of conventions other than total N and C = 6ND; empty of these."""
    return "" if (params, flops) == USUAL else counting_words(params, flops)


def params_nonembedding(architecture: Architecture) -> int:
    """Count the weights of the attention and feed-forward matrices.

    Norm gains and biases are left out, as in Kaplan et al. (2020), Table 1 and equation 2.1. Of
    experts all are counted, and their routers.
    """
    a = architecture
    attention = a.query_key_value + a.heads * a.value_width * a.d_model
    return a.layers * attention + a.feed_forward(a.experts)


def params_idle(architecture: Architecture) -> int | None:
    """Count the weights of the experts that one token does not go through.

    Active parameters are all others, embedding and head included, as Mixtral's 12.9 of 46.7 billion
    (Jiang et al. 2024). None where it is unknown how many experts a token goes through.
    """
    a = architecture
    if a.experts is None:
        return 0
    if a.experts_per_token is None:
        return None
    return a.feed_forward(a.experts) - a.feed_forward(a.experts_per_token)


def params_embedding(architecture: Architecture) -> int:
    """Count the weights of the input embedding."""
    return architecture.vocab_size * architecture.d_model


def params(architecture: Architecture, convention: ParamsConvention) -> int:
    """Count parameters from the shape alone.

    A count printed by the trainer is better where there is one: it includes norm gains and biases.

    Raises
    ------
    ValueError : ``active`` of a mixture whose experts per token are unknown.
    """
    body = params_nonembedding(architecture)
    embedding = params_embedding(architecture)
    match convention:
        case "nonembedding":
            return body
        case "with_head":
            return body + embedding
        case "total":
            return body + embedding * (1 if architecture.tied else 2)
        case "active":
            if (idle := params_idle(architecture)) is None:
                raise ValueError("how many experts a token goes through is unknown")
            return params(architecture, "total") - idle


def params_gopher_family(architecture: Architecture) -> int:
    """Count the parameters of a Gopher or Chinchilla model.

    With relative positions, biases and a tied embedding this gives all fifty counts of
    Hoffmann et al. (2022), Table A9, within 0.02 %.
    """
    a = architecture
    inner = a.heads * a.d_head
    query_key_value = 3 * a.d_model * inner + 3 * a.d_model
    relative_positions = a.d_model * inner + 2 * a.d_model
    output = inner * a.d_model + a.d_model
    feed_forward = 2 * a.d_model * a.d_ff + a.d_ff + a.d_model
    norms = 4 * a.d_model
    layer = query_key_value + relative_positions + output + feed_forward + norms
    return params_embedding(a) + a.layers * layer + 2 * a.d_model


def flops_per_token_hoffmann(architecture: Architecture) -> float:
    """Count training FLOPs per token after Hoffmann et al. (2022), Appendix F.

    The paper's Table A4 is reproduced only without the embedding and logit terms that Appendix F
    prints, so they are left out here. Backward counts twice forward. Of experts those count that a
    token goes through.

    Raises
    ------
    ValueError : it is unknown how many these are.
    """
    a = architecture
    inner = a.heads * a.value_width
    query_key_value = 2 * a.query_key_value
    scores = 2 * a.seq_len * a.heads * a.d_head
    softmax = 3 * a.heads * a.seq_len
    reduction = 2 * a.seq_len * inner
    output = 2 * inner * a.d_model
    if params_idle(a) is None:
        raise ValueError("how many experts a token goes through is unknown")
    attention = query_key_value + scores + softmax + reduction + output
    return 3.0 * (a.layers * attention + 2 * a.feed_forward(a.experts_per_token))


def flops_per_token_scores(architecture: Architecture) -> float:
    """Count training FLOPs per token of the attention scores and their reduction.

    12 * layers * heads * d_head * seq_len: the full square, not its causal half
    (Chowdhery et al. 2022, PaLM, Appendix B). Where values have another width than keys, 6 of these
    12 are theirs.
    """
    a = architecture
    return 6.0 * a.layers * a.heads * (a.d_head + a.value_width) * a.seq_len


def flops_per_token(
    convention: FlopsConvention,
    *,
    params_total: float,
    params_nonembedding: float,
    params_with_head: float,
    architecture: Architecture | None,
    params_active: float | None = None,
) -> float | None:
    """Training FLOPs (forward and backward) per token, by convention.

    Parameters
    ----------
    convention : which count; ``logged`` has no formula and gives None.
    params_total, params_nonembedding, params_with_head : parameter counts of the run.
    architecture : needed by ``hoffmann`` and ``attention``; without it these give None. Of experts
        these count those that a token goes through, the others all.

    params_active : needed by ``active``; without it that gives None.

    Returns
    -------
    FLOPs per token, or None where the convention cannot be computed from what is known.
    float64 on purpose: 6ND exceeds 2**63.
    """
    counts = {"6nd": params_total, "kaplan": params_nonembedding, "active": params_active}
    if convention in counts:
        count = counts[convention]
        return None if count is None else PER_PARAMETER * count
    idle = None if architecture is None else params_idle(architecture)
    if convention == "logged" or architecture is None or idle is None:
        return None
    if convention == "hoffmann":
        return flops_per_token_hoffmann(architecture)
    return PER_PARAMETER * (params_with_head - idle) + flops_per_token_scores(architecture)
