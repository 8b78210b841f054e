from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import polars as pl
import pytest

from isoflop.ingest.formats import scan
from isoflop.ingest.formats.nanogpt import read_config
from isoflop.ingest.reading.parsed import Parsed, gather
from isoflop.ingest.reading.source import RawFile
from tests.ingest.samples import ingest, nanogpt, row

if TYPE_CHECKING:
    from pathlib import Path

BASE = """
n_embd = 384
gradient_accumulation_steps = 4
batch_size = 32
block_size = 512   # context
max_iters = 15000
lr_decay_iters = max_iters
learning_rate = 3e-4
dataset = 'abc_char'
vocab_size = None
import os; os.system('false')
"""


def parsed(folder: Path, text: str) -> Parsed:
    (folder / "log").write_text(text)
    return gather(scan("nanogpt", RawFile.at(folder / "log", folder)))


def test_header_facts(tmp_path: Path) -> None:
    (run,) = parsed(tmp_path, nanogpt()).runs
    (facts,) = run.facts
    assert facts.params.total == 8288  # the printed 0.01M leaves the position embedding out
    assert facts.tokens_per_step == 1024
    assert facts.architecture.model_dump(exclude_none=True) == {
        "layers": 2, "d_model": 16, "heads": 2, "d_ff": 64, "vocab_size": 65, "seq_len": 64,
        "tied": True, "gated": False,
    }  # fmt: skip
    assert (facts.schedule.kind, facts.schedule.steps, facts.schedule.lr_peak) == (
        "cosine", 200, 0.001,
    )  # fmt: skip
    assert facts.primary_eval == "val"


def test_configuration_files_are_read_and_never_run() -> None:
    facts = read_config([BASE, "from config.base import *\nn_embd = 128\nn_layer = 2\n"])
    assert facts.architecture.d_model == 128
    assert facts.architecture.layers == 2
    assert facts.architecture.vocab_size is None
    assert facts.batch == 128
    assert facts.schedule.steps == 15000
    assert facts.dataset == "abc_char"


def test_constant_rate() -> None:
    facts = read_config(["decay_lr = False\nlearning_rate = 1e-3\nmin_lr = 1e-5\n"])
    assert (facts.schedule.kind, facts.schedule.lr_end) == ("constant", 1e-3)


@pytest.mark.parametrize("setting", ["n_layer = 'two'", "n_layer = -1", "n_layer = foo(2)"])
def test_nonsense_in_a_configuration_is_left_out(setting: str) -> None:
    assert read_config([setting]).architecture.layers is None


def test_forks(tmp_path: Path) -> None:
    records = parsed(tmp_path, "iter 100: loss 3.1, time 4.5s\n0: iter 110: loss 3.0, time 9ms\n")
    assert records.records["train_loss"].to_list() == [3.1, 3.0]


@pytest.mark.parametrize(
    "line",
    [
        "Iter {k}: train_loss = {l} lr 6.0000e-04 time 20.00ms mfu 1.00%",
        "iter {k}: loss {l} lr 6.0000e-04 time 20.00ms mfu 1.00%",
        "iter {k} | loss {l} | lr 6.0000e-04 time 20.00ms mfu 1.00%",
        "{k} | loss {l} | lr 6.000000e-04 | 20.00ms | mfu 1.00%",
    ],
)
def test_forks_put_other_marks_between_the_same_values(line: str, tmp_path: Path) -> None:
    lines = [line.format(k=k, l=5.5 - k / 100) for k in range(0, 50, 10)]
    text = "\n".join(["step 0: train loss 5.5, val loss 5.6", *lines, ""])
    log = parsed(tmp_path, text)
    train = log.records.filter(pl.col("train_loss").is_not_null())
    assert train["step"].to_list() == [0, 10, 20, 30, 40]
    assert train["train_loss"].to_list() == [5.5, 5.4, 5.3, 5.2, 5.1]
    assert train["lr"].to_list() == [6e-4] * 5
    assert train["step_seconds"].to_list() == [0.02] * 5
    assert log.lines_unread == 0


def test_llama2_c_s_model_is_gated(tmp_path: Path) -> None:
    text = (
        "breaks down as: 4 grad accum steps * 1 processes * 32 batch size * 1024 max seq len\n"
        "step 0: train loss 5.5, val loss 5.6\n0 | loss 5.5 | lr 0.0e+00 | 20.00ms | mfu 1.00%\n"
    )
    (run,) = parsed(tmp_path, text).runs
    shape = run.facts[0].architecture
    assert (shape.gated, shape.tied, shape.seq_len, shape.d_ff) == (True, True, 1024, None)


