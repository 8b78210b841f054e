"""Evaluations of a run in a file of their own beside the log of its training.

`N0/train.csv` and `N0/eval.csv`, `N0_train.jsonl` and `N0_eval.jsonl`, `N0.csv` and
`evals/N0.csv`, `evals/c4/N0.csv`: a file without any loss in training whose steps are those of the
log is no run. So is one whose name says that it is of evaluations, and whose loss is called `loss`.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from isoflop.ingest.facts import sidecar as side
from isoflop.ingest.runs.merged import as_evaluations, merged
from isoflop.ingest.tables.outline import OR_EVALUATED
from isoflop.ingest.words.file_names import stem
from isoflop.ingest.words.names import find, run_column
from isoflop.ingest.words.namesakes import by_last, by_run, run_in
from isoflop.ingest.words.split_words import EVALUATED, TRAINED, VALIDATED, word_of

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

    from isoflop.config.sidecar import SweepFile
    from isoflop.ingest.reading.log import Log
    from isoflop.ingest.reading.parsed import ParsedRun

SAME: Final = 0.01
"""Relative difference up to which two files agree on D at a step."""
COARSER: Final = 2
"""Lines of a log of training for each of a file that may be of its evaluations."""
SEVERAL: Final = 2
"""Runs of a table that are several, and of which one is to be called as a log."""
SHOWN: Final = 3
"""Rules that are written out in a question; the others are the same."""
ROUNDED: Final = 1e-6
"""What equal losses differ by."""


def with_evaluations_joined(logs: Sequence[Log], sidecar: SweepFile) -> list[Log]:
    """Read files of evaluations with the one log of training that their names are of."""
    joined = [_with_its_map(log) for log in logs]
    evaluated = {
        place: told for place, log in enumerate(logs) if (told := _evaluations_of(log)) is not None
    }
    trained = _of_training(logs, evaluated)
    places = {log.file.name: place for place, log in enumerate(logs)}
    named = _Named.of([logs[places[path]] for path in trained])
    for place, told in evaluated.items():
        log, name = logs[place], logs[place].file.name
        its = [
            path
            for path in named.alike(log) or _alone_beside(name, trained)
            if _is_one_run(logs[places[path]], log)
        ]
        is_asked = log.run is None
        if len(its) != 1:
            several = its or [path for path in named.beginning(name) if told is not log]
            if several and is_asked:
                joined[place] = replace(log, doubts=(_which(name, several),))
            continue
        at = places[its[0]]
        if told is not log and (_are_alike(logs[at], log) or _is_mapped(sidecar, name, its[0])):
            continue  # a copy of its losses in training, or what sweep.yaml maps as such
        if told is not log and is_asked and _may_be_a_trial(name, its[0]):
            joined[place] = replace(log, doubts=(_whether(name, its[0]),))
            continue
        if (apart := _apart(joined[at], told)) is not None:
            joined[place] = replace(log, doubts=(_question(its[0], name, apart),))
            continue
        of_run = {*run_in(its[0])}
        rest = [part for part in run_in(name, at_checkpoint=True) if part not in of_run]
        sets, both = _joined(joined[at], told, "_".join(rest), in_folder=_lies_in_evaluations(name))
        joined[at] = both.noted(f"with the evaluations on {sets} of {name}")
        joined[place] = log.ignored(f"read with {its[0]}: evaluations of its run on {sets}")
    return _with_questions(joined, trained, named, sidecar)


def _with_questions(
    logs: Sequence[Log], trained: Sequence[str], named: _Named, sidecar: SweepFile
) -> list[Log]:
    """Ask of tables of several runs and of files beside a folder's log that may be evaluations."""
    asked = [
        log
        if (doubt := _of_named_runs(log, named, sidecar)) is None
        else replace(log, doubts=(doubt,))
        for log in logs
    ]
    places = {log.file.name: place for place, log in enumerate(logs)}
    of_folders = _of_folders(trained)
    for name in trained:
        of_folder = of_folders.get(name.rpartition("/")[0], name)
        if of_folder != name and not _is_mapped(sidecar, name, of_folder):
            asked[places[name]] = _asked_beside(logs[places[of_folder]], logs[places[name]])
    return asked


