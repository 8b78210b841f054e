"""Files of one run, one a rank: `N0/rank0.csv`, `N0.rank1.jsonl`, torchrun's `attempt_0/1/`.

As where all ranks write to one file, the losses of the first rank are kept. Tokens that ranks count
apart are added. What all count alike is of a rank or of all of them: tokens per step say which.
Ranks are numbered from 0 without gaps, and a mean loss differs between them by noise: files of
other numbers, as of the ranks of adapters, are runs.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import polars as pl

from isoflop.ingest import sidecar as side
from isoflop.ingest.merged import merged
from isoflop.ingest.parsed import LAGGING
from isoflop.ingest.same_losses import differ_by_noise

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from isoflop.config.sidecar import SweepFile
    from isoflop.ingest.fates import Log
    from isoflop.ingest.parsed import ParsedRun

_RANK: Final = re.compile(
    r"(?:^|(?<=[-_. /]))(?:(?:global|local)[-_]?)?rank[-_. =/]?([0-9]+)(?=$|[-_. /])", re.IGNORECASE
)
_NODE: Final = re.compile(r"(?:^|(?<=[-_. /]))node[-_]?([0-9]+)(?=[-_. /])", re.IGNORECASE)
_TORCHRUN: Final = re.compile(r"(?:^|(?<=/))attempt_[0-9]+/([0-9]+)(?=/std(?:out|err)\.log$)")
_SHARED: Final = ("params.total", "tokens_per_step", "batch", "schedule.lr_peak", "schedule.steps")
"""Facts in which ranks agree; seeds they may have by rank."""
SAME: Final = 0.01
"""Relative difference of two counts that are one."""
_KEY: Final = ["kind", "step", "eval_set", "metric"]


def with_ranks_joined(logs: Sequence[Log], sidecar: SweepFile) -> list[Log]:
    """Keep the log of the first rank of each run whose ranks wrote a file each."""
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
        if not _are_one_run([logs[at] for at in places]):
            continue
        done.update(places)
        first = next((at for at in places if _run(logs[at]).trains), places[0])
        others = [logs[at] for at in places if at != first]
        joined[first] = _with_tokens(logs[first], others, sidecar).noted(
            f"the first of {len(places)} ranks of one run, whose losses are read"
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
    if log.fate != "used" or log.parsed is None or log.run is not None or log.record is not None:
        return
    if len(log.parsed.runs) != 1 or log.parsed.runs[0].steps is None:
        return
    name, its = log.file.name, (log.format, log.parsed.runs[0].name)
    for pattern in (_RANK, _TORCHRUN):
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


def _are_one_run(logs: Sequence[Log]) -> bool:
    """Tell whether files have about the same steps and contradict each other in nothing."""
    spans = [steps for log in logs if (steps := _run(log).steps) is not None]
    slack = LAGGING * max(last for _, last in spans)
    abreast = all(max(each) - min(each) <= slack for each in zip(*spans, strict=True))
    told: Mapping[str, set[object]] = {name: set() for name in _SHARED}
    for log in logs:
        for facts in _run(log).facts:
            leaves = side.leaves(facts, "log")
            for name in told.keys() & leaves.keys():
                told[name].add(leaves[name].value)
    agree = abreast and all(len(values) < 2 for values in told.values())
    return agree and all(_have_one_loss(logs[0], other) for other in logs[1:])


def _have_one_loss(log: Log, other: Log) -> bool:
    """Tell whether losses of training at the same steps differ by the noise of a batch."""
    assert log.parsed is not None  # noqa: S101  the caller chose files that were read
    assert other.parsed is not None  # noqa: S101
    here, there = (
        records.filter(pl.col("kind") == "train")
        .select("step", "train_loss")
        .drop_nulls()
        .unique("step", keep="last")
        for records in (log.parsed.records, other.parsed.records)
    )
    both = here.join(there, on="step", suffix="_there").sort("step")
    return differ_by_noise((both["train_loss"] - both["train_loss_there"]).to_numpy())


def _with_tokens(log: Log, others: Sequence[Log], sidecar: SweepFile) -> Log:
    """Add the tokens or samples of all ranks, where they count apart; ask where they do not."""
    if not all(_run(each).counts_tokens for each in (log, *others)):
        return log
    assert log.parsed is not None  # noqa: S101  the caller chose files that were read
    records = log.parsed.records
    counts = [name for name in ("tokens", "samples") if records[name].null_count() < len(records)]
    both = records
    for place, other in enumerate(others):
        assert other.parsed is not None  # noqa: S101  the caller chose files that were read
        told = other.parsed.records.unique(_KEY, keep="last").select(*_KEY, *counts)
        both = both.join(told, on=_KEY, suffix=f" {place}", nulls_equal=True, maintain_order="left")
    of_ranks = {
        name: [name, *(f"{name} {place}" for place in range(len(others)))] for name in counts
    }
    apart = pl.any_horizontal(
        pl.concat_list(names).list.n_unique() > 1 for names in of_ranks.values()
    )
    if both.filter(pl.col("kind") == "train").select(apart.any()).item():
        added = both.with_columns(
            **{
                name: pl.sum_horizontal(names, ignore_nulls=False)
                for name, names in of_ranks.items()
            }
        )
        words = f"tokens are the sum of those of {len(others) + 1} ranks"
        return merged(log, added.select(records.columns), others).noted(words)
    return _counted_alike(log, others, sidecar, counts)


def _counted_alike(
    log: Log, others: Sequence[Log], sidecar: SweepFile, counts: Sequence[str]
) -> Log:
    """Take tokens that all ranks count alike for those of one where its tokens per step say so."""
    assert log.parsed is not None  # noqa: S101  the caller chose files that were read
    ranks, run, name = len(others) + 1, _run(log), log.file.name
    told: dict[str, side.Fact] = {}
    for facts in run.facts:
        told |= side.leaves(facts, "log")
    told |= side.declared_facts(sidecar, log.file.stem, (name,), (log.file.stem,))
    known = told.get("tokens_per_step")
    if known is None or run.counted is None:
        return replace(log, ranks=ranks)
    if abs(run.counted[1] * ranks / float(known.value) - 1) > SAME:
        return log
    scaled = log.parsed.records.with_columns(pl.col(*counts) * ranks)
    return merged(log, scaled, others).noted(f"tokens are those of a rank times {ranks}")
