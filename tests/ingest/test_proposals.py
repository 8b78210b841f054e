"""Whatever a message proposes to write into sweep.yaml helps: each is written there, and read."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from isoflop.ingest.inspection import inspect
from tests.ingest.samples import nanogpt, write

if TYPE_CHECKING:
    from isoflop.ingest.inspection import Inspected

FIXTURES = Path(__file__).parent / "fixtures"
GAPS = {
    "embedding included": "1e6", "tokens in one optimiser step": "512", "steps": "1000",
    "bytes": "4", "tokens of a sample": "64", "tokens": "64", "updates": "5",
    "sequences in one optimiser step": "8", "experts of a block": "8",
    "tokens of a step": "1e6", "tokens of each run": "1e9", "tokens of all of it": "1e9",
    "tokens of an epoch": "1e6", "steps of an epoch": "100",
    "the column of updates": "n", "the column of the loss": "y", "all": "1e6", "why": "it is so",
    "those that a token goes through": "1e5",
}  # fmt: skip
"""What a user writes in the place of a gap."""


def filled(text: str) -> str:
    """Fill the gaps; of alternatives behind a # none is taken."""
    code = (re.sub(r"\s+#.*$", "", line) for line in text.split("\n"))
    return "\n".join(re.sub(r"<([^<>]+)>", lambda gap: GAPS[gap[1]], line) for line in code)


def complaints(seen: Inspected) -> set[tuple[str, str]]:
    """Name everything that is missing: of files that a map would let be read, and of runs."""
    asked = {
        (log.file.name, log.reason or "")
        for log in seen.reading.logs
        if log.fate == "rejected" and log.parsed is not None and log.parsed.proposal
    }
    chosen = {
        (run.name, words)
        for run in seen.reading.runs
        for words in run.complaints()
        if "primary_eval" in words
    }
    return (
        asked
        | chosen
        | {
            (run.name, missing.fact)
            for run in seen.reading.runs
            for missing in run.identity.missing
        }
    )


def settled(folder: Path, rounds: int = 4) -> Any:
    """Do what `isoflop inspect` proposes until nothing is missing; each time the complaint goes."""
    told = inspect(folder)
    lacking = complaints(told)
    rules: dict[str, Any] = {}
    for _ in range(rounds):
        if not lacking:
            break
        text = filled(told.sidecar_text())
        new = yaml.safe_load(text)
        for key, value in new.items():  # as a user does who adds to what is there
            rules[key] = _added(rules.get(key), value)
        (folder / "sweep.yaml").write_text(yaml.safe_dump(rules, sort_keys=False))
        told = inspect(folder)
        after = complaints(told)
        assert not lacking & after, text
        lacking = after
    assert not lacking
    return rules


def _added(known: Any, value: Any) -> Any:
    if isinstance(known, list):
        return known + value
    return {**known, **value} if isinstance(known, dict) else value


