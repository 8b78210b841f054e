"""Mixtures of experts: total and active N from settings and logs, as they were published."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from isoflop import counting
from isoflop.approaches.observations import observe
from isoflop.config.approaches import CountingSettings
from isoflop.config.losses import LossesSettings
from isoflop.counting import Architecture, flops_per_token
from isoflop.errors import ConfigError
from isoflop.ingest.reading.settings import settings_of
from isoflop.ingest.sweep import ingest_sweep, read_sweep
from isoflop.losses.build import build_losses
from tests.ingest.samples import ONE_CURVE, RECORD, SHAPE, jsonl, row, run_lines, write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MIXTRAL = {
    "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": 8, "num_local_experts": 8,
    "num_experts_per_tok": 2, "vocab_size": 32000, "tie_word_embeddings": False,
}  # fmt: skip
MIXTRAL_22 = MIXTRAL | {
    "hidden_size": 6144, "intermediate_size": 16384, "num_hidden_layers": 56,
    "num_attention_heads": 48, "vocab_size": 32768,
}  # fmt: skip
OLMOE = {
    "hidden_size": 2048, "intermediate_size": 1024, "num_hidden_layers": 16,
    "num_attention_heads": 16, "num_key_value_heads": 16, "num_experts": 64,
    "num_experts_per_tok": 8, "vocab_size": 50304, "tie_word_embeddings": False,
}  # fmt: skip
DEEPSEEK_MOE = {
    "hidden_size": 2048, "intermediate_size": 10944, "moe_intermediate_size": 1408,
    "num_hidden_layers": 28, "num_attention_heads": 16, "num_key_value_heads": 16,
    "n_routed_experts": 64, "n_shared_experts": 2, "num_experts_per_tok": 6,
    "first_k_dense_replace": 1, "moe_layer_freq": 1, "vocab_size": 102400,
    "tie_word_embeddings": False,
}  # fmt: skip
QWEN2_57B = {
    "hidden_size": 3584, "intermediate_size": 18944, "moe_intermediate_size": 2560,
    "shared_expert_intermediate_size": 20480, "num_hidden_layers": 28, "num_attention_heads": 28,
    "num_key_value_heads": 4, "num_experts": 64, "num_experts_per_tok": 8,
    "decoder_sparse_step": 1, "vocab_size": 151936, "tie_word_embeddings": False,
}  # fmt: skip
QWEN3_30B = {
    "hidden_size": 2048, "intermediate_size": 6144, "moe_intermediate_size": 768,
    "num_hidden_layers": 48, "num_attention_heads": 32, "num_key_value_heads": 4, "head_dim": 128,
    "num_experts": 128, "num_experts_per_tok": 8, "decoder_sparse_step": 1, "mlp_only_layers": [],
    "vocab_size": 151936, "tie_word_embeddings": False,
}  # fmt: skip
LLAMA_4 = {
    "hidden_size": 5120, "intermediate_size": 8192, "intermediate_size_mlp": 16384,
    "num_hidden_layers": 48, "num_attention_heads": 40, "num_key_value_heads": 8, "head_dim": 128,
    "num_local_experts": 16, "num_experts_per_tok": 1, "interleave_moe_layer_step": 1,
    "vocab_size": 202048, "tie_word_embeddings": False,
}  # fmt: skip
DBRX = {
    "d_model": 6144, "n_heads": 48, "n_layers": 40, "max_seq_len": 32768, "vocab_size": 100352,
    "attn_config": {"kv_n_heads": 8, "clip_qkv": 8, "rope_theta": 500000},
    "ffn_config": {
        "ffn_hidden_size": 10752, "moe_num_experts": 16, "moe_top_k": 4, "moe_jitter_eps": 0.01,
        "moe_loss_weight": 0.05, "moe_normalize_expert_weights": 1,
    },
    "tie_word_embeddings": False,
}  # fmt: skip
JAMBA = {
    "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": 8, "num_experts": 16,
    "num_experts_per_tok": 2, "expert_layer_period": 2, "expert_layer_offset": 1,
    "attn_layer_period": 8, "attn_layer_offset": 4, "mamba_d_state": 16, "mamba_d_conv": 4,
    "vocab_size": 65536, "tie_word_embeddings": False,
}  # fmt: skip
DEEPSEEK_V3 = {
    "hidden_size": 7168, "intermediate_size": 18432, "moe_intermediate_size": 2048,
    "num_hidden_layers": 61, "num_attention_heads": 128, "num_key_value_heads": 128,
    "q_lora_rank": 1536, "kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64,
    "v_head_dim": 128, "n_routed_experts": 256, "n_shared_experts": 1, "num_experts_per_tok": 8,
    "first_k_dense_replace": 3, "moe_layer_freq": 1, "n_group": 8, "topk_group": 4,
    "num_nextn_predict_layers": 1, "vocab_size": 129280, "tie_word_embeddings": False,
}  # fmt: skip
DEEPSEEK_V2 = DEEPSEEK_V3 | {
    "hidden_size": 5120, "intermediate_size": 12288, "moe_intermediate_size": 1536,
    "num_hidden_layers": 60, "n_routed_experts": 160, "n_shared_experts": 2,
    "num_experts_per_tok": 6, "first_k_dense_replace": 1, "topk_group": 3, "vocab_size": 102400,
}  # fmt: skip
DEEPSEEK_V2_LITE = DEEPSEEK_MOE | {
    "num_hidden_layers": 27, "q_lora_rank": None, "kv_lora_rank": 512, "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64, "v_head_dim": 128,
}  # fmt: skip
PUBLISHED = {
    "DeepSeek-V2-Lite (DeepSeek-AI 2024)": (DEEPSEEK_V2_LITE, 15.7, 2.66),
    "DeepSeek-V2 (DeepSeek-AI 2024)": (DEEPSEEK_V2, 236.0, 21.0),
    # without the head that predicts a second token, 14 of its 685
    "DeepSeek-V3 (DeepSeek-AI 2024)": (DEEPSEEK_V3, 671.0, 37.55),
    "Mixtral 8x7B (Jiang et al. 2024)": (MIXTRAL, 46.7, 12.9),
    "Mixtral 8x22B (Mistral AI 2024)": (MIXTRAL_22, 141.0, 39.0),
    "OLMoE-1B-7B (Muennighoff et al. 2024)": (OLMOE, 6.9, 1.3),
    "DeepSeekMoE 16B (Dai et al. 2024)": (DEEPSEEK_MOE, 16.4, 2.8),
    "Qwen2-57B-A14B (Yang et al. 2024)": (QWEN2_57B, 57.4, 14.0),
    "Qwen3-30B-A3B (Yang et al. 2025)": (QWEN3_30B, 30.5, 3.3),
    "DBRX (Databricks 2024)": (DBRX, 132.0, 36.0),
    # without the encoder of images, .9 of 109
    "Llama 4 Scout (Meta 2025)": (LLAMA_4, 107.8, 17.2),
    "Llama 4 Maverick (Meta 2025)": (
        LLAMA_4 | {"num_local_experts": 128, "interleave_moe_layer_step": 2},
        400.7,
        17.2,
    ),
}
"""Settings as the models' config.json has them, and the billions of parameters in the papers."""
SHAPES: list[tuple[dict[str, Any], str | None]] = [
    (JAMBA, "blocks of another kind (mamba_d_state)"),
    (OLMOE | {"layer_types": ["full_attention", "linear_attention"] * 8}, "(layer_types)"),
    (OLMOE | {"v_head_dim": 64}, "latent attention (v_head_dim without kv_lora_rank)"),
    (DEEPSEEK_MOE | {"kv_lora_rank": "many"}, "latent attention (kv_lora_rank)"),
    (DEEPSEEK_V3 | {"v_head_dim": 0}, "without v_head_dim"),
    (DEEPSEEK_V3 | {"qk_rope_head_dim": 6.5}, "latent attention (qk_rope_head_dim)"),
    ({k: v for k, v in DEEPSEEK_V3.items() if k != "q_lora_rank"}, "without q_lora_rank"),
    (DEEPSEEK_V3 | {"index_n_heads": 64, "index_head_dim": 128, "index_topk": 2048},
     "heads that choose what is attended to (index_n_heads)"),
    (OLMOE | {"num_key_value_heads": 0}, "how many heads keys and values have"),
    (OLMOE | {"num_key_value_heads": "few"}, "how many heads keys and values have"),
    (OLMOE | {"num_key_value_heads": 5}, "16 heads cannot share 5 heads"),
    (OLMOE | {"num_extra_experts": 4}, "not known here (num_extra_experts)"),
    (OLMOE | {"num_extra_experts": 0}, None),
    (OLMOE | {"moe_layer_frequency": 2}, "not known here (moe_layer_frequency)"),
    (OLMOE | {"moe_every": 2}, "not known here (moe_every)"),
    (OLMOE | {"interleave_moe_layer_step": 2}, "intermediate_size_mlp"),
    (LLAMA_4 | {"moe_layers": [1, 99]}, "which blocks have experts (moe_layers)"),
    (LLAMA_4 | {"moe_layers": [1, 3]}, None),
    (OLMOE | {"expert_layer_period": 2}, "which blocks have experts (expert_layer_period)"),
    (OLMOE | {"expert_layer_period": 2, "expert_layer_offset": 2}, "expert_layer_period"),
    ({"n_blocks_of_experts": 8, **{k: v for k, v in OLMOE.items() if "expert" not in k}},
     "not known here (n_blocks_of_experts)"),
]  # fmt: skip
"""What of models' settings is not understood, and what is said of it; None where it is."""
PLACES: list[dict[str, Any]] = [
    {"moe_layer_freq": "([0]*3+[1]*14)"},
    {"moe_layer_freq": "open('x')"},
    {"moe_layer_freq": [0, 2] * 8},
    {"moe_layer_freq": 0.5},
    {"first_k_dense_replace": 1, "moe_layer_freq": 2},
    {"mlp_only_layers": [3]},
]
VALUES = [-8, 8.5, "many", True, [8], float("inf")]
SETTINGS: list[tuple[dict[str, Any], str, str]] = [
    (MIXTRAL, "num_local_experts", "how many experts there are"),
    (QWEN3_30B, "num_experts_per_tok", "how many experts a token goes through"),
    (QWEN3_30B, "moe_intermediate_size", "the width of an expert"),
    (DEEPSEEK_MOE, "n_shared_experts", "how many shared experts there are"),
    (DEEPSEEK_MOE, "first_k_dense_replace", "how many blocks have no experts"),
]
LOG = "step,loss,tokens\n" + "".join(f"{s},{3 - s / 100},{s * 1000}\n" for s in range(1, 9))
SIDECAR = """title: t
facts:
  architecture: {seq_len: 4096, gated: true}
  schedule: {kind: constant}
"""


