"""What trainers call their settings: configurations, argument dumps and logged hyperparameters.

A name is taken at any depth of a configuration, and only where it means one thing: `batch_size`
is per device to one trainer and over all of them to another, so no fact comes from it.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from isoflop.ingest.facts.experts import NAMES as EXPERT_NAMES
from isoflop.ingest.facts.experts import of_experts
from isoflop.ingest.facts.identity import OF_EXPERTS
from isoflop.ingest.reading.textlog import facts_of
from isoflop.ingest.words.model_types import of_model_type
from isoflop.ingest.words.names import SIZES, counted_by_words, without_unit
from isoflop.ingest.words.numbers import finite

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
    "architecture.d_head": ("head_dim", "d_head", "kv_channels", "head_size"),
    "architecture.d_ff": (
        "intermediate_size", "ffn_hidden_size", "d_ff", "ffn_dim", "n_inner", "mlp_hidden_size",
        "mlp_dim", "d_mlp",
    ),
    "architecture.vocab_size": (
        "padded_vocab_size", "vocab_size", "n_vocab",
    ),
    **EXPERT_NAMES,
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

MICRO_BATCH: Final = "train_micro_batch_size_per_gpu"
"""DeepSpeed's, which tells that a `train_batch_size` beside it is that of all devices."""
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
            called = name in names or (fact in SIZES and counted_by_words(name) == fact)
            counted = without_unit(name) if fact in SIZES and not called else None
            of_it = value if counted is None else _in_units(value, counted[1])
            called = called or (counted is not None and counted[0] in names)
            if called and (known := _typed(fact, of_it)) is not None:
                by_fact.setdefault(fact, {}).setdefault(name, []).append(known)
    facts: dict[str, Any] = {}
    for fact, by_name in by_fact.items():
        by_words = next(iter(by_name))
        values = by_name[next((name for name in NAMES[fact] if name in by_name), by_words)]
        if all(value == values[0] for value in values):
            facts[fact] = values[0]
    if (tokens := _all_tokens(nested, 0)) is not None:
        facts["schedule.tokens"] = tokens
    leaves = [*islice(_leaves(nested, 0), MOST)]
    told = dict(leaves)
    kinds = frozenset(str(value) for name, value in leaves if name == "model_type")
    more = of_model_type(facts, told, kinds) | of_experts(facts, told)
    facts = _of_deepspeed(told) | facts
    if "architecture.experts" not in facts and "architecture.uncounted" not in more:
        # a dense model has no use for a routing
        facts = {fact: value for fact, value in facts.items() if fact not in OF_EXPERTS}
    return facts | more


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


def _in_units(value: object, unit: float) -> float | None:
    """Read a count in its unit: `n_params_m`."""
    known = finite(value)
    return None if known is None else known * unit


def _of_deepspeed(told: Mapping[str, Any]) -> dict[str, float]:
    """Give the batch of DeepSpeed's configuration, where it is that of all devices."""
    names = ("train_batch_size", MICRO_BATCH, "gradient_accumulation_steps")
    batch, micro, accumulated = (finite(told.get(name)) for name in names)
    if not batch or not micro or batch % (micro * (accumulated or 1.0)):
        return {}
    return {"batch": batch}


def _all_tokens(nested: Mapping[str, Any], depth: int) -> float | None:
    """Give the tokens of a schedule by the group of LitGPT's that has them, beside its batch.

    To others `max_tokens` are those of a batch, or of an answer.
    """
    tokens = finite(nested.get("max_tokens"))
    if tokens is not None and tokens > 0 and finite(nested.get("global_batch_size")) is not None:
        return tokens
    groups = (group for group in nested.values() if isinstance(group, dict) and depth < DEEPEST)
    told = (_all_tokens(group, depth + 1) for group in groups)
    return next((each for each in told if each is not None), None)


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
