"""The record of a run in JSON beside its curve: what it says of the run, and of its end.

`results.json` in the folder of a log, or a file that names the run as the log does: `N0.json` and
`N0/metrics.csv`, `results/N0.json` and `curves/N0.csv`, `N0_summary.json` and `N0.csv`. Its
settings hold for that run. Its losses on an eval set are evaluations where the log has none. A
record of another N, rate or seed, or of a run that ended sooner, is a finished run, as is one that
sweep.yaml names.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import polars as pl

from isoflop.ingest.facts import sidecar as side
from isoflop.ingest.facts.sidecar import SIDECAR, rule_for
from isoflop.ingest.reading.sidefiles import scope
from isoflop.ingest.runs.evaluation_files import with_values
from isoflop.ingest.words.file_names import stem
from isoflop.ingest.words.namesakes import by_last, by_run, may_be_of, run_in

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from isoflop.ingest.reading.log import Log
    from isoflop.ingest.reading.parsed import Parsed

CUT: Final = 1.05
"""D of a record in that of its curve from which the curve lacks its end."""
INTERVALS: Final = 2
"""Intervals of a log that its last line may be short of the end."""
SAME: Final = 0.01
"""Relative difference of two values that are one."""
APART: Final = 0.1
"""Nats by which a record's loss may differ from the last of its curve, as a mean of some does."""


def with_records_joined(logs: Sequence[Log]) -> list[Log]:
    """Take the record of a run for settings where its run has a log: it would count twice.

    That is the one log of its folder, of which it is the one record, or the log that it is named
    after. Other records are finished runs.
    """
    curves = _Curves.of(logs)
    joined = list(logs)
    of_log: dict[str, list[int]] = defaultdict(list)
    for place, log in enumerate(logs):
        if log.record is None:
            continue
        its = curves.of_record(log)
        curve = curves.logs[its[0]] if len(its) == 1 else None
        if curve is None:
            joined[place] = _asked(log, its or curves.ending_as(log), None)
        elif log.run is None or log.run == curve.run:
            other, sooner = _of_another(curve, log), _ends_before(curve, log)
            if other is None and sooner is None:
                of_log[its[0]].append(place)
            elif other is None and _has_no_name(log.file.name):
                joined[place] = _asked(log, its, sooner)
            elif log.fate == "used":
                why = other or sooner
                joined[place] = log.noted(f"a run of its own and none of {its[0]}: {why}")
    places = {log.file.name: place for place, log in enumerate(logs)}
    for name, of_run in of_log.items():
        at = places[name]
        ends = [_End.of(logs[at], logs[place]) for place in of_run]
        joined[at] = _with_ends(logs[at], ends)
        for place, end in zip(of_run, ends, strict=True):
            joined[place] = _as_settings(logs[place], name, end)
    return joined


def _is_best(name: str) -> bool:
    """Tell a record of the best checkpoint, whose step is not the end of its run."""
    return "best" in re.split(r"[-_. ]+", stem(name).lower().rpartition("/")[2])


def _has_no_name(name: str) -> bool:
    """Tell a file that is called after its kind alone, so that its folder's run may be its."""
    return not run_in(name.rpartition("/")[2], at_checkpoint=True)


@dataclass(frozen=True, slots=True)
class _Curves:
    """The curves of one run each, by what their names say of it.

    Attributes
    ----------
    logs : by path.
    by_run, by_last : their paths as of `namesakes`.
    records : how many records lie in a folder.
    """

    logs: Mapping[str, Log]
    by_run: Mapping[tuple[str, ...], Sequence[str]]
    by_last: Mapping[str, Sequence[str]]
    records: Mapping[str, int]

    @classmethod
    def of(cls, logs: Sequence[Log]) -> _Curves:
        of_runs = {log.file.name: log for log in logs if _is_of_a_run(log)}
        records = Counter(scope(log.file.name) for log in logs if log.record is not None)
        return cls(of_runs, by_run(of_runs), by_last(of_runs), records)

    def of_record(self, log: Log) -> list[str]:
        """List the curves that a record is of by its name, or as the one in its folder."""
        name, home = log.file.name, scope(log.file.name)
        below = [each for each in self.logs if not home or each.startswith(f"{home}/")]
        beside = [each for each in below if scope(each) == home] or below
        namesakes = [each for each in beside if stem(each) == stem(name)]
        its = namesakes or self.by_run.get(run_in(name, at_checkpoint=True), [])
        if len(its) > 1:
            its = [each for each in its if _of_another(self.logs[each], log) is None] or its
        if its or not self.records[home] == len(beside) == 1:
            return [*its]
        return [each for each in beside if may_be_of(name, each)]

    def ending_as(self, log: Log) -> list[str]:
        """List the curves elsewhere that are called as a record, and have its N and its end.

        Those of seeds are called so by the record of their mean, too.
        """
        told = _told(log.parsed, log.record)
        alike = []
        for last in run_in(log.file.name)[-1:]:
            for name in self.by_last.get(last, ()):
                parsed = self.logs[name].parsed
                if parsed is None or _of_another(self.logs[name], log) is not None:
                    continue
                if "params.total" in told and _ends_with(parsed, log.parsed):
                    alike.append(name)
        return alike