def ingested(folder: Path, config: dict[str, Any], sidecar: str = SIDECAR) -> dict[str, Any]:
    files = {"a/log.csv": LOG, "a/config.json": json.dumps(config)}
    (run,) = read_sweep(write(folder, files, sidecar=sidecar), RECORD).runs.to_dicts()
    return run


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Callable[[dict[str, Any]], Any]:
    """Give the run of one of many settings: one folder has a run of each, and is read once."""
    configs = [
        *(config for config, _, _ in PUBLISHED.values()),
        *(config for config, _ in SHAPES),
        *(OLMOE | setting for setting in PLACES),
        *(model | {setting: value} for value in VALUES for model, setting, _ in SETTINGS),
    ]
    files = {}
    for i, config in enumerate(configs):
        # a file that is another's copy would be left out
        files[f"{i:03}/log.csv"] = LOG + f"9,{2.9 - i / 1000},9000\n"
        files[f"{i:03}/config.json"] = json.dumps(config)
    folder = write(tmp_path_factory.mktemp("experts"), files, sidecar=SIDECAR)
    runs = read_sweep(folder, ONE_CURVE).runs.sort("run").to_dicts()
    assert len(runs) == len(configs)
    found = {json.dumps(config): run for config, run in zip(configs, runs, strict=True)}
    return lambda config: found[json.dumps(config)]


