"""Files that begin behind a run's first step, and another file of any name that leads up to it.

`N0.csv` and `N0_v2.csv`, `N0_old.csv` and `N0.csv`, `resume_N0.csv`, `N0_from_800.csv`: only where
names are alike and a rate that changes is the same in both, they are surely one run. Where it does
not change, or is not logged, a branch on other data may look so: both are left out and asked about.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from glob import escape
from typing import TYPE_CHECKING

from isoflop.ingest.facts.sidecar import SIDECAR, rule_for
from isoflop.ingest.runs.launch_files import agree_in_seeds, put_behind
from isoflop.ingest.runs.part_files import (
    DOWN,
    FLAT,
    begins_late,
    begins_within,
    decays_from,
    differ_by_usual_noise,
    leads_up_to,
    rates_differ,
    span,
    trained,
)
from isoflop.ingest.tables.same_losses import LEAST
from isoflop.ingest.words.file_names import stem
from isoflop.ingest.words.launch_names import are_related

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import polars as pl

    from isoflop.ingest.runs.logical_runs import Part


def with_late_asked(
    parts: Mapping[str, Sequence[Part]], agree: Callable[[Part, Part], bool]
) -> dict[str, list[Part]]:
    """Join files that surely go on with another, and ask of those that may.

    Parameters
    ----------
    parts : by name of the run.
    agree : tells whether two parts say nothing else of what one run has once.
    """
    joined = {name: [*of_run] for name, of_run in parts.items()}
    able = [name for name, of_run in joined.items() if may_be_asked(of_run)]
    late = [name for name in able if len(joined[name]) == 1 and begins_late(joined[name][0])]
    sizes = {name: _size(joined[name]) for name in able} if late else {}
    asked: dict[str, set[str]] = {}
    for name in sorted(late, key=lambda name: (span(joined[name]), name)):
        (part,) = joined[name]
        before = [
            _Before(other, joined[other], part, agree)
            for other in able
            if other != name
            and other in joined
            and (sizes[other] == sizes[name] or None in (sizes[other], sizes[name]))
            and _spans_begin(joined[other], part)
        ]
        if is_short := trained([part]).height < LEAST:
            short = next((each for each in before if each.may_have_been_resumed), None)
            if short is not None:
                joined[name] = [replace(part, goes_on_from=_short(part, short.of_run))]
        before = [] if is_short else [each for each in before if each.comes_before]
        before = [each for each in before if each.is_related] or [
            each for each in before if each.is_of_same_size
        ]
        leading = [each for each in before if each.leads_up or each.leads_up_unfinished]
        if len(leading) == 1 and leading[0].is_sure:
            put_behind(joined, name, [leading[0].name], "")
        elif len(leading) == 1:
            group = asked.pop(leading[0].name, {leading[0].name}) | {name}
            asked |= dict.fromkeys(group, group)
        elif leading:
            files = [each.name for each in leading]
            put_behind(joined, name, files, f"step {span([part])[0]}, its first")
        elif within := [each for each in before if each.has_all_steps]:
            joined[name] = [replace(part, goes_on_from=_superseded(part, within[0].of_run))]
    return _asked(joined, asked)


def may_be_asked(of_run: Sequence[Part]) -> bool:
    """Tell whether files have one curve of training each, and neither name nor question yet."""
    return all(
        part.log.run is None
        and not part.run.name
        and not part.run.key
        and not part.goes_on_from
        and part.run.trains
        and part.run.steps is not None
        and part.several is None
        for part in of_run
    )


def _size(of_run: Sequence[Part]) -> object:
    """Give the N that a run's first file says, by which most runs are told apart at once."""
    told = of_run[0].shared_facts().get("params.total")
    return None if told is None else told.value


def _spans_begin(of_run: Sequence[Part], part: Part) -> bool:
    """Tell by the spans alone whether a file may begin within a run: no record is looked at."""
    (first, last), (begin, reach) = span([part]), span(of_run)
    usual = (reach - begin) / max(sum(each.run.lines for each in of_run) - 1, 1)
    return begin < first <= reach + max(last - first, usual)


