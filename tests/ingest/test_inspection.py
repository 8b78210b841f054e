from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING

import pytest
import yaml
from click.testing import CliRunner

from isoflop.cli import main
from isoflop.ingest.inspection import inspect
from isoflop.ingest.sweep import ingest_sweep
from isoflop.ingest.words.sizes_in_names import size_in
from tests.ingest.samples import RECORD, jsonl, nanogpt, row, run_lines, write

if TYPE_CHECKING:
    from pathlib import Path

BARE = "".join(f"iter {n}: loss {3 - n / 10}, time 1.00ms\n" for n in range(9))


def shown(*arguments: str) -> str:
    done = CliRunner().invoke(main, ["inspect", *arguments])
    assert done.exit_code == 0, done.output
    return done.output


def test_a_file_outside_any_project(tmp_path: Path) -> None:
    write(tmp_path, {"run[1].log": nanogpt(), "other.log": BARE}, None)
    said = shown(str(tmp_path / "run[1].log"))
    assert said.startswith("run[1].log: used as nanogpt, 31 records\n")
    assert "other" not in said
    assert "  D: 204800 tokens; finished\n" in said
    assert "  params.total: 8288.0 (log)\n" in said
    assert said.endswith(f'# sweep.yaml to start from:\ntitle: "{tmp_path.name}"\n')


def test_an_empty_folder_is_said_to_be_empty(tmp_path: Path) -> None:
    assert shown(str(tmp_path)).startswith(f"{tmp_path}: no logs in it, nor in its folders. Copy")
    write(tmp_path, {})
    assert "no logs in it" in shown(str(tmp_path))
    assert json.loads(shown(str(tmp_path), "--json"))["runs"] == []


@pytest.mark.parametrize("names", [["a.log"], ["a.log", "b.log"]])
def test_the_printed_sweep_yaml_is_enough_once_its_gaps_are_filled(
    tmp_path: Path, names: list[str]
) -> None:
    files = {name: BARE[place * 30 :] for place, name in enumerate(names)}
    folder = write(tmp_path / "s", {**files, "c.log": nanogpt()}, None)
    text = inspect(folder).sidecar_text()
    for gap, value in {
        "<embedding included>": "1e6", "<tokens in one optimiser step>": "512", "<steps>": "8",
    }.items():  # fmt: skip
        assert gap in text
        text = text.replace(gap, value)
    (folder / "sweep.yaml").write_text(text)
    tables = ingest_sweep(folder, RECORD)
    assert not tables.runs["excluded"].any()
    assert row(tables.runs, "run", "a")["tokens"] == 8 * 512


def test_what_all_runs_lack_is_said_once(tmp_path: Path) -> None:
    folder = write(tmp_path / "s", {"a.log": BARE, "b.log": BARE + "\n"}, None)
    said = yaml.safe_load(inspect(folder).sidecar_text())
    assert set(said["facts"]) == {"tokens_per_step", "schedule"}
    # sizes are those of each run
    assert [set(rule) for rule in said["runs"]] == [{"match", "params"}] * 2


def test_the_length_of_a_schedule_is_asked_of_each_run_where_they_differ(tmp_path: Path) -> None:
    longer = "".join(f"iter {n}: loss {3.5 - n / 20}, time 1.00ms\n" for n in range(20))
    folder = write(tmp_path / "s", {"a.log": BARE, "b.log": longer}, None)
    said = yaml.safe_load(inspect(folder).sidecar_text())
    assert set(said["facts"]) == {"tokens_per_step"}
    assert [set(rule) for rule in said["runs"]] == [{"match", "params", "schedule"}] * 2


def test_json_tells_values_origins_and_gaps(tmp_path: Path) -> None:
    files = {"a.jsonl": jsonl(run_lines("a")), "b.log": BARE, "notes.txt": "hello\n"}
    folder = write(tmp_path / "s", files, None)
    told = json.loads(shown(str(folder), "--json"))
    fates = {file["path"]: file["fate"] for file in told["files"]}
    assert fates == {"a.jsonl": "used", "b.log": "used", "notes.txt": "rejected"}
    a, b = told["runs"]
    assert a["facts"]["params.total"] == {"value": 10368.0, "source": "log"}
    assert (a["missing"], a["left_out"]) == ([], None)
    assert b["missing"][0]["fact"] == "number of parameters"
    assert "tokens_per_step: <" in told["sweep_yaml"]