@pytest.mark.parametrize("model", PUBLISHED)
def test_published_counts_come_out_of_their_settings(
    model: str, together: Callable[[dict[str, Any]], Any]
) -> None:
    config, total, active = PUBLISHED[model]
    run = together(config)
    assert run["params_total_source"] == "architecture"
    # papers print one digit behind the point or none, and Qwen3's cuts what follows off (3.353)
    assert run["params_total"] / 1e9 == pytest.approx(total, abs=0.05 if total < 100 else 0.5)
    assert run["params_active"] / 1e9 == pytest.approx(active, abs=0.06 if active < 13 else 0.5)
    assert not run["excluded"]
    assert f"goes through {run['params_active']:.4g}" in run["notes"]


@pytest.mark.parametrize(("config", "what"), SHAPES)
def test_a_shape_that_is_not_understood_counts_nothing(
    config: dict[str, Any], what: str | None, together: Callable[[dict[str, Any]], Any]
) -> None:
    run = together(config)
    if what is None:
        assert run["params_total"] is not None
        return
    assert run["params_total"] is run["params_active"] is None
    assert what in run["reason"]
    assert "params: {total: <embedding included>" in run["reason"]


def test_experts_of_every_second_block_are_counted() -> None:
    """Jamba's places: block i has experts where i mod the period is the offset."""
    alone = {name: value for name, value in JAMBA.items() if not name.startswith("mamba")}
    alone |= {"attn_layer_period": 1, "attn_layer_offset": 0, "num_hidden_layers": 31}
    facts = settings_of(alone)
    assert facts["architecture.dense_layers"] == 16
    assert settings_of(alone | {"expert_layer_offset": 0})["architecture.dense_layers"] == 15
    assert "architecture.uncounted" not in facts