@pytest.mark.parametrize("name", sorted(path.name for path in FIXTURES.iterdir()))
def test_what_is_proposed_for_a_fixture_is_enough(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "s"
    shutil.copytree(FIXTURES / name, folder)
    for file in ("sweep.yaml", "expected.json"):
        (folder / file).unlink(missing_ok=True)
    settled(folder)


def rows(head: str, *lines: str) -> str:
    return "\n".join([head, *lines, ""])


def curve(head: str, *columns: str, count: int = 12) -> str:
    """A table by formulas of the row's number."""
    cells = [[eval(each, {"n": n}) for each in columns] for n in range(1, count)]  # noqa: S307
    lines = [",".join(map(str, row)) for row in cells]
    return rows(head, *lines)


MADE_UP: dict[str, dict[str, str]] = {
    "N and D in units": {"t.csv": rows("model,params,tokens,loss", "a,10,.2,3.9", "b,70,1.4,3.3")},
    "points in units": {"t.csv": curve("step,params,tokens,loss", "n", "70", "n/8", "5-n/30")},
    "curves in units": {"t.csv": curve("step,params,loss", "n", "70.5", "5-n/30")},
    "no loss": {"t.csv": curve("step,tokens,y", "n", "n*1e6", "5-n/30")},
    "no axis": {"t.csv": curve("n,loss", "n", "5-n/30")},
    "runs without tokens": {"t.csv": rows("n_params,val_loss", "10000000,3.9", "20000000,3.7")},
    "runs with tokens and no N": {
        "t.csv": rows("size,final_train_loss,final_val_loss,total_tokens,flops",
                      "1M,3.3,3.2,20000000,1.2e14", "4M,2.3,2.2,80000000,1.9e15")},
    "bits per character": {"t.csv": rows("n_params,tokens,val_bpc", "1e7,1e8,3.9", "2e7,2e8,3")},
    "no axis but epochs": {"t.csv": curve("epoch,loss,val_loss", "n/2", "5-n/30", "6-n/30")},
    "nothing known": {"t.csv": curve("n,y,z", "n", "5-n/30", "1")},
    "W&B's step": {"t.csv": curve("_step,loss,eval/a b/loss,eval/c/loss", "n", "5-n/30", "4", "3")},
    "tokens of a step": {"t.csv": curve("step,tokens,loss", "n", "4096", "5-n/30")},
    "tokens that vary": {"t.csv": curve("step,tokens,loss", "n", "4096+7*(n%3)", "5-n/30")},
    "finished runs by steps": {"t.csv": rows("run,params,steps,loss", "a,1e7,90,4", "b,2e7,90,3")},
    "finished runs by steps and a batch": {
        "t.csv": rows("run,params,steps,batch,seq_len,loss", "a,1e7,90,8,64,4", "b,2e7,90,8,64,3")},
    "finished runs without loss": {"t.csv": rows("run,N,D,y", "a,1e7,2e8,4.1", "b,2e7,4e8,3.9")},
    "N and C": {"t.csv": rows("C,N,loss", "1e18,1e7,3.9", "1e18,2e7,3.7")},
    "N in a unit and C": {"t.csv": rows("FLOPs,N (M),val_loss", "1e18,10,3.9", "1e18,20,3.7")},
    "TensorBoard's page": {"t.csv": curve("Wall time,Step,Value", "1.6e9+n", "n", "5-n/30")},
    "TensorBoard's pages by tag": {
        f"run-a-tag-{tag}_loss.csv": curve("Wall time,Step,Value", "1.6e9+n", "n", f"{top}-n/30")
        for tag, top in (("train", 5), ("val", 6))
    },
    "a column a run": {"t.csv": curve("step,r1,r2", "n", "5-n/30", "4-n/30")},
    "a column a run by its size": {"t.csv": curve("step,10M,20M", "n", "5-n/30", "4-n/30")},
    "JSON of a list": {"t.json": '[{"step": 1, "y_loss": 4.5}, {"step": 2, "y_loss": 4.25}]'},
    "quotes in names": {"t.csv": rows('"a ""b""",n,"x: {y} loss"', "1,2,3.5", "1,3,3.25")},
    "a table of what runs are": {
        "h.csv": rows("run,step,loss", *(f"{r},{n},{4 - n / 9}" for r in "ab" for n in range(9))),
        "runs.csv": rows("name,n_params (M),tokens_per_step", "a,10,512", "b,20,512", "c,3,1e3"),
    },
    "a tracker's table of runs with their last losses": {
        "h.csv": rows("run,step,loss", *(f"{r},{n},{4 - n / 9}" for r in "ab" for n in range(9))),
        "runs.csv": rows("Name,State,Created,model.n_params,batch_tokens,total_steps,train/loss",
                         "a,finished,2026,10000000,512,9,3.1", "b,crashed,2026,20000000,512,9,3")},
    "a table of what runs are, in units": {
        "h.csv": rows("run,step,loss", *(f"{r},{n},{4 - n / 9}" for r in "ab" for n in range(9))),
        "runs.csv": rows("name,params,tokens_per_step", "a,.07,.5", "b,.16,.5", "c,3,0.25"),
    },
    "a table of what runs are, with a batch": {
        "h.csv": rows("run,step,loss", *(f"{r},{n},{4 - n / 9}" for r in "ab" for n in range(9))),
        "runs.csv": rows("name,params,batch_size,seq_len", "a,70,512,1024", "b,160,256,1024"),
    },
    "several tables": {
        "a.csv": curve("_step,loss", "n", "5-n/30"),
        "b.csv": curve("n,loss", "n", "5-n/30"),
        "c.csv": curve("step,loss", "n", "5-n/30"),
    },
    "names with brackets": {
        "lr[3e-4].csv": curve("step,loss", "n", "5-n/30"), "a*b?.csv": curve("step,loss", "n", "4"),
    },
    "panels": {"t.csv": curve("Step,a - loss,a - loss__MIN,a - loss__MAX", "n", *["5-n/30"] * 3)},
    "lines of nobody": {
        "a.log": "".join(f"step {n} loss {5 - n / 30} aux_loss 3\n" for n in range(9))
    },
    "steps of an epoch": {
        "a.log": "".join(f"epoch {n // 9} step {n % 9} loss {5 - n / 90}\n" for n in range(45))
    },
    "lines with sets": {
        "a.log": "".join(f"step {n} | train 3.{n} | val 4.{n}\n" for n in range(9))
    },
    "bits per byte": {"t.csv": curve("step,val_bpb", "n", "2-n/30")},
    "experts": {
        "a.log": nanogpt(), "config.json": '{"n_layer": 2, "n_embd": 16, "num_experts": 8}',
    },
    "nanoGPT": {"a.log": nanogpt(), "b.log": "".join(
        f"iter {n}: loss {3 - n / 10}, time 1.00ms\n" for n in range(9))},
}  # fmt: skip


@pytest.mark.parametrize("name", MADE_UP)
def test_what_is_proposed_for_a_made_up_case_is_enough(tmp_path: Path, name: str) -> None:
    settled(write(tmp_path / "s", dict(MADE_UP[name]), None))


@pytest.mark.parametrize("name", MADE_UP)
def test_the_lines_for_one_run_are_enough(tmp_path: Path, name: str) -> None:
    """Those of the runs table, and those with which ingest-sweep stops."""
    folder = write(tmp_path / "s", dict(MADE_UP[name]), None)
    rules = settled(folder)
    maps = [rule for rule in rules.get("runs", ()) if "table" in rule]
    rules = {"title": "t", **{k: v for k, v in rules.items() if k == "table"}, "runs": maps}
    (folder / "sweep.yaml").write_text(yaml.safe_dump(rules))
    for _ in range(3):
        seen = inspect(folder)
        before = lacking(seen)
        if not before:
            break
        for run in seen.reading.runs:
            told = re.findall(r"add to sweep\.yaml, runs: (\[\{.*?\}\])(?=; |$)", run.lacking or "")
            assert len(told) == len(run.identity.missing)
            rules["runs"] += [rule for line in told for rule in yaml.safe_load(filled(line))]
        (folder / "sweep.yaml").write_text(yaml.safe_dump(rules))
        assert not before & lacking(inspect(folder))
    assert not lacking(inspect(folder))


def lacking(seen: Inspected) -> set[tuple[str, str]]:
    """Name the facts that runs lack."""
    return {(run.name, each.fact) for run in seen.reading.runs for each in run.identity.missing}


def test_rows_of_a_table_of_what_runs_are_become_rules(tmp_path: Path) -> None:
    folder = write(tmp_path / "s", dict(MADE_UP["a table of what runs are"]), None)
    told = yaml.safe_load(inspect(folder).sidecar_text())
    assert told["runs"] == [
        {"match": "a", "params": {"total": 10000000}, "tokens_per_step": 512},
        {"match": "b", "params": {"total": 20000000}, "tokens_per_step": 512},
    ]
    assert set(told["facts"]) == {"schedule"}
    assert [each["match"] for each in told["ignore"]] == ["runs.csv"]


def test_units_and_batches_of_a_table_of_what_runs_are_are_asked_about(tmp_path: Path) -> None:
    for place, (name, asked) in enumerate(
        {
            "a table of what runs are, in units": (
                "'params' has 0.07 to 3, which can be no counts of parameters: 'params' times 1e9 "
                "and 'tokens_per_step' has 0.25 to 0.5, which can be no counts of tokens: "
                "'tokens_per_step' times 1e6: see that it is so"
            ),
            "a table of what runs are, with a batch": (
                "'params' has 70 to 160, which can be no counts of parameters: 'params' times 1e6 "
                "and 'batch_size' are the sequences of an optimiser step: see that it is so"
            ),
        }.items()
    ):
        folder = write(tmp_path / str(place), dict(MADE_UP[name]), None)
        seen = inspect(folder)
        assert asked in next(log.reason for log in seen.reading.logs if log.fate == "rejected")
        told = yaml.safe_load(seen.sidecar_text())
        assert [rule["params"]["total"] for rule in told["runs"]] == [70_000_000, 160_000_000]
        assert set(told["facts"]) == {"schedule"}
        settled(folder)
        assert inspect(folder).tables.runs["tokens_per_step"].to_list() == (
            [5e5, 5e5] if not place else [512 * 1024, 256 * 1024]
        )


def test_d_follows_from_n_and_c(tmp_path: Path) -> None:
    folder = write(tmp_path / "s", dict(MADE_UP["N in a unit and C"]), None)
    settled(folder)
    runs = inspect(folder).tables.runs
    assert runs["tokens"].to_list() == pytest.approx([1e18 / 6e7, 1e18 / 12e7])
    assert set(runs["status"]) == {"finished"}


@pytest.mark.parametrize(
    "name",
    ["N and D in units", "points in units", "W&B's step", "tokens of a step",
     "N and C", "a table of what runs are, in units", "curves in units"],
)  # fmt: skip
def test_the_sweep_yaml_to_start_from_is_all_that_is_asked_of_tables(
    tmp_path: Path, name: str
) -> None:
    """What runs lack, too, which are known once the maps are there."""
    settled(write(tmp_path / "s", dict(MADE_UP[name]), None), rounds=1)


def test_what_a_map_with_gaps_leads_to_is_told_behind_a_mark(tmp_path: Path) -> None:
    folder = write(tmp_path / "s", dict(MADE_UP["no axis"]), None)
    text = inspect(folder).sidecar_text()
    assert 'step: "<the column of updates>"' in text
    told = re.search(r"^#   (facts: .*)$", text, re.MULTILINE)
    assert told is not None
    facts = yaml.safe_load(filled(told[1]))["facts"]
    assert facts.keys() == {"params", "tokens_per_step", "schedule"}
    assert "facts" not in yaml.safe_load(filled(text))
    # beside a table whose map is whole
    files = dict(MADE_UP["no axis"]) | {"u.csv": MADE_UP["curves in units"]["t.csv"]}
    asked = yaml.safe_load(filled(inspect(write(tmp_path / "t", files, None)).sidecar_text()))
    lines = {key for rule in asked["runs"] for key in rule if rule["match"] in {"u", "u.csv"}}
    assert {"table", "tokens_per_step", "schedule"} <= lines | asked.get("facts", {}).keys()


@pytest.mark.parametrize(
    ("losses", "proposed"),
    [
        ({"target_loss": (3.28, 3.28), "reached_loss": (4.4, 4.1)}, "reached_loss"),
        ({"mtp_loss": (5.4, 5.1), "ntp_loss": (4.4, 4.1)}, "ntp_loss"),
        ({"aux_loss": (0.02, 0.03), "lm_loss_smooth": (4.4, 4.1)}, "lm_loss_smooth"),
        ({"some_loss": (0.02, 0.03), "lm_loss_smooth": (4.4, 4.1)}, "lm_loss_smooth"),
        ({"initial_loss": (10.9, 10.8), "loss_at_end": (4.4, 4.1)}, "loss_at_end"),
        ({"best_val_nll": (4.3, 4.0), "final_val_nll": (4.4, 4.1)}, "final_val_nll"),
        ({"lambada2nll": (2.2, 2.1), "nll": (4.4, 4.1)}, "nll"),
        ({"loss_std": (0.2, 0.3)}, "<the column of the loss>"),
        ({"loss_scale": (128, 256)}, "<the column of the loss>"),
    ],
)
def test_the_loss_that_is_proposed_varies_and_is_no_other_s(
    tmp_path: Path, losses: dict[str, tuple[float, float]], proposed: str
) -> None:
    head = ",".join(["params,tokens", *losses])
    lines = [
        ",".join(map(str, (25e6, (place + 1) * 5e8, *(two[place] for two in losses.values()))))
        for place in (0, 1)
    ]
    table = "\n".join([head, *lines, ""])
    told = inspect(write(tmp_path / "s", {"t.csv": table}, None)).sidecar_text()
    assert yaml.safe_load(told)["table"]["columns"]["eval_loss"] == proposed


def test_rows_of_a_trackers_table_without_a_history_are_finished_runs(tmp_path: Path) -> None:
    began = "finished,2026-02-01T10:00:00.000Z,3600"
    cells = [(n, steps) for n in (25, 50) for steps in (40, 80)]
    names = [f"gpt-{n}-{steps}" for n, steps in cells]
    rows = [
        f"gpt-{n}-{steps},{began},{n}e6,1000,{steps},{5 - n / 50 - steps / 80}"
        for n, steps in cells
    ]
    head = "Name,State,Created,Runtime,n_params,batch_tokens,total_steps,val/loss"
    files = {"runs.csv": "\n".join([head, *rows, ""])}
    for name, end in ((names[0], 4.0), (names[2], 3.5)):
        curve = [f"{step},{end + 4 / step - 0.1:.4f}" for step in range(1, 41)]
        files[f"{name}.csv"] = "\n".join(["trainer/global_step,val/loss", *curve, ""])
    folder = write(tmp_path / "s", {**files}, None)
    (folder / "sweep.yaml").write_text(inspect(folder).sidecar_text())
    assert "ignore" not in yaml.safe_load((folder / "sweep.yaml").read_text())
    told = inspect(folder).as_json()["runs"]
    assert {run["run"]: run["tokens"] for run in told if run["left_out"] is None} == {
        name: int(name.rpartition("-")[2]) * 1000 for name in names
    }
