"""What settings say of experts and of attention that is not the usual one: read, or refused.

A setting that is not understood would make another network of the same words, often a dense one of
a sixth of the size: then nothing is counted from the shape, and the run says which setting it was.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from isoflop.ingest.facts.identity import OF_EXPERTS, SHAPE_WORDS
from isoflop.ingest.words.numbers import finite

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NAMES: Final = {
    "architecture.kv_heads": (
        "n_kv_head", "n_kv_heads", "num_kv_heads", "num_key_value_heads", "num_query_groups",
        "n_query_groups", "kv_n_heads",
    ),
    "architecture.experts": (
        "num_experts", "n_experts", "num_local_experts", "n_routed_experts", "moe_num_experts",
        "n_expert", "experts",
    ),
    "architecture.experts_per_token": (
        "num_experts_per_tok", "num_experts_per_token", "moe_router_topk", "moe_top_k",
        "experts_per_token", "n_expert_per_token", "moe_topk", "moe_k",
    ),
    "architecture.d_expert": (
        "moe_intermediate_size", "moe_ffn_hidden_size", "moe_hidden_size", "expert_hidden_size",
        "expert_intermediate_size", "moe_dim",
    ),
    "architecture.d_shared": (
        "shared_expert_intermediate_size", "moe_shared_expert_intermediate_size",
        "shared_intermediate_size",
    ),
    "architecture.dense_layers": ("first_k_dense_replace", "num_dense_layers"),
}  # fmt: skip
"""By fact, the names it goes by, as `settings.NAMES`, of which these are a part."""

_SHARED: Final = (
    "n_shared_experts", "num_shared_experts", "n_shared_expert", "num_shared_expert",
    "moe_num_shared_experts",
)  # fmt: skip
"""Numbers of shared experts, each as wide as one that is chosen."""
_PLACES: Final = {
    "moe_layer_freq": True, "decoder_sparse_step": False, "interleave_moe_layer_step": False,
}  # fmt: skip
"""Settings by which every n-th block has experts; whether the first block is one of them."""
_LISTS: Final = ("moe_layers", "mlp_only_layers")
_PERIOD: Final = ("expert_layer_period", "expert_layer_offset")
"""Block i has experts where i modulo the first is the second (JambaConfig of transformers)."""
_KNOWN: Final = frozenset(
    {*_SHARED, *_PLACES, *_LISTS, *_PERIOD, *(name for names in NAMES.values() for name in names)}
)
_OF_TRAINING: Final = re.compile(
    r"parallel|router|loss|coef|capacity|dispatch|dropout|jitter|bias|group|dtype|init|std|scor|scal|"
    r"gemm|impl|kernel|norm|backend|lr|drop|chunk|recompute|permut|lora|quant|type|overlap|seed"
)
"""Parts of the names of settings of experts that change no count."""
_LATENT: Final = {
    "kv_lora_rank": "kv_rank", "q_lora_rank": "q_rank", "qk_rope_head_dim": "d_rope",
    "qk_pos_emb_head_dim": "d_rope", "qk_nope_head_dim": "d_nope", "qk_head_dim": "d_nope",
    "v_head_dim": "d_value",
}  # fmt: skip
"""Settings of latent attention by the names of DeepSeek and Megatron, and what they give: a part
of a head's key turns with the position, and has a width apart from that of the rest."""
_INDEX: Final = re.compile(r"index_(?:n_heads|head_dim|topk)")
"""Settings of the heads that choose what DeepSeek-V3.2 attends to."""
_OTHER_BLOCKS: Final = re.compile(
    r"(?:mamba|ssm|linear_num|linear_key|linear_value|linear_conv|lru|hybrid_override)_.*|d_state"
)
"""Settings of blocks without attention: state spaces, linear attention, recurrences."""
_BLOCK_KINDS: Final = ("layer_types", "layers_block_type", "block_types")
_PATTERN: Final = re.compile(r"\[([01])\] ?\* ?([0-9]{1,6})")


