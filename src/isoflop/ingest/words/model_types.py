"""Kinds of models by the `model_type` of Hugging Face's config.json, and what each kind fixes.

Of a kind that is not here nothing is counted: the same words, d_model and num_heads, make another
network of an encoder-decoder or of a state space, and N would be wrong without a word.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

GATED: Final = frozenset(
    {
        *("llama", "mistral", "mixtral", "ministral", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe"),
        *("gemma", "gemma2", "gemma3_text", "olmo", "olmo2", "olmo3", "olmoe", "phi3", "phimoe"),
        *("stablelm", "cohere", "cohere2", "granite", "granitemoe", "smollm3", "glm", "glm4"),
        *("glm4_moe", "deepseek", "deepseek_v2", "deepseek_v3", "deepseek_v32", "kimi_k2", "dbrx"),
        *("gpt_oss", "seed_oss", "internlm2", "internlm3", "minicpm", "exaone4", "helium", "dots1"),
    }
)
"""Decoders with a gate in their feed-forward networks."""
PLAIN: Final = frozenset(
    {
        *("gpt2", "gpt_neo", "gpt_neox", "gptj", "gpt_bigcode", "codegen", "opt", "bloom"),
        *("falcon", "mpt", "phi", "starcoder2", "persimmon", "xglm", "biogpt", "nemotron"),
    }
)
"""Decoders without."""
TIED: Final = frozenset(
    {
        *("gpt2", "gpt_neo", "gpt_bigcode", "opt", "bloom", "falcon", "mpt", "xglm", "biogpt"),
        *("gemma", "gemma2", "gemma3_text", "cohere", "cohere2"),
    }
)
"""Decoders whose embedding is the output's, too, unless their configuration says otherwise."""
FOURFOLD: Final = frozenset(
    {"gpt2", "gpt_neo", "gptj", "gpt_bigcode", "codegen", "bloom", "falcon", "mpt"}
)
"""Decoders four times as wide in their feed-forward networks, unless it says otherwise."""


FOUR: Final = 4.0


def of_model_type(
    facts: Mapping[str, Any], told: Mapping[str, Any], kinds: frozenset[str]
) -> dict[str, Any]:
    """Give what a model's kind fixes; `architecture.uncounted` where it is none that is counted.

    Parameters
    ----------
    facts : what single settings tell.
    told : all settings by the last part of their name.
    kinds : every `model_type` in them.
    """
    if not kinds or not {"architectures", "transformers_version"} & told.keys():
        return {}  # a trainer's own setting of that name is of no kind that is known here
    unknown = sorted(kinds - GATED - PLAIN)
    if unknown or len(kinds) > 1:
        return {"architecture.uncounted": f"model_type: {(unknown or sorted(kinds))[0]}"}
    (kind,) = kinds
    fixed: dict[str, Any] = {"architecture.gated": kind in GATED}
    if kind in TIED:
        fixed["architecture.tied"] = True
    width = facts.get("architecture.d_model")
    if kind in FOURFOLD and width is not None and told.get("expansion_ratio", 4) == FOUR:
        fixed["architecture.d_ff"] = FOUR * width
    return {name: value for name, value in fixed.items() if name not in facts}
