"""What tables say of whole runs in every row, or in the name of a column."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from isoflop.ingest.inspection import inspect
from isoflop.ingest.sweep import EmptySweepError
from tests.ingest.samples import ingest, row, write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SIZED = "title: t\nfacts: {params: {total: 70e6}, schedule: {kind: constant}}\n"


def curve(head: str, beside: str, *, steps: int = 20, factor: float = 1.0) -> str:
    """Write a curve, with the same cells at the end of each row."""
    rows = [f"{s},{s * 524288},{factor * (5 - s / 100):.6f}{beside}" for s in range(1, steps + 1)]
    return "\n".join([f"step,tokens,loss{head}", *rows]) + "\n"


def test_the_unit_in_every_row_is_that_of_the_losses(tmp_path: Path) -> None:
    files = {"a.csv": curve(",loss_unit", ",bits", factor=1 / 0.6931471805599453)}
    tables = ingest(tmp_path / "s", files, SIZED)
    losses = tables.curves["train_loss"].drop_nulls().to_list()
    assert losses == pytest.approx([5 - s / 100 for s in range(1, 21)], abs=1e-5)


@pytest.mark.parametrize("cell", [",nats", ",", ",whatever"])
def test_a_unit_that_is_nats_or_not_known_changes_nothing(tmp_path: Path, cell: str) -> None:
    tables = ingest(tmp_path / "s", {"a.csv": curve(",unit", cell)}, SIZED)
    assert tables.curves["train_loss"].drop_nulls()[0] == pytest.approx(4.99)


@pytest.mark.parametrize("name", ["max_steps", "total_steps", "lr_decay_iters"])
def test_all_steps_in_every_row_are_the_length_of_a_schedule(tmp_path: Path, name: str) -> None:
    """Runs of one sweep have several, so that no line for all of them could say it."""
    files = {
        f"{run}.csv": curve(f",n_params,{name}", f",{size},{length}", steps=length)
        for run, size, length in (("a", 10_000_000, 20), ("b", 20_000_000, 40))
    }
    known = "title: t\nfacts: {schedule: {kind: cosine}}\n"
    runs = ingest(tmp_path / "s", files, known).runs
    assert dict(runs.select("run", "status").iter_rows()) == {"a": "finished", "b": "finished"}


def test_a_length_that_the_steps_go_beyond_is_none(tmp_path: Path) -> None:
    known = "title: t\nfacts: {params: {total: 70e6}, schedule: {kind: cosine, steps: 20}}\n"
    tables = ingest(tmp_path / "s", {"a.csv": curve(",max_steps", ",10")}, known)
    assert "columns not read: max_steps" in row(tables.files, "path", "a.csv")["reason"]


@pytest.mark.parametrize(
    ("others", "embeddings"),
    [("n_params_nonemb", "n_params_emb"), ("params_non_embedding", "embedding_params")],
)
@pytest.mark.parametrize("kind", ["curve", "finished"])
def test_n_is_the_sum_of_embeddings_and_of_the_others(
    tmp_path: Path, kind: str, others: str, embeddings: str
) -> None:
    if kind == "curve":
        text = curve(f",{others},{embeddings}", ",15000000,10000000")
    else:
        text = f"run,{others},{embeddings},tokens,val_loss\na,15e6,10e6,5e8,4.1\n"
        text += "b,30e6,10e6,1e9,3.8\n"
    known = "title: t\nfacts: {schedule: {kind: constant}}\n"
    runs = ingest(tmp_path / "s", {"a.csv": text}, known).runs
    told = runs.filter(run="a").select("params_total", "params_nonembedding").row(0)
    assert told == (25e6, 15e6)


def both(entropy: Callable[[int, float], float | None], *, more: float = 0.3) -> str:
    """Write a noisy loss that is so much above its cross entropy, beside a column of the latter."""
    noise = np.random.default_rng(0).normal(0, 0.05, 31)
    rows = []
    for step in range(1, 31):
        loss = 5 - step / 100 + noise[step]
        told = entropy(step, loss)
        rows.append(f"{step},{step * 524288},{loss + more:.6f},{'' if told is None else told}")
    return "\n".join(["step,tokens,loss,ce_loss", *rows]) + "\n"


def test_cross_entropy_is_the_loss_where_another_one_has_more_in_it(tmp_path: Path) -> None:
    text = both(lambda _, loss: round(loss, 6))
    tables = ingest(tmp_path / "s", {"a.csv": text}, SIZED)
    assert tables.curves["train_loss"].mean() == pytest.approx(4.845, abs=0.03)
    assert "has other terms beside it" in row(tables.files, "path", "a.csv")["reason"]


@pytest.mark.parametrize(
    "entropy",
    [
        lambda step, _: 5 - step / 100 if step % 5 == 0 else None,  # now and then
        lambda step, _: 4.5 - step / 100,  # of other batches
    ],
)
def test_cross_entropy_that_was_measured_elsewhere_is_not_the_loss(
    tmp_path: Path, entropy: Callable[[int, float], float | None]
) -> None:
    tables = ingest(tmp_path / "s", {"a.csv": both(entropy)}, SIZED)
    losses = tables.curves["train_loss"].drop_nulls()
    assert len(losses) == 30
    assert losses.mean() == pytest.approx(5.145, abs=0.03)


@pytest.mark.parametrize(
    ("weight", "more"),
    [(0.5, 0.15), (1.0, -0.1), (0.8, 0.9), (1 / 128, 0.001)],
    ids=["a mixture", "less a term", "now above and now below", "divided by accumulation"],
)
@pytest.mark.parametrize(("place", "name"), [(0, "ce_loss"), (1, "ce_loss"), (0, "ce")])
def test_a_loss_below_the_cross_entropy_that_it_goes_along_with_is_asked_about(
    tmp_path: Path, weight: float, more: float, place: int, name: str
) -> None:
    """A student's loss weighs its cross entropy; both maps are read as they say."""
    noise = np.random.default_rng(0).normal(0, 0.2, 31)
    told = [(step, 5 - step / 20 + noise[step]) for step in range(1, 31)]
    lines = [f"{s},{s * 524288},{weight * ce + more:.6f},{ce:.6f}" for s, ce in told]
    files = {"a.csv": "\n".join([f"step,tokens,loss,{name}", *lines]) + "\n"}
    with pytest.raises(EmptySweepError, match=f"goes up and down with '{name}'") as asked:
        ingest(tmp_path / "s", files, SIZED)
    maps = [line.strip() for line in str(asked.value).split("\n") if "table: {" in line]
    losses = ingest(tmp_path / "m", files, f"{SIZED}{maps[place]}\n").curves["train_loss"]
    last = told[-1][1] if place == 0 else weight * told[-1][1] + more
    assert losses[-1] == pytest.approx(last, abs=1e-6)


