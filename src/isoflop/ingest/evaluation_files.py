"""Evaluations of a run in a file of their own beside the log of its training.

`N0/train.csv` and `N0/eval.csv`, `N0_train.jsonl` and `N0_eval.jsonl`, `N0.csv` and
`evals/N0.csv`: a file without any loss in training whose steps are those of the log is no run.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from isoflop.ingest import sidecar as side
from isoflop.ingest.merged import merged
from isoflop.ingest.namesakes import by_run, run_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from isoflop.ingest.fates import Log
    from isoflop.ingest.parsed import ParsedRun

SAME: Final = 0.01
"""Relative difference up to which two files agree on D at a step."""


def with_evaluations_joined(logs: Sequence[Log]) -> list[Log]:
    """Read files of evaluations with the one log of training that their names are of."""
    joined = list(logs)
    trained = _of_training(logs)
    places = {log.file.name: place for place, log in enumerate(logs)}
    named = by_run(trained)
    for place, log in enumerate(logs):
        run = _evaluated(log)
        if run is None:
            continue
        name = log.file.name
        key = run_in(name, at_checkpoint=True)
        its = [
            path
            for path in named.get(key) or _alone_beside(name, trained)
            if _is_one_run(logs[places[path]], log)
        ]
        if len(its) != 1:
            continue
        at = places[its[0]]
        if (apart := _apart(joined[at], log)) is not None:
            joined[place] = replace(log, doubts=(_question(its[0], name, apart),))
            continue
        sets, both = _joined(joined[at], log, "_".join(key[len(run_in(its[0])) :]))
        joined[at] = both.noted(f"with the evaluations on {sets} of {name}")
        joined[place] = log.ignored(f"read with {its[0]}: evaluations of its run on {sets}")
    return joined


def _of_training(logs: Sequence[Log]) -> list[str]:
    """List the files that have one run with losses in training, those of equal bytes once."""
    files: dict[str, str] = {}
    for log in logs:
        run = _the_run(log)
        if run is not None and run.trains and run.lines > 1 and run.steps is not None:
            files.setdefault(log.file.digest, log.file.name)
    return [*files.values()]


def _the_run(log: Log) -> ParsedRun | None:
    """Give the one run of a file that was read as a curve."""
    if log.fate != "used" or log.parsed is None or log.record is not None:
        return None
    runs = log.parsed.runs
    return runs[0] if len(runs) == 1 else None


def _evaluated(log: Log) -> ParsedRun | None:
    """Give the run of a file of evaluations alone, which are of steps; None of other files."""
    run = _the_run(log)
    if run is None or run.trains or run.steps is None or run.status == "finished":
        return None
    return run if run.eval_sets or run.byte_sets else None


def _alone_beside(name: str, trained: Sequence[str]) -> list[str]:
    """List the logs in the folder of a run where there is one: `N0/c4.csv` is beside no other."""
    folder = name.rpartition("/")[0]
    beside = [path for path in trained if path.rpartition("/")[0] == folder]
    is_of_run = bool(run_in(f"{folder}/x")[:-1]) and len(beside) == 1
    return beside if is_of_run and run_in(beside[0]) == run_in(f"{folder}/x")[:-1] else []


def _is_one_run(log: Log, other: Log) -> bool:
    """Tell whether neither sweep.yaml nor the files themselves name two runs."""
    run, its = _the_run(log), _the_run(other)
    assert run is not None  # noqa: S101  the caller chose files of one run
    assert its is not None  # noqa: S101
    if log.run is not None or other.run is not None:
        # what sweep.yaml calls one run is joined by step, which a log with restarts is not
        return log.run == other.run and not _rises(log)
    return run.name == its.name


def _rises(log: Log) -> bool:
    assert log.parsed is not None  # noqa: S101  the caller chose files that were read
    return bool(log.parsed.records["step"].is_sorted())


def _apart(log: Log, evaluated: Log) -> str | None:
    """Say how evaluations contradict a log in what one run has once; None where they do not."""
    run, other = _the_run(log), _the_run(evaluated)
    assert log.parsed is not None  # noqa: S101  the caller chose files that were read
    assert evaluated.parsed is not None  # noqa: S101
    if run is None or other is None or run.steps is None or other.steps is None:
        return None
    records, values = log.parsed.records, evaluated.parsed.records
    steps = records["step"].drop_nulls().unique().sort()
    interval = max(steps.diff().drop_nulls().to_list(), default=1)
    if other.steps[1] > run.steps[1] + interval:
        return f"it has steps to {other.steps[1]}, and that to {run.steps[1]}"
    for count in ("tokens", "samples"):
        both = values.select("step", count).join(
            records.select("step", count).drop_nulls().unique("step", keep="last"),
            on="step",
            suffix="_there",
        )
        here, there = pl.col(count), pl.col(f"{count}_there")
        differ = both.drop_nulls().filter((here - there).abs() > SAME * there)
        if differ.height:
            step, mine, its = differ.row(0)
            return f"by step {step} it counts {mine:.6g} {count}, and that {its:.6g}"
    sizes = [
        fact.value
        for each in (run, other)
        for facts in each.facts
        if (fact := side.leaves(facts, "log").get("params.total")) is not None
    ]
    if len({*sizes}) > 1:
        return f"it is of N = {sizes[-1]:.6g}, and that of {sizes[0]:.6g}"
    return None


def _question(path: str, name: str, apart: str) -> str:
    """Ask whether evaluations are of a run, with both ways out."""
    mine = side.rule_for(name)
    return (
        f"it has evaluations alone and is called as {path}, but {apart}. If it is a run of its "
        f"own, name it in {side.SIDECAR}, runs: [{{{mine}, run: <its name>}}]; if it is to count "
        f"for nothing, ignore: [{{{mine}, reason: <why>}}]"
    )


def _joined(log: Log, evaluated: Log, rest: str) -> tuple[str, Log]:
    """Add evaluations to a log.

    Parameters
    ----------
    rest : what the name of the evaluations says besides the run, which tells their sets apart.

    Returns
    -------
    The eval sets in words, and the log.
    """
    assert log.parsed is not None  # noqa: S101  the caller chose files that were read
    assert evaluated.parsed is not None  # noqa: S101
    records = log.parsed.records
    values = evaluated.parsed.records.filter(pl.col("kind") == "eval")
    known = {*records["eval_set"].drop_nulls()} & {*values["eval_set"].drop_nulls()}
    if known and rest:
        name = pl.col("eval_set")
        values = values.with_columns(
            eval_set=pl.when(name.is_in([*known])).then(pl.lit(rest)).otherwise(name)
        )
    sets = ", ".join(json.dumps(each) for each in values["eval_set"].unique(maintain_order=True))
    return sets, with_values(log, values, [evaluated])


def with_values(
    log: Log, values: pl.DataFrame, others: Sequence[Log], *, of_log: bool = True
) -> Log:
    """Add evaluations to a log of one run, each behind the last of its lines up to their step.

    Parameters
    ----------
    values : rows as in `RECORDS`; of a step and set the last counts.
    others, of_log : the files that they are from; as of `merged`.
    """
    assert log.parsed is not None  # noqa: S101  the caller chose files that were read
    records = log.parsed.records
    key = ["step", "eval_set", "metric"]
    values = values.unique(key, keep="last", maintain_order=True)
    values = values.join(records.filter(pl.col("kind") == "eval"), on=key, how="anti")
    # a mark of a restart is no place: what follows it is of the later launch
    is_line = records["kind"] != "restart"
    steps = np.where(is_line, records["step"].fill_null(0), np.iinfo(np.int64).max)
    lowest_from = np.minimum.accumulate(steps[::-1])[::-1]
    behind = np.searchsorted(lowest_from, values["step"].to_numpy(), side="right")
    placed = pl.concat(
        [
            records.with_columns(place=pl.int_range(pl.len(), dtype=pl.Int64) + 1),
            values.with_columns(place=pl.Series(behind, dtype=pl.Int64)),
        ],
        how="diagonal_relaxed",
    )
    return merged(
        log, placed.sort("place", maintain_order=True).drop("place"), others, of_log=of_log
    )