def _of_named_runs(log: Log, named: _Named, sidecar: SweepFile) -> str | None:
    """Ask whether a table of several runs that is called as evaluations has those of the logs.

    `evals.csv` with columns `model`, `step` and `loss` beside `runs/N0.csv`.
    """
    name = log.file.name
    if log.fate != "used" or log.parsed is None or not _is_called_evaluated(name):
        return None
    runs = [run for run in log.parsed.runs if run.trains and not run.eval_sets]
    if len(log.parsed.runs) < SEVERAL or len(runs) < len(log.parsed.runs) or _says(log, TRAINED):
        return None
    if side.file_table(sidecar, name) is not sidecar.table:
        return None  # what sweep.yaml maps as losses in training
    called = {
        run.name: paths[0]
        for run in runs
        if len(paths := [each for last in run_in(run.name)[-1:] for each in named.called(last)])
        == 1
    }
    if SEVERAL * len(called) < len(runs):
        return None
    run, step, loss = _columns_in(log, ("run", "step", "train_loss"))
    table = f"table: {{rows: points, columns: {{run: {run}, step: {step}, eval_loss: {loss}}}}}"
    rules = [
        f"{{{side.rule_for(match)}, run: {json.dumps(each)}}}"
        for each, path in [*called.items()][:SHOWN]
        for match in (path, each)
    ]
    more = ", and so on for the others" if len(called) > SHOWN else ""
    mine = side.rule_for(name)
    return (
        f"by its name its file is of evaluations, and its runs are called as logs beside it, as "
        f"{next(iter(called.values()))}. If its losses are evaluations of these runs, say so in "
        f"{side.SIDECAR}, runs: [{{{mine}, {table}}}, {', '.join(rules)}]{more}; if they "
        f"are losses in training, call them train_loss there; if they are to count for nothing, "
        f"ignore: [{{{mine}, reason: <why>}}]"
    )


def _of_folders(trained: Sequence[str]) -> dict[str, str]:
    """Give the one log that is called as its folder alone, by the folder of a run."""
    called: dict[str, list[str]] = defaultdict(list)
    for path in trained:
        folder, its = path.rpartition("/")[0], run_in(path)
        if folder and its and its == run_in(f"{folder}/x")[:-1]:
            called[folder].append(path)
    return {folder: paths[0] for folder, paths in called.items() if len(paths) == 1}


def _asked_beside(log: Log, other: Log) -> Log:
    """Ask whether a file of few losses and no rate beside the log of a run has evaluations of it.

    `N0/c4.csv` beside `N0/metrics.csv`, with columns `step` and `loss`.
    """
    run, few = _the_run(log), _the_run(other)
    if run is None or few is None or other.run is not None or few.status == "finished":
        return other
    assert log.parsed is not None  # noqa: S101  the caller chose files that were read
    assert other.parsed is not None  # noqa: S101
    if few.eval_sets or COARSER * few.lines > run.lines or few.restarts:
        return other
    rates, its = (each.parsed.records["lr"] for each in (log, other) if each.parsed is not None)
    if rates.null_count() == len(rates) or its.null_count() < len(its):
        return other
    if _apart(log, other) is not None or _are_alike(log, other):
        return other
    step, loss = _columns_in(other, ("step", "train_loss"))
    mine = side.rule_for(other.file.name)
    table = f"table: {{rows: points, columns: {{step: {step}, eval_loss: {loss}}}}}"
    doubt = (
        f"it lies in the folder of {log.file.name}, has no learning rate as that has, and losses "
        f"at fewer steps. If these are evaluations of that run, map them in {side.SIDECAR}, runs: "
        f"[{{{mine}, {table}}}]; if it is a run of its own, runs: [{{{mine}, run: <its name>}}]; "
        f"if it is to count for nothing, ignore: [{{{mine}, reason: <why>}}]"
    )
    return replace(other, doubts=(*other.doubts, doubt))


def _columns_in(log: Log, kinds: Sequence[str]) -> list[str]:
    """Give the columns of some kinds in a table's head, or gaps for them."""
    try:
        head = log.file.sample().decode(errors="replace").partition("\n")[0].strip()
    except OSError:  # a member of an archive, or gone
        head = ""
    keyed = re.findall(r'"([^"]*)"\s*:', head) if head.startswith("{") else []
    names = keyed or [each.strip().strip('"') for each in re.split(r"[,;\t]", head)]
    gaps = {"run": "<column of runs>", "step": "<column of steps>"}
    known = {kind: find(kind, names) for kind in kinds}
    known |= {"run": run_column(names)} if "run" in known else {}
    return [
        json.dumps(told) if (told := known[kind]) else gaps.get(kind, "<column of losses>")
        for kind in kinds
    ]