def test_cross_entropy_alone_is_the_loss(tmp_path: Path) -> None:
    tables = ingest(tmp_path / "s", {"a.csv": curve("", "").replace("loss", "xent")}, SIZED)
    assert tables.curves["train_loss"].drop_nulls()[0] == pytest.approx(4.99)


def test_a_head_of_parameters_apart_leaves_n_open(tmp_path: Path) -> None:
    head = ",non_embedding_params,embedding_params,lm_head_params"
    seen = inspect(write(tmp_path / "s", {"a.csv": curve(head, ",15e6,5e6,5e6")}))
    (run,) = seen.reading.runs
    assert any(missing.fact == "number of parameters" for missing in run.identity.missing)


def test_a_limit_of_steps_is_no_length(tmp_path: Path) -> None:
    tables = ingest(tmp_path / "s", {"a.csv": curve(",max_steps", ",1000000000")}, SIZED)
    assert "columns not read: max_steps" in row(tables.files, "path", "a.csv")["reason"]


def test_cross_entropy_of_finished_runs_is_measured_on_an_eval_set(tmp_path: Path) -> None:
    """As `loss` is, where each row is a run."""
    text = "run,N,D,ce_loss\na,15e6,5e8,4.1\nb,30e6,1e9,3.8\n"
    tables = ingest(tmp_path / "s", {"a.csv": text}, "title: t\n")
    assert tables.evals["value"].to_list() == [4.1, 3.8]


