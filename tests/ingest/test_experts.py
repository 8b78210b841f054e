"""Mixtures of experts: total and active N from settings and logs, as they were published."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from isoflop import counting
from isoflop.approaches.observations import observe
from isoflop.config.approaches import CountingSettings
from isoflop.config.losses import LossesSettings
from isoflop.counting import Architecture, flops_per_token
from isoflop.ingest.settings import settings_of
from isoflop.ingest.sweep import ingest_sweep, read_sweep
from isoflop.losses.build import build_losses
from tests.ingest.samples import RECORD, row, write

if TYPE_CHECKING:
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
PUBLISHED = {
    "Mixtral 8x7B (Jiang et al. 2024)": (MIXTRAL, 46.7, 12.9),
    "Mixtral 8x22B (Mistral AI 2024)": (MIXTRAL_22, 141.0, 39.0),
    "OLMoE-1B-7B (Muennighoff et al. 2024)": (OLMOE, 6.9, 1.3),
    "DeepSeekMoE 16B (Dai et al. 2024)": (DEEPSEEK_MOE, 16.4, 2.8),
    "Qwen2-57B-A14B (Yang et al. 2024)": (QWEN2_57B, 57.4, 14.0),
    "Qwen3-30B-A3B (Yang et al. 2025)": (QWEN3_30B, 30.5, 3.3),
}
"""Settings as the models' config.json has them, and the billions of parameters in the papers."""
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


@pytest.mark.parametrize("model", PUBLISHED)
def test_published_counts_come_out_of_their_settings(model: str, tmp_path: Path) -> None:
    config, total, active = PUBLISHED[model]
    run = ingested(tmp_path, config)
    assert run["params_total_source"] == "architecture"
    # papers print one digit behind the point or none, and Qwen3's cuts what follows off (3.353)
    assert run["params_total"] / 1e9 == pytest.approx(total, abs=0.05 if total < 100 else 0.5)
    assert run["params_active"] / 1e9 == pytest.approx(active, abs=0.06 if active < 13 else 0.5)
    assert not run["excluded"]
    assert f"goes through {run['params_active']:.4g}" in run["notes"]


def test_latent_attention_is_refused_and_two_numbers_are_enough(tmp_path: Path) -> None:
    config = DEEPSEEK_MOE | {"kv_lora_rank": 512, "q_lora_rank": 1536, "num_hidden_layers": 61}
    run = ingested(tmp_path / "no", config)
    assert run["excluded"]
    assert "latent attention (kv_lora_rank)" in run["reason"]
    assert "params: {total: <embedding included>, active: <" in run["reason"]
    given = SIDECAR + "  params: {total: 671e9, active: 37e9}\n"
    run = ingested(tmp_path / "yes", config, given)
    assert (run["params_total"], run["params_active"], run["excluded"]) == (671e9, 37e9, False)


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


@pytest.mark.parametrize(
    "setting",
    [
        {"moe_layer_freq": "([0]*3+[1]*14)"},
        {"moe_layer_freq": "open('x')"},
        {"moe_layer_freq": [0, 2] * 8},
        {"moe_layer_freq": 0.5},
        {"first_k_dense_replace": 1, "moe_layer_freq": 2},
        {"mlp_only_layers": [3]},
    ],
)
def test_a_place_of_experts_that_is_not_understood_counts_nothing(
    setting: dict[str, Any], tmp_path: Path
) -> None:
    run = ingested(tmp_path, OLMOE | setting)
    assert run["params_total"] is None
    assert "which blocks have experts" in run["reason"]


def test_more_experts_a_token_than_there_are_count_nothing(tmp_path: Path) -> None:
    run = ingested(tmp_path, OLMOE | {"num_experts_per_tok": 65})
    assert run["params_total"] is None
    assert "more experts a token than there are" in run["reason"]


@pytest.mark.parametrize("value", [-8, 8.5, "many", True, [8], float("inf")])
@pytest.mark.parametrize(
    ("model", "setting", "what"),
    [
        (MIXTRAL, "num_local_experts", "how many experts there are"),
        (QWEN3_30B, "num_experts_per_tok", "how many experts a token goes through"),
        (QWEN3_30B, "moe_intermediate_size", "the width of an expert"),
        (DEEPSEEK_MOE, "n_shared_experts", "how many shared experts there are"),
        (DEEPSEEK_MOE, "first_k_dense_replace", "how many blocks have no experts"),
    ],
)
def test_a_setting_of_experts_that_is_not_understood_counts_nothing(
    model: dict[str, Any], setting: str, what: str, value: object, tmp_path: Path
) -> None:
    """Never a dense model, or one of other experts: the line to add is asked for."""
    run = ingested(tmp_path, model | {setting: value})
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