def test_one_head_of_keys_and_values_may_be_a_flag() -> None:
    falcon = {"hidden_size": 4544, "num_attention_heads": 71, "multi_query": True}
    assert settings_of(falcon)["architecture.kv_heads"] == 1
    grouped = falcon | {"num_kv_heads": 8, "new_decoder_architecture": True}
    assert settings_of(grouped)["architecture.kv_heads"] == 8


MIXTURE = (
    "  architecture: {layers: 4, d_model: 64, heads: 4, d_ff: 256, vocab_size: 512, tied: true,"
)
PLAIN = "title: t\nfacts:\n  schedule: {kind: constant}\n"


@pytest.mark.parametrize("alone", ["experts_per_token: 2", "d_expert: 32", "dense_layers: 1"])
def test_a_part_of_a_mixture_is_no_dense_model(alone: str, tmp_path: Path) -> None:
    shape = f"{PLAIN}{MIXTURE} gated: true, seq_len: 64, {alone}}}\n"
    (run,) = read_sweep(write(tmp_path, {"a.csv": LOG}, shape), RECORD).runs.to_dicts()
    assert run["params_total"] is run["params_active"] is None
    assert "architecture: {experts: <experts of a block>}" in run["reason"]


@pytest.mark.parametrize("wrong", ["experts: true", "kv_heads: 0", "experts: 2.5", "layers: true"])
def test_a_flag_or_a_zero_is_no_count(wrong: str, tmp_path: Path) -> None:
    shape = f"title: t\nfacts:\n  architecture: {{{wrong}}}\n"
    with pytest.raises(ConfigError, match=wrong.partition(":")[0]):
        read_sweep(write(tmp_path, {"a.csv": LOG}, shape), RECORD)