def _ends_with(curve: Parsed, record: Parsed | None) -> bool:
    """Tell whether a record counts as many tokens or steps as the curve has at its end."""
    if record is None:
        return False
    trained = curve.records.filter(pl.col("kind") == "train")
    ends = (
        (record.records["tokens"].max(), trained["tokens"].max()),
        (_last_step(record), trained["step"].max()),
    )
    return any(
        isinstance(there, int | float) and isinstance(here, int | float) and _are_one(here, there)
        for here, there in ends
    )


def _asked(log: Log, paths: Sequence[str], why: str | None) -> Log:
    """Ask whose record a file is, with the ways out, unless sweep.yaml says that or none may be."""
    if not paths or log.run is not None or log.fate != "used":
        return log
    name = log.file.name
    run = json.dumps("_".join(run_in(paths[0])) or "run")
    mine = rule_for(name)
    called = f"it is a record that may be of the run in {', or in '.join(paths)}"
    but = f", but {why}" if why else ""
    doubt = (
        f"{called}{but}. If it is, give both one name in {SIDECAR}, runs: "
        f"[{{{rule_for(paths[0])}, run: {run}}}, {{{mine}, run: {run}}}]; if it is a run of its "
        f"own, runs: [{{{mine}, run: <its name>}}]; if it is to count for nothing, as a mean of "
        f"several runs, ignore: [{{{mine}, reason: <why>}}]"
    )
    return replace(log, doubts=(doubt,))


def _is_of_a_run(log: Log) -> bool:
    """Tell a file that is the curve of one run, or will be by the map that it asks for."""
    if log.parsed is None or log.record is not None:
        return False
    if log.fate == "used":
        return len(log.parsed.runs) == 1 and log.parsed.lines > 1
    return log.fate == "rejected" and "rows: points" in log.parsed.proposal


def _of_another(log: Log, record: Log) -> str | None:
    """Say how a record tells that it is of another run than a curve; None where it does not."""
    told = _told(record.parsed, record.record)
    here = _told(log.parsed, None)
    for name, words in (("params.total", "N"), ("seed", "seed")):
        if name in told and name in here and not _are_one(told[name], here[name]):
            return f"its {words} is {told[name]:.6g}, and there it is {here[name]:.6g}"
    if log.fate != "used" or log.parsed is None or record.parsed is None:
        return None
    trained = log.parsed.records.filter(pl.col("kind") == "train")
    rates = trained["lr"].drop_nulls()
    rate = told.get("schedule.lr_peak") or record.parsed.records["lr"].max()
    # the peak or the last: neither is above the highest, nor below all that there are
    if isinstance(rate, float) and len(rates) and rate > 0:
        peak = max(float(rates.max()), here.get("schedule.lr_peak", 0.0))  # type: ignore[arg-type]
        flat = _are_one(float(rates.min()), peak)  # type: ignore[arg-type]
        if rate > (1 + SAME) * peak or (flat and not _are_one(rate, peak)):
            return f"its learning rate is {rate:.6g}, and there it is {peak:.6g}"
    return None


def _ends_before(log: Log, record: Log) -> str | None:
    """Say that a record's run ended well before a curve does, where it tells N.

    What tells N is a whole record, and no evaluation of a checkpoint.
    """
    if log.fate != "used" or log.parsed is None or record.parsed is None:
        return None
    if _is_best(record.file.name) or "params.total" not in _told(record.parsed, record.record):
        return None
    return _ended_sooner(log.parsed.records.filter(pl.col("kind") == "train"), record.parsed)


def _told(parsed: Parsed | None, record: Mapping[str, object] | None) -> dict[str, float]:
    """Give the numbers that a file of one run tells of that run."""
    told: dict[str, object] = {}
    for facts in parsed.runs[0].facts if parsed is not None and len(parsed.runs) == 1 else ():
        told |= {name: fact.value for name, fact in side.leaves(facts, "log").items()}
    told |= record or {}
    return {name: float(each) for name, each in told.items() if isinstance(each, int | float)}


def _are_one(first: float, second: float) -> bool:
    return abs(first - second) <= SAME * abs(second)


def _ended_sooner(trained: pl.DataFrame, record: Parsed) -> str | None:
    """Say that a record's run had ended well before a curve did."""
    for count, ends in (("tokens", record.records["tokens"].max()), ("step", _last_step(record))):
        reached = trained[count].drop_nulls().unique().sort()
        if not isinstance(ends, int | float) or len(reached) < 2:
            continue
        last, interval = float(reached[-1]), float(reached.diff().median())  # type: ignore[arg-type]
        if ends < min(last / CUT, last - INTERVALS * interval):
            counted = "tokens" if count == "tokens" else "steps"
            return f"it ended at {ends:.6g} {counted}, and that goes on to {last:.6g}"
    return None