def test_a_sweep_yaml_is_heeded(tmp_path: Path) -> None:
    folder = write(tmp_path / "s", {"a.log": nanogpt()}, "title: t\nfacts: {seed: 5}\n")
    said = shown(str(folder))
    assert "  seed: 5 (sidecar)\n" in said
    assert "to start from" not in said


AVERAGED = "step,tokens,train_loss\n" + "".join(f"{s},{s}00,{3 - s / 99}\n" for s in range(1, 40))
OF_WINDOWS = "title: t\nfacts: {{{}, params: {{total: 1e3}}, schedule: {{kind: constant}}}}\n"


@pytest.mark.parametrize(
    ("said", "idle", "lacking"),
    [
        ("loss_kind: ema", None, "a moving average (loss_kind: ema) over an unknown number"),
        ("loss_kind: running_mean", None, "a running mean (loss_kind: running_mean) over an"),
        ("loss_kind: ema, loss_window: 5", None, None),
        ("loss_kind: instant", None, None),
        ("loss_kind: interval_mean, loss_window: 5", "are interval_mean by sweep.yaml", None),
        ("loss_kind: final, loss_window: 5", "are final by sweep.yaml", None),
        ("loss_window: 5", "nothing says what its training losses average", None),
    ],
)
def test_a_window_without_an_average_and_an_average_without_a_window_are_told(
    tmp_path: Path, said: str, idle: str | None, lacking: str | None
) -> None:
    folder = write(tmp_path / "s", {"a.csv": AVERAGED}, OF_WINDOWS.format(said))
    told = shown(str(folder))
    assert ("loss_window: 5 is not used" in told) == (idle is not None)
    assert (idle or "") in told
    assert (f"its training losses are {lacking}" in told) == (lacking is not None)
    (run,) = json.loads(shown(str(folder), "--json"))["runs"]
    assert (run["lacking_window"] is None) == (lacking is None)
    notes = ingest_sweep(folder, RECORD).runs["notes"].item() or ""
    assert ("take loss_window out" in notes) == (idle is not None)


def test_a_logs_own_kind_leaves_a_window_idle(tmp_path: Path) -> None:
    """nanoGPT's losses are of one step each; runs without training losses have none to speak of."""
    evals = AVERAGED.replace("train_loss", "val_loss")
    rules = OF_WINDOWS.format("loss_window: 7")
    folder = write(tmp_path / "s", {"a.log": nanogpt(), "b.csv": evals}, rules)
    runs = ingest_sweep(folder, RECORD).runs
    words = "loss_window: 7 is not used: its training losses are instant by the log"
    assert words in row(runs, "run", "a")["notes"]
    assert "loss_window" not in (row(runs, "run", "b")["notes"] or "")


def test_the_printed_sweep_yaml_asks_for_windows(tmp_path: Path) -> None:
    chat = (
        "Vocab size: 65,536\nNumber of parameters: 1,000\nTotal batch size 1,000,000\n"
        + "".join(
            f"step {n:05d}/30 (1.00%) | loss: {3 - n / 99:.6f} | lrm: 1.00 | dt: 1.0ms\n"
            for n in range(1, 31)
        )
    )
    begins = "2026-01-02,03:04:05 | INFO |"
    epoch = f"{begins}   global_batch_size: 16\n" + "".join(
        f"{begins} Train Epoch: 0 [ {16 * at}/800 (20%)] Loss: {3 + 1 / at:.4f} Data (t): 0.01 "
        "LR: 0.003 \n"
        for at in range(10, 51, 10)
    )
    folder = write(tmp_path / "s", {"chat.log": chat, "epoch.log": epoch}, None)
    text = inspect(folder).sidecar_text()
    assert 'the window of those of "epoch", of a moving' in text
    assert "loss_window: <updates>" in text
    assert "loss_window" not in yaml.safe_load(text)
    known = write(tmp_path / "t", {"chat.log": chat}, None)
    assert "loss_window" not in inspect(known).sidecar_text()


def test_json_has_the_day_of_a_log(tmp_path: Path) -> None:
    text = "2026-01-02 03:04:05 " + nanogpt()
    (tmp_path / "a.log").write_text(text)
    told = json.loads(json.dumps(inspect(tmp_path).as_json()))
    assert told["files"][0]["last_day"] == "2026-01-02"


