"""Every check of plausibility speaks where it should and is silent where it should not."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml

from isoflop.config.ingest import GatesSettings, IngestSettings
from isoflop.errors import ConfigError
from isoflop.ingest.checks.gates import CHECKS
from isoflop.ingest.checks.trend import distances
from isoflop.ingest.inspection import inspect
from isoflop.ingest.sweep import EmptySweepError, Ingested, ingest_sweep, read_sweep
from isoflop.ingest.tables.still_counts import Standing
from tests.ingest.samples import (
    OLMO_LADDER,
    PARAMS,
    RECORD,
    SHAPE,
    eval_line,
    ingest,
    jsonl,
    row,
    run_lines,
    train_line,
    write,
)

LOGS = Path(os.environ.get("ISOFLOP_SHARED_LOGS", "../shared/logs"))
POINTS = (
    "title: t\ntable: {rows: points, columns: {run: run, step: step, tokens: D, params.total: N"
)

SCHEDULE = {"kind": "cosine", "warmup_steps": 2, "lr_peak": 0.01, "lr_end": 0.0}


def verdict(tables: Ingested, check: str, run: str = "a") -> str:
    found = tables.gates.filter(pl.col("check") == check, pl.col("run") == run)
    assert found.height == 1
    return str(found["verdict"][0])


def words(tables: Ingested, check: str, run: str = "a") -> dict[str, Any]:
    return row(tables.gates.filter(pl.col("check") == check), "run", run)


# -- the table of checks ---------------------------------------------------------------------------


def test_every_check_has_its_setting_its_source_and_its_line_in_the_manual() -> None:
    names = [check.name for check in CHECKS]
    assert names == list(GatesSettings.model_fields)
    assert all(check.tests and check.unit and check.source for check in CHECKS)
    manual = Path("docs/ingest.md").read_text()
    assert [name for name in names if f"| `{name}` |" not in manual] == []


def test_a_good_run_passes_every_check_that_can_be_made_of_it(tmp_path: Path) -> None:
    tables = ingest(tmp_path / "s", {"a.jsonl": jsonl(run_lines("a", steps=100))})
    assert set(tables.gates["verdict"]) == {"passed"}
    assert set(tables.gates["check"]) == {
        "uniform_guess", "beyond_vocabularies", "low_start", "duplicate", "impossible_loss",
        "train_eval_gap",
        "loss_rises", "spikes", "tokens_fall", "tokens_still", "tokens_per_step",
        "tokens_per_param",
        "flops_ratio", "params_of_shape",
        "schedule_done", "past_schedule", "hole", "not_finite_inside", "few_digits", "peak_rates",
    }  # fmt: skip
    assert words(tables, "schedule_done")["value"] == 1.0
    ratio = words(tables, "flops_ratio")
    assert (ratio["value"], ratio["low"], ratio["high"]) == (1.0, 0.8, 2.5)


def test_parts_of_a_gate_lie_over_its_defaults() -> None:
    gates = IngestSettings.model_validate({"gates": {"trend": {"action": "warn"}}}).gates
    assert (gates.trend.action, gates.trend.most) == ("warn", 8.0)
    assert gates.hole == GatesSettings().hole
    with pytest.raises(ValueError, match="action"):
        IngestSettings.model_validate({"gates": {"peak_rates": {"action": "stop"}}})


@pytest.mark.parametrize("name", GatesSettings.model_fields)
def test_every_gate_may_exclude_warn_or_be_off(name: str) -> None:
    for action in ("exclude", "warn", "off"):
        gates = IngestSettings.model_validate({"gates": {name: {"action": action}}}).gates
        assert getattr(gates, name).action == action


# -- one run ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("check", "changes", "said"),
    [
        ("flops_ratio", {"flops_per_token": {"6nd": 300_000.0}}, "are 4.82 times 6ND"),
        ("tokens_per_step", {"tokens_per_step": 512}, "step x tokens per step by up to 50.0 %"),
        ("params_of_shape", {"params": {**PARAMS, "nonembedding": 2e3}}, "2000 is far from"),
        (
            "schedule_done",
            {"schedule": {**SCHEDULE, "steps": 80}},
            "stopped at 50.0 % of its schedule",
        ),
    ],
)
def test_counts_that_contradict_each_other_are_told_of(
    tmp_path: Path, check: str, changes: dict[str, Any], said: str
) -> None:
    tables = ingest(tmp_path / "s", {"a.jsonl": jsonl(run_lines("a", **changes))})
    run = row(tables.runs, "run", "a")
    assert said in run["notes"]
    assert said in words(tables, check)["words"]
    assert not run["excluded"]
    strict = IngestSettings.model_validate({"gates": {check: {"action": "exclude"}}})
    with pytest.raises(EmptySweepError, match=f"check {check}; if the run is right, add to"):
        ingest_sweep(tmp_path / "s", strict)
    off = IngestSettings.model_validate({"gates": {check: {"action": "off"}}})
    silent = ingest_sweep(tmp_path / "s", off)
    assert check not in set(silent.gates["check"])
    assert said not in (row(silent.runs, "run", "a")["notes"] or "")


@pytest.mark.parametrize(("tokens_per_step", "told"), [(0.5, True), (2**31, True), (2**19, False)])
def test_an_odd_number_of_tokens_per_parameter_is_told_of(
    tmp_path: Path, tokens_per_step: float, told: bool
) -> None:
    """As where tokens per step are in millions, or N in thousands."""
    rows = "".join(f"a,{step},{5 - step / 1000}\n" for step in range(0, 1000, 100))
    facts = "{params: {total: 7e6}, tokens_per_step: %s, schedule: {kind: constant}}"
    logs = {"a.csv": f"run,step,loss\n{rows}"}
    tables = ingest(tmp_path / "s", logs, f"title: t\nfacts: {facts % tokens_per_step}\n")
    notes = row(tables.runs, "run", "a")["notes"] or ""
    assert ("tokens per parameter: N, D or tokens per step may be in" in notes) == told


def test_a_model_that_learnt_nothing_is_left_out_and_the_way_out_works(tmp_path: Path) -> None:
    small = {"architecture": {**SHAPE, "vocab_size": 8}}
    files: dict[str, str | bytes] = {
        "a.jsonl": jsonl(run_lines("a", **small)), "b.jsonl": jsonl(run_lines("b", steps=60)),
    }  # fmt: skip
    tables = ingest(tmp_path / "s", files)
    reason = row(tables.runs, "run", "a")["reason"]
    assert reason.startswith("final loss 2.125 is hardly below a uniform guess, ln 8 = 2.079 nats")
    line = reason[reason.index("overrule: ") : reason.rindex(")")].replace("<why>", "a tiny game")
    (tmp_path / "s" / "sweep.yaml").write_text(f"title: t\n{line}\n")
    again = ingest_sweep(tmp_path / "s", RECORD)
    run = row(again.runs, "run", "a")
    assert not run["excluded"]
    assert "(accepted by sweep.yaml: a tiny game)" in run["notes"]
    told = words(again, "uniform_guess")
    assert (told["verdict"], told["reason"]) == ("accepted", "a tiny game")


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("{match: a, check: trent, reason: x}", "no check 'trent'; did you mean 'trend'?"),
        ("{match: nobody, check: trend, reason: x}", "overrule: 'nobody' matches no file and no"),
        ("{match: a, check: trend, reason: ''}", "overrule.0.reason"),
    ],
)
def test_slips_in_overrule(tmp_path: Path, rule: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said.replace("?", r"\?")):
        ingest(
            tmp_path / "s", {"a.jsonl": jsonl(run_lines("a"))}, f"title: t\noverrule: [{rule}]\n"
        )


def test_a_run_left_out_already_is_told_of_and_no_more(tmp_path: Path) -> None:
    small = {"architecture": {**SHAPE, "vocab_size": 8}}
    files: dict[str, str | bytes] = {
        "a.jsonl": jsonl(run_lines("a", **small)), "b.jsonl": jsonl(run_lines("b", steps=60)),
    }  # fmt: skip
    sidecar = "title: t\nexclude: [{match: a, reason: mine}]\n"
    tables = ingest(tmp_path / "s", files, sidecar)
    assert row(tables.runs, "run", "a")["reason"] == "mine"
    assert verdict(tables, "uniform_guess") == "warned"


def test_hole_rise_and_gap_are_noted(tmp_path: Path) -> None:
    lines = run_lines(steps=200, architecture={**SHAPE, "vocab_size": 10**6})
    hole = [line for line in lines if not 60 < line.get("step", 0) < 150]
    hole[-2] = eval_line(200, 9.0)
    hole[-3] = train_line(200, 7.0)
    notes = row(ingest(tmp_path / "s", {"a.jsonl": jsonl(hole)}).runs, "run", "a")["notes"]
    assert "hole: no training line between steps 60 and 150" in notes
    assert "training loss rose from" in notes
    assert "eval and training loss end +2.00 nats apart" in notes


def test_a_log_that_begins_late_is_noted(tmp_path: Path) -> None:
    lines = run_lines(steps=200)
    late = [line for line in lines if line.get("step", 200) > 150]
    notes = row(ingest(tmp_path / "s", {"a.jsonl": jsonl(late)}).runs, "run", "a")["notes"]
    step = late[1]["step"]
    assert f"it begins late: its first training line is at step {step}, in a log of every" in notes
    some = [line for line in lines if line.get("step", 20) >= 20]  # the first after a warm-up
    assert "begins late" not in (
        row(ingest(tmp_path / "b", {"a.jsonl": jsonl(some)}).runs, "run", "a")["notes"] or ""
    )


def test_replayed_steps_that_differ_are_noted(tmp_path: Path) -> None:
    lines = run_lines(steps=40)[:-1]
    lines += [{"kind": "resume", "step": 30}, train_line(32, 3.0), train_line(40, 3.0)]
    notes = row(ingest(tmp_path / "s", {"a.jsonl": jsonl(lines)}).runs, "run", "a")["notes"]
    assert "replayed steps differ by up to" in notes


def falling(first: float, last: float, begin: int = 10) -> str:
    """Write a table of a run of 1,000 steps."""
    fall = (first - last) / (1000 - begin)
    rows = (f"a,{s},{s}e6,1e8,{first - fall * (s - begin):.4f}\n" for s in range(begin, 1001, 10))
    return "run,step,D,N,T\n" + "".join(rows)


@pytest.mark.parametrize(
    ("text", "kind", "verdict"),
    [
        (falling(0.09, 0.04), "constant", ["warned"]),
        (falling(1.39, 0.04), "constant", ["passed"]),  # four letters
        (falling(0.09, 0.04), "cooldown", []),
        (falling(0.09, 0.04, begin=30), "constant", []),
    ],
)
def test_a_loss_that_begins_below_any_guess_is_told_of(
    text: str, kind: str, verdict: list[str], tmp_path: Path
) -> None:
    """A loss that is divided by 128 accumulation steps looks like a good one."""
    sidecar = f"{POINTS}, train_loss: T}}}}\nfacts: {{schedule: {{kind: {kind}, tokens: 1.0e9}}}}\n"
    tables = ingest(tmp_path / "s", {"t.csv": text}, sidecar)
    judged = tables.gates.filter(pl.col("check") == "low_start")
    assert judged["verdict"].to_list() == verdict
    notes = str(row(tables.runs, "run", "a")["notes"])
    assert ("begins at 0.09 nats at step 10" in notes) == (verdict == ["warned"])


def test_an_eval_loss_that_rises_where_no_training_loss_is_logged(tmp_path: Path) -> None:
    text = "run,step,D,N,L\na,1,1e9,1e8,3.0\na,2,2e9,1e8,3.1\n"
    sidecar = f"{POINTS}, eval_loss: L}}}}\nfacts: {{schedule: {{kind: constant}}}}\n"
    tables = ingest(tmp_path / "s", {"t.csv": text}, sidecar)
    assert words(tables, "loss_rises")["words"] == "eval loss rose from 3.000 to 3.100"


@pytest.mark.parametrize(("kind", "value"), [("constant", 0.5), ("cooldown", -0.1)])
def test_a_cooldown_is_judged_by_its_evaluations(tmp_path: Path, kind: str, value: float) -> None:
    text = "run,step,D,N,T,L\na,1,1e9,1e8,2.5,3.0\na,2,2e9,1e8,3.0,2.9\n"
    sidecar = (
        f"{POINTS}, train_loss: T, eval_loss: L}}}}\n"
        f"facts: {{schedule: {{kind: {kind}, tokens: 2.0e9}}}}\n"
    )
    tables = ingest(tmp_path / "s", {"t.csv": text}, sidecar)
    assert words(tables, "loss_rises")["value"] == pytest.approx(value)


def table(losses: list[float], *, tokens: list[float] | None = None, run: str = "a") -> str:
    counted = tokens or [1e6 * step for step in range(1, len(losses) + 1)]
    return "".join(
        f"{run},{step},{d},1e6,{loss!r}\n"
        for step, (d, loss) in enumerate(zip(counted, losses, strict=True), start=1)
    )


def of_table(folder: Path, text: str) -> Ingested:
    sidecar = f"{POINTS}, train_loss: L}}}}\nfacts: {{schedule: {{kind: constant}}}}\n"
    return ingest(folder, {"t.csv": f"run,step,D,N,L\n{text}"}, sidecar)


def noisy(count: int = 200, *, noise: float = 0.01, seed: int = 3) -> list[float]:
    rng = np.random.default_rng(seed)
    curve = 2.0 + 3.0 / np.sqrt(np.arange(1, count + 1)) + rng.normal(0.0, noise, count)
    return [float(loss) for loss in curve]


def test_a_spike_is_one_above_both_the_noise_and_a_tenth_of_a_nat(tmp_path: Path) -> None:
    losses = noisy()
    assert verdict(of_table(tmp_path / "plain", table(losses)), "spikes") == "passed"
    losses[100] += 1.0
    tables = of_table(tmp_path / "spiked", table(losses))
    assert verdict(tables, "spikes") == "warned"
    assert "spikes by 0.99 nats" in words(tables, "spikes")["words"]
    assert "at step 101" in words(tables, "spikes")["words"]
    quiet = noisy(noise=0.0001)
    quiet[100] += 0.05
    assert verdict(of_table(tmp_path / "quiet", table(quiet)), "spikes") == "passed"


def test_tokens_that_fall(tmp_path: Path) -> None:
    tokens = [1e6, 2e6, 1.5e6, *(1e6 * n for n in range(4, 10))]
    tables = of_table(tmp_path / "s", table(noisy(9), tokens=tokens))
    assert words(tables, "tokens_fall")["value"] == 0.5e6
    assert verdict(tables, "tokens_fall") == "warned"


@pytest.mark.parametrize(
    ("tokens", "told"),
    [
        ([1e5 * n for n in range(1, 41)], "passed"),
        ([1e6 * math.ceil(n / 5) for n in range(1, 41)], "passed"),  # in few digits
        ([131072.0 * 2 ** (n // 14) for n in range(40)], "excluded"),  # a batch that ramps up
        ([131072.0 + 512 * (n * 7 % 11) for n in range(40)], "excluded"),  # one of any length
    ],
)
def test_tokens_of_one_step_are_no_count_of_all(
    tmp_path: Path, tokens: list[float], told: str
) -> None:
    """A map of sweep.yaml took them for D, and every check passed."""
    beside = table(noisy(40, seed=5), run="b")
    tables = of_table(tmp_path / "s", table(noisy(40), tokens=tokens) + beside)
    assert verdict(tables, "tokens_still") == told
    counts = Standing()
    for begin in range(0, 40, 7):  # a piece at a time
        piece = slice(begin, begin + 7)
        counts.add(np.arange(1, 41)[piece], np.array(tokens)[piece])
    assert counts.share == words(tables, "tokens_still")["value"]


@pytest.mark.parametrize(("points", "told"), [(499, "passed"), (500, "warned"), (501, "passed")])
def test_a_history_of_exactly_500_points_was_sampled(
    tmp_path: Path, points: int, told: str
) -> None:
    tables = of_table(tmp_path / "s", table(noisy(points)))
    assert verdict(tables, "sampled") == told


@pytest.mark.parametrize(
    ("digits", "told"), [(2, "warned"), (3, "warned"), (4, "passed"), (12, "passed")]
)
def test_losses_of_few_digits(tmp_path: Path, digits: int, told: str) -> None:
    tables = of_table(tmp_path / "s", table([round(loss, digits) for loss in noisy()]))
    assert verdict(tables, "few_digits") == told
    assert words(tables, "few_digits")["value"] == pytest.approx(10.0 ** -min(digits, 7))


def test_digits_are_counted_in_the_log_s_own_unit(tmp_path: Path) -> None:
    text = "run,step,D,N,L\n" + table([round(loss, 2) for loss in noisy()])
    sidecar = (
        f"{POINTS}, train_loss: L}}}}\n"
        "facts: {schedule: {kind: constant}, loss_unit: bits_per_token}\n"
    )
    tables = ingest(tmp_path / "s", {"t.csv": text}, sidecar)
    assert words(tables, "few_digits")["value"] == pytest.approx(0.01)


def test_digits_of_finished_runs_are_counted_over_their_table(tmp_path: Path) -> None:
    rows = "".join(f"{n}e6,{n}e9,{round(3.5 - n / 100, 2)}\n" for n in range(1, 11))
    sidecar = "title: t\ntable: {rows: runs, columns: {params.total: N, tokens: D, eval_loss: L}}\n"
    tables = ingest(tmp_path / "s", {"t.csv": f"N,D,L\n{rows}"}, sidecar)
    told = tables.gates.filter(pl.col("check") == "few_digits")
    assert told["verdict"].to_list() == ["warned"] * 10
    # 3.4, of the last, ends in a zero by chance: the others have two digits
    assert told["value"].to_list() == pytest.approx([0.01] * 10)


# -- the runs of a sweep ---------------------------------------------------------------------------


def test_one_run_under_two_names_counts_once(tmp_path: Path) -> None:
    text = table(noisy()) + table(noisy(), run="b") + table(noisy(seed=4), run="c")
    tables = of_table(tmp_path / "s", text)
    assert [verdict(tables, "duplicate", run) for run in "abc"] == ["passed", "excluded", "passed"]
    assert (
        "all 200 points of its curve equal those of run 'a'"
        in row(tables.runs, "run", "b")["reason"]
    )
    few = table([3.0, 2.9, 2.8, 2.7]) + table([3.0, 2.9, 2.8, 2.7], run="b")
    assert verdict(of_table(tmp_path / "few", few), "duplicate", "b") == "passed"


def test_one_run_logged_in_two_formats_counts_once(tmp_path: Path) -> None:
    losses = noisy()
    steps = range(10, 10 * len(losses) + 1, 10)
    both = [*zip(steps, losses, strict=True)]
    console = "".join(f"iter {step}: loss {loss:.4f}, time 1.00ms\n" for step, loss in both)
    csv = "step,train_loss\n" + "".join(f"{step},{loss}\n" for step, loss in both)
    seed = "step,train_loss\n" + "".join(f"{step},{loss + 1e-4}\n" for step, loss in both)
    files = {"a/train.log": console, "a/history.csv": csv, "b/train.log": console, "b/h.csv": seed}
    sidecar = "title: t\nfacts: {params: {total: 1e6}, tokens_per_step: 512, "
    tables = ingest(tmp_path, files, sidecar + "schedule: {kind: constant}}\n")
    assert verdict(tables, "duplicate", "a/history") == "passed"
    assert verdict(tables, "duplicate", "a/train") == "excluded"
    assert verdict(tables, "duplicate", "b/h") == "passed"
    assert "in a log of another format" in row(tables.runs, "run", "a/train")["reason"]


@pytest.mark.parametrize(("further", "kept"), [(0.0, ["a/train"]), (-0.3, ["a/first", "a/train"])])
def test_logs_of_both_launches_are_parts_of_the_log_of_all(
    further: float, kept: list[str], tmp_path: Path
) -> None:
    losses, replaced = noisy(), noisy(seed=5)
    console = "".join(f"iter {k}: loss {loss:.4f}, time 1.00ms\n" for k, loss in enumerate(losses))
    first = [*losses[:80], *(loss + further for loss in replaced[80:110])]
    second = [*enumerate(losses)][80:]
    head = "step,train_loss\n"
    files = {
        "a/train.log": console,
        "a/first.csv": head + "".join(f"{k},{loss}\n" for k, loss in enumerate(first)),
        "a/second.csv": head + "".join(f"{k},{loss}\n" for k, loss in second),
    }
    facts = "title: t\nfacts: {params: {total: 1e6}, tokens_per_step: 512, "
    tables = ingest(tmp_path / "s", {**files}, facts + "schedule: {kind: constant}}\n")
    told = tables.runs.filter(pl.col("reason").is_null())
    assert told["run"].to_list() == kept


@pytest.mark.parametrize(
    ("log", "other"),
    [
        ("out/m{}/train.log", "out/m{}/runs/Jan01/history.csv"),
        ("m{}/logs/train.log", "m{}/tensorboard/v0/history.csv"),
        ("m{}/a/b/train.log", "m{}/history.csv"),
        ("console/m{}/train.log", "wandb/m{}.csv"),  # one name, and nothing else in common
    ],
)
@pytest.mark.parametrize("lacking", [False, True])
def test_one_run_logged_in_folders_apart_counts_once(
    tmp_path: Path, log: str, other: str, *, lacking: bool
) -> None:
    files: dict[str, str | bytes] = {}
    head = "tokens per iteration will be: 512\n" if lacking else ""
    for place in (0, 1):
        both = [*zip(range(10, 2001, 10), noisy(seed=place), strict=True)]
        console = "".join(f"iter {step}: loss {loss:.4f}, time 1.00ms\n" for step, loss in both)
        files[log.format(place)] = head + console
        files[other.format(place)] = "step,train_loss\n" + "".join(
            f"{step},{loss}\n" for step, loss in both
        )
    sidecar = "title: t\nfacts: {params: {total: 1e6}, schedule: {kind: constant}"
    sidecar += "}\n" if lacking else ", tokens_per_step: 512}\n"
    tables = ingest(tmp_path, files, sidecar)
    used = tables.runs.filter(~pl.col("excluded"))
    assert used.height == 2
    # what lacks a fact that the other log has is none but its copy
    assert all(("train" in run) == lacking for run in used["run"])
    reasons = tables.runs.filter("excluded")["reason"]
    assert all("its losses at 200 steps equal those of run" in reason for reason in reasons)


def test_an_export_with_the_evaluations_of_a_log_asks_for_nothing(tmp_path: Path) -> None:
    losses = [*enumerate(noisy(count=200))]
    lines = ["tokens per iteration will be: 512\n"]
    rows = ["iter,train/loss,val/loss"]
    for place, loss in losses:
        if place % 40 == 0:
            told = f"train loss {loss + 0.02:.4f}, val loss {loss + 0.05:.4f}"
            lines.append(f"step {10 * place}: {told}\n")
            rows.append(f"{10 * place},{loss + 0.02},{loss + 0.05}")
        lines.append(f"iter {10 * place}: loss {loss:.4f}, time 1.00ms\n")
    files: dict[str, str | bytes] = {
        "a/train.log": "".join(lines),
        "a/wandb.csv": "\n".join([*rows, ""]),
    }
    sidecar = "title: t\nfacts: {params: {total: 1e6}, schedule: {kind: constant}}\n"
    tables = ingest(tmp_path, files, sidecar)
    assert tables.runs.filter(~pl.col("excluded"))["run"].to_list() == ["a/train"]
    assert "its losses at 5 steps equal" in row(tables.runs, "run", "a/wandb")["reason"]


def test_a_log_that_lacks_more_than_another_of_its_run_is_asked_for_nothing(
    tmp_path: Path,
) -> None:
    files: dict[str, str | bytes] = {}
    for place in (0, 1):
        both = [*zip(range(10, 2001, 10), noisy(seed=place), strict=True)]
        files[f"m{place}/train.log"] = "".join(
            f"iter {step}: loss {loss:.4f}, time 1.00ms\n" for step, loss in both
        )
        files[f"m{place}/history.csv"] = "step,train_loss,n_params\n" + "".join(
            f"{step},{loss},25000000\n" for step, loss in both
        )
    told = inspect(write(tmp_path / "s", files, None)).sidecar_text()
    rules = yaml.safe_load(told)
    assert set(rules["facts"]) == {"tokens_per_step", "schedule"}
    assert "runs" not in rules  # N is in the table, and not asked of the console's log


def test_what_grep_took_from_a_log_asks_for_nothing(tmp_path: Path) -> None:
    lines = [
        f"iter {step}: loss {loss:.4f}, time 1.00ms\n"
        for step, loss in zip(range(10, 2001, 10), noisy(), strict=True)
    ]
    files: dict[str, str | bytes] = {
        "a/train.log": "tokens per iteration will be: 512\n" + "".join(lines),
        "a/losses.txt": "".join(lines),
    }
    sidecar = "title: t\nfacts: {params: {total: 1e6}, schedule: {kind: constant}}\n"
    tables = ingest(tmp_path, files, sidecar)
    assert tables.runs.filter(~pl.col("excluded"))["run"].to_list() == ["a/train"]
    assert "one run logged twice" in row(tables.runs, "run", "a/losses")["reason"]


def test_two_peak_rates_of_one_size_and_length_are_noticed(tmp_path: Path) -> None:
    # a cell is one to a thousandth, as it is where trials of rates are compared
    rows = [
        ("a", 1e6, 1e9, 3.1, 1e-3),
        ("b", 1.0005e6, 1e9, 3.2, 2e-3),
        ("c", 1.005e6, 1e9, 3.0, 4e-3),
    ]
    text = "name,N,D,L,lr\n" + "".join(f"{','.join(map(str, values))}\n" for values in rows)
    sidecar = (
        "title: t\ntable: {rows: runs, columns: {run: name, params.total: N, tokens: D, "
        "eval_loss: L, schedule.lr_peak: lr}}\n"
    )
    tables = ingest(tmp_path / "s", {"t.csv": text}, sidecar)
    told = tables.gates.filter(pl.col("check") == "peak_rates").sort("run")
    assert told["value"].to_list() == [2.0, 2.0, 1.0]
    assert "2 peak learning rates (0.001, 0.002)" in row(tables.runs, "run", "a")["notes"]
    assert not tables.runs["excluded"].any()
    strict = IngestSettings.model_validate({"gates": {"peak_rates": {"action": "exclude"}}})
    chosen = sidecar + "overrule: [{match: a, check: peak_rates, reason: tuned}]\n"
    tables = ingest(tmp_path / "s", {}, chosen, settings=strict)
    assert tables.runs.filter("excluded")["run"].to_list() == ["b"]
    assert "check peak_rates" in row(tables.runs, "run", "b")["reason"]


def test_a_trunk_and_a_cosine_of_one_cell_may_have_rates_of_their_own(tmp_path: Path) -> None:
    rows = [("a", "cosine", 1e-3), ("b", "wsd", 2e-3), ("c", "cosine", 1e-3), ("d", "wsd", 3e-3)]
    text = "name,N,D,L,k,lr\n" + "".join(
        f"{name},1e6,1e9,{3.1 + rate},{kind},{rate}\n" for name, kind, rate in rows
    )
    sidecar = (
        "title: t\ntable: {rows: runs, columns: {run: name, params.total: N, tokens: D, "
        "eval_loss: L, schedule.kind: k, schedule.lr_peak: lr}}\n"
    )
    gates = ingest(tmp_path / "s", {"t.csv": text}, sidecar).gates
    told = gates.filter(pl.col("check") == "peak_rates").sort("run")
    assert told["value"].to_list() == [1.0, 2.0, 1.0, 2.0]


HOFFMANN = (1.69, 406.4, 410.7, 0.34, 0.28)


def law(n: np.ndarray, d: np.ndarray, form: tuple[float, ...] = HOFFMANN) -> np.ndarray:
    e, a, b, alpha, beta = form
    return np.asarray(e + a / n**alpha + b / d**beta)


@pytest.mark.parametrize(
    "form", [HOFFMANN, (1.82, 482.0, 2085.4, 0.35, 0.37), (0.5, 50, 99, 0.3, 0.25)]
)
@pytest.mark.parametrize("ends", [(1e15, 1e17), (6e18, 3e21), (1e13, 1e20)])
def test_no_run_of_a_law_is_off_its_trend(
    form: tuple[float, ...], ends: tuple[float, float]
) -> None:
    rng = np.random.default_rng(5)
    budget = np.repeat(np.geomspace(*ends, 9), 9)
    n = np.sqrt(budget / 6) * 10 ** np.tile(np.linspace(-0.4, 0.3, 9), 9)
    d = budget / 6 / n
    losses = np.minimum(law(n, d, form) * np.exp(rng.normal(0, 0.003, n.size)), 10.0)
    found = distances(n, d, losses)
    assert found is not None
    assert (found[0] < 8.0).all()
    # bits taken for nats are found, in a quarter of the runs
    wrong = rng.choice(n.size, n.size // 4, replace=False)
    losses[wrong] /= math.log(2.0)
    found = distances(n, d, losses)
    assert found is not None
    assert (found[0][wrong] > 8.0).all() or ends == (1e13, 1e20)  # seven decades bend the plane
    assert (np.delete(found[0], wrong) < 8.0).all()


def test_a_trend_needs_runs_and_directions() -> None:
    few = np.full(7, 1e6)
    assert distances(few, few, np.linspace(2, 3, 7)) is None
    same = np.full(9, 1e6)
    found = distances(same, same, np.array([3.0] * 8 + [9.0]))
    assert found is not None
    assert np.flatnonzero(found[0] > 8.0).tolist() == [8]


def ladder(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """81 runs such as OLMo's ladder has: 5 sizes, D of 10 to 200 tokens per parameter."""
    n = rng.choice([190e6, 370e6, 760e6, 1.3e9, 3.2e9], 81)
    d = n * rng.choice([10.5, 20, 40, 100, 200], 81)
    return n, d, law(n, d) * np.exp(rng.normal(0, 0.004, 81))