def of_experts(
    facts: Mapping[str, Any], told: Mapping[str, Any], *, dump: bool = False
) -> dict[str, Any]:
    """Give what follows from several settings at once, of a mixture of experts and its attention.

    Parameters
    ----------
    facts : what single settings tell.
    told : all settings by the last part of their name.
    dump : whether they are all arguments of a program, which has them of every model.

    Returns
    -------
    Facts that are added, or win; `architecture.uncounted` where something is not understood.
    """
    dump = dump or "multi_latent_attention" in told  # Megatron's, in another file
    more: dict[str, Any] = {}
    latent, unclear = _latent(told, dump=dump)
    more |= latent
    unclear += _odd_attention(facts, told, dump=dump)
    single = _is_true(told, "multi_query") or _is_true(told, "multi_query_attention")
    if single and not _is_true(told, "new_decoder_architecture"):  # of Falcon, groups then
        more["architecture.kv_heads"] = 1
    if "architecture.experts" not in facts:
        unclear += _number_missing(told, dump=dump)
    else:
        unclear += _unread(facts, told)
        if not dump and facts["architecture.experts"] > 1:
            unclear += _unknown(told, least=1)
        more |= _widths(facts, told)
        places, odd = _without_experts(facts, told)
        more |= places
        unclear += odd
    if unclear:
        more["architecture.uncounted"] = unclear[0]
    return more


def _latent(told: Mapping[str, Any], *, dump: bool) -> tuple[dict[str, Any], list[str]]:
    """Read the shape of latent attention, if it is; or say which of its settings is unclear."""
    given = [name for name in _LATENT if _says(told, name) and finite(told[name]) != 0]
    # MaxText writes all its settings of every model, and a dump has all of its program's
    kind = str(told.get("attention_type", "mla")).lower()
    is_latent = _is_true(told, "multi_latent_attention") if dump else bool(given) and kind == "mla"
    if not is_latent:
        return {}, []
    sizes = {_LATENT[name]: finite(told[name]) for name in given}
    for name in given:
        size = sizes[_LATENT[name]]
        if size is None or size < 1 or not size.is_integer():
            return {}, [f"latent attention ({name})"]
    lacking = [size for size in ("kv_rank", "d_rope", "d_nope", "d_value") if size not in sizes]
    if "q_lora_rank" not in told:  # none is another network than one that is not told
        lacking.append("q_rank")
    if lacking:
        name = next(name for name, size in _LATENT.items() if size == lacking[0])
        return {}, [f"latent attention ({', '.join(given)} without {name})"]
    index = next((name for name in told if _INDEX.fullmatch(name) and _says(told, name)), None)
    if index is not None:
        return {}, [f"heads that choose what is attended to ({index})"]
    width = (sizes.pop("d_nope") or 0.0) + (sizes["d_rope"] or 0.0)
    return {f"architecture.{name}": size for name, size in (*sizes.items(), ("d_head", width))}, []


def _odd_attention(
    facts: Mapping[str, Any], told: Mapping[str, Any], *, dump: bool
) -> Iterator[str]:
    """Say what of the attention is no shape of our words."""
    if not dump:
        yield from _other_blocks(told)
    elif _says(told, "hybrid_override_pattern"):
        yield "blocks of another kind (hybrid_override_pattern)"
    fact = "architecture.kv_heads"
    setting = next((name for name in NAMES[fact] if _says(told, name)), None)
    if setting is not None and fact not in facts:
        yield f"{SHAPE_WORDS[fact]} ({setting})"


def _other_blocks(told: Mapping[str, Any]) -> Iterator[str]:
    """Say that some blocks have no attention."""
    if finite(told.get("attn_layer_period")) == 1:
        return  # of Jamba, whose other settings are for no block then
    for name, value in told.items():
        if _OTHER_BLOCKS.fullmatch(name) and _says(told, name) and finite(value) != 0:
            yield f"blocks of another kind ({name})"
    for name in _BLOCK_KINDS:
        kinds = told.get(name)
        if isinstance(kinds, list) and not all(map(_is_attention, kinds)):
            yield f"blocks of another kind ({name})"


def _is_attention(kind: object) -> bool:
    return "attention" in str(kind) and "linear" not in str(kind)


def _number_missing(told: Mapping[str, Any], *, dump: bool) -> Iterator[str]:
    """Say that there are experts, and that their number is not understood."""
    fact = "architecture.experts"
    names = [name for name in NAMES[fact] if name in told]
    given = any(_says(told, name) and finite(told[name]) != 0 for name in names)
    routed = any(
        _says(told, name) and finite(told[name]) != 0
        for name in NAMES["architecture.experts_per_token"]
    )
    if given or (routed and not names and not dump):
        yield SHAPE_WORDS[fact]
    elif not names and not dump:
        yield from _unknown(told, least=2)


