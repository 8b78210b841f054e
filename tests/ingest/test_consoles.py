"""Consoles of composer, OLMo, NeMo and NeoX, as launchers and versions vary."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from isoflop.ingest.reading.patterns import recognise
from isoflop.ingest.reading.source import RawFile
from isoflop.ingest.store.cache import parse
from tests.ingest.samples import ingest

if TYPE_CHECKING:
    from pathlib import Path

    from isoflop.ingest.reading.parsed import Parsed


def read(folder: Path, text: str, of: str) -> Parsed:
    path = folder / "a.log"
    path.write_text(text)
    assert recognise(path.read_bytes()).format == of
    parsed, _ = parse(RawFile.at(path, folder), of, table=None, cache=None)
    return parsed


def composer(head: str, before: int, total: float, loss: float, label: str = "") -> str:
    lines = (
        f"{head}:",
        f"\t Train time/batch: {before}",
        f"\t Train time/token: {before * 2048}",
        f"\t Train loss/train/total: {total}",
        f"\t Train metrics/train/LanguageCrossEntropy: {loss}",
        "\t Train lr-DecoupledAdamW/group0: 0.0001",
        "\t Train balance/ffn: <wandb.sdk.data_types.image.Image object at 0x7>",
    )
    return "".join(f"{label}{line}\n" for line in lines)


def test_composer_counts_tokens_with_the_batch_of_the_record(tmp_path: Path) -> None:
    text = "".join(
        composer(f"[batch={batch}/20]", batch - 1, 0.0053, loss)
        for batch, loss in ((1, 10.9476), (10, 10.8053), (20, 10.4162))
    )
    parsed = read(tmp_path, text, "composer")
    assert parsed.records["step"].to_list() == [1, 10, 20]
    assert parsed.records["tokens"].to_list() == [None, 20480, 40960]
    assert parsed.records["train_loss"].to_list() == [10.9476, 10.8053, 10.4162]


def test_batches_of_composer_count_on_over_epochs(tmp_path: Path) -> None:
    heads = [(epoch, batch) for epoch in (1, 2, 3) for batch in (1, 5)]
    text = "".join(
        composer(f"[epoch={epoch}][batch={batch}/5]", 5 * (epoch - 1) + batch - 1, 3.0, 3.0)
        for epoch, batch in heads
    )
    parsed = read(tmp_path, text, "composer")
    assert parsed.records["step"].to_list() == [1, 5, 6, 10, 11, 15]
    assert parsed.records["tokens"][-1] == 15 * 2048
    assert not any("schedule.steps" in str(facts) for facts in parsed.runs[0].facts)


def test_a_length_of_composer_in_tokens_is_one(tmp_path: Path) -> None:
    text = "".join(
        composer(f"[token={batch * 2048}/40960]", batch - 1, 3.0, 3.0) for batch in (10, 20)
    )
    parsed = read(tmp_path, text, "composer")
    assert parsed.records["step"].to_list() == [10, 20]
    assert parsed.records["tokens"].to_list() == [20480, 40960]


@pytest.mark.parametrize(("first", "second"), [("0: ", "1: "), ("[rank0]: ", "[rank1]: ")])
def test_one_rank_of_composer_counts(tmp_path: Path, first: str, second: str) -> None:
    text = "".join(
        composer(f"[batch={batch}/20]", batch - 1, 3.0, 3.0, first)
        + composer(f"[batch={batch}/20]", batch - 1, 4.0, 4.0, second)
        for batch in (10, 20)
    )
    parsed = read(tmp_path, text, "composer")
    assert parsed.records["step"].to_list() == [10, 20]
    assert parsed.records["train_loss"].to_list() == [3.0, 3.0]


def test_ranks_of_pipeline_stages_without_a_loss_are_left(tmp_path: Path) -> None:
    lines = (
        f"[rank{rank}]:[titan] 2026-05-18 16:05:01,007 - root - INFO - step: {step}  "
        f"loss: {-2.0 if rank < 2 else 5.0 + rank - step / 10}  grad_norm: 1.0  memory: 1.1GiB\n"
        for step in (1, 10, 20)
        for rank in range(4)
    )
    parsed = read(tmp_path, "".join(lines), "torchtitan")
    assert parsed.records["train_loss"].to_list() == [6.9, 6.0, 5.0]
    assert parsed.records["step"].to_list() == [1, 10, 20]


def test_ranks_without_any_loss_are_told(tmp_path: Path) -> None:
    lines = (
        f"[rank{rank}]: step: {step}  loss: -2.0  grad_norm: 1.0  memory: 1.1GiB\n"
        for step in (1, 10)
        for rank in range(2)
    )
    parsed = read(tmp_path, "".join(lines), "torchtitan")
    assert parsed.records["train_loss"].to_list() == [-2.0, -2.0]


def olmo(step: int, loss: float) -> str:
    return (
        f"[2024-04-17 09:42:26] INFO     [olmo.train:816, rank=0] [step={step}/20]\n"
        f"    train/CrossEntropyLoss={loss}\n    throughput/total_tokens={step * 4096:,}\n"
    )


def test_evaluations_of_olmo_are_of_the_step_before(tmp_path: Path) -> None:
    text = olmo(10, 5.25) + (
        "[2024-04-17 09:42:30] INFO     [olmo.train:900, rank=0] [eval_step=1/16]\n"
        "[2024-04-17 09:42:31] INFO     [olmo.train:901, rank=0] all-small-ppl-validation\n"
        "    eval/c4_en-validation/CrossEntropyLoss=5.5\n"
        "    eval/c4_en-validation/Perplexity=244.7\n"
        "    eval/pile-validation/CrossEntropyLoss=5.25\n"
    )
    parsed = read(tmp_path, text + olmo(20, 4.5), "olmo")
    evals = parsed.records.filter(parsed.records["kind"] == "eval")
    assert evals["step"].to_list() == [10, 10]
    assert evals["tokens"].to_list() == [40960, 40960]
    assert evals["eval_set"].to_list() == ["c4_en-validation", "pile-validation"]
    assert evals["value"].to_list() == [5.5, 5.25]
    assert parsed.records.filter(parsed.records["kind"] == "train").height == 2


def test_evaluations_of_olmo_core_are_read(tmp_path: Path) -> None:
    text = (
        "2026-03-01 10:00:10\tINFO\t[step=10/20,epoch=0]\n    train/CE loss=5.25\n"
        "2026-03-01 10:00:11\tINFO\tRunning lm evals...\n"
        "2026-03-01 10:00:12\tINFO\t[eval=lm,step=5/5]\n"
        "2026-03-01 10:00:13\tINFO\tFinished lm evals in 12.1 seconds. Metrics:\n"
        "    c4_en-validation/CE loss=5.5\n    c4_en-validation/PPL=244.7\n"
        "2026-03-01 10:00:13\tINFO\tEvaluation speed:\n"
        "    c4_en-validation/CE loss (+variants): 12.1 sec (5 batches)\n"
    )
    parsed = read(tmp_path, text, "olmo")
    evals = parsed.records.filter(parsed.records["kind"] == "eval")
    assert evals.select("step", "eval_set", "value").rows() == [(10, "c4_en-validation", 5.5)]


@pytest.mark.parametrize(
    ("text", "tokens"), [("40,960", 40960.0), ("1.2B", None), ("1310720", 1310720.0)]
)
def test_tokens_of_olmo_core_are_taken_where_they_are_exact(
    text: str, tokens: float | None, tmp_path: Path
) -> None:
    record = "[step=10/20,epoch=0]\n    train/CE loss=5.25\n    throughput/total tokens={}\n"
    parsed = read(tmp_path, record.format(text) + "2026-03-01 INFO\tdone\n", "olmo")
    assert parsed.records["tokens"].to_list() == [tokens]


def test_total_loss_is_the_loss_where_megatron_s_forks_have_no_other(tmp_path: Path) -> None:
    lines = (
        f" iteration {s:8d}/    1200 | elapsed time per iteration (ms): 9.0 | learning rate 1E-04 "
        f"| total loss {8 - s / 100:.6E} |\n"
        for s in (10, 20)
    )
    parsed = read(tmp_path, "".join(lines), "megatron")
    assert parsed.records["train_loss"].to_list() == [7.9, 7.8]


def test_parameters_of_a_pipeline_of_deepspeed_are_n(tmp_path: Path) -> None:
    """Tied weights, which the first and the last stage have, are counted once."""
    text = (
        "[INFO] [engine.py:150:print] RANK=0 STAGE=0 LAYERS=8 [0, 8) STAGE_PARAMS=700 (0.001M) "
        "TOTAL_PARAMS=1400 (0.001M) UNIQUE_PARAMS=1300 (0.001M)\n"
        " samples/sec: 207.5 | iteration       10/    1000 | elapsed time per iteration (ms): 12.5"
        " | learning rate: 6.000E-04 | lm_loss: 9.000000E+00 | loss scale: 1.0 |\n"
    )
    parsed = read(tmp_path, text, "megatron")
    assert parsed.runs[0].facts[0].params.total == 1300


def test_one_rank_of_olmo_counts(tmp_path: Path) -> None:
    text = "".join(
        "".join(f"{rank}: {line}" for line in olmo(step, 5.0 + rank).splitlines(keepends=True))
        for step in (10, 20)
        for rank in (0, 1)
    )
    parsed = read(tmp_path, text, "olmo")
    assert parsed.records["step"].to_list() == [10, 20]
    assert parsed.records["train_loss"].to_list() == [5.0, 5.0]


def test_nemo_counts_from_zero_and_repeats_its_last_validation(tmp_path: Path) -> None:
    def line(at: int, validation: str) -> str:
        return (
            f"Training epoch 0, iteration {at}/49 | lr: 5e-05 | global_batch_size: 32 | "
            f"global_step: {at} | reduced_train_loss: {3 - at / 50} | consumed_samples: "
            f"{32 * (at + 1)}{validation}\n"
        )

    losses = [(at, "" if at < 20 else " | val_loss: 2.9") for at in range(0, 40, 10)]
    text = "".join(line(at, told) for at, told in [*losses, (40, " | val_loss: 2.7")])
    parsed = read(tmp_path, text, "megatron")
    trained = parsed.records.filter(parsed.records["kind"] == "train")
    assert trained["step"].to_list() == [1, 11, 21, 31, 41]
    assert trained["samples"].to_list() == [32, 352, 672, 992, 1312]
    assert trained["lr"].to_list() == [5e-5] * 5
    evals = parsed.records.filter(parsed.records["kind"] == "eval")
    assert evals.select("step", "value").rows() == [(20, 2.9), (40, 2.7)]


def test_nemo_counts_updates_through_all_epochs(tmp_path: Path) -> None:
    """Its iterations begin anew with each epoch: of a run of two the first was left out."""
    text = "".join(
        f"Training epoch {at // 20}, iteration {at % 20}/39 | lr: 5e-05 | global_batch_size: 32 | "
        f"global_step: {at} | reduced_train_loss: {3 - at / 50} | consumed_samples: "
        f"{32 * (at + 1)}\n"
        for at in range(0, 40, 5)
    )
    parsed = read(tmp_path, text, "megatron")
    assert parsed.records["step"].to_list() == list(range(1, 40, 5))
    sidecar = "title: t\nfacts: {params: {total: 1e6}, architecture: {seq_len: 100}}\n"
    tables = ingest(tmp_path / "s", {"a.log": text}, sidecar)
    assert tables.curves["tokens"].to_list() == [3200 * at for at in range(1, 40, 5)]
    facts = tables.runs.row(0, named=True)
    assert facts["schedule_tokens"] == 3200 * 40
    assert facts["tokens_per_step"] == 3200


def test_arguments_of_neox_say_whether_they_are_defaults(tmp_path: Path) -> None:
    text = (
        "  hidden_size ..................... 768.........................updated\n"
        "  lr_decay_style .................. cosine......................default\n"
        "  no_weight_tying ................. True........................updated\n"
        "  train_batch_size ................ 256.........................updated\n"
        " samples/sec: 207.5 | iteration       10/    1000 | elapsed time per iteration (ms): 12.5"
        " | learning rate: 6.000E-04 | lm_loss: 9.000000E+00 | loss scale: 1.0 |\n"
    )
    parsed = read(tmp_path, text, "megatron")
    facts = parsed.runs[0].facts[0]
    assert (facts.architecture.d_model, facts.architecture.tied) == (768, False)
    assert (facts.batch, facts.schedule.kind) == (256, "cosine")


def nanotron(steps: range, per_step: int, before: int = 0, batch: int = 400) -> str:
    banner = (
        "12/21 01:39:51 [INFO|DP=0|TP=0|host]: mbs: 4 | grad_accum: 1 | sequence_length: 4096 | "
        f"global_batch_size: {batch} | train_steps: 1000 | start_iteration_step: {steps[0] - 1} | "
        f"consumed_tokens_total: {before}\n"
    )
    return banner + "".join(
        f"12/21 01:39:51 [INFO|DP=0|TP=0|host]: iteration: {step} / 1000 | consumed_tokens: "
        f"{(before + (step - steps[0] + 1) * per_step) / 1e6:.3g}M | global_batch_size: 1.64M | "
        f"grad_norm: 0.112 | lm_loss: {4 - step / 500:.3g} | lr: 0.0001\n"
        for step in steps
    )


def test_nanotron_counts_tokens_from_the_launch(tmp_path: Path) -> None:
    at = 100 * 400 * 4096
    text = nanotron(range(1, 101), 400 * 4096) + nanotron(range(101, 201), 800 * 4096, at, 800)
    parsed = read(tmp_path, text, "nanotron")
    tokens = parsed.records["tokens"].to_list()
    assert (tokens[0], tokens[99]) == (400 * 4096, at)
    assert (tokens[100], tokens[199]) == (at + 800 * 4096, at + 100 * 800 * 4096)


def test_nanotron_had_another_batch_before_where_its_count_says_so(tmp_path: Path) -> None:
    text = "".join(
        line.replace("start_iteration_step: 499 | ", "").replace("consumed_tokens_total: 0", "")
        for line in nanotron(range(500, 510), 400 * 4096, 2_000_000_000).splitlines(keepends=True)
    ).replace("consumed_tokens_total: 2000000000", "")
    parsed = read(tmp_path, text, "nanotron")
    assert parsed.records["tokens"].to_list()[:2] == [2e9, 2e9]  # as printed, in three digits


def test_columns_of_composer_are_known_in_tables(tmp_path: Path) -> None:
    names = (
        "_step,time/batch,time/token,loss/train/total,loss/train/lbl,"
        "metrics/train/LanguageCrossEntropy,metrics/train/LanguagePerplexity,"
        "lr-DecoupledAdamW/group0,metrics/eval/c4/LanguageCrossEntropy"
    )
    rows = [
        f"{at},{at},{at * 2048},{5.3 - at / 10},0.3,{5.0 - at / 10},148.4,0.0003,"
        f"{'4.75' if at == 4 else ''}"
        for at in range(1, 5)
    ]
    parsed = read(tmp_path, "\n".join([names, *rows, ""]), "table")
    trained = parsed.records.filter(parsed.records["kind"] == "train")
    assert trained["step"].to_list() == [1, 2, 3, 4]
    assert trained["tokens"].to_list() == [2048, 4096, 6144, 8192]
    assert trained["train_loss"].to_list() == [4.9, 4.8, 4.7, 4.6]
    assert trained["lr"].to_list() == [3e-4] * 4
    evals = parsed.records.filter(parsed.records["kind"] == "eval")
    assert evals.select("step", "value").rows() == [(4, 4.75)]
