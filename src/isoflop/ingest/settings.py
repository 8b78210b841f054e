"""What trainers call their settings: configurations, argument dumps and logged hyperparameters.

A name is taken at any depth of a configuration, and only where it means one thing: `batch_size`
is per device to one trainer and over all of them to another, so no fact comes from it.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from isoflop.ingest.numbers import finite
from isoflop.ingest.textlog import facts_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from isoflop.config.sidecar import RunFacts

NAMES: Final = {
    "architecture.layers": (
        "n_layer", "n_layers", "num_layers", "num_hidden_layers", "layers", "depth",
    ),
    "architecture.d_model": (
        "n_embd", "d_model", "hidden_size", "n_embed", "model_dim", "dim", "embed_dim", "emb_dim",
        "hidden_dim",
    ),
    "architecture.heads": ("n_head", "n_heads", "num_heads", "num_attention_heads"),
    "architecture.kv_heads": (
        "n_kv_head", "n_kv_heads", "num_kv_heads", "num_key_value_heads", "num_query_groups",
        "n_query_groups",
    ),
    "architecture.d_head": ("head_dim", "d_head", "kv_channels", "head_size"),
    "architecture.d_ff": (
        "intermediate_size", "ffn_hidden_size", "d_ff", "ffn_dim", "n_inner", "mlp_hidden_size",
        "mlp_dim", "d_mlp",
    ),
    "architecture.vocab_size": (
        "padded_vocab_size", "vocab_size", "n_vocab",
    ),
    "architecture.experts": (
        "num_experts", "n_experts", "num_local_experts", "n_routed_experts", "moe_num_experts",
    ),
    "architecture.experts_per_token": (
        "num_experts_per_tok", "num_experts_per_token", "moe_router_topk", "moe_top_k",
    ),
    "architecture.d_expert": (
        "moe_intermediate_size", "moe_ffn_hidden_size", "moe_hidden_size", "expert_hidden_size",
        "expert_intermediate_size", "moe_dim",
    ),
    "architecture.d_shared": (
        "shared_expert_intermediate_size", "moe_shared_expert_intermediate_size",
    ),
    "architecture.dense_layers": ("first_k_dense_replace", "num_dense_layers"),
    "architecture.seq_len": (
        "block_size", "seq_len", "seq_length", "sequence_length", "context_length", "ctx_len",
        "max_seq_len", "max_seq_length", "max_sequence_length", "n_ctx", "train_seq_len",
    ),
    "architecture.tied": ("tie_word_embeddings", "tied_embeddings", "weight_tying", "tied"),
    "architecture.gated": ("gated", "swiglu"),
    "schedule.steps": (
        "lr_decay_iters", "max_steps", "max_iters", "num_train_steps", "train_iters", "train_steps",
        "total_steps", "num_iterations", "max_train_steps",
    ),
    "schedule.warmup_steps": (
        "warmup_steps", "warmup_iters", "num_warmup_steps", "lr_warmup_iters", "lr_warmup_steps",
    ),
    "schedule.lr_peak": ("learning_rate", "max_lr", "peak_lr", "lr_peak", "lr"),
    "schedule.lr_end": ("min_lr", "lr_end", "final_lr", "end_lr"),
    "schedule.kind": ("lr_scheduler_type", "lr_schedule", "lr_decay_style", "lr_scheduler"),
    "batch": ("global_batch_size", "global_train_batch_size"),
    "tokens_per_step": ("batch_size_in_tokens", "tokens_per_step", "tokens_per_batch"),
    "params.total": (
        "num_params", "n_params", "num_parameters", "parameter_count", "total_params",
        "model_params", "n_parameters", "model/num_parameters", "num_params_total",
    ),
    "params.active": (
        "active_params", "n_active_params", "num_active_params", "params_active",
    ),
    "params.nonembedding": (
        "params_no_embed", "non_embedding_params", "num_non_embedding_params", "n_nonembedding",
        "num_params_nonembedding",
    ),
    "seed": ("seed", "random_seed"),
    "dataset": ("dataset", "dataset_name"),
    "unique_tokens": ("unique_tokens",),
    "bytes_per_token": ("bytes_per_token",),
}  # fmt: skip
"""By fact, the names it goes by, the plainest last part of a dotted one; the first known wins."""

WORDS: Final = frozenset({"schedule.kind", "dataset"})
FLAGS: Final = frozenset({"architecture.tied", "architecture.gated"})
DEEPEST: Final = 12
"""Levels of a configuration that are looked at."""
MOST: Final = 20_000
"""Settings of a configuration that are looked at."""


def settings_of(nested: Mapping[str, Any]) -> dict[str, Any]:
    """Take the facts from a configuration.

    Parameters
    ----------
    nested : settings by name, in groups of any depth; a group `{value: x}`, as W&B writes it, is x.

    Returns
    -------
    Facts by their dotted names; one that the configuration gives in two ways is left out.
    """
    by_fact: dict[str, dict[str, list[Any]]] = {}
    for count, (name, value) in enumerate(_leaves(nested, 0)):
        if count >= MOST:
            break
        for fact, names in NAMES.items():
            if name in names and (known := _typed(fact, value)) is not None:
                by_fact.setdefault(fact, {}).setdefault(name, []).append(known)
    facts: dict[str, Any] = {}
    for fact, by_name in by_fact.items():
        values = by_name[next(name for name in NAMES[fact] if name in by_name)]
        if all(value == values[0] for value in values):
            facts[fact] = values[0]
    more = of_experts(facts, dict(islice(_leaves(nested, 0), MOST)))
    if "architecture.experts" not in facts and "architecture.uncounted" not in more:
        # a dense model has no use for a routing
        facts = {fact: value for fact, value in facts.items() if fact not in _OF_EXPERTS}
    return facts | more


def of_experts(
    facts: Mapping[str, Any], told: Mapping[str, Any], *, dump: bool = False
) -> dict[str, Any]:
    """Give what follows from several settings at once, of a mixture of experts and its attention.

    Parameters
    ----------
    facts : what single settings tell.
    told : all settings by the last part of their name.
    dump : whether they are all arguments of a program, which a dense model has too.
    """
    more: dict[str, Any] = {}
    if finite(told.get("kv_lora_rank")):
        more["architecture.uncounted"] = "latent attention (kv_lora_rank)"
    if unclear := _unclear(facts, told, dump=dump):
        more["architecture.uncounted"] = unclear
    if "architecture.experts" not in facts:
        return more
    width = facts.get("architecture.d_expert") or facts.get("architecture.d_ff")
    shared = finite(told.get("n_shared_experts", told.get("num_shared_experts")))
    if shared and width and "architecture.d_shared" not in facts:
        more["architecture.d_shared"] = shared * width
    if finite(told.get("shared_expert_intermediate_size")):
        more["architecture.shared_gate"] = True
    layers = finite(facts.get("architecture.layers"))
    for name, begins in _PLACES.items():
        if told.get(name) is None or finite(told[name]) == 1:
            continue  # all blocks do, but for the first where another setting says so
        dense = _dense_layers(told[name], int(layers or 0), begins=begins)
        if dense is None or "architecture.dense_layers" in facts:
            more["architecture.uncounted"] = f"which blocks have experts ({name})"
        else:
            more["architecture.dense_layers"] = dense
    if told.get("mlp_only_layers"):
        more["architecture.uncounted"] = "which blocks have experts (mlp_only_layers)"
    return more


def _unclear(facts: Mapping[str, Any], told: Mapping[str, Any], *, dump: bool) -> str | None:
    """Say what of a mixture of experts a setting gives in a way not understood; None: nothing."""
    if "architecture.experts" not in facts:
        names = [name for name in NAMES["architecture.experts"] if name in told]
        given = [name for name in names if _says(told, name) and finite(told[name]) != 0]
        routed = [n for n in NAMES["architecture.experts_per_token"] if _says(told, n)]
        alone = routed and not names and not dump
        return "how many experts there are" if given or alone else None
    for fact, what in _OF_EXPERTS.items():
        setting = next((name for name in NAMES[fact] if _says(told, name)), None)
        if (setting and fact not in facts) or not float(facts.get(fact, 0.0)).is_integer():
            return f"{what} ({setting})"
    for name in ("n_shared_experts", "num_shared_experts"):
        count = finite(told.get(name))
        if _says(told, name) and (count is None or count < 0 or not count.is_integer()):
            return f"how many shared experts there are ({name})"
    return None


def _says(told: Mapping[str, Any], name: str) -> bool:
    """Whether a setting has a value; argument dumps print those without one as words."""
    return str(told.get(name)).lower() not in {"none", "null", "false", ""}


_OF_EXPERTS: Final = {
    "architecture.experts": "how many experts there are",
    "architecture.experts_per_token": "how many experts a token goes through",
    "architecture.d_expert": "the width of an expert",
    "architecture.d_shared": "the width of the shared experts",
    "architecture.dense_layers": "how many blocks have no experts",
}
"""What a count needs of a mixture of experts, where a setting gives it."""
_PLACES: Final = {
    "moe_layer_freq": True, "decoder_sparse_step": False, "interleave_moe_layer_step": False,
}  # fmt: skip
"""Settings by which every n-th block has experts; whether the first block is one of them."""
_PATTERN: Final = re.compile(r"\[([01])\] ?\* ?([0-9]{1,6})")


def _dense_layers(value: Any, layers: int, *, begins: bool) -> int | None:
    """Count the blocks without experts; None where the setting's value is not understood."""
    every = finite(value)
    if every is not None and every >= 1 and every == int(every):
        sparse = -(-layers // int(every)) if begins else layers // int(every)
        return layers - sparse
    counts = {"0": 0, "1": 0}
    terms = [f"[{flag}]*1" for flag in value] if isinstance(value, list) else str(value).split("+")
    for term in terms:
        match = _PATTERN.fullmatch(term.strip("() "))
        if match is None:
            return None
        counts[match[1]] += int(match[2])
    return counts["0"] if sum(counts.values()) == layers else None


def facts_of_settings(nested: Mapping[str, Any]) -> RunFacts:
    """Take the facts from a configuration; see `settings_of`."""
    return facts_of(settings_of(nested))


def _leaves(nested: Mapping[str, Any], depth: int) -> Iterator[tuple[str, Any]]:
    """List settings by the last part of their name."""
    for key, value in nested.items():
        inner = value
        if isinstance(inner, dict) and "value" in inner and inner.keys() <= {"value", "desc"}:
            inner = inner["value"]
        if isinstance(inner, dict):
            if depth < DEEPEST and not str(key).startswith("_"):
                yield from _leaves(inner, depth + 1)
        else:
            yield str(key).lower().lstrip("-").replace("-", "_").rpartition(".")[2], inner


def _typed(fact: str, value: Any) -> Any:
    """Give a setting's value where it is of its fact's kind; None where it is not."""
    if fact in WORDS:
        return value if isinstance(value, str) and value else None
    if fact in FLAGS:
        words = {"true": True, "false": False}
        return value if isinstance(value, bool) else words.get(str(value).lower())
    known = finite(value)
    at_least_0 = fact in {
        "seed", "schedule.warmup_steps", "schedule.lr_end", "architecture.dense_layers",
        "architecture.d_shared",
    }  # fmt: skip
    return known if known is not None and (known > 0 or (at_least_0 and known == 0)) else None
