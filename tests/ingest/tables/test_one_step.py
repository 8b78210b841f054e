"""Rows of a table that give one step of a run two losses: none is dropped without a word."""

from __future__ import annotations

import json
import math
import random
import re
from typing import TYPE_CHECKING

import polars as pl
import pytest

from isoflop.config.reading import ConfigError
from isoflop.ingest.sweep import EmptySweepError
from tests.ingest.samples import ingest, row

if TYPE_CHECKING:
    from pathlib import Path

KNOWN = (
    "title: t\n"
    "facts: {params: {total: 70e6}, tokens_per_step: 524288, schedule: {kind: constant}}\n"
)
STEPS = range(0, 1000, 100)


def lines(head: str, *rows: tuple[object, ...]) -> str:
    return "".join(f"{','.join(map(str, each))}\n" for each in [(head,), *rows])


def twice(*beside: tuple[object, ...]) -> list[tuple[object, ...]]:
    """Two curves whose rows take turns, each with a cell of its own behind step and loss."""
    return [
        (step, 5 - place - step / 1e3, *cells)
        for step in STEPS
        for place, cells in enumerate(beside)
    ]


def refused(folder: Path, text: str) -> str:
    with pytest.raises(EmptySweepError) as caught:
        ingest(folder, {"t.csv": text}, KNOWN)
    return str(caught.value)


def test_rows_of_one_step_that_differ_are_refused_by_their_numbers(tmp_path: Path) -> None:
    words = refused(tmp_path / "s", lines("step,loss", *twice((), ())))
    assert "10 steps have rows with different losses, first step 0 (5 in row 1 and 4 in row 2)" in (
        words
    )
    assert "table.columns.run" in words
    # curves whose steps are not even the same take turns all the same
    shifted = [(step - 40 * (place % 2), loss) for place, (step, loss) in enumerate(twice((), ()))]
    words = refused(tmp_path / "t", lines("step,loss", *shifted[2:], *twice((), ())[-3:]))
    assert "different losses" in words


@pytest.mark.parametrize("head", ["step,loss,seed", "step,loss,seed,run"])
def test_the_column_that_tells_them_apart_is_proposed_and_reads_them(
    tmp_path: Path, head: str
) -> None:
    named = ("x",) * head.endswith("run")
    text = lines(head, *twice((1, *named), (2, *named)))
    words = refused(tmp_path / "s", text)
    proposed = re.search(r"^ *(table: .*)$", words, re.MULTILINE)
    assert proposed is not None
    tables = ingest(tmp_path / "t", {"t.csv": text}, f"{KNOWN}{proposed[1]}\n")
    last = tables.curves.filter(step=900).sort("run")
    assert last["train_loss"].to_list() == [4.1, 3.1]
    assert last["run"].to_list() == (["x-1", "x-2"] if named else ["1", "2"])


def test_a_run_with_such_rows_is_left_out_and_the_others_are_read(tmp_path: Path) -> None:
    text = lines("step,loss,run", *twice(("a",), ("a",)), *twice(("b",)))
    tables = ingest(tmp_path / "s", {"t.csv": text}, KNOWN)
    left = row(tables.runs, "run", "a")
    assert left["excluded"]
    assert "run 'a': 10 steps have rows with different losses" in left["reason"]
    assert not row(tables.runs, "run", "b")["excluded"]


@pytest.mark.parametrize("column", ["rank", "_step"])
def test_rows_that_one_run_s_processes_wrote_count_once_and_are_told_of(
    tmp_path: Path, column: str
) -> None:
    counts = iter(range(100))
    rows = [(*each, next(counts)) for each in twice((), ())]
    tables = ingest(tmp_path / "s", {"t.csv": lines(f"step,loss,{column}", *rows)}, KNOWN)
    assert tables.curves["train_loss"].to_list() == [5 - step / 1e3 for step in STEPS]
    file = row(tables.files, "path", "t.csv")
    assert f"of steps that other rows of their run have, by their '{column}'" in file["reason"]
    assert file["rows_left_out"] == 10


def test_rows_that_a_restart_makes_anew_are_counted(tmp_path: Path) -> None:
    rows = [*twice(())[:6], *((step, loss - 0.01) for step, loss in twice(())[4:])]
    text = lines("step,loss", *rows)
    tables = ingest(tmp_path / "s", {"t.csv": text}, KNOWN)
    assert tables.curves["superseded"].sum() == 2
    reason = row(tables.files, "path", "t.csv")["reason"]
    assert "2 rows replaced by later ones, which make their steps anew: restarts" in reason