@pytest.mark.parametrize("gate", ["high_loss", "trend"])
@pytest.mark.parametrize("seed", range(5))
def test_twenty_of_eighty_one_runs_that_end_above_nine_nats(
    tmp_path: Path, gate: str, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    n, d, losses = ladder(rng)
    wrong = rng.choice(81, 20, replace=False)
    losses[wrong] = rng.uniform(9.1, 9.6, 20)
    rows = "".join(f"r{i:02},{n[i]},{d[i]},{losses[i]}\n" for i in range(81))
    sidecar = (
        "title: t\ntable: {rows: runs, columns: {run: run, params.total: N, tokens: D, "
        "eval_loss: L}}\n"
    )
    folder = write(tmp_path / "s", {"t.csv": f"run,N,D,L\n{rows}"}, sidecar)
    only = {name: {"action": "off"} for name in GatesSettings.model_fields if name != gate}
    tables = read_sweep(folder, IngestSettings.model_validate({"gates": only}))
    left_out = tables.runs.filter("excluded")["run"].to_list()
    assert left_out == sorted(f"r{i:02}" for i in wrong)


FINISHED_ROWS = (
    "title: t\ntable: {rows: runs, columns: {run: run, params.total: N, tokens: D, eval_loss: L}}\n"
)


def grid(folder: Path, shift: float = 0.0, wrong: float | None = None) -> Ingested:
    """Twenty small models, the least of which end above 6 nats, as a law has them."""
    cells = [(n, n * ratio) for n in (5e6, 1e7, 3e7, 7e7, 2e8) for ratio in (20, 40, 80, 160)]
    losses = [1.9 + 482 / n**0.34 + 622 / d**0.30 + shift for n, d in cells]
    if wrong is not None:
        losses[10] = wrong
    rows = "".join(
        f"r{i:02},{n},{d},{loss}\n"
        for i, ((n, d), loss) in enumerate(zip(cells, losses, strict=True))
    )
    return read_sweep(write(folder, {"t.csv": f"run,N,D,L\n{rows}"}, FINISHED_ROWS), RECORD)


def test_a_high_loss_on_the_sweeps_trend_is_that_of_a_small_model(tmp_path: Path) -> None:
    tables = grid(tmp_path / "s")
    high = tables.gates.filter(pl.col("check") == "high_loss", pl.col("verdict") == "warned")
    assert 1 <= high.height <= 5
    assert (high["value"] > 6.0).all()
    assert not tables.runs["excluded"].any()
    notes = row(tables.runs, "run", high["run"][0])["notes"]
    assert "not the loss of this model? It is used: it lies on the trend of the sweep's" in notes
    # one off the trend is left out, and the small ones still are not
    tables = grid(tmp_path / "one", wrong=9.3)
    assert tables.runs.filter("excluded")["run"].to_list() == ["r10"]
    reason = row(tables.runs, "run", "r10")["reason"]
    assert "check high_loss" in reason
    assert "check trend" in reason


@pytest.mark.parametrize("times", [8.0, 1024.0])
def test_a_loss_that_no_vocabulary_has_is_left_out(tmp_path: Path, times: float) -> None:
    """Sums over tokens or accumulation steps passed as nats where all runs had them, and no V."""
    with pytest.raises(EmptySweepError, match="above ln V of any vocabulary"):
        of_table(tmp_path / "s", table([times * loss for loss in noisy(40)]))
    tables = of_table(tmp_path / "one", table(noisy(40)))
    assert verdict(tables, "beyond_vocabularies") == "passed"


@pytest.mark.parametrize("shift", [2.2, 3.0])
def test_a_trend_that_is_high_throughout_explains_nothing(tmp_path: Path, shift: float) -> None:
    # consistent with itself, as losses in another unit are, though a few may end below the limit
    tables = grid(tmp_path / "s", shift=shift)
    above = tables.gates.filter(pl.col("check") == "high_loss", pl.col("value") > 6.0)
    assert above.height > 10
    assert set(above["verdict"]) == {"excluded"}


def test_without_a_trend_a_high_loss_is_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    grid(folder)
    off = IngestSettings.model_validate({"gates": {"trend": {"action": "off"}}})
    runs = read_sweep(folder, off).runs
    assert runs["excluded"].any()
    assert (runs.filter("excluded")["params_total"] < 5e7).all()


SIZES = {"190M": 190e6, "370M": 370e6, "760M": 760e6, "1B": 1.3e9, "3B": 3.2e9}


@pytest.mark.mirror
@pytest.mark.skipif(not LOGS.is_dir(), reason=f"no genuine logs at {LOGS}")
def test_the_genuine_ladder_passes_and_wrong_ends_of_it_do_not(tmp_path: Path) -> None:
    source = LOGS / "olmo_ladder_wandb_csv"
    rules = "".join(
        f'- {{match: "*{name}-*", params: {{total: {size}}}}}\n' for name, size in SIZES.items()
    )
    folder = write(tmp_path / "olmo", {}, OLMO_LADDER + rules)
    paths = sorted(path for path in source.iterdir() if "xC" in path.name)
    assert len(paths) == 30
    for path in paths:
        (folder / path.name).write_bytes(path.read_bytes())
    tables = ingest_sweep(folder, RECORD)
    assert not tables.runs["excluded"].any()
    checked = tables.gates.filter(pl.col("check").is_in(["high_loss", "trend"]))
    assert set(checked["verdict"]) == {"passed"}
    # the same histories, a quarter of them ending as the ladder's mistaken exports do
    for path in paths[::4]:
        text = (folder / path.name).read_text()
        head, *rows = text.splitlines(keepends=True)
        place = head.split(",").index("eval/c4_en-validation/CrossEntropyLoss")
        cells = rows[-1].split(",")
        cells[place] = "9.35"
        (folder / path.name).write_text(head + "".join(rows[:-1]) + ",".join(cells))
    tables = ingest_sweep(folder, RECORD)
    assert tables.runs.filter("excluded").height == len(paths[::4])
    off_trend = tables.gates.filter(pl.col("check") == "trend", pl.col("verdict") == "excluded")
    assert off_trend.height == len(paths[::4])


def test_inspect_tells_which_checks_speak(tmp_path: Path) -> None:
    small = {"architecture": {**SHAPE, "vocab_size": 8}}
    folder = write(tmp_path / "s", {"a.jsonl": jsonl(run_lines("a", **small))}, None)
    found = inspect(folder)
    assert "left out: final loss 2.125 is hardly below a uniform guess" in str(found)
    (run,) = found.as_json()["runs"]
    assert "check uniform_guess" in run["left_out"]
    verdicts = {check["check"]: check["verdict"] for check in run["checks"]}
    assert verdicts["uniform_guess"] == "excluded"
    assert verdicts["loss_rises"] == "passed"


def ramped(declared: str, stages: list[int], steps: int = 200) -> str:
    """What Megatron prints of a run whose batch is 4, 8 and 12 for 60 samples or more each."""
    arguments = {
        "tensor_model_parallel_size": 1, "pipeline_model_parallel_size": 1,
        "seq_length": 64, "global_batch_size": 16, "train_samples": 16 * steps,
        "rampup_batch_size": declared,
    }  # fmt: skip
    lines = [" number of parameters on (tensor, pipeline) model parallel rank (0, 0): 16000"]
    lines += [f"  {name} {'.' * 20} {value}" for name, value in arguments.items()]
    read = 0
    for step in range(1, steps + 1):
        read += stages[min(read // 60, len(stages) - 1)]
        lines.append(
            f" iteration {step:8d}/     {steps} | consumed samples: {read:12d} | elapsed time per "
            f"iteration (ms): 512.3 | learning rate: 2.500000E-04 | global batch size:     4 | "
            f"lm loss: {2 + 3 / step:.6E} | loss scale: 1.0 | grad norm: 1.200 |"
        )
    return "\n".join(lines) + "\n"


def test_a_declared_ramp_up_of_the_batch_is_no_contradiction(tmp_path: Path) -> None:
    ramp = "['4', '4', '1_80']"
    tables = ingest(tmp_path / "s", {"a.log": ramped(ramp, [4, 8, 12, 16])})
    passed = words(tables, "tokens_per_step")
    assert (passed["verdict"], passed["value"]) == ("passed", pytest.approx(0.0, abs=1e-12))
    # without the declaration, and with one that the counts contradict, it is one
    tables = ingest(tmp_path / "t", {"a.log": ramped("None", [4, 8, 12, 16])})
    assert "step x tokens per step" in words(tables, "tokens_per_step")["words"]
    tables = ingest(tmp_path / "u", {"a.log": ramped(ramp, [4, 8, 12, 14])})
    told = words(tables, "tokens_per_step")
    assert told["verdict"] == "warned"
    assert "away from what steps and batch with its declared ramp-up come to" in told["words"]


def launch(steps: int, first: float, params: int = 400_000) -> str:
    """Print a run of nanoGPT."""
    lines = [
        "tokens per iteration will be: 65,536",
        f"num decayed parameter tensors: 10, with {params:,} parameters",
        "num non-decayed parameter tensors: 5, with 1,000 parameters",
        *(
            f"iter {step}: loss {2 + first / (1 + step) ** 0.5:.4f}, time 12.34ms, mfu 1.00%"
            for step in range(0, steps + 1, 10)
        ),
    ]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("schedule", ["kind: cosine, steps: 200", "kind: unknown"])
def test_a_second_run_in_a_log_is_no_restart_of_the_first(tmp_path: Path, schedule: str) -> None:
    """The first one's curve would be gone, as one that was replayed."""
    sidecar = f"title: t\nfacts: {{schedule: {{{schedule}}}}}\n"
    crashed = launch(120, 3.5) + launch(200, 3.4)
    tables = ingest(
        tmp_path / "s",
        {"a.log": launch(200, 3.5) + launch(200, 3.4), "b.log": crashed, "c.log": launch(200, 3.3)},
        sidecar,
    )
    assert verdict(tables, "several_runs") == "excluded"
    assert verdict(tables, "several_runs", "b") == "passed"
    assert words(tables, "several_runs", "b")["value"] == pytest.approx(0.65)  # the next line
    assert not tables.gates.filter(pl.col("check") == "several_runs", pl.col("run") == "c").height
    reason = row(tables.runs, "run", "a")["reason"]
    assert "its file holds 2 runs, of which only the last would count" in reason
    assert "begins again at step 0 after 100 % of a run" in reason
    accepted = sidecar + "overrule: [{match: a, check: several_runs, reason: the first is void}]\n"
    write(tmp_path / "s", {}, accepted)
    assert not row(ingest_sweep(tmp_path / "s", RECORD).runs, "run", "a")["excluded"]


@pytest.mark.parametrize(("steps", "observed"), [(120, False), (190, False), (200, True)])
def test_a_run_whose_schedule_is_not_done_is_no_observation(
    tmp_path: Path, steps: int, *, observed: bool
) -> None:
    sidecar = "title: t\nfacts: {schedule: {kind: cosine, steps: 200}}\n"
    tables = ingest(tmp_path / "s", {"a.log": launch(steps, 3.5)}, sidecar)
    asked = tables.gates.filter(pl.col("check") == "tokens_per_param")
    assert asked.height == int(observed)


@pytest.mark.parametrize(
    ("steps", "verdict"), [(190, "passed"), (209, "passed"), (1000, "excluded")]
)
def test_a_run_longer_than_the_schedule_that_is_said_of_it_is_left_out(
    tmp_path: Path, steps: int, verdict: str
) -> None:
    """One length for runs of several lets those that stopped halfway pass for finished."""
    sidecar = "title: t\nfacts: {schedule: {kind: cosine, steps: 200}}\n"
    tables = ingest(
        tmp_path / "s", {"a.log": launch(steps, 3.5), "b.log": launch(200, 3.3)}, sidecar
    )
    asked = tables.gates.filter((pl.col("check") == "past_schedule") & (pl.col("run") == "a"))
    assert asked["verdict"].to_list() == [verdict]
    assert row(tables.runs, "run", "a")["excluded"] == (verdict == "excluded")
    if verdict == "excluded":
        said = "times the length of its schedule: give the runs of each length theirs"
        assert said in row(tables.runs, "run", "a")["reason"]
        accepted = (
            sidecar + "overrule: [{match: a, check: past_schedule, reason: at the least rate}]\n"
        )
        write(tmp_path / "s", {}, accepted)
        assert not row(ingest_sweep(tmp_path / "s", RECORD).runs, "run", "a")["excluded"]


def test_a_run_longer_than_the_schedule_in_its_log_is_told_of(tmp_path: Path) -> None:
    """A run may go on at its last rate."""
    lines = run_lines("a", steps=40, schedule={**SCHEDULE, "steps": 20})
    tables = ingest(tmp_path / "s", {"a.jsonl": jsonl(lines)})
    assert words(tables, "past_schedule")["verdict"] == "warned"
    assert "2 times the length of its schedule" in row(tables.runs, "run", "a")["notes"]


def test_how_much_was_done_before_a_log_begins_again_is_a_share_of_the_schedule(
    tmp_path: Path,
) -> None:
    sidecar = "title: t\nfacts: {schedule: {kind: cosine, steps: 200}}\n"
    tables = ingest(tmp_path / "s", {"a.log": launch(100, 3.5) + launch(100, 3.4)}, sidecar)
    assert words(tables, "several_runs")["value"] == pytest.approx(0.55)  # the next line


def test_files_that_are_one_run_may_each_begin_at_its_beginning(tmp_path: Path) -> None:
    sidecar = "title: t\nfacts: {schedule: {kind: unknown}}\nruns: [{match: '*.log', run: a}]\n"
    files = {"1.log": launch(200, 3.5), "2.log": launch(200, 3.4)}
    tables = ingest(tmp_path / "s", files, sidecar)
    assert not tables.gates.filter(pl.col("check") == "several_runs").height


def test_two_sizes_in_a_log_are_told_to_part(tmp_path: Path) -> None:
    """`run:` names files, so it is no way out of one that holds two."""
    sidecar = "title: t\nfacts: {schedule: {kind: unknown}}\n"
    text = launch(200, 3.5) + launch(200, 3.4, params=800_000)
    tables = ingest(tmp_path / "s", {"a.log": text, "b.log": launch(200, 3.3)}, sidecar)
    reason = row(tables.runs, "run", "a")["reason"]
    assert "its logs disagree on params.total (401000.0 and 801000.0)" in reason
    assert "Its file holds several: give each a file of its own" in reason
    assert "'run:'" not in reason