def _unread(facts: Mapping[str, Any], told: Mapping[str, Any]) -> Iterator[str]:
    """Say which setting of a mixture is given and not understood."""
    for fact, what in OF_EXPERTS.items():
        setting = next((name for name in NAMES[fact] if _says(told, name)), None)
        if (setting and fact not in facts) or not _is_integer(facts.get(fact, 0.0)):
            yield f"{what} ({setting})"
    for name in _SHARED:
        count = finite(told.get(name))
        if _says(told, name) and (count is None or count < 0 or not count.is_integer()):
            yield f"how many shared experts there are ({name})"


def _unknown(told: Mapping[str, Any], *, least: int) -> Iterator[str]:
    """Say which setting of experts is none of those that are known here, but for the training's."""
    for name, value in told.items():
        if not re.search(r"expert|moe(?:_|$)", name) or name in _KNOWN or _OF_TRAINING.search(name):
            continue
        count = finite(value)
        counts = count is not None and count >= least and count.is_integer()
        if counts or (isinstance(value, list) and value):
            yield f"a setting of experts that is not known here ({name})"


def _widths(facts: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    """Give the widths of experts that follow from others."""
    if (dense := finite(told.get("intermediate_size_mlp"))) is not None and dense > 0:
        # Llama 4: intermediate_size is an expert's, and the one shared expert is as wide
        width = facts.get("architecture.d_ff")
        return {
            "architecture.d_ff": dense,
            "architecture.d_expert": width,
            "architecture.d_shared": width,
        }
    more: dict[str, Any] = {}
    width = finite(facts.get("architecture.d_expert") or facts.get("architecture.d_ff"))
    shared = next((count for name in _SHARED if (count := finite(told.get(name)))), None)
    if shared and width and "architecture.d_shared" not in facts:
        more["architecture.d_shared"] = shared * width
    if finite(told.get("shared_expert_intermediate_size")):
        more["architecture.shared_gate"] = True
    return more


def _without_experts(
    facts: Mapping[str, Any], told: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """Count the blocks without experts, by whichever settings say so; and what is unclear."""
    layers = int(finite(facts.get("architecture.layers")) or 0)
    counts: dict[str, int | None] = {}
    if "architecture.dense_layers" in facts:
        counts["dense_layers"] = int(facts["architecture.dense_layers"])
    for name, begins in _PLACES.items():
        # 1: all blocks do, but for the first where another setting says so
        if told.get(name) is not None and finite(told[name]) != 1:
            counts[name] = _dense_layers(told[name], layers, begins=begins)
    period, offset = (finite(told.get(name)) for name in _PERIOD)
    if any(_says(told, name) for name in _PERIOD):
        counts[_PERIOD[0]] = _dense_by_period(period, offset, layers)
    if told.get("moe_layers"):
        counts["moe_layers"] = _dense_of_list(told["moe_layers"], layers)
    if told.get("mlp_only_layers"):
        counts["mlp_only_layers"] = None
    odd = [f"which blocks have experts ({name})" for name, count in counts.items() if count is None]
    of_llama = _says(told, "interleave_moe_layer_step") or _says(told, "moe_layers")
    if of_llama and finite(told.get("intermediate_size_mlp")) is None:
        odd.append("the width of a block without experts (intermediate_size_mlp)")
    if len(set(counts.values())) > 1:
        odd.append(f"which blocks have experts ({', '.join(counts)})")
    if odd or not counts or "dense_layers" in counts:
        return {}, odd
    return {"architecture.dense_layers": next(iter(counts.values()))}, []


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


def _dense_by_period(period: float | None, offset: float | None, layers: int) -> int | None:
    """Count the blocks that are not the offset-th of their period; None where that is no place."""
    if period is None or offset is None or not (_is_integer(period) and _is_integer(offset)):
        return None
    if not 0 <= offset < period:
        return None
    return layers - len(range(int(offset), layers, int(period)))


def _dense_of_list(blocks: Any, layers: int) -> int | None:
    """Count the blocks that a list of those with experts leaves out."""
    if not isinstance(blocks, list):
        return None
    numbers = {finite(block) for block in blocks}
    if any(number is None or number not in range(layers) for number in numbers):
        return None
    return layers - len(numbers)


def _says(told: Mapping[str, Any], name: str) -> bool:
    """Whether a setting has a value; argument dumps print those without one as words."""
    return str(told.get(name)).lower() not in {"none", "null", "false", "", "[]"}


def _is_true(told: Mapping[str, Any], name: str) -> bool:
    return str(told.get(name)).lower() == "true"


def _is_integer(value: Any) -> bool:
    number = finite(value)
    return number is not None and number.is_integer()