def test_a_header_that_has_a_flag_for_experts_is_refused(tmp_path: Path) -> None:
    text = jsonl(run_lines(architecture=SHAPE | {"experts": True}))
    files = read_sweep(write(tmp_path, {"a.jsonl": text}), RECORD).files
    assert files["fate"].to_list()[:1] == ["rejected"]
    assert "experts: " in files["reason"][0]


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ("{total: 1e6, active: 2e6}", "2e+06 active parameters by sweep.yaml are more than all"),
        ("{total: 1e6, nonembedding: 2e6}", "2e+06 parameters without embedding by sweep.yaml"),
    ],
)
def test_no_part_is_more_than_all(params: str, words: str, tmp_path: Path) -> None:
    sidecar = f"{PLAIN}  params: {params}\n"
    (run,) = read_sweep(write(tmp_path, {"a.csv": LOG}, sidecar), RECORD).runs.to_dicts()
    assert run["excluded"]
    assert words in run["reason"]


def test_experts_larger_than_the_printed_model_are_no_negative_count(tmp_path: Path) -> None:
    run = ingested(tmp_path, OLMOE, SIDECAR + "  params: {total: 1e9}\n")
    assert run["params_active"] is None
    assert "it has 1e+09 in all by sweep.yaml" in run["reason"]


@pytest.mark.parametrize("value", ["-1.0", "0", "true"])
def test_a_column_of_active_parameters_is_of_counts(value: str, tmp_path: Path) -> None:
    table = f"N,params_active,D,loss\n1e6,{value},1e8,3.0\n2e6,1e6,1e8,2.9\n"
    tables = read_sweep(write(tmp_path, {"a.csv": table}), RECORD)
    active = tables.runs["params_active"].drop_nulls()
    assert (active > 0).all()
    assert active.len() <= 1


def test_latent_attention_in_part_is_refused_and_two_numbers_are_enough(tmp_path: Path) -> None:
    config = DEEPSEEK_MOE | {"kv_lora_rank": 512, "q_lora_rank": 1536, "num_hidden_layers": 61}
    run = ingested(tmp_path / "no", config)
    assert run["excluded"]
    assert "latent attention (kv_lora_rank, q_lora_rank without qk_rope_head_dim)" in run["reason"]
    assert "params: {total: <embedding included>, active: <" in run["reason"]
    given = SIDECAR + "  params: {total: 671e9, active: 37e9}\n"
    run = ingested(tmp_path / "yes", config, given)
    assert (run["params_total"], run["params_active"], run["excluded"]) == (671e9, 37e9, False)


@pytest.mark.parametrize(
    ("model", "active"), [(DEEPSEEK_V2_LITE, 2.4), (DEEPSEEK_V2, 21.0), (DEEPSEEK_V3, 37.0)]
)
def test_the_papers_count_no_input_embedding_as_active(
    model: dict[str, Any], active: float, tmp_path: Path
) -> None:
    run = ingested(tmp_path, model)
    embedding = model["vocab_size"] * model["hidden_size"]
    counted = (run["params_active"] - embedding) / 1e9
    assert counted == pytest.approx(active, abs=0.06 if active < 13 else 0.5)


MEGATRON_NAMES = {
    "qk_nope_head_dim": "qk_head_dim", "qk_rope_head_dim": "qk_pos_emb_head_dim",
}  # fmt: skip


def test_latent_attention_by_megatrons_names_is_the_same() -> None:
    told = {MEGATRON_NAMES.get(name, name): value for name, value in DEEPSEEK_V3.items()}
    counted = settings_of(told | {"multi_latent_attention": True})
    assert counted == settings_of(DEEPSEEK_V3)
    assert counted["architecture.d_head"] == 192
    off = settings_of(told | {"multi_latent_attention": False})
    assert "architecture.kv_rank" not in off


