"""Genuine logs and published tables, read from where they lie; none of them is in this project.

They are looked for in ISOFLOP_SHARED_LOGS, or in ../shared/logs beside the project, with the
published tables in ../datasets beside the logs.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import polars as pl
import pytest

from isoflop.ingest.formats import scan
from isoflop.ingest.reading.parsed import gather
from isoflop.ingest.reading.patterns import readable_formats, recognise
from isoflop.ingest.reading.source import RawFile
from isoflop.ingest.sweep import ingest_sweep
from tests.ingest.samples import OLMO_TABLE, RECORD, row, write

LOGS = Path(os.environ.get("ISOFLOP_SHARED_LOGS", "../shared/logs"))
DATASETS = LOGS.parent / "datasets"

pytestmark = pytest.mark.mirror
needs_logs = pytest.mark.skipif(not LOGS.is_dir(), reason=f"no genuine logs at {LOGS}")
needs_datasets = pytest.mark.skipif(not DATASETS.is_dir(), reason=f"no tables at {DATASETS}")

OURS = {
    "nanogpt_stdout": "nanogpt", "olmo_ladder_wandb_csv": "table", "hf_trainer": "trainer_state",
    "llmc_main_log": "llmc", "megatron_deepspeed_slurm": "megatron",
    "modded_nanogpt": "modded_nanogpt", "nanochat": "nanochat", "parameter_golf": "modded_nanogpt",
    "torchtitan_stdout": "torchtitan", "t5_pile_base": "tensorboard",
    "t5_pile_large": "tensorboard", "mllog": "mllog", "megatron_golden_json": "golden",
    "open_lm_model_json": "open_lm_model",
}  # fmt: skip
"""Folders whose format has a reader; of all others nothing may be taken for one that has."""


def expected_format(path: Path) -> str | None:
    if path.suffix in {".py", ".err", ".yaml"}:
        return None
    if path.name.endswith("_results.json"):
        return "hf_results"
    return OURS.get(path.parent.name)


def genuine() -> list[Path]:
    found = sorted(path for path in LOGS.rglob("*") if path.is_file())
    return [path for path in found if path.parent != LOGS]


@needs_logs
@pytest.mark.parametrize("path", genuine() if LOGS.is_dir() else [], ids=lambda path: path.name)
def test_no_genuine_log_is_taken_for_another_format(path: Path) -> None:
    seen = recognise(RawFile.at(path, LOGS).sample())
    expected = expected_format(path)
    if expected is None:
        assert seen.format not in readable_formats()
        assert seen.refused
    else:
        assert seen.format == expected


NANOGPT = """
title: Four nanoGPT runs on symbolic music
runs:
- {match: sweep_tiny.log, config: [config_base.py, config_tiny.py]}
- {match: sweep_small.log, config: [config_base.py, config_small.py]}
- {match: sweep_medium.log, config: [config_base.py, config_medium.py]}
- {match: sweep_large.log, config: [config_base.py, config_large.py]}
"""


@needs_logs
def test_genuine_nanogpt_runs(tmp_path: Path) -> None:
    folder = write(tmp_path / "music", {}, NANOGPT)
    for path in (LOGS / "nanogpt_stdout").iterdir():
        shutil.copy(path, folder / path.name)
    tables = ingest_sweep(folder, RECORD)
    horizon = 15000 * 65536.0
    # the counts of decayed and other tensors, and the last losses, that the logs print
    assert tables.runs.select("run", "params_total", "tokens", "status").rows() == [
        ("sweep_large", 25_478_656.0 + 8_704, horizon, "finished"),
        ("sweep_medium", 10_851_456.0 + 4_992, horizon, "finished"),
        ("sweep_small", 3_302_144.0 + 2_304, horizon, "finished"),
        ("sweep_tiny", 471_424.0 + 640, horizon, "finished"),
    ]
    finals = tables.curves.filter(pl.col("step") == 15000)
    assert finals["eval_loss"].to_list() == [0.3349, 0.3502, 0.3987, 0.6377]
    assert tables.curves.filter(pl.col("run") == "sweep_tiny").height == 1501
    # the shape of the network, from its matrices alone: 12 layers width^2
    assert row(tables.runs, "run", "sweep_tiny")["params_nonembedding"] == 12 * 2 * 128**2
    assert tables.runs["notes"].null_count() == 4


@needs_logs
def test_every_genuine_nanogpt_line_is_read() -> None:
    path = LOGS / "nanogpt_stdout" / "sweep_tiny.log"
    parsed = gather(scan("nanogpt", RawFile.at(path, LOGS)))
    assert (parsed.lines_unread, parsed.truncated) == (0, False)
    assert parsed.records.height == 1501 + 2 * 31


FINALS = {
    "megatron_deepspeed_slurm/blowup-4-alibi-bf16-1796229.out": (
        "schedule: {kind: cosine}", 353_824_768.0, (1_330_048 + 100 * 256) * 2048.0, 6.670492,
        "truncated",
    ),
    "nanochat/speedrun.log": ("", 560_988_160.0, 21_400 * 524_288.0, 2.719395, "finished"),
    "parameter_golf/NaiveBaseline_train.log": (
        "", 17_059_912.0, 13_780 * 524_288.0, 2.0606, "finished"
    ),
    "modded_nanogpt/1B_ad8d7ae5.txt": (
        "params: {total: 1e9}, tokens_per_step: 524288", 1e9, 20_344 * 524_288.0, 2.7297, "finished"
    ),
    "modded_nanogpt/350M_2025-04-22_Record8.txt": (
        "params: {total: 3.5e8}, tokens_per_step: 524288", 3.5e8, 5_960 * 524_288.0, 2.91975,
        "finished",
    ),
    "llmc_main_log/2024-10-13_llmc_main.log": (
        "params: {total: 1.24e8}, tokens_per_step: 524288, schedule: {kind: cosine, steps: 19560}",
        1.24e8, 19_560 * 524_288.0, 3.2722, "finished",
    ),
    "torchtitan_stdout/aurora_2025-09-11_console.log": (
        "", 1_476_448_256.0, 105 * 24 * 4096.0, 5.3256, "truncated"
    ),
    "hf_trainer/whisper-v2-ja__trainer_state.json": (
        "params: {total: 1.5e9}, tokens_per_step: 28672", 1.5e9, 5_000 * 28_672.0,
        0.4200145900249481, "finished",
    ),
}  # fmt: skip
"""By log: what sweep.yaml must say, and N, D, the last loss and the end that the log prints."""


@needs_logs
@pytest.mark.parametrize("name", FINALS)
def test_genuine_logs_end_where_they_print_that_they_end(name: str, tmp_path: Path) -> None:
    facts, params, tokens, loss, status = FINALS[name]
    path = LOGS / name
    sidecar = f"title: t\nfacts: {{{facts}}}\n"
    folder = write(tmp_path / "s", {path.name: path.read_bytes()}, sidecar)
    tables = ingest_sweep(folder, RECORD)
    (run,) = tables.runs.to_dicts()
    assert (run["params_total"], run["tokens"], run["status"]) == (params, tokens, status)
    live = tables.curves.filter(~pl.col("superseded"))
    evals, trains = live["eval_loss"].drop_nulls(), live["train_loss"].drop_nulls()
    assert (evals if len(evals) else trains)[-1] == loss
    assert row(tables.files, "path", path.name)["lines_unread"] <= 2


OLMO = f"""
title: OLMo ladder
{OLMO_TABLE}
facts: {{schedule: {{kind: cosine, tokens: 3.8e9}}}}
runs:
- {{match: "*190M*", params: {{total: 190e6}}}}
"""


@needs_logs
def test_genuine_wide_csv(tmp_path: Path) -> None:
    source = LOGS / "olmo_ladder_wandb_csv" / "moreeval__190M-1xC.csv"
    folder = write(tmp_path / "olmo", {"190M-1xC.csv": source.read_bytes()}, OLMO)
    tables = ingest_sweep(folder, RECORD)
    run = row(tables.runs, "run", "190M-1xC")
    assert run["tokens"] > 3e9
    last = tables.curves["eval_loss"].drop_nulls()[-1]
    assert 2.5 < last < 4.0


PUBLISHED = {
    "hoffmann_epoch245": (
        "*.csv",
        """
