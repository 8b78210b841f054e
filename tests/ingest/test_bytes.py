"""Losses in bits per byte: nats per token where a token's bytes are known, else asked for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from isoflop.config.losses import LossesSettings
from isoflop.errors import ConfigError
from isoflop.ingest.sweep import MissingFactError, ingest_sweep
from isoflop.losses.build import build_losses
from tests.ingest.samples import RECORD, ingest, row, write

if TYPE_CHECKING:
    from pathlib import Path

BYTES = 4.8
STEPS = range(1, 41)


def bits(step: int) -> float:
    return 0.9 + 0.5 / step


def table(*, head: str = "step,val_bpb") -> str:
    return head + "\n" + "".join(f"{step},{bits(step):.6f}\n" for step in STEPS)


def modded() -> str:
    return "".join(
        f"step:{step}/40 val_loss:{3 + 1 / step:.4f} val_bpb:{bits(step):.4f} train_time:{step}ms\n"
        for step in STEPS
    )


def evaluations() -> str:
    return "".join(f"Step {step:05d} | Validation bpb: {bits(step):.4f}\n" for step in STEPS)


def nanochat() -> str:
    return "".join(
        f"Step {step:05d} | Validation bpb: {bits(step):.4f}\n"
        f"step {step:05d}/00040 (2.50%) | loss: {3 + 1 / step:.6f} | lrm: 1.00 | dt: 9.00ms | "
        f"tok/sec: 1,000 | mfu: 1.00 | total time: 0.10m\n"
        for step in STEPS
    )


def sidecar(**facts: Any) -> str:
    lines = {"params": "{total: 1.0e+6}", "tokens_per_step": 1000, "schedule": "{kind: constant}"}
    return "title: t\nfacts:\n" + "".join(f"  {k}: {v}\n" for k, v in (lines | facts).items())


@pytest.mark.parametrize("head", ["step,val_bpb", "step,eval/bits_per_byte", "step,eval/c4/bpb"])
def test_a_table_of_bits_per_byte_alone_asks_for_a_tokens_bytes(head: str, tmp_path: Path) -> None:
    files = {"a.csv": table(head=head)}
    with pytest.raises(MissingFactError, match=r"bytes_per_token: <bytes>"):
        ingest_sweep(write(tmp_path / "no", files, sidecar=sidecar()), RECORD)
    folder = write(tmp_path / "yes", files, sidecar=sidecar(bytes_per_token=BYTES))
    tables = ingest_sweep(folder, RECORD)
    expected = [round(bits(step), 6) * math.log(2.0) * BYTES for step in STEPS]
    assert tables.curves["eval_loss"].to_list() == pytest.approx(expected)
    built = build_losses(tables.curves, tables.runs, tables.files, LossesSettings())
    final = built.losses.filter("is_final")["loss"].item()
    assert final == pytest.approx(expected[-1])


def test_a_loss_in_nats_is_taken_before_bits_per_byte(tmp_path: Path) -> None:
    text = "step,val_loss,val_bpb\n" + "".join(f"{s},{3 + 1 / s:.4f},0.9\n" for s in STEPS)
    tables = ingest_sweep(write(tmp_path, {"a.csv": text}, sidecar=sidecar()), RECORD)
    assert tables.curves["eval_loss"].max() == 4.0


def test_evaluations_in_bits_per_byte_become_losses(tmp_path: Path) -> None:
    files = {"a.log": nanochat()}
    plain = ingest_sweep(write(tmp_path / "no", files, sidecar=sidecar()), RECORD)
    assert plain.curves["eval_loss"].null_count() == plain.curves.height
    notes = row(plain.runs, "run", "a")["notes"]
    assert "facts: {bytes_per_token: <bytes>}" in notes
    folder = write(tmp_path / "yes", files, sidecar=sidecar(bytes_per_token=BYTES))
    tables = ingest_sweep(folder, RECORD)
    expected = [round(bits(step), 4) * math.log(2.0) * BYTES for step in STEPS]
    evaluated = tables.curves.filter(step=40)["eval_loss"].item()
    assert evaluated == pytest.approx(expected[-1])
    assert tables.curves["eval_loss"].drop_nulls().to_list() == pytest.approx(expected)
    by_metric = {
        metric: (part["unit"].unique().to_list(), part["primary"].all())
        for (metric,), part in tables.evals.partition_by("metric", as_dict=True).items()
    }
    assert by_metric == {
        "bits_per_byte": (["bit/byte"], False), "loss": (["nat/token"], True),
    }  # fmt: skip
    cached = [ingest_sweep(folder, RECORD, cache=tmp_path / "cache") for _ in range(2)]
    assert all(each.curves.equals(tables.curves) for each in cached)


def test_evaluations_alone_ask_for_a_tokens_bytes(tmp_path: Path) -> None:
    files = {"a.log": evaluations()}
    with pytest.raises(MissingFactError, match=r"its only losses, on val, are bits per byte"):
        ingest_sweep(write(tmp_path / "no", files, sidecar=sidecar()), RECORD)
    folder = write(tmp_path / "yes", files, sidecar=sidecar(bytes_per_token=BYTES))
    assert ingest_sweep(folder, RECORD).curves["eval_loss"].drop_nulls().len() == len(STEPS)


def test_bits_per_byte_beside_a_loss_change_nothing(tmp_path: Path) -> None:
    files = {"a.log": modded()}
    for place, facts in {"no": {}, "yes": {"bytes_per_token": BYTES}}.items():
        tables = ingest_sweep(write(tmp_path / place, files, sidecar=sidecar(**facts)), RECORD)
        assert tables.curves["eval_loss"].to_list() == pytest.approx(
            [round(3 + 1 / step, 4) for step in STEPS]
        )


def mixed(head: str = "step,train_loss,val_bpb") -> str:
    rows = (f"{step},{3 + 1 / step:.4f},{bits(step) if step % 10 == 0 else ''}" for step in STEPS)
    return "\n".join([head, *rows]) + "\n"


MAPPED = "table:\n  rows: points\n  columns: {step: step, train_loss: train_loss%s}\n"


@pytest.mark.parametrize("mapped", [False, True])
def test_bits_per_byte_beside_a_training_loss_are_evaluations(
    tmp_path: Path, *, mapped: bool
) -> None:
    files = {"a.csv": mixed()}
    more = MAPPED % "" + "  bits_per_byte: {eval: val_bpb}\n" if mapped else ""
    plain = ingest_sweep(write(tmp_path / "no", files, sidecar=sidecar() + more), RECORD)
    run = row(plain.runs, "run", "a")
    assert not run["excluded"]
    assert "facts: {bytes_per_token: <bytes>}" in run["notes"]
    assert plain.evals["unit"].unique().to_list() == ["bit/byte"]
    known = sidecar(bytes_per_token=BYTES) + more
    tables = ingest_sweep(write(tmp_path / "yes", files, sidecar=known), RECORD)
    expected = [bits(step) * math.log(2.0) * BYTES for step in STEPS if step % 10 == 0]
    assert tables.curves["eval_loss"].drop_nulls().to_list() == pytest.approx(expected)
    assert tables.curves["train_loss"].max() == 4.0


def test_finished_runs_have_bits_per_byte_too(tmp_path: Path) -> None:
    text = "run,N,D,val_bpb\n" + "".join(f"r{n},{n}e6,{n}e8,{0.9 + 1 / n}\n" for n in range(1, 4))
    facts = "title: t\nfacts: {bytes_per_token: 4}\n"
    tables = ingest_sweep(write(tmp_path, {"a.csv": text}, sidecar=facts), RECORD)
    expected = [(0.9 + 1 / n) * math.log(2.0) * 4 for n in range(1, 4)]
    assert tables.curves["eval_loss"].to_list() == pytest.approx(expected)


def test_a_loss_in_nats_on_the_same_set_wins_and_both_are_kept(tmp_path: Path) -> None:
    text = "step,train_loss,eval/c4/loss,eval/c4/bpb\n1,3.5,3.4,1.1\n2,3.2,3.1,1.0\n"
    facts = sidecar(bytes_per_token=BYTES)
    tables = ingest_sweep(write(tmp_path, {"a.csv": text}, sidecar=facts), RECORD)
    assert tables.curves["eval_loss"].to_list() == [3.4, 3.1]
    assert tables.evals.filter(metric="bits_per_byte")["value"].to_list() == [1.1, 1.0]


@pytest.mark.parametrize(
    ("columns", "facts", "fix"),
    [
        # bits per byte taken for nats, and the other way round
        (", eval_loss: val_bpb", {}, "table.bits_per_byte"),
        (
            ", eval_loss: val_bpb",
            {"loss_unit": "bits_per_byte", "bytes_per_token": 4},
            "column 'train_loss' is mapped as a loss in bits_per_byte",
        ),
        (", eval_loss: val_ppl", {}, "{formula: 'ln(\"val_ppl\")'}"),
        (", eval_loss: val_ppl", {"loss_unit": "perplexity"}, "column 'train_loss'"),
    ],
)
def test_a_map_whose_columns_say_two_units_is_refused_with_the_way_out(
    columns: str, facts: dict[str, Any], fix: str, tmp_path: Path
) -> None:
    text = mixed().replace("val_bpb", columns.rpartition(" ")[2])
    given = sidecar(**facts) + MAPPED % columns
    with pytest.raises(MissingFactError) as caught:
        ingest_sweep(write(tmp_path, {"a.csv": text}, sidecar=given), RECORD)
    assert fix in str(caught.value)


def test_a_unit_that_sweep_yaml_states_wins_over_a_name(tmp_path: Path) -> None:
    given = sidecar(loss_unit="nats_per_token") + MAPPED % ", eval_loss: val_bpb"
    tables = ingest_sweep(write(tmp_path, {"a.csv": mixed()}, sidecar=given), RECORD)
    assert not row(tables.runs, "run", "a")["excluded"]


def test_a_unit_of_bytes_is_refused_where_the_log_has_both(tmp_path: Path) -> None:
    given = sidecar(loss_unit="bits_per_byte", bytes_per_token=4)
    with pytest.raises(MissingFactError, match=r"take loss_unit out of sweep\.yaml"):
        ingest_sweep(write(tmp_path, {"a.csv": mixed()}, sidecar=given), RECORD)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("0.099", "between 0.1 and 32: 1 where tokens are bytes"),
        ("32.1", "Divide the bytes of the text that is evaluated by its tokens"),
        (".inf", "finite number"),
        ("true", "give a value"),
    ],
)
def test_a_token_has_as_many_bytes_as_tokens_have(wrong: str, words: str, tmp_path: Path) -> None:
    given = sidecar(bytes_per_token=wrong)
    with pytest.raises(ConfigError, match=rf"facts\.bytes_per_token: .*{words}"):
        ingest_sweep(write(tmp_path, {"a.csv": table()}, sidecar=given), RECORD)


@pytest.mark.parametrize("limit", [0.1, 32.0])
def test_the_limits_themselves_are_bytes_of_a_token(limit: float, tmp_path: Path) -> None:
    allowed = "overrule: [{match: a, check: beyond_vocabularies, reason: tokens of 32 bytes}]\n"
    given = sidecar(bytes_per_token=limit) + allowed * (limit == 32.0)
    tables = ingest_sweep(write(tmp_path, {"a.csv": table()}, sidecar=given), RECORD)
    first = round(bits(1), 6) * math.log(2.0) * limit
    assert tables.curves["eval_loss"][0] == pytest.approx(first)


@pytest.mark.parametrize("head", ["loss [bits/token]", "loss_log2", "val_loss (bits)", "loss_bpt"])
def test_a_column_in_bits_is_asked_about_and_becomes_nats(tmp_path: Path, head: str) -> None:
    text = f"run,step,{head}\n" + "".join(f"a,{s},{6 - s / 1000}\n" for s in range(0, 1000, 100))
    table = f'{{rows: points, columns: {{run: run, step: step, train_loss: "{head}"}}}}'
    facts = "params: {total: 7e6}, tokens_per_step: 524288, schedule: {kind: constant}"
    sidecar = f"title: t\ntable: {table}\nfacts: {{{facts}}}\n"
    with pytest.raises(MissingFactError, match=r"its name does not say: facts: .* says the unit"):
        ingest(tmp_path / "s", {"a.csv": text}, sidecar)
    told = sidecar.replace("facts: {", "facts: {loss_unit: bits_per_token, ")
    tables = ingest(tmp_path / "t", {"a.csv": text}, told)
    assert tables.curves["train_loss"][-1] == pytest.approx((6 - 0.9) * math.log(2.0))
