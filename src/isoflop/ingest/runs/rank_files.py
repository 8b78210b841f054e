"""Files of one run, one a rank: `N0/rank0.csv`, `N0.rank1.jsonl`, torchrun's `attempt_0/1/`.

So are runs of one file whose names say so, as where each rank opened a run of a tracker. As where
all ranks write to one file, the losses of the first rank are kept. Tokens that ranks count apart
are added. What all count alike is of a rank or of all of them: tokens per step say which.
Ranks are numbered from 0 without gaps, have one rate, and a mean loss differs between them by
noise: files of other numbers, as of the ranks of adapters, are runs. What may be ranks by all that
but for its name (`gpu0.csv`), or for an end that a lost buffer or another horizon makes earlier, is
asked about.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import polars as pl

from isoflop.ingest.facts import sidecar as side
from isoflop.ingest.formats import counts_all_ranks
from isoflop.ingest.reading.parsed import LAGGING
from isoflop.ingest.runs.merged import merged
from isoflop.ingest.tables.same_losses import differ_by_noise
from isoflop.ingest.tables.tokens_of_job import SAME, Job

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from isoflop.config.sidecar import SweepFile
    from isoflop.ingest.reading.log import Log
    from isoflop.ingest.reading.parsed import ParsedRun

_RANK: Final = re.compile(
    r"(?:^|(?<=[-_. /]))(?:(?:global|local)[-_]?)?rank[-_. =/]?([0-9]+)(?=$|[-_. /])", re.IGNORECASE
)
_LIKE_RANKS: Final = re.compile(
    r"(?:^|(?<=[-_. /]))(?:worker|process|proc|gpu|cuda|device|host)[-_. ]?([0-9]+)(?=$|[-_. /])",
    re.IGNORECASE,
)
"""Names of ranks, or of where the runs of a sweep were."""
_NODE: Final = re.compile(r"(?:^|(?<=[-_. /]))node[-_]?([0-9]+)(?=[-_. /])", re.IGNORECASE)
_TORCHRUN: Final = re.compile(r"(?:^|(?<=/))attempt_[0-9]+/([0-9]+)(?=/std(?:out|err)\.log$)")
_SHARED: Final = ("params.total", "tokens_per_step", "batch", "schedule.lr_peak", "schedule.steps")
"""Facts in which ranks agree; seeds they may have by rank."""
DECAYED: Final = 0.05
"""Share of its peak by which a rate has come down where it decays."""


def with_ranks_joined(logs: Sequence[Log], sidecar: SweepFile) -> list[Log]:
    """Keep the log of the first rank of each run whose ranks wrote a file, or have a run, each."""
    logs = [_with_runs_joined(log, sidecar) for log in logs]
    groups: dict[object, dict[tuple[int, int], int]] = defaultdict(dict)
    for place, log in enumerate(logs):
        for key, rank in _ranked(log):
            groups[key].setdefault(rank, place)
    joined = list(logs)
    done: set[int] = set()
    for ranks in sorted(groups.values(), key=len, reverse=True):
        places = [place for _, place in sorted(ranks.items()) if place not in done]
        if not _is_job([*ranks]) or len(places) < len(ranks):
            continue
        of_job = [logs[at] for at in places]
        if not _are_one_run(of_job):
            continue
        done.update(places)
        if (doubt := _doubt(of_job)) is not None:
            for at in places:
                joined[at] = replace(logs[at], doubts=(*logs[at].doubts, doubt))
            continue
        first = _first(places, logs)
        others = [logs[at] for at in places if at != first]
        begin = "the first" if first == places[0] else "the first that did not end early"
        joined[first] = _with_tokens(logs[first], others, sidecar).noted(
            f"{begin} of {len(places)} ranks of one run, whose losses are read"
        )
        for at in places:
            if at != first:
                why = (
                    f"another rank of the run that {logs[first].file.name} has; if each file is a "
                    f"run of its own, name it in {side.SIDECAR}, "
                    f"runs: [{{{side.rule_for(logs[at].file.name)}, run: <its name>}}]"
                )
                joined[at] = logs[at].ignored(why)
    return joined


def _with_runs_joined(log: Log, sidecar: SweepFile) -> Log:
    """Keep the first of the runs of one log that are the ranks of one by their names."""
    if log.fate != "used" or log.parsed is None or len(log.parsed.runs) < 2:
        return log
    groups: dict[object, dict[tuple[int, int], ParsedRun]] = defaultdict(dict)
    for run in log.parsed.runs:
        *_, told = [None, *_RANK.finditer(run.name)]
        is_ruled = (
            side.stated_run(sidecar, run.name) is not None
            or side.exclusion(sidecar, run.name, (log.file.name,)) is not None
        )
        if told is not None and run.steps is not None and not is_ruled:
            around = (run.name[: told.start(1)], run.name[told.end(1) :])
            groups[around].setdefault((0, int(told[1])), run)
    for ranks in groups.values():
        if not _is_job([*ranks]):
            continue
        of_job = [_alone(log, run) for _, run in sorted(ranks.items())]
        if _are_one_run(of_job):
            log = _with_job(log, of_job, sidecar)
    return log


def _alone(log: Log, run: ParsedRun) -> Log:
    """Give a log with one of its runs."""
    assert log.parsed is not None  # noqa: S101  the caller chose files that were read
    kept = log.parsed.records.filter(pl.col("run") == run.name)
    return replace(log, parsed=replace(log.parsed, runs=(run,), kept=kept), reason=None)


def _with_job(log: Log, of_job: Sequence[Log], sidecar: SweepFile) -> Log:
    """Leave the first of some runs in a log, with the tokens of all."""
    assert log.parsed is not None  # noqa: S101  the caller chose files that were read
    first = of_job[_first(range(len(of_job)), of_job)]
    joined = _with_tokens(first, [each for each in of_job if each is not first], sidecar)
    assert joined.parsed is not None  # noqa: S101  it has the records of the first
    name, names = _run(first).name, [_run(each).name for each in of_job]
    runs = tuple(
        _run(joined) if run.name == name else run
        for run in log.parsed.runs
        if run.name == name or run.name not in names
    )
    others = log.parsed.records.filter(~pl.col("run").is_in(names))
    words = (
        f"'{names[0]}' to '{names[-1]}' are {len(names)} ranks of one run by their names, and the "
        f"losses of '{name}' are read; if each is a run, name it in {side.SIDECAR}, "
        f"runs: [{{{side.rule_for(names[-1])}, run: <its name>}}]"
    )
    parsed = replace(log.parsed, runs=runs, kept=pl.concat([others, joined.parsed.records]))
    ranks = {**log.ranks, **joined.ranks}
    noted = replace(log, parsed=parsed, key=None, ranks=ranks).noted(words)
    return noted if joined.reason is None else noted.noted(f"'{name}': {joined.reason}")


def _first(places: Sequence[int], logs: Sequence[Log]) -> int:
    """Choose the first rank with losses whose log does not end early."""
    able = [at for at in places if _run(logs[at]).trains] or places
    least = max(_span(logs[at])[1] for at in able) - _slack([logs[at] for at in able])
    return next(at for at in able if _span(logs[at])[1] >= least)


def _doubt(logs: Sequence[Log]) -> str | None:
    """Say why files may be of one run or of several, where no rule or schedule tells."""
    if logs[0].run is not None:
        return None
    first, last = (log.file.name for log in (logs[0], logs[-1]))
    ends = [_span(log)[1] for log in logs]
    if not _is_named_rank(first):
        what = (
            f"{first} to {last} differ in a number, and have the same steps, facts and losses but "
            f"for noise: ranks of one run, or runs?"
        )
    elif max(ends) - min(ends) > _slack(logs) and not _share_a_decay(logs):
        what = (
            f"{first} to {last} are ranks of one run by their names and losses, but end between "
            f"step {min(ends)} and {max(ends)}: did some lose their last lines, or are they runs?"
        )
    else:
        return None
    rules = [side.rule_for(log.file.name) for log in logs]
    joint, apart = (
        ", ".join(f"{{{rule}, run: {name}}}" for rule in rules)
        for name in ("<the name of all>", "<its name>")
    )
    return (
        f"{what} Say in {side.SIDECAR} that they are one, runs: [{joint}], or each a run of its "
        f"own, runs: [{apart}]"
    )


def _is_named_rank(name: str) -> bool:
    """Tell whether a file's name says that it is a rank's, or a rank's records do."""
    return bool(_RANK.search(name) or _TORCHRUN.search(name)) or not _LIKE_RANKS.search(name)