title: Hoffmann et al. (2022), Figure 4, digitised
table:
  rows: runs
  columns:
    params.total: Model Size
    tokens: {formula: '"Training FLOP" / (6 * "Model Size")'}
    eval_loss: loss
  exclude:
  - {where: loss > 3.44, reason: 'beyond the axis (Besiroglu et al. 2024)'}
budgets: {values: [6e18, 1e19, 3e19, 6e19, 1e20, 3e20, 6e20, 1e21, 3e21]}
""",
        245,
        245,
    ),
    "gemstones": (
        "wandb_df_for_fitting_hot_477.jsonl",
        """
title: Gemstones
table:
  rows: points
  columns:
    run: run_name
    params.total: params_active_precise
    architecture.layers: depth
    architecture.d_model: width
    tokens: tokens
    step: step
    eval_loss: final_loss
facts: {schedule: {kind: constant}}
""",
        22,
        1100,
    ),
    "porian": (
        "*points*.csv",
        """
title: Porian et al. (2024), tuned
table:
  rows: runs
  select: hparams = 'tuned'
  columns: {params.total: N, tokens: D, eval_loss: loss, budget: C}
""",
        121,
        579,
    ),
    "gadre": (
        "*.csv",
        """
title: Gadre et al. (2024)
table:
  rows: runs
  columns: {run: name, params.total: N, params.nonembedding: Nne, tokens: D, eval_loss: c4}
