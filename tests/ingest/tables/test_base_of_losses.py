"""A perplexity beside a loss says what the loss is the logarithm of."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import polars as pl
import pytest

from isoflop.ingest.sweep import EmptySweepError
from isoflop.ingest.tables.base_of_losses import base_of
from tests.ingest.samples import ingest, loss_at
from tests.ingest.test_proposals import settled
from tests.ingest.test_tensorboard import event_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STEPS = range(10, 101, 10)
RULES = (
    "title: t\nfacts: {params: {total: 1e6}, tokens_per_step: 4096, schedule: {kind: constant}%s}\n"
)


def logged(step: int, base: float) -> float:
    return loss_at(step) / math.log(base)


def table(base: float) -> str:
    """A long history, so that a table of several megabytes is read as a short one."""
    rows = (f"{s},{logged(s, base):.5f},{math.exp(loss_at(s)):.4f}\n" for s in STEPS)
    return f"step,loss,ppl\n{''.join(rows)}"


def lines(base: float) -> str:
    told = (f"step {s} loss={logged(s, base):.5f} ppl={math.exp(loss_at(s)):.4f}\n" for s in STEPS)
    return "".join(told)


def of_runs(base: float) -> str:
    """Finished runs, and their evaluations."""
    rows = (f"r{s},{s}e5,{s}e7,{logged(s, base):.5f},{math.exp(loss_at(s)):.4f}\n" for s in STEPS)
    return f"run,N,D,eval_loss,eval_ppl\n{''.join(rows)}"


@pytest.mark.parametrize("base", [math.e, 2.0, 10.0])
@pytest.mark.parametrize("file", [("a.csv", table), ("a.log", lines), ("runs.csv", of_runs)])
def test_losses_come_out_in_nats(
    tmp_path: Path, base: float, file: tuple[str, Callable[[float], str]]
) -> None:
    """Bits had passed for nats: 7.365 for 5.105, and every check with them."""
    name, content = file
    rules = "title: t\n" if file[1] is of_runs else RULES % ", loss_kind: instant"
    done = ingest(tmp_path / "s", {name: content(base)}, rules)
    kind = "eval_loss" if file[1] is of_runs else "train_loss"
    told = done.curves.sort("run", "step")[kind].sort(descending=True).to_list()
    assert told == pytest.approx([loss_at(step) for step in STEPS], rel=1e-4)
    beside = "its losses are no nats" in str(done.files["reason"].to_list())
    assert beside == (base != math.e)


@pytest.mark.parametrize("base", [math.e, 2.0, 10.0])
def test_so_do_tags_and_those_of_fairseqs_two_folders(tmp_path: Path, base: float) -> None:
    for folder, more in (("train_inner", 0.0), ("valid", 0.25)):
        place = tmp_path / "s/r" / folder
        place.mkdir(parents=True)
        loss = {s: logged(s, base) + more / math.log(base) for s in STEPS}
        of = {s: math.exp(loss_at(s) + more) for s in STEPS}
        content = event_file(loss) + event_file(of, b"ppl")
        (place / "events.out.tfevents.1700000000.host.1.0").write_bytes(content)
    done = ingest(tmp_path / "s", {}, RULES % "")
    assert done.runs["run"].to_list() == ["r"]
    curve = done.curves.filter(~pl.col("superseded"))
    for name, more in (("train_loss", 0.0), ("eval_loss", 0.25)):
        told = curve[name].drop_nulls().to_list()
        assert told == pytest.approx([loss_at(step) + more for step in STEPS], rel=1e-5)


def test_what_sweep_yaml_says_of_the_unit_counts(tmp_path: Path) -> None:
    done = ingest(tmp_path / "s", {"a.csv": table(2.0)}, RULES % ", loss_unit: nats_per_token")
    assert done.curves["train_loss"][0] == pytest.approx(logged(STEPS[0], 2.0), rel=1e-4)


def test_losses_of_several_sets_and_bases_are_asked_about(tmp_path: Path) -> None:
    rows = [
        {
            "step": s, "eval/a/loss": logged(s, 10.0), "eval/a/ppl": math.exp(loss_at(s)),
            "eval/b/loss": loss_at(s) + 0.5,
        }
        for s in STEPS
    ]  # fmt: skip
    content = "".join(json.dumps(row) + "\n" for row in rows)
    with pytest.raises(EmptySweepError, match="of several eval sets one unit is that of all"):
        ingest(tmp_path / "s", {"a.jsonl": content})
    settled(tmp_path / "s")


def test_no_perplexity_of_these_losses_tells_no_base() -> None:
    losses = pl.Series([loss_at(step) for step in STEPS])
    assert base_of(losses, losses.exp()) is not None
    assert base_of(losses, (losses * 1.2).exp()) is None  # of other text
    assert base_of(losses.head(2), losses.head(2).exp()) is None
    assert base_of(losses, pl.Series([None] * len(losses), dtype=pl.Float64)) is None
