"""Tables of finished runs whose columns nobody but their author calls so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from isoflop.errors import MissingFactError
from isoflop.ingest.inspection import inspect
from isoflop.ingest.sweep import EmptySweepError
from isoflop.ingest.words.likely_names import eval_sets_by_words, find_likely
from tests.ingest.samples import ingest
from tests.ingest.tables.test_rows_or_runs import CELLS, loss, table
from tests.ingest.test_proposals import settled

if TYPE_CHECKING:
    from pathlib import Path

SIZES, TOKENS = [size for size, _ in CELLS], [tokens for _, tokens in CELLS]


@pytest.mark.parametrize(
    ("head", "columns"),
    [
        (
            "Experiment,Modellgröße (Mio.),Trainingstoken (Mrd.),CE val,GPU-h",
            ("f'e{i}'", "N/1e6", "D/1e9", "L", "i*3"),
        ),
        (
            "run id,model size,compute used,final test CE (nats),steps trained",
            ("f'r{i}'", "N", "6*N*D", "L", "D/5e5"),
        ),
        ("size,budget,tokens_per_param,loss", ("f'{N/1e6:g}M'", "6*N*D", "D/N", "L")),
        (
            "log10_N,log10_D,loss",
            ("__import__('math').log10(N)", "__import__('math').log10(D)", "L"),
        ),
        ("name,params,dataset_tokens,epochs,val_loss", ("f'r{i}'", "N", "D/4", "4", "L")),
        ("name,D,FLOPs,loss", ("f'r{i}'", "D", "6*N*D", "L")),
        ("label,D,tokens/param,loss", ("f'r{i}'", "D", "D/N", "L")),
        ("wer,Parameterzahl (Mio.),data (B),nll", ("f'r{i}'", "N/1e6", "D/1e9", "L")),
    ],
)
def test_rows_that_each_have_a_name_are_proposed_as_finished_runs(
    tmp_path: Path, head: str, columns: tuple[str, ...]
) -> None:
    with pytest.raises(EmptySweepError):
        ingest(tmp_path / "s", {"t.csv": table(head, *columns)})
    settled(tmp_path / "s", rounds=1)
    done = ingest(tmp_path / "s", {}, (tmp_path / "s/sweep.yaml").read_text())
    assert done.runs["params_total"].to_list() == pytest.approx(SIZES)
    assert done.runs["tokens"].to_list() == pytest.approx(TOKENS)
    assert done.curves["eval_loss"].to_list() == pytest.approx([loss(*cell) for cell in CELLS])
    assert set(done.runs["status"]) == {"finished"}


def test_steps_of_finished_runs_leave_a_gap_for_what_one_has(tmp_path: Path) -> None:
    content = table("run id,Größe,steps trained,nll", "f'r{i}'", "N", "D/5e5", "L")
    with pytest.raises(EmptySweepError, match=r"steps trained.*<tokens of a step>"):
        ingest(tmp_path / "s", {"t.csv": content})


@pytest.mark.parametrize(
    ("what", "name"),
    [
        ("params.total", "batch size"), ("params.total", "head size"), ("tokens", "tokens/s"),
        ("tokens", "tokens per step"), ("tokens", "data workers"), ("steps", "steps per second"),
        ("compute", "flops per second"), ("params.total", "log loss"), ("compute", "compute hours"),
    ],
)  # fmt: skip
def test_words_beside_a_count_make_it_another(what: str, name: str) -> None:
    assert find_likely(what, [name]) is None


def test_a_log_by_tokens_is_no_table_of_finished_runs(tmp_path: Path) -> None:
    rows = [f"{n}e6,{6 * 25e6 * n * 1e6},{5 - n / 40}" for n in range(1, 30)]
    content = "\n".join(["tokens,flops,loss", *rows, ""])
    rules = "title: t\nfacts: {params: {total: 25000000}, schedule: {kind: constant}}\n"
    done = ingest(tmp_path / "s", {"a.csv": content}, rules)
    assert done.runs["tokens"].to_list() == [29e6]


@pytest.mark.parametrize("names", ["total_tokens,tokens_processed", "d,tokens_processed"])
def test_two_counts_of_tokens_that_differ_are_asked_about(tmp_path: Path, names: str) -> None:
    content = table(f"name,params,{names},val_loss", "f'r{i}'", "N", "1.5*D", "D", "L")
    with pytest.raises(EmptySweepError, match="may each be tokens, and they differ"):
        ingest(tmp_path / "s", {"t.csv": content})
    settled(tmp_path / "s")
    done = ingest(tmp_path / "s", {}, (tmp_path / "s/sweep.yaml").read_text())
    assert done.runs["tokens"].to_list() == TOKENS


def test_tokens_beside_epochs_may_be_those_of_one(tmp_path: Path) -> None:
    content = table("name,params,tokens,epochs,val_loss", "f'r{i}'", "N", "D/4", "4", "L")
    with pytest.raises(EmptySweepError, match="tokens of one of the 'epochs'"):
        ingest(tmp_path / "s", {"t.csv": content})
    settled(tmp_path / "s")
    done = ingest(tmp_path / "s", {}, (tmp_path / "s/sweep.yaml").read_text())
    assert done.runs["tokens"].to_list() == TOKENS
    for place, column in enumerate(("1", "D/1e9")):  # read once, and how far an epoch has come
        content = table("name,params,tokens,epochs,val_loss", "f'r{i}'", "N", "D", column, "L")
        done = ingest(tmp_path / str(place), {"t.csv": content})
        assert done.runs["tokens"].to_list() == TOKENS


def test_losses_that_a_word_tells_apart_are_proposed_as_eval_sets(tmp_path: Path) -> None:
    head = "name,params,tokens,c4_loss,wikitext_loss"
    content = table(head, "f'r{i}'", "N", "D", "L", "L + 1")
    seen = inspect(_written(tmp_path / "s", content))
    told = yaml.safe_load(seen.sidecar_text())["table"]
    assert told["evals"] == {"c4": "c4_loss", "wikitext": "wikitext_loss"}
    settled(tmp_path / "s")
    rules = (tmp_path / "s/sweep.yaml").read_text()
    assert "primary_eval" in rules
    done = ingest(tmp_path / "s", {}, rules.replace("primary_eval: c4", "primary_eval: wikitext"))
    assert set(done.evals["eval_set"]) == {"c4", "wikitext"}


@pytest.mark.parametrize(
    "names", [("loss", "c4_loss"), ("aux_loss", "main_loss"), ("train_c4_loss", "train_web_loss")]
)
def test_parts_of_a_loss_are_no_eval_sets(names: tuple[str, str]) -> None:
    assert eval_sets_by_words(names) == {}


def _written(folder: Path, content: str) -> Path:
    folder.mkdir()
    (folder / "t.csv").write_text(content)
    return folder


def test_a_lone_evaluation_of_each_run_asks_for_no_updates(tmp_path: Path) -> None:
    content = table("run,score,final_nll", "f'r{i}'", "i", "L")
    with pytest.raises((EmptySweepError, MissingFactError), match="<tokens of each run>"):
        ingest(tmp_path / "s", {"t.csv": content})


def test_a_width_is_no_number_of_parameters(tmp_path: Path) -> None:
    """It was proposed as N where steps of finished runs fall from row to row."""
    content = table(
        "width,depth,steps,batch,ctx,loss", "int((N/5e4)**.5)", "8", "D/5e5", "250", "2000", "L"
    )
    folder = _written(tmp_path / "s", content)
    columns = yaml.safe_load(inspect(folder).sidecar_text())["table"]["columns"]
    assert columns["params.total"] == "<N of each width>"


def test_n_beside_the_parameters_of_a_token_is_the_larger_one(tmp_path: Path) -> None:
    head = "run,params,total_params,active_params,tokens,val_loss"
    folder = _written(tmp_path / "s", table(head, "f'r{i}'", "N / 4", "N", "N / 4", "D", "L"))
    columns = yaml.safe_load(inspect(folder).sidecar_text())["table"]["columns"]
    assert columns["params.total"] == {"column": "total_params", "scale": 1}


FACTS = """title: t
facts: {schedule: {kind: constant}, loss_unit: nats_per_token, loss_kind: instant}
runs: [{match: a, params: {total: 1.0e+6}}]
"""


@pytest.mark.parametrize(
    ("head", "row"),
    [
        ("timestamp,tokens,loss,size", "2026-11-01 10:{i:02}:00,{d},{v:.4f},1000000"),
        ("checkpoint,tokens,val_loss,size", "step{i}.pt,{d},{v:.4f},{n}"),
        ("what,tokens,val_loss,size", "state {i}.pt,{d},{v:.4f},1000000"),
    ],
)
def test_tokens_that_rise_beside_one_size_are_a_curve(tmp_path: Path, head: str, row: str) -> None:
    rows = [row.format(i=i, d=i * 10**5, v=2 + 8 / i**0.5, n=4e6 + i) for i in range(1, 31)]
    done = ingest(tmp_path / "s", {"a.csv": "\n".join([head, *rows, ""])}, FACTS)
    assert done.runs.select("params_total", "tokens").rows() == [(1e6, 3e6)]
