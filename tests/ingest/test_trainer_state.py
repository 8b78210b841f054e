"""The HF Trainer's state is read value by value: a long run's is of gigabytes, in one object."""

from __future__ import annotations

import json
import math
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from isoflop.ingest.formats import scan, trainer_state
from isoflop.ingest.reading.parsed import gather
from isoflop.ingest.reading.refused import RefusedError
from isoflop.ingest.reading.source import RawFile
from tests.ingest.samples import ingest, row

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from isoflop.ingest.reading.parsed import Parsed

HISTORY: list[Any] = [
    {"epoch": 0.5, "grad_norm": math.nan, "learning_rate": 3e-4, "loss": 3.5, "step": 10},
    {"eval_loss": 3.25, "eval_\u00e4\U0001f600\ud83d_loss": 3.0, "step": 10},
    {"loss": 3.125, "step": 20, "nested": {"a": [1, {"b": []}], "log_history": []}},
    "no entry",
    {"test_loss": 3.0},
]
STATE = {"best_metric": None, "log_history": HISTORY, "max_steps": 123, "total_flos": 1.5e18}


def read(folder: Path, text: str) -> Parsed:
    (folder / "trainer_state.json").write_text(text, encoding="utf-8")
    file = RawFile.at(folder / "trainer_state.json", folder)
    return gather(scan("trainer_state", file))


@pytest.mark.parametrize(
    ("step", "words"),
    [("-5", "-5"), ("2.5", "2.5"), ('"x"', "x"), (f"1{'0' * 4999}", "inf"), ("[]", "[]")],
)
def test_a_step_that_is_none_is_no_prediction(tmp_path: Path, step: str, words: str) -> None:
    history = f'[{{"loss": 4, "step": 10}}, {{"loss": 3, "step": {step}}}, {{"test_loss": 3}}]'
    parsed = read(tmp_path, f'{{"global_step": 1, "log_history": {history}}}')
    assert parsed.records["step"].to_list() == [10]
    assert parsed.left_out == (
        (1, f"the step is no count of updates, as {words} first"),
        (1, "no step: a prediction after training"),
    )


def state(steps: Iterable[int], changed: int = 10**9) -> str:
    """What the Trainer says at a step; losses are others from a step on."""
    history = [
        {"loss": 5 - step / 100 - (step >= changed), "grad_norm": math.nan, "step": step}
        for step in steps
    ]
    return json.dumps({"global_step": 1, "max_steps": 150, "log_history": history})


@pytest.mark.parametrize("root", [True, False])
def test_checkpoints_of_one_run_are_one(tmp_path: Path, root: bool) -> None:
    files: dict[str, str | bytes] = {
        f"out/checkpoint-{last}/trainer_state.json": state(range(10, last + 1, 10))
        for last in (50, 100, 150)
    }
    own = "out/trainer_state.json" if root else "out/checkpoint-150/trainer_state.json"
    if root:
        files[own] = state(range(10, 151, 10)).replace("1,", "2,", 1)
    # launched anew from step 50, a first launch having got to 120
    files["b/checkpoint-120/trainer_state.json"] = state(range(10, 121, 10), changed=60)
    files["b/checkpoint-50/trainer_state.json"] = state(range(10, 51, 10)) + "\n"
    files["b/trainer_state.json"] = state(range(10, 101, 10)) + "\n"
    # of another run, and therefore of its own
    files["b/checkpoint-9/trainer_state.json"] = state(range(10, 31, 10), changed=0)
    rules = "title: t\nfacts: {params: {total: 1e6}, tokens_per_step: 512}\n"
    tables = ingest(tmp_path / "s", files, rules, cache=tmp_path / "cache")
    fates = {name: (fate, why) for name, fate, why in tables.files.select(
        "path", "fate", "reason").iter_rows()}  # fmt: skip
    assert {name for name, (fate, _) in fates.items() if fate == "used"} == {
        own, "b/trainer_state.json", "b/checkpoint-9/trainer_state.json",
    }  # fmt: skip
    assert tables.runs["run"].to_list() == [
        "b/checkpoint-9/trainer_state", "b/trainer_state", "out/trainer_state",
    ]  # fmt: skip
    words = f"its history is the beginning of that of {own}, or all of it"
    assert fates["out/checkpoint-50/trainer_state.json"] == ("ignored", words)
    assert fates["b/checkpoint-120/trainer_state.json"] == (
        "ignored",
        "an earlier launch of its run: its history is that of b/trainer_state.json up to step 50, "
        "from where that went on otherwise",
    )