def _is_job(ranks: Sequence[tuple[int, int]]) -> bool:
    """Tell whether nodes and their ranks, in each or in all of them, count from 0 without gaps."""
    nodes = {node for node, _ in ranks}
    of_all = sorted(rank for _, rank in ranks)
    in_each = [*range(len(ranks) // len(nodes))]
    each_alike = len(in_each) * len(nodes) == len(ranks) and all(
        sorted(rank for node, rank in ranks if node == its) == in_each for its in nodes
    )
    counts = nodes == {*range(len(nodes))} and (each_alike or of_all == [*range(len(ranks))])
    return len(ranks) > 1 and counts


def _ranked(log: Log) -> Iterator[tuple[object, tuple[int, int]]]:
    """Give the node and rank of a file, with what is the same of all ranks of its run."""
    if log.fate != "used" or log.parsed is None or log.record is not None:
        return
    if len(log.parsed.runs) != 1 or log.parsed.runs[0].steps is None:
        return
    name, its = log.file.name, (log.format, log.parsed.runs[0].name, log.run)
    for pattern in (_RANK, _TORCHRUN, _LIKE_RANKS):
        *_, told = [None, *pattern.finditer(name)]
        if told is not None:
            before, behind, its_rank = name[: told.start(1)], name[told.end(1) :], int(told[1])
            yield (*its, before, behind), (0, its_rank)
            for node in _NODE.finditer(before):
                of_nodes = (before[: node.start(1)], before[node.end(1) :], behind)
                yield (*its, *of_nodes), (int(node[1]), its_rank)
            return
    if (rank := log.parsed.rank) is not None:
        for number in re.finditer(rf"(?<![0-9])0*{rank}(?![0-9])", name):
            yield (*its, name[: number.start()], name[number.end() :]), (0, rank)


def _run(log: Log) -> ParsedRun:
    assert log.parsed is not None  # noqa: S101  the caller chose files that were read
    return log.parsed.runs[0]


def _span(log: Log) -> tuple[int, int]:
    steps = _run(log).steps
    return (0, -1) if steps is None else steps


def _slack(logs: Sequence[Log]) -> float:
    """Give the steps by which one rank's log may begin or end before another's."""
    return LAGGING * max(_span(log)[1] for log in logs)


def _are_one_run(logs: Sequence[Log]) -> bool:
    """Tell whether files begin at about one step and contradict each other in nothing."""
    begins = [_span(log)[0] for log in logs]
    abreast = max(begins) - min(begins) <= _slack(logs)
    # seeds may be those of ranks, where names say that they are ranks
    seeds = () if _is_named_rank(logs[0].file.name) else ("seed",)
    told: Mapping[str, set[object]] = {name: set() for name in (*_SHARED, *seeds)}
    for log in logs:
        for facts in _run(log).facts:
            leaves = side.leaves(facts, "log")
            for name in told.keys() & leaves.keys():
                told[name].add(leaves[name].value)
    agree = abreast and all(len(values) < 2 for values in told.values())
    return agree and all(
        _have_one_rate(logs[0], other) and _have_one_loss(logs[0], other) for other in logs[1:]
    )


def _trained(log: Log) -> pl.DataFrame:
    """Give the rates and losses of a file by step."""
    assert log.parsed is not None  # noqa: S101  the caller chose files that were read
    told = log.parsed.records.filter(pl.col("kind") == "train").select("step", "lr", "train_loss")
    return told.drop_nulls("step").unique("step", keep="last").sort("step")


def _have_one_rate(log: Log, other: Log) -> bool:
    """Tell whether learning rates at the same steps are the same, but at a few of them."""
    both = _trained(log).join(_trained(other), on="step", suffix="_there")
    apart = both.select((pl.col("lr") - pl.col("lr_there")).abs() / pl.col("lr").abs())["lr"]
    middle = apart.drop_nans().median()
    return not isinstance(middle, float) or middle <= SAME


def _share_a_decay(logs: Sequence[Log]) -> bool:
    """Tell whether the file that ends first shows that one decay of the rate was under way."""
    rates = _trained(min(logs, key=lambda log: _span(log)[1]))["lr"].drop_nulls()
    most = rates.max()
    return isinstance(most, float) and float(rates[-1]) < (1 - DECAYED) * most


def _have_one_loss(log: Log, other: Log) -> bool:
    """Tell whether losses of training at the same steps differ by the noise of a batch."""
    both = _trained(log).join(_trained(other), on="step", suffix="_there").sort("step")
    both = both.drop_nulls(["train_loss", "train_loss_there"])
    return differ_by_noise((both["train_loss"] - both["train_loss_there"]).to_numpy())


def _with_tokens(log: Log, others: Sequence[Log], sidecar: SweepFile) -> Log:
    """Add the tokens or samples of all ranks, where they count apart; ask where they do not."""
    if not all(_run(each).counts_tokens for each in (log, *others)):
        return log
    if log.format is not None and counts_all_ranks(log.format):
        return log
    assert log.parsed is not None  # noqa: S101  the caller chose files that were read
    records = log.parsed.records
    counts = [name for name in ("tokens", "samples") if records[name].null_count() < len(records)]
    jobs = {name: Job.of(_counts([log, *others], name)) for name in counts}
    if any(2 * job.apart > job.shared or job.divides for job in jobs.values()):
        known = {name: job.tokens for name, job in jobs.items()}
        if any(each is None for each in known.values()):
            words = (
                f"the counts of {len(others) + 1} ranks are not read: their files lack steps up to "
                f"the last one, so what all had is not known; D takes the tokens of a step of all "
                f"ranks, in {side.SIDECAR}: tokens_per_step"
            )
            unread = records.with_columns(pl.lit(None).alias(name) for name in counts)
            return merged(log, unread, others).noted(words)
        for name, told in known.items():
            assert told is not None  # noqa: S101  all are known
            sums = told.select(pl.col("step").cast(pl.Int64), pl.col("tokens").alias(f"{name} sum"))
            records = records.join(sums, on="step", how="left", maintain_order="left")
            records = records.with_columns(pl.col(f"{name} sum").alias(name))
        words = f"tokens are the sum of those of {len(others) + 1} ranks"
        return merged(log, records.select(log.parsed.records.columns), others).noted(words)
    return _counted_alike(log, others, sidecar, counts)


def _counts(logs: Sequence[Log], name: str) -> pl.DataFrame:
    """Give what each rank counts at each step, the last time that it made it."""
    told = []
    for rank, log in enumerate(logs):
        assert log.parsed is not None  # noqa: S101  the caller chose files that were read
        counts = log.parsed.records.select(
            pl.col("step").cast(pl.Float64), tokens=name, rank=pl.lit(rank)
        )
        counts = counts.drop_nulls().filter(pl.col("tokens") > 0)
        told.append(counts.unique("step", keep="last", maintain_order=True))
    return pl.concat(told)


def _counted_alike(
    log: Log, others: Sequence[Log], sidecar: SweepFile, counts: Sequence[str]
) -> Log:
    """Take tokens that all ranks count alike for those of one where its tokens per step say so."""
    assert log.parsed is not None  # noqa: S101  the caller chose files that were read
    ranks, run, name = len(others) + 1, _run(log), log.file.name
    told: dict[str, side.Fact] = {}
    for facts in run.facts:
        told |= side.leaves(facts, "log")
    called = run.name or log.file.stem
    told |= side.declared_facts(sidecar, called, (name,), (called, log.file.stem))
    known = told.get("batch" if run.counts_samples else "tokens_per_step")
    if known is None or run.counted is None:
        return replace(log, ranks={run.name: ranks})
    if abs(run.counted[1] * ranks / float(known.value) - 1) > SAME:
        return log
    scaled = log.parsed.records.with_columns(pl.col(*counts) * ranks)
    return merged(log, scaled, others).noted(f"tokens are those of a rank times {ranks}")
