"""What the HF Trainer prints as trainable is no count of all parameters without more."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from isoflop.errors import IsoflopError, MissingFactError
from tests.ingest.samples import ingest, loss_at, row

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = json.dumps(
    {"model_type": "llama", "hidden_act": "silu", "hidden_size": 256,
     "intermediate_size": 768, "head_dim": 64, "architectures": ["LlamaForCausalLM"],
     "num_attention_heads": 4, "num_hidden_layers": 4, "num_key_value_heads": 4,
     "tie_word_embeddings": False, "vocab_size": 32_000}
)  # fmt: skip
OF_SHAPE = 19_791_872
"""Parameters of that shape as they are counted: without norms."""
RULES = "title: t\nfacts: {architecture: {seq_len: 1024}}\n"


def log(trainable: int, *, devices: int = 4, before: str = "") -> str:
    head = (
        f"{before}***** Running training *****\n  Num Epochs = 1\n"
        "  Instantaneous batch size per device = 8\n"
        "  Total train batch size (w. parallel, distributed & accumulation) = "
        f"{8 * devices * 4}\n  Gradient Accumulation steps = 4\n"
        f"  Total optimization steps = 100\n  Number of trainable parameters = {trainable:,}\n"
    )
    lines = (
        f"{{'loss': {loss_at(s):.5f}, 'learning_rate': 0.0001, 'epoch': {s / 100}}}\n"
        for s in range(10, 101, 10)
    )
    return head + "".join(lines)


@pytest.mark.parametrize("devices", [2, 8])
def test_those_of_one_device_give_way_to_the_shape(tmp_path: Path, devices: int) -> None:
    """N had been an eighth, less than the shape's own without its embedding, and all passed."""
    files: dict[str, str | bytes] = {
        "r/train.log": log(OF_SHAPE // devices, devices=devices), "r/config.json": CONFIG,
    }  # fmt: skip
    run = row(ingest(tmp_path / "s", files, RULES).runs, "run", "r/train")
    assert run["params_total"] == OF_SHAPE
    assert "those of one of" in run["notes"]


def test_all_of_them_are_what_the_shape_has(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "r/train.log": log(OF_SHAPE + 2304), "r/config.json": CONFIG,
    }  # fmt: skip
    run = row(ingest(tmp_path / "s", files, RULES).runs, "run", "r/train")
    assert run["params_total"] == OF_SHAPE + 2304


def test_without_a_shape_they_are_asked_about_unless_there_is_one_device(tmp_path: Path) -> None:
    with pytest.raises(MissingFactError, match="under FSDP those of one of 4 devices"):
        ingest(tmp_path / "s", {"a.log": log(2_474_272)}, RULES)
    done = ingest(tmp_path / "one", {"a.log": log(2_474_272, devices=1)}, RULES)
    assert done.runs["params_total"].to_list() == [2_474_272]


def test_beside_adapters_all_are_counted(tmp_path: Path) -> None:
    said = "trainable params: 395,883 || all params: 19,794,176 || trainable%: 2.0000\n"
    done = ingest(tmp_path / "s", {"a.log": log(395_883, before=said)}, RULES)
    assert done.runs["params_total"].to_list() == [19_794_176]


def test_fewer_than_its_shape_has_without_embedding_are_refused(tmp_path: Path) -> None:
    """Of one device, or of adapters whose line is not there."""
    files: dict[str, str | bytes] = {
        "r/train.log": log(395_883, devices=1), "r/config.json": CONFIG,
    }  # fmt: skip
    with pytest.raises(IsoflopError, match="more than all of them by the log"):
        ingest(tmp_path / "s", files, RULES)
    rules = RULES.replace("{architecture", "{params: {total: 19791872}, architecture")
    run = row(ingest(tmp_path / "t", files, rules).runs, "run", "r/train")
    assert run["params_total"] == OF_SHAPE