@pytest.mark.parametrize(
    "names",
    [("checkpoint-150", "checkpoint-best", "checkpoint-last"), ("step_50", "step_150"),
     ("global_step50", "global_step150"), ("epoch-1", "epoch-3"),
     ("best_model", "final-checkpoint")],
)  # fmt: skip
def test_checkpoints_of_any_usual_name_are_one_run_named_by_their_folder(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    files: dict[str, str | bytes] = {
        f"{run}/{name}/trainer_state.json": state(range(10, last, 10), changed=changed)
        for run, changed in (("a", 1000), ("run-1", 40))
        for name, last in zip(names, (151, 91, 151), strict=False)
    }
    rules = "title: t\nfacts: {params: {total: 1e6}, tokens_per_step: 512}\n"
    tables = ingest(tmp_path / "s", files, rules)
    assert tables.runs.select("run", "tokens").rows() == [
        ("a/trainer_state", 150 * 512), ("run-1/trainer_state", 150 * 512),
    ]  # fmt: skip


def test_histories_of_several_runs_in_one_folder_are_told_of(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "r/checkpoint-150/trainer_state.json": state(range(10, 151, 10)),
        "r/checkpoint-90/trainer_state.json": state(range(10, 91, 10), changed=0),
    }
    rules = "title: t\nfacts: {params: {total: 1e6}, tokens_per_step: 512}\n"
    tables = ingest(tmp_path / "s", files, rules)
    assert tables.runs["run"].to_list() == [
        "r/checkpoint-150/trainer_state", "r/checkpoint-90/trainer_state",
    ]  # fmt: skip
    reason = row(tables.files, "path", "r/checkpoint-90/trainer_state.json")["reason"]
    assert "its history is none of r/checkpoint-150/trainer_state.json's" in reason


def test_checkpoints_that_sweep_yaml_calls_two_runs_are_two(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        f"checkpoint-{last}/trainer_state.json": state(range(10, last + 1, 10)) for last in (50, 90)
    }
    rules = "title: t\nruns: [{match: '*-50/*', run: short}]\n"
    rules += "facts: {params: {total: 1e6}, tokens_per_step: 512}\n"
    assert ingest(tmp_path / "s", files, rules).runs.height == 2


@pytest.mark.parametrize("piece", [1, 2, 7, 64, 1 << 20])
@pytest.mark.parametrize("indent", [None, 2])
def test_any_piece_gives_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int, indent: int | None
) -> None:
    monkeypatch.setattr(trainer_state, "PIECE", piece)
    parsed = read(tmp_path, json.dumps(STATE, indent=indent))
    records = parsed.records
    assert records["step"].to_list() == [10, 10, 10, 20]
    assert records["train_loss"].to_list() == [3.5, None, None, 3.125]
    assert records["value"].to_list() == [None, 3.25, 3.0, None]
    assert records["eval_set"].to_list() == [None, "eval", "\u00e4\U0001f600?", None]
    assert parsed.lines_unread == 1
    assert parsed.left_out == ((1, "no step: a prediction after training"),)
    (run,) = parsed.runs
    assert [facts.schedule.steps for facts in run.facts] == [123]


def test_no_part_of_a_state_is_taken_for_the_whole(tmp_path: Path) -> None:
    text = json.dumps(STATE)
    for cut in range(0, len(text), 3):
        with pytest.raises(RefusedError, match="cut or damaged"):
            read(tmp_path, text[:cut])
    assert read(tmp_path, f" \n{text}\n\n").lines == 4


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"log_history": [], "log_history": []}', "stands twice"),
        ('{"log_history": {"step": 1}}', "is no list"),
        ('{"max_steps": 1}', "is no list"),
        ('[{"log_history": []}]', "cut or damaged"),
        ('{"log_history": []} {}', "something follows"),
        ('{"log_history": [{"step": 1} {"step": 2}]}', "',' is missing"),
        ('{"log_history": [1,]}', "cut or damaged"),
        ('{"log_history" []}', "':' is missing"),
        ("{1: 2}", "a key is no text"),
        ('{"log_history": [' + "[" * 100_000, "cut or damaged"),
        ("", "'{' is missing"),
    ],
)
def test_what_is_no_state_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(RefusedError, match=words):
        read(tmp_path, text)


def test_memory_does_not_grow_with_the_history(tmp_path: Path) -> None:
    note = "x" * 2000
    entries = [{"loss": 2.5, "note": note, "step": step} for step in range(1, 5001)]
    text = json.dumps({"log_history": entries, "max_steps": 9}, indent=2)
    (tmp_path / "a.json").write_text(text)
    del entries, text
    file = RawFile.at(tmp_path / "a.json", tmp_path)
    assert file.size > 10e6
    tracemalloc.start()
    last = 0
    for event in trainer_state.read(file, None):
        last = getattr(event, "step", last)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert last == 5000
    assert peak < 8 * trainer_state.PIECE


def test_one_value_has_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer_state, "PIECE", 1 << 10)
    monkeypatch.setattr(trainer_state, "LARGEST", 1 << 12)
    text = '{"log_history": [{"step": 1, "loss": 2.5, "note": [%s0]}]}'
    assert read(tmp_path, text % ("0,\n" * 1000)).lines == 1
    with pytest.raises(RefusedError, match="cut or damaged"):
        read(tmp_path, text % ("0,\n" * (1 << 20)))


@pytest.mark.parametrize("name", ["reward", "rewards/chosen", "rewards/accuracy_reward/mean"])
def test_a_history_with_rewards_is_no_pretraining(tmp_path: Path, name: str) -> None:
    history = [{"loss": 0.1, name: 0.5, "learning_rate": 1e-6, "step": step} for step in (10, 20)]
    with pytest.raises(RefusedError, match=f"'{name}' is of reinforcement learning"):
        read(tmp_path, json.dumps({**STATE, "log_history": history}))