def test_rows_that_say_the_same_are_one(tmp_path: Path) -> None:
    records = [{"step": step, "loss": loss} for step, loss in twice(()) for _ in range(2)]
    text = "".join(f"{json.dumps(each)}\n" for each in records)
    tables = ingest(tmp_path / "s", {"t.jsonl": text}, KNOWN)
    assert tables.curves.height == len(STEPS)


def test_rows_in_order_of_steps_with_times_of_a_restart_are_one_run(tmp_path: Path) -> None:
    first = [(step, loss, 1.7e9 + step) for step, loss in twice(())[:6]]
    anew = [(step, loss - 0.5, 1.7e9 + 5000 + step) for step, loss in twice(())[3:]]
    rows = sorted([*first, *anew])
    tables = ingest(tmp_path / "s", {"t.csv": lines("step,loss,_timestamp", *rows)}, KNOWN)
    curve = tables.curves.filter(~tables.curves["superseded"]).sort("step")
    assert curve["train_loss"].to_list() == pytest.approx(
        [5 - step / 1e3 - 0.5 * (step >= 300) for step in STEPS]
    )
    reason = row(tables.files, "path", "t.csv")["reason"]
    assert "its rows were put in the order of '_timestamp'" in reason
    # two runs at once have times, too
    rows = [(step, loss, 1.7e9 + place) for place, (step, loss) in enumerate(twice((), ()))]
    words = refused(tmp_path / "t", lines("step,loss,_timestamp", *rows))
    assert "10 steps have rows with different losses" in words


def kept_of(folder: Path, text: str, name: str = "t.csv") -> dict[int, float]:
    """Read a table's one curve: of each step the loss that counts."""
    curve = ingest(folder, {name: text}, KNOWN).curves
    return dict(curve.filter(~pl.col("superseded")).select("step", "train_loss").iter_rows())


@pytest.mark.parametrize("head", ["step,loss", "time,step,loss", "_step,step,loss"])
def test_a_row_that_a_restart_makes_anew_is_the_one_that_counts(tmp_path: Path, head: str) -> None:
    rows = [(step, loss) for step, loss in twice(())]
    rows.insert(5, (400, 4.51))
    beside = head.count(",") - 1
    text = lines(head, *((place,) * beside + each for place, each in enumerate(rows)))
    curve = kept_of(tmp_path / "s", text)
    assert curve[400] == 4.51
    assert len(curve) == len(STEPS)
    records = [{"global_step": step, "loss/out": loss, "created_at": f"2026-01-01T00:00:{k:02}"}
               for k, (step, loss) in enumerate(rows)]  # fmt: skip
    text = "".join(f"{json.dumps(each)}\n" for each in records)
    assert kept_of(tmp_path / "t", text, "metrics.jsonl") == curve


def test_a_run_of_a_table_of_runs_may_make_one_row_anew(tmp_path: Path) -> None:
    rows = [(step, loss, "a") for step, loss in twice(())]
    rows.insert(5, (400, 4.51, "a"))
    text = lines("step,loss,run", *rows, *twice(("b",)))
    tables = ingest(tmp_path / "s", {"t.csv": text}, KNOWN)
    assert not tables.runs["excluded"].any()
    of_a = tables.curves.filter(~pl.col("superseded"), run="a", step=400)
    assert of_a["train_loss"].to_list() == [4.51]


def test_launches_of_a_few_rows_each_are_of_one_run(tmp_path: Path) -> None:
    rows = [
        (step, 5 - launch / 100 - step / 1e3)
        for launch, begin in enumerate(range(0, 1000, 200))
        for step in range(begin, begin + 301, 100)
    ]
    curve = kept_of(tmp_path / "s", lines("step,loss", *rows))
    assert curve[200] == pytest.approx(4.79)
    assert curve[300] == pytest.approx(4.69)
    assert len(curve) == 12


