"""A config.json of Hugging Face's beside a log: N where its kind is known, and else a question."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from isoflop.errors import MissingFactError
from isoflop.ingest.reading.settings import settings_of
from tests.ingest.samples import ingest, row

if TYPE_CHECKING:
    from pathlib import Path

GPT2 = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "n_layer": 12, "n_embd": 768,
        "n_head": 12, "n_positions": 1024, "n_inner": None, "vocab_size": 50257}  # fmt: skip
LLAMA = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 4096,
         "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32,
         "num_key_value_heads": 32, "vocab_size": 32000, "max_position_embeddings": 2048,
         "tie_word_embeddings": False}  # fmt: skip
GEMMA = {"model_type": "gemma", "architectures": ["GemmaForCausalLM"], "hidden_size": 2048,
         "intermediate_size": 16384, "num_hidden_layers": 18, "num_attention_heads": 8,
         "num_key_value_heads": 1, "head_dim": 256, "vocab_size": 256000}  # fmt: skip
PYTHIA = {"model_type": "gpt_neox", "architectures": ["GPTNeoXForCausalLM"], "hidden_size": 768,
          "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
          "vocab_size": 50304, "tie_word_embeddings": False}  # fmt: skip
QWEN = {"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "hidden_size": 896,
        "intermediate_size": 4864, "num_hidden_layers": 24, "num_attention_heads": 14,
        "num_key_value_heads": 2, "vocab_size": 151936, "tie_word_embeddings": True}  # fmt: skip
OPT = {"model_type": "opt", "architectures": ["OPTForCausalLM"], "hidden_size": 768,
       "ffn_dim": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
       "vocab_size": 50272}  # fmt: skip
T5 = {"model_type": "t5", "architectures": ["T5ForConditionalGeneration"], "d_model": 512,
      "d_ff": 2048, "num_layers": 6, "num_heads": 8, "vocab_size": 32128}  # fmt: skip
MAMBA = {"model_type": "mamba", "architectures": ["MambaForCausalLM"], "hidden_size": 768,
         "num_hidden_layers": 24, "vocab_size": 50280, "intermediate_size": 1536}  # fmt: skip
CSV = "step,loss\n" + "".join(f"{step},{5 - step / 1e3}\n" for step in range(100, 1100, 100))
SIDECAR = "title: t\nfacts: {tokens_per_step: 524288, schedule: {kind: constant}}\n"


def files(config: dict[str, Any]) -> dict[str, str | bytes]:
    return {"a/log.csv": CSV, "a/config.json": json.dumps(config)}


@pytest.mark.parametrize(
    ("config", "published"),
    [
        (GPT2, 124_439_808),
        (LLAMA, 6_738_415_616),
        (GEMMA, 2_506_172_416),
        (PYTHIA, 162_322_944),
        (QWEN, 494_032_768),
        (OPT, 125_239_296),
    ],
    ids=["gpt2", "llama", "gemma", "pythia", "qwen", "opt"],
)
def test_a_known_decoder_has_the_parameters_that_were_published(
    tmp_path: Path, config: dict[str, Any], published: int
) -> None:
    run = row(ingest(tmp_path / "s", files(config), SIDECAR).runs, "run", "a/log")
    # norms, biases and learned positions are left out
    assert run["params_total"] == pytest.approx(published, rel=0.015)
    assert (run["params_total_source"], run["excluded"]) == ("architecture", False)


@pytest.mark.parametrize("config", [T5, MAMBA], ids=["t5", "mamba"])
def test_of_another_kind_the_parameters_are_asked_for_and_no_shape(
    tmp_path: Path, config: dict[str, Any]
) -> None:
    kind = config["model_type"]
    with pytest.raises(MissingFactError, match=f"does not give it: model_type: {kind}") as error:
        ingest(tmp_path / "s", files(config), SIDECAR)
    assert "architecture:" not in str(error.value)
    told = SIDECAR + "runs: [{match: a/log, params: {total: 6e7}}]\n"
    run = row(ingest(tmp_path / "s", files(config), told).runs, "run", "a/log")
    assert (run["params_total"], run["excluded"]) == (6e7, False)


def test_the_context_that_was_trained_is_not_that_of_the_positions(tmp_path: Path) -> None:
    rules = "title: t\nfacts: {batch: 8, schedule: {kind: constant}}\n"
    with pytest.raises(MissingFactError, match=r"seq_len: <tokens>") as error:
        ingest(tmp_path / "s", files(LLAMA), rules)
    assert "number of parameters" not in str(error.value)


def test_a_trainers_own_model_type_is_none_of_these() -> None:
    told = {"model_type": "gpt-mini", "n_layer": 6, "n_embd": 192}
    assert "architecture.uncounted" not in settings_of(told)


def test_what_the_configuration_says_wins_over_its_kind() -> None:
    told = settings_of({**GPT2, "tie_word_embeddings": False, "n_inner": 1000})
    assert (told["architecture.tied"], told["architecture.d_ff"]) == (False, 1000)


def test_of_two_kinds_in_one_configuration_nothing_is_counted() -> None:
    told = settings_of({**LLAMA, "vision_config": {"model_type": "clip_vision_model"}})
    assert told["architecture.uncounted"] == "model_type: clip_vision_model"