def test_latent_attention_is_counted_as_its_matrices() -> None:
    """One block by hand: DeepSeek-V2, section 2.1.2 and appendix C."""
    shape = Architecture(
        layers=1, d_model=10, heads=2, d_head=5, d_ff=1, vocab_size=1, seq_len=7,
        kv_rank=4, q_rank=3, d_rope=2, d_value=6,
    )  # fmt: skip
    queries = 10 * 3 + 3 * 2 * 5
    keys_and_values = 10 * (4 + 2) + 4 * 2 * (3 + 6)
    output = 2 * 6 * 10
    feed_forward = 2 * 10
    body = queries + keys_and_values + output + feed_forward
    assert counting.params(shape, "nonembedding") == body
    assert counting.flops_per_token_scores(shape) == 6 * 2 * (5 + 6) * 7
    direct = replace(shape, q_rank=None)
    assert counting.params(direct, "nonembedding") == body - queries + 10 * 2 * 5
    plain = replace(shape, kv_rank=None, q_rank=None, d_rope=0, d_value=None)
    assert counting.params(plain, "nonembedding") == 4 * 10 * 2 * 5 + feed_forward
    hoffmann = 2 * (queries + keys_and_values) + 2 * 7 * 2 * (5 + 6) + 3 * 2 * 7 + 2 * output
    assert counting.flops_per_token_hoffmann(shape) == 3 * (hoffmann + 2 * feed_forward)


@pytest.mark.parametrize("part", ["kv_rank: 8", "d_value: 8, d_rope: 4", "q_rank: 8"])
def test_a_part_of_latent_attention_counts_nothing(part: str, tmp_path: Path) -> None:
    shape = f"{PLAIN}{MIXTURE} gated: true, seq_len: 64, {part}}}\n"
    (run,) = read_sweep(write(tmp_path, {"a.csv": LOG}, shape), RECORD).runs.to_dicts()
    assert run["params_total"] is None
    assert "latent attention: " in run["reason"]


@pytest.mark.parametrize(
    ("setting", "dense"),
    [
        ({"moe_layer_freq": 1}, None),
        ({"moe_layer_freq": 2}, 8),
        ({"moe_layer_freq": 3}, 10),
        ({"decoder_sparse_step": 3}, 11),
        ({"moe_layer_freq": "([0]*3+[1]*13)"}, 3),
        ({"moe_layer_freq": [0, 1] * 8}, 8),
        ({"first_k_dense_replace": 1, "moe_layer_freq": 1}, 1),
    ],
)
def test_blocks_without_experts_are_counted(setting: dict[str, Any], dense: int | None) -> None:
    facts = settings_of(OLMOE | setting)
    assert facts.get("architecture.dense_layers") == dense
    assert "architecture.uncounted" not in facts


@pytest.mark.parametrize("setting", PLACES)
def test_a_place_of_experts_that_is_not_understood_counts_nothing(
    setting: dict[str, Any], together: Callable[[dict[str, Any]], Any]
) -> None:
    run = together(OLMOE | setting)
    assert run["params_total"] is None
    assert "which blocks have experts" in run["reason"]


def test_more_experts_a_token_than_there_are_count_nothing(tmp_path: Path) -> None:
    run = ingested(tmp_path, OLMOE | {"num_experts_per_tok": 65})
    assert run["params_total"] is None
    assert "more experts a token than there are" in run["reason"]


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize(("model", "setting", "what"), SETTINGS)
def test_a_setting_of_experts_that_is_not_understood_counts_nothing(
    model: dict[str, Any],
    setting: str,
    what: str,
    value: object,
    together: Callable[[dict[str, Any]], Any],
) -> None:
    """Never a dense model, or one of other experts: the line to add is asked for."""
    run = together(model | {setting: value})
    assert run["params_total"] is None
    assert run["params_active"] is None
    assert what in run["reason"]


def test_routing_without_a_number_of_experts_counts_nothing(tmp_path: Path) -> None:
    config = {key: value for key, value in MIXTRAL.items() if key != "num_local_experts"}
    run = ingested(tmp_path, config)
    assert run["params_total"] is None
    assert "how many experts there are" in run["reason"]


@pytest.mark.parametrize("none", [0, None])
def test_no_experts_are_a_dense_model(none: int | None, tmp_path: Path) -> None:
    run = ingested(tmp_path, MIXTRAL | {"num_local_experts": none})
    assert run["params_total"] == pytest.approx(7.24e9, rel=1e-3)
    assert run["experts"] is run["experts_per_token"] is run["params_active"] is None