def proposal(folder: Path, name: str, text: str) -> str:
    seen = inspect(write(folder, {name: text}))
    (log,) = (each for each in seen.reading.logs if each.file.name == name)
    assert log.parsed is not None
    return log.parsed.proposal


@pytest.mark.parametrize("name", ["train_loss_base2", "val_loss_bits", "final_bits_per_token"])
@pytest.mark.parametrize("kind", ["curve", "finished"])
def test_a_loss_is_proposed_with_the_unit_that_its_name_has(
    tmp_path: Path, name: str, kind: str
) -> None:
    """Followed to the letter, the losses are in nats."""
    if kind == "curve":
        text = curve("", "").replace(",loss\n", f",{name}\n")
    else:
        text = f"run,n_params,tokens,{name}\na,15e6,5e8,4.1\nb,30e6,1e9,3.8\n"
    proposed = proposal(tmp_path / "p", "a.csv", text)
    known = f"{SIZED}{proposed.partition('   #')[0]}\n"
    tables = ingest(tmp_path / "s", {"a.csv": text}, known)
    first = (
        tables.curves["eval_loss" if name.startswith("val") else "train_loss"].drop_nulls()
        if kind == "curve"
        else tables.evals.filter(pl.col("run") == "a")["value"]
    )[0]
    assert first == pytest.approx((4.99 if kind == "curve" else 4.1) * 0.6931471805599453)


def test_epochs_of_unique_tokens_are_tokens(tmp_path: Path) -> None:
    text = "n_params,unique_tokens,epochs,val_loss\n15000000,5e8,4,4.1\n30000000,1e9,2,3.8\n"
    known = f"title: t\n{proposal(tmp_path / 'p', 'a.csv', text)}\n"
    tables = ingest(tmp_path / "s", {"a.csv": text}, known)
    assert tables.evals["tokens"].to_list() == [2e9, 2e9]
    assert tables.runs["unique_tokens"].to_list() == [5e8, 1e9]


@pytest.mark.parametrize(("numbers", "are_sizes"), [((1, 2, 3), False), ((1, 3, 7), True)])
def test_numbers_that_count_files_are_no_sizes(
    tmp_path: Path, numbers: tuple[int, ...], *, are_sizes: bool
) -> None:
    files = {f"exp-{each}b.csv": f"step,loss\n1,5\n2,4.5\n3,{4 - each / 10}\n" for each in numbers}
    text = inspect(write(tmp_path / "s", files)).sidecar_text()
    assert ("total: 3e9" in text) is are_sizes


@pytest.mark.parametrize("words", [("bits", "nats"), ("Bits/token", "nats")])
def test_runs_of_one_table_may_have_a_unit_each(tmp_path: Path, words: tuple[str, str]) -> None:
    lines = [
        f"{name},{s},{s * 524288},{(5 - s / 100) * factor:.6f},{word}"
        for name, word, factor in zip("ab", words, (1 / 0.6931471805599453, 1.0), strict=True)
        for s in range(1, 21)
    ]
    told = "\n".join(["run,step,tokens,loss,loss_unit", *lines]) + "\n"
    tables = ingest(tmp_path / "s", {"t.csv": told}, SIZED)
    for name in "ab":
        losses = tables.curves.filter(run=name)["train_loss"].to_list()
        assert losses == pytest.approx([5 - s / 100 for s in range(1, 21)], abs=1e-5)
    # and one that is not known is asked for
    with pytest.raises(EmptySweepError) as caught:
        ingest(tmp_path / "t", {"t.csv": told.replace("nats", "who's")}, SIZED)
    proposed = re.search(r"^ *(table: .*)$", str(caught.value), re.MULTILINE)
    assert proposed is not None
    unit = "<nats_per_token or bits_per_token>"
    given = f"{SIZED}{proposed[1].replace(unit, 'nats_per_token')}\n"
    tables = ingest(tmp_path / "u", {"t.csv": told.replace("nats", "who's")}, given)
    losses = tables.curves.filter(run="b")["train_loss"].to_list()
    assert losses == pytest.approx([5 - s / 100 for s in range(1, 21)], abs=1e-5)
