"""A column a run: read as runs where the names have sizes, else asked with maps that work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from isoflop.errors import IsoflopError
from isoflop.ingest.inspection import inspect
from tests.ingest.samples import ingest, row, write

if TYPE_CHECKING:
    from pathlib import Path

STEPS = range(100, 1100, 100)
OPEN = "title: t\nfacts: {schedule: {kind: constant}, tokens_per_step: 512, params: {total: 1e6}}\n"


def wide(*names: str, first: str = "step", falls: float = 1.0) -> str:
    rows = (
        ",".join(map(str, [step, *(6 - k / 4 - falls * step / 1000 for k, _ in enumerate(names))]))
        for step in STEPS
    )
    return "\n".join([",".join([first, *names]), *rows, ""])


@pytest.mark.parametrize(
    ("names", "runs"),
    [
        (("25M-0.5B", "25M-1B", "50M-1B"), ["25M-0.5B", "25M-1B", "50M-1B"]),
        (("loss_25M_0", "loss_25M_1", "loss_50M_2"), ["25M_0", "25M_1", "50M_2"]),
        (("25M/train_loss", "50M/train_loss"), ["25M", "50M"]),
    ],
)
def test_columns_named_by_sizes_are_runs(
    tmp_path: Path, names: tuple[str, ...], runs: list[str]
) -> None:
    tables = ingest(tmp_path / "s", {"t.csv": wide(*names)}, OPEN)
    assert tables.runs["run"].to_list() == runs
    assert not tables.runs["excluded"].any()
    for place, run in enumerate(runs):
        losses = tables.curves.filter(run=run).sort("step")["train_loss"].to_list()
        assert losses == pytest.approx([6 - place / 4 - step / 1000 for step in STEPS])


def test_columns_of_both_losses_of_each_run_are_one_curve(tmp_path: Path) -> None:
    names = ("25M_train_loss", "50M_train_loss", "25M_val_loss", "50M_val_loss")
    tables = ingest(tmp_path / "s", {"t.csv": wide(*names)}, OPEN)
    assert tables.runs["run"].to_list() == ["25M", "50M"]
    of_run = tables.curves.filter(run="50M").sort("step")
    assert of_run["train_loss"][0] == pytest.approx(5.65)
    assert of_run["eval_loss"][0] == pytest.approx(5.15)


@pytest.mark.parametrize(
    "names", [("loss_r1", "loss_r2"), ("r1", "r2"), ("val_loss_1", "val_loss_2")]
)
def test_columns_that_may_be_runs_are_asked_about_and_either_map_works(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    files: dict[str, str | bytes] = {"t.csv": wide(*names)}
    with pytest.raises(IsoflopError, match="several columns may be losses") as caught:
        ingest(tmp_path / "s", dict(files), OPEN)
    of_runs, of_sets = (
        line.strip() for line in str(caught.value).split("\n") if "table: {" in line
    )
    proposed = yaml.safe_load(inspect(write(tmp_path / "i", dict(files), None)).sidecar_text())
    assert proposed["table"] == yaml.safe_load(of_runs)["table"]
    tables = ingest(tmp_path / "r", dict(files), f"{OPEN}{of_runs}\n")
    assert tables.runs.height == 2
    assert not tables.runs["excluded"].any()
    assert tables.curves.height == 2 * len(STEPS)
    (first, *_) = yaml.safe_load(of_sets)["table"]["evals"]
    told = OPEN.replace("facts: {", f'facts: {{primary_eval: "{first}", ')
    run = row(ingest(tmp_path / "e", files, f"{told}{of_sets}\n").runs, "run", "t")
    assert run["reason"] is None


def test_names_of_eval_sets_are_proposed_as_such(tmp_path: Path) -> None:
    folder = write(tmp_path / "s", {"t.csv": wide("loss_c4", "loss_wiki")}, None)
    proposed = yaml.safe_load(inspect(folder).sidecar_text())
    assert proposed["table"]["evals"] == {"c4": "loss_c4", "wiki": "loss_wiki"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (wide("nll_loss", "z_loss", "aux_loss"), "none is known as a loss"),  # parts of one
        (wide("mfu", "lr_scale", falls=-1.0), "none is known as a loss"),
        (wide("a1", "a2", first="epoch"), "none is known"),
        (wide("ppl_1", "ppl_2"), "none is known as a loss"),
    ],
)
def test_columns_that_are_no_runs_are_asked_about_as_before(
    tmp_path: Path, content: str, words: str
) -> None:
    with pytest.raises(IsoflopError, match=words):
        ingest(tmp_path / "s", {"t.csv": content}, OPEN)


def test_a_map_of_columns_as_they_are_counts(tmp_path: Path) -> None:
    rules = f'{OPEN}table: {{rows: points, columns: {{step: step, train_loss: "25M"}}}}\n'
    tables = ingest(tmp_path / "s", {"t.csv": wide("25M", "50M")}, rules)
    assert tables.runs["run"].to_list() == ["t"]
    with pytest.raises(IsoflopError, match="it has: step, 25M, 50M"):
        ingest(tmp_path / "x", {"t.csv": wide("25M", "50M")}, rules.replace('"25M"', '"26M"'))


def test_a_table_with_a_known_loss_has_no_columns_of_runs(tmp_path: Path) -> None:
    tables = ingest(tmp_path / "s", {"t.csv": wide("loss", "loss_1B", "loss_2B")}, OPEN)
    assert tables.runs["run"].to_list() == ["t"]