ARGUMENTS = """  num_layers ..................................... 16
  hidden_size .................................... 2048
  num_attention_heads ............................ 16
  ffn_hidden_size ................................ 1024
  swiglu ......................................... True
  untie_embeddings_and_output_weights ............ True
  seq_length ..................................... 4096
  global_batch_size .............................. 4
  train_iters .................................... 4
  padded_vocab_size .............................. 50304
  moe_router_topk ................................ 8
  moe_layer_freq ................................. 1
  moe_ffn_hidden_size ............................ 1024
"""
ITERATION = (
    " iteration {n:8d}/       4 | consumed samples: {d:12d} |"
    " elapsed time per iteration (ms): 9.0 | learning rate: 3.0E-04 | global batch size: 4 |"
    " lm loss: {loss:.6E} | grad norm: 1.0 |\n"
)


@pytest.mark.parametrize(("experts", "total", "active"), [("64", 6.92, 1.28), ("None", None, None)])
def test_megatron_prints_of_experts(
    experts: str, total: float | None, active: float | None, tmp_path: Path
) -> None:
    lines = [ITERATION.format(n=n, d=4 * n, loss=3.0 - n / 10) for n in range(1, 5)]
    text = ARGUMENTS + f"  num_experts .................................... {experts}\n"
    folder = write(tmp_path, {"a.log": text + "".join(lines)}, sidecar="title: t\n")
    tables = ingest_sweep(folder, RECORD)
    run = row(tables.runs, "run", "a")
    if total is None:
        assert run["experts"] is run["experts_per_token"] is run["params_active"] is None
        assert run["params_total"] == 16 * (4 + 1.5) * 2048**2 + 2 * 50304 * 2048
        return
    assert (run["experts"], run["experts_per_token"]) == (64, 8)
    assert run["params_total"] / 1e9 == pytest.approx(total, abs=0.005)
    assert run["params_active"] / 1e9 == pytest.approx(active, abs=0.005)


def test_flops_count_what_a_token_goes_through() -> None:
    dense = Architecture(16, 2048, 16, 128, 8 * 1024, 50304, 4096, tied=False, gated=True)
    sparse = Architecture(
        16, 2048, 16, 128, 1024, 50304, 4096, tied=False, gated=True, experts=64,
        experts_per_token=8,
    )  # fmt: skip
    router = 16 * 2048 * 64
    for convention in ("hoffmann", "attention"):
        rates = [
            flops_per_token(
                convention,
                params_total=counting.params(shape, "total"),
                params_nonembedding=counting.params(shape, "nonembedding"),
                params_with_head=counting.params(shape, "with_head"),
                architecture=shape,
            )
            for shape in (dense, sparse)
        ]
        assert rates[0] is not None
        assert rates[1] == pytest.approx(rates[0] + 6 * router, rel=1e-12)
    assert counting.params_idle(dense) == 0
    assert counting.params_idle(sparse) == 16 * 3 * 2048 * 1024 * 56


def test_a_sweep_is_counted_by_active_parameters_where_that_is_chosen(tmp_path: Path) -> None:
    dense = {name: value for name, value in OLMOE.items() if "experts" not in name}
    files = {}
    for place, config in (("a", OLMOE), ("b", dense | {"intermediate_size": 8192})):
        files[f"{place}/config.json"] = json.dumps(config)
        files[f"{place}/log.csv"] = LOG.replace("2.", "2.0" if place == "a" else "2.")
    tables = ingest_sweep(write(tmp_path, files, sidecar=SIDECAR), RECORD)
    built = build_losses(tables.curves, tables.runs, tables.files, LossesSettings())
    by_active = observe(built.losses, CountingSettings(params="active", flops="active"))
    by_total = observe(built.losses, CountingSettings())
    sparse, full = by_active.run_params
    assert by_active.flops == pytest.approx(6.0 * by_active.params * by_active.tokens)
    assert full == by_total.run_params[1] == 16 * (4 * 2048**2 + 3 * 2048 * 8192) + 2 * 50304 * 2048
    assert sparse == full + 16 * 64 * 2048
    assert by_total.run_params[0] / 1e9 == pytest.approx(6.9, abs=0.05)