def test_an_evaluation_that_a_restart_makes_anew_is_its_last(tmp_path: Path) -> None:
    rows = [(step, loss, "") for step, loss in twice(())]
    rows[5:] = [(400, "", 4.7), (300, 4.71, ""), (400, 4.61, ""), (400, "", 4.8), *rows[5:]]
    tables = ingest(tmp_path / "s", {"t.csv": lines("step,loss,val_loss", *rows)}, KNOWN)
    counts = tables.curves.filter(~pl.col("superseded"), step=400)
    assert counts.select("train_loss", "eval_loss").row(0) == (4.61, 4.8)


@pytest.mark.parametrize(
    ("first", "second"), [(3.91237, 3.9124), (3.912372853416572, 3.9124), (3.91237, 3.91)]
)
def test_a_loss_that_is_written_twice_with_other_digits_is_one(
    tmp_path: Path, first: float, second: float
) -> None:
    rows = [*twice(()), (1000, first), (1000, second)]
    assert kept_of(tmp_path / "s", lines("step,loss", *rows))[1000] == first


def test_digits_that_are_zeros_are_none_of_another_rounding(tmp_path: Path) -> None:
    words = refused(tmp_path / "s", lines("step,loss", *twice(()), (1000, 3.9), (1000, 3.91)))
    assert "1 step has rows with different losses, first step 1000 (3.9 in row 11" in words


BY_TOKENS = "title: t\nfacts: {params: {total: 70e6}, schedule: {kind: constant}}\n"