def _of_training(logs: Sequence[Log], evaluated: Container[int]) -> list[str]:
    """List the files that have one run with losses in training, those of equal bytes once."""
    files: dict[str, str] = {}
    for place, log in enumerate(logs):
        run = _the_run(log)
        if run is None or place in evaluated or run.steps is None:
            continue
        if run.trains and run.lines > 1:
            files.setdefault(log.file.digest, log.file.name)
    return [*files.values()]


def _the_run(log: Log) -> ParsedRun | None:
    """Give the one run of a file that was read as a curve."""
    if log.fate != "used" or log.parsed is None or log.record is not None:
        return None
    runs = log.parsed.runs
    return runs[0] if len(runs) == 1 else None


def _evaluations_of(log: Log) -> Log | None:
    """Give a file of evaluations of steps alone with its losses as such; None of other files."""
    run = _the_run(log)
    if run is None or run.steps is None or run.status == "finished":
        return None
    if run.eval_sets or run.byte_sets:
        return None if run.trains else log
    if not run.trains or log.format == "tensorboard":
        return None  # TensorBoard's folders of splits are joined by `splits`
    if not _is_called_evaluated(log.file.name) or _says(log, TRAINED):
        return None
    assert log.parsed is not None  # noqa: S101  it has a run
    measured = as_evaluations(log.parsed.records, "eval")
    return merged(log, measured, [])


def _is_called_evaluated(name: str) -> bool:
    """Tell a file whose name, or whose folder's, says that it is of evaluations."""
    return bool(_words(name.rpartition("/")[2]) & EVALUATED) or _lies_in_evaluations(name)


def _lies_in_evaluations(name: str) -> bool:
    """Tell a file below a folder of evaluations alone: `evals/c4/N0.csv`."""
    return any(words and words <= EVALUATED for words in map(_words, name.split("/")[:-1]))


def _words(name: str) -> set[str]:
    return {*filter(None, re.split(r"[-_. ]+", stem(name).lower()))}


def _with_its_map(log: Log) -> Log:
    """Ask a file that is called as evaluations for the map by which its losses are such."""
    if log.fate != "rejected" or log.parsed is None or not _is_called_evaluated(log.file.name):
        return log
    asked = log.parsed.proposal
    column = _TRAIN_LOSS.search(asked)
    if column is None or OR_EVALUATED not in asked or re.search(word_of(TRAINED), column[1]):
        return log
    its = _TRAIN_LOSS.sub(r"eval_loss: \1", asked).replace("or eval_loss:", "or train_loss:")
    words = str(log.reason)
    for block in (asked, asked.removesuffix(OR_EVALUATED)):
        words = words.replace(block, its)
    return replace(log.rejected(words), parsed=replace(log.parsed, proposal=its))


_TRAIN_LOSS: Final = re.compile(r'\btrain_loss: (\{[^}]*\}|"[^"]*"|[^,}]*)')
"""A loss in a map that is proposed, and its column."""


def _says(log: Log, words: frozenset[str]) -> bool:
    """Tell whether the first lines of a file have a word between other letters."""
    try:
        head = log.file.sample()
    except OSError:  # a member of an archive, or gone
        return False
    return re.search(word_of(words), head.decode(errors="replace").lower()) is not None


@dataclass(frozen=True, slots=True)
class _Named:
    """Logs of training by what their names say of their runs.

    Attributes
    ----------
    by_run, by_last : their paths as of `namesakes`.
    by_rule : by the name that sweep.yaml gives their run.
    """

    by_run: Mapping[tuple[str, ...], Sequence[str]]
    by_last: Mapping[str, Sequence[str]]
    by_rule: Mapping[str | None, Sequence[str]]

    @classmethod
    def of(cls, trained: Sequence[Log]) -> _Named:
        paths = [log.file.name for log in trained]
        by_rule: dict[str | None, list[str]] = defaultdict(list)
        for log in trained:
            by_rule[log.run].append(log.file.name)
        return cls(by_run(paths), by_last(paths), by_rule)

    def beginning(self, name: str) -> Sequence[str]:
        """List the logs whose names begin as that of a file: `N0_s0` as `N0_eval`."""
        return [path for last in run_in(name)[-1:] for path in self.by_last.get(last, ())]

    def called(self, last: str) -> Sequence[str]:
        """List the logs whose names end so."""
        return [path for path in self.by_last.get(last, ()) if run_in(path)[-1] == last]

    def alike(self, log: Log) -> Sequence[str]:
        """List the logs that a file is called as, but for the folders of eval sets and of runs.

        `evals/c4/N0.csv` is of the run of `runs/N0.csv`, as `evals/N0.csv` is.
        """
        if log.run is not None and (its := self.by_rule.get(log.run)):
            return its
        key = run_in(log.file.name, at_checkpoint=True)
        if (its := self.by_run.get(key)) or not key or not _is_called_evaluated(log.file.name):
            return its or []
        shorter = dict.fromkeys((*key[:place], *key[place + 1 :]) for place in range(len(key)))
        but_for_a_set = [path for each in shorter for path in self.by_run.get(each, ())]
        return but_for_a_set or self.called(key[-1])


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
        return log.run == other.run and (its.trains or not _rises(log))
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