@dataclass(frozen=True, slots=True)
class _Before:
    """A run that a file may go on with.

    Attributes
    ----------
    name, of_run : the run.
    part : the file, which begins late.
    agree : as of `with_late_asked`.
    """

    name: str
    of_run: Sequence[Part]
    part: Part
    agree: Callable[[Part, Part], bool]

    @property
    def comes_before(self) -> bool:
        """Whether the run may be the file's by its steps and facts."""
        return (
            self.of_run[0].log.format == self.part.log.format
            and begins_within(self.of_run, self.part)
            and self.agree(self.of_run[0], self.part)
            and agree_in_seeds(self.part, self.of_run)
            and not decays_from(self.of_run[-1], self.part)
            and min(trained([self.part]).height, trained(self.of_run).height) >= LEAST
        )

    @property
    def may_have_been_resumed(self) -> bool:
        """Whether the file, of too few lines to tell by, is called as a launch of the run is."""
        return (
            self.is_related
            and self.of_run[0].log.format == self.part.log.format
            and self.agree(self.of_run[0], self.part)
            and agree_in_seeds(self.part, self.of_run)
            and trained(self.of_run).height >= LEAST
        )

    @property
    def is_related(self) -> bool:
        """Whether one name is the other with more words in it, or with another one."""
        return are_related(self.part.log.file.name, self.of_run[0].log.file.name)

    @property
    def is_of_same_size(self) -> bool:
        """Whether both say what N is."""
        told = [part.shared_facts() for part in (self.part, self.of_run[0])]
        return all("params.total" in facts for facts in told)

    @property
    def leads_up(self) -> bool:
        """Whether the file goes on with it, its rate and its losses."""
        return leads_up_to(self.part, self.of_run, self.agree)

    @property
    def leads_up_unfinished(self) -> bool:
        """Whether it ended amid the decay of its rate, and the file goes on with another rate."""
        rates = trained(self.of_run)["lr"].drop_nulls()
        if rates.len() < 2 or span([self.part])[1] <= span(self.of_run)[1]:
            return False
        last, peak = float(rates[-1]), float(rates.max())  # type: ignore[arg-type]
        return DOWN * peak < last < (1 - FLAT) * float(rates[-2]) and self._losses_agree

    @property
    def has_all_steps(self) -> bool:
        """Whether it has the steps of the file with the same rates, and losses of its own."""
        if span([self.part])[1] > span(self.of_run)[1] or rates_differ(self.part, self.of_run):
            return False
        return self._losses_agree and not self._is_copy

    @property
    def is_sure(self) -> bool:
        """Whether names are alike, and a rate that changes is the same in both."""
        if not self.is_related or not self.leads_up:
            return False
        here, there = (trained(parts).drop_nulls("lr") for parts in ([self.part], self.of_run))
        both = here.join(there, on="step")["lr"]
        near = both if both.len() >= 2 else there["lr"].tail(2)
        if near.len() < 2 or here.is_empty():
            return False
        lowest, highest = float(near.min()), float(near.max())  # type: ignore[arg-type]
        return highest - lowest > FLAT * highest

    @property
    def _both(self) -> pl.DataFrame:
        """What both have of the same steps."""
        return trained([self.part]).join(trained(self.of_run), on="step", suffix="_before")

    @property
    def _apart(self) -> pl.Series:
        both = self._both.sort("step")
        return (both["train_loss"] - both["train_loss_before"]).drop_nulls()

    @property
    def _losses_agree(self) -> bool:
        apart = self._apart
        return apart.len() > 1 and differ_by_usual_noise(apart.to_numpy(), trained(self.of_run))

    @property
    def _is_copy(self) -> bool:
        return not (self._apart != 0).any()


def _asked(
    joined: Mapping[str, list[Part]], groups: Mapping[str, set[str]]
) -> dict[str, list[Part]]:
    """Ask of files that may be one run, each of them."""
    paths = {part.log.file.name for of_run in joined.values() for part in of_run}
    told = dict(joined)
    for name, group in groups.items():
        words = _one_or_several([joined[other] for other in sorted(group)], paths)
        head, *behind = joined[name]
        told[name] = [replace(head, goes_on_from=words), *behind]
    return told


def _one_or_several(runs: Sequence[Sequence[Part]], paths: set[str]) -> str:
    """Ask whether files that lead up to one another are of one run, with both ways out."""
    in_order = sorted(runs, key=span)
    spans = [(of_run[0].log.file.name, *span(of_run)) for of_run in in_order]
    listed = ", ".join(f"{path} (steps {first} to {last})" for path, first, last in spans)
    files = [part.log.file.name for of_run in in_order for part in of_run]
    late = ", ".join(f"{{{rule_for(path)}, run: <its name>}}" for path, _, _ in spans[1:])
    return (
        f"{listed}: each leads up to the next, which may be the same run, resumed in a file of its "
        f"own, or one that was begun from its checkpoint. Say in {SIDECAR} that they are one, "
        f"runs: [{_as_one(files, paths)}], or that what begins late is a run of its own, runs: "
        f"[{late}]"
    )


def _as_one(files: Sequence[str], paths: set[str]) -> str:
    """Write the rules that make files one run: of a folder, where it has no others."""
    folder = files[0].rpartition("/")[0]
    inside = {path for path in paths if path.startswith(f"{folder}/")}
    if folder and inside == {*files}:
        glob = json.dumps(f"{escape(folder)}/*", ensure_ascii=False)
        return f"{{match: {glob}, run: {json.dumps(folder, ensure_ascii=False)}}}"
    name = json.dumps(min(map(stem, files), key=len), ensure_ascii=False)
    return ", ".join(f"{{{rule_for(path)}, run: {name}}}" for path in files)


def _short(part: Part, of_run: Sequence[Part]) -> str:
    """Ask of a file with too few lines to tell whose they are, with both ways out."""
    mine, (first, last) = rule_for(part.log.file.name), span([part])
    log = of_run[0].log.file.name
    name = json.dumps(stem(log), ensure_ascii=False)
    rules = ", ".join(f"{{{rule_for(path)}, run: {name}}}" for path in (log, part.log.file.name))
    return (
        f"it has too few lines (steps {first} to {last}) for a run, and {log} leads up to them: a "
        f"launch of that run that died? Say in {SIDECAR} that they are one, runs: [{rules}], that "
        f"it does not count, ignore: [{{{mine}, reason: <why>}}], or that it is a run of its own, "
        f"runs: [{{{mine}, run: <its name>}}]"
    )


def _superseded(part: Part, of_run: Sequence[Part]) -> str:
    """Ask of a file whose steps a run has, too, with both ways out."""
    mine, (first, last) = rule_for(part.log.file.name), span([part])
    return (
        f"it begins at step {first} and ends at {last}, and {of_run[0].log.file.name} has these "
        f"steps, too, with losses that differ by a batch's noise: a launch that died and does not "
        f"count, or a run that was begun from a checkpoint of that one? Say in {SIDECAR} that it "
        f"does not count, ignore: [{{{mine}, reason: <why>}}], or that it is a run of its own, "
        f"runs: [{{{mine}, run: <its name>}}]"
    )