def by_tokens(rows: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
    return [(1_000_000 * (int(str(step)) // 100 + 1), *rest) for step, *rest in rows]


@pytest.mark.parametrize("in_blocks", [False, True])
@pytest.mark.parametrize("axis", ["tokens", "step"])
def test_seeds_are_runs_whether_they_take_turns_or_not(
    tmp_path: Path, axis: str, *, in_blocks: bool
) -> None:
    rows = by_tokens(twice((1,), (2,)))
    rows = sorted(rows, key=lambda each: str(each[-1])) if in_blocks else rows
    known = BY_TOKENS if axis == "tokens" else KNOWN
    text = lines(f"{axis},loss,seed", *rows)
    with pytest.raises(EmptySweepError) as caught:
        ingest(tmp_path / "s", {"t.csv": text}, known)
    proposed = re.search(r"^ *(table: .*)$", str(caught.value), re.MULTILINE)
    assert proposed is not None
    tables = ingest(tmp_path / "t", {"t.csv": text}, f"{known}{proposed[1]}\n")
    assert tables.runs["run"].to_list() == ["1", "2"]
    assert tables.curves.height == 2 * len(STEPS)


def test_tokens_tell_a_restart_where_there_are_no_steps(tmp_path: Path) -> None:
    rows = by_tokens([*twice(())[:6], *((step, loss - 0.01) for step, loss in twice(())[4:])])
    tables = ingest(tmp_path / "s", {"t.csv": lines("tokens,loss", *rows)}, BY_TOKENS)
    assert tables.curves["superseded"].sum() == 2
    curve = tables.curves.filter(~pl.col("superseded")).sort("tokens")
    assert curve["tokens"].to_list() == [1e6 * place for place in range(1, 11)]
    assert curve["train_loss"].to_list()[3:6] == pytest.approx([4.7, 4.59, 4.49])
    text = lines("tokens,loss", *by_tokens(twice((), ())))
    with pytest.raises(EmptySweepError, match="10 counts of tokens have rows with different"):
        ingest(tmp_path / "t", {"t.csv": text}, BY_TOKENS)


@pytest.mark.parametrize("column", ["iter", "micro_step", "batch"])
def test_the_last_of_a_step_s_batches_counts_where_a_column_counts_them(
    tmp_path: Path, column: str
) -> None:
    rows = [
        (place, step, 5 - step / 1e3 - place / 1e5)
        for place, step in enumerate(step for step in STEPS for _ in range(2))
    ]
    rows += [(place - 4, step, loss - 0.5) for place, step, loss in rows[-4:]]  # a restart
    text = lines(f"{column},step,loss", *rows)
    tables = ingest(tmp_path / "s", {"t.csv": text}, KNOWN)
    curve = tables.curves.filter(~pl.col("superseded"))
    last = {step: loss for _, step, loss in rows}
    assert dict(curve.select("step", "train_loss").iter_rows()) == last
    reason = row(tables.files, "path", "t.csv")["reason"]
    assert f"of a step's batches, which '{column}' counts" in reason


def test_steps_that_count_anew_in_every_epoch_are_asked_about(tmp_path: Path) -> None:
    rows = [(epoch, step, 5 - epoch - step / 1e3) for epoch in (1, 2) for step in (0, 50, 100)]
    text = lines("epoch,step,loss", *rows)
    words = refused(tmp_path / "s", text)
    assert "'step' counts anew in every epoch (1 time)" in words
    proposed = re.search(r"^ *(table: .*)$", words, re.MULTILINE)
    assert proposed is not None
    known = f"{KNOWN}{proposed[1].replace('<steps of an epoch>', '150')}\n"
    tables = ingest(tmp_path / "t", {"t.csv": text}, known)
    assert tables.curves["step"].to_list() == [0, 50, 100, 150, 200, 250]
    assert not tables.curves["superseded"].any()


@pytest.mark.parametrize("form", ['"step = 20"', '["step = 20"]', '{where: "step = 20"}'])
def test_rows_to_leave_out_are_proposed_in_the_form_that_works(tmp_path: Path, form: str) -> None:
    known = f"{KNOWN}table: {{rows: points, columns: {{step: step, train_loss: loss}}, "
    text = lines("step,loss", (10, 5), (20, 4.5), (30, 4.2))
    with pytest.raises(ConfigError) as caught:
        ingest(tmp_path / "s", {"t.csv": text}, f"{known}exclude: {form}}}\n")
    proposed = re.search(r"`(exclude: .*)`", str(caught.value))
    assert proposed is not None
    tables = ingest(tmp_path / "t", {"t.csv": text}, f"{known}{proposed[1]}}}\n")
    assert tables.curves["step"].to_list() == [10, 30]


@pytest.mark.parametrize("beside", [3.25, 4.6])
@pytest.mark.parametrize("is_first", [False, True])
def test_the_map_that_leaves_a_row_out_leaves_out_what_is_off_the_curve(
    tmp_path: Path, beside: float, *, is_first: bool
) -> None:
    rows = twice(())
    rows.insert(len(rows) - is_first, (900, beside))
    words = refused(tmp_path / "s", lines("step,loss", *rows))
    proposed = re.search(r"^ *(table: .*)$", words, re.MULTILINE)
    assert proposed is not None
    text = lines("step,loss", *rows)
    tables = ingest(tmp_path / "t", {"t.csv": text}, f"{KNOWN}{proposed[1]}\n")
    assert dict(tables.curves.select("step", "train_loss").iter_rows())[900] == 4.1


SPARSE = [step for step in range(10, 1000, 10) if step % 100 == 0]
TRAINED = {step: 5 - step / 1e3 + 0.01 * math.sin(step) for step in range(10, 1000, 10)}


def with_evaluations(first: str, other: str, *, apart: float = 0.3) -> list[tuple[object, ...]]:
    """A curve with a second loss at some of its steps, and what a column says beside each."""
    return [
        each
        for step, loss in TRAINED.items()
        for each in [
            (step, round(loss, 4), first),
            *([(step, round(loss + apart, 4), other)] if step in SPARSE else []),
        ]
    ]


@pytest.mark.parametrize("ends_so", [False, True])
@pytest.mark.parametrize(
    ("column", "first", "other"),
    [
        ("ema", "false", "true"),
        ("weights", "a", "b"),
        ("seconds_of_it", "", "3.5"),
        ("eval_time", "", "3.5"),
        ("x", "", ""),
    ],
)
def test_a_second_loss_at_steps_along_a_curve_is_no_restart(
    tmp_path: Path, column: str, first: str, other: str, *, ends_so: bool
) -> None:
    rows = with_evaluations(first, other)
    rows += [(990, 4.31, other)] if ends_so else []
    text = lines(f"step,loss,{column}", *rows)
    words = refused(tmp_path / "s", text)
    assert f"{9 + ends_so} steps have rows with different losses, first step 100" in words
    proposed = re.findall(r"^ *(table: .*)$", words, re.MULTILINE)
    for place, table in enumerate(proposed[:2]):
        tables = ingest(tmp_path / f"t{place}", {"t.csv": text}, f"{KNOWN}{table}\n")
        curve = tables.curves.drop_nulls("train_loss").select("step", "train_loss")
        assert dict(curve.iter_rows()) == pytest.approx(TRAINED, abs=1e-4)
        assert tables.evals.height == (9 + ends_so) * (place == 0)


def test_evaluations_near_the_losses_in_training_are_known_by_their_regular_steps(
    tmp_path: Path,
) -> None:
    words = refused(tmp_path / "s", lines("step,loss,x", *with_evaluations("", "", apart=0.02)))
    assert "9 steps have rows with different losses" in words


@pytest.mark.parametrize("host", [("a", "b", "a"), ("a", "a", "a"), ("a", "b", "c")])
def test_launches_that_each_make_a_row_anew_are_of_one_run(
    tmp_path: Path, host: tuple[str, str, str]
) -> None:
    rows = [
        (step, TRAINED[step] + 0.003 * launch, host[launch], launch)
        for launch, (begin, end) in enumerate([(10, 270), (270, 610), (610, 990)])
        for step in range(begin, end + 1, 10)
    ]
    text = lines("step,loss,host,launch", *rows)
    tables = ingest(tmp_path / "s", {"t.csv": text}, KNOWN)
    assert tables.curves["superseded"].sum() == 2


def killed_and_restarted(seed: int) -> list[tuple[object, ...]]:
    """A run of a table that was killed again and again, its launch and machine beside each row."""
    chosen = random.Random(seed)  # noqa: S311
    every = chosen.choice([1, 5, 10])
    kept, total = every * chosen.choice([5, 10, 20]), every * chosen.choice([100, 300])
    rows: list[tuple[object, ...]] = []
    done = launch = 0
    while done < total and launch < 9:
        end = min(total, done + chosen.randrange(2 * every, total))
        machine = f"n{chosen.randrange(3)}"
        first = max(done + chosen.choice([0, every]), every)
        rows += [
            (step, 3 + 5 / (1 + step / 50) + chosen.gauss(0, 0.01), launch, machine)
            for step in range(first, end + 1, every)
        ]
        done, launch = end // kept * kept, launch + 1
        if end == total:
            break
    return rows


@pytest.mark.parametrize("seed", range(30))
def test_restarts_are_no_second_losses(tmp_path: Path, seed: int) -> None:
    text = lines("step,loss,launch,machine", *killed_and_restarted(seed))
    tables = ingest(tmp_path / "s", {"t.csv": text}, KNOWN)
    assert tables.runs["run"].to_list() == ["t"]


def test_a_last_row_that_is_called_otherwise_is_not_the_last_loss(tmp_path: Path) -> None:
    rows = [*((step, loss, "") for step, loss in TRAINED.items()), (990, 4.55, "true")]
    text = lines("step,loss,final", *rows)
    words = refused(tmp_path / "s", text)
    proposed = re.search(r"^ *(table: .*)$", words, re.MULTILINE)
    assert proposed is not None
    tables = ingest(tmp_path / "t", {"t.csv": text}, f"{KNOWN}{proposed[1]}\n")
    assert tables.curves.filter(step=990)["train_loss"].to_list() == [TRAINED[990]]


def test_rows_of_another_n_are_of_another_run(tmp_path: Path) -> None:
    rows = [
        (n, step, 4 - step / 1e4 - n / 1e8)
        for n in (10_000_000, 20_000_000)
        for step in (100, 200, 300)
    ]
    known = "title: t\nfacts: {tokens_per_step: 524288, schedule: {kind: constant}}\n"
    text = lines("params,steps,loss", *rows)
    with pytest.raises(EmptySweepError) as caught:
        ingest(tmp_path / "s", {"t.csv": text}, known)
    assert "'params' tells them apart" in str(caught.value)
    proposed = re.search(r"^ *(table: .*)$", str(caught.value), re.MULTILINE)
    assert proposed is not None
    tables = ingest(tmp_path / "t", {"t.csv": text}, f"{known}{proposed[1]}\n")
    assert tables.runs["params_total"].to_list() == [1e7, 2e7]


def test_rows_of_another_n_and_step_each_may_be_finished_runs(tmp_path: Path) -> None:
    rows = [
        (n, step, 64, 2048, 4 - step / 1e4 - n / 1e8)
        for n in (10_000_000, 20_000_000)
        for step in (100, 200)
    ]
    text = lines("params,steps,batch_size,seq_len,loss", *rows)
    with pytest.raises(EmptySweepError) as caught:
        ingest(tmp_path / "s", {"t.csv": text}, "title: t\n")
    proposed = re.search(r"^ *(table: .*)$", str(caught.value), re.MULTILINE)
    assert proposed is not None
    tables = ingest(tmp_path / "t", {"t.csv": text}, f"title: t\n{proposed[1]}\n")
    tokens = [step * 64 * 2048 for step in (100, 200)] * 2
    assert sorted(tables.runs["tokens"].to_list()) == sorted(tokens)


def test_rounded_tokens_are_of_one_curve(tmp_path: Path) -> None:
    counts = [1, 1, 2, 2, 2, 3, 4, 4, 4, 4]
    rows = [(1e6 * count, 5 - place / 10) for place, count in enumerate(counts)]
    tables = ingest(tmp_path / "s", {"t.csv": lines("tokens,loss", *rows)}, BY_TOKENS)
    assert tables.curves["train_loss"].to_list() == [loss for _, loss in rows]


def of_settings(*settings: tuple[object, ...]) -> list[tuple[object, ...]]:
    """Runs of other settings, one behind the other, each longer than the one before."""
    return [
        (step, 5 - place / 10 - step / 1e3, *cells)
        for place, cells in enumerate(settings)
        for step in range(100, 600 + 200 * place, 100)
    ]


@pytest.mark.parametrize(
    ("column", "first", "second"),
    [("total_steps", 500, 700), ("lr", 0.001, 0.0003), ("schedule", "cosine", "wsd")],
)
def test_a_run_that_begins_anew_with_another_setting_is_another(
    tmp_path: Path, column: str, first: object, second: object
) -> None:
    text = lines(f"step,loss,{column}", *of_settings((first,), (second,)))
    words = refused(tmp_path / "s", text)
    assert f"'{column}' tells them apart" in words
    proposed = re.search(r"^ *(table: .*)$", words, re.MULTILINE)
    assert proposed is not None
    known = f"{KNOWN}{proposed[1]}\n"
    tables = ingest(tmp_path / "t", {"t.csv": text}, known)
    assert sorted(tables.runs["tokens"].to_list()) == [500 * 524288, 700 * 524288]
    # and in several files, whose runs are not one though a setting is
    tables = ingest(tmp_path / "u", {"a.csv": text, "b.csv": text.replace(",4.", ",4.0")}, known)
    assert tables.runs.height == 4
    assert not tables.runs["excluded"].any()
    assert all(run[:2] in ("a-", "b-") for run in tables.runs["run"])


@pytest.mark.parametrize("column", ["launch", "hostname", "job_id"])
def test_a_run_that_begins_anew_in_another_job_is_one(tmp_path: Path, column: str) -> None:
    text = lines(f"step,loss,{column}", *of_settings((1,), (2,)))
    tables = ingest(tmp_path / "s", {"t.csv": text}, KNOWN)
    assert tables.curves.filter(~pl.col("superseded")).height == 7


def test_two_columns_may_tell_runs_apart(tmp_path: Path) -> None:
    settings = [(n, seed) for n in ("25M", "50M") for seed in (0, 1)]
    text = lines("step,loss,size,seed", *of_settings(*settings))
    words = refused(tmp_path / "s", text)
    assert "'size' with 'seed' tells them apart" in words
    proposed = re.search(r"^ *(table: .*)$", words, re.MULTILINE)
    assert proposed is not None
    tables = ingest(tmp_path / "t", {"t.csv": text}, f"{KNOWN}{proposed[1]}\n")
    assert tables.runs["run"].to_list() == ["25M-0", "25M-1", "50M-0", "50M-1"]


def test_a_shorter_run_beside_another_is_no_evaluation_of_it(tmp_path: Path) -> None:
    text = lines("step,loss,config", *of_settings(("c0",), ("c1",), ("c2",), ("c3",)))
    words = refused(tmp_path / "s", text)
    proposed = re.search(r"^ *(table: .*)$", words, re.MULTILINE)
    assert proposed is not None
    tables = ingest(tmp_path / "t", {"t.csv": text}, f"{KNOWN}{proposed[1]}\n")
    assert tables.runs["run"].to_list() == ["c0", "c1", "c2", "c3"]


def cosine(last: int, until: int | None = None, shift: float = 0.0) -> list[tuple[object, ...]]:
    """A block of a file: a schedule of so many steps, and how far it got."""
    return [
        (step, 5 - step / 1e3 + shift, f"{5e-4 * (1 + math.cos(math.pi * step / last)):.7f}")
        for step in range(50, (until or last) + 50, 50)
    ]


def test_blocks_of_other_schedules_are_runs_of_their_own(tmp_path: Path) -> None:
    blocks = [*cosine(1000), *cosine(2000, shift=0.1), *cosine(4000, 2000, 0.2)]
    tables = ingest(tmp_path / "s", {"t.csv": lines("step,loss,lr", *blocks)}, KNOWN)
    assert tables.runs["run"].to_list() == ["t-1", "t-2", "t-3"]
    assert not tables.curves["superseded"].any()
    ends = tables.curves.group_by("run").agg(pl.col("train_loss").last()).sort("run")
    assert ends["train_loss"].to_list() == pytest.approx([4.0, 3.1, 3.2])
    reason = tables.files.filter(path="t.csv")["reason"].item()
    assert "each schedule is a run of its own, 3 in all, such as 't-1'" in reason


def test_a_restart_of_one_schedule_is_none(tmp_path: Path) -> None:
    """Also where it falls back to the first step, or tells its rate at few of them."""
    blocks = [*cosine(1000, 400), *cosine(1000, 600), *cosine(1000)]
    tables = ingest(tmp_path / "s", {"t.csv": lines("step,loss,lr", *blocks)}, KNOWN)
    assert tables.runs["run"].to_list() == ["t"]
    assert tables.curves["superseded"].sum() == 8 + 12
    # of two schedules the first of which was begun twice, one is made of two attempts
    blocks = [*cosine(1000, 400), *cosine(1000), *cosine(2000, shift=0.1)]
    tables = ingest(tmp_path / "t", {"t.csv": lines("step,loss,lr", *blocks)}, KNOWN)
    assert tables.runs["run"].to_list() == ["t-1", "t-2"]
    assert tables.curves.filter(run="t-1")["superseded"].sum() == 8


def resumed(column: str, *told: object, apart: float = 0.003) -> str:
    """A run in jobs that log the step of the checkpoint once more, and what a column says."""
    begins = [10, 250, 500, 750]
    rows = [
        (
            step,
            round(TRAINED[step] + (apart if step == begin and begin > 10 else 0), 4),
            told[place],
        )
        for place, (begin, end) in enumerate(zip(begins, [250, 500, 750, 990], strict=True))
        for step in range(begin, end + 1, 10)
    ]
    return lines(f"step,loss,{column}", *rows)


@pytest.mark.parametrize(
    ("column", "told"),
    [("slurm_job_id", (77, 78, 79, 80)), ("job", ("a", "b", "c", "d")), ("x", ("", "", "", ""))],
)
def test_jobs_that_log_their_checkpoint_s_step_again_are_of_one_run(
    tmp_path: Path, column: str, told: tuple[object, ...]
) -> None:
    tables = ingest(tmp_path / "s", {"t.csv": resumed(column, *told)}, KNOWN)
    assert tables.runs["run"].to_list() == ["t"]
    assert tables.curves["superseded"].sum() == 3


def test_a_job_that_begins_with_another_loss_is_one_and_where_none_says_so_it_is_asked(
    tmp_path: Path,
) -> None:
    tables = ingest(tmp_path / "s", {"t.csv": resumed("job", *"abcd", apart=0.3)}, KNOWN)
    assert tables.curves["superseded"].sum() == 3
    text = resumed("x", "", "", "", "", apart=0.3)
    words = refused(tmp_path / "t", text)
    proposed = re.search(r"if they are restarts, .*\n *(table: .*)$", words, re.MULTILINE)
    assert proposed is not None
    tables = ingest(tmp_path / "u", {"t.csv": text}, f"{KNOWN}{proposed[1]}\n")
    kept = dict(tables.curves.drop_nulls("train_loss").select("step", "train_loss").iter_rows())
    again = {250, 500, 750}
    assert kept == pytest.approx(
        {step: loss + 0.3 * (step in again) for step, loss in TRAINED.items()}, abs=1e-4
    )
    assert tables.evals.is_empty()


@pytest.mark.parametrize(
    ("column", "first", "second"),
    [
        ("git_sha", "a1b2", "c3d4"),
        ("commit", "a", "b"),
        ("wandb_id", "x1", "x2"),
        ("world_size", 4, 8),
        ("accum_steps", 2, 1),
        ("log_every", 10, 50),
        ("compile", "true", "false"),
        ("version", 0.1, 0.2),
        ("note", "oom", "fixed"),
    ],
)
def test_a_dead_start_is_no_run_whatever_launches_say(
    tmp_path: Path, column: str, first: object, second: object
) -> None:
    rows = [(step, TRAINED[step] + 0.01, first) for step in range(10, 70, 10)]
    rows += [(step, loss, second) for step, loss in TRAINED.items()]
    tables = ingest(tmp_path / "s", {"t.csv": lines(f"step,loss,{column}", *rows)}, KNOWN)
    assert tables.runs["run"].to_list() == ["t"]
    assert tables.curves["superseded"].sum() == 6


@pytest.mark.parametrize(
    ("column", "first", "second"),
    [("max_steps", 60, 990), ("seed", 0, 1), ("peak_lr", 0.001, 0.0003), ("batch_size", 64, 128)],
)
def test_a_short_run_of_another_setting_is_no_dead_start(
    tmp_path: Path, column: str, first: object, second: object
) -> None:
    rows = [(step, TRAINED[step] + 0.01, first) for step in range(10, 70, 10)]
    rows += [(step, loss, second) for step, loss in TRAINED.items()]
    words = refused(tmp_path / "s", lines(f"step,loss,{column}", *rows))
    assert f"'{column}' tells them apart" in words


def test_names_of_several_runs_are_no_evaluations(tmp_path: Path) -> None:
    text = lines("step,loss,config", *of_settings(("c0",), ("c1",), ("c2",)))
    assert "are evaluations" not in refused(tmp_path / "s", text)


def test_three_columns_may_tell_runs_apart(tmp_path: Path) -> None:
    settings = [(n, seed, b) for n in ("25M", "50M") for seed in (0, 1) for b in (8, 16)]
    words = refused(tmp_path / "s", lines("step,loss,size,seed,bs", *of_settings(*settings)))
    assert "'size' with 'seed' with 'bs' tells them apart" in words


def test_runs_that_no_column_tells_apart_are_no_rows_to_leave_out(tmp_path: Path) -> None:
    text = lines("step,loss,budget", *of_settings((1e17,), (1e17,), (1e18,)))
    words = refused(tmp_path / "s", text)
    assert "exclude" not in words
    assert "a file of its own" in words


def test_evaluations_at_the_end_of_an_epoch_are_no_launches(tmp_path: Path) -> None:
    rows = [
        each
        for step, loss in TRAINED.items()
        for each in [
            (step, round(loss, 4), (step - 1) // 100),
            *([(step, round(loss + 0.3, 4), step // 100)] if step % 100 == 0 else []),
        ]
    ]
    words = refused(tmp_path / "s", lines("step,loss,epoch", *rows))
    assert "9 steps have rows with different losses" in words


@pytest.mark.parametrize("every", [200, 100])
@pytest.mark.parametrize("word", ["evaluation", "c4-val"])
def test_a_word_for_evaluations_says_more_than_the_rates_that_they_lack(
    tmp_path: Path, word: str, every: int
) -> None:
    """Also where every second row in training has one: two in three steps do between these."""
    records = []
    for step in range(100, 2100, 100):
        shared = {"step": step, "n_params": 70_000_000}
        records.append({**shared, "lr": 1e-3 / step, "kind": "step", "loss": 5 - step / 1e3})
        if step % every == 0:
            records.append({**shared, "kind": word, "loss": 5.05 - step / 1e3})
    text = "".join(f"{json.dumps(each)}\n" for each in records)
    with pytest.raises(EmptySweepError) as caught:
        ingest(tmp_path / "s", {"t.jsonl": text}, KNOWN)
    proposed = re.search(r"^ *(table: .*)$", str(caught.value), re.MULTILINE)
    assert proposed is not None
    tables = ingest(tmp_path / "t", {"t.jsonl": text}, f"{KNOWN}{proposed[1]}\n")
    assert tables.runs["run"].to_list() == ["t"]
    evaluated = tables.curves.drop_nulls("eval_loss")["eval_loss"]
    assert evaluated.len() == 2000 // every
    assert evaluated[-1] == pytest.approx(3.05)