""",
        104,
        104,
    ),
    "gpt3_curves": (
        "*.csv",
        """
title: Brown et al. (2020), Figure 3.1, digitised
table:
  rows: points
  columns:
    run: model
    params.total: {formula: "CASE model WHEN 'small' THEN 125e6 WHEN 'medium' THEN 350e6
      WHEN 'large' THEN 760e6 WHEN 'xl' THEN 1.3e9 WHEN '2.7b' THEN 2.7e9
      WHEN '6.7b' THEN 6.7e9 WHEN '13b' THEN 13e9 ELSE 175e9 END"}
    tokens: {column: step, scale: 1e9}
    train_loss: train_loss
    eval_loss: val_loss
facts: {schedule: {kind: unknown}}
""",
        8,
        12097,
    ),
    "data_constrained": (
        "*.csv",
        """
title: Muennighoff et al. (2023)
table:
  rows: points
  columns:
    run: {formula: "data || ' ' || num_params || ' ' || CAST(tokens_per_epoch AS BIGINT)"}
    dataset: data
    params.total: num_params
    tokens: token_num
    unique_tokens: tokens_per_epoch
    eval_loss: loss
facts: {schedule: {kind: unknown}}
""",
        48,
        9261,
    ),
}
"""By folder: the file, its sweep.yaml, the runs in it and the rows of the file."""


@needs_datasets
@pytest.mark.parametrize("name", PUBLISHED)
def test_published_tables_come_in_through_the_same_door(name: str, tmp_path: Path) -> None:
    glob, sidecar, runs, rows = PUBLISHED[name]
    (source,) = (DATASETS / name).glob(glob)
    folder = write(tmp_path / name, {source.name: source.read_bytes()}, sidecar)
    tables = ingest_sweep(folder, RECORD)
    file = row(tables.files, "path", source.name)
    assert tables.runs.height == runs
    assert tables.curves.height + file["rows_left_out"] == rows
    assert file["lines_unread"] == 0
    assert tables.curves["flops_6nd"].is_not_null().all()