def test_losses_that_no_record_has_are_told(tmp_path: Path) -> None:
    text = "step 0: train loss 5.5, val loss 5.6\niter 10 -> 3.25 loss (ema)\n20 | my loss 3.0\n"
    assert parsed(tmp_path, text).lines_unread == 2


def test_lines_glued_together(tmp_path: Path) -> None:
    text = "iter 1: loss 3.0, time 9.0msiter 2: loss 2.0, time 9.0ms\n"
    assert parsed(tmp_path, text).records["step"].to_list() == [1, 2]


def test_half_lines_are_unread(tmp_path: Path) -> None:
    found = parsed(tmp_path, "iter 1: loss 3.0, ti\niter 2: loss 2.0, time 9.0ms\niter 3: los")
    assert found.records["step"].to_list() == [2]
    assert (found.lines_unread, found.truncated) == (1, True)


def test_cut_evaluation_is_not_half_a_number(tmp_path: Path) -> None:
    found = parsed(tmp_path, "iter 1: loss 3.0, time 9.0ms\nstep 2: train loss 2.5, val loss 2.")
    assert found.records["kind"].to_list() == ["train"]
    assert found.truncated


def test_nan_is_a_record(tmp_path: Path) -> None:
    found = parsed(tmp_path, "iter 1: loss nan, time 9.0ms\n")
    assert found.records["train_loss"].is_nan().to_list() == [True]


def test_crash_is_the_log_s_own_word(tmp_path: Path) -> None:
    text = nanogpt().splitlines(keepends=True)[:25]
    text.append("Traceback (most recent call last):\n")
    tables = ingest(tmp_path / "s", {"a.log": "".join(text)})
    assert row(tables.runs, "run", "a")["status"] == "crashed"


def test_crash_that_was_resumed_is_none(tmp_path: Path) -> None:
    whole = nanogpt().splitlines(keepends=True)
    text = [*whole[:25], "Traceback (most recent call last):\n", *whole[25:]]
    tables = ingest(tmp_path / "s", {"a.log": "".join(text)})
    assert row(tables.runs, "run", "a")["status"] == "finished"


def test_stopped_before_the_end_of_its_schedule(tmp_path: Path) -> None:
    text = "".join(nanogpt(steps=200).splitlines(keepends=True)[:25])
    tables = ingest(tmp_path / "s", {"a.log": text})
    assert row(tables.runs, "run", "a")["status"] == "truncated"


def test_second_launch_appended_to_the_same_file(tmp_path: Path) -> None:
    first = nanogpt(steps=200).splitlines(keepends=True)
    second = nanogpt(steps=200, resumed=True).splitlines(keepends=True)
    text = "".join(first[:25] + second[:12] + second[20:])
    tables = ingest(tmp_path / "s", {"a.log": text})
    assert row(tables.files, "path", "a.log")["restarts"] == 1
    live = tables.curves.filter(~pl.col("superseded"))
    assert live["step"].to_list() == list(range(0, 201, 10))


def test_configuration_files_get_a_fate(tmp_path: Path) -> None:
    log = nanogpt().replace("Overriding: lr_decay_iters = 200\n", "")
    sidecar = "title: t\nruns: [{match: a.log, config: [base.py]}]\n"
    base = "max_iters = 400\nlr_decay_iters = max_iters\n"
    tables = ingest(tmp_path / "s", {"a.log": log, "base.py": base}, sidecar)
    file = row(tables.files, "path", "base.py")
    assert (file["fate"], file["format"], file["reason"]) == (
        "facts", "configuration", "configuration of a",
    )  # fmt: skip
    run = row(tables.runs, "run", "a")
    assert (run["schedule_source"], run["status"]) == ("config_file", "truncated")
    assert run["schedule_tokens"] == 400 * 1024