def _are_alike(log: Log, evaluated: Log) -> bool:
    """Tell whether a file has the losses in training of a log at the steps of both."""
    trained = [
        each.parsed.records.filter(pl.col("kind") == "train")
        .select("step", "train_loss")
        .drop_nulls()
        .unique("step", keep="last")
        for each in (log, evaluated)
        if each.parsed is not None
    ]
    both = trained[0].join(trained[1], on="step", suffix="_there")
    apart = (both["train_loss"] - both["train_loss_there"]).abs()
    return bool(both.height) and bool((apart <= ROUNDED).all())


def _is_mapped(sidecar: SweepFile, name: str, path: str) -> bool:
    """Tell whether sweep.yaml maps a file by a rule that is not of another one, too."""
    table = side.file_table(sidecar, name)
    return table is not side.file_table(sidecar, path) and table is not sidecar.table


def _may_be_a_trial(name: str, path: str) -> bool:
    """Tell a file whose only word for evaluations is that for trials, beside no `train`."""
    words, there = (set().union(*map(_words, each.split("/"))) for each in (name, path))
    return not words & VALIDATED and not there & TRAINED


def _ways(name: str, paths: Sequence[str]) -> str:
    """Say how a file is evaluations of a run, a run of its own, or nothing."""
    run = json.dumps("_".join(run_in(paths[0])) or "run")
    mine = side.rule_for(name)
    return (
        f"If its losses are evaluations of that run, say so in {side.SIDECAR}, runs: "
        f"[{{{side.rule_for(paths[0])}, run: {run}}}, {{{mine}, run: {run}}}]; if it is a run of "
        f"its own, runs: [{{{mine}, run: <its name>}}]; if it is to count for nothing, ignore: "
        f"[{{{mine}, reason: <why>}}]"
    )


def _which(name: str, paths: Sequence[str]) -> str:
    """Ask of which of several runs evaluations are."""
    return (
        f"it has evaluations alone by its name and columns, and is called as {len(paths)} logs: "
        f"{', '.join(paths)}. {_ways(name, paths)}"
    )


def _whether(name: str, path: str) -> str:
    """Ask whether a file is of evaluations on a set for tests, or of a trial."""
    return (
        f"by its name it may have the losses of {path} on a set for tests, or those of a trial. "
        f"{_ways(name, [path])}"
    )


def _question(path: str, name: str, apart: str) -> str:
    """Ask whether evaluations are of a run, with both ways out."""
    mine = side.rule_for(name)
    return (
        f"it has evaluations alone and is called as {path}, but {apart}. If it is a run of its "
        f"own, name it in {side.SIDECAR}, runs: [{{{mine}, run: <its name>}}]; if it is to count "
        f"for nothing, ignore: [{{{mine}, reason: <why>}}]"
    )


def _joined(log: Log, evaluated: Log, rest: str, *, in_folder: bool) -> tuple[str, Log]:
    """Add evaluations to a log.

    Parameters
    ----------
    rest : what the name of the evaluations says besides the run, which tells their sets apart.
    in_folder : whether the file lies in a folder of evaluations, so that the rest names its set.

    Returns
    -------
    The eval sets in words, and the log.
    """
    assert log.parsed is not None  # noqa: S101  the caller chose files that were read
    assert evaluated.parsed is not None  # noqa: S101
    records = log.parsed.records
    values = evaluated.parsed.records.filter(pl.col("kind") == "eval")
    known = {*records["eval_set"].drop_nulls()} & {*values["eval_set"].drop_nulls()}
    if in_folder and values["eval_set"].n_unique() == 1:
        known = {*values["eval_set"]}
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