def _last_step(record: Parsed) -> int | None:
    """Give the last step of a record that tells one."""
    steps = record.runs[0].steps if len(record.runs) == 1 else None
    return steps[1] if steps is not None and steps[1] > 1 else None


@dataclass(frozen=True, slots=True)
class _End:
    """What a record says of its run beside settings.

    Attributes
    ----------
    record : the file.
    values : its losses on eval sets at the step of the curve that they are of; none where the curve
        has evaluations itself.
    words : how it differs from the curve.
    doubt : why the curve may lack its end, with the ways out.
    """

    record: Log
    values: pl.DataFrame | None = None
    words: str = ""
    doubt: str = ""

    @classmethod
    def of(cls, log: Log, record: Log) -> _End:
        """Compare a record with the curve of its run."""
        if log.fate != "used" or log.parsed is None:
            return cls(record)
        if record.fate != "used" or record.parsed is None or len(record.parsed.runs) != 1:
            return cls(record)
        run, told = log.parsed.runs[0], record.parsed.records
        trained = log.parsed.records.filter(pl.col("kind") == "train").drop_nulls("step")
        if trained.is_empty() or not run.trains:
            return cls(record)
        trained = trained.sort("step")
        counted = trained.drop_nulls("tokens")
        last = int(trained["step"][-1])
        tokens = told["tokens"].max()
        steps = record.parsed.runs[0].steps
        if steps is not None and steps[1] > 1:
            step = min(steps[1], last)
        elif tokens is not None and counted.height:
            near = counted.select("step", apart=(pl.col("tokens") - tokens).abs())
            step = int(near.sort("apart", maintain_order=True)["step"][0])
        else:
            step = last
        words = _differing(trained, told, step) if step == last else ""
        return cls(
            record,
            None if run.eval_sets or run.byte_sets else _values(told, step),
            words,
            _doubt(log, record, counted, tokens),
        )


def _values(told: pl.DataFrame, step: int) -> pl.DataFrame:
    """Place losses on eval sets at a step."""
    values = told.filter(pl.col("kind") == "eval", pl.col("value").is_finite())
    return values.with_columns(
        step=pl.lit(step, pl.Int64),
        tokens=pl.lit(None, pl.Float64),
        samples=pl.lit(None, pl.Float64),
    )


def _differing(trained: pl.DataFrame, told: pl.DataFrame, step: int) -> str:
    """Say how far a last loss in training is from the curve's."""
    here = trained.filter(pl.col("step") == step)["train_loss"].drop_nulls()
    there = told["train_loss"].drop_nulls()
    if not (len(here) and len(there)) or abs(there[-1] - here[-1]) <= APART:
        return ""
    return f"its last loss in training is {there[-1]:.6g}, and that of the curve {here[-1]:.6g}"


def _doubt(log: Log, record: Log, counted: pl.DataFrame, tokens: object) -> str:
    """Say that a record's run went further than its curve, with the ways out."""
    if not isinstance(tokens, float) or counted.height < 2:
        return ""
    reached = float(counted["tokens"].max())  # type: ignore[arg-type]
    interval = float(counted["tokens"].diff().median())  # type: ignore[arg-type]
    if tokens <= max(CUT * reached, reached + INTERVALS * interval):
        return ""
    name = record.file.name
    return (
        f"{name} says that it went on to {tokens:.6g} tokens, and its curve in {log.file.name} "
        f"ends at {reached:.6g}: copy the rest of that in, or say in {SIDECAR} which of both does "
        f"not count, ignore: [{{{rule_for(name)}, reason: <why>}}] or [{{"
        f"{rule_for(log.file.name)}, reason: <why>}}]"
    )


def _with_ends(log: Log, ends: Sequence[_End]) -> Log:
    """Give a curve the evaluations that its records have, and their doubts."""
    told = [end for end in ends if end.values is not None and end.values.height]
    doubts = tuple(end.doubt for end in ends if end.doubt)
    if told and not doubts:
        values = pl.concat([end.values for end in told if end.values is not None])
        log = with_values(log, values, [end.record for end in told], of_log=False)
    return replace(log, doubts=(*log.doubts, *doubts))


def _as_settings(log: Log, its: str, end: _End) -> Log:
    """Take a record for settings of the run that another file has."""
    beside = f"; {end.words}" if end.words else ""
    is_read = end.values is not None and end.values.height and not end.doubt
    ways = "its losses on eval sets are evaluations of" if is_read else "its last values are not"
    ways = f"{ways} the run that {its} has" if is_read else f"{ways} read, as {its} has that run"
    if not log.record:
        reason = ways if is_read else f"last values of the run that {its} has"
        return replace(log, record=None, cached=False, key=None).ignored(f"{reason}{beside}")
    names = ", ".join(sorted(log.record))
    reason = f"settings: {names}; {ways}{beside}"
    return replace(
        log, format="settings", runner_up=None, parsed=None, cached=False, key=None, record=None,
        fate="facts", reason=reason, settings=log.record, settles=its,
    )  # fmt: skip