def test_each_run_of_a_sweep_is_asked_for_its_own_size(tmp_path: Path) -> None:
    table = "step,tokens,train_loss\n" + "".join(f"{k},{k}e9,{5 - k / 10}\n" for k in range(1, 9))
    names = ("25M.csv", "small/gpt-1.3B.csv", "25M-0.5B.csv", "other.csv")
    files = {name: table.replace("5,", f"5.{place},") for place, name in enumerate(names)}
    told = inspect(write(tmp_path / "s", {**files}, None)).sidecar_text()
    runs = {rule["match"]: rule["params"]["total"] for rule in yaml.safe_load(told)["runs"]}
    assert runs["25M"] == "25e6"
    assert runs["small/gpt-1.3B"] == "1.3e9"
    assert runs["25M-0.5B"] == runs["other"] == "<embedding included>"
    assert "params" not in yaml.safe_load(told)["facts"]


@pytest.mark.parametrize(
    ("name", "tokens", "size"),
    [
        ("gpt-25M", None, "25e6"),
        ("runs/1.3B/metrics", 2.6e10, "1.3e9"),
        ("25M-0.5B", 498e6, "25e6"),  # the other is D
        ("gpt-25M-0.5B", None, None),
        ("7B-2T", None, "7e9"),
        ("7B-2B-tokens", None, "7e9"),
        ("25M_D0.5B", None, "25e6"),
        ("25M-tokens-0.5B", None, None),
        ("d512-slimpajama-6B", None, None),
        ("mine-6B", 5e8, None),  # fewer tokens than that
        ("d512-mine-6B", None, None),
        ("c4-10B", None, None),
        ("6B-slimpajama", None, None),
        ("d512_20k", None, None),
        ("gpt-20k", None, None),
        ("curves/curve_N1238144_D5000000", 4997120, "1238144"),
        ("N25M_D1B", None, "25e6"),
        ("N100_D5B", None, None),
        ("L8-0.5B-tokens", None, None),
        ("gpt-bs-1M", None, None),
        ("0.5B", 498e6, None),
    ],
)
def test_a_size_in_a_name_is_proposed_only_where_it_can_be_n(
    name: str, tokens: float | None, size: str | None
) -> None:
    line = size_in(name, tokens)
    assert line == (size and f"params: {{total: {size}}}   # by its name: is that all of it?")


def test_d_tells_which_of_two_sizes_in_a_name_is_n(tmp_path: Path) -> None:
    rows = "".join(f"{k},{k * 5e7},{5 - k / 10}\n" for k in range(1, 11))
    files = {f"{n}-0.5B.csv": f"step,tokens,train_loss\n{rows}" for n in ("25M", "50M")}
    files["50M-0.5B.csv"] = files["50M-0.5B.csv"].replace(",4.", ",3.")
    told = inspect(write(tmp_path / "s", {**files}, None)).sidecar_text()
    runs = {rule["match"]: rule["params"]["total"] for rule in yaml.safe_load(told)["runs"]}
    assert runs == {"25M-0.5B": "25e6", "50M-0.5B": "50e6"}


def test_what_lies_beside_logs_is_told_on_one_line(tmp_path: Path) -> None:
    """Weights and arguments of torch's are zip archives; a log is one whatever it is called."""
    folder = tmp_path / "s"
    log = "\n".join(["step,loss,tokens,params", *(f"{n},{5 - n / 9},{n}e6,1e7" for n in range(9))])
    for run in ("a", "b"):
        (folder / run).mkdir(parents=True)
        (folder / run / "log.csv").write_text(log.replace("1e7", "1e7" if run == "a" else "2e7"))
        (folder / run / "README.md").write_text("---\nlibrary_name: transformers\n---\n# x\n")
        (folder / run / "vocab.json").write_text('{"a": 0, "b": 1}')
        (folder / run / "merges.txt").write_text("#version: 0.2\nt h\n")
        with zipfile.ZipFile(folder / run / "training_args.bin", "w") as archive:
            archive.writestr("training_args/data.pkl", b"x")
    (folder / "requirements.txt").write_text(log.replace("1e7", "3e7"))
    seen = inspect(folder)
    fates = dict(seen.tables.files.select("path", "fate").iter_rows())
    assert {fates[f"a/{name}"] for name in ("README.md", "vocab.json", "training_args.bin")} == {
        "ignored"
    }
    assert fates["requirements.txt"] == "used"
    told = [line for line in str(seen).splitlines() if "README.md" in line]
    assert told == [
        "ignored, what trainers and tokenisers write beside logs, and no log: README.md (2), "
        "merges.txt (2), training_args.bin (2), vocab.json (2)"
    ]
