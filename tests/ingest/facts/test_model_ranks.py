"""Parameters that Megatron prints a rank: added up where all ranks are there, else never."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from isoflop.ingest.inspection import inspect
from tests.ingest.samples import ingest, row, write

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

DUMP: dict[str, object] = {
    "ffn_hidden_size": 256, "global_batch_size": 4, "hidden_size": 64, "lr_decay_style": "cosine",
    "num_attention_heads": 4, "num_layers": 2, "padded_vocab_size": 1024, "seq_length": 128,
    "swiglu": "False", "train_iters": 4, "untie_embeddings_and_output_weights": "False",
}  # fmt: skip
BODY = 2 * (4 * 64**2 + 2 * 64 * 256)
EMBEDDING = 1024 * 64
GAINS = 2 * 4 * 64
"""Norms, which a shape does not count."""
NO_SHAPE = {"padded_vocab_size": None}
ASKED = "title: t\n"


def megatron(ranks: Mapping[str, int], sizes: Sequence[int] | None = None, **other: object) -> str:
    """Print a run of four updates whose ranks have some parameters."""
    dump = {**DUMP, **other}
    if sizes is not None:
        dump["tensor_model_parallel_size"], dump["pipeline_model_parallel_size"] = sizes
    lines = [f"  {name} {'.' * 30} {value}" for name, value in dump.items() if value is not None]
    lines += [
        f" > number of parameters on (tensor, pipeline) model parallel rank {rank}: {count}"
        for rank, count in ranks.items()
    ]
    lines += [
        f" iteration {step:8d}/       4 | consumed samples: {4 * step:12d} | elapsed time per "
        f"iteration (ms): 9.0 | learning rate: 3.0E-04 | global batch size: 4 | lm loss: "
        f"{3 - step / 10:.6E} | grad norm: 1.0 |"
        for step in range(1, 5)
    ]
    return "\n".join(lines) + "\n"


def run_of(folder: Path, text: str) -> dict[str, object]:
    """Read one log, and give its row."""
    return row(ingest(folder, {"a.log": text}, ASKED).runs, "run", "a")


def test_all_ranks_add_up(tmp_path: Path) -> None:
    half = (BODY + EMBEDDING + GAINS) // 2
    run = run_of(tmp_path, megatron({"(0, 0)": half, "(1, 0)": half}, (2, 1)))
    assert (run["params_total"], run["params_total_source"]) == (2 * half, "log")


@pytest.mark.parametrize(
    ("kind", "copied"),
    [("learned_absolute", True), ("PositionEmbeddingType.absolute", True), ("rope", False)],
)
def test_every_tensor_rank_s_copy_of_learned_positions_is_counted_once(
    kind: str, *, copied: bool, tmp_path: Path
) -> None:
    share, positions = (BODY + EMBEDDING) // 2, 128 * 64 if copied else 0
    ranks = {"(0, 0)": share + positions, "(1, 0)": share + positions}
    told = {"position_embedding_type": kind, "max_position_embeddings": 128}
    run = run_of(tmp_path / "a", megatron(ranks, (2, 1), **told))
    assert run["params_total"] == BODY + EMBEDDING + positions
    cut = {"deepspeed": "True", "sequence_parallel": "True"}
    run = run_of(tmp_path / "b", megatron(ranks, (2, 1), **told, **cut))
    assert run["params_total"] == BODY + EMBEDDING + 2 * positions


def test_a_logger_s_prefix_hides_no_argument_and_two_times_are_one(tmp_path: Path) -> None:
    """What Primus prints: a prefix of all lines, and times with their mean behind a slash."""
    total = BODY + EMBEDDING + GAINS
    text = megatron({"(0, 0)": total}, (1, 1)).replace("(ms): 9.0 |", "(ms): 9.0/8.5 |")
    before = "[20260601 10:00:00][rank-7/8][INFO ] [----------training.py:1234] : "
    run = run_of(tmp_path, "".join(f"{before}{line}\n" for line in text.splitlines()))
    assert (run["params_total"], run["params_total_source"]) == (total, "log")
    assert (run["tokens"], run["schedule_kind"]) == (4 * 4 * 128, "cosine")


@pytest.mark.parametrize("untied", ["False", "True", None])
def test_a_last_stage_s_copy_of_a_tied_embedding_is_counted_once(
    untied: str | None, tmp_path: Path
) -> None:
    """Until 2023 no argument said so: all were tied."""
    stage = (BODY + 2 * EMBEDDING) // 4
    ranks = {f"({rank}, {place})": stage for rank in range(2) for place in range(2)}
    text = megatron(ranks, (2, 2), untie_embeddings_and_output_weights=untied)
    run = run_of(tmp_path, text)
    both = BODY + 2 * EMBEDDING
    assert run["params_total"] == (both if untied == "True" else both - EMBEDDING)


@pytest.mark.parametrize(
    ("ranks", "sizes", "lacking"),
    [
        (["(0, 0)"], (4, 1), "rank (0, 0), and not of ranks (1, 0), (2, 0), (3, 0)"),
        (["(0, 1)", "(1, 1)"], (2, 2), "ranks (0, 1), (1, 1), and not of ranks (0, 0), (1, 0)"),
        (["(0, 0)"], (8, 2), "not of ranks (1, 0), (2, 0), (3, 0), (4, 0) and 11 more"),
    ],
)
def test_some_ranks_are_no_model(
    ranks: list[str], sizes: tuple[int, int], lacking: str, tmp_path: Path
) -> None:
    shares = dict.fromkeys(ranks, 30_000)
    run = run_of(tmp_path / "shape", megatron(shares, sizes))
    assert (run["params_total"], run["params_total_source"]) == (BODY + EMBEDDING, "architecture")
    assert lacking in str(run["notes"])
    assert "its parameters are counted from its shape" in str(run["notes"])
    folder = write(tmp_path / "asked", {"a.log": megatron(shares, sizes, **NO_SHAPE)}, ASKED)
    seen = inspect(folder)
    (asked,) = seen.as_json()["runs"]
    assert lacking in asked["left_out"]
    line = "params: {total: <over all ranks>}"
    assert line in seen.sidecar_text()
    # what is proposed, filled in, is what it takes
    answer = seen.sidecar_text().replace(line, "params: {total: 120000}")
    told = ingest(tmp_path / "told", {"a.log": megatron(shares, sizes, **NO_SHAPE)}, answer)
    run = row(told.runs, "run", "a")
    assert (run["params_total"], run["excluded"]) == (120_000, False)


def test_ranks_of_an_unknown_number_count_where_the_shape_has_as_many(tmp_path: Path) -> None:
    total = BODY + EMBEDDING + GAINS
    run = run_of(tmp_path / "whole", megatron({"(0, 0)": total}))
    assert (run["params_total"], run["params_total_source"]) == (total, "log")
    run = run_of(tmp_path / "part", megatron({"(0, 0)": total // 2}))
    assert (run["params_total"], run["params_total_source"]) == (BODY + EMBEDDING, "architecture")
    folder = write(tmp_path / "s", {"a.log": megatron({"(0, 0)": total}, **NO_SHAPE)}, ASKED)
    (asked,) = inspect(folder).as_json()["runs"]
    assert f"rank (0, 0), {total}, and not how many ranks there are" in asked["left_out"]


@pytest.mark.parametrize(
    "said",
    [
        "using world size: 2, data-parallel size: 1, context-parallel size: 1, "
        "tensor-model-parallel size: 2, encoder-tensor-model-parallel size: 0, "
        "pipeline-model-parallel size: 1",
        "    tensor_model_parallel_size: 2\n    pipeline_model_parallel_size: 1",
        "[NeMo I megatron_init:473] All tensor model parallel group ranks: [[0, 1]]\n"
        "[NeMo I megatron_init:512] All pipeline model parallel group ranks: [[0], [1]]",
    ],
)
def test_other_lines_tell_how_many_ranks_there_are(said: str, tmp_path: Path) -> None:
    both = {"(0, 0)": 60_000, "(1, 0)": 60_000}
    run = run_of(tmp_path / "a", f"{said}\n{megatron(both, **NO_SHAPE)}")
    assert run["params_total"] == 120_000
    text = f"{said}\n{megatron({'(0, 0)': 60_000}, **NO_SHAPE)}"
    (asked,) = inspect(write(tmp_path / "b", {"a.log": text}, ASKED)).as_json()["runs"]
    assert "of rank (0, 0), and not of rank (1, 0)" in asked["left_out"]


def test_a_later_launch_on_other_ranks_counts_its_own(tmp_path: Path) -> None:
    said = "using world size: 4, tensor-model-parallel size: {}, pipeline-model-parallel size: 1\n"
    printed = " > number of parameters on (tensor, pipeline) model parallel rank ({}, 0): {}\n"
    first = said.format(4) + "".join(printed.format(rank, 30_000) for rank in range(4))
    second = megatron({"(0, 0)": 60_000, "(1, 0)": 60_000}, **NO_SHAPE)
    run = run_of(tmp_path, first + said.format(2) + second)
    assert run["params_total"] == 120_000


def test_stages_that_share_a_label_do_not_add_up(tmp_path: Path) -> None:
    """NeoX prints the tensor rank alone, of each of its stages."""
    text = megatron({"0": 70_000}, model_parallel_size=1, pipe_parallel_size=2, **NO_SHAPE)
    text = text.replace("(tensor, pipeline) model", "model")
    (asked,) = inspect(write(tmp_path / "a", {"a.log": text}, ASKED)).as_json()["runs"]
    assert "rank 0, and not of which of the 2 pipeline stages" in asked["left_out"]
    dots = "." * 30
    lone = text.replace(f"pipe_parallel_size {dots} 2", f"pipe_parallel_size {dots} 0")
    one = run_of(tmp_path / "b", lone)
    assert one["params_total"] == 70_000


def test_experts_on_other_ranks_are_in_no_line(tmp_path: Path) -> None:
    sparse = {"num_experts": 8, "moe_router_topk": 2, "expert_model_parallel_size": 4}
    run = run_of(tmp_path / "a", megatron({"(0, 0)": 300_000}, (1, 1), **sparse))
    assert run["params_total_source"] == "architecture"
    assert "spread over 4 ranks" in str(run["notes"])
    whole = {**sparse, "expert_model_parallel_size": 1}
    run = run_of(tmp_path / "b", megatron({"(0, 0)": 650_000}, (1, 1), **whole))
    assert (run["params_total"], run["params_total_source"]) == (650_000, "log")