@pytest.mark.parametrize("setting", ["max_iters", "learning_rate"])
def test_launches_from_scratch_with_other_settings_are_several_runs(
    tmp_path: Path, setting: str
) -> None:
    def launch(value: float, *, resumed: bool = False) -> str:
        text = nanogpt(steps=200, resumed=resumed).replace(
            "Overriding: learning_rate = 0.001  # fifty times Adam's eps",
            f"Overriding: {setting} = {value}",
        )
        return text.replace(f"Overriding: {setting}", f"seed = 1\nOverriding: {setting}")

    def reason(name: str, text: str) -> str:
        other = re.sub(r"loss ([\d.]+)", lambda m: f"loss {float(m[1]) + 0.05:.4f}", nanogpt())
        tables = ingest(tmp_path / name, {"a.log": text, "o.log": other})
        return row(tables.runs, "run", "a")["reason"] or ""

    told = reason("s", launch(100) + launch(200))
    assert "several runs: a launch" in told or "disagree on schedule.lr_peak" in told
    assert "several runs: a launch" not in reason("t", launch(200) + launch(200))
    if setting == "max_iters":  # a run may be made longer
        assert "several runs: a" not in reason("u", launch(100) + launch(200, resumed=True))


def test_the_command_that_a_message_proposes_splits_a_log_by_its_launches(tmp_path: Path) -> None:
    text = "".join(
        nanogpt(steps=steps).replace("tokens per", f"Overriding: max_iters = {steps}\ntokens per")
        for steps in (100, 150, 200)
    )
    reason = row(ingest(tmp_path / "s", {"a.log": text, "o.log": nanogpt()}).runs, "run", "a")
    command = reason["reason"].partition("as by ")[2].partition(" <this file>")[0]
    (tmp_path / "t").mkdir()
    subprocess.run(f"{command} ../s/a.log", shell=True, check=True, cwd=tmp_path / "t")  # noqa: S602
    (tmp_path / "t" / "sweep.yaml").write_text("title: t\n")
    runs = ingest(tmp_path / "t", {}).runs
    assert runs["run"].to_list() == ["run001", "run002", "run003"]
    assert runs["tokens"].to_list() == [steps * 1024 for steps in (100, 150, 200)]


def test_launches_that_print_other_sizes_are_several_runs(tmp_path: Path) -> None:
    def launch(millions: str, first: float = 5.1) -> str:
        lines = [f"step {k}/300 | loss {5 - k / 100:.4f} | 609.8ms" for k in range(0, 300, 10)]
        for k in range(0, 300, 100):
            lines.insert(k // 9, f"[EVAL] step {k}: train loss {5 - k / 100:.4f}, val loss {first}")
        return "\n".join([f"number of parameters: {millions}M", *lines, ""])

    other = {"o.log": nanogpt()}
    tables = ingest(tmp_path / "s", {"a.log": launch("0.80") + launch("4.40"), **other})
    reason = row(tables.runs, "run", "a")["reason"]
    assert "prints 4.40M parameters, and the one before it 0.80M parameters" in reason
    assert row(tables.files, "path", "a.log")["reason"].startswith("60 lines look like records")
    sidecar = (
        "title: t\nfacts: {params: {total: 8e5}, tokens_per_step: 32768, "
        "schedule: {kind: cosine, steps: 300}}\n"
    )
    tables = ingest(
        tmp_path / "t", {"a.log": launch("0.80") + launch("0.80", 5.2), **other}, sidecar
    )
    reason = row(tables.runs, "run", "a")["reason"]
    assert "holds 2 runs" in reason  # its last evaluation is at 200 of 300 updates
    assert "after 100 % of a run" in reason


def test_a_smoke_test_before_a_run_is_left_behind_where_sweep_yaml_names_the_run(
    tmp_path: Path,
) -> None:
    text = "".join(
        nanogpt(steps=steps).replace("tokens per", f"Overriding: max_iters = {steps}\ntokens per")
        for steps in (20, 200)
    )
    other = nanogpt().replace(": loss ", ": loss 1")
    reason = row(ingest(tmp_path / "s", {"a.log": text, "o.log": other}).runs, "run", "a")["reason"]
    assert "max_iters = 200, and the one before it max_iters = 20." in reason
    way = "runs: [{match: a.log, run: big}]\n"
    tables = ingest(tmp_path / "t", {"a.log": text, "o.log": other}, f"title: t\n{way}")
    alone = ingest(tmp_path / "u", {"a.log": nanogpt(), "o.log": other})
    mine, wanted = row(tables.runs, "run", "big"), row(alone.runs, "run", "a")
    told = ("reason", "tokens", "schedule_tokens", "params_total", "status")
    assert [mine[name] for name in told] == [wanted[name] for name in told]
